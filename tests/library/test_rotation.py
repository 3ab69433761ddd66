"""Rotation in pages: few round trips, nothing lost between them, on every kind of server."""

from __future__ import annotations

from contextlib import suppress

import pytest
from redis.asyncio import Redis, RedisCluster

from tests.kit.fake_answers import error_answer
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    KEY,
    OTHER_KEY,
    connected,
    connection_key,
    keys_at,
    manager_for,
    subject,
    text_at,
    time_passes,
    tokens_key,
)
from tests.kit.redis_wire import Wire
from webui.oauth_manager import OAuthManager, RevokeOutcome, Rotation, StoreUnavailable, TokenData
from webui.oauth_manager.journal import activity
from webui.oauth_manager.journal.activity import Event
from webui.oauth_manager.models import Account, Profile
from webui.oauth_manager.storage import account_index, erasures, keys, records
from webui.oauth_manager.storage.calls import RedisClient
from webui.oauth_manager.storage.keys import check_user_id
from webui.oauth_manager.storage.sealer import Sealer

pytestmark = pytest.mark.anyio

BOTH = f"{OTHER_KEY},{KEY}"
CANARY = "stargazer:canary"
MATRIX = "@ann:example.org"  # the older system wrote it into its key as it is


@pytest.fixture
def rotating(fake: FakeProvider) -> OAuthManager:
    """A process with a new key before the one that sealed the records."""
    return manager_for(fake, key=BOTH)


async def put_people(manager: OAuthManager, redis: RedisClient, count: int) -> None:
    """People p0, p1, ... who are connected with Google as accounts of their own."""
    storage = manager._storage
    pipe = redis.pipeline(transaction=False)
    for n in range(count):
        place, account = subject(redis, f"p{n}"), Account(str(n), f"mona{n}")
        tokens, beside = place.record_keys
        pipe.set(tokens, records.seal_token(storage, place, TokenData(f"access-{n}")))
        pipe.set(beside, records.seal_profile(storage, place, Profile(account)))
        account_index.add(storage, pipe, place, account)
    await pipe.execute()


async def sealed_by(redis: Redis) -> set[str]:
    """The keys whose seals the records of everybody carry."""
    names = await keys_at(redis, "oauth_[ct]o*")
    texts = [await text_at(redis, name) for name in names]
    return {known for known in (KEY, OTHER_KEY) if any(Sealer(known).fits(t) for t in texts)}


class TestPages:
    async def test_of_thousands_of_records_cost_a_round_trip_for_hundreds(
        self,
        manager: OAuthManager,
        rotating: OAuthManager,
        redis: Redis,
        client: tuple[Redis, Wire],
    ) -> None:
        await put_people(manager, redis, 1200)
        assert await rotating.reseal(client[0]) == Rotation(2400, 0, {})
        assert await sealed_by(redis) == {OTHER_KEY}
        # Walking all keys is a trip for each 500 of them, three times over.
        assert client[1].round_trips < 80
        assert len(await keys_at(redis, "oauth_account:*")) == 2400
        retired = manager_for(FakeProvider(), key=OTHER_KEY)
        assert await retired.find_accounts(redis, "google", "mona777") == ("p777",)

    async def test_send_the_script_to_a_server_that_has_forgotten_it(
        self,
        manager: OAuthManager,
        rotating: OAuthManager,
        redis: Redis,
        client: tuple[Redis, Wire],
    ) -> None:
        await put_people(manager, redis, 3)

        async def forget() -> None:
            await redis.script_flush()

        client[1].ahead[b"EVALSHA"] = forget
        assert await rotating.reseal(client[0]) == Rotation(6, 0, {})
        assert await sealed_by(redis) == {OTHER_KEY}

    async def test_hold_what_is_sound_and_what_is_not_side_by_side(
        self, manager: OAuthManager, rotating: OAuthManager, redis: Redis
    ) -> None:
        await put_people(manager, redis, 20)
        await redis.set(tokens_key("p3", "google"), "junk")
        await redis.delete(tokens_key("p4", "google"))
        await redis.lpush(tokens_key("p4", "google"), "junk")
        await redis.set(tokens_key("p5", "google"), "")
        await redis.set(tokens_key("p6", "google"), "moving:" + "0" * 32)
        await redis.set(b"stargazer:oauth_tokens:\xff:google", "junk")
        rotated = await rotating.reseal(redis)
        assert (rotated.done, rotated.moved) == (36, 0)
        assert set(rotated.left) == {
            tokens_key("p3", "google"),
            tokens_key("p4", "google"),
            "stargazer:oauth_tokens:\ufffd:google",
        }
        assert "junk" not in repr(rotated)

    async def test_leave_a_record_that_never_stays_the_same_to_who_changes_it(
        self,
        manager: OAuthManager,
        rotating: OAuthManager,
        redis: Redis,
        client: tuple[Redis, Wire],
    ) -> None:
        """The rest of its page is sealed, and the canary is not."""
        await manager.settle(redis)
        await put_people(manager, redis, 5)
        canary = await text_at(redis, CANARY)

        async def overtake(_: int) -> bool:
            await manager.store_token(redis, "p0", TokenData("newer", provider="google"))
            return False

        client[1].before = overtake
        assert await rotating.reseal(client[0]) == Rotation(9, 0, {}, changed=1)
        assert await text_at(redis, CANARY) == canary
        assert Sealer(KEY).fits(await text_at(redis, tokens_key("p0", "google")))
        assert Sealer(OTHER_KEY).fits(await text_at(redis, tokens_key("p1", "google")))

    async def test_never_bring_back_what_was_disconnected_meanwhile(
        self,
        manager: OAuthManager,
        rotating: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        client: tuple[Redis, Wire],
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")

        async def disconnect() -> None:
            await manager.delete_token(redis, "ann", "google")

        client[1].ahead[b"EVALSHA"] = disconnect
        await rotating.reseal(client[0])
        assert await keys_at(redis, "oauth_[ct]o*") == []
        assert await keys_at(redis, "oauth_account:*") == []

    async def test_are_safe_to_interrupt_at_any_step(
        self,
        manager: OAuthManager,
        rotating: OAuthManager,
        redis: Redis,
        client: tuple[Redis, Wire],
    ) -> None:
        await put_people(manager, redis, 2)
        await rotating.reseal(client[0])
        steps = client[1].round_trips
        assert steps > 5
        for step in range(steps):
            await redis.flushall()
            await put_people(manager, redis, 2)
            client[1].is_down, client[1].dies_after = False, step + 1
            with suppress(StoreUnavailable):
                await rotating.reseal(client[0])
            client[1].is_down, client[1].dies_after = False, None
            for n in range(2):
                assert await rotating.get_token(f"p{n}", "google", redis) == f"access-{n}"
            rotated = await rotating.reseal(redis)
            assert (rotated.done + rotated.new, rotated.is_whole) in ((4, True), (0, True))
            assert await sealed_by(redis) == {OTHER_KEY}
            assert await rotating.find_accounts(redis, "google", "mona1") == ("p1",)

    async def test_take_over_connections_with_a_provider_that_is_configured_no_more(
        self, manager: OAuthManager, rotating: OAuthManager, redis: Redis
    ) -> None:
        await put_people(manager, redis, 2)
        google = rotating.providers.pop("google")
        assert await rotating.reseal(redis) == Rotation(4, 0, {})
        retired = manager_for(FakeProvider(), key=OTHER_KEY)
        assert retired.providers["google"].name == google.name
        assert await retired.find_accounts(redis, "google", "mona1") == ("p1",)

    async def test_remove_many_stray_entries_of_one_account(
        self, manager: OAuthManager, rotating: OAuthManager, redis: Redis
    ) -> None:
        await put_people(manager, redis, 1)
        (key, *_) = await keys_at(redis, "oauth_account:*")
        await redis.hset(key, mapping={f"field{n}": "junk" for n in range(1500)})
        await rotating.reseal(redis)
        entries = [await redis.hlen(key) for key in await keys_at(redis, "oauth_account:*")]
        assert entries == [1, 1]


async def told(manager: OAuthManager, redis: RedisClient, user_id: str) -> list[str]:
    page = await manager.activity(redis, user_id, size=200)
    return [f"{event.kind} {event.at:.0f}" for event in page.events]


class TestWhatLiesBesideConnections:
    """Without the older key it is read as before."""

    @pytest.mark.parametrize("count", [1, 20, 150])  # a list, and a stream
    async def test_events_are_sealed_anew_in_their_order(
        self,
        manager: OAuthManager,
        rotating: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        count: int,
    ) -> None:
        storage = manager._storage
        user_id = check_user_id("ann")
        for at in range(count):
            await activity.put(storage, redis, user_id, Event("used", "google", "bot", at))
        before, life = await told(manager, redis, "ann"), await redis.pttl(keys.events("ann"))
        time_passes(rotating, 120)
        found = await rotating.reseal(redis)
        assert (found.beside, found.blind, found.is_whole) == (count, 0, True)
        retired = manager_for(fake, key=OTHER_KEY)
        assert await told(retired, redis, "ann") == before
        assert len(before) == count
        assert life - 60_000 < await redis.pttl(keys.events("ann")) <= life
        assert (await rotating.reseal(redis)).beside == 0
        await activity.put(retired._storage, redis, user_id, Event("used", "google", "bot", 999))
        assert await told(retired, redis, "ann") == ["used 999", *before]

    async def test_an_event_of_just_now_is_left_to_who_may_still_replace_it(
        self, manager: OAuthManager, rotating: OAuthManager, redis: Redis
    ) -> None:
        event = Event("disconnected", "google", "web", 5.0, "asking")
        await activity.put(manager._storage, redis, check_user_id("ann"), event)
        found = await rotating.reseal(redis)
        assert (found.beside, found.is_whole) == (0, True)
        assert await activity.find(manager._storage, redis, check_user_id("ann"), event)

    async def test_what_no_key_opens_is_counted_and_hinders_nothing(
        self, manager: OAuthManager, rotating: OAuthManager, redis: Redis
    ) -> None:
        await redis.rpush(keys.events("ann"), "5-0 damaged", "no entry")
        await redis.set(keys.events("ben"), "of another type")
        await redis.set(keys.revoke("ann", "google"), "damaged")
        time_passes(rotating, 120)
        found = await rotating.reseal(redis)
        assert (found.beside, found.is_whole) == (0, True)
        assert found.blind >= 1
        assert await redis.lrange(keys.events("ann"), 0, -1) == [b"5-0 damaged", b"no entry"]

    async def test_held_tokens_ask_the_provider_once_more(
        self, manager: OAuthManager, rotating: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")
        fake.script("revoke", error_answer("server_error", 503))
        await manager.delete_token(redis, "ann", "google")
        life = await redis.pttl(keys.revoke("ann", "google"))
        found = await rotating.reseal(redis)
        assert found.beside >= 1
        assert life - 60_000 < await redis.pttl(keys.revoke("ann", "google")) <= life
        retired = manager_for(fake, key=OTHER_KEY)
        ending = await retired.ask_again(redis, "ann", "google")
        assert ending
        assert (await ending.result).at_provider is RevokeOutcome.REVOKED

    async def test_held_tokens_with_which_somebody_asks_just_now_are_left_to_them(
        self, manager: OAuthManager, rotating: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")
        gate = fake.gate("revoke")
        ending = await manager.disconnect(redis, "ann", "google", by="web")
        await gate.reached()
        assert (await rotating.reseal(redis)).beside == 0
        gate.open()
        assert (await ending.result).at_provider is RevokeOutcome.REVOKED
        assert not await redis.exists(keys.revoke("ann", "google"))

    async def test_an_erasure_that_is_not_over_is_taken_up_with_the_new_key_alone(
        self, manager: OAuthManager, rotating: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.begin_erasure(redis, "ann", is_taken_up=True)
        await rotating.reseal(redis)
        retired = manager_for(fake, key=OTHER_KEY)
        (left,) = await erasures.unfinished(retired._storage, redis)
        assert (left.user_id, left.is_walk_left) == ("ann", False)
        assert await redis.hlen(keys.ERASING) == 1
        await rotating.reseal(redis)
        assert await erasures.unfinished(retired._storage, redis) == [left]


async def test_a_cluster_is_rotated_too(
    manager: OAuthManager, rotating: OAuthManager, cluster: RedisCluster
) -> None:
    await put_people(manager, cluster, 700)
    for n in range(60):
        place = manager._storage, cluster, check_user_id(f"p{n}")
        await activity.put(*place, Event("used", "google", "bot", n))
    time_passes(rotating, 120)
    legacy = Sealer(KEY).fernet
    assert legacy
    await cluster.set(tokens_key(MATRIX, "google"), legacy.encrypt(b'{"access_token":"older"}'))
    await cluster.set(tokens_key("p3", "google"), "junk")
    await cluster.lpush(tokens_key("p4", "github"), "junk")
    await cluster.set("stargazer:oauth_account:stray", "no hash")
    rotated = await rotating.reseal(cluster)
    # The one that is moved may be met once more, under its new name.
    assert (rotated.done in (1400, 1401), rotated.moved) == (True, 1)
    assert set(rotated.left) == {
        tokens_key("p3", "google"),
        tokens_key("p4", "github"),
        "stargazer:oauth_account:stray",
    }
    retired = manager_for(FakeProvider(), key=OTHER_KEY, strict=True)
    assert rotated.beside == 60
    assert await told(retired, cluster, "p59") == ["used 59"]
    assert await retired.get_token(MATRIX, "google", cluster) == "older"
    assert await retired.get_token("p699", "google", cluster) == "access-699"
    assert Sealer(OTHER_KEY).fits(await cluster.get(connection_key("p3", "google")) or "")
    assert await retired.find_accounts(cluster, "google", "mona5") == ("p5",)
