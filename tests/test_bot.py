"""How forgiving the demo's bot is, and what it never says."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from webui.oauth_manager import OAuthManager, TokenData, init_oauth_manager
from webui.sandbox.bot import answer
from webui.sandbox.demo_secrets import make_secrets
from webui.sandbox.whoami import Caller

pytestmark = pytest.mark.anyio

SITE = "http://site.test"
PROVIDERS = ("discord", "github", "google", "microsoft")
TOKEN = "the-access-token"


@pytest.fixture
def manager() -> OAuthManager:
    client = {"client_id": "id", "client_secret": "secret"}
    key = make_secrets().encryption_key
    return init_oauth_manager(key, SITE, dict.fromkeys(PROVIDERS, client))


@pytest.fixture
async def caller(redis: Redis, manager: OAuthManager) -> AsyncIterator[Caller]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(account)) as http:
        yield Caller("alice", redis, http)


def account(request: httpx.Request) -> httpx.Response:
    """A provider that knows the token, and says so with a name full of tricks."""
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    if request.url.host == "api.github.com":
        return httpx.Response(200, json={"login": "mo\u202ena\n"})
    if request.url.host == "discord.com":
        return httpx.Response(200, json={"user": []})
    if request.url.host == "graph.microsoft.com":
        return httpx.Response(401, json={})
    return httpx.Response(200, text="not JSON")


async def connected(manager: OAuthManager, caller: Caller, provider: str) -> None:
    await manager.store_token(caller.redis, "alice", TokenData(TOKEN, provider=provider))


@pytest.mark.parametrize(
    "text",
    [
        "connect github",
        "CONNECT GitHub!",
        "/connect github",
        "connect: github please",
        "Connect my github account",
    ],
)
async def test_connect_is_understood_in_many_ways(caller: Caller, text: str) -> None:
    reply = await answer(caller, text)
    assert reply.text.startswith("Connect GitHub so I can work with your repositories and issues.")
    assert re.search(r"only for you and works once, until \d\d:\d\d\. Do not forward", reply.text)
    assert reply.label == "Connect GitHub"


@pytest.mark.parametrize("text", ["connect github", "whoami github", "connect"])
async def test_a_link_leads_to_our_own_page_and_is_not_in_a_repr(caller: Caller, text: str) -> None:
    reply = await answer(caller, text)
    assert re.fullmatch(rf"{SITE}/connect/[\w-]{{40,}}", reply.url)
    assert reply.url not in repr(reply)
    assert "github.com" not in reply.text


@pytest.mark.parametrize(
    "text", ["000 000", "000000", "bcd fgh", "BCDFGH", "confirm KT4 9WX", "Confirm x"]
)
async def test_codes_are_taken_for_codes(caller: Caller, text: str) -> None:
    assert "That code does not match" in (await answer(caller, text)).text


@pytest.mark.parametrize("text", ["whoami", "connect gitlab", "disconnect", "whoami 123456 x"])
async def test_without_a_service_the_bot_says_which_there_are(caller: Caller, text: str) -> None:
    reply = await answer(caller, text)
    assert reply.text.startswith("Which service?")
    assert reply.text.count("\n") == len(PROVIDERS)


@pytest.mark.parametrize("text", ["", "?!", "hello", "confirmed", "\u0130", "x" * 300])
async def test_what_is_not_understood_leads_to_help(caller: Caller, text: str) -> None:
    assert (await answer(caller, text)).text.startswith("I did not understand that.")


async def test_help_names_every_command_and_service(caller: Caller) -> None:
    text = (await answer(caller, "Help!")).text
    assert all(word in text for word in ("connect", "whoami", "list", "disconnect", *PROVIDERS))


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ("github", "GitHub knows you as mona. The token came with the connection"),
        ("discord", "Discord answered, and did not say who you are."),
        ("microsoft", "Microsoft does not accept my access any more."),
        ("google", "Google does not answer right now."),
    ],
)
async def test_whatever_a_provider_answers_becomes_a_sentence_without_the_token(
    manager: OAuthManager, caller: Caller, provider: str, words: str
) -> None:
    await connected(manager, caller, provider)
    reply = await answer(caller, f"whoami {provider}")
    assert reply.text.startswith(words)
    assert TOKEN not in reply.text


async def test_disconnecting_what_is_not_connected_says_so(caller: Caller) -> None:
    assert (await answer(caller, "disconnect discord")).text == "Discord was already disconnected."


async def test_without_redis_the_bot_says_so(manager: OAuthManager) -> None:
    nowhere = Redis.from_url("unix:///nowhere", retry=Retry(NoBackoff(), 0))
    async with nowhere, httpx.AsyncClient() as http:
        for text in ("connect github", "whoami github", "list", "disconnect github", "000 000"):
            reply = await answer(Caller("alice", nowhere, http), text)
            assert reply.text.startswith("Something on our side does not answer.")
