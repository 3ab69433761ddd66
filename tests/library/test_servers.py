"""Providers of which only the issuer is known: found, pinned, and not followed elsewhere."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from redis.asyncio import Redis
from starlette.types import Receive, Scope, Send

from tests.kit.clock import FakeClock
from tests.kit.fake_answers import Answer, redirect
from tests.kit.issuer import ISSUER, NAME, Issuer, manager_of
from tests.kit.library import KEY, OTHER_KEY, age, began, connected, text_at
from tests.kit.redis_proxy import redis_proxy
from webui.oauth_manager import (
    FlowRefused,
    Health,
    OAuthManager,
    OAuthMisconfigured,
    OAuthUnavailable,
    RevokeOutcome,
    Status,
    StoreUnavailable,
)
from webui.oauth_manager.protocol.metadata import FRESH_SECONDS, ServerMetadata
from webui.oauth_manager.protocol.metadata_cache import Discovery
from webui.oauth_manager.providers import FaultyFile, build_providers, read, template

pytestmark = pytest.mark.anyio

PIN = f"stargazer:oauth_server:{NAME}"
EVIL = "https://evil.example"


@pytest.fixture
def server() -> Issuer:
    return Issuer()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def manager(server: Issuer, clock: FakeClock) -> OAuthManager:
    return manager_of(server, clock=clock)


async def begin(manager: OAuthManager, redis: Redis) -> dict[str, str]:
    """The authorization address, as its parameters and ``at``."""
    url = await manager.begin(redis, "ann", NAME, browser="b")
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    return {"at": url.partition("?")[0], **query}


async def code_of(manager: OAuthManager, redis: Redis) -> str:
    with pytest.raises((OAuthMisconfigured, OAuthUnavailable)) as caught:
        await begin(manager, redis)
    return caught.value.code


class TestIssuerAlone:
    async def test_lives_a_whole_life(
        self, manager: OAuthManager, server: Issuer, redis: Redis
    ) -> None:
        connection = await connected(manager, server.fake, redis, "ann", NAME)
        assert connection.profile.account.label == "mona"
        assert set(connection.scopes) == {"openid", "profile", "offline_access"}
        await age(manager, redis, "ann", NAME)
        renewed = await manager.get_token("ann", NAME, redis)
        assert renewed
        assert server.fake.is_alive(renewed)
        assert await manager.check(redis, "ann", NAME) is Health.WORKING
        ended = await manager.delete_token(redis, "ann", NAME)
        assert ended.at_provider is RevokeOutcome.REVOKED
        assert not server.fake.is_alive(renewed)
        assert server.asked == 1

    async def test_is_configured_before_anybody_has_asked_it(self, manager: OAuthManager) -> None:
        assert manager.is_provider_configured(NAME)
        assert manager.providers[NAME].can_revoke

    async def test_has_no_authorization_address_before_it_was_asked(
        self, manager: OAuthManager, server: Issuer, redis: Redis
    ) -> None:
        with pytest.raises(OAuthMisconfigured) as caught:
            manager.get_authorize_url(NAME, "s" * 43)
        assert caught.value.code == "not_found_yet"
        assert server.asked == 0
        await manager.generate_connect_url("ann", NAME, redis)
        assert manager.get_authorize_url(NAME, "s" * 43).startswith(f"{ISSUER}/authorize?")

    async def test_is_asked_once_an_hour_by_all_processes_together(
        self, server: Issuer, clock: FakeClock, redis: Redis
    ) -> None:
        processes = [manager_of(server, clock=clock) for _ in range(3)]
        for manager in processes * 2:
            await begin(manager, redis)
        assert server.asked == 1
        clock.advance(FRESH_SECONDS)
        await begin(processes[0], redis)
        assert server.asked == 2

    async def test_is_known_after_a_restart_while_it_does_not_answer(
        self, manager: OAuthManager, server: Issuer, clock: FakeClock, redis: Redis
    ) -> None:
        await connected(manager, server.fake, redis, "ann", NAME)
        server.answer = Answer(503)
        clock.advance(FRESH_SECONDS)
        after = manager_of(server, clock=clock)
        assert await after.get_token("ann", NAME, redis)
        assert (await after.delete_token(redis, "ann", NAME)).at_provider is RevokeOutcome.REVOKED

    async def test_that_cannot_be_asked_ends_no_connection(
        self, manager: OAuthManager, server: Issuer, redis: Redis
    ) -> None:
        await connected(manager, server.fake, redis, "ann", NAME)
        await age(manager, redis, "ann", NAME)
        await redis.delete(PIN)
        server.answer = Answer(503)
        after = manager_of(server)
        with pytest.raises(OAuthUnavailable):
            await after.get_token("ann", NAME, redis)
        connection = await after.connection(redis, "ann", NAME)
        assert connection.status is Status.CONNECTED
        ended = await after.delete_token(redis, "ann", NAME)
        assert ended.at_provider is RevokeOutcome.UNCONFIRMED
        assert ended.retry_until

    async def test_is_asked_before_a_refresh_takes_its_lock_which_may_not_last_as_long(
        self, server: Issuer, clock: FakeClock, redis: Redis
    ) -> None:
        locks: list[Any] = []

        class Watched(Issuer):
            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                if "/.well-known/" in scope["path"]:
                    locks.append(await redis.keys("stargazer:oauth_lock:*"))
                await super().__call__(scope, receive, send)

        watched = Watched(fake=server.fake)
        manager = manager_of(watched, clock=clock)
        await connected(manager, server.fake, redis, "ann", NAME)
        await age(manager, redis, "ann", NAME)
        clock.advance(FRESH_SECONDS)
        for process in (manager, manager_of(watched, clock=clock)):
            assert await process.get_token("ann", NAME, redis)
            await age(manager, redis, "ann", NAME)
            clock.advance(FRESH_SECONDS)
        assert locks == [[], [], []]

    async def test_that_redis_keeps_from_being_known_is_not_to_blame_nor_for_longer(
        self, manager: OAuthManager, server: Issuer, redis: Redis, redis_url: str
    ) -> None:
        async with redis_proxy(redis_url) as proxy:
            ours = Redis.from_url(proxy.url)
            await proxy.go()
            subject = manager._subject(ours, "ann", NAME)
            for find in (
                manager.servers.of(ours, subject.provider),
                manager.servers.about_if_known(subject),
                manager.servers.at_return(ours, subject.provider),
            ):
                with pytest.raises(StoreUnavailable):
                    await find
            await ours.aclose()
        assert server.asked == 0
        assert (await begin(manager, redis))["at"] == f"{ISSUER}/authorize"

    async def test_that_offers_other_ways_to_authenticate_is_followed_without_a_restart(
        self, manager: OAuthManager, server: Issuer, clock: FakeClock, redis: Redis
    ) -> None:
        await connected(manager, server.fake, redis, "ann", NAME)
        server.document["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
        server.document["authorization_response_iss_parameter_supported"] = None
        clock.advance(FRESH_SECONDS)
        await begin(manager, redis)
        assert manager.providers[NAME].token_auth == "post"
        assert not manager.providers[NAME].iss_required

    async def test_is_sealed_for_this_provider_alone(
        self, manager: OAuthManager, redis: Redis, server: Issuer
    ) -> None:
        await begin(manager, redis)
        sealed = await text_at(redis, PIN)
        assert ISSUER not in sealed
        await redis.set(PIN, manager._sealer.seal("server", "", "other", {}))
        assert await code_of(manager_of(server), redis) == "unreadable_pin"

    async def test_is_sealed_anew_by_a_rotation(
        self, manager: OAuthManager, server: Issuer, redis: Redis
    ) -> None:
        await begin(manager, redis)
        both = manager_of(server, key=f"{OTHER_KEY} {KEY}")
        await both.reseal(redis)
        server.answer = Answer(503)
        assert (await begin(manager_of(server, key=OTHER_KEY), redis))["at"]


class TestASearch:
    async def test_that_takes_too_long_as_a_whole_is_trouble_and_not_begun_at_once(self) -> None:
        begun: list[int] = []

        async def search() -> tuple[ServerMetadata, float]:
            begun.append(1)
            await asyncio.sleep(60)
            raise AssertionError

        cache = Discovery(FakeClock(), NAME, patience=0.05)
        for _ in range(2):
            with pytest.raises(OAuthUnavailable) as raised:
                await cache.metadata(search)
            assert raised.value.code == "timeout"
        assert begun == [1]


class TestMetadata:
    async def test_without_s256_switch_pkce_off_and_without_methods_leave_it_on(
        self, server: Issuer, redis: Redis
    ) -> None:
        assert "code_challenge" in await begin(manager_of(server), redis)
        server.document["code_challenge_methods_supported"] = None
        await redis.flushdb()
        assert "code_challenge" in await begin(manager_of(server), redis)
        server.document["code_challenge_methods_supported"] = ["plain"]
        await redis.flushdb()
        assert "code_challenge" not in await begin(manager_of(server), redis)

    async def test_that_announce_iss_have_it_missed(
        self, manager: OAuthManager, server: Issuer, redis: Redis
    ) -> None:
        await began(manager, server.fake, redis, "ann", NAME)
        with pytest.raises(FlowRefused):
            manager.check_issuer(NAME, None)
        with pytest.raises(FlowRefused):
            manager.check_issuer(NAME, EVIL)

    @pytest.mark.parametrize(
        ("methods", "auth"),
        [
            (["client_secret_post"], "post"),
            (["private_key_jwt", "client_secret_basic"], "basic"),
            (None, "basic"),
        ],
    )
    async def test_decide_how_the_client_authenticates(
        self, server: Issuer, redis: Redis, methods: Any, auth: str
    ) -> None:
        server.document["token_endpoint_auth_methods_supported"] = methods
        manager = manager_of(server)
        await connected(manager, server.fake, redis, "ann", NAME)
        assert manager.providers[NAME].token_auth == auth

    async def test_without_a_way_for_a_secret_are_the_operators_to_look_at(
        self, server: Issuer, redis: Redis
    ) -> None:
        server.document["token_endpoint_auth_methods_supported"] = ["tls_client_auth"]
        assert await code_of(manager_of(server), redis) == "client_authentication"
        assert await redis.get(PIN) is None

    async def test_give_way_to_what_the_operator_says(self, server: Issuer, redis: Redis) -> None:
        manager = manager_of(server, scopes="read", pkce=False, token_auth="post")
        asked = await begin(manager, redis)
        assert asked["scope"] == "read"
        assert "code_challenge" not in asked
        assert manager.providers[NAME].token_auth == "post"

    async def test_of_a_server_without_openid_ask_for_no_scope(
        self, server: Issuer, redis: Redis
    ) -> None:
        server.document |= {"scopes_supported": None, "userinfo_endpoint": None}
        assert "scope" not in await begin(manager_of(server), redis)


class TestLyingIssuer:
    """Five lies, each before anything is pinned and after: no secret goes where they lead."""

    LIES: tuple[tuple[dict[str, Any], str], ...] = (
        ({"issuer": EVIL}, "other_issuer"),
        ({"token_endpoint": "http://id.example/token"}, "token_endpoint"),
        ({"userinfo_endpoint": "https://user@id.example/me"}, "userinfo_endpoint"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"),
        ({"revocation_endpoint": "https://0x7f.1/revoke"}, "revocation_endpoint"),
    )

    @pytest.mark.parametrize(("lie", "code"), LIES)
    async def test_that_is_new_is_refused(
        self, server: Issuer, redis: Redis, lie: dict[str, Any], code: str
    ) -> None:
        server.document |= lie
        assert await code_of(manager_of(server), redis) == code
        assert await redis.get(PIN) is None
        assert not server.fake.requests

    @pytest.mark.parametrize(("lie", "code"), LIES)
    async def test_that_was_honest_once_changes_nothing(
        self,
        manager: OAuthManager,
        server: Issuer,
        clock: FakeClock,
        redis: Redis,
        lie: dict[str, Any],
        code: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        await begin(manager, redis)
        server.document |= lie
        clock.advance(FRESH_SECONDS)
        with caplog.at_level(logging.ERROR):
            assert (await begin(manager_of(server, clock=clock), redis))["at"] == (
                f"{ISSUER}/authorize"
            )
        assert code in caplog.text

    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "10.0.0.7", "169.254.169.254", "[::1]", "localhost"]
    )
    async def test_that_leads_into_our_own_network_gets_no_request_there(
        self, server: Issuer, redis: Redis, host: str
    ) -> None:
        server.document["token_endpoint"] = f"https://{host}/token"
        manager = manager_of(server)
        attempt, code = await began(manager, server.fake, redis, "ann", NAME)
        with pytest.raises(OAuthUnavailable) as caught:
            await manager.complete(redis, attempt, code)
        assert caught.value.code == "out_of_reach"
        assert not server.fake.requests

    async def test_that_answers_with_a_redirect_is_not_followed(
        self, manager: OAuthManager, server: Issuer, redis: Redis
    ) -> None:
        server.answer = redirect(f"{EVIL}/.well-known/openid-configuration", 302)
        assert await code_of(manager, redis) == "http_302"


class TestMovedTokenEndpoint:
    @pytest.fixture
    async def moved(
        self, manager: OAuthManager, server: Issuer, clock: FakeClock, redis: Redis
    ) -> OAuthManager:
        """Another process, an hour after somebody connected."""
        await connected(manager, server.fake, redis, "ann", NAME)
        server.document["token_endpoint"] = f"{EVIL}/token"
        clock.advance(FRESH_SECONDS)
        return manager_of(server, clock=clock)

    async def test_gets_nothing_before_the_operators_word(
        self, moved: OAuthManager, server: Issuer, redis: Redis, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.ERROR):
            assert await moved.get_token("ann", NAME, redis)
        assert moved.providers[NAME].token_url == f"{ISSUER}/token"
        assert f"webui providers accept {NAME}" in caplog.text
        move = await moved.servers.waiting(redis, NAME)
        assert move
        assert move.addresses == (("token_endpoint", f"{ISSUER}/token", f"{EVIL}/token"),)

    async def test_is_used_after_it_and_older_tokens_stay_away_from_it(
        self, moved: OAuthManager, server: Issuer, clock: FakeClock, redis: Redis
    ) -> None:
        await begin(moved, redis)
        move = await moved.servers.waiting(redis, NAME)
        assert move
        assert await moved.servers.accept(redis, move)
        assert await moved.servers.waiting(redis, NAME) is None
        assert not await moved.servers.accept(redis, move)
        after = manager_of(server, clock=clock)
        await age(after, redis, "ann", NAME)
        server.fake.requests.clear()
        assert await after.get_token("ann", NAME, redis) is None
        assert after.providers[NAME].token_url == f"{EVIL}/token"
        assert not server.fake.requests
        assert (await after.connection(redis, "ann", NAME)).profile.problem_kind == "moved"

    async def test_is_not_accepted_if_it_moved_once_more(
        self, moved: OAuthManager, server: Issuer, clock: FakeClock, redis: Redis
    ) -> None:
        await begin(moved, redis)
        move = await moved.servers.waiting(redis, NAME)
        server.document["token_endpoint"] = "https://worse.example/token"
        clock.advance(FRESH_SECONDS)
        await begin(moved, redis)
        assert move
        assert not await moved.servers.accept(redis, move)

    async def test_of_another_issuer_by_the_operators_own_setting_needs_no_word(
        self, moved: OAuthManager, clock: FakeClock, redis: Redis
    ) -> None:
        other = Issuer("https://new.example")
        assert (await begin(manager_of(other, clock=clock), redis))["at"] == (
            "https://new.example/authorize"
        )


class TestCatalogueByIssuer:
    @pytest.mark.parametrize("name", ["keycloak", "okta", "auth0", "gitlab"])
    def test_has_no_address_but_the_issuer(self, name: str) -> None:
        made = build_providers({}, {name: {"issuer": "https://id.example/x"}})[name]
        assert {"authorize_url", "token_url", "account_url"} <= made.to_find
        assert (made.token_url, made.account_url, made.revoke_url) == ("", "", "")
        assert made.label == template(name)["label"]
        assert "{host}" not in json.dumps([made.manage_url, made.api_hosts])

    def test_with_a_host_has_the_addresses_of_its_file(self) -> None:
        config = {"host": "id.example", "issuer": "https://id.example"}
        made = build_providers({}, {"gitlab": config})["gitlab"]
        assert made.token_url == "https://id.example/oauth/token"
        assert not made.to_find

    def test_in_a_file_of_ones_own_needs_no_address_beside_it(self) -> None:
        made = read("acme", 'issuer = "https://id.example"\n[scopes]\n')
        config = dict(made.fields)
        assert build_providers({}, {"acme": config})["acme"].to_find
        with pytest.raises(FaultyFile, match="token_url is missing"):
            read("acme", 'issuer = "https://x.example"\nauthorize_url = "https://x.example/a"')

    def test_of_a_provider_with_one_server_only_compares(self) -> None:
        made = build_providers({}, {"google": {"issuer": "https://accounts.google.com"}})["google"]
        assert made.token_url == "https://oauth2.googleapis.com/token"
        assert not made.to_find
