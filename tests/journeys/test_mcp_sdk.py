"""Against the MCP project's own server, whose authorization server registers clients on request."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from socket import create_server
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from redis.asyncio import Redis

from tests.kit.hosted import listening
from tests.kit.library import KEY, age, impatient
from webui.oauth_manager import (
    Connection,
    OAuthManager,
    OAuthMisconfigured,
    Status,
    access,
    oauth_client,
)

pytestmark = pytest.mark.anyio

NAME = "notes-mcp"
SCOPES = ["notes"]


class Grants(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """Everybody says yes; the SDK checks requests, clients, verifiers and times."""

    def __init__(self) -> None:
        self.clients: dict[str, OAuthClientInformationFull] = {}
        self.codes: dict[str, AuthorizationCode] = {}
        self.tokens: dict[str, AccessToken] = {}
        self.renewals: dict[str, RefreshToken] = {}

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        assert client_info.client_id
        self.clients[client_info.client_id] = client_info

    async def authorize(
        self, client: OAuthClientInformationFull, params: AuthorizationParams
    ) -> str:
        code = secrets.token_urlsafe(20)
        self.codes[code] = AuthorizationCode(
            code=code,
            scopes=params.scopes or [],
            expires_at=time.time() + 60,
            client_id=str(client.client_id),
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        return construct_redirect_uri(str(params.redirect_uri), code=code, state=params.state)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self.codes[authorization_code.code]
        return self._issued(client, authorization_code.scopes, authorization_code.resource)

    async def load_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: str
    ) -> RefreshToken | None:
        return self.renewals.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        del self.renewals[refresh_token.token]
        return self._issued(client, scopes, refresh_token.resource)

    async def load_access_token(self, token: str) -> AccessToken | None:
        return self.tokens.get(token)

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.tokens.clear()
        self.renewals.clear()

    def _issued(
        self, client: OAuthClientInformationFull, scopes: list[str], resource: str | None
    ) -> OAuthToken:
        given: dict[str, Any] = {
            "client_id": str(client.client_id),
            "scopes": scopes,
            "resource": resource,
        }
        token, renewal = secrets.token_urlsafe(20), secrets.token_urlsafe(20)
        self.tokens[token] = AccessToken(token=token, **given)
        self.renewals[renewal] = RefreshToken(token=renewal, **given)
        return OAuthToken(
            access_token=token, refresh_token=renewal, expires_in=3600, scope=" ".join(scopes)
        )


@pytest.fixture
def grants() -> Grants:
    return Grants()


@pytest.fixture
async def origin(grants: Grants) -> AsyncIterator[str]:
    """The server, with one tool; it takes tokens for itself alone."""
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(create_server(("127.0.0.1", 0)))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings: dict[str, Any] = {
            "issuer_url": url,
            "resource_server_url": f"{url}/mcp",
            "required_scopes": SCOPES,
            "validate_token_resource": True,
        }
        registers = ClientRegistrationOptions(
            enabled=True, valid_scopes=SCOPES, default_scopes=SCOPES
        )
        server = MCPServer(
            "Notes",
            auth_server_provider=grants,
            auth=AuthSettings(
                client_registration_options=registers,
                revocation_options=RevocationOptions(enabled=True),
                **settings,
            ),
        )

        @server.tool()
        def count() -> int:
            return 7

        app = server.streamable_http_app(json_response=True, stateless_http=True)
        await stack.enter_async_context(listening(app, listener))
        yield url


async def connect(manager: OAuthManager, redis: Redis) -> Connection:
    url = await manager.begin(redis, "ann", NAME, browser="a browser")
    async with httpx.AsyncClient(trust_env=False) as browser:
        back = (await browser.get(url)).headers["location"]
    answer = dict(parse_qsl(urlsplit(back).query))
    attempt = await manager.links.take_attempt(redis, answer["state"], "a browser")
    assert attempt
    manager.check_issuer(NAME, answer.get("iss"))
    made = await manager.complete(redis, attempt, answer["code"])
    assert isinstance(made, Connection)
    return made


async def test_its_address_alone_leads_to_a_whole_life(
    origin: str, grants: Grants, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = f"{origin}/mcp"
    manager = impatient(OAuthManager(KEY, "http://localhost:8000", {NAME: {"resource": resource}}))
    monkeypatch.setattr(access, "_instance", manager)
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "count"}}
    headers = {"Accept": "application/json, text/event-stream"}

    async def counted() -> Any:
        ann = SimpleNamespace(user_id="ann", redis=redis)
        async with oauth_client(ann, NAME) as http:
            answer = await http.post(resource, json=asked, headers=headers)
        return answer.status_code, answer.json().get("result", {}).get("structuredContent")

    made = await connect(manager, redis)
    assert (made.status, made.scopes) == (Status.CONNECTED, ("notes",))
    assert await counted() == (200, {"result": 7})
    (client,) = grants.clients.values()
    assert [str(uri) for uri in client.redirect_uris or []] == [manager.redirect_uri(NAME)]
    assert {token.resource for token in grants.tokens.values()} == {resource}

    await age(manager, redis, "ann", NAME)
    assert await counted() == (200, {"result": 7})
    assert len(grants.tokens) == 2

    grants.tokens.clear()  # refused early, and renewed for it
    assert await counted() == (200, {"result": 7})

    grants.clients.clear()  # it has forgotten us
    grants.tokens.clear()
    with pytest.raises(OAuthMisconfigured) as raised:
        await counted()
    assert raised.value.code == "invalid_client"
    again = await connect(manager, redis)
    assert again.status is Status.CONNECTED
    assert len(grants.clients) == 1
    assert await counted() == (200, {"result": 7})

    assert (await manager.delete_token(redis, "ann", NAME)).at_provider == "revoked"
    assert not grants.tokens
    await manager.aclose()
