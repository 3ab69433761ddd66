"""Fixtures for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from redis import Redis as Blocking
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from webui.sandbox.embedded_redis import embedded_redis

pytest_plugins = [
    "tests.kit.library_fixtures",
    "tests.kit.site_fixtures",
    "tests.kit.support_fixtures",
    "tests.kit.redis_servers",  # imports the site's
]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The address of a real server that keeps nothing, one for the whole run."""
    with embedded_redis() as url:
        yield url


@pytest.fixture
def empty_redis_url(redis_url: str) -> str:
    """The address of that server with nothing in it, for what runs outside an event loop."""
    with Blocking.from_url(redis_url) as client:
        client.flushall()
    return redis_url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client on an empty server.  It never repeats a command, as in production."""
    async with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as client:
        await client.flushall()
        yield client
