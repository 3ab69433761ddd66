"""Marks of erasures: an authorization that began before one may not be stored after it.

A mark is under a keyed digest of the person, so that it names nobody.  It says whether the
erasure has come to its end, and is forgotten a minute after that.

An erasure marks first and removes second; a writer writes first and looks at the mark second.
So one of both sees the other, whatever the order of their steps.

An erasure that nobody waits for is on a list too, sealed, so that another process goes on with
it if this one ends.  It stays there until the walk over all keys is done, which comes last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..errors import RecordUnreadable
from ..shapes import seconds
from . import keys, scripts
from .calls import (
    Commands,
    RedisClient,
    answer_of,
    as_text,
    raw,
    redis_call,
    unless_mistyped,
)
from .keys import UserId
from .scripts import OURS
from .storage import Storage

KEPT_SECONDS = 60  # once it is done; no authorization is under way for longer
PENDING_SECONDS = 7 * 86400  # for one that was interrupted, and not gone on with
_STALE_SECONDS = 60  # after which nobody is at it any more

# The value: "pending:TIME" or "done:TIME" (ms, Redis's clock).  ARGV: seconds.
# Answers whether one that was not done was there.
_BEGIN = f"""{OURS}
local before = ours('GET', KEYS[1]) or ''
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('SET', KEYS[1], 'pending:' .. now, 'EX', ARGV[1])
return string.sub(before, 1, 8) == 'pending:' and 1 or 0
"""
_FINISH = f"""{OURS}
local at = string.match(ours('GET', KEYS[1]) or '', '^%a+:(%d+)$')
if at then redis.call('SET', KEYS[1], 'done:' .. at, 'EX', ARGV[1]) end
return at and 1 or 0
"""
# Write an entry of the list.  ARGV: its field, its value, seconds.
_ENLIST = f"""{OURS}
ours('HSET', KEYS[1], ARGV[1], ARGV[2])
return redis.call('EXPIRE', KEYS[1], ARGV[3])
"""
# Write one that has another name by now, unless it has begun anew since.  ARGV: like that.
_COPY = "return redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])"
# The same as the former, if the entry is there, without the seconds.
_ADVANCE = f"""{OURS}
if ours('HEXISTS', KEYS[1], ARGV[1]) == 1 then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An erasure on the list; ``is_walk_left`` if all but the walk over all keys is done."""

    user_id: UserId
    is_walk_left: bool
    at: float  # epoch seconds
    name: str  # of its entry
    sealed: str = field(repr=False)

    def is_stale(self, now: float) -> bool:
        """Return whether nobody is at it, so that another process may go on with it."""
        return self.is_walk_left or not 0 <= now - self.at < _STALE_SECONDS


def _marks(storage: Storage, user_id: UserId) -> list[str]:
    return [keys.erased(digest) for digest in storage.sealer.digests("erased", user_id)]


async def begin(storage: Storage, redis: RedisClient, user_id: UserId) -> bool:
    """Mark the beginning; return whether an earlier erasure never came to its end."""
    async with redis_call("begin an erasure"):
        pipe = redis.pipeline(transaction=False)
        for key in _marks(storage, user_id):
            pipe.eval(_BEGIN, 1, key, PENDING_SECONDS)
        return any(map(int, await pipe.execute()))


async def finish(storage: Storage, redis: RedisClient, user_id: UserId) -> None:
    """Mark the end: everything of the person is removed."""
    async with redis_call("end an erasure"):
        pipe = redis.pipeline(transaction=False)
        for key in _marks(storage, user_id):
            pipe.eval(_FINISH, 1, key, KEPT_SECONDS)
        left = _entry(storage, user_id, is_walk_left=True)
        for name in storage.sealer.digests("erased", user_id):
            pipe.eval(_ADVANCE, 1, keys.ERASING, name, left)
        await pipe.execute()


async def enlist(storage: Storage, redis: RedisClient, user_id: UserId) -> None:
    """Put an erasure on the list that begins now."""
    async with redis_call("enlist an erasure"):
        name = storage.sealer.digests("erased", user_id)[0]
        entry = _entry(storage, user_id, is_walk_left=False)
        await redis.eval(_ENLIST, 1, keys.ERASING, name, entry, PENDING_SECONDS)


async def unfinished(storage: Storage, redis: RedisClient) -> list[Unfinished]:
    """Read the list; what cannot be opened here is left to whoever can."""
    async with redis_call("read unfinished erasures"):
        held = unless_mistyped(await answer_of(raw(redis, "HGETALL", keys.ERASING)), {})
    found = (_opened(storage, as_text(name), as_text(value)) for name, value in held.items())
    return [one for one in found if one]


async def forget(redis: RedisClient, one: Unfinished) -> None:
    """Take one off the list, unless it has begun anew since."""
    async with redis_call("forget an erasure"):
        await redis.eval(scripts.HDEL_IF_SAME, 1, keys.ERASING, one.name, one.sealed)


async def reseal(storage: Storage, redis: RedisClient) -> None:
    """Put the newest key's entries in the place of those by an older one."""
    for one in await unfinished(storage, redis):
        name = storage.sealer.digests("erased", one.user_id)[0]
        if name == one.name:
            continue
        entry = _entry(storage, one.user_id, is_walk_left=one.is_walk_left, at=one.at)
        async with redis_call("seal an unfinished erasure anew"):
            await redis.eval(_COPY, 1, keys.ERASING, name, entry)
        await forget(redis, one)


def _entry(
    storage: Storage, user_id: UserId, *, is_walk_left: bool, at: float | None = None
) -> str:
    moment = storage.clock.now() if at is None else at
    payload = {"is_walk_left": is_walk_left, "at": moment}
    return storage.sealer.seal("erasing", user_id, "", payload)


def _opened(storage: Storage, name: str, sealed: str) -> Unfinished | None:
    try:
        record = storage.sealer.open("erasing", None, None, sealed)
        left, at = bool(record.get("is_walk_left")), seconds(record.get("at"))
        return Unfinished(UserId(record["user_id"]), left, at, name, sealed)
    except (RecordUnreadable, TypeError, ValueError):
        return None


def queue(storage: Storage, pipe: Commands, user_id: UserId) -> Any:
    """Ask for the mark by the newest key; its answer is for :func:`is_since`."""
    return raw(pipe, "GET", _marks(storage, user_id)[0])


async def came(storage: Storage, redis: RedisClient, user_id: UserId, begun: float) -> bool:
    """Return whether the person was erased since ``begun``, like :func:`is_since`."""
    async with redis_call("look for an erasure"):
        return is_since(await queue(storage, redis, user_id), begun)


def is_since(answer: Any, begun: float) -> bool:
    """Return whether the person was erased since ``begun`` (ms, Redis's clock)."""
    at = as_text(unless_mistyped(answer, "")).rpartition(":")[2]
    return at.isdecimal() and int(at) >= begun
