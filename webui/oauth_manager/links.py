"""One-time values: link codes issued in chat, and the states of authorizations under way.

Both are consumed with one atomic command.  Neither proves who holds it: a link
code says for whom a connection was asked, a state is worth something only in
the browser it was bound to.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from . import keys
from .errors import RecordUnreadable
from .requests import new_secret
from .sealing import Sealer
from .store import as_text, redis_call


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """For whom a link was made, and for what; ``provider`` ``""`` only signs in."""

    user_id: str
    provider: str = ""
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One authorization under way: everything its callback is compared with.

    ``browser`` is the binding of the session that started it; it is ``""`` for
    an attempt started in chat, which has ``link_code`` instead.
    """

    user_id: str
    provider: str
    verifier: str = field(repr=False)
    scopes: tuple[str, ...] = ()
    browser: str = field(default="", repr=False)
    link_code: str = field(default="", repr=False)
    return_to: str = "list"


class Links:
    """Issues and consumes link codes and states; every method is one round trip."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def create(self, redis: Any, request: LinkRequest) -> str:
        """A fresh link code."""
        code = new_secret()
        async with redis_call("store a link"):
            await redis.set(keys.link(code), _link_value(request), ex=keys.LINK_CODE_TTL)
        return code

    async def peek(self, redis: Any, code: str) -> tuple[LinkRequest, float] | None:
        """What a link is for and when it runs out (epoch seconds), leaving it as it is."""
        if not keys.is_one_time_value(code):
            return None
        async with redis_call("read a link"):
            pipe = redis.pipeline(transaction=False)
            value, ttl = await pipe.get(keys.link(code)).ttl(keys.link(code)).execute()
        request = _link_request(value)
        return (request, time.time() + ttl) if request else None

    async def take(self, redis: Any, code: str) -> LinkRequest | None:
        """Consume a link."""
        if not keys.is_one_time_value(code):
            return None
        async with redis_call("use a link"):
            return _link_request(await redis.getdel(keys.link(code)))

    async def begin(self, redis: Any, attempt: Attempt) -> str:
        """Store an attempt under a fresh state; its link code, if any, goes in the same trip."""
        state = new_secret()
        details = asdict(attempt)
        sealed = self._sealer.seal("state", attempt.user_id, attempt.provider, details)
        record = {"link_code": attempt.link_code, "provider": attempt.provider, "sealed": sealed}
        async with redis_call("begin an authorization"):
            pipe = redis.pipeline(transaction=False)
            if attempt.link_code:
                value = _link_value(LinkRequest(attempt.user_id, attempt.provider, attempt.scopes))
                pipe.set(keys.link(attempt.link_code), value, ex=keys.LINK_CODE_TTL)
            pipe.set(keys.state(state), json.dumps(record), ex=keys.LINK_CODE_TTL)
            await pipe.execute()
        return state

    async def take_attempt(self, redis: Any, state: str) -> Attempt | None:
        """Consume a state; ``None`` for whatever is not one of ours, or was used, or ran out."""
        if not keys.is_one_time_value(state):
            return None
        async with redis_call("finish an authorization"):
            value = as_text(await redis.getdel(keys.state(state)))
        try:
            record = self._sealer.open("state", None, None, json.loads(value)["sealed"])
            known = {name: record[name] for name in Attempt.__slots__}
        except (ValueError, TypeError, KeyError, RecordUnreadable):
            return None
        return Attempt(**{**known, "scopes": tuple(known["scopes"])})


def _link_value(request: LinkRequest) -> str:
    """The user id alone, as specified; what else is asked stands on a second line.

    A user id holds no control character, so no id can pretend to a second line.
    """
    if not request.provider:
        return request.user_id
    rest = {"provider": request.provider, "scopes": list(request.scopes)}
    return f"{request.user_id}\n{json.dumps(rest)}"


def _link_request(value: Any) -> LinkRequest | None:
    user_id, _, rest = as_text(value).partition("\n")
    if not user_id:
        return None
    try:
        asked = json.loads(rest) if rest else {}
        return LinkRequest(user_id, asked.get("provider", ""), _strings(asked.get("scopes", ())))
    except (ValueError, AttributeError):
        return None


def _strings(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(str(value) for value in values)
