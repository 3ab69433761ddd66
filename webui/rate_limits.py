"""Limits on tries, counted in Redis: a fixed window that starts with the first try."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import quote

from webui.oauth_manager import OAuthError
from webui.oauth_manager.storage import Clock
from webui.oauth_manager.storage.calls import Commands, RedisClient, read_text, redis_call

LIMITS = {
    "miss": "60/minute",  # link codes and states that are not ours, for each address
    "start": "60/minute",  # proofs begun or continued, sign-ons begun, for each address
    "connect": "30/minute",  # authorizations begun, for each person
    "link": "10/10 minutes",  # links asked for in chat, for each person
    "check": "10/10 minutes",  # questions to a provider, for each person
    "revoke": "10/10 minutes",  # providers asked once more to end a grant, for each person
    "export": "10/10 minutes",  # downloads of what is held, for each person
    "erase": "5/10 minutes",  # erasures begun, for each person
    "guess": "20/10 minutes",  # codes sent in chat, for each person
    "reference": "20/10 minutes",  # references kept, for each person, else for each address
    "anonymous_reference": "300/hour",  # the same, of all together who are not signed in
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
    """The limit is reached.

    ``retry_at`` (epoch seconds) is when it is lifted, ``retry_after`` in how many whole seconds.
    """

    def __init__(self, now: float, seconds: float) -> None:
        self.retry_at = now + seconds
        self.retry_after = max(math.ceil(seconds), 1)
        super().__init__("too many tries")


class Limit(NamedTuple):
    amount: int
    seconds: int


@cache
def limit(text: str) -> Limit:
    """Read ``60/minute`` or ``10/10 minutes``."""
    amount, _, span = text.partition("/")
    count, _, unit = span.rpartition(" ")
    seconds = {"minute": 60, "hour": 3600}[unit.removesuffix("s")]
    return Limit(int(amount), int(count or 1) * seconds)


# Counts, and starts the window with the first try.
_COUNT = """
local tries = redis.pcall('INCR', KEYS[1])
if type(tries) == 'table' then
  local fault = tries.err
  if not string.find(fault, 'WRONGTYPE') and not string.find(fault, 'integer')
     and not string.find(fault, 'overflow') then error(tries) end
  redis.call('SET', KEYS[1], 1)  -- no counter of ours
  tries = 1
end
if tries == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return tries
"""


class Limiter:
    """A counter of tries; one round trip each until the limit is reached."""

    def __init__(self, redis: RedisClient, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock

    async def allows(self, name: str, who: str) -> bool:
        """Count one try; return whether it is within the limit.  Raises ``StoreUnavailable``."""
        async with redis_call("count tries"):
            tries = await self.queue(self._redis, name, who)
        return int(tries) <= limit(LIMITS[name]).amount

    async def hit(self, name: str, who: str) -> None:
        """Count one try.  Raises ``TooMany``, or ``StoreUnavailable``."""
        if not await self.allows(name, who):
            raise await self._too_many(name, who)

    def queue(self, pipe: Commands, name: str, who: str) -> Any:
        """Queue the count of one try on a pipeline; its answer is for :meth:`judge`."""
        return pipe.eval(_COUNT, 1, _key(name, who), limit(LIMITS[name]).seconds)

    async def judge(self, name: str, who: str, tries: int) -> None:
        """Raise ``TooMany`` if so many are beyond the limit; no round trip if they are not."""
        if int(tries) > limit(LIMITS[name]).amount:
            raise await self._too_many(name, who)

    async def check(self, name: str, who: str) -> None:
        """Check the limit like :meth:`hit`, without counting."""
        async with redis_call("look at the count of tries"):
            counted = await read_text(self._redis, _key(name, who))
        if _NUMBER.fullmatch(counted) and int(counted) >= limit(LIMITS[name]).amount:
            raise await self._too_many(name, who)

    async def _too_many(self, name: str, who: str) -> TooMany:
        async with redis_call("look at the count of tries"):
            left = await self._redis.pttl(_key(name, who))
        return TooMany(self._clock.now(), max(int(left), 0) / 1000)


def counters(user: str, *names: str) -> list[str]:
    """List the keys of every counter that a person may have, also by their other ``names``."""
    ways = ("user", "staff", "chat", "sso", "proxy")
    whos = (user, *(f"{way} {user}" for way in ways), *names)
    return [_key(limit_name, who) for limit_name in LIMITS for who in whos]


def _key(name: str, who: str) -> str:
    return f"{_PREFIX}{name}:{quote(who, safe='')}"
