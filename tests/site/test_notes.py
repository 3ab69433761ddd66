"""The demo's remote MCP server is strict: about its client, its resource and its tokens."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from starlette.applications import Starlette

from tests.kit.fake_provider import serve
from webui.oauth_manager.providers.client_keys import ClientKey, derive_key
from webui.sandbox import notes
from webui.sandbox.grants import Grants
from webui.sandbox.standin import Client

pytestmark = pytest.mark.anyio

BASE = "http://standins.test"
KEY = derive_key(b"of the test", "a client")


class Site:
    """Documents of the client at one address."""

    url = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        said: Any = {"keys": [KEY.public]}
        if scope["path"] == "/client.json":
            said = {
                "client_id": f"{self.url}/client.json",
                "redirect_uris": [f"{self.url}/callback"],
                "jwks_uri": f"{self.url}/jwks.json",
            }
        answer = httpx.Response(200, json=said)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer.content})


class Caller:
    """A client, and the server that it asks."""

    def __init__(self, http: httpx.AsyncClient, url: str, server: notes.Notes) -> None:
        self.http = http
        self.url = url
        self.server = server

    def assertion(self, key: ClientKey = KEY, audience: str = "") -> str:
        audience = audience or self.server.url
        return key.assertion(f"{self.url}/client.json", audience, time.time())

    async def authorize(self, **changes: str) -> httpx.Response:
        query = {
            "client_id": f"{self.url}/client.json",
            "redirect_uri": f"{self.url}/callback",
            "response_type": "code",
            "state": "s",
            "code_challenge": "c" * 43,
            "code_challenge_method": "S256",
            "resource": self.server.resource,
        } | changes
        return await self.http.get(f"/notes-mcp/authorize?{urlencode(query)}")

    async def token(self, **changes: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": "none",
            "client_id": f"{self.url}/client.json",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self.assertion(),
            "resource": self.server.resource,
        } | changes
        answer = await self.http.post("/notes-mcp/token", data=form)
        return dict(answer.json())


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    site = Site()
    with serve(site) as url:
        site.url = url
        client = Client(f"{url}/client.json", "", f"{url}/callback")
        server = notes.create_notes(BASE, client, Grants(), 60, "Stargazer")
        transport = httpx.ASGITransport(Starlette(routes=notes.routes_of(server)))
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
            yield Caller(http, url, server)


async def test_a_client_is_shown_to_people_by_its_document_alone(caller: Caller) -> None:
    assert (await caller.authorize()).status_code == 200
    for change in ({"client_id": f"{caller.url}/other.json"}, {"redirect_uri": "http://evil/"}):
        assert (await caller.authorize(**change)).status_code == 400
    caller.server.client = Client("http://127.0.0.1:1/client.json", "", f"{caller.url}/callback")
    gone = await caller.authorize(client_id="http://127.0.0.1:1/client.json")
    assert gone.status_code == 400


async def test_nobody_is_asked_for_access_to_something_else(caller: Caller) -> None:
    for other in ("", caller.server.url, f"{caller.server.resource}/"):
        assert (await caller.authorize(resource=other)).status_code == 400
    assert (await caller.token(resource=caller.server.url))["error"] == "invalid_request"


async def test_a_client_signs_for_itself_here_and_once(caller: Caller) -> None:
    once = caller.assertion()
    assert (await caller.token(client_assertion=once))["error"] == "invalid_grant"
    stranger = derive_key(b"of another", "a client")
    for signed in (
        once,
        caller.assertion(stranger),
        caller.assertion(audience=f"{caller.server.url}/token"),
        "",
        "a.b.c",
    ):
        assert (await caller.token(client_assertion=signed))["error"] == "invalid_client"


async def test_without_a_token_the_server_says_where_to_get_one(caller: Caller) -> None:
    answer = await caller.http.post("/notes-mcp/mcp", json={})
    about = f"{BASE}/.well-known/oauth-protected-resource/notes-mcp/mcp"
    assert answer.status_code == 401
    assert f'resource_metadata="{about}"' in answer.headers["www-authenticate"]
    assert (await caller.http.get(about)).json()["resource"] == caller.server.resource
