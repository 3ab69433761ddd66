"""Fresh connections that Redis stores late, or without an answer: told once, and nothing lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import began, connected, time_passes
from tests.kit.redis_fleets import one_server
from tests.kit.redis_wire import Wire
from webui.oauth_manager import Connection, OAuthManager, StoreUnavailable, SwitchOffer
from webui.oauth_manager.storage import keys

pytestmark = pytest.mark.anyio

CONNECT = b"return -2 end"  # in the script that stores a fresh connection
OLD: dict[str, Any] = {"sub": "1", "email": "old@b.example"}
NEW: dict[str, Any] = {"sub": "2", "email": "new@b.example"}


@pytest.fixture
async def old(manager: OAuthManager, fake: FakeProvider, redis: Redis) -> str:
    """Ann is connected as old@b.example; her access token."""
    fake.account = OLD
    await connected(manager, fake, redis, "ann", "google")
    token = await manager.get_token("ann", "google", redis)
    assert token
    return token


async def late(manager: OAuthManager, fake: FakeProvider, redis: Redis) -> asyncio.Task[Any]:
    """Come back from the provider, and take half a minute before Redis is written to."""
    attempt, code = await began(manager, fake, redis, "ann", "google")
    gate = fake.gate("token")
    coming = asyncio.create_task(manager.complete(redis, attempt, code))
    await gate.reached()
    time_passes(manager, -30)
    gate.open()
    return coming


async def kinds(manager: OAuthManager, redis: Redis) -> list[str]:
    return [event.kind for event in (await manager.activity(redis, "ann")).events]


class TestOneThatComesTooLate:
    async def test_is_told_to_nobody(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, old: str
    ) -> None:
        before = await kinds(manager, redis), await redis.xlen(keys.NOTICES)
        with pytest.raises(StoreUnavailable):
            await (await late(manager, fake, redis))
        assert (await kinds(manager, redis), await redis.xlen(keys.NOTICES)) == before
        assert await manager.get_token("ann", "google", redis) == old

    async def test_leaves_the_account_that_stays_connected_listed(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, old: str
    ) -> None:
        with pytest.raises(StoreUnavailable):
            await (await late(manager, fake, redis))
        assert await manager.get_token("ann", "google", redis) == old
        assert await manager.find_accounts(redis, "google", "1") == ("ann",)
        assert await manager.find_accounts(redis, "google", "old@b.example") == ("ann",)

    async def test_gives_the_account_back_that_waited_for_an_answer(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, old: str
    ) -> None:
        fake.account = NEW
        offer = await manager.complete(redis, *await began(manager, fake, redis, "ann", "google"))
        assert isinstance(offer, SwitchOffer)
        fake.account = OLD
        with pytest.raises(StoreUnavailable):
            await (await late(manager, fake, redis))
        await manager.aclose()
        assert await manager.switch_offer(redis, "ann", "google") is None
        assert not fake.is_alive(offer.token.access_token)
        assert fake.is_alive(old)


async def test_one_in_a_redis_without_room_keeps_the_account_listed_and_gives_back_the_other(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, old: str
) -> None:
    one_server()
    """Such a one removes and does not add."""
    fake.account = NEW
    offer = await manager.complete(redis, *await began(manager, fake, redis, "ann", "google"))
    assert isinstance(offer, SwitchOffer)
    fake.account = OLD
    attempt, code = await began(manager, fake, redis, "ann", "google")
    await redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreUnavailable):
            await manager.complete(redis, attempt, code)
    finally:
        await redis.config_set("maxmemory", "0")
    await manager.aclose()
    assert await manager.get_token("ann", "google", redis) == old
    assert await manager.find_accounts(redis, "google", "1") == ("ann",)
    assert not fake.is_alive(offer.token.access_token)


async def test_one_stored_by_a_second_try_is_told_once_although_redis_told_of_the_first(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, client: tuple[Redis, Wire]
) -> None:
    """A frozen server refuses the late write, and tells of it all the same."""

    async def in_time() -> None:
        time_passes(manager, 30)

    client[1].lost_answers = {CONNECT: 1}
    client[1].ahead = {b"XREVRANGE": in_time}
    assert isinstance(await (await late(manager, fake, client[0])), Connection)
    assert await kinds(manager, redis) == ["connected"]
    assert await redis.xlen(keys.NOTICES) == 1
    assert await manager.get_token("ann", "google", redis)
