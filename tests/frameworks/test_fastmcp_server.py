"""The example for FastMCP, with a client in both ages of the protocol."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from fastmcp import Client
from fastmcp.client.elicitation import ElicitResult
from redis.asyncio import Redis

from examples import fastmcp_server
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import BASE_URL, connected
from webui.chat import ACTIONS, CONNECT_SERVICE_TOOL
from webui.oauth_manager import LinkRequest, OAuthManager
from webui.rate_limits import LIMITS

pytestmark = pytest.mark.anyio

MODERN, BEFORE = "2026-07-28", "legacy"
AGES = pytest.mark.parametrize("age", [MODERN, BEFORE])


class Assistant:
    """A client whose person says yes to every address; ``read`` is what its model has read."""

    def __init__(self, redis: Redis) -> None:
        async def ask_github(token: str) -> str:
            assert token
            return "They are mona."

        self.server = fastmcp_server.make_server(redis, lambda _: "alice", ask_github)
        self.shown: list[Any] = []
        self.read = ""

    def client(self, age: str, *, can_open: bool = True) -> Client[Any]:
        async def show(_: str, __: Any, params: Any, ___: Any) -> ElicitResult[Any]:
            self.shown.append(params)
            return ElicitResult(action="accept")

        mode: Any = age
        return Client(self.server, mode=mode, elicitation_handler=show if can_open else None)

    async def call(self, client: Client[Any], name: str, **arguments: Any) -> str:
        result = await client.call_tool(name, arguments, raise_on_error=False)
        text = "".join(getattr(part, "text", "") for part in result.content)
        self.read += f"{text} {result.structured_content} {result.meta}\n"
        return text


@pytest.fixture
def assistant(redis: Redis, manager: OAuthManager) -> Assistant:
    return Assistant(redis)


async def leads_to(manager: OAuthManager, redis: Redis, url: str) -> LinkRequest:
    assert re.fullmatch(rf"{BASE_URL}/connect/[\w-]{{40,}}", url)
    found = await manager.links.peek(redis, url.rpartition("/")[2])
    assert found
    return found[0]


@AGES
async def test_the_client_shows_the_link_which_stays_open_and_the_model_does_not_read_it(
    assistant: Assistant, manager: OAuthManager, redis: Redis, age: str
) -> None:
    async with assistant.client(age) as client:
        said = await assistant.call(client, "whoami")
    assert "The person has the link" in said
    (asked,) = assistant.shown
    link = await leads_to(manager, redis, asked.url)
    assert (link.user_id, link.provider) == ("alice", "github")
    assert asked.message.startswith("Connect GitHub")
    assert "://" not in assistant.read


@AGES
async def test_a_person_who_is_connected_is_named(
    assistant: Assistant, manager: OAuthManager, fake: FakeProvider, redis: Redis, age: str
) -> None:
    await connected(manager, fake, redis, "alice", "github")
    async with assistant.client(age) as client:
        assert await assistant.call(client, "whoami") == "They are mona."
    assert assistant.shown == []


@AGES
async def test_a_client_that_opens_no_address_is_told_where_the_link_is(
    assistant: Assistant, age: str
) -> None:
    async with assistant.client(age, can_open=False) as client:
        said = await assistant.call(client, "connect_service", action="manage")
    assert "ask the bot for it, in their own chat" in said
    assert "://" not in assistant.read


async def test_the_tool_has_the_actions_of_a_model(assistant: Assistant) -> None:
    described = CONNECT_SERVICE_TOOL["parameters"]["properties"]
    async with assistant.client(MODERN) as client:
        tools = {tool.name: tool for tool in await client.list_tools()}
    properties = tools["connect_service"].input_schema["properties"]
    assert properties["action"]["enum"] == described["action"]["enum"]
    assert set(properties) == set(described)
    assert "confirm" not in str(tools)


@AGES
async def test_in_a_thousand_turns_a_hostile_model_reads_no_link_code_or_token(
    assistant: Assistant,
    manager: OAuthManager,
    fake: FakeProvider,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
    age: str,
) -> None:
    monkeypatch.setitem(LIMITS, "link", "1000/minute")
    monkeypatch.setitem(LIMITS, "check", "1000/minute")
    await connected(manager, fake, redis, "alice", "google")
    secret = await manager.proofs.start(redis, LinkRequest("alice", "github"))
    proof = await manager.proofs.peek(redis, secret)
    assert proof
    choice = random.Random(7)  # noqa: S311
    services = [*manager.providers, "", proof.code, "nowhere", "confirm", 7, None]
    async with assistant.client(age) as client:
        for _ in range(500):
            given = {
                "action": choice.choice([*ACTIONS, "token", "", 1]),
                "provider": choice.choice(services),
            }
            if choice.random() < 0.2:
                given["code"] = proof.code
            name = "connect_service" if choice.random() < 0.8 else "whoami"
            await assistant.call(client, name, **(given if name != "whoami" else {}))
    links = [asked.url for asked in assistant.shown]
    assert links
    # What FastMCP says to a call that does not fit names a page of Pydantic's.
    assert "://" not in assistant.read.replace("https://errors.pydantic.dev/", "")
    assert not [link for link in links if link.rpartition("/")[2] in assistant.read]
    assert not [token for token in fake.issued if token in assistant.read]
    passed_on = await manager.proofs.confirm(redis, "alice", proof.code)
    assert passed_on is None, "nobody had passed the code on"
