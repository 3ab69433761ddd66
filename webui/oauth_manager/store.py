"""The records of connections in Redis.

Every script touches one key (Cluster), every command is portable (Redis 7,
Valkey 8), and every call is bounded: a Redis that does not answer becomes a
``StoreUnavailable``, never a wrong "not connected".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from redis.exceptions import RedisError, ResponseError

from . import keys
from .errors import RecordUnreadable, StoreUnavailable
from .models import Account, Profile, TokenData
from .sealing import Sealer

DEADLINE = 2.0  # seconds, for one round trip

# Set the value unless it was replaced or removed since it was read.  Repeating
# a call whose answer was lost is harmless.  1 written, 0 removed, -1 replaced.
_REPLACE = """
local now = redis.call('GET', KEYS[1])
if now == ARGV[1] or now == ARGV[2] then
  redis.call('SET', KEYS[1], ARGV[2])
  return 1
end
return now and -1 or 0
"""
# Set the value unless it was there when the flow began and has been removed since.
_SET_UNLESS_REMOVED = """
if ARGV[1] == '1' and redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""
_DELETE_IF_SAME = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


@asynccontextmanager
async def redis_call(step: str) -> AsyncIterator[None]:
    """Bound a Redis call and name its failure; no cause is chained, it may quote a value."""
    failure = ""
    try:
        async with asyncio.timeout(DEADLINE):
            yield
    except TimeoutError:
        failure = "timeout"
    except (RedisError, OSError) as error:
        failure = type(error).__name__
    if failure:
        raise StoreUnavailable(step, failure) from None


def as_text(value: Any) -> str:
    """A Redis answer as text, whichever way the client decodes; ``""`` for nothing."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Stored:
    """Both records of one connection as they were read; ``""`` where there is none."""

    tokens: str = ""
    profile: str = ""


class Store:
    """Reads and writes the records of connections; every method is one round trip."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    # Records

    def open_tokens(self, user_id: str, provider: str, sealed: str) -> TokenData | None:
        """The tokens, ``None`` where there are none.  Raises ``RecordUnreadable``."""
        if not sealed:
            return None
        record = self._sealer.open("tokens", user_id, provider, sealed)
        try:
            token = TokenData.from_dict(record)
        except (ValueError, TypeError):
            raise RecordUnreadable("a field has no sensible reading") from None
        return token if token.access_token else None

    def open_profile(self, user_id: str, provider: str, sealed: str) -> Profile:
        """What is known beside the tokens; empty where it is absent or cannot be read."""
        try:
            record = self._sealer.open("connection", user_id, provider, sealed)
            account = Account(**record["account"])
            known = {k: record[k] for k in Profile.__slots__ if k != "account"}
            scopes = tuple(known.pop("requested_scopes"))
            return Profile(account=account, requested_scopes=scopes, **known)
        except (RecordUnreadable, KeyError, TypeError):
            return Profile()

    def _sealed_tokens(self, user_id: str, token: TokenData) -> str:
        record = {**token.to_dict(), "issued_at": token.issued_at}
        return self._sealer.seal("tokens", user_id, token.provider, record)

    def _sealed_profile(self, user_id: str, provider: str, profile: Profile) -> str:
        return self._sealer.seal("connection", user_id, provider, asdict(profile))

    # Reading

    async def read_tokens(self, redis: Any, user_id: str, provider: str) -> str:
        """The sealed tokens, ``""`` where there are none.

        Raises ``RecordUnreadable`` where the key holds something else than text.
        """
        async with redis_call("read tokens"):
            return await _read(redis, keys.tokens(user_id, provider))

    async def read(self, redis: Any, user_id: str, providers: Iterable[str]) -> dict[str, Stored]:
        """Both records for each provider.  A mistyped key reads as a record nobody can open."""
        names = list(providers)
        async with redis_call("read connections"):
            pipe = redis.pipeline(transaction=False)
            for name in names:
                _raw(pipe, "GET", keys.tokens(user_id, name))
                _raw(pipe, "GET", keys.connection(user_id, name))
            answers = [_value(a) for a in await pipe.execute(raise_on_error=False)]
        return {n: Stored(answers[2 * i], answers[2 * i + 1]) for i, n in enumerate(names)}

    # Writing

    async def put_tokens(self, redis: Any, user_id: str, token: TokenData) -> None:
        """Store tokens whatever was there before."""
        async with redis_call("store tokens"):
            await redis.set(
                keys.tokens(user_id, token.provider), self._sealed_tokens(user_id, token)
            )

    async def connect(
        self,
        redis: Any,
        user_id: str,
        token: TokenData,
        profile: Profile,
        before: Stored,
        also: Callable[[Any], object],
    ) -> tuple[bool, Any]:
        """Store a fresh connection; ``False`` where a disconnect came in between.

        ``also`` queues one more command on the same trip; its answer comes second.
        """
        name = token.provider
        fresh = Stored(
            self._sealed_tokens(user_id, token), self._sealed_profile(user_id, name, profile)
        )
        async with redis_call("store connection"):
            pipe = redis.pipeline(transaction=False)
            for key, was, now in (
                (keys.tokens(user_id, name), before.tokens, fresh.tokens),
                (keys.connection(user_id, name), before.profile, fresh.profile),
            ):
                pipe.eval(_SET_UNLESS_REMOVED, 1, key, "1" if was else "0", now)
            also(pipe)
            tokens_written, profile_written, answer = await pipe.execute()
            kept = bool(tokens_written and profile_written)
            if not kept:
                await self._take_back(redis, user_id, name, fresh)
        return kept, answer

    async def _take_back(self, redis: Any, user_id: str, provider: str, fresh: Stored) -> None:
        pipe = redis.pipeline(transaction=False)
        pipe.eval(_DELETE_IF_SAME, 1, keys.tokens(user_id, provider), fresh.tokens)
        pipe.eval(_DELETE_IF_SAME, 1, keys.connection(user_id, provider), fresh.profile)
        await pipe.execute()

    async def renew(
        self, redis: Any, user_id: str, token: TokenData, profile: Profile, before: Stored
    ) -> int:
        """Replace refreshed tokens: 1 done, 0 disconnected meanwhile, -1 reconnected meanwhile."""
        sealed = self._sealed_tokens(user_id, token)
        async with redis_call("store refreshed tokens"):
            pipe = redis.pipeline(transaction=False)
            pipe.eval(_REPLACE, 1, keys.tokens(user_id, token.provider), before.tokens, sealed)
            if before.profile:
                sealed_profile = self._sealed_profile(user_id, token.provider, profile)
                pipe.eval(
                    _REPLACE,
                    1,
                    keys.connection(user_id, token.provider),
                    before.profile,
                    sealed_profile,
                )
            return int((await pipe.execute())[0])

    async def update_profile(
        self, redis: Any, user_id: str, provider: str, profile: Profile, before: Stored
    ) -> None:
        """Write what is known beside the tokens, unless it was removed or changed meanwhile."""
        if before.profile:
            sealed = self._sealed_profile(user_id, provider, profile)
            key = keys.connection(user_id, provider)
            async with redis_call("store a connection's facts"):
                await redis.eval(_REPLACE, 1, key, before.profile, sealed)

    async def end(
        self, redis: Any, user_id: str, provider: str, profile: Profile, before: Stored
    ) -> bool:
        """Drop tokens that are over and keep why; ``False`` where they changed meanwhile."""
        sealed = self._sealed_profile(user_id, provider, profile)
        tokens, beside = keys.tokens(user_id, provider), keys.connection(user_id, provider)
        async with redis_call("record the end of a grant"):
            if before.profile:
                pipe = redis.pipeline(transaction=False)
                # The reason first: a crash in between must not leave silence.
                pipe.eval(_REPLACE, 1, beside, before.profile, sealed)
                pipe.eval(_DELETE_IF_SAME, 1, tokens, before.tokens)
                return bool((await pipe.execute())[1])
            deleted = await redis.eval(_DELETE_IF_SAME, 1, tokens, before.tokens)
            if deleted:
                await redis.set(beside, sealed, nx=True)
        return bool(deleted)

    async def remove(self, redis: Any, user_id: str, provider: str) -> Stored:
        """Take both records away, atomically each, and return what they were."""
        both = (keys.tokens(user_id, provider), keys.connection(user_id, provider))
        async with redis_call("disconnect"):
            pipe = redis.pipeline(transaction=False)
            for key in both:
                _raw(pipe, "GETDEL", key)
            answers = await pipe.execute(raise_on_error=False)
            mistyped = [k for k, a in zip(both, answers, strict=True) if _is_mistyped(a)]
            for key in mistyped:
                await redis.delete(key)
            return Stored(*(_value(answer) for answer in answers))

    # Rotation of the encryption key

    async def reseal(self, redis: Any) -> tuple[int, int]:
        """Seal every record with the newest key: how many were, how many could not be read.

        Safe to interrupt and to repeat; a record that changes meanwhile is left
        to whoever changed it.  Walks all keys: for an operator, never for a request.
        """
        done = unreadable = 0
        try:
            for kind, pattern in keys.RECORD_PATTERNS.items():
                async for key in redis.scan_iter(match=pattern, count=500):
                    outcome = await self._reseal_one(redis, kind, as_text(key))
                    done += outcome == "done"
                    unreadable += outcome == "unreadable"
        except RedisError as error:
            raise StoreUnavailable("walk all records", type(error).__name__) from None
        return done, unreadable

    async def _reseal_one(self, redis: Any, kind: str, key: str) -> str:
        owner = keys.parse_record(key)
        if owner is None:
            return "foreign"
        async with redis_call("seal a record anew"):
            before = await _read(redis, key)
            try:
                record = self._sealer.open(kind, *owner, before)
            except RecordUnreadable:
                return "unreadable" if before else "gone"
            after = self._sealer.seal(kind, *owner, record)
            written = await redis.eval(_REPLACE, 1, key, before, after)
        return "done" if int(written) == 1 else "changed"


_FOREIGN = "\0"  # stands for a value that is not text; no sealed record looks like it


def _raw(client: Any, command: str, key: str) -> Any:
    """Ask for bytes, even of a client that decodes: what cannot be decoded must not break it."""
    return client.execute_command(command, key, NEVER_DECODE=True)


async def _read(redis: Any, key: str) -> str:
    try:
        return _value(await _raw(redis, "GET", key))
    except ResponseError as error:
        return _value(error)


def _is_mistyped(answer: Any) -> bool:
    return isinstance(answer, ResponseError) and "WRONGTYPE" in str(answer)


def _value(answer: Any) -> str:
    if _is_mistyped(answer):
        return _FOREIGN
    if isinstance(answer, Exception):
        raise answer
    return as_text(answer)
