"""A remote MCP server through the whole site: set up by one address, connected by a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.library import BASE_URL
from tests.kit.site_fixtures import Place, card_state, site_at
from tests.kit.strict_server import StrictServer
from tests.site.test_settings import faults, settings
from webui.commands.providers import _state
from webui.settings.sources import survey

pytestmark = pytest.mark.anyio

RESOURCE = "https://mcp.example/mcp"
SETTINGS = {"EXTRA_PROVIDERS": "linear-mcp", "LINEAR_MCP_RESOURCE": RESOURCE}
DOCUMENT = "/oauth/linear-mcp/client.json"


@pytest.fixture
def server() -> StrictServer:
    return StrictServer(resource=RESOURCE, methods=["private_key_jwt"])


@pytest.fixture
async def place(redis_url: str, redis: Redis, server: StrictServer) -> AsyncIterator[Place]:
    """The site with nothing but the two settings; the server reads the documents of the site."""
    config = settings(**SETTINGS).providers_config
    async with site_at(redis_url, redis, provider_app=server, providers_config=config) as made:
        outside = await made.browser()

        async def fetch(url: str) -> Any:
            answer = await outside.get(url.removeprefix(BASE_URL))
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "application/json"
            return answer.json()

        server.fetch = fetch
        yield made


async def test_is_connected_and_disconnected_by_a_person(
    place: Place, server: StrictServer
) -> None:
    ann = await place.signed_in("ann")
    assert await ann.state_of("linear-mcp") == "not_connected"
    back = await ann.get(await server.authorize(await ann.begin("linear-mcp")))
    assert back.headers["location"] == "/connections#conn-linear-mcp-n"
    assert await ann.state_of("linear-mcp") == "connected"
    await ann.post("/connections/linear-mcp/disconnect")
    await place.settled()
    assert await ann.state_of("linear-mcp") == "disconnected"
    assert server.calls["revoke"] == 1
    assert server.reasons == ["no token"]


async def test_has_a_document_of_its_own_for_anybody_to_read_who_is_asked_nothing(
    place: Place, server: StrictServer
) -> None:
    anybody = await place.browser()
    assert (await anybody.get(DOCUMENT)).status_code == 404
    assert not server.calls
    ann = await place.signed_in("ann")
    await ann.begin("linear-mcp")
    asked = dict(server.calls)
    answer = await anybody.get(DOCUMENT)
    assert answer.json()["client_id"] == BASE_URL + DOCUMENT
    assert answer.json()["client_name"] == "Stargazer (Linear MCP)"
    assert answer.json()["redirect_uris"] == [f"{BASE_URL}/oauth/linear-mcp/callback"]
    assert server.calls == asked
    (key,) = (await anybody.get("/oauth/jwks.json")).json()["keys"]
    assert "d" not in key


async def test_of_others_there_is_no_document(place: Place) -> None:
    anybody = await place.browser()
    assert (await anybody.get("/oauth/github/client.json")).status_code == 404
    assert (await anybody.get("/oauth/nothing/client.json")).status_code == 404


async def test_a_lie_is_told_on_the_card_and_leads_nowhere(
    place: Place, server: StrictServer
) -> None:
    server.spoiled["code_challenge_methods_supported"] = ["plain"]
    ann = await place.signed_in("ann")
    answer = await ann.post("/connections/linear-mcp/connect", htmx=True)
    assert card_state(answer.text, "linear-mcp") == "misconfigured"
    assert "hx-redirect" not in answer.headers


async def test_a_link_from_chat_leads_to_our_page_and_then_there(
    place: Place, server: StrictServer
) -> None:
    url = await place.bot.generate_connect_url("ann", "linear-mcp", place.redis)
    ann = await place.signed_in("ann")
    landing = url.removeprefix(BASE_URL)
    assert (await ann.get(landing)).status_code == 200
    left = await ann.post(f"{landing}/start")
    assert "https://login.example/authorize?" in left.text


def test_is_set_up_by_its_address_alone() -> None:
    assert settings(**SETTINGS).providers_config["linear-mcp"] == {"resource": RESOURCE}
    assert _state(survey(SETTINGS), "linear-mcp") == "set up"
    (missing, _) = faults(EXTRA_PROVIDERS="linear-mcp")
    assert missing.startswith("LINEAR_MCP_AUTHORIZE_URL is missing")
    (fault,) = faults(EXTRA_PROVIDERS="linear-mcp", LINEAR_MCP_RESOURCE="http://mcp.example/mcp")
    assert fault == "LINEAR_MCP_RESOURCE must be an https address."
