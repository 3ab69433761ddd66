"""A walk over all keys for one person's: it finds providers that are set up no more.

Redis compares the names, and one person's come back.  For commands of an operator alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from redis.exceptions import RedisError

from ..errors import StoreUnavailable
from . import keys
from .calls import RedisClient, as_text

_COUNT = 2000  # keys that Redis looks at before it answers


async def providers(redis: RedisClient, user_id: str) -> set[str]:
    """Find the names of every provider of which the person has a record."""
    found = {
        keys.provider_in(key, user_id)
        for pattern in keys.glob_of(user_id)
        async for key in walk(redis, pattern)
    }
    return found - {""}


async def walk(redis: RedisClient, pattern: str) -> AsyncIterator[str]:
    """Yield the names of all keys that match.  Raises ``StoreUnavailable``."""
    try:
        async for key in redis.scan_iter(match=pattern, count=_COUNT, NEVER_DECODE=True):
            yield as_text(key)
    except (RedisError, OSError) as error:
        raise StoreUnavailable("walk all keys", type(error).__name__) from None
