"""The records in Redis: how many trips they cost, and what happens when Redis does not answer."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    BUILT_IN,
    NO_REDIS,
    age,
    began,
    callback_query,
    connected,
    granted,
    tokens_key,
)
from tests.kit.redis_fleets import one_server, one_url
from tests.kit.redis_wire import Wire
from webui.oauth_manager import (
    OAuthManager,
    OAuthUnavailable,
    Profile,
    Status,
    StoreUnavailable,
    SwitchOffer,
    TokenData,
)
from webui.oauth_manager.storage import lookup, store
from webui.oauth_manager.values import replace

pytestmark = pytest.mark.anyio

CONNECT = b"return -2 end"  # in the script that stores a fresh connection
LASTING = {"oauth_tokens", "oauth_connection", "oauth_notices"}  # the last one is capped


def kind_of(key: bytes | str) -> str:
    return (key.decode() if isinstance(key, bytes) else key).split(":")[1]


class TestRoundTrips:
    async def test_a_valid_token_costs_one(
        self, manager: OAuthManager, redis: Redis, client: tuple[Redis, Wire]
    ) -> None:
        await manager.store_token(redis, "u1", TokenData("a", provider="github"))
        assert await manager.get_token("u1", "github", client[0]) == "a"
        assert client[1].round_trips == 1

    async def test_asking_whether_there_is_one_costs_one(
        self, manager: OAuthManager, redis: Redis, client: tuple[Redis, Wire]
    ) -> None:
        await manager.store_token(redis, "u1", TokenData("a", provider="github"))
        assert await manager.has_token("u1", "github", client[0])
        assert client[1].round_trips == 1

    async def test_all_connections_cost_one_however_many_there_are(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        client: tuple[Redis, Wire],
    ) -> None:
        for provider in BUILT_IN:
            await connected(manager, fake, redis, "u1", provider)
        assert len(await manager.list_user_connections("u1", client[0])) == 4
        assert client[1].round_trips == 1
        await manager.connections(client[0], "u1")
        await manager.connection(client[0], "u1", "github")
        assert client[1].round_trips == 3

    async def test_a_connect_url_costs_one(
        self, manager: OAuthManager, client: tuple[Redis, Wire]
    ) -> None:
        await manager.generate_connect_url("u1", "github", client[0])
        assert client[1].round_trips == 1
        await manager.begin(client[0], "u1", "github", browser="b")
        assert client[1].round_trips == 3  # what was asked for before is looked up
        await manager.create_link_code(client[0], "u1")
        assert client[1].round_trips == 4

    async def test_a_callback_costs_three(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire]
    ) -> None:
        url = await manager.begin(client[0], "u1", "google", browser="b")
        query = callback_query(fake.authorize(url))
        client[1].sent.clear()
        attempt = await manager.links.take_attempt(client[0], query["state"], "b")
        assert client[1].round_trips == 1
        assert attempt is not None
        await manager.complete(client[0], attempt, query["code"])
        assert client[1].round_trips == 3

    async def test_a_disconnect_costs_four_with_its_notice(
        self, manager: OAuthManager, redis: Redis, client: tuple[Redis, Wire]
    ) -> None:
        await manager.store_token(redis, "u1", TokenData("a", provider="microsoft"))
        await manager.delete_token(client[0], "u1", "microsoft")
        assert client[1].round_trips == 4

    async def test_no_request_ever_walks_the_keys(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        await connected(manager, fake, redis, "u1", "google")
        await age(manager, redis, "u1", "google")
        await manager.get_token("u1", "google", redis)
        await manager.list_user_connections("u1", redis)
        await manager.delete_token(redis, "u1", "google")
        sent = b"".join(wire.sent).upper()
        assert b"$4\r\nKEYS\r\n" not in sent
        assert b"$4\r\nSCAN\r\n" not in sent


class TestLifetimes:
    async def test_a_connection_stays_and_everything_else_runs_out(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "u1", "google")
        await manager.generate_connect_url("u1", "github", redis)
        kinds = {kind_of(key): await redis.ttl(key) for key in await redis.keys()}
        assert {kind for kind, ttl in kinds.items() if ttl == -1} == LASTING

    async def test_after_a_disconnect_nothing_of_the_connection_is_left(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        attempt, code = await began(manager, fake, redis, "u1", "google")
        await manager.complete(redis, attempt, code)
        await age(manager, redis, "u1", "google")
        await manager.get_token("u1", "google", redis)
        await manager.delete_token(redis, "u1", "google")
        left = {kind_of(key): await redis.ttl(key) for key in await redis.keys()}
        assert {kind for kind, ttl in left.items() if ttl == -1} <= {"oauth_notices", "canary"}
        assert "oauth_lock" not in left


class TestRedisAway:
    async def test_every_call_says_so_and_nothing_false(
        self, manager: OAuthManager, redis: Redis, client: tuple[Redis, Wire]
    ) -> None:
        await manager.store_token(redis, "u1", TokenData("a", provider="github"))
        away, wire = client
        wire.is_down = True
        for call in (
            lambda: manager.get_token("u1", "github", away),
            lambda: manager.has_token("u1", "github", away),
            lambda: manager.list_user_connections("u1", away),
            lambda: manager.connection(away, "u1", "github"),
            lambda: manager.store_token(away, "u1", TokenData("b", provider="github")),
            lambda: manager.delete_token(away, "u1", "github"),
            lambda: manager.resolve_link_code(away, "c" * 43),
            lambda: manager.reseal(away),
        ):
            with pytest.raises(StoreUnavailable) as caught:
                await call()
            assert caught.value.__cause__ is None
        wire.is_down = False
        assert await manager.get_token("u1", "github", away) == "a"

    async def test_a_frozen_one_is_given_up(
        self, manager: OAuthManager, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        wire.is_frozen = True
        results = await asyncio.gather(
            manager.get_token("u1", "github", redis),
            manager.list_user_connections("u1", redis),
            manager.delete_token(redis, "u1", "github"),
            manager.generate_connect_url("u1", "github", redis),
            manager.resolve_link_code(redis, "c" * 43),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [StoreUnavailable] * 5
        wire.is_frozen = False
        assert await manager.get_token("u1", "github", redis) is None

    async def test_without_any_client_writing_is_refused(self, manager: OAuthManager) -> None:
        with pytest.raises(StoreUnavailable):
            await manager.delete_token(NO_REDIS, "u1", "github")
        with pytest.raises(StoreUnavailable):
            await manager.connections(NO_REDIS, "u1")
        with pytest.raises(StoreUnavailable):
            await manager.store_token(NO_REDIS, "u1", TokenData("a", provider="github"))

    async def test_it_is_an_unavailability_like_that_of_a_provider(self) -> None:
        assert issubclass(StoreUnavailable, OAuthUnavailable)


class TestRedisRefuses:
    async def test_a_replica_serves_reads_and_fails_writes_visibly(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        one_server()
        await manager.store_token(redis, "u1", TokenData("a", provider="github"))
        attempt, code = await began(manager, fake, redis, "u1", "google")
        state = callback_query(await manager.generate_connect_url("u1", "google", redis))["state"]
        await redis.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]
        try:
            assert await manager.get_token("u1", "github", redis) == "a"
            with pytest.raises(StoreUnavailable):
                await manager.delete_token(redis, "u1", "github")
            with pytest.raises(StoreUnavailable):
                await manager.store_token(redis, "u1", TokenData("b", provider="github"))
            with pytest.raises(StoreUnavailable):
                await manager.links.take_attempt(redis, state)
            with pytest.raises(StoreUnavailable):
                await manager.complete(redis, attempt, code)
        finally:
            await redis.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]
        assert await manager.get_token("u1", "github", redis) == "a"
        assert not await manager.has_token("u1", "google", redis)

    async def test_a_full_one_serves_reads_and_fails_writes_visibly(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        one_server()
        await manager.store_token(redis, "u1", TokenData("a", provider="github"))
        attempt, code = await began(manager, fake, redis, "u1", "google")
        await redis.config_set("maxmemory", "1")
        try:
            assert await manager.get_token("u1", "github", redis) == "a"
            with pytest.raises(StoreUnavailable):
                await manager.store_token(redis, "u1", TokenData("b", provider="github"))
            with pytest.raises(StoreUnavailable):
                await manager.generate_connect_url("u1", "github", redis)
            with pytest.raises(StoreUnavailable):
                await manager.complete(redis, attempt, code)
        finally:
            await redis.config_set("maxmemory", "0")
        assert await manager.get_token("u1", "github", redis) == "a"
        assert not await manager.has_token("u1", "google", redis)

    async def test_an_error_of_redis_is_never_taken_for_a_mistyped_key(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        one_server()
        await redis.execute_command("ACL", "SETUSER", "default", "-get", "-mget", "-getdel")  # type: ignore[no-untyped-call]
        try:
            with pytest.raises(StoreUnavailable):
                await manager.get_token("u1", "github", redis)
            with pytest.raises(StoreUnavailable):
                await manager.connections(redis, "u1")
            with pytest.raises(StoreUnavailable):
                await manager.delete_token(redis, "u1", "github")
        finally:
            await redis.execute_command("ACL", "SETUSER", "default", "+get", "+mget", "+getdel")  # type: ignore[no-untyped-call]
        assert await manager.get_token("u1", "github", redis) is None


class TestLostWhileConnecting:
    async def test_redis_gone_before_the_save_takes_the_grant_back_and_connects_nothing(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        attempt, code = await began(manager, fake, redis, "u1", "google")
        wire.refused = {CONNECT: 2}
        with pytest.raises(StoreUnavailable):
            await manager.complete(redis, attempt, code)
        assert fake.calls["revoke"] == 1
        assert not any(fake.is_alive(secret) for secret in fake.issued)
        assert not await manager.has_token("u1", "google", redis)

    async def test_a_reconnection_that_cannot_be_saved_leaves_the_old_one_alone(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire]
    ) -> None:
        """At three of four providers, revoking the new grant would end the old one too."""
        redis, wire = client
        await connected(manager, fake, redis, "u1", "google")
        old = await manager.get_token("u1", "google", redis)
        attempt, code = await began(manager, fake, redis, "u1", "google")
        wire.refused = {CONNECT: 2}
        with pytest.raises(StoreUnavailable):
            await manager.complete(redis, attempt, code)
        assert fake.calls["revoke"] == 0
        assert await manager.get_token("u1", "google", redis) == old

    async def test_one_refused_write_is_made_good(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        wire.refused = {CONNECT: 1}
        assert (await connected(manager, fake, redis, "u1", "google")).status is Status.CONNECTED
        assert fake.calls["revoke"] == 0

    async def test_a_write_whose_answer_was_lost_counts(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        wire.lost_answers = {CONNECT: 1}
        assert (await connected(manager, fake, redis, "u1", "google")).status is Status.CONNECTED
        token = await manager.get_token("u1", "google", redis)
        assert token is not None
        assert fake.is_alive(token)

    async def test_a_reconnection_whose_answer_was_lost_counts_too(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        await connected(manager, fake, redis, "u1", "google")
        wire.lost_answers = {CONNECT: 1}
        assert (await connected(manager, fake, redis, "u1", "google")).status is Status.CONNECTED
        assert fake.calls["revoke"] == 0

    async def test_a_cancelled_callback_finishes_as_a_whole(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        attempt, code = await began(manager, fake, redis, "u1", "google")
        gate = fake.gate("token")
        caller = asyncio.create_task(manager.complete(redis, attempt, code))
        await gate.reached()
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        gate.open()
        await manager.aclose()
        token = await manager.get_token("u1", "google", redis)
        assert token is not None
        assert fake.is_alive(token)


class NothingElse:
    """Nothing more is written along."""

    def queue(self, pipe: Any) -> None: ...

    def answered(self, answers: Any) -> None: ...


class TestAWriteThatComesTooLate:
    async def test_is_refused_by_redis_itself(self, manager: OAuthManager, redis: Redis) -> None:
        """Its sender has given up by then, told the person so and revoked the grant."""
        place = manager._storage, manager._subject(redis, "u1", "google")
        token = TokenData("late", provider="google")
        before = await lookup.read_for_writing(*place)
        an_hour_ago = replace(before, clock_ahead=before.clock_ahead - 3_600_000)
        write = partial(store.connect, *place, token, Profile())
        with pytest.raises(StoreUnavailable, match="too_late"):
            await write(an_hour_ago, NothingElse())
        assert not await manager.has_token("u1", "google", redis)
        assert await write(before, NothingElse())
        assert await manager.has_token("u1", "google", redis)


class TestNobodyGetsAnothersToken:
    async def test_under_random_cancellation(
        self, manager: OAuthManager, redis_url: str, redis: Redis
    ) -> None:
        people = [f"u{n}" for n in range(60)]
        for user_id in people:
            await manager.store_token(redis, user_id, TokenData(f"of-{user_id}", provider="github"))

        async def read(client: Redis, user_id: str, number: int) -> str | None:
            task = asyncio.ensure_future(manager.get_token(user_id, "github", client))
            for _ in range(number % 7):
                await asyncio.sleep(0)
            if number % 3 == 0:
                task.cancel()
            result = (await asyncio.gather(task, return_exceptions=True))[0]
            return None if isinstance(result, BaseException) else result

        async with Redis.from_url(one_url(redis_url), max_connections=200) as client:
            for _ in range(5):
                got = await asyncio.gather(
                    *(read(client, user_id, number) for number, user_id in enumerate(people))
                )
                assert all(
                    token in (None, f"of-{user_id}")
                    for user_id, token in zip(people, got, strict=True)
                )
            final = await asyncio.gather(
                *(manager.get_token(user_id, "github", client) for user_id in people)
            )
        assert final == [f"of-{user_id}" for user_id in people]


async def connected_over(manager: OAuthManager, fake: FakeProvider, redis: Redis) -> None:
    """Come back as what may be another account, and use that."""
    attempt, code = await began(manager, fake, redis, "u1", "google")
    offer = await manager.complete(redis, attempt, code)
    assert isinstance(offer, SwitchOffer)
    assert await manager.switch(redis, "u1", "google", offer=offer.id, use_new=True)


class TestAccounts:
    async def test_who_connected_is_kept_beside_the_tokens(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "u1", "github")
        connection = await manager.connection(redis, "u1", "github")
        assert (connection.profile.account.id, connection.profile.account.label) == ("42", "mona")
        assert connection.profile.connected_at > 0
        assert connection.profile.requested_scopes == ("read:user",)
        (entry,) = await manager.list_user_connections("u1", redis)
        assert (entry["account"], entry["label"]) == (None, "mona")

    async def test_an_omitted_refresh_token_is_kept_for_the_same_account(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.account = {"sub": "1", "email": "a@b.example"}
        await connected(manager, fake, redis, "u1", "google")
        first = await manager.valid_token(redis, "u1", "google")
        fake.gives_refresh_token = False
        await connected(manager, fake, redis, "u1", "google")
        second = await manager.valid_token(redis, "u1", "google")
        assert first is not None
        assert second is not None
        assert first.access_token != second.access_token
        assert first.refresh_token == second.refresh_token != ""

    async def test_and_dropped_for_an_unknown_one(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.account = {"sub": "1", "email": "a@b.example"}
        await connected(manager, fake, redis, "u1", "google")
        fake.gives_refresh_token = False
        fake.account = {"email": "a@b.example"}
        await connected_over(manager, fake, redis)
        token = await manager.valid_token(redis, "u1", "google")
        assert token is not None
        assert token.refresh_token == ""

    @pytest.mark.parametrize("use_new", [True, False])
    async def test_another_one_replaces_nothing_before_the_person_has_chosen(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, use_new: bool
    ) -> None:
        fake.account = {"sub": "1", "email": "old@b.example"}
        await connected(manager, fake, redis, "u1", "google")
        old = await manager.valid_token(redis, "u1", "google")
        fake.gives_refresh_token = False
        fake.account = {"sub": "2", "email": "new@b.example"}
        attempt, code = await began(manager, fake, redis, "u1", "google")
        offer = await manager.complete(redis, attempt, code)
        assert isinstance(offer, SwitchOffer)
        assert (offer.old.label, offer.new.label) == ("old@b.example", "new@b.example")
        assert await manager.valid_token(redis, "u1", "google") == old
        assert old is not None

        await manager.switch(redis, "u1", "google", offer=offer.id, use_new=use_new)

        token = await manager.valid_token(redis, "u1", "google")
        assert token is not None
        assert await manager.switch_offer(redis, "u1", "google") is None
        connection = await manager.connection(redis, "u1", "google")
        if use_new:
            assert connection.profile.account.label == "new@b.example"
            assert token.refresh_token == ""
            assert not fake.is_alive(old.access_token)
        else:
            assert token == old
            assert not fake.is_alive(offer.token.access_token)

    async def test_two_accounts_without_an_id_are_never_the_same(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.account = {"email": "a@b.example"}
        await connected(manager, fake, redis, "u1", "google")
        fake.gives_refresh_token = False
        await connected_over(manager, fake, redis)
        token = await manager.valid_token(redis, "u1", "google")
        assert token is not None
        assert token.refresh_token == ""

    async def test_a_reconnection_never_revokes_the_grant_before(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "u1", "google")
        await connected(manager, fake, redis, "u1", "google")
        assert fake.calls["revoke"] == 0

    async def test_fewer_scopes_than_asked_are_shown_as_missing(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.scope = "openid,other"
        connection = await connected(manager, fake, redis, "u1", "google")
        assert connection.scopes == ("openid", "other")
        assert connection.missing_scopes == ("email",)

    async def test_a_token_stored_by_hand_after_the_end_of_a_grant_is_connected(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        fake.withdraw()
        assert await manager.get_token("u1", "google", redis) is None
        assert (await manager.connection(redis, "u1", "google")).status is Status.RECONNECT_NEEDED
        await manager.store_token(redis, "u1", granted(fake, "google", expires_at=4e9))
        assert (await manager.connection(redis, "u1", "google")).status is Status.CONNECTED
        assert await redis.exists(tokens_key("u1", "google"))
