"""Marks of erasures: an authorization that began before one may not be stored after it.

A mark is under a keyed digest of the person, so that it names nobody.  It says whether the
erasure has come to its end, and is forgotten a minute after that.

An erasure marks first and removes second; a writer writes first and looks at the mark second.
So one of both sees the other, whatever the order of their steps.
"""

from __future__ import annotations

from typing import Any

from . import keys
from .calls import Commands, RedisClient, as_text, raw, redis_call, unless_mistyped
from .keys import UserId
from .scripts import OURS
from .storage import Storage

KEPT_SECONDS = 60  # once it is done; no authorization is under way for longer
PENDING_SECONDS = 7 * 86400  # for one that was interrupted, and not gone on with

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
        await pipe.execute()


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
