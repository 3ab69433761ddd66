"""A server's facts about itself, and what it may lose."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster

from tests.kit.redis_servers import redis_server
from webui.oauth_manager import StoreUnavailable
from webui.oauth_manager.storage import Engine, facts

pytestmark = pytest.mark.anyio


async def told(*options: str, user: str = "") -> Engine:
    with redis_server(*options) as port:
        client: Any = Redis(port=port)
        async with client as redis:
            if user:
                await redis.execute_command("ACL", "SETUSER", "default", *user.split())
            return await facts(redis)


@pytest.mark.parametrize(
    ("options", "persistence"),
    [
        (["--appendonly", "yes"], "appendonly"),
        (["--save", "60 1"], "snapshots"),
        ([], "none"),
    ],
)
async def test_persistence_is_one_of_three_words(options: list[str], persistence: str) -> None:
    assert (await told(*options)).persistence == persistence


async def test_the_policy_is_the_word_of_the_server() -> None:
    found = await told("--maxmemory-policy", "allkeys-lru")
    assert found.policy == "allkeys-lru"
    assert found.kind in ("redis", "valkey")
    assert found.mode == "standalone"
    assert found.version[0].isdecimal()
    assert not found.is_saving_failed


async def test_a_server_that_may_not_tell_has_no_facts() -> None:
    assert await told(user="-info") == Engine()
    found = await told(user="-config")
    assert (found.persistence, found.policy) == ("", "noeviction")


async def test_a_cluster_says_so(cluster: RedisCluster) -> None:
    found = await facts(cluster)
    assert (found.mode, found.policy) == ("cluster", "noeviction")


async def test_a_server_that_is_away_is_the_librarys_error() -> None:
    with pytest.raises(StoreUnavailable):
        await facts(Redis(port=1))
