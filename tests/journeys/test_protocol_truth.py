"""The library and the site against django-oauth-toolkit, a server that nobody here wrote."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import get_context
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import redis as sync_redis
from click.testing import CliRunner
from redis.asyncio import Redis
from starlette.testclient import TestClient

from tests.kit.library import KEY, age, opened
from tests.kit.oauth_server import OAuthServer, Person, oauth_server, query_of
from tests.kit.redis_fleets import one_url
from tests.kit.screens import Document
from webui.app import create_app, make_manager
from webui.cli import main
from webui.oauth_manager import (
    Attempt,
    Connection,
    FlowRefused,
    OAuthError,
    OAuthManager,
    OAuthMisconfigured,
    OAuthRefused,
    RevokeOutcome,
    Status,
    TokenData,
    redis_from_url,
)
from webui.oauth_manager.protocol.callback import AuthorizationResponse, read_authorization_response
from webui.oauth_manager.protocol.transport import Transport
from webui.redis_client import connect
from webui.settings.settings import SettingsError, load_settings

BASE_URL = "http://localhost:8000"
SECRET = "s3cr%et:+ /&=?~"  # what a careless encoding would damage
SCOPES = ["profile", "mail.read", "mail.send"]
BUILT_IN = ("discord", "github", "google", "microsoft")
NAMES = (*BUILT_IN, "wiki")
_numbers = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[OAuthServer]:
    with oauth_server() as running:
        for name in NAMES:
            running.add_application(f"client-{name}", SECRET, [callback_uri(name)])
        yield running


@pytest.fixture
def person(server: OAuthServer) -> Iterator[Person]:
    """Somebody new with an account at the server."""
    server.forget()
    with closing(server.add_person(f"mona{next(_numbers)}")) as somebody:
        yield somebody


def callback_uri(provider: str) -> str:
    return f"{BASE_URL}/oauth/{provider}/callback"


# The library alone


@dataclass
class Bot:
    """A bot's process: the library, its Redis, and its user's browser at the server."""

    server: OAuthServer
    person: Person
    redis: Redis
    user_id: str = "alice"
    managers: list[OAuthManager] = field(default_factory=list)

    def manager(self, **more: Any) -> OAuthManager:
        """A manager that knows the server as the provider ``wiki``."""
        wiki = {
            **self.server.endpoints,
            "client_id": "client-wiki",
            "client_secret": SECRET,
            "scopes": SCOPES,
            "issuer": self.server.issuer,
            "account_label_field": "login",
            **more,
        }
        self.managers.append(OAuthManager(KEY, BASE_URL, {"wiki": wiki}))
        return self.managers[-1]

    async def allowed(
        self, manager: OAuthManager, **changed: str
    ) -> tuple[Attempt, dict[str, str]]:
        """The attempt and what the server sent back after the person pressed Authorize."""
        url = await manager.begin(self.redis, self.user_id, "wiki", browser="a browser")
        answer = query_of(self.person.allow(url, **changed))
        attempt = await manager.links.take_attempt(self.redis, answer["state"], "a browser")
        assert attempt
        return attempt, answer

    def response(self, query: bytes) -> AuthorizationResponse:
        return read_authorization_response(query, self.manager().providers["wiki"])

    async def connected(self, manager: OAuthManager, **changed: str) -> Connection:
        attempt, answer = await self.allowed(manager, **changed)
        connection = await manager.complete(self.redis, attempt, answer["code"])
        assert isinstance(connection, Connection)
        return connection

    async def token(self, manager: OAuthManager) -> TokenData:
        stored = await opened(manager, self.redis, self.user_id, "wiki")
        assert stored
        return stored

    async def age(self, manager: OAuthManager) -> None:
        await age(manager, self.redis, self.user_id, "wiki")

    async def get_token(self, manager: OAuthManager) -> str | None:
        return await manager.get_token(self.user_id, "wiki", self.redis)

    def whose(self, access_token: str | None) -> str:
        """The name behind a token at the account endpoint, or the status of its refusal."""
        return self.person.whose(access_token or "")

    def grants(self) -> int:
        return self.server.grants(self.person.name, "client-wiki")


@pytest.fixture
async def bot(server: OAuthServer, person: Person, redis: Redis) -> AsyncIterator[Bot]:
    made = Bot(server, person, redis)
    yield made
    for manager in made.managers:
        await manager.aclose()


def get_tokens(url: str, redis_url: str, tasks: int) -> list[str | None]:
    """Return the tokens that so many tools of one bot's process get at once."""

    async def ask() -> list[str | None]:
        config = {
            "authorize_url": f"{url}/o/authorize/",
            "token_url": f"{url}/o/token/",
            "client_id": "client-wiki",
            "client_secret": SECRET,
        }
        manager = OAuthManager(KEY, BASE_URL, {"wiki": config})
        async with redis_from_url(redis_url) as client:
            asked = (manager.get_token("alice", "wiki", client) for _ in range(tasks))
            tokens = await asyncio.gather(*asked)
            await manager.aclose()
        return list(tokens)

    return asyncio.run(ask())


@pytest.mark.anyio
class TestAuthorizing:
    async def test_the_server_takes_our_request_and_sends_a_code(self, bot: Bot) -> None:
        attempt, answer = await bot.allowed(bot.manager())
        assert (attempt.user_id, attempt.provider, attempt.scopes) == ("alice", "wiki", (*SCOPES,))
        assert answer["code"]

    async def test_the_server_insists_on_pkce(self, bot: Bot) -> None:
        url = bot.manager().get_authorize_url("wiki", "s" * 43)
        answer = bot.response(_query(bot.person.opens(url).headers["location"]))
        assert (answer.error, answer.outcome) == ("invalid_request", "misconfigured")

    async def test_the_server_insists_on_s256(self, bot: Bot) -> None:
        url = await bot.manager().generate_connect_url("alice", "wiki", bot.redis)
        plain = url.replace("code_challenge_method=S256", "code_challenge_method=plain")
        answer = bot.response(_query(bot.person.allow(plain)))
        assert answer.error == "invalid_request"

    async def test_a_person_who_says_no_is_understood(self, bot: Bot) -> None:
        url = await bot.manager().generate_connect_url("alice", "wiki", bot.redis)
        answer = bot.response(_query(bot.person.deny(url)))
        assert (answer.error, answer.outcome, answer.code) == ("access_denied", "denied", "")

    async def test_a_scope_the_server_does_not_know_is_our_mistake(self, bot: Bot) -> None:
        url = await bot.manager().generate_connect_url("alice", "wiki", bot.redis, ["no.such"])
        answer = bot.response(_query(bot.person.opens(url).headers["location"]))
        assert (answer.error, answer.outcome) == ("invalid_scope", "misconfigured")

    async def test_an_unregistered_callback_never_leaves_the_server(self, bot: Bot) -> None:
        url = await bot.manager().generate_connect_url("alice", "wiki", bot.redis)
        page = bot.person.opens(url.replace("%2Foauth%2Fwiki", "%2Foauth%2Fother"))
        assert page.status_code == 400
        assert "location" not in page.headers

    async def test_the_server_names_itself_as_announced(self, bot: Bot) -> None:
        manager = bot.manager()
        _, answer = await bot.allowed(manager)
        manager.check_issuer("wiki", answer["iss"])

    async def test_an_answer_of_another_issuer_is_refused(self, bot: Bot) -> None:
        manager = bot.manager(issuer="https://other.example")
        _, answer = await bot.allowed(manager)
        with pytest.raises(FlowRefused):
            manager.check_issuer("wiki", answer["iss"])


@pytest.mark.anyio
@pytest.mark.parametrize("auth", ["post", "basic"])
class TestExchanging:
    async def test_a_code_becomes_a_connection_with_its_account(self, bot: Bot, auth: str) -> None:
        connection = await bot.connected(bot.manager(token_auth=auth))
        assert connection.status is Status.CONNECTED
        assert connection.profile.account.label == bot.person.name
        assert connection.profile.account.id.isdigit()
        assert connection.has_refresh_token
        assert connection.expires_at > time.time()

    async def test_the_client_authenticates_as_configured(self, bot: Bot, auth: str) -> None:
        await bot.connected(bot.manager(token_auth=auth))
        seen = {"post": "form", "basic": "basic"}[auth]
        assert [(s.auth, s.status) for s in bot.server.seen()] == [(seen, 200)]

    async def test_the_token_works(self, bot: Bot, auth: str) -> None:
        manager = bot.manager(token_auth=auth)
        await bot.connected(manager)
        assert bot.whose(await bot.get_token(manager)) == bot.person.name

    async def test_a_code_works_once(self, bot: Bot, auth: str) -> None:
        manager = bot.manager(token_auth=auth)
        attempt, answer = await bot.allowed(manager)
        await manager.exchange_code("wiki", answer["code"], code_verifier=attempt.verifier)
        with pytest.raises(OAuthRefused) as refusal:
            await manager.exchange_code("wiki", answer["code"], code_verifier=attempt.verifier)
        assert refusal.value.code == "invalid_grant"

    async def test_a_code_with_another_verifier_is_refused(self, bot: Bot, auth: str) -> None:
        manager = bot.manager(token_auth=auth)
        _, answer = await bot.allowed(manager)
        with pytest.raises(OAuthRefused) as refusal:
            await manager.exchange_code("wiki", answer["code"], code_verifier="w" * 43)
        assert refusal.value.code == "invalid_grant"
        assert bot.grants() == 0

    async def test_a_code_without_a_verifier_buys_nothing(self, bot: Bot, auth: str) -> None:
        manager = bot.manager(token_auth=auth)
        _, answer = await bot.allowed(manager)
        with pytest.raises(OAuthError, match="invalid_request"):
            await manager.exchange_code("wiki", answer["code"])
        assert bot.grants() == 0

    async def test_a_wrong_secret_is_our_mistake(self, bot: Bot, auth: str) -> None:
        attempt, answer = await bot.allowed(bot.manager())
        manager = bot.manager(token_auth=auth, client_secret="not the secret")
        with pytest.raises(OAuthMisconfigured) as fault:
            await manager.complete(bot.redis, attempt, answer["code"])
        assert fault.value.code == "invalid_client"
        assert not await manager.has_token("alice", "wiki", bot.redis)

    async def test_a_code_of_another_client_is_refused(self, bot: Bot, auth: str) -> None:
        attempt, answer = await bot.allowed(bot.manager())
        manager = bot.manager(token_auth=auth, client_id="client-github")
        with pytest.raises(OAuthRefused):
            await manager.complete(bot.redis, attempt, answer["code"])

    async def test_fewer_scopes_than_asked_are_noticed(self, bot: Bot, auth: str) -> None:
        connection = await bot.connected(bot.manager(token_auth=auth), scope="profile mail.read")
        assert connection.scopes == ("profile", "mail.read")
        assert connection.missing_scopes == ("mail.send",)


@pytest.mark.anyio
class TestRefreshing:
    @pytest.mark.parametrize("more", [{}, {"token_auth": "basic"}, {"scope_on_refresh": True}])
    async def test_a_refresh_replaces_both_tokens(self, bot: Bot, more: dict[str, Any]) -> None:
        manager = bot.manager(**more)
        await bot.connected(manager)
        await bot.age(manager)
        before = await bot.token(manager)
        assert bot.whose(await bot.get_token(manager)) == bot.person.name
        after = await bot.token(manager)
        assert after.access_token != before.access_token
        assert after.refresh_token != before.refresh_token
        assert after.scopes == SCOPES
        assert after.expires_at > time.time()
        assert bot.whose(before.access_token) == "403"
        assert bot.server.refreshes() == 1

    async def test_a_narrower_grant_stays_as_narrow(self, bot: Bot) -> None:
        manager = bot.manager(scope_on_refresh=True)
        await bot.connected(manager, scope="profile")
        await bot.age(manager)
        assert bot.whose(await bot.get_token(manager)) == bot.person.name
        assert (await bot.token(manager)).scopes == ["profile"]

    async def test_the_old_refresh_token_is_refused_and_ends_the_family(self, bot: Bot) -> None:
        manager = bot.manager()
        await bot.connected(manager)
        await bot.age(manager)
        old = await bot.token(manager)
        await bot.get_token(manager)
        await manager.store_token(bot.redis, "alice", old)  # as a restored backup would
        assert await bot.get_token(manager) is None
        connection = await manager.connection(bot.redis, "alice", "wiki")
        assert connection.status is Status.RECONNECT_NEEDED
        assert connection.profile.problem == "invalid_grant"
        assert bot.grants() == 0

    async def test_forty_tasks_cost_one_refresh(self, bot: Bot) -> None:
        manager = bot.manager()
        await bot.connected(manager)
        await bot.age(manager)
        tokens = await asyncio.gather(*(bot.get_token(manager) for _ in range(40)))
        assert len(set(tokens)) == 1
        assert bot.whose(tokens[0]) == bot.person.name
        assert bot.server.refreshes() == 1

    @pytest.mark.long
    async def test_eight_processes_of_twenty_tasks_cost_one_refresh(
        self, bot: Bot, redis_url: str
    ) -> None:
        manager = bot.manager()
        await bot.connected(manager)
        await bot.age(manager)
        with ProcessPoolExecutor(8, get_context("spawn")) as pool:
            work = [pool.submit(get_tokens, bot.server.url, redis_url, 20) for _ in range(8)]
            tokens = [token for job in work for token in job.result(60)]
        assert len(tokens) == 160
        assert len(set(tokens)) == 1
        assert bot.whose(tokens[0]) == bot.person.name
        assert bot.server.refreshes() == 1
        await bot.age(manager)
        assert bot.whose(await bot.get_token(manager)) == bot.person.name  # the grant lives

    async def test_a_wrong_secret_costs_nothing_once_it_is_put_right(self, bot: Bot) -> None:
        manager, wrong = bot.manager(), bot.manager(client_secret="not the secret")
        await bot.connected(manager)
        await bot.age(manager)
        with pytest.raises(OAuthMisconfigured) as fault:
            await bot.get_token(wrong)
        assert fault.value.code == "invalid_client"
        assert bot.whose(await bot.get_token(manager)) == bot.person.name

    async def test_access_that_was_removed_at_the_server_is_over(self, bot: Bot) -> None:
        manager = bot.manager()
        await bot.connected(manager)
        assert bot.person.remove_access() == 1
        await bot.age(manager)
        assert await bot.get_token(manager) is None
        connection = await manager.connection(bot.redis, "alice", "wiki")
        assert connection.status is Status.RECONNECT_NEEDED
        assert connection.profile.problem == "invalid_grant"
        assert connection.profile.account.label == bot.person.name

    async def test_after_the_end_the_server_is_not_asked_again(self, bot: Bot) -> None:
        manager = bot.manager()
        await bot.connected(manager)
        bot.person.remove_access()
        await bot.age(manager)
        for _ in range(3):
            assert await bot.get_token(manager) is None
        assert bot.server.refreshes() == 1


@pytest.mark.anyio
class TestRevoking:
    @pytest.mark.parametrize(("auth", "seen"), [("post", "form"), ("basic", "basic")])
    async def test_a_disconnect_ends_the_grant_at_the_server(
        self, bot: Bot, auth: str, seen: str
    ) -> None:
        manager = bot.manager(token_auth=auth)
        await bot.connected(manager)
        held = await bot.token(manager)
        assert bot.grants() == 1
        result = await manager.delete_token(bot.redis, "alice", "wiki")
        assert result.at_provider is RevokeOutcome.REVOKED
        assert result.account.label == bot.person.name
        assert bot.grants() == 0
        assert bot.whose(held.access_token) == "403"
        assert [(s.auth, s.status) for s in bot.server.seen("/o/revoke_token/")] == [(seen, 200)]

    async def test_after_a_rotation_too(self, bot: Bot) -> None:
        manager = bot.manager()
        await bot.connected(manager)
        await bot.age(manager)
        await bot.get_token(manager)
        result = await manager.delete_token(bot.redis, "alice", "wiki")
        assert (result.at_provider, bot.grants()) == (RevokeOutcome.REVOKED, 0)

    @pytest.mark.parametrize(
        "more",
        [
            {"client_secret": "not the secret"},
            {"client_secret": "not the secret", "token_auth": "basic"},
            {"revoke_style": "bare"},
            {"revoke_style": "delete"},
        ],
    )
    async def test_what_the_server_does_not_take_is_not_called_revoked(
        self, bot: Bot, more: dict[str, Any]
    ) -> None:
        await bot.connected(bot.manager())
        manager = bot.manager(**more)
        result = await manager.delete_token(bot.redis, "alice", "wiki")
        assert result.at_provider is RevokeOutcome.UNCONFIRMED
        assert bot.grants() == 1
        assert not await manager.has_token("alice", "wiki", bot.redis)

    async def test_a_grant_already_removed_there_counts_as_revoked(self, bot: Bot) -> None:
        manager = bot.manager()
        await bot.connected(manager)
        bot.person.remove_access()
        result = await manager.delete_token(bot.redis, "alice", "wiki")
        assert result.at_provider is RevokeOutcome.REVOKED  # RFC 7009 2.2


def _query(url: str) -> bytes:
    return urlsplit(url).query.encode()


# The whole site, configured by its environment


def environment(server: OAuthServer, redis_url: str, **more: str) -> dict[str, str]:
    """All four built-in providers and one of the operator's own, each a client of the server."""
    environ = {
        "BASE_URL": BASE_URL,
        "REDIS_URL": redis_url,
        "ENCRYPTION_KEY": KEY,
        "SESSION_SECRET": "0a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p",
        "EXTRA_PROVIDERS": "wiki",
        "WIKI_LABEL": "Team wiki",
    }
    for name in NAMES:
        provider = {
            **server.endpoints,
            "client_id": f"client-{name}",
            "client_secret": SECRET,
            "scopes": " ".join(SCOPES),
            "issuer": server.issuer,
        }
        environ |= {f"{name}_{key}".upper(): value for key, value in provider.items()}
    return environ | more


class Visitor:
    """A browser at the site, and what the person can do in chat and at the server."""

    def __init__(self, environ: dict[str, str], person: Person, js: bool) -> None:
        self._environ = environ
        self.person = person
        self.settings = load_settings(environ)
        self._transport = Transport()  # the real network; shared, for the cost of its TLS
        self._browser = TestClient(
            create_app(self.settings, transport=self._transport),
            base_url=BASE_URL,
            follow_redirects=False,
        )
        self._js = js

    def __enter__(self) -> Visitor:
        self._browser.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._browser.__exit__()

    def run(self, *words: str) -> str:
        """The operator's command line, in the same environment."""
        result = CliRunner().invoke(main, words, env=self._environ)
        assert result.exit_code == 0, result.output
        return result.output.strip()

    def get(self, url: str) -> Any:
        return self._browser.get(url)

    def post(self, url: str, **form: str) -> Any:
        """Press a button: with htmx if JavaScript is on."""
        htmx = {"HX-Request": "true"} if self._js else {}
        return self._browser.post(url, data=form, headers={"Origin": BASE_URL, **htmx})

    def page(self, url: str) -> Document:
        answer = self.get(url)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return Document(answer.text)

    def card(self, provider: str) -> Document:
        return self.page(f"/connections/{provider}")

    def state(self, provider: str) -> str:
        return self.card(provider).by_id(f"conn-{provider}").attributes["data-state"]

    def note(self, provider: str) -> str:
        return " ".join(self.card(provider).by_id(f"conn-{provider}-n").text.split())

    def open_link(self, user: str, *provider: str) -> Any:
        """Open a link from chat, prove to be the person, and press the last button."""
        link = self.run("link", user, *provider).removeprefix(BASE_URL)
        self.page(link)
        assert self._browser.post(f"{link}/start", headers={"Origin": BASE_URL}).status_code == 303
        shown = re.search(r'<span aria-hidden="true">(\w{3} \w{3})</span>', self.get_text())
        assert shown
        self.run("confirm", user, *shown[1].split())
        return self._browser.post("/connect/proof/continue", headers={"Origin": BASE_URL})

    def get_text(self) -> str:
        return str(self.get("/connect/proof").text)

    def sign_in(self, user: str = "alice") -> None:
        assert self.open_link(user).headers["location"] == "/connections"

    def leave(self, provider: str, **form: str) -> str:
        """Press Connect; the address at the server that the browser is sent to."""
        answer = self.post(f"/connections/{provider}/connect", **form)
        assert answer.status_code == 200, answer.text
        return str(answer.headers["HX-Redirect"]) if self._js else way_on(answer.text)

    def come_back(self, callback: str) -> str:
        """Follow the server's redirect to the site; where the site sends the browser."""
        assert callback.startswith(f"{BASE_URL}/oauth/")
        answer = self.get(callback)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def connect(self, provider: str, **changed: str) -> None:
        back = self.come_back(self.person.allow(self.leave(provider), **changed))
        assert back == f"/connections#conn-{provider}-n"

    def disconnect(self, provider: str) -> None:
        answer = self.post(f"/connections/{provider}/disconnect")
        assert answer.status_code == (200 if self._js else 303), answer.text

    def bot_token(self, user: str, provider: str, *, due: bool) -> str | None:
        """Return the bot's token for its user; ``due`` if it is time for a refresh."""

        async def ask() -> str | None:
            bot = make_manager(self.settings, self._transport)
            async with connect(self.settings.redis_url) as client:
                if due:
                    await age(bot, client, user, provider)
                return await bot.get_token(user, provider, client)

        assert self._browser.portal
        return self._browser.portal.call(ask)


def way_on(html: str) -> str:
    """Return the address that the page without JavaScript leads to, by link and by refresh."""
    document = Document(html)
    links = [e.attributes["href"] for e in document.elements if e.attributes.get("rel")]
    refresh = [e.attributes["content"] for e in document.elements if e.attributes.get("http-equiv")]
    [link] = [link for link in links if link.startswith("http")]
    assert refresh == [f"0; url={link}"]
    return link


@pytest.fixture
def empty_redis(redis_url: str) -> str:
    with sync_redis.Redis.from_url(one_url(redis_url)) as client:
        client.flushall()
    return redis_url


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"])
def js(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def visitor(server: OAuthServer, person: Person, empty_redis: str, js: bool) -> Iterator[Visitor]:
    with Visitor(environment(server, empty_redis), person, js) as somebody:
        somebody.sign_in()
        server.forget()
        yield somebody


@pytest.mark.parametrize("name", NAMES)
class TestTheSiteWithEveryName:
    def test_a_service_is_connected_through_the_servers_own_page(
        self, visitor: Visitor, server: OAuthServer, name: str
    ) -> None:
        assert visitor.state(name) == "not_connected"
        visitor.connect(name)
        assert visitor.state(name) == "connected"
        assert visitor.note(name).endswith("is connected.")
        assert visitor.person.name in visitor.card(name).text
        assert [s.grant_type for s in server.seen()] == ["authorization_code"]

    def test_a_person_who_says_no_is_told_that_nothing_was_shared(
        self, visitor: Visitor, server: OAuthServer, name: str
    ) -> None:
        visitor.come_back(visitor.person.deny(visitor.leave(name)))
        assert visitor.state(name) == "denied"
        assert "Nothing was shared" in visitor.note(name)
        assert server.seen() == []

    def test_the_bot_gets_a_token_that_is_refreshed_with_rotation(
        self, visitor: Visitor, server: OAuthServer, name: str
    ) -> None:
        visitor.connect(name)
        first = visitor.bot_token("alice", name, due=False)
        tokens = [visitor.bot_token("alice", name, due=True) for _ in range(2)]
        assert len({first, *tokens}) == 3
        assert server.refreshes() == 2
        assert visitor.state(name) == "connected"
        assert server.grants(visitor.person.name, f"client-{name}") == 1

    def test_access_removed_at_the_server_asks_for_a_reconnect_that_works(
        self, visitor: Visitor, name: str
    ) -> None:
        visitor.connect(name)
        visitor.person.remove_access()
        assert visitor.bot_token("alice", name, due=True) is None
        assert visitor.state(name) == "reconnect"
        callback = visitor.person.allow(visitor.leave(name, intent="reconnect"))
        visitor.come_back(callback)
        assert visitor.state(name) == "connected"
        assert visitor.bot_token("alice", name, due=True)

    def test_a_disconnect_says_what_the_server_did(
        self, visitor: Visitor, server: OAuthServer, name: str
    ) -> None:
        visitor.connect(name)
        visitor.disconnect(name)
        # GitHub's DELETE and Google's request without a client are not RFC 7009.
        confirmed = name not in ("github", "google")
        assert visitor.state(name) == ("disconnected" if confirmed else "still_listed")
        assert ("cancelled our access" in visitor.note(name)) is confirmed
        assert ("did not confirm" in visitor.note(name)) is not confirmed
        assert server.grants(visitor.person.name, f"client-{name}") == (0 if confirmed else 1)
        assert visitor.bot_token("alice", name, due=False) is None

    def test_permissions_left_off_there_are_shown(self, visitor: Visitor, name: str) -> None:
        visitor.connect(name, scope="profile")
        assert visitor.state(name) == "limited"
        # Microsoft's own rule: names mean the same in any case.
        left_off = "send mail in your name" if name == "microsoft" else "mail.send"
        assert left_off in visitor.card(name).text

    def test_a_link_from_chat_leads_there_and_back(
        self, server: OAuthServer, person: Person, empty_redis: str, name: str, js: bool
    ) -> None:
        with Visitor(environment(server, empty_redis), person, js) as visitor:
            leaving = way_on(visitor.open_link("alice", name).text)
            assert visitor.come_back(person.allow(leaving)) == f"/connect/done/{name}"
            assert f"Connected as {person.name}" in visitor.page(f"/connect/done/{name}").text
            assert person.name in visitor.run("connections", "alice")


@pytest.fixture
def set_up(server: OAuthServer, person: Person, empty_redis: str) -> Iterator[Any]:
    """Makes visitors of a site with other settings."""
    with ExitStack() as stack:

        def made(drop: str = "", **more: str) -> Visitor:
            environ = environment(server, empty_redis, **more)
            kept = {k: v for k, v in environ.items() if not drop or not k.endswith(drop)}
            visitor = stack.enter_context(Visitor(kept, person, js=False))
            visitor.sign_in()
            server.forget()
            return visitor

        yield made


class TestTheSiteSetUpOtherwise:
    @pytest.mark.parametrize("name", NAMES)
    def test_the_standard_revocation_is_confirmed_under_every_name(
        self, set_up: Any, server: OAuthServer, name: str
    ) -> None:
        visitor = set_up(**{f"{name.upper()}_REVOKE_STYLE": "rfc7009"})
        visitor.connect(name)
        visitor.disconnect(name)
        assert visitor.state(name) == "disconnected"
        assert server.grants(visitor.person.name, f"client-{name}") == 0

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("drop", ["_ISSUER", "_REVOKE_URL", "_ACCOUNT_URL"])
    def test_what_is_not_given_is_not_taken_from_the_real_service(
        self, set_up: Any, name: str, drop: str
    ) -> None:
        visitor = set_up(drop)
        visitor.connect(name)
        assert visitor.state(name) == "connected"
        shows_account = visitor.person.name in visitor.card(name).text
        assert shows_account is (drop != "_ACCOUNT_URL")
        visitor.disconnect(name)
        not_rfc7009 = name in ("github", "google")
        asked = "still_listed" if not_rfc7009 else "disconnected"
        assert visitor.state(name) == ("own_list" if drop == "_REVOKE_URL" else asked)

    @pytest.mark.parametrize("name", NAMES)
    def test_without_an_issuer_a_no_is_understood(self, set_up: Any, name: str) -> None:
        visitor = set_up("_ISSUER")
        visitor.come_back(visitor.person.deny(visitor.leave(name)))
        assert visitor.state(name) == "denied"

    def test_without_scopes_the_servers_own_are_granted(self, set_up: Any) -> None:
        visitor = set_up("WIKI_SCOPES")
        visitor.connect("wiki")
        assert visitor.state("wiki") == "connected"
        assert "mail.send" in visitor.card("wiki").text

    @pytest.mark.parametrize("name", ["github", "google"])
    def test_nobody_is_sent_to_the_real_service_to_tidy_up(self, set_up: Any, name: str) -> None:
        visitor = set_up()
        visitor.connect(name)
        visitor.disconnect(name)
        assert visitor.state(name) == "still_listed"
        links = [e.attributes.get("href", "") for e in visitor.card(name).elements]
        assert not [link for link in links if link.startswith("https://")]

    @pytest.mark.parametrize("drop", ["GITHUB_AUTHORIZE_URL", "GITHUB_TOKEN_URL"])
    def test_half_of_another_server_is_a_fault(
        self, server: OAuthServer, redis_url: str, drop: str
    ) -> None:
        environ = environment(server, redis_url)
        del environ[drop]  # a code and the client secret would go to two different servers
        with pytest.raises(SettingsError, match=drop):
            load_settings(environ)

    @pytest.mark.parametrize("auth", ["post", "basic"])
    def test_a_wrong_secret_is_not_blamed_on_the_person(self, set_up: Any, auth: str) -> None:
        visitor = set_up(WIKI_CLIENT_SECRET="something else", WIKI_TOKEN_AUTH=auth)
        visitor.connect("wiki")
        assert visitor.state("wiki") == "misconfigured"
        assert "You do not need to do anything" in visitor.note("wiki")

    def test_a_scope_the_server_does_not_know_is_not_blamed_on_the_person(
        self, set_up: Any
    ) -> None:
        visitor = set_up(WIKI_SCOPES="no.such")
        visitor.come_back(visitor.person.opens(visitor.leave("wiki")).headers["location"])
        assert visitor.state("wiki") == "misconfigured"

    def test_an_issuer_that_differs_is_refused_without_a_token_request(
        self, set_up: Any, server: OAuthServer
    ) -> None:
        visitor = set_up(WIKI_ISSUER="https://elsewhere.example")
        visitor.connect("wiki")
        assert visitor.state("wiki") == "failed"
        assert server.seen() == []


class TestForgedCallbacks:
    def test_a_callback_works_once(self, visitor: Visitor, server: OAuthServer) -> None:
        callback = visitor.person.allow(visitor.leave("wiki"))
        visitor.come_back(callback)
        visitor.come_back(callback)
        assert len(server.seen()) == 1
        assert visitor.state("wiki") in ("connected", "attempt_over")

    @pytest.mark.parametrize(
        "changed",
        [
            {"state": "x" * 43},
            {"state": ""},
            {"iss": "https://elsewhere.example"},
            {"code": ""},
            {"error": "server_error"},
        ],
    )
    def test_a_changed_callback_never_reaches_the_server(
        self, visitor: Visitor, server: OAuthServer, changed: dict[str, str]
    ) -> None:
        url, _, query = visitor.person.allow(visitor.leave("wiki")).partition("?")
        assert visitor.get(f"{url}?{urlencode({**dict(parse_qsl(query)), **changed})}")
        assert server.seen() == []
        assert visitor.bot_token("alice", "wiki", due=False) is None

    def test_another_browser_of_the_same_person_cannot_finish(
        self, visitor: Visitor, set_up: Any, server: OAuthServer
    ) -> None:
        callback = visitor.person.allow(visitor.leave("wiki"))
        other = set_up()
        other.come_back(callback)
        assert server.seen() == []
        assert other.state("wiki") == "not_connected"

    def test_the_callback_of_another_service_cannot_finish(
        self, visitor: Visitor, server: OAuthServer
    ) -> None:
        callback = visitor.person.allow(visitor.leave("wiki"))
        visitor.come_back(callback.replace("/oauth/wiki/", "/oauth/github/"))
        assert server.seen() == []
