"""Coming back from the provider as somebody else: the person chooses, once, and one grant ends."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import OTHER_KEY, began, connected, dumped, keys_at, manager_for, put_copy
from tests.kit.redis_wire import Wire
from webui.oauth_manager import Connection, OAuthManager, StoreUnavailable, SwitchOffer, TokenData
from webui.oauth_manager.storage.keys import PARKED_TTL

pytestmark = pytest.mark.anyio

OFFER = "stargazer:oauth_switch:ann:google"


@pytest.fixture
async def old(manager: OAuthManager, fake: FakeProvider, redis: Redis) -> TokenData:
    """Ann is connected as old@b.example."""
    fake.account = {"sub": "1", "email": "old@b.example"}
    await connected(manager, fake, redis, "ann", "google")
    token = await manager.valid_token(redis, "ann", "google")
    assert token
    return token


@pytest.fixture
async def offer(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, old: TokenData
) -> SwitchOffer:
    """She comes back as new@b.example."""
    return await offered(manager, fake, redis)


async def offered(
    manager: OAuthManager, fake: FakeProvider, redis: Any, number: int = 2
) -> SwitchOffer:
    fake.account = {"sub": str(number), "email": f"new{number}@b.example"}
    attempt, code = await began(manager, fake, redis, "ann", "google")
    result = await manager.complete(redis, attempt, code)
    assert isinstance(result, SwitchOffer)
    return result


async def label(manager: OAuthManager, redis: Any) -> str:
    return (await manager.connection(redis, "ann", "google")).profile.account.label


async def kinds(manager: OAuthManager, redis: Any) -> list[str]:
    return [event.kind for event in (await manager.activity(redis, "ann")).events]


class TestAnOffer:
    async def test_names_both_accounts_and_shows_no_token(
        self, manager: OAuthManager, redis: Redis, offer: SwitchOffer
    ) -> None:
        found = await manager.switch_offer(redis, "ann", "google")
        assert found == offer
        assert (offer.old.label, offer.new.label) == ("old@b.example", "new2@b.example")
        assert offer.token.access_token not in repr(found)

    async def test_waits_sealed_and_for_minutes_alone(
        self, redis: Redis, fake: FakeProvider, offer: SwitchOffer
    ) -> None:
        assert offer.until - time.time() <= PARKED_TTL
        everything = await dumped(redis)
        assert b"new2@b.example" not in everything
        assert not any(secret.encode() in everything for secret in fake.issued)

    async def test_is_of_one_person_and_one_provider(
        self, manager: OAuthManager, redis: Redis, offer: SwitchOffer
    ) -> None:
        await put_copy(redis, OFFER, "stargazer:oauth_switch:ben:google")
        await put_copy(redis, OFFER, "stargazer:oauth_switch:ann:github")
        assert await manager.switch_offer(redis, "ben", "google") is None
        assert await manager.switch_offer(redis, "ann", "github") is None
        assert await manager.switch(redis, "ben", "google", offer=offer.id, use_new=True) is None
        assert await manager.switch_offer(redis, "ann", "google") == offer

    @pytest.mark.parametrize("value", ["", "nonsense", "{}", "ID:", "ID:x", ":x", "x" * 300_000])
    async def test_that_cannot_be_read_is_none(
        self, manager: OAuthManager, redis: Redis, value: str
    ) -> None:
        await redis.set(OFFER, value)
        assert await manager.switch_offer(redis, "ann", "google") is None
        for named in ("ID", "", value):
            assert await manager.switch(redis, "ann", "google", offer=named, use_new=True) is None

    async def test_of_another_type_in_redis_is_none_and_is_written_over(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, old: TokenData
    ) -> None:
        await redis.sadd(OFFER, "something")
        assert await manager.switch(redis, "ann", "google", offer="x", use_new=True) is None
        newest = await offered(manager, fake, redis)
        assert await manager.switch_offer(redis, "ann", "google") == newest

    async def test_sealed_with_another_key_is_none(
        self, fake: FakeProvider, redis: Redis, offer: SwitchOffer
    ) -> None:
        other = manager_for(fake, key=OTHER_KEY)
        assert await other.switch_offer(redis, "ann", "google") is None

    async def test_is_replaced_by_a_newer_one(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, offer: SwitchOffer
    ) -> None:
        newer = await offered(manager, fake, redis, 3)
        assert await manager.switch_offer(redis, "ann", "google") == newer
        assert len(await keys_at(redis, "oauth_switch:*")) == 1

    async def test_that_cannot_be_kept_gives_the_new_grant_back_and_leaves_the_old_one(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        client: tuple[Redis, Wire],
        old: TokenData,
    ) -> None:
        client[1].refused[b"oauth_switch"] = 1
        with pytest.raises(StoreUnavailable):
            await offered(manager, fake, client[0])
        assert fake.calls["revoke"] == 1
        assert fake.is_alive(old.access_token)
        assert await manager.valid_token(client[0], "ann", "google") == old

    async def test_of_the_same_account_is_never_made(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, old: TokenData
    ) -> None:
        fake.account = {"sub": "1", "email": "renamed@b.example"}
        await connected(manager, fake, redis, "ann", "google")
        assert await label(manager, redis) == "renamed@b.example"
        assert not await redis.exists(OFFER)


class TestTheNewAccount:
    async def test_takes_the_place_of_the_old_one_whose_grant_ends(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        old: TokenData,
        offer: SwitchOffer,
    ) -> None:
        connection = await manager.switch(redis, "ann", "google", offer=offer.id, use_new=True)
        assert isinstance(connection, Connection)
        assert connection.profile.account == offer.new
        assert await manager.valid_token(redis, "ann", "google") == offer.token
        assert fake.is_alive(offer.token.access_token)
        await manager.aclose()
        assert not fake.is_alive(old.access_token)
        event = (await manager.activity(redis, "ann")).events[0]
        assert event.kind == "account_switched"
        assert (event.account, event.was) == (offer.new.label, offer.old.label)

    async def test_is_refused_by_a_disconnect_meanwhile(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        old: TokenData,
        offer: SwitchOffer,
    ) -> None:
        await manager.delete_token(redis, "ann", "google")
        assert await manager.switch(redis, "ann", "google", offer=offer.id, use_new=True) is None
        assert not await manager.has_token("ann", "google", redis)
        assert not any(fake.is_alive(token) for token in fake.issued)
        assert not await redis.exists(OFFER)

    async def test_is_refused_by_a_disconnect_that_the_choice_has_overtaken(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, offer: SwitchOffer
    ) -> None:
        taken = await redis.get(OFFER)
        await manager.delete_token(redis, "ann", "google")
        await redis.set(OFFER, taken or b"")
        assert await manager.switch(redis, "ann", "google", offer=offer.id, use_new=True) is None
        assert not await manager.has_token("ann", "google", redis)
        assert not any(fake.is_alive(token) for token in fake.issued)

    async def test_does_not_wait_for_the_old_ones_provider(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        old: TokenData,
        offer: SwitchOffer,
    ) -> None:
        gate = fake.gate("revoke")
        assert await manager.switch(redis, "ann", "google", offer=offer.id, use_new=True)
        assert await manager.valid_token(redis, "ann", "google") == offer.token
        gate.open()
        await manager.aclose()
        assert not fake.is_alive(old.access_token)


class TestTheOldAccount:
    async def test_stays_and_the_new_grant_ends(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        old: TokenData,
        offer: SwitchOffer,
    ) -> None:
        before = await kinds(manager, redis)
        assert await manager.switch(redis, "ann", "google", offer=offer.id, use_new=False) is None
        assert await manager.valid_token(redis, "ann", "google") == old
        assert fake.is_alive(old.access_token)
        assert not fake.is_alive(offer.token.access_token)
        assert await kinds(manager, redis) == before

    async def test_is_refreshed_while_the_offer_waits(
        self, manager: OAuthManager, redis: Redis, old: TokenData, offer: SwitchOffer
    ) -> None:
        await manager.store_token(redis, "ann", TokenData(**{**old.to_dict(), "expires_at": 5.0}))
        assert await manager.get_token("ann", "google", redis) not in (None, old.access_token)
        assert await label(manager, redis) == "old@b.example"
        assert await manager.switch_offer(redis, "ann", "google") == offer


class TestAChoice:
    @pytest.mark.parametrize("use_new", [True, False])
    async def test_is_made_once_however_often_it_is_pressed(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        offer: SwitchOffer,
        use_new: bool,
    ) -> None:
        found = await asyncio.gather(
            *(
                manager.switch(redis, "ann", "google", offer=offer.id, use_new=use_new)
                for _ in range(5)
            )
        )
        assert len([connection for connection in found if connection]) == use_new
        await manager.aclose()
        assert fake.calls["revoke"] == 1
        assert await manager.switch_offer(redis, "ann", "google") is None

    async def test_without_an_offer_changes_nothing(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, old: TokenData
    ) -> None:
        for named in ("", "x" * 43):
            for choice in (True, False):
                chosen = manager.switch(redis, "ann", "google", offer=named, use_new=choice)
                assert await chosen is None
        assert await manager.valid_token(redis, "ann", "google") == old
        assert not fake.calls["revoke"]

    async def test_is_carried_out_although_its_caller_goes_away(
        self,
        manager: OAuthManager,
        redis: Redis,
        client: tuple[Redis, Wire],
        offer: SwitchOffer,
    ) -> None:
        choosing = asyncio.create_task(
            manager.switch(client[0], "ann", "google", offer=offer.id, use_new=True)
        )
        await client[1].carried(lambda data: offer.id.encode() in data)
        choosing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await choosing
        await manager.aclose()
        assert await manager.valid_token(redis, "ann", "google") == offer.token

    async def test_without_redis_is_refused_and_ends_no_grant(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        client: tuple[Redis, Wire],
        offer: SwitchOffer,
    ) -> None:
        client[1].is_down = True
        for use_new in (True, False):
            with pytest.raises(StoreUnavailable):
                await manager.switch(client[0], "ann", "google", offer=offer.id, use_new=use_new)
        with pytest.raises(StoreUnavailable):
            await manager.switch_offer(client[0], "ann", "google")
        assert not fake.calls["revoke"]
