"""A remote MCP server is a provider: its whole life by its address alone, and none by a lie."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from redis.asyncio import Redis
from starlette.types import Receive, Scope, Send

from tests.kit.clock import FakeClock
from tests.kit.every import every
from tests.kit.fake_provider import serve
from tests.kit.library import BASE_URL, KEY, OTHER_KEY, callback_query, impatient
from tests.kit.strict_server import Refused, StrictServer
from webui.oauth_manager import (
    Attempt,
    Connection,
    FlowRefused,
    OAuthManager,
    OAuthMisconfigured,
    OAuthNotConnected,
    OAuthUnavailable,
    access,
    oauth_client,
)
from webui.oauth_manager.protocol.metadata import FRESH_SECONDS
from webui.oauth_manager.protocol.metadata_cache import PAUSE_SECONDS
from webui.oauth_manager.protocol.transport import Transport

pytestmark = pytest.mark.anyio

NAME = "linear-mcp"
RESOURCE = "https://mcp.example/mcp"
DOCUMENT = f"{BASE_URL}/oauth/{NAME}/client.json"


class World:
    """Several servers, each at its own hosts."""

    def __init__(self, *servers: StrictServer) -> None:
        self.places = {
            urlsplit(url).netloc: server
            for server in servers
            for url in (server.issuer, server.resource)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        await self.places[headers[b"host"].decode()](scope, receive, send)


def mcp(**more: Any) -> StrictServer:
    return StrictServer(**{"resource": RESOURCE, **more})


def liar() -> StrictServer:
    return StrictServer("https://evil.example", "https://evil.example/mcp")


def manager_of(
    *servers: StrictServer,
    redis: Redis,
    key: str = KEY,
    clock: FakeClock | None = None,
    settings: dict[str, str] | None = None,
) -> OAuthManager:
    """A process that knows the address of each, and nothing else; they can read its documents."""
    names = [NAME, "other-mcp"]
    config = {n: {"resource": s.resource} for n, s in zip(names, servers, strict=False)}
    config[NAME] |= settings or {}
    made = OAuthManager(
        key,
        BASE_URL,
        config,
        transport=Transport(httpx.ASGITransport(World(*servers))),
        clock=clock or FakeClock(),
    )

    async def fetch(url: str) -> Any:
        if url == f"{BASE_URL}/oauth/jwks.json":
            return {"keys": made.public_keys()}
        name = url.removeprefix(f"{BASE_URL}/oauth/").removesuffix("/client.json")
        return await made.client_document(redis, name, "Stargazer")

    for server in servers:
        server.fetch = fetch
    return impatient(made)


async def left(manager: OAuthManager, redis: Redis, name: str = NAME) -> str:
    return await manager.begin(redis, "u1", name, browser="a browser")


async def came_back(
    manager: OAuthManager, redis: Redis, callback: str, name: str = NAME
) -> tuple[Attempt, str]:
    """As the callback of the site has it."""
    query = callback_query(callback)
    attempt = await manager.links.take_attempt(redis, query["state"], "a browser")
    assert attempt is not None
    if attempt.provider != name:
        raise FlowRefused("other_provider", name)
    manager.check_issuer(name, query.get("iss"))
    return attempt, query["code"]


async def connect(
    manager: OAuthManager, server: StrictServer, redis: Redis, name: str = NAME
) -> Connection:
    callback = await server.authorize(await left(manager, redis, name))
    attempt, code = await came_back(manager, redis, callback, name)
    found = await manager.complete(redis, attempt, code)
    assert isinstance(found, Connection)
    return found


async def code_of(manager: OAuthManager, redis: Redis) -> str:
    with pytest.raises((OAuthMisconfigured, OAuthUnavailable)) as raised:
        await left(manager, redis)
    return raised.value.code


class TestItsLife:
    @pytest.mark.parametrize("by", ["path", "root", "challenge"])
    @pytest.mark.parametrize("pushes", [False, True])
    async def test_is_whole_by_its_address_alone(self, redis: Redis, by: str, pushes: bool) -> None:
        server = mcp(found_by=by, pushes=pushes, expires_in=30)
        manager = manager_of(server, redis=redis)
        made = await connect(manager, server, redis)
        assert made.scopes == ("read", "write")
        manager.clock.advance(29)  # type: ignore[attr-defined]
        token = await manager.get_token("u1", NAME, redis)
        assert token in server.issued
        assert (await manager.delete_token(redis, "u1", NAME)).at_provider == "revoked"
        assert server.reasons == ["no token"]  # the first contact
        steps = [step for step, _ in server.forms if step != "par"]
        assert steps == ["token", "token", "revoke"]

    async def test_has_its_resource_in_every_request_for_a_token(self, redis: Redis) -> None:
        server = mcp(expires_in=30)
        manager = manager_of(server, redis=redis)
        url = await left(manager, redis)
        assert dict(parse_qsl(urlsplit(url).query))["resource"] == RESOURCE
        await connect(manager, server, redis)
        manager.clock.advance(29)  # type: ignore[attr-defined]
        await manager.get_token("u1", NAME, redis)
        assert [f["resource"] for step, f in server.forms if step == "token"] == [RESOURCE] * 2

    async def test_is_offered_before_anything_is_asked(self, redis: Redis) -> None:
        server = mcp()
        manager = manager_of(server, redis=redis)
        assert manager.list_configured_providers() == [NAME]
        assert not server.calls
        with pytest.raises(OAuthMisconfigured) as raised:
            manager.get_authorize_url(NAME, "a state")
        assert raised.value.code == "not_found_yet"

    async def test_a_link_for_chat_leads_to_our_page(self, redis: Redis) -> None:
        server = mcp()
        manager = manager_of(server, redis=redis)
        url = await manager.generate_connect_url("u1", NAME, redis)
        assert url.startswith(f"{BASE_URL}/connect/")
        assert not server.calls

    async def test_tokens_go_to_its_host_alone(self, redis: Redis) -> None:
        manager = manager_of(mcp(), redis=redis)
        assert manager.providers[NAME].api_hosts == ("mcp.example",)


class TestOnThisMachine:
    """Real servers, which a site on this machine may be led to."""

    @pytest.fixture
    def server(self) -> Iterator[StrictServer]:
        server = StrictServer(takes_documents=False, registers=True, methods=["client_secret_post"])
        with serve(server) as url:
            server.issuer, server.resource = url, f"{url}/mcp"
            yield server

    @pytest.fixture
    async def manager(self, server: StrictServer) -> AsyncIterator[OAuthManager]:
        config = {NAME: {"resource": server.resource}}
        made = impatient(OAuthManager(KEY, "http://localhost:8000", config))
        yield made
        await made.aclose()

    async def test_its_life_is_whole_over_the_network(
        self, redis: Redis, manager: OAuthManager, server: StrictServer
    ) -> None:
        await connect(manager, server, redis)
        assert (await manager.delete_token(redis, "u1", NAME)).at_provider == "revoked"

    async def test_a_process_that_has_asked_it_nothing_yet_uses_its_token(
        self,
        redis: Redis,
        manager: OAuthManager,
        server: StrictServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        await connect(manager, server, redis)
        bot = OAuthManager(KEY, "http://localhost:8000", {NAME: {"resource": server.resource}})
        monkeypatch.setattr(access, "_instance", bot)
        ann = SimpleNamespace(user_id="u1", redis=redis)
        async with oauth_client(ann, NAME) as http:
            assert (await http.post(server.resource, json={})).status_code == 200
        await bot.aclose()

    async def test_a_server_on_this_machine_reads_our_document_without_tls(
        self, redis: Redis, manager: OAuthManager, server: StrictServer
    ) -> None:
        server.takes_documents, server.methods = True, ["private_key_jwt"]
        query = dict(parse_qsl(urlsplit(await left(manager, redis)).query))
        assert query["client_id"] == f"http://localhost:8000/oauth/{NAME}/client.json"

    async def test_a_redirect_is_not_followed(
        self, redis: Redis, manager: OAuthManager, server: StrictServer
    ) -> None:
        server.redirects = True
        assert await code_of(manager, redis) == "http_307"
        assert server.calls == {"resource": 1, "protected": 1}

    async def test_a_document_that_is_too_large_is_none(
        self, redis: Redis, manager: OAuthManager, server: StrictServer
    ) -> None:
        server.protected["padding"] = "x" * 300_000
        assert await code_of(manager, redis) == "unusable_answer"


class TestOurIdentity:
    async def test_is_the_address_of_a_document_with_one_callback_and_one_name(
        self, redis: Redis
    ) -> None:
        server = mcp()
        manager = manager_of(server, redis=redis)
        assert dict(parse_qsl(urlsplit(await left(manager, redis)).query))["client_id"] == DOCUMENT
        said = await manager.client_document(redis, NAME, "Stargazer (Linear MCP)")
        assert said == {
            "client_id": DOCUMENT,
            "client_name": "Stargazer (Linear MCP)",
            "client_uri": BASE_URL,
            "redirect_uris": [f"{BASE_URL}/oauth/{NAME}/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256",
            "jwks_uri": f"{BASE_URL}/oauth/jwks.json",
        }

    async def test_needs_no_key_where_none_is_taken_and_the_issuer_is_announced(
        self, redis: Redis
    ) -> None:
        server = mcp(methods=["none"])
        manager = manager_of(server, redis=redis)
        await connect(manager, server, redis)
        assert not any("client_assertion" in form for _, form in server.forms)

    async def test_of_a_site_without_tls_cannot_be_read_from_the_internet(
        self, redis: Redis
    ) -> None:
        server = mcp()
        config = {NAME: {"resource": RESOURCE}}
        transport = Transport(httpx.ASGITransport(server))
        manager = OAuthManager(KEY, "http://localhost:8000", config, transport=transport)
        assert await code_of(manager, redis) == "client_id_metadata_document_supported"

    async def test_without_key_and_announced_issuer_needs_the_operators_word(
        self, redis: Redis
    ) -> None:
        server = mcp(methods=["none"], names_issuer=False)
        assert await code_of(manager_of(server, redis=redis), redis) == "issuer_not_announced"
        allowed = manager_of(server, redis=redis, settings={"token_auth": "none"})
        await connect(allowed, server, redis)

    async def test_with_a_key_needs_no_announced_issuer(self, redis: Redis) -> None:
        server = mcp(names_issuer=False)
        await connect(manager_of(server, redis=redis), server, redis)

    async def test_is_the_registered_client_if_there_is_one(self, redis: Redis) -> None:
        server = mcp(methods=["client_secret_post", "private_key_jwt"], registers=True)
        callback = f"{BASE_URL}/oauth/{NAME}/callback"
        server.clients["by-hand"] = {
            "redirect_uris": [callback],
            "token_endpoint_auth_method": "client_secret_post",
            "client_secret": "hush",
        }
        client = {"client_id": "by-hand", "client_secret": "hush"}
        manager = manager_of(server, redis=redis, settings=client)
        await connect(manager, server, redis)
        assert await manager.client_document(redis, NAME, "Stargazer") is None
        assert not server.calls["register"]

    async def test_is_signed_for_in_every_process_that_has_an_older_key_too(
        self, redis: Redis
    ) -> None:
        manager = manager_of(mcp(), redis=redis, key=f"{OTHER_KEY} {KEY}")
        names = {key["kid"] for key in manager.public_keys()}
        (older,) = manager_of(mcp(), redis=redis).public_keys()
        assert len(names) == 2
        assert older["kid"] in names


class TestRegistration:
    def server(self, **more: Any) -> StrictServer:
        methods = more.pop("methods", ["client_secret_post"])
        return mcp(takes_documents=False, registers=True, methods=methods, **more)

    @pytest.mark.parametrize("method", ["client_secret_post", "private_key_jwt", "none"])
    async def test_happens_where_nothing_else_is_offered_and_once(
        self, redis: Redis, method: str
    ) -> None:
        server = self.server(methods=[method])
        await connect(manager_of(server, redis=redis), server, redis)
        again = manager_of(server, redis=redis)
        assert await left(again, redis)
        assert server.calls["register"] == 1

    async def test_stays_when_the_metadata_are_read_again(self, redis: Redis) -> None:
        server, clock = self.server(), FakeClock()
        manager = manager_of(server, redis=redis, clock=clock)
        await left(manager, redis)
        clock.advance(FRESH_SECONDS + 1)
        await left(manager, redis)
        assert (server.calls["register"], server.calls["metadata"]) == (1, 2)

    async def test_ends_with_its_secret(self, redis: Redis) -> None:
        server, clock = self.server(), FakeClock()
        server.secret_ends_at = int(clock.now()) + 1800
        manager = manager_of(server, redis=redis, clock=clock)
        await left(manager, redis)
        clock.advance(FRESH_SECONDS + 1)
        await left(manager, redis)
        assert server.calls["register"] == 2

    async def test_of_two_processes_at_once_is_one(self, redis: Redis) -> None:
        server = self.server()
        both = [manager_of(server, redis=redis) for _ in range(2)]
        await asyncio.gather(*(left(manager, redis) for manager in both))
        one, other = (manager.providers[NAME].client_id for manager in both)
        assert one == other != ""

    async def test_is_asked_for_where_no_proof_of_a_document_would_be_taken(
        self, redis: Redis
    ) -> None:
        server = mcp(registers=True, methods=["client_secret_post", "none"], names_issuer=False)
        await connect(manager_of(server, redis=redis), server, redis)
        assert server.calls["register"] == 1

    async def test_is_not_asked_for_where_documents_are_taken(self, redis: Redis) -> None:
        server = mcp(registers=True)
        await connect(manager_of(server, redis=redis), server, redis)
        assert not server.calls["register"]

    async def test_is_sealed(self, redis: Redis) -> None:
        server = self.server()
        manager = manager_of(server, redis=redis)
        await left(manager, redis)
        (client,) = server.clients.values()
        kept = await redis.get(f"stargazer:oauth_server:{NAME}")
        assert kept
        assert client["client_secret"].encode() not in kept
        assert client["client_secret"] not in repr(manager.providers[NAME])

    async def test_outlives_the_hourly_look_at_the_metadata(self, redis: Redis) -> None:
        server, clock = self.server(), FakeClock()
        manager = manager_of(server, redis=redis, clock=clock)
        await left(manager, redis)
        before = manager.providers[NAME].client_id
        clock.advance(FRESH_SECONDS)
        await left(manager, redis)
        assert manager.providers[NAME].client_id == before
        assert server.calls["register"] == 1

    async def test_is_renewed_when_it_is_refused(self, redis: Redis) -> None:
        server = self.server()
        manager = manager_of(server, redis=redis)
        callback = await server.authorize(await left(manager, redis))
        server.clients.clear()
        attempt, code = await came_back(manager, redis, callback)
        with pytest.raises(OAuthMisconfigured):
            await manager.complete(redis, attempt, code)
        await connect(manager, server, redis)
        assert server.calls["register"] == 2

    @every(
        ("answer", "code"),
        [
            ({}, "client_id"),
            ({"client_id": "a\nb"}, "client_id"),
            ({"client_id": "a"}, "client_secret"),
            ({"client_id": "a", "client_secret": ["b"]}, "client_secret"),
            (
                {
                    "client_id": "a",
                    "client_secret": "b",
                    "redirect_uris": ["https://evil.example/cb"],
                },
                "redirect_uris",
            ),
            (
                {"client_id": "a", "token_endpoint_auth_method": "none"},
                "token_endpoint_auth_method",
            ),
            ({"client_id": "a", "error": "invalid_client_metadata"}, "invalid_client_metadata"),
        ],
    )
    async def test_of_something_else_than_was_asked_is_none(
        self, redis: Redis, answer: dict[str, Any], code: str
    ) -> None:
        await redis.flushall()
        server = self.server()
        server.registration = answer
        assert await code_of(manager_of(server, redis=redis), redis) == code


class TestALyingServer:
    @every(
        ("spoiled", "code"),
        [
            ({"issuer": "https://evil.example"}, "other_issuer"),
            ({"code_challenge_methods_supported": None}, "code_challenge_methods_supported"),
            ({"code_challenge_methods_supported": ["plain"]}, "code_challenge_methods_supported"),
            ({"code_challenge_methods_supported": "S256"}, "code_challenge_methods_supported"),
            ({"token_endpoint": "http://login.example/token"}, "token_endpoint"),
            (
                {"token_endpoint_auth_methods_supported": ["tls_client_auth"]},
                "client_authentication",
            ),
            ({"token_endpoint_auth_methods_supported": None}, "client_authentication"),
            (
                {"client_id_metadata_document_supported": "true"},
                "client_id_metadata_document_supported",
            ),
            (
                {"token_endpoint_auth_signing_alg_values_supported": ["none"]},
                "client_authentication",
            ),
        ],
    )
    async def test_with_broken_metadata_gets_nobody(
        self, redis: Redis, spoiled: dict[str, Any], code: str
    ) -> None:
        await redis.flushall()
        server = mcp(methods=["private_key_jwt"], spoiled=spoiled)
        assert await code_of(manager_of(server, redis=redis), redis) == code
        assert not server.forms

    async def test_that_names_another_resource_gets_nobody(self, redis: Redis) -> None:
        server = mcp(protected={"resource": "https://other.example/mcp"})
        assert await code_of(manager_of(server, redis=redis), redis) == "other_resource"

    async def test_that_moves_its_token_endpoint_gets_no_token_there(self, redis: Redis) -> None:
        server = mcp(expires_in=30)
        clock = FakeClock()
        manager = manager_of(server, redis=redis, clock=clock)
        await connect(manager, server, redis)
        server.spoiled["token_endpoint"] = "https://login.example/elsewhere"
        clock.advance(FRESH_SECONDS + 1)
        assert await manager.get_token("u1", NAME, redis) in server.issued
        assert not server.calls["elsewhere"]

    async def test_that_names_another_authorization_server_later_gets_nothing_there(
        self, redis: Redis
    ) -> None:
        server, evil = mcp(expires_in=30), liar()
        clock = FakeClock()
        manager = manager_of(server, evil, redis=redis, clock=clock)
        await connect(manager, server, redis)
        server.protected["authorization_servers"] = [evil.issuer]
        clock.advance(FRESH_SECONDS + 1)
        assert await manager.get_token("u1", NAME, redis) in server.issued
        assert evil.calls["token"] == 0
        assert "evil.example" not in await left(manager, redis)

    async def test_that_moved_between_leaving_and_coming_back_gets_no_code(
        self, redis: Redis
    ) -> None:
        server, evil = mcp(), liar()
        manager = manager_of(server, evil, redis=redis)
        callback = await server.authorize(await left(manager, redis))
        await redis.delete(f"stargazer:oauth_server:{NAME}")
        server.protected["authorization_servers"] = [evil.issuer]
        later = manager_of(server, evil, redis=redis)
        attempt, code = await came_back(manager, redis, callback)
        with pytest.raises(FlowRefused) as raised:
            await later.complete(redis, attempt, code)
        assert raised.value.reason == "issuer"
        assert not evil.forms
        assert not server.forms

    @every("issuer", ["https://evil.example", "https://login.example/", "", None])
    async def test_of_another_issuer_in_its_answer_gets_no_code(
        self, redis: Redis, issuer: str | None
    ) -> None:
        server = mcp()
        manager = manager_of(server, redis=redis)
        await left(manager, redis)
        with pytest.raises(FlowRefused) as raised:
            manager.check_issuer(NAME, issuer)
        assert raised.value.reason == "issuer"

    async def test_cannot_redeem_what_another_server_issued(self, redis: Redis) -> None:
        """The callbacks of two servers, mixed up by one that lies (RFC 9700, 4.4)."""
        honest, evil = mcp(), liar()
        manager = manager_of(honest, evil, redis=redis)
        own = await left(manager, redis)
        # The liar leads the browser to the honest server, with its own client id for us.
        url = await left(manager, redis, "other-mcp")
        query = dict(parse_qsl(urlsplit(url).query))
        with pytest.raises(Refused, match="redirect_uri"):  # our document there has another
            await honest.authorize(
                f"{honest.issuer}/authorize?{urlsplit(url).query}".replace(
                    "evil.example%2Fmcp", "mcp.example%2Fmcp"
                ).replace("other-mcp%2Fclient", f"{NAME}%2Fclient")
            )
        # The honest server's answer at the liar's callback address, and the other way round.
        callback = await honest.authorize(own)
        with pytest.raises(FlowRefused):
            await came_back(manager, redis, callback, "other-mcp")
        assert query["client_id"] != DOCUMENT
        assert not evil.forms
        assert not honest.forms

    async def test_in_trouble_is_asked_again_soon(self, redis: Redis) -> None:
        server, clock = mcp(found_by="nowhere"), FakeClock()
        manager = manager_of(server, redis=redis, clock=clock)
        assert await code_of(manager, redis) == "http_404"
        server.found_by = "path"
        clock.advance(PAUSE_SECONDS)
        await connect(manager, server, redis)


class TestMoreScopes:
    @pytest.fixture
    async def ann(self, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Any:
        self.server = mcp(scopes=["read", "write", "admin"], first_scope="read")
        self.manager = manager_of(self.server, redis=redis)
        monkeypatch.setattr(access, "_instance", self.manager)
        await connect(self.manager, self.server, redis)
        return SimpleNamespace(user_id="u1", redis=redis)

    async def used(self, ann: Any) -> int:
        async with oauth_client(ann, NAME) as client:
            return (await client.post(RESOURCE, json={})).status_code

    async def test_that_the_server_wants_are_asked_for_by_a_link(
        self, redis: Redis, ann: Any
    ) -> None:
        assert await self.used(ann) == 200
        self.server.wants = "admin"
        with pytest.raises(OAuthNotConnected) as raised:
            await self.used(ann)
        assert raised.value.missing_scopes == ("admin",)
        code = raised.value.connect_url.removeprefix(f"{BASE_URL}/connect/")
        link, _ = await self.manager.links.peek(redis, code) or (None, 0)
        assert link is not None
        assert set(link.scopes) == {"read", "admin"}

    async def test_that_are_wanted_with_a_401_are_asked_for_without_a_renewal(
        self, ann: Any
    ) -> None:
        self.server.wants, self.server.says_no_by = "admin", 401
        with pytest.raises(OAuthNotConnected) as raised:
            await self.used(ann)
        assert raised.value.missing_scopes == ("admin",)
        assert [form["grant_type"] for _, form in self.server.forms] == ["authorization_code"]

    async def test_that_are_wanted_of_a_token_just_renewed_are_asked_for(self, ann: Any) -> None:
        self.server.wants = "admin"
        live = self.server._tokens
        for access_token in [value for value in live if value.startswith("access")]:
            del live[access_token]
        with pytest.raises(OAuthNotConnected) as raised:
            await self.used(ann)
        assert raised.value.missing_scopes == ("admin",)

    async def test_that_the_token_has_are_not_asked_for_again(self, ann: Any) -> None:
        self.server.wants = "read"
        for tokens in self.server._tokens.values():
            tokens["scope"] = ""
        assert await self.used(ann) == 403

    async def test_are_not_asked_for_without_end(self, ann: Any) -> None:
        self.server.wants = "admin"
        for _ in range(10):
            with pytest.raises(OAuthNotConnected):
                await self.used(ann)
        assert await self.used(ann) == 403

    async def test_of_an_api_that_is_no_mcp_server_are_its_own_answer(self, ann: Any) -> None:
        self.server.wants = "admin"
        self.manager.providers[NAME].resource = ""
        assert await self.used(ann) == 403


async def test_a_record_of_another_resource_is_reconnected_and_sent_nowhere(redis: Redis) -> None:
    server = mcp(expires_in=30)
    manager = manager_of(server, redis=redis)
    await connect(manager, server, redis)
    moved = mcp(resource="https://mcp.example/v2", expires_in=30)
    now = manager_of(moved, redis=redis)
    now.clock.advance(29)  # type: ignore[attr-defined]
    assert await now.get_token("u1", NAME, redis) is None
    known = await now.connection(redis, "u1", NAME)
    assert (known.status, known.profile.problem_kind) == ("reconnect_needed", "moved")
    assert not moved.forms
