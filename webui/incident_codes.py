"""Reference codes: a person quotes one, and support finds its failure with it for 90 days.

A reference holds words of ours alone: never a path, a query, a code or a state.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import asdict, dataclass

import structlog
from starlette.requests import Request

from webui.fetch_metadata import METHODS, is_visit
from webui.oauth_manager import StoreUnavailable
from webui.oauth_manager.links import CODE_ALPHABET, CODE_LENGTH, as_typed, new_code
from webui.oauth_manager.storage import OURS, encoded, shaped
from webui.oauth_manager.storage.calls import RedisClient, as_text, read_text, redis_call
from webui.oauth_manager.values import replace
from webui.rate_limits import Limiter
from webui.sessions.sessions import loaded_session
from webui.site import Site, caller_of, site_of

KEPT_SECONDS = 90 * 24 * 3600
_TRIES = 3  # codes, if one is taken: fewer than one in a hundred are
# The codes of one person, by the time of the failure.  ARGV: that, the code, the oldest that is
# kept, the set's life.
_LIST = f"""{OURS}
ours('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
return redis.call('EXPIRE', KEYS[1], ARGV[4])
"""
_LISTED = f"{OURS} return ours('ZRANGE', KEYS[1], 0, -1)"
_CODE = re.compile(f"[{CODE_ALPHABET}]{{{CODE_LENGTH}}}")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reference:
    """The record of a failure; ``""`` and 0 mean unknown."""

    code: str
    at: float  # epoch seconds
    kind: str  # a section of the catalogue's ``error``, ``card`` or ``ended``
    status: int = 0  # 0: shown on a card
    route: str = ""  # the template, not the path
    method: str = ""
    provider: str = ""
    error: str = ""  # the provider's error code
    trace: str = ""  # the provider's id of its own answer
    user: str = ""
    request_id: str = ""


async def refer(
    request: Request,
    kind: str,
    *,
    status: int = 0,
    provider: str = "",
    code: str = "",
    trace: str = "",
    user: str = "",
    keep: bool = True,
) -> str:
    """Return six characters to show; ``""`` if too many were kept already, or nobody reads them.

    Without Redis they are in the log alone; ``keep`` false says that it is known to be
    away.  At most three round trips, with a session two.
    """
    is_read = is_visit(request.headers) or request.headers.get("hx-request") == "true"
    if request.method == "HEAD" or not is_read:
        return ""
    session, site = loaded_session(request), site_of(request)
    found = Reference(
        code="",
        at=site.clock.now(),
        kind=kind,
        status=status,
        route=getattr(request.scope.get("route"), "path", "unmatched"),
        method=request.method if request.method in METHODS else "other",
        provider=provider,
        error=code,
        trace=trace,
        user=user or (session.user if session else ""),
        request_id=getattr(request.state, "request_id", ""),
    )
    try:
        shown = await _keep(site, found, caller_of(request)) if keep else new_code()
    except StoreUnavailable:
        shown, keep = new_code(), False
    if shown:
        _write(found, shown, is_kept=keep)
    return shown


async def _keep(site: Site, found: Reference, address: str) -> str:
    if not await _is_allowed(site.limiter, found, address):
        return ""
    return await keep_reference(site.redis, found)


async def _is_allowed(limiter: Limiter, found: Reference, address: str) -> bool:
    who = f"user {found.user}" if found.user else f"address {address}"
    if not await limiter.allows("reference", who):
        return False
    return bool(found.user) or await limiter.allows("anonymous_reference", "all")


async def keep_reference(redis: RedisClient, reference: Reference) -> str:
    """Keep it under an unused code; ``""`` if none was found."""
    for _ in range(_TRIES):
        code = new_code()
        value = json.dumps({k: v for k, v in asdict(replace(reference, code=code)).items() if v})
        async with redis_call("keep a reference"):
            pipe = redis.pipeline(transaction=False)
            if reference.user:  # first: one that is in no list could not be found by its person
                listed = reference.at, code, reference.at - KEPT_SECONDS, KEPT_SECONDS
                pipe.eval(_LIST, 1, _index(reference.user), *listed)
            pipe.set(_key(code), value, nx=True, ex=KEPT_SECONDS)
            *_, is_kept = await pipe.execute()
            if is_kept:
                return code
    return ""


async def references_of(redis: RedisClient, user: str) -> list[Reference]:
    """Find the references of a person's failures, oldest first.  Raises ``StoreUnavailable``."""
    async with redis_call("find references"):
        codes = await redis.eval(_LISTED, 1, _index(user))
    found = [await find_reference(redis, as_text(code)) for code in codes]
    return [reference for reference in found if reference and reference.user == user]


async def forget_references(redis: RedisClient, user: str) -> int:
    """Delete the references of a person's failures; return how many there were."""
    found = await references_of(redis, user)
    async with redis_call("forget references"):
        pipe = redis.pipeline(transaction=False)
        for reference in found:
            pipe.delete(_key(reference.code))
        pipe.delete(_index(user))
        await pipe.execute()
    return len(found)


def is_reference(text: str) -> bool:
    """Return whether it looks like a reference, however it was typed."""
    return _CODE.fullmatch(as_typed(text)) is not None


async def find_reference(redis: RedisClient, code: str) -> Reference | None:
    """Find the reference of ``code``, however it was typed.  Raises ``StoreUnavailable``."""
    code = as_typed(code)
    if not is_reference(code):
        return None
    async with redis_call("find a reference"):
        kept = await read_text(redis, _key(code))
    try:
        return shaped(Reference, json.loads(kept))
    except (TypeError, ValueError, RecursionError):
        return None


def _write(found: Reference, code: str, *, is_kept: bool) -> None:
    """Write one line to the log: a failure of ours or of a provider's is a warning."""
    _log.log(
        logging.INFO if 400 <= found.status < 500 else logging.WARNING,
        "reference",
        reference=code,
        kind=found.kind,
        status=found.status,
        route=found.route,
        method=found.method,
        provider=found.provider,
        error_code=found.error,
        trace=found.trace,
        kept=is_kept,
    )


def _key(code: str) -> str:
    return f"stargazer:web_reference:{code}"


def _index(user: str) -> str:
    return f"stargazer:web_references:{encoded(user)}"
