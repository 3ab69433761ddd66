"""Fixtures for every test."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis as Blocking
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.kit.logging_restored import everything_put_back
from tests.kit.redis_fleets import cluster_fleet, one_url, sentinel_fleet
from webui.oauth_manager import redis_from_url
from webui.sandbox.embedded_redis import embedded_redis

pytest_plugins = [
    "tests.kit.library_fixtures",
    "tests.kit.site_fixtures",
    "tests.kit.support_fixtures",
    "webui.testing.fixtures",
    "tests.kit.redis_servers",  # imports the site's
]


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """No test writes to the log of another, or reads it in another's form."""
    with everything_put_back():
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On another kind of Redis leave out what asks none."""
    if os.environ.get("REDIS_KIND", "server") == "server":
        return
    asks = [item for item in items if "redis_url" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if item not in asks])
    items[:] = asks


@contextmanager
def _fleet_of(kind: str) -> Iterator[str]:
    """Run what REDIS_KIND names, and yield its address."""
    if kind == "server":
        with embedded_redis() as url:
            yield url
        return
    with cluster_fleet() if kind == "cluster" else sentinel_fleet() as fleet:
        yield fleet.url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The address of real servers that keep nothing, the same for the whole run.

    It is one server, or what `make test-engines` names in REDIS_KIND.
    """
    with _fleet_of(os.environ.get("REDIS_KIND", "server")) as url:
        yield url


@pytest.fixture
def empty_redis_url(redis_url: str) -> str:
    """The address of that server with nothing in it, for what runs outside an event loop."""
    with Blocking.from_url(one_url(redis_url)) as client:
        client.flushall()
    return redis_url


def _over() -> Any:
    """Refuse a connection: a use that a manager writes later would leave it open."""
    raise RedisConnectionError("the test has ended")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client on an empty server.  It never repeats a command, as in production."""
    async with redis_from_url(redis_url) as client:
        if isinstance(client, RedisCluster):  # redis-py asks one node for these
            client.command_flags |= {"KEYS": "primaries", "DBSIZE": "primaries"}
        await client.flushall()
        yield client
    if not isinstance(client, RedisCluster):
        client.connection_pool.reset()  # type: ignore[no-untyped-call]
        client.connection_pool.make_connection = _over  # type: ignore[method-assign]
