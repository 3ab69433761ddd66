"""The library for tests: a manager with a fake provider behind it, and clients of Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import fake_provider, manager_for
from tests.kit.redis_fleets import one_url
from tests.kit.redis_wire import Wire, wired
from webui.oauth_manager import OAuthManager


@pytest.fixture
def fake() -> FakeProvider:
    """Behind all four providers of ``manager``."""
    return fake_provider()


@pytest.fixture
def manager(fake: FakeProvider) -> OAuthManager:
    return manager_for(fake)


@pytest.fixture
async def client(redis: Redis, redis_url: str) -> AsyncIterator[tuple[Redis, Wire]]:
    """A client that has said hello already, with its wire laid open."""
    async with wired(redis_url) as (wired_client, wire):
        await wired_client.ping()
        wire.sent.clear()
        yield wired_client, wire


@pytest.fixture(params=["bytes", "str"])
async def either(
    request: pytest.FixtureRequest, redis: Redis, redis_url: str
) -> AsyncIterator[Redis]:
    """A client that answers in bytes, and one that decodes."""
    if request.param == "bytes":
        yield redis
        return
    async with Redis.from_url(one_url(redis_url), decode_responses=True) as client:
        yield client
