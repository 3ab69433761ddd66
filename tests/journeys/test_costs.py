"""The Redis traffic of every path that the benchmark prints, and the memory of a person."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from bench import memory, paths
from bench.meter import metered
from tests.kit.fake_provider import FakeProvider
from webui.oauth_manager import OAuthManager

pytestmark = pytest.mark.anyio


async def test_round_trips_and_commands_of_every_path_are_as_expected(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, redis_url: str
) -> None:
    async with metered(redis_url) as meter:
        assert await paths.costs(meter, fake, manager) == paths.EXPECTED


async def test_a_person_takes_little_more_of_redis_than_their_tokens(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    held = await memory.held(redis, fake, manager)
    assert min(held.values()) > 0
    assert sum(held.values()) <= 1.9 * held[memory.FLOOR]
