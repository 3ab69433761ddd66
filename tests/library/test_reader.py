"""Reads of one turn of the event loop, against plain GETs; and who is harmed by whom."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis, RedisCluster

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import manager_for
from tests.kit.redis_fleets import one_server
from tests.kit.redis_wire import Wire
from webui.oauth_manager import OAuthManager, StoreUnavailable, TokenData
from webui.oauth_manager.clock import deadline
from webui.oauth_manager.storage import reader
from webui.oauth_manager.storage.calls import FOREIGN, read_text

pytestmark = pytest.mark.anyio

KEYS = [f"k{number}" for number in range(8)]
VALUES = st.one_of(st.none(), st.just(...), st.binary(max_size=20))


async def filled(redis: Redis, values: Sequence[object]) -> None:
    """Values, absent ones (None), and values of another type (...)."""
    await redis.flushall()
    for key, value in zip(KEYS, values, strict=True):
        if isinstance(value, bytes):
            await redis.set(key, value)
        elif value is ...:
            await redis.rpush(key, "a list")


class TestWhatIsRead:
    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(
        st.lists(VALUES, min_size=len(KEYS), max_size=len(KEYS)),
        st.lists(st.lists(st.sampled_from(KEYS), min_size=1, max_size=9), min_size=1, max_size=6),
    )
    async def test_together_is_what_a_get_of_each_reads(
        self, redis: Redis, values: list[object], asked: list[list[str]]
    ) -> None:
        await filled(redis, values)
        together = await asyncio.gather(*(reader.read("read", redis, keys) for keys in asked))
        plain = [[await read_text(redis, key) for key in keys] for keys in asked]
        assert together == plain

    async def test_of_more_keys_than_one_command_has_is_whole(self, redis: Redis) -> None:
        one_server()
        many = {f"m{number}": f"v{number}" for number in range(3 * reader.MOST + 7)}
        await redis.mset(many)
        assert await reader.read("read", redis, list(many)) == list(many.values())
        alone = (reader.read("read", redis, [key]) for key in many)
        assert await asyncio.gather(*alone) == [[value] for value in many.values()]

    async def test_from_a_cluster_is_the_same(self, cluster: RedisCluster) -> None:
        for number in range(30):
            await cluster.set(f"c{number}", number)
        await cluster.rpush("c list", "x")
        keys = [*(f"c{number}" for number in range(30)), "c list", "c none"]
        expected = [*(str(number) for number in range(30)), FOREIGN, ""]
        assert await reader.read("read", cluster, keys) == expected

    async def test_in_one_turn_goes_out_as_one(
        self, client: tuple[Redis, Wire], manager: OAuthManager
    ) -> None:
        redis, wire = client
        for user in "abc":
            await manager.store_token(redis, user, TokenData(user, provider="google"))
        wire.sent.clear()
        found = await asyncio.gather(*(manager.get_token(u, "google", redis) for u in "abcabc"))
        assert found == list("abcabc")
        assert wire.round_trips == 1


class TestADisconnect:
    async def test_counts_for_every_read_that_begins_after_it(
        self, redis: Redis, manager: OAuthManager, fake: FakeProvider
    ) -> None:
        """Nobody joins a read that has been sent: it may have been answered before."""
        other = manager_for(fake)
        for _ in range(200):
            await manager.store_token(redis, "ann", TokenData("a", provider="microsoft"))
            reading = [
                asyncio.create_task(other.get_token("ann", "microsoft", redis)) for _ in range(3)
            ]
            await asyncio.sleep(0)
            await manager.delete_token(redis, "ann", "microsoft")
            assert await other.get_token("ann", "microsoft", redis) is None
            await asyncio.gather(*reading)


class TestHarm:
    async def test_is_done_to_no_other_caller_by_one_who_goes_away(
        self, redis: Redis, manager: OAuthManager
    ) -> None:
        await manager.store_token(redis, "ann", TokenData("a", provider="google"))
        asking = [asyncio.create_task(manager.get_token("ann", "google", redis)) for _ in range(50)]
        await asyncio.sleep(0)
        for task in asking[::2]:
            task.cancel()
        done = await asyncio.gather(*asking, return_exceptions=True)
        assert done[1::2] == ["a"] * 25
        assert all(isinstance(one, asyncio.CancelledError) for one in done[::2])

    async def test_of_a_failure_is_told_to_each_by_the_name_of_its_own_read(
        self, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        wire.is_down = True
        reads = (reader.read(step, redis, ["k"]) for step in ("one", "other"))
        failures = await asyncio.gather(*reads, return_exceptions=True)
        steps = [f.step for f in failures if isinstance(f, StoreUnavailable)]
        assert steps == ["one", "other"]

    async def test_a_frozen_redis_holds_nobody_past_their_deadline(
        self, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        wire.is_frozen = True
        with deadline(0.05), pytest.raises(StoreUnavailable, match="timeout"):
            await reader.read("read", redis, ["k"])

    async def test_a_frozen_redis_holds_nobody_past_the_deadline_of_one_read(
        self, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        wire.is_frozen = True
        reads = (reader.read(step, redis, ["k"]) for step in ("one", "other"))
        failures = await asyncio.gather(*reads, return_exceptions=True)
        assert [str(failure) for failure in failures] == [
            str(StoreUnavailable(step, "timeout")) for step in ("one", "other")
        ]
