"""The client of a Cluster: order, redirections, nodes that die or hang, and commands of others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from redis.crc import key_slot
from redis.exceptions import RedisError

from tests.kit.library import fake_provider, granted, manager_for, tokens_key
from tests.kit.redis_fleets import Fleet, Member, cluster_fleet
from webui.oauth_manager import StoreUnavailable, redis_from_url
from webui.oauth_manager.flows import refresh
from webui.oauth_manager.storage import keys
from webui.oauth_manager.storage.calls import redis_call

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with cluster_fleet() as made:
        yield made


@pytest.fixture
async def client(fleet: Fleet) -> AsyncIterator[Any]:
    fleet.empty()
    async with redis_from_url(fleet.url) as made:
        yield made


def key_of(fleet: Fleet, member: Member, name: str = "key") -> str:
    """A key in a slot of that server."""
    keys = (f"{name}-{n}" for n in range(10_000))
    return next(key for key in keys if fleet.owner(key_slot(key.encode())) is member)


async def test_what_comes_after_a_server_that_is_away_is_not_written(
    fleet: Fleet, client: Any
) -> None:
    first, second, _ = fleet.servers
    ahead, behind = key_of(fleet, first), key_of(fleet, second)
    await client.set(ahead, "old")
    first.freeze()
    try:
        pipe = client.pipeline(transaction=False)
        pipe.set(ahead, "new")
        pipe.set(behind, "new")
        with pytest.raises(StoreUnavailable):
            async with redis_call("write both", 0.3):
                await pipe.execute(raise_on_error=False)
        assert await client.get(behind) is None
    finally:
        first.thaw()


async def test_a_server_that_hangs_keeps_nobody_from_the_others(fleet: Fleet, client: Any) -> None:
    first, second, _ = fleet.servers
    lost, there = key_of(fleet, first), key_of(fleet, second)
    await client.set(there, "1")
    first.freeze()
    try:
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                async with redis_call("read", 0.1):
                    await client.get(lost)
            async with redis_call("read", 1.0):
                assert await client.get(there) == b"1"
    finally:
        first.thaw()


async def test_a_moving_slot_is_followed_by_many_at_once_and_each_command_runs_once(
    fleet: Fleet, client: Any
) -> None:
    source, target, _ = fleet.servers
    key = key_of(fleet, source, "moving")
    slot = key_slot(key.encode())
    await asyncio.gather(*(client.incr(key) for _ in range(20)))  # as many connections to each
    await asyncio.gather(*(client.set(key_of(fleet, target), "1") for _ in range(20)))
    await asyncio.to_thread(fleet.move, slot, target, halfway=True)
    await asyncio.gather(*(client.incr(key) for _ in range(20)))
    await asyncio.to_thread(source.ask, "MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
    await asyncio.gather(*(client.incr(key) for _ in range(20)))  # ASK
    pipe = client.pipeline(transaction=False)
    pipe.incr(key)
    pipe.execute_command("GET", key, NEVER_DECODE=True)
    assert await pipe.execute() == [61, b"61"]
    await asyncio.to_thread(fleet.finish_move, slot, source, target)
    await asyncio.gather(*(client.incr(key) for _ in range(20)))  # MOVED
    assert await client.get(key) == b"81"
    await asyncio.to_thread(fleet.move, slot, source)


async def test_connections_that_a_server_has_closed_are_made_anew(
    fleet: Fleet, client: Any
) -> None:
    key = key_of(fleet, fleet.servers[0])
    await asyncio.gather(*(client.set(key, "1") for _ in range(5)))
    for one in fleet.servers:
        with suppress(RedisError):
            await asyncio.to_thread(one.ask, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert await asyncio.gather(*(client.get(key) for _ in range(5))) == [b"1"] * 5


async def test_a_deadline_leaves_no_answer_for_the_next_command(fleet: Fleet, client: Any) -> None:
    member = fleet.servers[0]
    key = key_of(fleet, member)
    await client.set(key, "mine")
    member.ask("CLIENT", "PAUSE", 200, "ALL")
    with pytest.raises(StoreUnavailable):
        async with redis_call("read", 0.05):
            await client.execute_command("GET", key)
    assert await client.execute_command("TTL", key) == -1


async def test_commands_that_we_do_not_send_find_their_slot_too(client: Any) -> None:
    await client.execute_command("SINTERSTORE", "{a}1", "{a}2", "{a}3")
    await client.execute_command("LPUSH", "list", "one")
    assert await client.execute_command("LMPOP", 1, "list", "LEFT") == [b"list", [b"one"]]
    assert await client.execute_command("EVAL", "return #KEYS", 0) == 0
    assert await client.execute_command("EVAL", "return #KEYS", 2, "{a}1", "{a}2") == 2


async def test_many_keys_go_at_once_and_their_answers_stay_in_order(client: Any) -> None:
    names = [f"many-{n}" for n in range(300)]
    pipe = client.pipeline(transaction=False)
    for n, name in enumerate(names):
        pipe.set(name, n)
    assert len(pipe) == 300
    assert await pipe.execute() == [True] * 300
    for name in names:
        pipe.get(name)
    assert await pipe.execute() == [str(n).encode() for n in range(300)]


async def test_a_server_that_does_not_tell_the_records_leaves_no_lock_on_another(
    fleet: Fleet, client: Any
) -> None:
    fake = fake_provider()
    manager = manager_for(fake)
    first, second, _ = fleet.servers

    def is_apart(user_id: str) -> bool:
        places = (tokens_key(user_id, "google"), keys.lock(user_id, "google"))
        return [fleet.owner(key_slot(one.encode())) for one in places] == [first, second]

    user_id = next(name for name in map("u{}".format, range(10_000)) if is_apart(name))
    due = granted(fake, "google")
    await manager.store_token(client, user_id, due)
    first.ask("ACL", "SETUSER", "default", "-get")
    try:
        subject = manager._subject(client, user_id, "google")
        with pytest.raises(StoreUnavailable):
            await refresh.refreshed(manager._services, subject, due)
    finally:
        first.ask("ACL", "SETUSER", "default", "+get")
    assert not await client.exists(keys.lock(user_id, "google"))
