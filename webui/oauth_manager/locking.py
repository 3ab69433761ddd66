"""A lock across processes for one connection, with its owner's name on it.

After a failure the lock remembers how often in a row, so that every process
backs off together instead of hammering a provider in trouble.
"""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass
from typing import Any

from . import keys
from .errors import StoreUnavailable
from .redis_io import as_text, redis_call

_LONGEST_PAUSE = 60.0  # seconds
_MEMORY = 180  # seconds for which a row of failures is remembered

# ARGV: owner, lifetime in ms.  Answers {got, failures in a row}.  An owner who
# asks again (its first answer was lost) still holds the lock.  Redis's own
# clock decides, so processes whose clocks differ agree.
_ACQUIRE = """
local held = redis.call('GET', KEYS[1])
local failures = '0'
if held and held ~= ARGV[1] then
  local count, pause_until = string.match(held, '^failed:(%d+):(%d+)$')
  if not count then return {0, '-1'} end
  local time = redis.call('TIME')
  if tonumber(pause_until) > time[1] * 1000 + math.floor(time[2] / 1000) then return {0, count} end
  failures = count
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, failures}
"""
# ARGV: owner, failures in a row, pause in ms, memory in ms.
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
local time = redis.call('TIME')
local pause_until = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3]
redis.call('SET', KEYS[1], string.format('failed:%d:%.0f', ARGV[2], pause_until), 'PX', ARGV[4])
return 1
"""


@dataclass(frozen=True, slots=True)
class Hold:
    """The answer to asking for the lock.

    ``pausing``: nobody holds it, but the provider failed lately and is left alone.
    """

    got: bool
    failures: int

    @property
    def pausing(self) -> bool:
        return not self.got and self.failures >= 0


class Lock:
    """One asker's view of the lock; ``owner`` makes a late release harmless."""

    def __init__(self, redis: Any, user_id: str, provider: str) -> None:
        self._redis = redis
        self._key = keys.lock(user_id, provider)
        self._owner = secrets.token_hex(16)

    async def acquire(self) -> Hold:
        """Ask, without waiting for anybody to let go."""
        try:
            return await self._ask()
        except StoreUnavailable:
            # The answer may be all that was lost; then the lock is ours, and we are told so.
            return await self._ask()

    async def _ask(self) -> Hold:
        async with redis_call("lock a connection"):
            got, failures = await self._redis.eval(
                _ACQUIRE, 1, self._key, self._owner, keys.LOCK_TTL * 1000
            )
        return Hold(bool(got), int(as_text(failures)))

    async def release(self, *, failures: int = 0, retry_after: float = 0.0) -> None:
        """Let go; with ``failures`` in a row, keep everybody off for a while.

        The first failure costs no pause, the second about a second, then twice
        as long each time, or what the provider asks for (``retry_after``, in
        seconds), a minute at the most.
        """
        doubled = 2.0 ** min(failures - 2, 10) * random.uniform(0.5, 1) if failures > 1 else 0.0  # noqa: S311
        pause = min(max(doubled, retry_after), _LONGEST_PAUSE)
        async with redis_call("unlock a connection"):
            await self._redis.eval(
                _RELEASE, 1, self._key, self._owner, failures, int(pause * 1000), _MEMORY * 1000
            )
