"""Search by account: the people who connected one, for support."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import Answer
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    KEY,
    OTHER_KEY,
    age,
    began,
    connected,
    connection_key,
    dumped,
    fake_provider,
    keys_at,
    manager_for,
)
from tests.kit.redis_wire import wired
from webui.oauth_manager import OAuthManager, Rotation, StoreUnavailable, SwitchOffer
from webui.oauth_manager.storage.account_index import MOST

pytestmark = pytest.mark.anyio

BOTH = f"{OTHER_KEY},{KEY}"


@pytest.fixture
def fake() -> FakeProvider:
    return fake_provider(account={"id": 4711, "login": "Mona-Straße"})


async def found(manager: OAuthManager, redis: Redis, account: str = "4711") -> tuple[str, ...]:
    return await manager.find_accounts(redis, "github", account)


async def index(redis: Redis) -> dict[str, Any]:
    return {key: await redis.hgetall(key) for key in await keys_at(redis, "oauth_account:*")}


class TestFinding:
    @pytest.mark.parametrize(
        "account", ["4711", "Mona-Straße", "mona-straße", "MONA-STRASSE", "mONA-sTRAßE"]
    )
    async def test_goes_by_the_id_or_the_label_in_any_case(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, account: str
    ) -> None:
        await connected(manager, fake, redis, "ann", "github")
        assert await found(manager, redis, account) == ("ann",)

    @pytest.mark.parametrize(
        "account", ["", "471", "47110", " 4711", "mona", "mona-straße ", "*", "4711\0", "\ud800"]
    )
    async def test_is_exact(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, account: str
    ) -> None:
        await connected(manager, fake, redis, "ann", "github")
        assert await found(manager, redis, account) == ()

    async def test_is_within_one_provider(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "github")
        assert await manager.find_accounts(redis, "discord", "4711") == ()
        with pytest.raises(ValueError, match="unknown provider"):
            await manager.find_accounts(redis, "myspace", "4711")

    async def test_tells_an_id_from_a_label_that_reads_alike(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "github")
        fake.account = {"id": 5, "login": "4711"}
        await connected(manager, fake, redis, "ben", "github")
        assert await found(manager, redis) == ("ann", "ben")
        assert await found(manager, redis, "5") == ("ben",)

    async def test_finds_everybody_with_the_account_up_to_a_number(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ben", "github")
        await connected(manager, fake, redis, "ann", "github")
        assert await found(manager, redis) == ("ann", "ben")
        for number in range(MOST):
            await connected(manager, fake, redis, f"u{number}", "github")
        assert len(await found(manager, redis)) == MOST == 11

    async def test_knows_any_user_id(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        for user_id in ("a:b*?", "ann@chat.example", "%2F/\\", "\u202eann"):
            await connected(manager, fake, redis, user_id, "github")
        assert set(await found(manager, redis)) == {
            "a:b*?",
            "ann@chat.example",
            "%2F/\\",
            "\u202eann",
        }

    async def test_knows_whose_access_has_ended(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "github")
        fake.withdraw()
        await age(manager, redis, "ann", "github")
        assert await manager.get_token("ann", "github", redis) is None
        assert await found(manager, redis) == ("ann",)

    async def test_reads_only_and_takes_two_round_trips(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, redis_url: str
    ) -> None:
        await connected(manager, fake, redis, "ann", "github")
        async with wired(redis_url) as (client, wire):
            await client.ping()
            wire.sent.clear()
            assert await found(manager, client) == ("ann",)
            assert wire.round_trips == 2
            commands = {part for data in wire.sent for part in data.split() if part.isupper()}
            assert commands <= {b"HSCAN", b"GET", b"COUNT"}

    async def test_says_so_where_redis_is_away(
        self, manager: OAuthManager, redis: Redis, redis_url: str
    ) -> None:
        async with wired(redis_url) as (away, wire):
            wire.is_down = True
            with pytest.raises(StoreUnavailable):
                await found(manager, away)


class TestTheIndex:
    async def test_follows_a_disconnect(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        for user_id in ("ann", "ben"):
            await connected(manager, fake, redis, user_id, "github")
        await manager.delete_token(redis, "ann", "github")
        assert await found(manager, redis) == ("ben",)
        await manager.delete_token(redis, "ben", "github")
        assert await index(redis) == {}

    async def test_follows_a_disconnect_that_had_to_be_said_twice(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, redis_url: str
    ) -> None:
        await connected(manager, fake, redis, "ann", "github")
        async with wired(redis_url) as (shaky, wire):
            wire.refused = {b"GETDEL": 1}
            await manager.delete_token(shaky, "ann", "github")
        assert await index(redis) == {}

    async def test_follows_a_new_name_of_the_account(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "github")
        fake.account = {"id": 4711, "login": "lisa"}
        await connected(manager, fake, redis, "ann", "github")
        assert await found(manager, redis) == ("ann",)
        assert await found(manager, redis, "lisa") == ("ann",)
        assert await found(manager, redis, "mona-straße") == ()
        assert len(await index(redis)) == 2

    async def test_follows_a_switch_to_another_account(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "github")
        fake.account = {"id": 5, "login": "lisa"}
        attempt, code = await began(manager, fake, redis, "ann", "github")
        offer = await manager.complete(redis, attempt, code)
        assert isinstance(offer, SwitchOffer)
        assert await found(manager, redis, "5") == ()
        assert await manager.switch(redis, "ann", "github", offer=offer.id, use_new=True)
        assert await found(manager, redis) == ()
        assert await found(manager, redis, "LISA") == await found(manager, redis, "5") == ("ann",)
        assert len(await index(redis)) == 2

    async def test_does_not_list_what_a_disconnect_won_against(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "github")
        attempt, code = await began(manager, fake, redis, "ann", "github")

        async def meanwhile(_: object) -> Answer:
            await manager.delete_token(redis, "ann", "github")
            return Answer(200, {}, b'{"id": 4711, "login": "mona"}')

        fake.script("account", meanwhile)
        assert await manager.complete(redis, attempt, code) is None
        assert await index(redis) == {}

    async def test_lists_nobody_where_the_provider_does_not_say_who_it_is(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.script("account", Answer(500))
        await connected(manager, fake, redis, "ann", "github")
        assert await index(redis) == {}

    async def test_is_only_where_to_look(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        """A restored backup may hold less: the records decide."""
        await connected(manager, fake, redis, "ann", "github")
        await redis.delete(connection_key("ann", "github"))
        assert len(await index(redis)) == 2
        assert await found(manager, redis) == ()

    async def test_holds_no_account_and_no_person_in_clear(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.account = {"id": "canary-id", "login": "canary-label"}
        await connected(manager, fake, redis, "ann", "github")
        assert b"canary" not in await dumped(redis)
        held = await index(redis)
        assert len(held) == 2
        for entries in held.values():
            ((field, value),) = entries.items()
            assert b"ann" not in field + value
            assert await redis.ttl(next(iter(held))) == -1

    async def test_cannot_be_asked_without_the_key(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "github")
        assert await found(manager_for(fake, key=OTHER_KEY), redis) == ()

    async def test_entry_moved_to_another_account_finds_nobody(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "github")
        await connected(manager, fake, redis, "ben", "github")
        fake.account = {"id": 5, "login": "lisa"}
        await connected(manager, fake, redis, "carol", "github")
        held = await index(redis)
        (ours, *_), theirs = (
            [key for key, entries in held.items() if len(entries) == count] for count in (1, 2)
        )
        for key in theirs:
            await redis.hset(key, mapping=held[ours])
        assert await found(manager, redis) == ("ann", "ben")


class TestNewKeys:
    async def test_find_what_an_older_key_has_listed(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "github")
        both = manager_for(fake, key=BOTH)
        await connected(both, fake, redis, "ben", "github")
        assert await found(both, redis) == ("ann", "ben")

    async def test_replace_what_an_older_key_has_listed(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "github")
        before = await index(redis)
        both = manager_for(fake, key=BOTH)
        await connected(both, fake, redis, "ann", "github")
        assert before.keys().isdisjoint(await index(redis))
        await both.delete_token(redis, "ann", "github")
        assert await index(redis) == {}

    async def test_take_the_index_over_when_the_records_are_sealed_anew(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        for user_id in ("ann", "ben"):
            await connected(manager, fake, redis, user_id, "github")
        before = await index(redis)
        assert await manager_for(fake, key=BOTH).reseal(redis) == Rotation(4, 0, {})
        after = await index(redis)
        assert before.keys().isdisjoint(after)
        newest = manager_for(fake, key=OTHER_KEY)
        assert await found(newest, redis) == ("ann", "ben")
        assert await manager_for(fake, key=BOTH).reseal(redis) == Rotation(0, 0, {}, new=4)
        assert (await index(redis)).keys() == after.keys()
        assert await found(newest, redis, "MONA-straße") == ("ann", "ben")

    async def test_sealing_anew_lists_what_never_was_and_strikes_off_what_is_no_more(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        for user_id in ("ann", "ben"):
            await connected(manager, fake, redis, user_id, "github")
        for key in await index(redis):
            await redis.delete(key)
        await redis.hset("stargazer:oauth_account:stray", "field", "junk")
        await manager.reseal(redis)
        await redis.delete(connection_key("ben", "github"))
        await manager.reseal(redis)
        assert await found(manager, redis) == ("ann",)
        assert [len(entries) for entries in (await index(redis)).values()] == [1, 1]
