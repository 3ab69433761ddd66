"""Notices that wait for their time, in one sorted set: sent then, unless dropped before.

A link expires in Redis without a word.  So making one schedules the notice that nothing
came of it, and any outcome of the link drops that notice again.  The readers of notices
poll for due ones: no scheduler, and any number of readers.
"""

from __future__ import annotations

from typing import Any

from ..storage import keys
from ..storage.calls import Commands, Pipeline, RedisClient, as_text, redis_call, run
from ..storage.scripts import OURS
from ..values import Struct

MAX_LENGTH = 100_000  # how many wait at most; the last due are dropped first
KEPT_SECONDS = 90 * 86400  # without a reader; or twice as long as the last has to wait
_TAKEN_SECONDS = 60  # after which a notice that its taker did not settle is taken again
_AT_ONCE = 10

# ARGV: the notice, seconds from now, how many may wait, the set's lifetime.
_PUT = f"""{OURS}
local now = tonumber(redis.call('TIME')[1])
ours('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], ARGV[3], -1)
local kept = math.max(ARGV[4], 2 * ARGV[2])
if redis.call('TTL', KEYS[1]) < kept then redis.call('EXPIRE', KEYS[1], kept) end
return 1
"""
# ARGV: the notice, seconds from now.  Only if it waits already.
_DELAY = f"""{OURS}
local now = tonumber(redis.call('TIME')[1])
return ours('ZADD', KEYS[1], 'XX', 'CH', now + ARGV[2], ARGV[1])
"""
# ARGV: how many, seconds that they are the caller's.  Answers each with when it was due, and when
# it is due again.
_TAKE = f"""{OURS}
local now = tonumber(redis.call('TIME')[1])
local due = ours('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES', 'LIMIT', 0, ARGV[1])
for i = 1, #due, 2 do redis.call('ZADD', KEYS[1], now + ARGV[2], due[i]) end
due[#due + 1] = tostring(now + ARGV[2])
return due
"""
# ARGV: the notices.
_DROP = f"{OURS} return ours('ZREM', KEYS[1], unpack(ARGV))"
# ARGV: the notice.
_WAITS = f"{OURS} return ours('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0"
# ARGV: the notice, when it was to be due again.  One that was scheduled again meanwhile
# stays.
_SETTLE = f"""{OURS}
if tonumber(ours('ZSCORE', KEYS[1], ARGV[1]) or -1) ~= tonumber(ARGV[2]) then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])
"""


class DueNotice(Struct, frozen=True):
    """A notice whose time has come: its taker sends it, and then settles it.

    ``at`` and ``again_at``, when it is taken by another one, are in epoch seconds of
    Redis's clock.
    """

    member: str
    at: float
    again_at: str

    @property
    def parts(self) -> tuple[str, str, str]:
        """Return kind, provider and user id."""
        return parts_of(self.member)


def parts_of(member: str) -> tuple[str, str, str]:
    """Return kind, provider and user id of a member of the set."""
    kind, _, rest = member.partition(":")
    provider, _, user_id = rest.partition(":")
    return kind, provider, user_id


def put(pipe: Commands, kind: str, user_id: str, provider: str, seconds: float) -> Any:
    """Queue a notice that is due in so many seconds; it replaces an equal one.

    ``pipe`` is a pipeline, or a client: then await what is returned.
    """
    member = _member(kind, user_id, provider)
    return pipe.eval(_PUT, 1, keys.DUE, member, round(seconds), MAX_LENGTH, KEPT_SECONDS)


def delay(pipe: Pipeline, kind: str, user_id: str, provider: str, seconds: float) -> Any:
    """Queue a later time for a notice that waits; one that does not wait is not added."""
    return pipe.eval(_DELAY, 1, keys.DUE, _member(kind, user_id, provider), round(seconds))


def drop(pipe: Pipeline, user_id: str, *notices: tuple[str, str]) -> Any:
    """Queue the removal of notices, by kind and provider, that no longer apply."""
    members = (_member(kind, user_id, provider) for kind, provider in notices)
    return pipe.eval(_DROP, 1, keys.DUE, *members)


async def waits(redis: RedisClient, kind: str, user_id: str, provider: str) -> bool:
    """Return whether the notice still waits.  Raises ``StoreUnavailable``."""
    async with redis_call("look what is due"):
        member = _member(kind, user_id, provider)
        return bool(await redis.eval(_WAITS, 1, keys.DUE, member))


async def take(redis: RedisClient) -> list[DueNotice]:
    """Take some that are due, the caller's alone for a minute.  Raises ``StoreUnavailable``."""
    async with redis_call("take what is due"):
        *found, again_at = await run(redis, _TAKE, keys.DUE, _AT_ONCE, _TAKEN_SECONDS)
    pairs = zip(found[::2], found[1::2], strict=True)
    return [DueNotice(as_text(m), float(as_text(at)), as_text(again_at)) for m, at in pairs]


async def settle(redis: RedisClient, notice: DueNotice) -> None:
    """Remove a notice that was sent.  Raises ``StoreUnavailable``: then it may come again."""
    async with redis_call("settle what was due"):
        await redis.eval(_SETTLE, 1, keys.DUE, notice.member, notice.again_at)


def _member(kind: str, user_id: str, provider: str) -> str:
    """Join the parts; neither of the first two holds a colon."""
    return f"{kind}:{provider}:{keys.check_user_id(user_id)}"
