"""A walk over all keys for one person's: it finds providers that are set up no more.

Redis compares the names, and one person's come back.  For commands of an operator alone.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from redis.exceptions import RedisError

from ..errors import StoreUnavailable
from . import keys
from .calls import RedisClient, as_text

_GLOB = re.compile(r"[*?\[\]\\^-]")
_COUNT = 2000  # keys that Redis looks at before it answers


async def places(redis: RedisClient, user_id: str) -> set[str]:
    """Find every place at which the person has a record: providers, and accounts of theirs."""
    found = {
        _place_in(key, user_id)
        for pattern in _globs_of(user_id)
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


def _globs_of(user_id: str) -> tuple[str, ...]:
    """Return patterns of the keys with the person's id in their name, as ours and as the older.

    They match the keys of others too: see :func:`_place_in`.
    """
    forms = dict.fromkeys((keys.encoded(user_id), user_id))
    return tuple(f"{keys.PREFIX}*:{_GLOB.sub(_escaped, form)}:*" for form in forms)


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def _place_in(key: str, user_id: str) -> str:
    """Return the place in a connection's key if it is this person's, else ``""``."""
    ours = keys.parse_record(key)
    if ours and ours[0] == user_id:
        return ours[1]
    older = keys.parse_older_record(key) if keys.is_token_key(key) else None
    return older[1] if older and older[0] == user_id else ""
