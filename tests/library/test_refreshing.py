"""One refresh for a connection, whoever asks, and nothing that comes back from the dead."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.kit.fake_answers import Answer, error_answer, json_answer
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    OVER,
    age,
    began,
    connected,
    connection_key,
    fake_provider,
    granted,
    manager_for,
    opened,
    soon,
    text_at,
    tokens_key,
)
from tests.kit.redis_wire import Wire
from webui.oauth_manager import (
    Connection,
    OAuthError,
    OAuthManager,
    OAuthMisconfigured,
    OAuthUnavailable,
    RecordUnreadable,
    Status,
    StoreUnavailable,
    TokenData,
)
from webui.oauth_manager.flows import refresh
from webui.oauth_manager.values import replace

pytestmark = pytest.mark.anyio

LOCK = "stargazer:oauth_lock:u1:google"
SAVING = b"unpack(ARGV[3]"  # in the script that replaces refreshed tokens


async def get(manager: OAuthManager, redis: Redis) -> str | None:
    return await manager.get_token("u1", "google", redis)


async def status(manager: OAuthManager, redis: Redis) -> Status:
    return (await manager.connection(redis, "u1", "google")).status


async def nothing_left(redis: Redis) -> bool:
    return not await redis.exists(tokens_key("u1", "google"), connection_key("u1", "google"), LOCK)


class TestOneRefresh:
    async def test_a_hundred_tasks_share_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        tokens = set(await asyncio.gather(*(get(manager, redis) for _ in range(100))))
        assert fake.calls["refresh"] == 1
        assert len(tokens) == 1
        assert fake.is_alive(str(tokens.pop()))

    async def test_managers_that_know_nothing_of_each_other_share_it(
        self, fake: FakeProvider, redis: Redis
    ) -> None:
        managers = [manager_for(fake) for _ in range(8)]
        await managers[0].store_token(redis, "u1", granted(fake, "google"))
        tokens = set(await asyncio.gather(*(get(m, redis) for m in managers for _ in range(5))))
        assert fake.calls["refresh"] == 1
        assert len(tokens) == 1

    async def test_scopes_learnt_of_the_old_pair_meanwhile_do_not_cost_the_new_one(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        gate = fake.gate("token")
        asking = asyncio.create_task(get(manager, redis))
        await gate.reached()
        old = await opened(manager, redis)
        assert old
        await manager.store_token(redis, "u1", replace(old, scopes=["contents:read"]))
        gate.open()
        token, held = await asking, await opened(manager, redis)
        assert held
        assert held.access_token == token != old.access_token
        assert fake.is_alive(held.refresh_token)

    async def test_different_people_and_providers_do_not_wait_for_each_other(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        gate = fake.gate("token")
        asking = []
        for user_id, provider in (("u1", "google"), ("u2", "google"), ("u1", "discord")):
            await manager.store_token(redis, user_id, granted(fake, provider))
            asking.append(asyncio.create_task(manager.get_token(user_id, provider, redis)))
        await gate.reached(3)
        gate.open()
        assert len(set(await asyncio.gather(*asking))) == 3

    async def test_who_waited_takes_a_token_that_lives_shorter_than_the_buffer(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        fake.expires_in = 20
        await manager.store_token(redis, "u1", granted(fake, "google"))
        gate = fake.gate("token")
        managers = (manager, manager_for(fake))
        asking = [asyncio.create_task(get(m, redis)) for m in managers for _ in range(20)]
        await wire.carried(lambda sent: sent.endswith(b":oauth_tokens:u1:google\r\n"))  # of all 40
        gate.open()
        assert len(set(await asyncio.gather(*asking))) == 1
        assert fake.calls["refresh"] == 1

    async def test_who_waits_for_another_process_takes_its_result(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        await manager.store_token(redis, "u1", granted(fake, "google"))
        await redis.set(LOCK, "somebody-else", px=15_000)
        wire.sent.clear()
        asking = asyncio.create_task(get(manager, redis))
        await wire.carried(lambda sent: b"oauth_lock" in sent, 2)
        fresh = granted(fake, "google", expires_at=4e9)
        await manager_for(fake).store_token(redis, "u1", fresh)
        assert await asking == fresh.access_token
        assert fake.requests == []
        assert await redis.get(LOCK) == b"somebody-else"

    async def test_who_has_the_lock_looks_again_before_asking(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        """Between our reading and our lock, another process may have done it all."""
        old = granted(fake, "google")
        await manager.store_token(redis, "u1", old)
        fresh = await get(manager_for(fake), redis)
        due = manager._services, manager._subject(redis, "u1", "google"), old
        found = await refresh.refreshed(*due)
        assert found is not None
        assert found.access_token == fresh
        assert fake.calls["refresh"] == 1
        assert not await redis.exists(LOCK)

    async def test_a_lock_that_ran_out_is_taken_over(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        await redis.set(LOCK, "a-process-that-died", px=100)
        assert await get(manager, redis) is not None
        assert fake.calls["refresh"] == 1

    async def test_a_lock_is_held_longer_than_a_provider_may_take(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        gate = fake.gate("token")
        asking = asyncio.create_task(get(manager, redis))
        await gate.reached()
        kind, _, until = (await text_at(redis, LOCK)).split(":")
        seconds, microseconds = await redis.time()
        assert kind == "sent"
        assert 10 < int(until) / 1000 - (seconds + microseconds / 1e6) <= 15
        gate.open()
        await asking
        assert not await redis.exists(LOCK)

    async def test_a_lock_that_meanwhile_is_anothers_is_not_released(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        gate = fake.gate("token")
        asking = asyncio.create_task(get(manager, redis))
        await gate.reached()
        await redis.set(LOCK, "the-next-owner", px=15_000)
        gate.open()
        await asking
        assert await redis.get(LOCK) == b"the-next-owner"

    async def test_a_frozen_holder_overwrites_nothing_when_it_wakes(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        """Its lock ran out; the next one refreshed in its place."""
        fake.rotates = False
        await manager.store_token(redis, "u1", granted(fake, "google"))
        gate = fake.gate("token")
        frozen = asyncio.create_task(get(manager, redis))
        await gate.reached(1)
        await redis.delete(LOCK)
        other = asyncio.create_task(get(manager_for(fake), redis))
        await gate.reached(2)
        gate.open()
        results = await asyncio.gather(frozen, other)
        token = await opened(manager, redis)
        assert token is not None
        assert set(results) == {token.access_token}

    async def test_a_lost_answer_to_the_lock_costs_nothing(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        await manager.store_token(redis, "u1", granted(fake, "google"))
        wire.lost_answers = {b"oauth_lock": 1}
        token = await get(manager, redis)
        assert token is not None
        assert fake.is_alive(token)

    async def test_a_record_that_became_unreadable_leaves_no_lock_behind(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await redis.set(tokens_key("u1", "google"), "junk")
        due = manager._services, manager._subject(redis, "u1", "google"), granted(fake, "google")
        with pytest.raises(RecordUnreadable):
            await refresh.refreshed(*due)
        assert not await redis.exists(LOCK)

    @pytest.mark.parametrize("error", ["invalid_client", "server_error"])
    async def test_a_first_failure_holds_nobody_up(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, error: str
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        fake.script("token", error_answer(error))
        with pytest.raises(OAuthError):
            await get(manager, redis)
        assert await get(manager_for(fake), redis) is not None


class TestWhatIsSentAndKept:
    async def test_a_valid_token_asks_nobody(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        token = granted(fake, "google", expires_at=soon(3600))
        await manager.store_token(redis, "u1", token)
        assert await get(manager, redis) == token.access_token
        assert fake.requests == []

    async def test_within_the_buffer_it_is_refreshed_ahead_of_time(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        token = granted(fake, "google", expires_at=soon())
        await manager.store_token(redis, "u1", token)
        assert await get(manager, redis) != token.access_token

    async def test_an_omitted_refresh_token_and_scope_are_kept(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        old = granted(fake, "google", scope="one two")
        await manager.store_token(redis, "u1", old)
        fake.script("token", json_answer({"access_token": "fresh", "expires_in": 3600}))
        assert await get(manager, redis) == "fresh"
        token = await opened(manager, redis)
        assert token is not None
        assert token.refresh_token == old.refresh_token
        assert token.scopes == ["one", "two"]

    async def test_a_rotated_refresh_token_and_new_scopes_take_their_place(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        fresh = {"access_token": "a2", "refresh_token": "r2", "expires_in": 3600, "scope": "one"}
        fake.script("token", json_answer(fresh))
        assert await get(manager, redis) == "a2"
        token = await opened(manager, redis)
        assert token is not None
        assert (token.refresh_token, token.scopes) == ("r2", ["one"])

    async def test_a_missing_expiry_means_it_does_not_expire(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        fake.script("token", json_answer({"access_token": "fresh"}))
        await get(manager, redis)
        token = await opened(manager, redis)
        assert token is not None
        assert token.expires_at == 0.0

    async def test_rotation_goes_on_for_many_generations(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "u1", "google")
        seen = set()
        for _ in range(10):
            await age(manager, redis, "u1", "google")
            seen.add(await get(manager, redis))
        assert len(seen) == 10
        assert fake.calls["refresh"] == 10

    async def test_the_account_beside_the_tokens_is_kept(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        before = (await connected(manager, fake, redis, "u1", "github")).profile
        await age(manager, redis, "u1", "github")
        await manager.get_token("u1", "github", redis)
        after = (await manager.connection(redis, "u1", "github")).profile
        assert after.account == before.account
        assert after.connected_at == before.connected_at
        assert after.renewed_at > before.renewed_at


class TestWithoutARefreshToken:
    async def test_a_token_near_its_end_is_served(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", TokenData("a", "", soon(), provider="google"))
        assert await get(manager, redis) == "a"

    async def test_one_that_is_over_is_not_and_is_kept_for_display(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", TokenData("a", "", OVER, provider="google"))
        assert await get(manager, redis) is None
        assert fake.requests == []
        assert await status(manager, redis) is Status.RECONNECT_NEEDED


class TestGone:
    @pytest.mark.parametrize("code", ["invalid_grant", "bad_refresh_token", "consent_required"])
    async def test_the_tokens_are_dropped_and_the_reason_is_kept(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, code: str
    ) -> None:
        await connected(manager, fake, redis, "u1", "google")
        await age(manager, redis, "u1", "google")
        fake.script("token", error_answer(code))
        assert await get(manager, redis) is None
        assert not await redis.exists(tokens_key("u1", "google"))
        connection = await manager.connection(redis, "u1", "google")
        assert connection.status is Status.RECONNECT_NEEDED
        assert connection.profile.problem == code
        assert connection.profile.problem_since > 0

    async def test_nobody_is_asked_again(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        fake.withdraw()
        for _ in range(20):
            assert await get(manager, redis) is None
        assert fake.calls["refresh"] == 1

    async def test_all_who_waited_hear_it_from_one_request(
        self, fake: FakeProvider, redis: Redis
    ) -> None:
        managers = [manager_for(fake) for _ in range(4)]
        await managers[0].store_token(redis, "u1", granted(fake, "google"))
        fake.withdraw()
        answers = await asyncio.gather(*(get(m, redis) for m in managers for _ in range(10)))
        assert answers == [None] * 40
        assert fake.calls["refresh"] == 1

    async def test_connecting_again_clears_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        fake.withdraw()
        await get(manager, redis)
        assert (await connected(manager, fake, redis, "u1", "google")).profile.problem == ""
        assert await status(manager, redis) is Status.CONNECTED

    async def test_a_pair_that_was_lost_costs_one_request_and_a_reconnection(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        """The process died, or yesterday's database was put back: the pair is spent."""
        await connected(manager, fake, redis, "u1", "google")
        await age(manager, redis, "u1", "google")
        backup = await redis.dump(tokens_key("u1", "google"))
        assert isinstance(backup, bytes)
        await get(manager, redis)
        await redis.restore(tokens_key("u1", "google"), 0, backup, replace=True)
        for _ in range(5):
            assert await get(manager, redis) is None
        assert fake.calls["refresh"] == 2
        assert await status(manager, redis) is Status.RECONNECT_NEEDED


NOT_UNDERSTOOD = {
    "no token": json_answer({"expires_in": 5}),
    "unusable token": json_answer({"access_token": "a b"}),
    "another type": json_answer({"access_token": "a", "token_type": "mac"}),
}


class TestOurSetup:
    @pytest.mark.parametrize("code", ["invalid_client", "unauthorized_client", "invalid_scope"])
    async def test_everything_is_kept_and_the_operator_is_told(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        code: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        before = await redis.get(tokens_key("u1", "google"))
        fake.script("token", error_answer(code, 401))
        with pytest.raises(OAuthMisconfigured) as caught:
            await get(manager, redis)
        assert caught.value.code == code
        assert await redis.get(tokens_key("u1", "google")) == before
        assert any(r.levelno == logging.ERROR and code in r.getMessage() for r in caplog.records)

    async def test_an_answer_that_is_not_understood_is_the_operators(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        for answer in NOT_UNDERSTOOD.values():
            await manager.store_token(redis, "u1", granted(fake, "google"))
            fake.script("token", answer)
            with pytest.raises(OAuthMisconfigured) as caught:
                await get(manager, redis)
            assert any(caught.value.code in record.getMessage() for record in caplog.records)
            assert await status(manager, redis) is Status.CONNECTED

    async def test_a_provider_that_is_no_longer_set_up_is_not_asked(
        self, fake: FakeProvider, redis: Redis
    ) -> None:
        manager = manager_for(fake)
        await manager.store_token(redis, "u1", granted(fake, "google"))
        manager.providers["google"].client_secret = ""
        with pytest.raises(OAuthMisconfigured):
            await get(manager, redis)
        assert fake.requests == []
        assert await manager.has_token("u1", "google", redis)


TROUBLE: dict[str, Answer] = {
    "429": Answer(429),
    "500": error_answer("server_error", 500),
    "503": Answer(503, {"retry-after": "30"}, b"<html>"),
    "503 with invalid_grant": error_answer("invalid_grant", 503),
    "html": Answer(200, {}, b"<html>"),
    "empty": Answer(200),
    "temporarily": error_answer("temporarily_unavailable"),
    "an unknown refusal": error_answer("never_heard_of"),
}


class TestTrouble:
    @pytest.mark.parametrize("answer", TROUBLE.values(), ids=TROUBLE.keys())
    async def test_everything_is_kept_and_said_to_be_temporary(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, answer: Answer
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        before = await redis.get(tokens_key("u1", "google"))
        fake.script("token", answer)
        with pytest.raises(OAuthUnavailable):
            await get(manager, redis)
        assert await redis.get(tokens_key("u1", "google")) == before
        assert await status(manager, redis) is Status.CONNECTED

    @pytest.mark.parametrize(
        "answer",
        [*TROUBLE.values(), *NOT_UNDERSTOOD.values(), error_answer("invalid_client")],
        ids=[*TROUBLE, *NOT_UNDERSTOOD, "setup"],
    )
    async def test_a_token_that_is_still_valid_is_served_meanwhile(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, answer: Answer
    ) -> None:
        token = granted(fake, "google", expires_at=soon())
        await manager.store_token(redis, "u1", token)
        fake.always["token"] = answer
        for _ in range(5):
            assert await get(manager, redis) == token.access_token

    async def test_it_heals_by_itself(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        fake.script("token", Answer(500))
        with pytest.raises(OAuthUnavailable):
            await get(manager, redis)
        token = await get(manager, redis)
        assert token is not None
        assert fake.is_alive(token)


class TestBackingOff:
    async def test_after_the_second_failure_in_a_row_the_provider_is_left_alone(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        fake.always["token"] = Answer(503)
        for _ in range(4):
            with pytest.raises(OAuthUnavailable):
                await get(manager, redis)
        assert fake.calls["refresh"] == 2

    async def test_other_processes_keep_off_as_well(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        fake.always["token"] = Answer(503)
        for asking in (manager, manager, manager_for(fake), manager_for(fake)):
            with pytest.raises(OAuthUnavailable):
                await get(asking, redis)
        assert fake.calls["refresh"] == 2

    async def test_eighty_callers_in_trouble_are_two_requests(
        self, fake: FakeProvider, redis: Redis
    ) -> None:
        managers = [manager_for(fake) for _ in range(10)]
        await managers[0].store_token(redis, "u1", granted(fake, "google"))
        fake.always["token"] = Answer(503)
        results = await asyncio.gather(
            *(get(m, redis) for m in managers for _ in range(8)), return_exceptions=True
        )
        assert {type(result) for result in results} == {OAuthUnavailable}
        assert fake.calls["refresh"] == 2

    async def test_the_pause_the_provider_asks_for_is_kept_from_the_first_failure_on(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        fake.script("token", Answer(429, {"retry-after": "30"}))
        for _ in range(3):
            with pytest.raises(OAuthUnavailable):
                await get(manager, redis)
        assert fake.calls["refresh"] == 1

    @pytest.mark.parametrize("retry_after", ["60", "86400", "999999"])
    async def test_no_pause_is_longer_than_a_minute(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, retry_after: str
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        fake.script("token", Answer(429, {"retry-after": retry_after}))
        with pytest.raises(OAuthUnavailable):
            await get(manager, redis)
        _, _, pause_until = (await text_at(redis, LOCK)).split(":")
        seconds, _ = await redis.time()
        assert int(pause_until) / 1000 - seconds <= 61

    async def test_once_the_pause_is_over_one_more_try_is_made(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        await redis.set(LOCK, "failed:7:1000", px=60_000)  # until one second after 1970 began
        assert await get(manager, redis) is not None
        assert not await redis.exists(LOCK)

    async def test_a_success_clears_the_row_of_failures(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        for _ in range(3):
            fake.script("token", Answer(503))
            with pytest.raises(OAuthUnavailable):
                await get(manager, redis)
            assert await get(manager, redis) is not None
            await age(manager, redis, "u1", "google")
        assert fake.calls["refresh"] == 6

    async def test_it_is_forgotten_after_some_minutes(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        fake.script("token", Answer(503))
        with pytest.raises(OAuthUnavailable):
            await get(manager, redis)
        assert 0 < await redis.ttl(LOCK) <= 180

    async def test_dead_grants_of_many_people_are_asked_about_once_each(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        people = [f"u{n}" for n in range(50)]
        for user_id in people:
            await manager.store_token(redis, user_id, granted(fake, "google"))
        fake.withdraw()
        for _ in range(3):
            await asyncio.gather(*(manager.get_token(u, "google", redis) for u in people))
        assert fake.calls["refresh"] == 50


class TestDisconnectWins:
    @pytest.fixture(params=["connected here", "stored by a caller of the specification"])
    async def due(
        self,
        request: pytest.FixtureRequest,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
    ) -> None:
        """A connection whose token is over, with and without a profile beside it."""
        if request.param == "connected here":
            await connected(manager, fake, redis, "u1", "google")
            await age(manager, redis, "u1", "google")
        else:
            await manager.store_token(redis, "u1", granted(fake, "google"))

    @pytest.mark.usefixtures("due")
    async def test_over_a_refresh_that_succeeds_later(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        gate = fake.gate("token")
        asking = asyncio.create_task(get(manager, redis))
        await gate.reached()
        await manager_for(fake).delete_token(redis, "u1", "google")
        gate.open()
        assert await asking is None
        assert await nothing_left(redis)
        assert await status(manager, redis) is Status.NOT_CONNECTED
        assert fake.calls["revoke"] == 2  # what was held, and what came too late
        assert not any(fake.is_alive(secret) for secret in fake.issued)

    @pytest.mark.usefixtures("due")
    async def test_over_a_refresh_that_is_refused_later(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        """The usual end of such a race: the revocation killed what was being refreshed."""
        fake.script("token", error_answer("invalid_grant"))
        gate = fake.gate("token")
        asking = asyncio.create_task(get(manager, redis))
        await gate.reached()
        await manager_for(fake).delete_token(redis, "u1", "google")
        gate.open()
        assert await asking is None
        assert await nothing_left(redis)
        assert await status(manager, redis) is Status.NOT_CONNECTED

    @pytest.mark.usefixtures("due")
    async def test_over_a_refresh_in_trouble(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.script("token", Answer(500))
        gate = fake.gate("token")
        asking = asyncio.create_task(get(manager, redis))
        await gate.reached()
        await manager_for(fake).delete_token(redis, "u1", "google")
        gate.open()
        assert isinstance((await asyncio.gather(asking, return_exceptions=True))[0], OAuthError)
        assert not await redis.exists(tokens_key("u1", "google"), connection_key("u1", "google"))
        assert await get(manager, redis) is None

    @pytest.mark.usefixtures("due")
    async def test_over_a_reconnection_that_finishes_later(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        attempt, code = await began(manager, fake, redis, "u1", "google")
        gate = fake.gate("token")
        completing = asyncio.create_task(manager.complete(redis, attempt, code))
        await gate.reached()
        await manager_for(fake).delete_token(redis, "u1", "google")
        gate.open()
        assert await completing is None
        assert await nothing_left(redis)
        assert not any(fake.is_alive(secret) for secret in fake.issued)


class TestReconnectionWins:
    @pytest.mark.parametrize("outcome", ["fresh", "invalid_grant", "server_error"])
    async def test_over_the_refresh_of_the_grant_before(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, outcome: str
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        if outcome != "fresh":
            fake.script("token", error_answer(outcome))
        gate = fake.gate("token")
        asking = asyncio.create_task(get(manager, redis))
        await gate.reached()
        new = granted(fake, "google", expires_at=4e9)
        await manager_for(fake).store_token(redis, "u1", new)
        gate.open()
        answer = (await asyncio.gather(asking, return_exceptions=True))[0]
        if outcome == "server_error":
            assert isinstance(answer, OAuthUnavailable)
        else:
            assert answer == new.access_token
        assert await opened(manager, redis) == new
        assert await status(manager, redis) is Status.CONNECTED

    async def test_over_the_end_of_the_grant_before_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        """The usual reason to reconnect: a tool finds out that the old grant is over meanwhile."""
        await connected(manager, fake, redis, "u1", "google")
        await age(manager, redis, "u1", "google")
        attempt, code = await began(manager, fake, redis, "u1", "google")
        gate = fake.gate("account")
        completing = asyncio.create_task(manager.complete(redis, attempt, code))
        await gate.reached()
        fake.script("token", error_answer("invalid_grant"))
        assert await get(manager, redis) is None
        gate.open()
        connection = await completing
        assert isinstance(connection, Connection)
        assert connection.status is Status.CONNECTED
        token = await get(manager, redis)
        assert token is not None
        assert fake.is_alive(token)


class TestTheRotatedPairIsSaved:
    async def test_when_the_caller_is_cancelled(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        gate = fake.gate("token")
        asking = asyncio.create_task(get(manager, redis))
        await gate.reached()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        gate.open()
        await manager.aclose()
        token = await opened(manager, redis)
        assert token is not None
        assert fake.is_alive(token.refresh_token)
        assert not await redis.exists(LOCK)
        assert fake.calls["refresh"] == 1

    async def test_when_one_of_many_callers_is_cancelled_the_others_get_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        gate = fake.gate("token")
        asking = [asyncio.create_task(get(manager, redis)) for _ in range(10)]
        await gate.reached()
        asking[0].cancel()
        gate.open()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert len(set(answers[1:])) == 1

    async def test_when_a_deadline_of_the_caller_passes(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        gate = fake.gate("token")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await get(manager, redis)
        gate.open()
        await manager.aclose()
        token = await opened(manager, redis)
        assert token is not None
        assert fake.is_alive(token.refresh_token)

    async def test_when_redis_refuses_the_first_write(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        await manager.store_token(redis, "u1", granted(fake, "google"))
        wire.refused = {SAVING: 1}
        answer = await get(manager, redis)
        await manager.aclose()
        token = await opened(manager, redis)
        assert token is not None
        assert token.access_token == answer
        assert fake.is_alive(token.refresh_token)

    async def test_when_the_answer_to_the_write_is_lost(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        await connected(manager, fake, redis, "u1", "google")
        await age(manager, redis, "u1", "google")
        wire.lost_answers = {SAVING: 1}
        answer = await get(manager, redis)
        await manager.aclose()
        token = await opened(manager, redis)
        assert token is not None
        assert token.access_token == answer
        assert fake.calls["revoke"] == 0

    async def test_and_a_lock_that_cannot_be_released_does_not_hide_it(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        await manager.store_token(redis, "u1", granted(fake, "google"))
        wire.refused = {b"string.format('failed:%d": 1}
        assert await get(manager, redis) is not None
        assert await get(manager, redis) is not None


class TestRedisAway:
    async def test_a_valid_token_within_the_buffer_is_served_when_the_lock_cannot_be_had(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        token = granted(fake, "google", expires_at=soon())
        await manager.store_token(redis, "u1", token)
        wire.refused = {b"oauth_lock": 99}
        assert await get(manager, redis) == token.access_token
        assert fake.requests == []

    async def test_an_expired_one_is_refused_without_asking_the_provider(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        await manager.store_token(redis, "u1", granted(fake, "google"))
        wire.refused = {b"oauth_lock": 99}
        with pytest.raises(StoreUnavailable):
            await get(manager, redis)
        assert fake.requests == []


Step = Callable[[OAuthManager, FakeProvider, Redis, str], Awaitable[object]]


async def _connect(m: OAuthManager, f: FakeProvider, r: Redis, user: str) -> None:
    await connected(m, f, r, user, "google")


async def _store(m: OAuthManager, f: FakeProvider, r: Redis, user: str) -> None:
    await m.store_token(r, user, granted(f, "google", expires_at=4e9, scope=user))


async def _expire(m: OAuthManager, f: FakeProvider, r: Redis, user: str) -> None:
    if await m.has_token(user, "google", r):
        await age(m, r, user, "google")


async def _use(m: OAuthManager, f: FakeProvider, r: Redis, user: str) -> None:
    await m.get_token(user, "google", r)


async def _disconnect(m: OAuthManager, f: FakeProvider, r: Redis, user: str) -> None:
    await m.delete_token(r, user, "google")


async def _withdraw(m: OAuthManager, f: FakeProvider, r: Redis, user: str) -> None:
    f.withdraw()


async def _trouble(m: OAuthManager, f: FakeProvider, r: Redis, user: str) -> None:
    f.script("token", Answer(503))


STEPS: dict[str, Step] = {
    "connect": _connect,
    "store": _store,
    "expire": _expire,
    "use": _use,
    "disconnect": _disconnect,
    "withdraw": _withdraw,
    "trouble": _trouble,
}
STORING = {"connect", "store", "expire"}
PEOPLE = ("u1", "u2")
SEQUENCES = st.lists(
    st.lists(
        st.tuples(st.sampled_from(sorted(STEPS)), st.sampled_from(PEOPLE)), min_size=1, max_size=3
    ),
    max_size=10,
)


class TestAnySequence:
    """Steps of one group run at the same time, by processes that know nothing of each other."""

    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(SEQUENCES)
    async def test_never_brings_a_key_back_and_never_serves_anothers_token(
        self, redis: Redis, groups: list[list[tuple[str, str]]]
    ) -> None:
        await redis.flushall()
        fakes = {user: fake_provider(scope=user) for user in PEOPLE}
        managers = {user: [manager_for(fakes[user]) for _ in range(3)] for user in PEOPLE}
        for group in groups:
            results = await asyncio.gather(
                *(
                    STEPS[step](managers[user][n], fakes[user], redis, user)
                    for n, (step, user) in enumerate(group)
                ),
                return_exceptions=True,
            )
            for result in results:
                assert result is None or isinstance(result, (OAuthError, AssertionError)), result
            for user in PEOPLE:
                await self._check(redis, managers[user][0], fakes[user], user, group)

    async def _check(
        self,
        redis: Redis,
        manager: OAuthManager,
        fake: FakeProvider,
        user: str,
        group: list[tuple[str, str]],
    ) -> None:
        steps = {step for step, of in group if of == user}
        token = await opened(manager, redis, user)
        if token is not None:
            assert token.access_token in fake.issued
            assert token.refresh_token in fake.issued
        if "disconnect" in steps and not steps & STORING:
            keys = (tokens_key(user, "google"), connection_key(user, "google"))
            assert await redis.exists(*keys) == 0
