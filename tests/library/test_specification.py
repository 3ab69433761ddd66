"""The library's specification, name by name and behaviour by behaviour.

Whoever wrote a caller against the specification alone finds here what holds.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.fernet import Fernet
from redis.asyncio import Redis

import webui.oauth_manager as oauth_manager
from tests.kit.every import every
from tests.kit.fake_answers import error_answer, json_answer
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import (
    BASE_URL,
    KEY,
    NO_REDIS,
    OVER,
    age,
    connected,
    granted,
    providers_config,
    text_at,
    tokens_key,
)
from webui.oauth_manager import (
    LINK_CODE_TTL,
    PROVIDER_TEMPLATES,
    REFRESH_BUFFER_SECONDS,
    OAuthManager,
    OAuthNotConnected,
    OAuthProvider,
    TokenData,
    get_oauth_manager,
    init_oauth_manager,
    require_oauth_token,
)

pytestmark = pytest.mark.anyio

REQUIRED = inspect.Parameter.empty
FACTORY = object()  # a fresh list or dict each time

Parameters = list[tuple[str, Any]]
SIX_FIELDS = {"access_token", "refresh_token", "expires_at", "scopes", "token_type", "provider"}

SIGNATURES: list[tuple[str, Callable[..., Any], Parameters]] = [
    (
        "OAuthProvider",
        OAuthProvider,
        [
            ("name", REQUIRED),
            ("authorize_url", REQUIRED),
            ("token_url", REQUIRED),
            ("client_id", ""),
            ("client_secret", ""),
            ("scopes", FACTORY),
            ("tokens_expire", True),
            ("revoke_url", ""),
            ("extra_auth_params", FACTORY),
        ],
    ),
    (
        "TokenData",
        TokenData,
        [
            ("access_token", REQUIRED),
            ("refresh_token", ""),
            ("expires_at", 0.0),
            ("scopes", FACTORY),
            ("token_type", "Bearer"),
            ("provider", ""),
        ],
    ),
    ("TokenData.to_dict", TokenData.to_dict, [("self", REQUIRED)]),
    ("TokenData.from_dict", TokenData.from_dict, [("d", REQUIRED)]),
    (
        "OAuthNotConnected",
        OAuthNotConnected,
        [("provider", REQUIRED), ("connect_url", REQUIRED)],
    ),
    (
        "OAuthManager",
        OAuthManager,
        [("encryption_key", ""), ("base_url", ""), ("providers_config", None)],
    ),
    (
        "init_oauth_manager",
        init_oauth_manager,
        [("encryption_key", ""), ("base_url", ""), ("providers_config", None)],
    ),
    ("get_oauth_manager", get_oauth_manager, []),
    ("require_oauth_token", require_oauth_token, [("ctx", REQUIRED), ("provider", REQUIRED)]),
]
METHODS: list[tuple[str, Parameters]] = [
    ("is_provider_configured", [("provider", REQUIRED)]),
    ("list_configured_providers", []),
    ("create_link_code", [("redis", REQUIRED), ("user_id", REQUIRED)]),
    ("resolve_link_code", [("redis", REQUIRED), ("code", REQUIRED)]),
    ("get_authorize_url", [("provider", REQUIRED), ("state", REQUIRED), ("scopes", None)]),
    ("exchange_code", [("provider", REQUIRED), ("code", REQUIRED)]),
    ("get_token", [("user_id", REQUIRED), ("provider", REQUIRED), ("redis", REQUIRED)]),
    ("store_token", [("redis", REQUIRED), ("user_id", REQUIRED), ("token", REQUIRED)]),
    ("delete_token", [("redis", REQUIRED), ("user_id", REQUIRED), ("provider", REQUIRED)]),
    ("list_user_connections", [("user_id", REQUIRED), ("redis", REQUIRED)]),
    ("has_token", [("user_id", REQUIRED), ("provider", REQUIRED), ("redis", REQUIRED)]),
    (
        "generate_connect_url",
        [
            ("user_id", REQUIRED),
            ("provider", REQUIRED),
            ("redis", REQUIRED),
            ("scopes", None),
        ],
    ),
]
ASYNCHRONOUS = {name for name, _ in METHODS} - {
    "is_provider_configured",
    "list_configured_providers",
    "get_authorize_url",
}


def assert_signature(function: Callable[..., Any], expected: Parameters) -> None:
    actual = list(inspect.signature(function).parameters.values())
    assert [p.name for p in actual[: len(expected)]] == [name for name, _ in expected]
    for parameter, (_, default) in zip(actual, expected, strict=False):
        assert parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        if default is FACTORY:
            assert parameter.default is not REQUIRED
        else:
            assert parameter.default == default
    for more in actual[len(expected) :]:
        assert more.default is not REQUIRED, f"{more.name} would break a specified call"


class TestNames:
    @every(
        ("function", "expected"),
        dict(zip([s[0] for s in SIGNATURES], [s[1:] for s in SIGNATURES], strict=True)),
    )
    def test_parameters_are_the_specified_ones_in_their_order(
        self, function: Callable[..., Any], expected: Parameters
    ) -> None:
        assert_signature(function, expected)

    @every(("name", "expected"), dict(zip([m[0] for m in METHODS], METHODS, strict=True)))
    def test_methods_of_the_manager_are_the_specified_ones(
        self, name: str, expected: Parameters
    ) -> None:
        method = getattr(OAuthManager, name)
        assert_signature(method, [("self", REQUIRED), *expected])
        assert inspect.iscoroutinefunction(method) is (name in ASYNCHRONOUS)

    def test_require_oauth_token_is_a_coroutine_and_the_two_accessors_are_not(self) -> None:
        assert inspect.iscoroutinefunction(require_oauth_token)
        assert not inspect.iscoroutinefunction(get_oauth_manager)
        assert not inspect.iscoroutinefunction(init_oauth_manager)

    def test_the_constants_are_there(self) -> None:
        assert REFRESH_BUFFER_SECONDS == 60
        assert LINK_CODE_TTL == 600
        assert set(PROVIDER_TEMPLATES) == {"github", "google", "discord", "microsoft"}

    def test_every_public_name_exists(self) -> None:
        for name in oauth_manager.__all__:
            assert getattr(oauth_manager, name) is not None


class TestOAuthProvider:
    def test_three_values_make_a_provider_with_the_specified_defaults(self) -> None:
        provider = OAuthProvider("plain", "https://a.example/authorize", "https://a.example/token")
        assert provider.client_id == provider.client_secret == provider.revoke_url == ""
        assert provider.scopes == []
        assert provider.extra_auth_params == {}
        assert provider.tokens_expire is True

    def test_two_providers_share_no_list(self) -> None:
        one, other = (OAuthProvider(name, "https://a", "https://t") for name in ("one", "other"))
        one.scopes.append("x")
        one.extra_auth_params["prompt"] = "consent"
        assert other.scopes == []
        assert other.extra_auth_params == {}

    def test_github_tokens_are_long_lived_and_those_of_others_expire(self) -> None:
        providers = OAuthManager(KEY).providers
        assert {n: p.tokens_expire for n, p in providers.items()} == {
            "discord": True,
            "github": False,
            "google": True,
            "microsoft": True,
        }


class TestTokenData:
    def test_an_access_token_is_enough(self) -> None:
        token = TokenData("a")
        assert token.to_dict() == {
            "access_token": "a",
            "refresh_token": "",
            "expires_at": 0.0,
            "scopes": [],
            "token_type": "Bearer",
            "provider": "",
        }

    @every(("ahead", "is_expired"), [(-1, True), (0, True), (50, True), (70, False), (3600, False)])
    def test_it_is_expired_from_the_buffer_before_its_end(
        self, ahead: float, is_expired: bool
    ) -> None:
        assert TokenData("a", expires_at=time.time() + ahead).is_expired is is_expired

    @pytest.mark.parametrize("expires_at", [0.0, -1.0, 0])
    def test_no_end_means_never_expired(self, expires_at: float) -> None:
        assert not TokenData("a", expires_at=expires_at).is_expired

    def test_to_dict_has_exactly_the_six_fields_and_is_json(self) -> None:
        token = TokenData("a", "r", 5.0, ["x"], "Bearer", "github")
        assert set(token.to_dict()) == SIX_FIELDS
        assert TokenData.from_dict(json.loads(json.dumps(token.to_dict()))) == token

    def test_to_dict_does_not_lend_its_list(self) -> None:
        token = TokenData("a", scopes=["x"])
        token.to_dict()["scopes"].append("y")
        assert token.scopes == ["x"]

    @every(
        ("partial", "expected"),
        [
            ({}, TokenData("")),
            ({"access_token": "a"}, TokenData("a")),
            ({"access_token": "a", "expires_at": "12.5"}, TokenData("a", expires_at=12.5)),
            ({"access_token": "a", "expires_at": 12}, TokenData("a", expires_at=12.0)),
            ({"access_token": "a", "expires_at": None, "scopes": None}, TokenData("a")),
            ({"access_token": "a", "scopes": "x y"}, TokenData("a", scopes=["x", "y"])),
            ({"access_token": "a", "shoe_size": 43}, TokenData("a")),
        ],
    )
    def test_from_dict_fills_in_what_partial_and_older_records_lack(
        self, partial: dict[str, Any], expected: TokenData
    ) -> None:
        token = TokenData.from_dict(partial)
        assert token == expected
        assert isinstance(token.expires_at, float)


class TestOAuthNotConnected:
    def test_it_carries_provider_and_link_and_says_what_to_do(self) -> None:
        error = OAuthNotConnected("github", "https://bot.example/go")
        assert isinstance(error, Exception)
        assert (error.provider, error.connect_url) == ("github", "https://bot.example/go")
        assert "github" in str(error)
        assert "https://bot.example/go" in str(error)
        assert "connect" in str(error)


class TestMakingAManager:
    def test_nothing_at_all_is_enough(self) -> None:
        manager = OAuthManager()
        assert set(manager.providers) == set(PROVIDER_TEMPLATES)
        assert manager.list_configured_providers() == []

    @pytest.mark.parametrize("key", [KEY, KEY.encode()])
    def test_the_key_is_text_or_bytes(self, key: str | bytes) -> None:
        assert OAuthManager(key)._fernet is not None

    @pytest.mark.parametrize("key", ["short", "!" * 44, KEY[:-2], "not a key"])
    def test_an_invalid_key_is_logged_unquoted_and_leaves_no_cipher(
        self, key: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        manager = OAuthManager(key)
        assert manager._fernet is None
        assert any(record.levelno == logging.ERROR for record in caplog.records)
        assert key not in caplog.text

    async def test_without_a_key_tokens_are_plain_json_and_read_back(self, redis: Redis) -> None:
        manager = OAuthManager("", BASE_URL)
        await manager.store_token(redis, "u1", TokenData("plain-token", provider="github"))
        record = json.loads(await text_at(redis, tokens_key("u1", "github")))
        assert record["access_token"] == "plain-token"
        assert set(record) >= SIX_FIELDS
        assert await manager.get_token("u1", "github", redis) == "plain-token"

    def test_the_trailing_slash_of_the_base_url_is_dropped(self) -> None:
        manager = OAuthManager(KEY, "https://bot.example/", {"github": {"client_id": "i"}})
        query = dict(parse_qsl(urlsplit(manager.get_authorize_url("github", "s")).query))
        assert query["redirect_uri"] == "https://bot.example/oauth/github/callback"

    def test_configuration_is_merged_over_the_templates(self) -> None:
        config = {"github": {"client_id": "i", "client_secret": "s", "scopes": ["gist"]}}
        provider = OAuthManager(KEY, BASE_URL, config).providers["github"]
        assert (provider.client_id, provider.client_secret) == ("i", "s")
        assert provider.scopes == ["gist"]
        assert provider.token_url == PROVIDER_TEMPLATES["github"]["token_url"]

    def test_configuration_does_not_leak_into_the_templates(self) -> None:
        before = list(PROVIDER_TEMPLATES["github"]["scopes"])
        OAuthManager(KEY).providers["github"].scopes.append("gist")
        assert PROVIDER_TEMPLATES["github"]["scopes"] == before

    @every(
        ("settings", "is_configured"),
        [
            ({}, False),
            ({"client_id": "i"}, False),
            ({"client_secret": "s"}, False),
            ({"client_id": "i", "client_secret": ""}, False),
            ({"client_id": "i", "client_secret": "s"}, True),
        ],
    )
    def test_a_provider_is_configured_with_both_id_and_secret(
        self, settings: dict[str, str], is_configured: bool
    ) -> None:
        manager = OAuthManager(KEY, BASE_URL, {"github": settings})
        assert manager.is_provider_configured("github") is is_configured
        assert manager.list_configured_providers() == (["github"] if is_configured else [])

    def test_an_unknown_provider_is_not_configured(self) -> None:
        assert OAuthManager(KEY).is_provider_configured("myspace") is False


class TestLinkCodes:
    async def test_the_key_holds_the_user_id_for_ten_minutes(
        self, manager: OAuthManager, either: Redis
    ) -> None:
        code = await manager.create_link_code(either, "u1")
        value = await either.get(f"stargazer:oauth_link:{code}")
        assert value in (b"u1", "u1")
        assert 590 < await either.ttl(f"stargazer:oauth_link:{code}") <= LINK_CODE_TTL

    async def test_it_resolves_once(self, manager: OAuthManager, either: Redis) -> None:
        code = await manager.create_link_code(either, "u1")
        assert await manager.resolve_link_code(either, code) == "u1"
        assert not await either.exists(f"stargazer:oauth_link:{code}")
        assert await manager.resolve_link_code(either, code) is None

    async def test_unknown_and_expired_codes_resolve_to_none(
        self, manager: OAuthManager, either: Redis
    ) -> None:
        code = await manager.create_link_code(either, "u1")
        await either.pexpire(f"stargazer:oauth_link:{code}", 0)
        assert await manager.resolve_link_code(either, code) is None
        assert await manager.resolve_link_code(either, "never-issued") is None


class TestAuthorizeUrl:
    def test_it_has_every_specified_parameter(self, manager: OAuthManager) -> None:
        url = urlsplit(manager.get_authorize_url("google", "the-state", ["a", "b"]))
        query = dict(parse_qsl(url.query))
        assert query == {
            "client_id": "client",
            "redirect_uri": f"{BASE_URL}/oauth/google/callback",
            "response_type": "code",
            "scope": "a b",
            "state": "the-state",
            "access_type": "offline",
            "prompt": "consent",
        }

    def test_without_scopes_the_providers_own_are_asked(self, manager: OAuthManager) -> None:
        query = dict(parse_qsl(urlsplit(manager.get_authorize_url("github", "s")).query))
        assert query["scope"] == " ".join(manager.providers["github"].scopes)

    def test_an_unknown_provider_is_a_value_error(self, manager: OAuthManager) -> None:
        with pytest.raises(ValueError, match="unknown provider"):
            manager.get_authorize_url("myspace", "s")


class TestExchange:
    async def test_a_code_becomes_a_token_bundle(
        self, manager: OAuthManager, fake: FakeProvider
    ) -> None:
        url = manager.get_authorize_url("google", "s", ["x", "y"])
        code = dict(parse_qsl(urlsplit(fake.authorize(url)).query))["code"]
        token = await manager.exchange_code("google", code)
        assert fake.is_alive(token.access_token)
        assert fake.is_alive(token.refresh_token)
        assert token.scopes == ["x", "y"]
        assert token.provider == "google"
        assert token.token_type == "Bearer"
        assert 3500 < token.expires_at - time.time() <= 3600
        (request,) = fake.requests
        assert request.form["grant_type"] == "authorization_code"
        assert request.form["redirect_uri"] == f"{BASE_URL}/oauth/google/callback"

    async def test_json_is_asked_for_in_a_form_encoded_post(
        self, manager: OAuthManager, fake: FakeProvider
    ) -> None:
        fake.script("token", json_answer({"access_token": "gho_x", "scope": "repo,gist"}))
        token = await manager.exchange_code("github", "code")
        assert fake.requests[0].method == "POST"
        assert fake.requests[0].headers["accept"] == "application/json"
        assert fake.requests[0].headers["content-type"] == "application/x-www-form-urlencoded"
        assert token == TokenData("gho_x", scopes=["repo", "gist"], provider="github")

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
    async def test_a_status_other_than_200_is_a_runtime_error(
        self, manager: OAuthManager, fake: FakeProvider, status: int
    ) -> None:
        fake.script("token", error_answer("invalid_grant", status))
        with pytest.raises(RuntimeError):
            await manager.exchange_code("google", "code")

    async def test_nothing_is_stored_by_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.script("token", json_answer({"access_token": "x"}))
        await manager.exchange_code("github", "code")
        assert await redis.keys() == []

    async def test_an_unknown_provider_is_a_value_error(self, manager: OAuthManager) -> None:
        with pytest.raises(ValueError, match="unknown provider"):
            await manager.exchange_code("myspace", "code")


class TestTokens:
    async def test_what_was_stored_is_served(self, manager: OAuthManager, either: Redis) -> None:
        await manager.store_token(either, "u1", TokenData("a", provider="github"))
        assert await manager.get_token("u1", "github", either) == "a"
        assert await manager.has_token("u1", "github", either) is True

    async def test_without_redis_there_is_nothing(self, manager: OAuthManager) -> None:
        assert await manager.get_token("u1", "github", NO_REDIS) is None
        assert await manager.has_token("u1", "github", NO_REDIS) is False
        assert await manager.list_user_connections("u1", NO_REDIS) == []

    async def test_nothing_stored_is_none(self, manager: OAuthManager, either: Redis) -> None:
        assert await manager.get_token("u1", "github", either) is None
        assert await manager.has_token("u1", "github", either) is False
        assert await manager.list_user_connections("u1", either) == []

    async def test_a_bundle_without_access_token_is_no_connection(
        self, manager: OAuthManager, either: Redis
    ) -> None:
        await manager.store_token(either, "u1", TokenData("", "r", provider="google"))
        assert await manager.get_token("u1", "google", either) is None
        assert await manager.has_token("u1", "google", either) is False
        assert await manager.list_user_connections("u1", either) == []

    async def test_an_expired_token_is_refreshed_and_the_new_one_stored(
        self, manager: OAuthManager, fake: FakeProvider, either: Redis
    ) -> None:
        old = granted(fake, "google")
        await manager.store_token(either, "u1", old)
        fresh = await manager.get_token("u1", "google", either)
        assert fresh is not None
        assert fresh != old.access_token
        assert fake.is_alive(fresh)
        assert await manager.get_token("u1", "google", either) == fresh
        assert fake.calls["refresh"] == 1

    async def test_a_refresh_that_is_refused_drops_the_tokens_and_gives_none(
        self, manager: OAuthManager, fake: FakeProvider, either: Redis
    ) -> None:
        await manager.store_token(either, "u1", granted(fake, "google"))
        fake.withdraw()
        assert await manager.get_token("u1", "google", either) is None
        assert await manager.has_token("u1", "google", either) is False
        assert not await either.exists(tokens_key("u1", "google"))

    async def test_has_token_and_listing_never_refresh(
        self, manager: OAuthManager, fake: FakeProvider, either: Redis
    ) -> None:
        await manager.store_token(either, "u1", granted(fake, "google"))
        assert await manager.has_token("u1", "google", either) is True
        assert len(await manager.list_user_connections("u1", either)) == 1
        assert fake.requests == []

    async def test_the_listing_says_everything_but_the_secrets(
        self, manager: OAuthManager, either: Redis
    ) -> None:
        google = TokenData("secret-a", "secret-r", 4e9, ["x", "y"], provider="google")
        await manager.store_token(either, "u1", google)
        await manager.store_token(either, "u1", TokenData("secret-g", provider="github"))
        github_entry, google_entry = await manager.list_user_connections("u1", either)
        assert github_entry["provider"] == "github"
        assert github_entry["expires_at"] is None
        assert github_entry["has_refresh_token"] is False
        assert google_entry["provider"] == "google"
        assert google_entry["scopes"] == ["x", "y"]
        assert google_entry["expires_at"] == 4e9
        assert google_entry["has_refresh_token"] is True
        assert "secret" not in json.dumps([github_entry, google_entry])

    async def test_deleting_revokes_and_removes(
        self, manager: OAuthManager, fake: FakeProvider, either: Redis
    ) -> None:
        token = granted(fake, "google", expires_at=4e9)
        await manager.store_token(either, "u1", token)
        await manager.delete_token(either, "u1", "google")
        assert not fake.is_alive(token.access_token)
        assert await either.keys("stargazer:oauth_tokens:*") == []

    async def test_deleting_removes_even_where_the_revocation_fails(
        self, manager: OAuthManager, fake: FakeProvider, either: Redis
    ) -> None:
        await manager.store_token(either, "u1", granted(fake, "google", expires_at=4e9))
        fake.script("revoke", error_answer("server_error", 500))
        await manager.delete_token(either, "u1", "google")
        assert fake.calls["revoke"] == 1
        assert await manager.has_token("u1", "google", either) is False

    async def test_deleting_nothing_is_calm(self, manager: OAuthManager, either: Redis) -> None:
        await manager.delete_token(either, "u1", "google")


class TestRecordsOfPlainFernet:
    async def test_a_token_written_by_the_specifications_rules_is_read(
        self, manager: OAuthManager, either: Redis
    ) -> None:
        token = TokenData("theirs", "r", 4e9, ["x"], "Bearer", "google")
        sealed = Fernet(KEY).encrypt(json.dumps(token.to_dict()).encode())
        await either.set(tokens_key("u1", "google"), sealed)
        assert await manager.get_token("u1", "google", either) == "theirs"
        assert await manager.valid_token(either, "u1", "google") == token

    async def test_a_token_written_here_opens_with_plain_fernet_and_has_the_six_fields(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        token = TokenData("ours", "r", 4e9, ["x"], "Bearer", "google")
        await manager.store_token(redis, "u1", token)
        record = json.loads(Fernet(KEY).decrypt(await text_at(redis, tokens_key("u1", "google"))))
        assert {name: record[name] for name in SIX_FIELDS} == token.to_dict()
        assert TokenData.from_dict(record) == token


class TestGenerateConnectUrl:
    async def test_it_is_the_providers_address_with_a_stored_state(
        self, manager: OAuthManager, either: Redis
    ) -> None:
        url = await manager.generate_connect_url("u1", "google", either, ["a", "b"])
        query = dict(parse_qsl(urlsplit(url).query))
        assert url.startswith(manager.providers["google"].authorize_url + "?")
        assert query["scope"] == "a b"
        key = f"stargazer:oauth_state:{query['state']}"
        record = json.loads(await text_at(either, key))
        assert record["provider"] == "google"
        assert 590 < await either.ttl(key) <= LINK_CODE_TTL
        assert await manager.resolve_link_code(either, record["link_code"]) == "u1"

    async def test_an_unknown_provider_is_a_value_error(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        with pytest.raises(ValueError, match="unknown provider"):
            await manager.generate_connect_url("u1", "myspace", redis)


@dataclasses.dataclass
class Context:
    user_id: str
    redis: Any


class TestTheProcessWideManager:
    def test_before_init_it_is_a_runtime_error(self) -> None:
        script = (
            "from webui.oauth_manager import get_oauth_manager\n"
            "try:\n    get_oauth_manager()\nexcept RuntimeError:\n    raise SystemExit(7)"
        )
        assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 7

    def test_init_makes_it_and_returns_it(self) -> None:
        manager = init_oauth_manager(KEY, BASE_URL, {})
        assert get_oauth_manager() is manager
        assert init_oauth_manager() is not manager

    async def test_a_tool_gets_a_token_or_a_link(self, fake: FakeProvider, redis: Redis) -> None:
        """The three lines of a bot's author, over a real network."""
        with serve(fake) as url:
            manager = init_oauth_manager(KEY, BASE_URL, providers_config(fake, url))
            ctx = Context("u1", redis)
            with pytest.raises(OAuthNotConnected) as caught:
                await require_oauth_token(ctx, "google")
            assert caught.value.provider == "google"
            assert caught.value.connect_url.startswith(f"{url}/google/authorize?")
            await connected(manager, fake, redis, "u1", "google")
            token = await require_oauth_token(ctx, "google")
            assert fake.is_alive(token)
            await age(manager, redis, "u1", "google", OVER)
            assert await require_oauth_token(ctx, "google") not in (token, None)
            await manager.aclose()

    async def test_a_tool_without_access_any_more_gets_a_link(
        self, fake: FakeProvider, redis: Redis
    ) -> None:
        with serve(fake) as url:
            manager = init_oauth_manager(KEY, BASE_URL, providers_config(fake, url))
            await manager.store_token(redis, "u1", granted(fake, "google"))
            fake.withdraw()
            with pytest.raises(OAuthNotConnected):
                await require_oauth_token(Context("u1", redis), "google")
            await manager.aclose()

    async def test_missing_permissions_are_named_with_a_link_that_asks_for_them(
        self, redis: Redis
    ) -> None:
        manager = init_oauth_manager(
            KEY, BASE_URL, {"github": {"client_id": "i", "client_secret": "s"}}
        )
        ctx = Context("u1", redis)
        await manager.store_token(redis, "u1", TokenData("a", scopes=["gist"], provider="github"))
        assert await require_oauth_token(ctx, "github", ["gist"]) == "a"
        with pytest.raises(OAuthNotConnected) as caught:
            await require_oauth_token(ctx, "github", ["gist", "repo"])
        assert caught.value.missing_scopes == ("repo",)
        query = dict(parse_qsl(urlsplit(caught.value.connect_url).query))
        assert query["scope"].split() == ["read:user", "gist", "repo"]

    async def test_a_wider_permission_contains_the_narrower(self, redis: Redis) -> None:
        manager = init_oauth_manager(KEY, BASE_URL)
        await manager.store_token(redis, "u1", TokenData("a", scopes=["repo"], provider="github"))
        assert await require_oauth_token(Context("u1", redis), "github", ["public_repo"]) == "a"
