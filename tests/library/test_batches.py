"""Batches: a script for each of many keys, with the answers in their places."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ResponseError

from tests.kit.redis_wire import Wire
from webui.oauth_manager.storage import scripts
from webui.oauth_manager.storage.batches import run_all, run_each

pytestmark = pytest.mark.anyio

COUNT = 250


async def test_hundreds_of_keys_cost_a_command_for_a_hundred(
    redis: Redis, client: tuple[Redis, Wire]
) -> None:
    await redis.mset({f"k{n}": f"old{n}" for n in range(COUNT)})
    await redis.set("k7", "newer")
    await redis.delete("k8")
    calls = [(f"k{n}".encode(), b"old%d" % n, f"new {n}\r\né") for n in range(COUNT)]
    await run_each(client[0], scripts.REPLACE, calls)  # which sends the script once
    client[1].sent.clear()
    answers = await run_each(client[0], scripts.REPLACE, calls)
    assert client[1].round_trips == 1
    assert client[1].sent[0].count(b"EVALSHA") == 3
    assert answers == [{7: -1, 8: 0}.get(n, 1) for n in range(COUNT)]
    assert await redis.get("k249") == "new 249\r\né".encode()


async def test_a_key_of_another_type_fails_alone(redis: Redis) -> None:
    await redis.hset("h", "field", "value")
    await redis.lpush("l", "junk")
    calls = [("h", "field", "value"), ("l", "field", "value"), ("none", "field", "value")]
    deleted, error, absent = await run_all(redis, scripts.HDEL_IF_SAME, calls)
    assert (deleted, absent) == (1, 0)
    assert isinstance(error, ResponseError)
    assert await run_each(redis, scripts.HDEL_IF_SAME, calls) == [0, 0, 0]


async def test_a_cluster_is_sent_a_command_for_each(cluster: RedisCluster) -> None:
    for n in range(20):
        await cluster.set(f"k{n}", "old")
    answers = await run_each(cluster, scripts.REPLACE, [(f"k{n}", "old", "new") for n in range(20)])
    assert answers == [1] * 20


async def test_no_keys_are_no_command(client: tuple[Redis, Wire]) -> None:
    assert await run_each(client[0], scripts.REPLACE, []) == []
    assert client[1].round_trips == 0
