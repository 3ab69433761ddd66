"""Limits on tries, counted in Redis by the ``limits`` library."""

from __future__ import annotations

import math
import re
import time
from functools import cache
from urllib.parse import quote

from limits import RateLimitItem, parse
from limits.aio.storage.base import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

from webui.oauth_manager import OAuthError
from webui.oauth_manager.storage.calls import RedisClient, read_text, redis_call

LIMITS = {
    "miss": "60/minute",  # link codes and states that are not ours, for each address
    "start": "60/minute",  # proofs begun or continued, sign-ons begun, for each address
    "connect": "30/minute",  # authorizations begun, for each person
    "link": "10/10 minutes",  # links asked for in chat, for each person
    "check": "10/10 minutes",  # questions to a provider, for each person
    "revoke": "10/10 minutes",  # providers asked once more to end a grant, for each person
    "guess": "20/10 minutes",  # codes sent in chat, for each person
    "reference": "20/10 minutes",  # references kept, for each person, else for each address
    # Of all who are not signed in; a search for pages must not use up everybody's.
    "stray_reference": "60/hour",
    "anonymous_reference": "300/hour",
    "denied": "5/10 minutes",  # records of people who tried support pages, for each person
    "act": "30/10 minutes",  # things done for people, for each of support's staff
    "act_alert": "1/10 minutes",  # alerts that the limit above was reached, for each of them
    "lookup_alert": "1/10 minutes",  # alerts that LOOKUPS was reached, for each of them
}
# Of people looked up, for each of support's staff.  Counted from the audit: a look writes no more.
LOOKUPS = "60/10 minutes"

_NUMBER = re.compile(r"[0-9]{1,15}")
_PREFIX = "stargazer:web_limit:"


class TooMany(OAuthError):
    """The limit is reached; ``retry_at`` (epoch seconds) is when it is lifted."""

    def __init__(self, retry_at: float) -> None:
        self.retry_at = retry_at
        super().__init__("too many tries")

    @property
    def retry_after(self) -> int:
        """Return whole seconds from now, at least one."""
        return max(math.ceil(self.retry_at - time.time()), 1)


@cache
def _item(name: str) -> RateLimitItem:
    return parse(LIMITS[name])


# Counts, and starts the window with the first try.
_COUNT = """
local tries = redis.pcall('INCRBY', KEYS[1], ARGV[2])
if type(tries) == 'table' then
  local fault = tries.err
  if not string.find(fault, 'WRONGTYPE') and not string.find(fault, 'integer')
     and not string.find(fault, 'overflow') then error(tries) end
  redis.call('SET', KEYS[1], ARGV[2])  -- no counter of ours
  tries = tonumber(ARGV[2])
end
if tries == tonumber(ARGV[2]) then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return tries
"""


class _ClientStorage(Storage):
    """Storage for ``limits``: any client of redis-py, a cluster's as well.

    The storage that ``limits`` brings opens connections of its own.
    """

    STORAGE_SCHEME = None

    def __init__(self, redis: RedisClient) -> None:
        super().__init__()
        self._redis = redis

    @property
    def base_exceptions(self) -> type[Exception]:
        return RedisError

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return int(await self._redis.eval(_COUNT, 1, _PREFIX + key, expiry, amount))

    async def get(self, key: str) -> int:
        counted = await read_text(self._redis, _PREFIX + key)
        return int(counted) if _NUMBER.fullmatch(counted) else 0

    async def get_expiry(self, key: str) -> float:
        return time.time() + max(int(await self._redis.pttl(_PREFIX + key)), 0) / 1000

    async def clear(self, key: str) -> None:
        await self._redis.delete(_PREFIX + key)

    async def check(self) -> bool:
        return bool(await self._redis.ping())

    async def reset(self) -> int | None:
        raise NotImplementedError


class Limiter:
    """A counter of tries; every method is one round trip until the limit is reached."""

    def __init__(self, redis: RedisClient) -> None:
        self._strategy = FixedWindowRateLimiter(_ClientStorage(redis))

    async def allows(self, name: str, who: str) -> bool:
        """Count one try; return whether it is within the limit.  Raises ``StoreUnavailable``."""
        async with redis_call("count tries"):
            return bool(await self._strategy.hit(_item(name), name, quote(who, safe="")))

    async def hit(self, name: str, who: str) -> None:
        """Count one try.  Raises ``TooMany``, or ``StoreUnavailable``."""
        if not await self.allows(name, who):
            raise await self._too_many(name, who)

    async def check(self, name: str, who: str) -> None:
        """Check the limit like :meth:`hit`, without counting."""
        async with redis_call("look at the count of tries"):
            if await self._strategy.test(_item(name), name, quote(who, safe="")):
                return
        raise await self._too_many(name, who)

    async def _too_many(self, name: str, who: str) -> TooMany:
        async with redis_call("look at the count of tries"):
            key = name, quote(who, safe="")
            stats = await self._strategy.get_window_stats(_item(name), *key)
        return TooMany(stats.reset_time)
