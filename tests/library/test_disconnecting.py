"""Disconnecting: gone here for certain, ended there in the provider's own way, told as it was."""

from __future__ import annotations

import asyncio
import base64
import logging
import time

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.every import every
from tests.kit.fake_answers import Answer, error_answer, json_answer, redirect
from tests.kit.fake_provider import FakeProvider
from tests.kit.fake_requests import Recorded
from tests.kit.library import (
    BASE_URL,
    BUILT_IN,
    KEY,
    OVER,
    age,
    began,
    connected,
    dumped,
    fake_provider,
    granted,
    manager_for,
    providers_config,
    revoke_key,
    time_passes,
    tokens_key,
)
from tests.kit.redis_fleets import one_server
from tests.kit.redis_wire import wired
from webui.oauth_manager import (
    Account,
    Disconnected,
    NoticeKind,
    OAuthManager,
    RevokeOutcome,
    StoreUnavailable,
    SwitchOffer,
    TokenData,
)
from webui.oauth_manager.protocol.answers import Answer as Received
from webui.oauth_manager.protocol.requests import ProviderRequest
from webui.oauth_manager.protocol.transport import DEADLINE, DEADLINE_WHILE_WAITING, Transport
from webui.oauth_manager.storage.held_tokens import ASKING_SECONDS

pytestmark = pytest.mark.anyio

REVOKING = [name for name in BUILT_IN if name != "microsoft"]


async def disconnected(
    manager: OAuthManager,
    fake: FakeProvider,
    redis: Redis,
    provider: str,
    token: TokenData | None = None,
) -> tuple[Disconnected, list[Recorded]]:
    """Disconnect: the result, and the requests it took."""
    await manager.store_token(redis, "u1", token or granted(fake, provider, expires_at=4e9))
    result = await manager.delete_token(redis, "u1", provider)
    assert not await redis.exists(tokens_key("u1", provider))
    return result, fake.requests


class TestTheProvidersOwnWay:
    async def test_github_is_asked_by_delete_with_basic_and_json_for_the_whole_grant(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        token = granted(fake, "github", expires_at=0)
        result, (request,) = await disconnected(manager, fake, redis, "github", token)
        assert result.at_provider is RevokeOutcome.REVOKED
        assert request.method == "DELETE"
        assert request.path == "/github/applications/client/grant"
        assert request.json == {"access_token": token.access_token}
        basic = base64.b64encode(b"client:client-secret").decode()
        assert request.headers["authorization"] == f"Basic {basic}"
        assert request.headers["content-type"] == "application/json"

    async def test_google_is_given_the_token_and_nothing_else(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        token = granted(fake, "google", expires_at=4e9)
        result, (request,) = await disconnected(manager, fake, redis, "google", token)
        assert result.at_provider is RevokeOutcome.REVOKED
        assert request.method == "POST"
        assert request.form == {"token": token.refresh_token}
        assert "authorization" not in request.headers

    async def test_discord_is_told_who_asks(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        token = granted(fake, "discord", expires_at=4e9)
        result, (request,) = await disconnected(manager, fake, redis, "discord", token)
        assert result.at_provider is RevokeOutcome.REVOKED
        assert request.method == "POST"
        assert request.client == ("client", "client-secret")
        assert request.form["token"] == token.refresh_token
        assert request.form["token_type_hint"] == "refresh_token"
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"

    async def test_microsoft_is_not_asked_since_it_cannot_be(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        result, requests = await disconnected(manager, fake, redis, "microsoft")
        assert result.at_provider is RevokeOutcome.UNSUPPORTED
        assert requests == []

    async def test_without_a_refresh_token_the_access_token_is_revoked(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.gives_refresh_token = False
        token = granted(fake, "discord", expires_at=4e9)
        _, (request,) = await disconnected(manager, fake, redis, "discord", token)
        assert request.form["token"] == token.access_token
        assert request.form["token_type_hint"] == "access_token"

    @pytest.mark.parametrize("provider", REVOKING)
    async def test_no_token_stands_in_the_address(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, provider: str
    ) -> None:
        _, (request,) = await disconnected(manager, fake, redis, provider)
        for secret in fake.issued:
            assert secret not in f"{request.path}{request.query}"

    @pytest.mark.parametrize("provider", REVOKING)
    async def test_both_tokens_are_dead_there_afterwards(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, provider: str
    ) -> None:
        await connected(manager, fake, redis, "u1", provider)
        await manager.delete_token(redis, "u1", provider)
        assert not any(fake.is_alive(secret) for secret in fake.issued)

    async def test_a_client_id_cannot_leave_its_place_in_the_address(
        self, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.client_id = "../evil?x#/%41"
        manager = OAuthManager(
            KEY,
            BASE_URL,
            providers_config(fake),
            transport=Transport(httpx.ASGITransport(fake)),
        )
        _, (request,) = await disconnected(
            manager, fake, redis, "github", granted(fake, "github", expires_at=0)
        )
        assert request.path == "/github/applications/../evil?x#/%41/grant"  # decoded, one segment
        assert request.query == {}

    async def test_with_basic_both_halves_are_encoded(
        self, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.client_id, fake.client_secret = "a:b c", "p%:+"
        config = providers_config(fake)
        config["discord"]["token_auth"] = "basic"
        transport = Transport(httpx.ASGITransport(fake))
        manager = OAuthManager(KEY, BASE_URL, config, transport=transport)
        result, (request,) = await disconnected(manager, fake, redis, "discord")
        assert result.at_provider is RevokeOutcome.REVOKED
        assert "client_secret" not in request.form

    async def test_a_token_of_github_that_is_over_is_renewed_to_end_its_grant(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        token = granted(fake, "github", expires_at=OVER)
        result, requests = await disconnected(manager, fake, redis, "github", token)
        assert result.at_provider is RevokeOutcome.REVOKED
        assert [request.endpoint for request in requests] == ["token", "revoke"]
        assert not any(fake.is_alive(secret) for secret in fake.issued)

    async def test_a_grant_of_github_whose_token_cannot_be_renewed_is_unconfirmed(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.script("token", error_answer("bad_refresh_token"))
        token = granted(fake, "github", expires_at=OVER)
        result, requests = await disconnected(manager, fake, redis, "github", token)
        assert result.at_provider is RevokeOutcome.UNCONFIRMED
        assert [request.endpoint for request in requests] == ["token"]


CONFIRMED = [Answer(200), json_answer({}), Answer(204), Answer(200, {}, b"OK"), json_answer([])]
UNCONFIRMED = {
    "400": error_answer("invalid_token"),
    "401": error_answer("invalid_client", 401),
    "403": Answer(403),
    "404": Answer(404),
    "422": Answer(422),
    "429": Answer(429, {"retry-after": "30"}),
    "500": Answer(500),
    "503": Answer(503),
    "redirect": redirect("http://elsewhere.example/"),
    "redirect by GET": redirect("http://elsewhere.example/", 302),
    "200 with an error": json_answer({"error": "invalid_token"}),
    "somebody's page": Answer(200, {}, b"\n <!doctype html>"),
    "too much": Answer(200, {}, b" " * 300_000),
    "unknown packing": Answer(200, {"content-encoding": "br"}, b"x"),
}


class TestTheTruth:
    @pytest.mark.parametrize("answer", CONFIRMED)
    @pytest.mark.parametrize("provider", REVOKING)
    async def test_a_success_is_a_revocation(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        provider: str,
        answer: Answer,
    ) -> None:
        fake.script("revoke", answer)
        result, _ = await disconnected(manager, fake, redis, provider)
        assert result.at_provider is RevokeOutcome.REVOKED

    @every("answer", UNCONFIRMED)
    @every("provider", REVOKING)
    async def test_anything_else_is_unconfirmed_and_it_is_gone_here_all_the_same(
        self, redis: Redis, provider: str, answer: Answer
    ) -> None:
        await redis.flushall()
        fake = fake_provider()
        fake.script("revoke", answer)
        result, requests = await disconnected(manager_for(fake), fake, redis, provider)
        assert result.at_provider is RevokeOutcome.UNCONFIRMED
        assert len(requests) == 1
        assert {r.headers["host"] for r in requests} == {"provider.example"}

    async def test_a_provider_that_does_not_answer_is_given_its_whole_time(
        self, fake: FakeProvider, redis: Redis
    ) -> None:
        deadlines = []

        class Watched(Transport):
            async def send(self, request: ProviderRequest, deadline: float = DEADLINE) -> Received:
                deadlines.append((request.step, deadline))
                return await super().send(request, min(deadline, 0.05))

        transport = Watched(httpx.ASGITransport(fake))
        manager = OAuthManager(KEY, BASE_URL, providers_config(fake), transport=transport)
        fake.gate("revoke")
        result, _ = await disconnected(manager, fake, redis, "google")
        assert result.at_provider is RevokeOutcome.UNCONFIRMED
        ((step, deadline),) = deadlines
        assert step == "revoke"
        assert DEADLINE_WHILE_WAITING < deadline <= DEADLINE

    async def test_a_caller_waits_for_less_and_the_provider_goes_on_being_asked(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        assert manager.patience == DEADLINE_WHILE_WAITING
        manager.patience = 0.02
        await connected(manager, fake, redis, "u1", "github")
        gate = fake.gate("revoke")
        result = await manager.delete_token(redis, "u1", "github")
        assert result == Disconnected("github", RevokeOutcome.UNCONFIRMED, Account("42", "mona"))
        assert not await redis.exists(tokens_key("u1", "github"))
        gate.open()
        await manager.aclose()
        assert not any(fake.is_alive(secret) for secret in fake.issued)
        (event, *_) = (await manager.activity(redis, "u1")).events
        assert (event.kind, event.detail) == ("disconnected", "revoked")

    async def test_renewing_and_revoking_share_that_time(
        self, fake: FakeProvider, redis: Redis
    ) -> None:
        deadlines = []

        class Watched(Transport):
            async def send(self, request: ProviderRequest, deadline: float = DEADLINE) -> Received:
                deadlines.append(deadline)
                return await super().send(request, deadline)

        transport = Watched(httpx.ASGITransport(fake))
        manager = OAuthManager(KEY, BASE_URL, providers_config(fake), transport=transport)
        await disconnected(manager, fake, redis, "github", granted(fake, "github"))
        assert deadlines[0] == DEADLINE
        assert deadlines[1] < DEADLINE

    async def test_a_provider_no_longer_set_up_cannot_confirm(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        manager.providers["google"].client_id = ""
        result, requests = await disconnected(manager, fake, redis, "google")
        assert result.at_provider is RevokeOutcome.UNCONFIRMED
        assert requests == []

    @pytest.mark.parametrize("provider", BUILT_IN)
    async def test_where_nothing_was_connected_there_was_nothing_to_end(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, provider: str
    ) -> None:
        result = await manager.delete_token(redis, "u1", provider)
        assert result == Disconnected(provider, RevokeOutcome.NOTHING)
        assert fake.requests == []
        assert await redis.keys() == []

    async def test_a_repeated_disconnect_is_calm(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "u1", "google")
        results = await asyncio.gather(
            *(manager.delete_token(redis, "u1", "google") for _ in range(10))
        )
        outcomes = [result.at_provider for result in results]
        assert outcomes.count(RevokeOutcome.REVOKED) == 1
        assert outcomes.count(RevokeOutcome.NOTHING) == 9
        assert fake.calls["revoke"] == 1

    async def test_what_cannot_be_read_cannot_be_revoked(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await redis.set(tokens_key("u1", "google"), "junk")
        result = await manager.delete_token(redis, "u1", "google")
        assert result.at_provider is RevokeOutcome.UNCONFIRMED
        assert not await redis.exists(tokens_key("u1", "google"))
        assert fake.requests == []

    async def test_it_says_whose_account_it_was(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "u1", "github")
        result = await manager.delete_token(redis, "u1", "github")
        assert result.account == Account("42", "mona")

    async def test_a_grant_that_was_gone_already_is_cleared_away(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "u1", "google")
        fake.withdraw()
        await age(manager, redis, "u1", "google")
        await manager.get_token("u1", "google", redis)
        result = await manager.delete_token(redis, "u1", "google")
        assert result.at_provider is RevokeOutcome.ENDED
        assert result.account.id == ""
        again = await manager.delete_token(redis, "u1", "google")
        assert again.at_provider is RevokeOutcome.NOTHING
        assert await redis.keys("stargazer:oauth_connection:*") == []


class TestWhoIsAffected:
    async def test_other_providers_and_other_people_stay_connected(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        for user_id, provider in (("u1", "google"), ("u1", "github"), ("u2", "google")):
            await connected(manager, fake, redis, user_id, provider)
        await manager.delete_token(redis, "u1", "google")
        assert await manager.get_token("u1", "google", redis) is None
        assert await manager.get_token("u1", "github", redis) is not None
        assert await manager.get_token("u2", "google", redis) is not None

    async def test_another_person_with_the_same_account_is_told_to_reconnect(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        """A provider may end all grants of an account with one revocation."""
        await connected(manager, fake, redis, "u2", "google")
        await connected(manager, fake, redis, "u1", "google")
        await manager.delete_token(redis, "u1", "google")
        fake.withdraw()
        await age(manager, redis, "u2", "google")
        assert await manager.get_token("u2", "google", redis) is None
        assert (await manager.connection(redis, "u2", "google")).profile.problem


class TestFaults:
    async def test_redis_away_asks_nobody_and_promises_nothing(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, redis_url: str
    ) -> None:
        await connected(manager, fake, redis, "u1", "google")
        async with wired(redis_url) as (away, wire):
            wire.is_down = True
            with pytest.raises(StoreUnavailable):
                await manager.delete_token(away, "u1", "google")
        assert fake.calls["revoke"] == 0
        assert await manager.get_token("u1", "google", redis) is not None

    async def test_an_answer_lost_on_the_way_still_ends_the_grant_there(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, redis_url: str
    ) -> None:
        await connected(manager, fake, redis, "u1", "github")
        async with wired(redis_url) as (shaky, wire):
            wire.lost_answers = {b"GETDEL": 1}
            result = await manager.delete_token(shaky, "u1", "github")
        assert result.at_provider is RevokeOutcome.REVOKED
        assert result.account == Account("42", "mona")
        assert not await redis.exists(tokens_key("u1", "github"))
        assert not any(fake.is_alive(secret) for secret in fake.issued)

    async def test_one_that_failed_is_not_finished_by_the_next_look(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, redis_url: str
    ) -> None:
        """The person was told that they are still connected."""
        await connected(manager, fake, redis, "u1", "google")
        async with wired(redis_url) as (shaky, wire):
            wire.lost_answers = {b"PX": 1}  # of what is put aside, for a while
            with pytest.raises(StoreUnavailable):
                await manager.delete_token(shaky, "u1", "google")
        time_passes(manager, ASKING_SECONDS)
        await manager.connections(redis, "u1")
        await manager.aclose()
        assert await manager.get_token("u1", "google", redis) is not None
        assert fake.calls["revoke"] == 0

    async def test_a_cancelled_caller_is_still_disconnected_here_and_there(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "u1", "google")
        gate = fake.gate("revoke")
        asking = asyncio.create_task(manager.delete_token(redis, "u1", "google"))
        await gate.reached()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        gate.open()
        await manager.aclose()
        assert not await redis.exists(tokens_key("u1", "google"))
        assert not any(fake.is_alive(secret) for secret in fake.issued)

    @pytest.mark.parametrize("answer", [Answer(200), error_answer("invalid_client", 401)])
    async def test_no_secret_reaches_a_log(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        answer: Answer,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        for provider in BUILT_IN:
            fake.script("revoke", answer)
            await disconnected(manager, fake, redis, provider)
            fake.always.clear()
        for secret in (*fake.issued, fake.client_secret):
            assert secret not in caplog.text

    async def test_an_unknown_provider_is_a_value_error(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        with pytest.raises(ValueError, match="unknown provider"):
            await manager.delete_token(redis, "u1", "myspace")


async def left(redis: Redis, user_id: str, provider: str) -> int:
    """Seconds for which the provider can be asked again, -2 where it cannot."""
    seconds: int = await redis.ttl(revoke_key(user_id, provider))
    return seconds


class TestAskingAgain:
    async def refused(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> Disconnected:
        """Disconnected on the page, while the provider is in trouble."""
        await connected(manager, fake, redis, "u1", "github")
        fake.script("revoke", Answer(503))
        ending = await manager.disconnect(redis, "u1", "github", by="web")
        return await ending.result

    async def again(self, manager: OAuthManager, redis: Redis) -> Disconnected | None:
        ending = await manager.ask_again(redis, "u1", "github")
        return await ending.result if ending else None

    async def test_ends_the_grant_with_what_was_kept_for_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        result = await self.refused(manager, fake, redis)
        assert result.at_provider is RevokeOutcome.UNCONFIRMED
        assert 3500 < await left(redis, "u1", "github") <= 3600
        assert 3500 < result.retry_until - time.time() <= 3600
        again = await self.again(manager, redis)
        assert again == Disconnected("github", RevokeOutcome.REVOKED)
        assert not any(fake.is_alive(secret) for secret in fake.issued)
        assert await left(redis, "u1", "github") == -2
        (event, *_) = (await manager.activity(redis, "u1")).events
        assert (event.kind, event.by) == ("revoked", "web")

    async def test_in_vain_leaves_it_for_the_rest_of_the_hour(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        first = await self.refused(manager, fake, redis)
        await redis.expire(revoke_key("u1", "github"), 600)
        fake.script("revoke", Answer(500))
        again = await self.again(manager, redis)
        assert again is not None
        assert again.at_provider is RevokeOutcome.UNCONFIRMED
        assert again.retry_until == first.retry_until
        assert await left(redis, "u1", "github") <= 3600
        assert (await self.again(manager, redis)) is not None

    async def test_is_not_possible_where_the_provider_was_not_asked(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await redis.set(tokens_key("u1", "github"), "junk")
        await manager.store_token(redis, "u1", granted(fake, "microsoft"))
        await manager.store_token(redis, "u1", granted(fake, "google"))
        manager.providers["google"].client_id = ""
        for provider in ("github", "microsoft", "google"):
            ending = await manager.disconnect(redis, "u1", provider, by="web")
            assert not (await ending.result).retry_until
            assert await left(redis, "u1", provider) == -2

    async def test_is_not_possible_where_the_grant_turned_out_to_be_over(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.script("token", error_answer("bad_refresh_token"))
        await manager.store_token(redis, "u1", granted(fake, "github", expires_at=OVER))
        ending = await manager.disconnect(redis, "u1", "github", by="web")
        assert not (await ending.result).retry_until
        assert await left(redis, "u1", "github") == -2

    async def test_keeps_what_the_last_renewal_brought(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.script("revoke", Answer(503))
        await manager.store_token(redis, "u1", granted(fake, "github", expires_at=OVER))
        await (await manager.disconnect(redis, "u1", "github", by="web")).result
        again = await self.again(manager, redis)
        assert again is not None
        assert again.at_provider is RevokeOutcome.REVOKED
        assert not any(fake.is_alive(secret) for secret in fake.issued)

    async def test_a_confirmed_disconnect_leaves_nothing(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        one_server()
        await self.refused(manager, fake, redis)
        await redis.rename(revoke_key("u1", "github"), "aside")
        await connected(manager, fake, redis, "u1", "github")
        await redis.rename("aside", revoke_key("u1", "github"))
        await manager.delete_token(redis, "u1", "github")
        assert await left(redis, "u1", "github") == -2

    async def test_is_over_with_a_new_connection_and_does_not_touch_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await self.refused(manager, fake, redis)
        kept = await redis.dump(revoke_key("u1", "github")) or b""
        await connected(manager, fake, redis, "u1", "github")
        assert await left(redis, "u1", "github") == -2
        await redis.restore(revoke_key("u1", "github"), 0, kept)
        calls = fake.calls["revoke"]
        assert await self.again(manager, redis) is None
        assert fake.calls["revoke"] == calls
        assert await manager.get_token("u1", "github", redis) is not None

    async def test_at_the_same_time_asks_once(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await self.refused(manager, fake, redis)
        results = await asyncio.gather(*(self.again(manager, redis) for _ in range(5)))
        assert [r.at_provider for r in results if r] == [RevokeOutcome.REVOKED]
        assert fake.calls["revoke"] == 2

    async def test_is_for_the_same_person_and_service(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await self.refused(manager, fake, redis)
        kept = await redis.dump(revoke_key("u1", "github")) or b""
        for user_id, provider in (("u2", "github"), ("u1", "discord")):
            await redis.restore(revoke_key(user_id, provider), 0, kept)
            assert await manager.ask_again(redis, user_id, provider) is None

    async def test_finds_nothing_in_clear(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await self.refused(manager, fake, redis)
        everything = await dumped(redis)
        assert not any(secret.encode() in everything for secret in fake.issued)

    async def test_dropped_is_gone(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await self.refused(manager, fake, redis)
        await manager.drop_leftovers(redis, "u1", "github")
        assert await self.again(manager, redis) is None


class TestWhoHears:
    async def test_support_is_told_apart(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        for by in ("support", "web"):
            await connected(manager, fake, redis, "u1", "github")
            await manager.delete_token(redis, "u1", "github", by=by)
        notices = manager.notices(redis, "test")
        kinds = [(await anext(notices)).kind for _ in range(4)]
        await notices.aclose()  # type: ignore[attr-defined]
        told = [kind for kind in kinds if kind is not NoticeKind.CONNECTED]
        assert told == [NoticeKind.SUPPORT_DISCONNECTED, NoticeKind.DISCONNECTED]

    async def test_another_account_that_was_waited_for_is_given_back_too(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "u1", "github")
        fake.account = {"id": "43", "login": "lisa"}
        attempt, code = await began(manager, fake, redis, "u1", "github")
        assert isinstance(await manager.complete(redis, attempt, code), SwitchOffer)
        await manager.delete_token(redis, "u1", "github")
        assert not any(fake.is_alive(secret) for secret in fake.issued)
        assert await manager.switch_offer(redis, "u1", "github") is None
