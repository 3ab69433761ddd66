"""How often somebody may try, counted in Redis by the ``limits`` library."""

from __future__ import annotations

import math
import time
from functools import cache
from typing import Any
from urllib.parse import quote

from limits import RateLimitItem, parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError

from webui.oauth_manager import OAuthError, StoreUnavailable
from webui.oauth_manager.redis_io import redis_call

LIMITS = {
    "miss": "60/minute",  # link codes and states that are not ours, for each address
    "start": "60/minute",  # proofs begun or continued, for each address
    "connect": "30/minute",  # authorizations begun, for each person
    "link": "10/10 minutes",  # links asked for in chat, for each person
    "check": "10/10 minutes",  # questions to a provider, for each person
    "guess": "20/10 minutes",  # codes sent in chat, for each person
}


class TooMany(OAuthError):
    """The limit is reached; ``retry_at`` (epoch seconds) is when it is lifted."""

    def __init__(self, retry_at: float) -> None:
        self.retry_at = retry_at
        super().__init__("too many tries")

    @property
    def retry_after(self) -> int:
        """Whole seconds from now, at least one."""
        return max(math.ceil(self.retry_at - time.time()), 1)


@cache
def _item(name: str) -> RateLimitItem:
    return parse(LIMITS[name])


class Limiter:
    """Counts on the connections of an existing Redis client."""

    def __init__(self, redis: Any) -> None:
        storage = RedisStorage(
            "async+redis://",
            implementation="redispy",
            wrap_exceptions=True,
            key_prefix="stargazer:web_limit",
            connection_pool=redis.connection_pool,
        )
        self._strategy = FixedWindowRateLimiter(storage)

    async def hit(self, name: str, who: str) -> None:
        """Count one try.  Raises ``TooMany``, or ``StoreUnavailable``."""
        if not await self._ask("hit", name, who):
            raise await self._too_many(name, who)

    async def check(self, name: str, who: str) -> None:
        """As :meth:`hit`, without counting."""
        if not await self._ask("test", name, who):
            raise await self._too_many(name, who)

    async def _ask(self, method: str, name: str, who: str) -> bool:
        async with redis_call("count tries"):
            try:
                ask = getattr(self._strategy, method)
                allowed: bool = await ask(_item(name), name, quote(who, safe=""))
            except StorageError as error:
                raise StoreUnavailable("count tries", type(error).__name__) from None
        return allowed

    async def _too_many(self, name: str, who: str) -> TooMany:
        async with redis_call("count tries"):
            try:
                stats = await self._strategy.get_window_stats(
                    _item(name), name, quote(who, safe="")
                )
            except StorageError as error:
                raise StoreUnavailable("count tries", type(error).__name__) from None
        return TooMany(stats.reset_time)
