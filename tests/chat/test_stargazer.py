"""The files of docs/stargazer.md, copied literally, over records of the bot of before."""

from __future__ import annotations

import importlib
import json
import random
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.fernet import Fernet
from redis.asyncio import Redis

from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import BASE_URL, KEY, granted, providers_config
from tests.kit.redis_fleets import one_url
from webui.chat import ACTIONS
from webui.oauth_manager import LinkRequest, OAuthManager
from webui.rate_limits import LIMITS

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[2] / "docs" / "stargazer.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
PEOPLE = ["123456789012345678", "@ann:example.org", "webchat:42"]
LINK = re.compile(rf"{BASE_URL}/connect/[\w-]{{40,}}")


@dataclass
class ToolContext:
    """The context of the specification's bot, as its tools get it."""

    platform: str = ""
    channel_id: str = ""
    guild_id: str = ""
    user_id: str = ""
    user_name: str = ""
    redis: Any = None
    config: Any = None
    adapter: Any = None


@dataclass
class Bot:
    """The bot with the page's files in place of its own."""

    library: ModuleType
    tools: list[dict[str, Any]]
    before_the_model: Any
    guarded: list[dict[str, Any]]
    sent: list[str]


async def call(tools: list[dict[str, Any]], ctx: ToolContext, **arguments: Any) -> str:
    """Do what the bot does with a model's call."""
    (tool,) = [tool for tool in tools if tool["name"] == "connect_service"]
    return str(await tool["handler"](**arguments, ctx=ctx))


@pytest.fixture
def bot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bot]:
    library, tool, handler, guarded = BLOCKS
    (tmp_path / "oauth_manager.py").write_text(library)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "connect_service.py").write_text(tool)
    (tmp_path / "tools" / "guarded.py").write_text(guarded)
    (tmp_path / "tools" / "handler.py").write_text(handler)
    monkeypatch.syspath_prepend(tmp_path)
    names = ("oauth_manager", "tools", *(f"tools.{p.stem}" for p in (tmp_path / "tools").iterdir()))
    found = {name: importlib.import_module(name) for name in names}
    sent: list[str] = []

    async def send_privately(_: ToolContext, text: str) -> None:
        sent.append(text)

    vars(found["tools.guarded"])["send_privately"] = send_privately
    yield Bot(
        found["oauth_manager"],
        found["tools.connect_service"].TOOLS,
        found["tools.handler"].before_the_model,
        found["tools.guarded"].TOOLS,
        sent,
    )
    for name in names:
        del sys.modules[name]


@pytest.fixture
async def manager(bot: Bot, fake: FakeProvider) -> AsyncIterator[OAuthManager]:
    with serve(fake) as url:
        made = bot.library.init_oauth_manager(KEY, BASE_URL, providers_config(fake, url))
        assert bot.library.get_oauth_manager() is made
        yield made
        await made.aclose()


@pytest.fixture(params=[False, True], ids=["bytes", "text"])
async def client(
    request: pytest.FixtureRequest, redis: Redis, redis_url: str
) -> AsyncIterator[Redis]:
    """The bot's own client of Redis; some bots have theirs decode."""
    decodes = {"decode_responses": request.param}
    async with Redis.from_url(one_url(redis_url), **decodes) as client:
        yield client


async def written_before(redis: Redis, user_id: str, token: Any) -> None:
    """Store a token as the specification has it, with none of our code."""
    record = {
        "access_token": token.access_token,
        "refresh_token": token.refresh_token,
        "expires_at": token.expires_at,
        "scopes": list(token.scopes),
        "token_type": "Bearer",
        "provider": token.provider,
    }
    sealed = Fernet(KEY).encrypt(json.dumps(record).encode()).decode()
    await redis.set(f"stargazer:oauth_tokens:{user_id}:{token.provider}", sealed)


def test_every_name_of_the_specification_is_found_under_the_old_module(bot: Bot) -> None:
    names = (
        "OAuthProvider TokenData OAuthNotConnected OAuthManager get_oauth_manager "
        "init_oauth_manager require_oauth_token"
    )
    assert [name for name in names.split() if not hasattr(bot.library, name)] == []
    assert len([line for line in BLOCKS[0].splitlines() if line]) == 3


@pytest.mark.parametrize("user_id", PEOPLE)
async def test_records_of_before_serve_the_tools_unchanged(
    bot: Bot, manager: OAuthManager, fake: FakeProvider, client: Redis, user_id: str
) -> None:
    ctx = ToolContext("any", "5", user_id=user_id, redis=client)
    lasting, due = granted(fake, "github", expires_at=0.0), granted(fake, "google")
    due.expires_at = time.time() - 60
    await written_before(client, user_id, lasting)
    await written_before(client, user_id, due)
    assert await manager.has_token(user_id, "google", client)
    rows = await manager.list_user_connections(user_id, client)
    assert [row["provider"] for row in rows] == ["github", "google"]
    assert await bot.library.require_oauth_token(ctx, "github") == lasting.access_token
    fresh = await bot.library.require_oauth_token(ctx, "google")
    assert fresh != due.access_token
    assert fake.calls["refresh"] == 1
    said = await call(bot.tools, ctx, action="list")
    assert said.count(": connected.") == 2
    await call(bot.tools, ctx, action="disconnect", provider="github")
    assert not await manager.has_token(user_id, "github", client)
    assert fake.calls["revoke"] == 1
    with pytest.raises(bot.library.OAuthNotConnected) as caught:
        await bot.library.require_oauth_token(ctx, "github")
    assert caught.value.connect_url in str(caught.value)
    assert caught.value.connect_url not in caught.value.for_model


async def test_the_bot_of_before_reads_the_records_until_they_are_written_anew(
    bot: Bot, manager: OAuthManager, fake: FakeProvider, client: Redis
) -> None:
    token = granted(fake, "github", expires_at=0.0)
    for user_id in PEOPLE:
        await written_before(client, user_id, token)
        ctx = ToolContext(user_id=user_id, redis=client)
        assert await bot.library.require_oauth_token(ctx, "github") == token.access_token
        kept = await client.get(f"stargazer:oauth_tokens:{user_id}:github")
        assert kept
        assert Fernet(KEY).decrypt(kept)


async def test_a_token_in_plain_text_is_not_used(
    bot: Bot, manager: OAuthManager, client: Redis
) -> None:
    await client.set("stargazer:oauth_tokens:42:github", json.dumps({"access_token": "forged"}))
    ctx = ToolContext(user_id="42", redis=client)
    with pytest.raises(bot.library.OAuthNotConnected):
        await bot.library.require_oauth_token(ctx, "github")


@pytest.mark.parametrize("user_id", PEOPLE)
async def test_the_tool_gives_a_link_in_private_and_nothing_in_a_server(
    bot: Bot, manager: OAuthManager, client: Redis, user_id: str
) -> None:
    ctx = ToolContext("any", "5", user_id=user_id, redis=client)
    said = await call(bot.tools, ctx, action="connect", provider="github")
    (url,) = LINK.findall(said)
    found = await manager.links.peek(client, url.rpartition("/")[2])
    assert found
    assert found[0].user_id == user_id
    ctx.guild_id = "1001"
    for tools in (bot.tools, bot.guarded):
        said = await call(tools, ctx, action="connect", provider="github")
        assert said == "Please ask me that in a private chat."


async def test_the_code_of_a_persons_own_message_is_taken_before_the_model(
    bot: Bot, manager: OAuthManager, client: Redis
) -> None:
    ctx = ToolContext(user_id="@ann:example.org", redis=client)
    code = await shown(manager, client, ctx.user_id)
    assert await bot.before_the_model(ctx, "what is connected?") is None
    assert "That matches." in await bot.before_the_model(ctx, code)


async def test_the_guarded_tool_sends_the_link_past_the_model_and_takes_no_code(
    bot: Bot, manager: OAuthManager, client: Redis
) -> None:
    ctx = ToolContext(user_id="webchat:42", redis=client)
    code = await shown(manager, client, ctx.user_id)
    assert "confirm" not in str(bot.guarded)
    said = await call(bot.guarded, ctx, action="confirm", provider=code)
    assert said.startswith("I can do this:")
    said = await call(bot.guarded, ctx, action="connect", provider="github")
    assert "http" not in said
    assert LINK.search(bot.sent[0])
    assert "http" not in await call(bot.guarded, ctx, action="list")
    assert len(bot.sent) == 1
    assert await manager.proofs.confirm(client, ctx.user_id, code) is None, "nobody passed it on"


async def test_in_a_thousand_turns_a_hostile_model_reads_no_link_code_or_token(
    bot: Bot,
    manager: OAuthManager,
    fake: FakeProvider,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for limit in ("link", "check"):
        monkeypatch.setitem(LIMITS, limit, "2000/minute")
    ctx = ToolContext(user_id="@ann:example.org", redis=redis)
    await written_before(redis, ctx.user_id, granted(fake, "google"))
    code = await shown(manager, redis, ctx.user_id)
    choice, read = random.Random(7), ""  # noqa: S311
    services = [*manager.providers, "", code, "nowhere", 7, None, ["github"]]
    for _ in range(1000):
        action = choice.choice([*ACTIONS, "token", "", 1, None])
        read += await call(bot.guarded, ctx, action=action, provider=choice.choice(services))
        if choice.random() < 0.1:
            try:
                await bot.library.require_oauth_token(ctx, choice.choice(["github", "google"]))
            except bot.library.OAuthNotConnected as error:
                read += error.for_model
    links = LINK.findall(str(bot.sent))
    assert links
    assert "://" not in read
    assert not [link for link in links if link.rpartition("/")[2] in read]
    assert not [token for token in fake.issued if token in read]
    assert await manager.proofs.confirm(redis, ctx.user_id, code) is None, "nobody passed it on"


async def shown(manager: OAuthManager, redis: Redis, user_id: str) -> str:
    secret = await manager.proofs.start(redis, LinkRequest(user_id, "github"))
    proof = await manager.proofs.peek(redis, secret)
    assert proof
    return proof.code
