"""Samples for gauges, on a schedule: Redis, the keys, and the census that all processes share."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from webui.metrics.recorder import Recorder
from webui.oauth_manager import OAuthManager, StoreUnavailable
from webui.oauth_manager.storage import TROUBLE, facts
from webui.oauth_manager.storage.calls import RedisClient

EVERY_SECONDS = 10.0


async def sample_for_ever(manager: OAuthManager, redis: RedisClient, recorder: Recorder) -> None:
    """Sample until cancelled."""
    while True:
        await sample(manager, redis, recorder)
        await asyncio.sleep(EVERY_SECONDS)


async def sample(manager: OAuthManager, redis: RedisClient, recorder: Recorder) -> None:
    """Take one sample; what cannot be asked now keeps its value."""
    try:
        fit = await manager.ready(redis)
    except StoreUnavailable:
        recorder.readiness(is_up=False)
        return
    recorder.readiness(is_up=True, fits=fit not in TROUBLE)
    with suppress(StoreUnavailable):
        recorder.engine(await facts(redis))
        if census := await manager.recent_census(redis):
            recorder.census(census, sorted(manager.providers))
