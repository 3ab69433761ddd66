"""One-time values: link codes issued in chat, and the states of authorizations under way.

Both are consumed with one atomic command.  Neither proves who holds it: a link code
says for whom a connection was requested, a state is valid only in the browser it was
bound to.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import RecordUnreadable
from ..protocol.requests import is_one_time_value, new_secret
from ..shapes import shaped
from ..storage import canary, keys
from ..storage.calls import (
    Pipeline,
    RedisClient,
    as_text,
    raw,
    read_field,
    redis_call,
    run,
    take_text,
    text_of,
)
from ..storage.link_index import (
    CLAIM,
    LinkRequest,
    end_others,
    put_link,
    queue_end,
    read_link,
    state_of,
)
from ..storage.scripts import OURS
from ..storage.storage import Storage

Also = Callable[[Any], object]  # queues more commands on a pipeline
_MOST_GIVEN = 1000  # links that a process remembers

# ARGV: digest of the asking browser's binding.  An attempt that belongs to another
# browser is returned and left alone: a client that fetches its callback without the
# cookie (a preview, a scanner) must not end it.
_TAKE_STATE = f"""{OURS}
local value = ours('GET', KEYS[1])
if not value then return '' end
local known, record = pcall(cjson.decode, value)
if not (known and type(record) == 'table' and record.browser and record.browser ~= ''
        and record.browser ~= ARGV[1]) then
  redis.call('DEL', KEYS[1])
end
return value
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One authorization under way: everything its callback is compared with.

    ``browser`` is the binding of the session that started it; it is ``""`` for
    an attempt started in chat, which has ``link_code`` instead.  ``begun_at`` is
    in epoch seconds.
    """

    user_id: str
    provider: str
    verifier: str = field(repr=False)
    scopes: tuple[str, ...] = ()
    browser: str = field(default="", repr=False)
    link_code: str = field(default="", repr=False)
    return_to: str = "list"
    begun_at: float = 0.0
    # The server that it left for, and our name there, if those had to be found
    # (:attr:`OAuthProvider.identity`).
    server: str = ""
    asked: tuple[str, ...] = ()  # the person's values: "name=value"
    # Facts of the callback that are kept, once it has come back.
    returned: tuple[str, ...] = ()
    # The name or handle of the account that was asked for, ``""`` if none was.
    account: str = ""
    is_adding: bool = False  # another account, beside those that are connected
    place: str = ""  # ``provider~slot`` of the account it began at, if that is one of several

    def record(self) -> dict[str, Any]:
        """Return what :meth:`from_dict` reads."""
        record = asdict(self)
        return {k: v for k, v in record.items() if v or k not in ("account", "is_adding", "place")}

    @property
    def card(self) -> str:
        """Return the place of the card that it began at, and that is told of it."""
        return self.place or self.provider

    @property
    def is_bound(self) -> bool:
        """Return whether it began in a browser, without which its state is worth nothing."""
        return bool(self.browser)

    @classmethod
    def from_dict(cls, record: object) -> Attempt:
        """Inverse of ``asdict``; ignores other fields.  Raises ``TypeError``, ``ValueError``."""
        attempt = shaped(cls, record)
        keys.check_user_id(attempt.user_id)
        return attempt


class Links:
    """Issuer and consumer of link codes and states."""

    def __init__(self, storage: Storage) -> None:
        self._sealer = storage.sealer
        self._clock = storage.clock
        # The last link of this process by person and service: replaced on the same trip.
        self._given: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def create(
        self, redis: RedisClient, request: LinkRequest, also: Also = lambda _: None
    ) -> str:
        """Issue a link code; it replaces the person's open link for the same service.

        One round trip, and one more if another process issued the replaced one, or if
        the oldest link has to give way; ``also`` queues more commands on the first.
        """
        code = new_secret()
        async with redis_call("store a link"):
            pipe = redis.pipeline(transaction=False)
            at, ended = self._queue(pipe, code, request)
            also(pipe)
            answers = await canary.execute(pipe, self._sealer, request.provider, "make a link")
            await end_others(redis, answers[at], ended)
        return code

    def _queue(self, pipe: Pipeline, code: str, request: LinkRequest) -> tuple[int, str]:
        """Queue a link; return its answer's position, and the code that it ends already.

        The answer is for :func:`_end_others`.
        """
        place = request.user_id, request.provider
        ended = self._given.pop(place, "")
        self._given[place] = code
        if len(self._given) > _MOST_GIVEN:
            self._given.popitem(last=False)
        if ended:
            queue_end(pipe, ended)
        at = len(pipe) + 1
        put_link(pipe, code, request)
        return at, ended

    async def peek(self, redis: RedisClient, code: str) -> tuple[LinkRequest, float] | None:
        """Return a link's request and when it expires (epoch seconds); it stays as it is."""
        if not keys.is_link_code(code):
            return None
        async with redis_call("read a link"):
            pipe = redis.pipeline(transaction=False)
            raw(pipe, "GET", keys.link(code))
            pipe.ttl(keys.link(code))
            value, ttl = await pipe.execute(raise_on_error=False)
            request = read_link(text_of(value))
            if request is None:
                return None
            entry = await read_field(redis, keys.links(request.user_id), request.provider)
        is_listed = bool(entry) or bool(request.provider)
        is_open = entry.startswith(f"{code}:") or not is_listed
        return (request, self._clock.now() + ttl) if is_open else None

    async def find(
        self, redis: RedisClient, user_id: str, provider: str
    ) -> tuple[str, LinkRequest, float] | None:
        """Find the person's open link for a service: its code, and what :meth:`peek` returns."""
        async with redis_call("read the open links"):
            entry = await read_field(redis, keys.links(user_id), provider)
        code = entry.partition(":")[0]
        found = await self.peek(redis, code)
        return (code, *found) if found else None

    async def take(self, redis: RedisClient, code: str) -> LinkRequest | None:
        """Consume a link; ``None`` if it is unknown, used, expired or replaced."""
        if not keys.is_link_code(code):
            return None
        async with redis_call("use a link"):
            request = read_link(await take_text(redis, keys.link(code)))
            if request is None:
                return None
            index = keys.links(request.user_id)
            claimed = await redis.eval(CLAIM, 1, index, request.provider, code)
        return request if int(claimed) else None

    async def begin(self, redis: RedisClient, attempt: Attempt, also: Also = lambda _: None) -> str:
        """Store an attempt under a fresh state; its link and what ``also`` queues go along."""
        state = state_of(attempt.link_code) if attempt.link_code else new_secret()
        record = {
            "link_code": attempt.link_code,
            "provider": attempt.provider,
            "browser": _digest(attempt.browser),
            "sealed": self._sealer.seal(
                "state", attempt.user_id, attempt.provider, attempt.record()
            ),
        }
        async with redis_call("begin an authorization"):
            pipe = redis.pipeline(transaction=False)
            pipe.set(keys.state(state), json.dumps(record), ex=keys.LINK_CODE_TTL)
            at, ended = 0, ""
            if attempt.link_code:
                request = LinkRequest(attempt.user_id, attempt.provider, attempt.scopes)
                at, ended = self._queue(pipe, attempt.link_code, request)
            also(pipe)
            step = "begin an authorization"
            answers = await canary.execute(pipe, self._sealer, attempt.provider, step)
            if attempt.link_code:
                await end_others(redis, answers[at], ended)
        return state

    async def take_attempt(
        self, redis: RedisClient, state: str, browser: str = ""
    ) -> Attempt | None:
        """Consume a state; ``None`` if it is not one of ours, was used, or has expired.

        ``browser`` is the binding of the asking session.  An attempt bound to
        another one is returned, for the caller to refuse, and not consumed.
        """
        if not is_one_time_value(state):
            return None
        async with redis_call("finish an authorization"):
            answer = await run(redis, _TAKE_STATE, keys.state(state), _digest(browser))
        try:
            sealed = json.loads(as_text(answer))["sealed"]
            return Attempt.from_dict(self._sealer.open("state", None, None, sealed))
        except (ValueError, TypeError, KeyError, RecursionError, RecordUnreadable):
            return None

    async def spend(self, redis: RedisClient, attempt: Attempt) -> bool:
        """Consume the link an attempt began with; return whether it still was the open one."""
        async with redis_call("use a link"):
            pipe = redis.pipeline(transaction=False)
            raw(pipe, "GETDEL", keys.link(attempt.link_code))
            index = keys.links(attempt.user_id)
            pipe.eval(CLAIM, 1, index, attempt.provider, attempt.link_code)
            value, claimed = await pipe.execute(raise_on_error=False)
            request = read_link(text_of(value))
            if isinstance(claimed, Exception):
                raise claimed
        return bool(int(claimed)) and request is not None and request.user_id == attempt.user_id


def _digest(binding: str) -> str:
    return hashlib.sha256(binding.encode()).hexdigest() if binding else ""
