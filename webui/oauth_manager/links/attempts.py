"""Authorizations under way, and links of the older system, found by a walk.

They are in no list of a person's.
"""

from __future__ import annotations

import json

from ..errors import RecordUnreadable
from ..storage import keys
from ..storage.calls import RedisClient, read_page, redis_call
from ..storage.key_walk import walk
from ..storage.keys import UserId
from ..storage.link_index import read_link
from ..storage.storage import Storage

_PAGE = 500


async def end(storage: Storage, redis: RedisClient, user_id: UserId) -> int:
    """End every authorization that the person has begun, and link; return how many there were."""
    ended = 0
    page: list[str] = []
    for pattern in (keys.STATE_PATTERN, keys.LINK_PATTERN):
        async for key in walk(redis, pattern):
            page.append(key)
            if len(page) == _PAGE:
                ended += await _end(storage, redis, user_id, page)
                page = []
    return ended + await _end(storage, redis, user_id, page)


async def _end(storage: Storage, redis: RedisClient, user_id: UserId, page: list[str]) -> int:
    if not page:
        return 0
    async with redis_call("end authorizations"):
        texts = await read_page(redis, page)
        own = [key for key, text in zip(page, texts, strict=True) if _is_of(storage, user_id, text)]
        for key in own:
            await redis.delete(key)
    return len(own)


def _is_of(storage: Storage, user_id: UserId, text: str) -> bool:
    link = read_link(text)
    if link:
        return link.user_id == user_id
    try:
        sealed = json.loads(text)["sealed"]
        return bool(storage.sealer.open("state", user_id, None, sealed))
    except (ValueError, TypeError, KeyError, RecursionError, RecordUnreadable):
        return False
