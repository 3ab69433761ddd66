"""Digest of what site and bot must have alike, and each side's look at the other's.

Every running site and bot keeps its digest in Redis for as long as it runs, and a little
longer if it is killed.  A difference is a warning in the log of both.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from contextlib import suppress
from typing import Any, Literal

from webui.oauth_manager import PROVIDER_TEMPLATES, StoreUnavailable
from webui.oauth_manager.providers import build_providers
from webui.oauth_manager.storage import DIGESTS, Clock
from webui.oauth_manager.storage.calls import (
    RedisClient,
    as_text,
    queued,
    redis_call,
    unless_mistyped,
)
from webui.settings.settings import Settings

Side = Literal["site", "bot"]

EVERY = 60.0  # seconds from one look to the next
_FRESH = 150.0  # seconds that a digest counts after its process was last there
_MOST = 50  # digests to look at
_MEMBER = re.compile("(site|bot):([0-9a-f]{12})")
_AGREED = (
    "account_url",
    "authorize_url",
    "client_id",
    "client_key",
    "client_secret",
    "issuer",
    "resource",
    "revoke_url",
    "scopes",
    "token_url",
)

log = logging.getLogger(__name__)


def agreement(settings: Settings) -> str:
    """Return a digest of what site and bot must have alike: address, keys and providers.

    It tells nothing of them: the keys are in it, and nobody can guess those.  What a running
    manager has found of a provider since is not in it.
    """
    built = build_providers(PROVIDER_TEMPLATES, settings.providers_config)
    providers = {
        name: {field: getattr(built[name], field) for field in _AGREED}
        for name in settings.providers_config
    }
    known = [settings.base_url, settings.encryption_keys, settings.strict_records, providers]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:12]


async def differing(redis: RedisClient, now: float, digest: str) -> list[str]:
    """Return the digests of bots that run now, but for this one.  Raises ``StoreUnavailable``."""
    async with redis_call("compare settings"):
        (found,) = await queued(redis, [("ZRANGEBYSCORE", DIGESTS, now - _FRESH, "+inf")])
    return _other(found, "site", digest)


async def compare(redis: RedisClient, now: float, side: Side, digest: str) -> list[str]:
    """Keep the digest of this side, and return the other side's that differ.  One round trip.

    Raises ``StoreUnavailable``.
    """
    async with redis_call("compare settings"):
        answers = await queued(
            redis,
            [
                ("ZADD", DIGESTS, now, f"{side}:{digest}"),
                ("ZREMRANGEBYSCORE", DIGESTS, "-inf", now - _FRESH),
                ("EXPIRE", DIGESTS, int(_FRESH)),
                ("ZRANGE", DIGESTS, 0, _MOST),
            ],
        )
    return _other(answers[-1], side, digest)


def _other(answer: Any, side: Side, digest: str) -> list[str]:
    """Return the digests of the other side in an answer of Redis, but for this one."""
    found = [_MEMBER.fullmatch(as_text(member)) for member in unless_mistyped(answer, [])[:_MOST]]
    return [m[2] for m in found if m and m[1] != side and m[2] != digest]


async def compare_for_ever(redis: RedisClient, clock: Clock, side: Side, digest: str) -> None:
    """Do so every minute until cancelled, and log each difference once."""
    told: set[str] = set()
    try:
        while True:
            with suppress(StoreUnavailable):  # told of elsewhere
                differ = set(await compare(redis, clock.now(), side, digest))
                for other in sorted(differ - told):
                    _warn(side, digest, other)
                told = differ
            await asyncio.sleep(EVERY)
    finally:
        with suppress(StoreUnavailable):
            async with redis_call("compare settings"):
                await redis.zrem(DIGESTS, f"{side}:{digest}")


def _warn(side: Side, digest: str, other: str) -> None:
    log.warning(
        "settings differ between site and bot: %s here, the %s, and %s there; compare BASE_URL, "
        "ENCRYPTION_KEY, STRICT_RECORDS and those of the providers",
        digest,
        side,
        other,
    )
