"""The demo's bot: the spellings it forgives, what it makes of answers, what it never says."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tests.kit.fake_answers import Answer, error_answer, json_answer
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import BUILT_IN, KEY, granted, providers_config, soon
from webui.oauth_manager import OAuthManager, init_oauth_manager
from webui.sandbox.bot import answer
from webui.sandbox.whoami import Caller

pytestmark = pytest.mark.anyio

SITE = "https://site.test"
ALIVE = soon(3600)


@pytest.fixture
def manager(fake: FakeProvider) -> Iterator[OAuthManager]:
    with serve(fake) as url:
        yield init_oauth_manager(KEY, SITE, providers_config(fake, url))


@pytest.fixture
async def caller(redis: Redis, manager: OAuthManager) -> AsyncIterator[Caller]:
    async with httpx.AsyncClient(trust_env=False) as http:
        yield Caller("alice", redis, http)
    await manager.aclose()


async def connect(
    manager: OAuthManager, fake: FakeProvider, caller: Caller, provider: str = "github"
) -> str:
    """Alice is connected; her access token."""
    token = granted(fake, provider, expires_at=ALIVE)
    await manager.store_token(caller.redis, "alice", token)
    return token.access_token


@pytest.mark.parametrize(
    "text",
    [
        "connect github",
        "CONNECT GitHub!",
        "/connect github",
        "connect: github please",
        "Connect my github account",
        "connect github now, please",
    ],
)
async def test_connect_is_understood_in_many_ways(caller: Caller, text: str) -> None:
    reply = await answer(caller, text)
    assert reply.text.startswith("Connect GitHub so I can work with your GitHub account.")
    assert re.search(r"only for you and works once, for 10 minutes\. Do not", reply.text)
    assert reply.label == "Connect GitHub"


@pytest.mark.parametrize("text", ["whoami github", "who am I on GitHub?", "Who am I at github"])
async def test_the_question_that_the_site_suggests_is_understood(caller: Caller, text: str) -> None:
    assert (await answer(caller, text)).text.startswith("I cannot ask GitHub who you are.")


@pytest.mark.parametrize("text", ["connect github", "whoami github", "connect", "manage"])
async def test_a_link_leads_to_our_own_page_and_is_not_in_a_repr(caller: Caller, text: str) -> None:
    reply = await answer(caller, text)
    assert re.fullmatch(rf"{SITE}/connect/[\w-]{{40,}}", reply.url)
    assert reply.url not in repr(reply)
    assert "http" not in reply.text


@pytest.mark.parametrize(
    "text", ["000 000", "000000", "bcd fgh", "BCDFGH", "confirm KT4 9WX", "Confirm x"]
)
async def test_codes_are_taken_for_codes(caller: Caller, text: str) -> None:
    assert "That code does not match" in (await answer(caller, text)).text


@pytest.mark.parametrize("text", ["whoami", "connect gitlab", "disconnect", "whoami 123456 x"])
async def test_without_a_service_the_bot_says_which_there_are(caller: Caller, text: str) -> None:
    reply = await answer(caller, text)
    assert reply.text.endswith(" I know: discord, github, google, microsoft.")


@pytest.mark.parametrize("text", ["", "?!", "hello", "confirmed", "\u0130", "x" * 300])
async def test_what_is_not_understood_leads_to_help(caller: Caller, text: str) -> None:
    assert (await answer(caller, text)).text.startswith("I did not understand that.")


async def test_help_names_every_command_and_service(caller: Caller) -> None:
    text = (await answer(caller, "Help!")).text
    commands = ("connect", "whoami", "list", "status", "check", "disconnect", "manage")
    assert all(word in text for word in (*commands, *BUILT_IN))


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (json_answer({"login": "mo\u202ena\n"}), "GitHub knows you as mona. The token "),
        (json_answer({"login": ["mona"]}), "GitHub answered, and did not say who you are."),
        (Answer(200, {}, b"not JSON"), "GitHub answered, and did not say who you are."),
        (Answer(503), "GitHub is not answering."),
    ],
)
async def test_whatever_a_provider_answers_becomes_a_sentence_without_the_token(
    manager: OAuthManager, fake: FakeProvider, caller: Caller, spoilt: Answer, words: str
) -> None:
    token = await connect(manager, fake, caller)
    fake.script("account", spoilt)
    reply = await answer(caller, "whoami github")
    assert reply.text.startswith(words)
    assert token not in reply.text


async def test_a_token_that_is_refused_is_renewed_and_used(
    manager: OAuthManager, fake: FakeProvider, caller: Caller
) -> None:
    await connect(manager, fake, caller)
    for _ in range(2):  # for the tool, and for the check that follows
        fake.script("account", error_answer("invalid_token", 401))
    assert (await answer(caller, "whoami github")).text.startswith("GitHub knows you as mona.")
    assert fake.calls["refresh"] == 1


async def test_access_that_is_over_leads_to_a_fresh_link(
    manager: OAuthManager, fake: FakeProvider, caller: Caller
) -> None:
    await connect(manager, fake, caller)
    fake.withdraw()
    reply = await answer(caller, "whoami github")
    assert "GitHub needs reconnecting. Here is a new link." in reply.text
    assert await manager.links.peek(caller.redis, reply.url.rpartition("/")[2])


async def test_a_provider_that_refuses_every_token_is_in_trouble(
    manager: OAuthManager, fake: FakeProvider, caller: Caller
) -> None:
    await connect(manager, fake, caller)
    right = fake.respond
    fake.script("account", error_answer("invalid_token", 401), right, error_answer("x", 401))
    reply = await answer(caller, "whoami github")
    assert reply.text.startswith("GitHub is not answering.")
    assert await manager.has_token("alice", "github", caller.redis)


async def test_a_set_up_that_is_wrong_is_not_blamed_on_the_person(
    manager: OAuthManager, fake: FakeProvider, caller: Caller
) -> None:
    await manager.store_token(caller.redis, "alice", granted(fake, "google"))
    fake.script("token", error_answer("invalid_client", 401))
    reply = await answer(caller, "whoami google")
    assert reply.text.startswith("Our set-up for Google has a fault")


async def test_a_list_at_the_provider_becomes_a_button(
    manager: OAuthManager, fake: FakeProvider, caller: Caller
) -> None:
    await connect(manager, fake, caller, "discord")
    manager.providers["discord"].manage_url = "https://discord.example/apps"
    fake.always["revoke"] = Answer(503)
    reply = await answer(caller, "disconnect discord")
    assert reply.text.startswith("I have deleted my access to Discord. Discord did not confirm")
    assert (reply.url, reply.label) == ("https://discord.example/apps", "Look at Discord")


async def test_without_redis_the_bot_says_so(manager: OAuthManager) -> None:
    nowhere = Redis.from_url("unix:///nowhere", retry=Retry(NoBackoff(), 0))
    async with nowhere, httpx.AsyncClient() as http:
        for text in ("connect github", "whoami github", "list", "disconnect github", "000 000"):
            reply = await answer(Caller("alice", nowhere, http), text)
            assert re.search("Try again in a moment.", reply.text)
            assert reply.url == ""
