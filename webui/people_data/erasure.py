"""Erasure of a person by the whole product: the library's records, and the site's own."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Literal

from webui.access.guesses import known_as
from webui.incident_codes import forget_references
from webui.oauth_manager import Erasure, OAuthManager, StoreUnavailable
from webui.oauth_manager.storage.calls import RedisClient, redis_call
from webui.rate_limits import counters
from webui.sessions import index as session_index
from webui.settings.settings import Settings
from webui.webhooks.queue import forget

Via = Literal["command", "page"]

_EVERY = 30.0  # seconds

log = logging.getLogger(__name__)


async def erase(
    settings: Settings, manager: OAuthManager, redis: RedisClient, user_id: str, via: Via
) -> Erasure:
    """Erase everything, the sessions first, so that no browser of theirs begins anything more.

    May be interrupted, and repeated.  A command looks at the names of all keys too; one of a
    page is taken up again by :func:`take_up`.  Raises like :meth:`OAuthManager.erase`, with
    keys that do not fit before anything is done.
    """
    await manager.begin_erasure(redis, user_id, is_taken_up=via == "page")
    sessions = await session_index.end_all(redis, user_id)
    erased = await manager.erase(redis, user_id, walks=via == "command")
    removed = sessions + await forget_references(redis, user_id)
    removed += await _forget_counters(settings, redis, user_id)
    removed += await _forget_webhooks(manager, redis, user_id)
    erased = Erasure(erased.grants, erased.was_there or bool(removed))
    await manager.finish_erasure(redis, user_id, erased, via=via)
    return erased


async def take_up(settings: Settings, manager: OAuthManager, redis: RedisClient) -> None:
    """Finish what pages began: what a process left that ended, and the walk that comes last."""
    await manager.take_up_erasures(
        redis, lambda user_id: erase(settings, manager, redis, user_id, "page")
    )


async def take_up_for_ever(settings: Settings, manager: OAuthManager, redis: RedisClient) -> None:
    """Do so every half a minute, until cancelled."""
    while True:
        await asyncio.sleep(_EVERY * random.uniform(0.8, 1.2))  # noqa: S311
        try:
            await take_up(settings, manager, redis)
        except StoreUnavailable as failure:
            log.warning("erasures wait until Redis answers: %s", failure)


async def _forget_counters(settings: Settings, redis: RedisClient, user_id: str) -> int:
    async with redis_call("forget counters"):
        pipe = redis.pipeline(transaction=False)
        for key in counters(user_id, *known_as(settings, user_id)):
            pipe.delete(key)
        return sum(await pipe.execute())


async def _forget_webhooks(manager: OAuthManager, redis: RedisClient, user_id: str) -> int:
    def is_theirs(sealed: str) -> bool:
        notice = manager.open_notice(sealed)
        return notice is not None and notice.user_id == user_id

    return await forget(redis, is_theirs)
