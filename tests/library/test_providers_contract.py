"""One contract for every provider: the four built in, and some from configuration alone."""

from __future__ import annotations

import json
import logging
import traceback
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.every import every
from tests.kit.fake_answers import error_answer
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    BASE_URL,
    BUILT_IN,
    FAKE_URL,
    KEY,
    age,
    began,
    callback_query,
    connected,
    dumped,
    providers_config,
)
from webui.oauth_manager import (
    PROVIDER_TEMPLATES,
    OAuthManager,
    OAuthMisconfigured,
    OAuthNotConnected,
    OAuthProvider,
    OAuthRefused,
    OAuthUnavailable,
    RevokeOutcome,
    Status,
    TokenData,
    require_oauth_token,
)
from webui.oauth_manager import access as access_module
from webui.oauth_manager.protocol.transport import Transport

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Habits:
    """Differences of a provider, as its answers show them."""

    account: Any
    account_id: str
    label: str
    expires_in: object = 3600
    rotates: bool = True
    gives_refresh_token: bool = True
    can_revoke: bool = True
    config: dict[str, Any] = field(default_factory=dict)


HABITS = {
    "github": Habits({"id": 1, "login": "mona"}, "1", "mona", None, gives_refresh_token=False),
    "google": Habits({"sub": "110", "email": "a@b.example"}, "110", "a@b.example", rotates=False),
    "discord": Habits({"user": {"id": "80", "username": "nelly"}}, "80", "nelly", 604800),
    "microsoft": Habits(
        {"id": "oid", "userPrincipalName": "a@b.example"}, "oid", "a@b.example", can_revoke=False
    ),
    # From data alone.
    "gitlab": Habits(
        {"id": 7, "username": "tanuki"},
        "7",
        "tanuki",
        7200,
        config={
            "scopes": ["read_user", "api"],
            "account_label_field": "username",
            "extra_auth_params": {"approval_prompt": "force"},
        },
    ),
    "slack-like": Habits(
        {"profile": {"who": {"key": "U1"}, "shown": "Ann"}},
        "U1",
        "Ann",
        "43200",
        config={
            "scopes": ["chat:write", "users:read"],
            "scope_separator": ",",
            "token_auth": "basic",
            "account_id_field": "profile.who.key",
            "account_label_field": "profile.shown",
            "issuer": "https://slack.example",
            "iss_required": True,
        },
    ),
    "bare_minimum": Habits(
        {}, "", "", None, gives_refresh_token=False, can_revoke=False, config={"account_url": ""}
    ),
    "strange_revoker": Habits(
        {"id": "1", "name": "Ann"}, "1", "Ann", config={"revoke_style": "delete"}
    ),
}


@pytest.fixture(params=HABITS)
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def habits(provider: str) -> Habits:
    return HABITS[provider]


@pytest.fixture
def fake(habits: Habits) -> FakeProvider:
    return FakeProvider(
        expires_in=habits.expires_in,
        rotates=habits.rotates,
        gives_refresh_token=habits.gives_refresh_token,
        account=habits.account,
        client_secret="canary-client-secret",
    )


@pytest.fixture
def manager(fake: FakeProvider, provider: str, habits: Habits) -> OAuthManager:
    config = providers_config(fake, names=[provider])
    config[provider] |= habits.config
    if not habits.can_revoke:
        config[provider].pop("revoke_url", None)
    made = OAuthManager(KEY, BASE_URL, config, transport=Transport(httpx.ASGITransport(fake)))
    if made.providers[provider].issuer:
        fake.issuers[f"/{provider}"] = made.providers[provider].issuer
    return made


class TestTheContract:
    async def test_it_is_set_up_and_offers_what_a_page_needs(
        self, manager: OAuthManager, provider: str, habits: Habits
    ) -> None:
        known = manager.providers[provider]
        assert manager.list_configured_providers() == [provider]
        assert known.label
        assert known.can_revoke is habits.can_revoke
        assert "{" not in known.own_manage_url

    async def test_connect_use_and_disconnect(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        provider: str,
        habits: Habits,
    ) -> None:
        connection = await connected(manager, fake, redis, "u1", provider)
        assert connection.status is Status.CONNECTED
        assert connection.profile.account.id == habits.account_id
        assert connection.profile.account.label == habits.label
        assert connection.scopes == tuple(manager.providers[provider].scopes)
        assert connection.missing_scopes == ()
        assert connection.has_refresh_token is habits.gives_refresh_token
        assert (connection.expires_at > 0) is (habits.expires_in is not None)
        token = await manager.get_token("u1", provider, redis)
        assert token is not None
        assert fake.is_alive(token)
        result = await manager.delete_token(redis, "u1", provider)
        assert result.at_provider is (
            RevokeOutcome.REVOKED if habits.can_revoke else RevokeOutcome.UNSUPPORTED
        )
        assert fake.is_alive(token) is not habits.can_revoke
        assert await manager.get_token("u1", provider, redis) is None

    async def test_a_token_that_is_over_is_refreshed_or_asks_to_reconnect(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        provider: str,
        habits: Habits,
    ) -> None:
        await connected(manager, fake, redis, "u1", provider)
        for _ in range(3):
            await age(manager, redis, "u1", provider)
            token = await manager.get_token("u1", provider, redis)
            assert (token is not None) is habits.gives_refresh_token
            assert token is None or fake.is_alive(token)
        assert fake.calls["refresh"] == (3 if habits.gives_refresh_token else 0)
        standing = (await manager.connection(redis, "u1", provider)).status
        assert standing is (
            Status.CONNECTED if habits.gives_refresh_token else Status.RECONNECT_NEEDED
        )

    async def test_the_authorize_address_is_complete(
        self, manager: OAuthManager, redis: Redis, provider: str
    ) -> None:
        known = manager.providers[provider]
        url = await manager.generate_connect_url("u1", provider, redis)
        query = callback_query(url)
        assert url.startswith(f"{FAKE_URL}/{provider}/authorize?")
        assert query["client_id"] == known.client_id
        assert query["redirect_uri"] == f"{BASE_URL}/oauth/{provider}/callback"
        assert query["response_type"] == "code"
        assert query.get("scope", "") == known.scope_separator.join(known.scopes)
        assert query["code_challenge_method"] == "S256"
        assert query.items() >= known.extra_auth_params.items()
        assert "client_secret" not in query

    async def test_every_request_is_authenticated_and_asks_for_json(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, provider: str
    ) -> None:
        await connected(manager, fake, redis, "u1", provider)
        await age(manager, redis, "u1", provider)
        await manager.get_token("u1", provider, redis)
        for request in fake.requests:
            assert request.headers["accept"] == "application/json"
            assert request.query == {}
            if request.endpoint == "token":
                assert request.client == (fake.client_id, fake.client_secret)
                sent_twice = "authorization" in request.headers and "client_secret" in request.form
                assert not sent_twice

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            ("invalid_grant", OAuthRefused),
            ("invalid_client", OAuthMisconfigured),
            ("server_error", OAuthUnavailable),
        ],
    )
    async def test_a_failed_exchange_is_of_one_of_three_kinds_and_stores_nothing(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        provider: str,
        code: str,
        kind: type[Exception],
    ) -> None:
        attempt, authorization_code = await began(manager, fake, redis, "u1", provider)
        fake.script("token", error_answer(code))
        with pytest.raises(kind):
            await manager.complete(redis, attempt, authorization_code)
        assert (await manager.connection(redis, "u1", provider)).status is Status.NOT_CONNECTED

    async def test_its_code_is_worth_nothing_at_another_provider(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, provider: str
    ) -> None:
        """Each has a callback of its own, and an attempt knows its provider."""
        other = "github" if provider != "github" else "google"
        manager.providers[other] = OAuthProvider(
            other,
            f"{FAKE_URL}/{other}/authorize",
            f"{FAKE_URL}/{other}/token",
            fake.client_id,
            fake.client_secret,
        )
        attempt, _ = await began(manager, fake, redis, "u1", other)
        _, code = await began(manager, fake, redis, "u1", provider)
        assert attempt.provider == other
        with pytest.raises(OAuthRefused):
            await manager.complete(redis, attempt, code)

    async def test_a_whole_life_leaves_no_secret_in_logs_reprs_errors_or_redis(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        provider: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        shown: list[object] = [manager, manager.providers[provider]]
        secrets = {fake.client_secret, KEY}
        url = await manager.generate_connect_url("u1", provider, redis)
        state = callback_query(url)["state"]
        attempt = await manager.links.take_attempt(redis, state)
        assert attempt is not None
        secrets |= {state, attempt.verifier, attempt.link_code}
        url = await manager.begin(redis, "u1", provider, browser="a-canary-binding")
        state = callback_query(url)["state"]
        attempt = await manager.links.take_attempt(redis, state, "a-canary-binding")
        assert attempt is not None
        secrets |= {state, attempt.verifier, attempt.browser}
        code = callback_query(fake.authorize(url))["code"]
        shown += [attempt, await manager.complete(redis, attempt, code)]
        shown += [await manager.valid_token(redis, "u1", provider)]
        shown += await manager.list_user_connections("u1", redis)
        shown += await manager.connections(redis, "u1")
        await age(manager, redis, "u1", provider)
        for error in ("server_error", "invalid_client", "invalid_grant"):
            fake.always["token"] = error_answer(error)
            try:
                shown.append(await manager.valid_token(redis, "u1", provider))
            except (OAuthUnavailable, OAuthMisconfigured) as failure:
                shown.append("".join(traceback.format_exception(failure)))
        fake.always.clear()
        await connected(manager, fake, redis, "u1", provider)
        dump = await dumped(redis)
        shown += [await manager.delete_token(redis, "u1", provider)]
        text = caplog.text + "".join(f"{thing!r} {thing}" for thing in shown)
        for secret in secrets | fake.issued:
            assert secret not in text
        for secret in fake.issued | {fake.client_secret, KEY, attempt.verifier}:
            assert secret.encode() not in dump

    async def test_the_demand_for_a_connection_shows_its_link_to_the_person_alone(
        self,
        manager: OAuthManager,
        redis: Redis,
        provider: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        @dataclass
        class Context:
            user_id: str
            redis: Any

        monkeypatch.setattr(access_module, "_instance", manager)
        with pytest.raises(OAuthNotConnected) as caught:
            await require_oauth_token(Context("u1", redis), provider)
        state = callback_query(caught.value.connect_url)["state"]
        assert state not in repr(caught.value)
        assert caught.value.provider == provider


class TestData:
    @every("template", PROVIDER_TEMPLATES)
    def test_a_template_gives_fields_that_exist_and_addresses_that_are_https(
        self, template: dict[str, Any]
    ) -> None:
        assert template.keys() <= {f.name for f in fields(OAuthProvider)}
        for name, value in template.items():
            if name.endswith("_url") and value:
                assert urlsplit(value).scheme == "https", name
                # A list is asked for as many entries as a page may have.
                assert urlsplit(value).query in ("", "per_page=100"), name

    @pytest.mark.parametrize("template", PROVIDER_TEMPLATES.values(), ids=PROVIDER_TEMPLATES)
    def test_every_scope_that_is_asked_for_is_explained(self, template: dict[str, Any]) -> None:
        assert set(template["scopes"]) <= template["scope_sentences"].keys()
        for sentence, group, *_ in template["scope_sentences"].values():
            assert group in {"Sees", "Changes", "Acts", "Deletes"}
            assert sentence[0].islower()
            assert not sentence.endswith(".")

    def test_what_a_scope_contains_never_runs_in_a_circle(
        self, manager: OAuthManager, provider: str
    ) -> None:
        known = manager.providers[provider]
        everything = {*known.scope_contains, *known.scopes}
        assert known.missing_scopes(everything, everything) == ()
        assert (
            set(known.missing_scopes(known.scopes, [])) == {*known.scopes} - known.scopes_unlisted
        )

    def test_the_same_configuration_as_json_gives_the_same_provider(
        self, fake: FakeProvider, provider: str, habits: Habits
    ) -> None:
        config = providers_config(fake, names=[provider])
        config[provider] |= habits.config
        again = json.loads(json.dumps(config))
        one, other = (OAuthManager(KEY, BASE_URL, c).providers[provider] for c in (config, again))
        assert one == other


ENDPOINTS = {"authorize_url": "https://own.example/a", "token_url": "https://own.example/t"}


class TestConfiguration:
    def test_the_built_in_ones_are_all_under_contract(self) -> None:
        assert set(BUILT_IN) == PROVIDER_TEMPLATES.keys()
        assert PROVIDER_TEMPLATES.keys() <= HABITS.keys()

    def test_every_endpoint_of_the_four_can_be_overridden(self) -> None:
        own = {
            **ENDPOINTS,
            "revoke_url": "https://own.example/r",
            "account_url": "https://own.example/u",
            "issuer": "https://own.example",
        }
        for name in BUILT_IN:
            provider = OAuthManager(KEY, BASE_URL, {name: own}).providers[name]
            for setting, value in own.items():
                assert getattr(provider, setting) == value

    @every("name", BUILT_IN)
    def test_tokens_of_an_own_server_are_not_sent_to_the_public_one(self, name: str) -> None:
        provider = OAuthManager(KEY, BASE_URL, {name: ENDPOINTS}).providers[name]
        assert provider.revoke_url == provider.account_url == provider.issuer == ""

    def test_another_tenant_of_the_same_server_keeps_the_rest(self) -> None:
        tenant = "https://login.microsoftonline.com/my-tenant/oauth2/v2.0"
        config = {"authorize_url": f"{tenant}/authorize", "token_url": f"{tenant}/token"}
        provider = OAuthManager(KEY, BASE_URL, {"microsoft": config}).providers["microsoft"]
        assert provider.account_url == PROVIDER_TEMPLATES["microsoft"]["account_url"]

    def test_empty_and_missing_values_leave_the_template_standing(self) -> None:
        config = {"github": {"token_url": "", "scopes": None, "client_id": "i"}}
        provider = OAuthManager(KEY, BASE_URL, config).providers["github"]
        assert provider.token_url == PROVIDER_TEMPLATES["github"]["token_url"]
        assert provider.scopes == PROVIDER_TEMPLATES["github"]["scopes"]
        assert provider.client_id == "i"

    @every(
        ("config", "named"),
        [
            ({"github": {"client_sercet": "canary"}}, "client_sercet"),
            ({"github": {"name": "canary"}}, "name"),
            ({"github": {"pkce": "canary"}}, "pkce must be True or False"),
            ({"github": {"iss_required": 0}}, "iss_required must be True or False"),
            ({"own": {"client_id": "canary"}}, "authorize_url"),
            ({"own": {"authorize_url": "https://canary.example/a"}}, "token_url"),
            ({"own": {"authorize_url": "", "token_url": "https://canary.example/t"}}, "own"),
        ],
    )
    def test_a_fault_in_it_is_named_and_its_value_is_not(
        self, config: dict[str, dict[str, str]], named: str
    ) -> None:
        with pytest.raises(ValueError, match=named) as caught:
            OAuthManager(KEY, BASE_URL, config)
        assert "canary" not in str(caught.value)

    def test_an_own_provider_has_a_readable_label(self) -> None:
        providers = OAuthManager(KEY, BASE_URL, {"my-git_server": ENDPOINTS}).providers
        assert providers["my-git_server"].label == "My Git Server"

    @pytest.mark.parametrize(
        ("given", "words"), [([400, "BAD"], ("400", "BAD")), ("BAD", ("BAD",)), ((), ())]
    )
    def test_words_for_the_end_may_be_numbers_or_a_single_text(
        self, given: Any, words: tuple[str, ...]
    ) -> None:
        config = {"own": {**ENDPOINTS, "gone": given}}
        assert OAuthManager(KEY, BASE_URL, config).providers["own"].gone == words

    def test_providers_come_in_alphabetical_order(self) -> None:
        config = {"zulip": ENDPOINTS, "asana": ENDPOINTS}
        names = list(OAuthManager(KEY, BASE_URL, config).providers)
        assert names == sorted(names)

    async def test_a_record_of_a_provider_that_is_not_set_up_any_more_is_still_shown(
        self, redis: Redis
    ) -> None:
        config = {"github": {"client_id": "i", "client_secret": "s"}}
        before = OAuthManager(KEY, BASE_URL, config)
        await before.store_token(redis, "u1", TokenData("a", provider="github"))
        after = OAuthManager(KEY, BASE_URL)
        assert await after.get_token("u1", "github", redis) == "a"
        shown = {c.provider for c in await after.connections(redis, "u1") if c.has_tokens}
        assert shown == {"github"}
