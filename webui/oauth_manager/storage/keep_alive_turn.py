"""The turn of keep-alive passes in Redis: one pass at a time, and how often it may renew.

All processes share it.  Redis's own clock decides when a turn, a minute and a pause end.
"""

from __future__ import annotations

from ..clock import Clock
from . import keys, scripts
from .calls import RedisClient, as_text, raw, redis_call
from .key_pages import WalkTurn

TURN_SECONDS = 60  # a turn whose owner does not come back is over then
_MINUTE = 60  # seconds


class Turn(WalkTurn):
    """One process's turn."""

    def __init__(self, redis: RedisClient, clock: Clock) -> None:
        super().__init__(redis, keys.KEEP_ALIVE_LOCK, TURN_SECONDS)
        self._clock = clock

    async def seconds_since(self) -> float:
        """Return how long ago the last pass ended; very long if there was none."""
        async with redis_call("read the last keep-alive pass"):
            text = as_text(await raw(self._redis, "GET", keys.LAST_KEEP_ALIVE))
        return self._clock.now() - (float(text) if text.isdecimal() else 0.0)

    async def note_end(self) -> None:
        """Note that a pass has ended now."""
        async with redis_call("note the end of a keep-alive pass"):
            await self._redis.set(keys.LAST_KEEP_ALIVE, f"{self._clock.now():.0f}")

    async def wait_for(self, provider: str, most: int) -> float:
        """Count a renewal; return the seconds to wait before asking again, 0 to renew now.

        ``most`` is how many may be renewed within a minute.
        """
        pause, minute = keys.keep_alive_pause(provider), keys.keep_alive_minute(provider)
        async with redis_call("count renewals"):
            left = int(await self._redis.pttl(pause))
            if left > 0:
                return left / 1000
            left = int(await self._redis.eval(_COUNT, 1, minute, most, _MINUTE * 1000))
            return left / 1000

    async def pause(self, provider: str, seconds: float) -> None:
        """Leave a provider alone for so long."""
        async with redis_call("note a provider's pause"):
            key = keys.keep_alive_pause(provider)
            await self._redis.set(key, "1", px=max(int(seconds * 1000), 1))


# Count within a minute that begins with the first.  ARGV: how many, the minute (ms).  0, or the
# ms until the next minute.
_COUNT = f"""{scripts.OURS}
local count = tonumber(ours('GET', KEYS[1]) or '0') or 0
local left = redis.call('PTTL', KEYS[1])
if left > 0 and count >= tonumber(ARGV[1]) then return left end
if left <= 0 then
  redis.call('SET', KEYS[1], '1', 'PX', ARGV[2])
else
  redis.call('INCR', KEYS[1])
end
return 0
"""
