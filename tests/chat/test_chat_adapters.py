"""The examples of docs/chat.md, run with the packages that they are for."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import mcp
import mcp.types
import pytest
from redis.asyncio import Redis

from examples import mcp_server, model_tools
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import BASE_URL, KEY, connected, providers_config
from webui.chat import ACTIONS, CONNECT_SERVICE_TOOL
from webui.oauth_manager import (
    LinkRequest,
    OAuthManager,
    OAuthNotConnected,
    init_oauth_manager,
    require_oauth_token,
)
from webui.rate_limits import LIMITS

with warnings.catch_warnings():
    # discord.player imports a module that Python 3.13 has no more.
    warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
    import discord
    from discord.webhook.async_ import async_context

    from examples import discord_bot

pytestmark = [
    pytest.mark.anyio,
    # How discord.py calls re.sub; only Python 3.13 and later say so.
    pytest.mark.filterwarnings("ignore:'count' is passed as positional:DeprecationWarning"),
]

LINK = re.compile(rf"{BASE_URL}/connect/[\w-]{{40,}}")


@pytest.fixture
async def manager(fake: FakeProvider) -> AsyncIterator[OAuthManager]:
    with serve(fake) as url:
        manager = init_oauth_manager(KEY, BASE_URL, providers_config(fake, url))
        yield manager
        await manager.aclose()


async def leads_to(manager: OAuthManager, redis: Redis, url: str) -> LinkRequest:
    """Return the request behind an open link."""
    assert LINK.fullmatch(url)
    found = await manager.links.peek(redis, url.rpartition("/")[2])
    assert found
    return found[0]


async def code_shown(manager: OAuthManager, redis: Redis, user: str) -> str:
    secret = await manager.proofs.start(redis, LinkRequest(user, "github"))
    proof = await manager.proofs.peek(redis, secret)
    assert proof
    return f"{proof.code[:3]} {proof.code[3:]}".lower()


# Discord

PERSON = 1001
BOT = 1


class Discord:
    """Everything that reaches Discord: the JSON of each message and of each answer to a command."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.deferred: list[Any] = []

    async def send_message(self, _channel: int, *, params: Any) -> dict[str, Any]:
        self.sent.append(params.payload)
        return {}

    async def create_interaction_response(self, *_: Any, params: Any, **__: Any) -> Any:
        self.deferred.append(params.payload)
        return {"interaction": {"id": "1", "type": 2}}

    async def execute_webhook(self, *_: Any, payload: Any, **__: Any) -> dict[str, Any]:
        self.sent.append(payload)
        return message_payload()


def person(number: int) -> Any:
    return {"id": str(number), "username": "x", "discriminator": "0", "avatar": None}


def message_payload() -> dict[str, Any]:
    lists = ("embeds", "attachments", "mentions", "mention_roles", "components")
    flags = ("tts", "pinned", "mention_everyone")
    return {
        **{name: [] for name in lists},
        **dict.fromkeys(flags, False),
        "id": "6",
        "channel_id": "5",
        "author": person(BOT),
        "content": "",
        "type": 0,
        "edited_timestamp": None,
    }


class Channel(discord.abc.Messageable):
    """A channel, or a person's direct messages, whose messages go to ``Discord``."""

    def __init__(self, to: Discord) -> None:
        self.id = 5
        self._state: Any = SimpleNamespace(
            http=to, allowed_mentions=None, create_message=lambda **_: None
        )

    async def _get_channel(self) -> Any:
        return self


@pytest.fixture
def sent() -> Discord:
    return Discord()


@pytest.fixture
async def bot(redis: Redis, manager: OAuthManager) -> AsyncIterator[Any]:
    """The bot of the document, as if it were logged in."""
    bot: Any = discord_bot.make_bot(manager, redis)
    bot._connection.user = discord.ClientUser(state=bot._connection, data=person(BOT))
    async with bot:
        yield bot


async def write(bot: Any, sent: Discord, text: str, *, in_public: bool = False) -> dict[str, Any]:
    """A message of a person, and what the bot writes then."""
    await say(bot, Channel(sent), text, in_public=in_public)
    return sent.sent[-1]


async def say(bot: Any, channel: Channel, text: str, *, in_public: bool = False) -> None:
    author = SimpleNamespace(id=PERSON, bot=False)
    guild = SimpleNamespace(id=7, me=None) if in_public else None
    await bot.on_message(
        SimpleNamespace(
            content=text,
            author=author,
            guild=guild,
            channel=channel,
            attachments=[],
            _state=channel._state,
        )
    )


async def slash(bot: Any, sent: Discord, name: str, **given: str) -> dict[str, Any]:
    """A slash command in a server, as it comes from Discord, and what is answered."""
    options = [{"name": option, "type": 3, "value": value} for option, value in given.items()]
    member = {"user": person(PERSON), "roles": [], "permissions": "0", "flags": 0}
    payload = {
        "id": str(discord.utils.time_snowflake(discord.utils.utcnow())),
        "type": discord.InteractionType.application_command.value,
        "token": "t",
        "version": 1,
        "application_id": "8",
        "attachment_size_limit": 0,
        "guild_id": "7",
        "channel": {"id": "5", "type": 0, "name": "public", "position": 0},
        "member": {**member, "joined_at": None},
        "data": {"id": "10", "name": name, "type": 1, "options": options},
    }
    interaction: Any = discord.Interaction(data=payload, state=bot._connection)  # type: ignore[arg-type]
    before = async_context.set(sent)  # type: ignore[arg-type]
    await bot.tree._call(interaction)
    async_context.reset(before)
    assert sent.deferred[-1]["data"]["flags"] == discord.MessageFlags(ephemeral=True).value
    return sent.sent[-1]


def button(message: dict[str, Any]) -> str:
    (row,) = message["components"]
    (found,) = row["components"]
    assert found["style"] == discord.ButtonStyle.link.value
    return str(found["url"])


def is_careful(message: dict[str, Any]) -> bool:
    flags = discord.MessageFlags._from_value(message["flags"])
    return message["allowed_mentions"] == {"parse": []} and flags.suppress_embeds


async def test_on_discord_a_direct_message_is_answered_with_a_link_as_a_button(
    bot: Any, sent: Discord, manager: OAuthManager, redis: Redis
) -> None:
    answer = await write(bot, sent, "connect github")
    assert answer["content"].startswith("Connect GitHub so I can work")
    assert "http" not in answer["content"]
    assert is_careful(answer)
    link = await leads_to(manager, redis, button(answer))
    assert (link.user_id, link.provider) == (str(PERSON), "github")


@pytest.mark.parametrize("form", ["{}", " {}\n", "confirm {}"])
async def test_on_discord_the_code_is_taken_in_a_direct_message(
    bot: Any, sent: Discord, manager: OAuthManager, redis: Redis, form: str
) -> None:
    code = await code_shown(manager, redis, str(PERSON))
    assert "That matches." in (await write(bot, sent, form.format(code)))["content"]


@pytest.mark.parametrize("action", ACTIONS)
async def test_on_discord_nothing_is_done_in_a_channel(
    bot: Any, sent: Discord, manager: OAuthManager, redis: Redis, action: str
) -> None:
    code = await code_shown(manager, redis, str(PERSON))
    before = sorted(await redis.keys("*"))
    answer = await write(bot, sent, f"!{action} {code}", in_public=True)
    assert answer["content"] == "Please ask me that in a private chat."
    assert not answer["components"]
    assert sorted(await redis.keys("*")) == before


async def test_on_discord_a_slash_command_is_answered_to_that_person_alone(
    bot: Any, sent: Discord, manager: OAuthManager, redis: Redis
) -> None:
    answer = await slash(bot, sent, "connect", service="github")
    assert discord.MessageFlags._from_value(answer["flags"]).ephemeral
    assert is_careful(answer)
    assert (await leads_to(manager, redis, button(answer))).user_id == str(PERSON)

    code = await code_shown(manager, redis, str(PERSON))
    assert "That matches." in (await slash(bot, sent, "confirm", code=code))["content"]
    assert "Nothing is connected yet." in (await slash(bot, sent, "list"))["content"]


async def test_on_discord_every_action_is_a_command_that_can_be_registered(bot: Any) -> None:
    registered = {command.name: command for command in bot.tree.get_commands()}
    assert set(registered) == set(ACTIONS)
    for name, command in registered.items():
        described = command.to_dict(bot.tree)
        assert described["description"] not in ("", "…")
        options = {option["name"]: option for option in described["options"]}
        if name in discord_bot.OF_ALL:
            assert options == {}
        elif name == "confirm":
            assert options["code"]["required"]
        else:
            choices = [(c["name"], c["value"]) for c in options["service"]["choices"]]
            assert ("GitHub", "github") in choices
            assert len(choices) == 4


WORDS = ["rhythm", "connect", "the cat", "Thx bro", "list me", "got you", "status github"]


@pytest.mark.parametrize("text", WORDS)
async def test_on_discord_a_word_is_no_code_where_no_page_waits(
    bot: Any, sent: Discord, manager: OAuthManager, redis: Redis, text: str
) -> None:
    channel = Channel(sent)
    await say(bot, channel, text)
    assert not [m for m in sent.sent if "code" in m["content"].lower()]


@pytest.mark.parametrize("text", ["the cat", "list me", "got you", "Thank you!", "no", "123456789"])
async def test_on_discord_words_cost_no_try_while_a_page_waits(
    bot: Any, sent: Discord, manager: OAuthManager, redis: Redis, text: str
) -> None:
    code = await code_shown(manager, redis, str(PERSON))
    for _ in range(6):
        await say(bot, Channel(sent), text)
    assert "That matches." in (await write(bot, sent, code))["content"]


async def test_on_discord_connect_alone_leads_to_all_services(
    bot: Any, sent: Discord, manager: OAuthManager, redis: Redis
) -> None:
    answer = await write(bot, sent, "connect")
    assert (await leads_to(manager, redis, button(answer))).provider == ""


async def test_on_discord_a_hostile_name_is_neither_a_mention_nor_markup(
    bot: Any, sent: Discord, manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    fake.account = {"id": "1", "login": "@everyone [a](https://evil.example) **b**"}
    await connected(manager, fake, redis, str(PERSON), "github")
    answer = await write(bot, sent, "list")
    assert answer["allowed_mentions"] == {"parse": []}
    assert r"connected as @everyone \[a](https://evil.example) \*\*b\*\*." in answer["content"]


async def test_on_discord_the_bot_speaks_first_and_goes_on_where_it_is_not_let(
    bot: Any, sent: Discord, manager: OAuthManager, redis: Redis
) -> None:
    class Enough(Exception):
        pass

    class Closed(Channel):
        async def send(self, *_: Any, **__: Any) -> Any:
            raise discord.Forbidden(SimpleNamespace(status=403, reason="no"), "closed")  # type: ignore[arg-type]

    class People:
        async def fetch_user(self, number: int) -> Channel:
            if number == 3:
                raise Enough
            return Closed(sent) if number == 2 else Channel(sent)

    for user in ("2", str(PERSON), "3"):
        await manager.link_cancelled(redis, LinkRequest(user, "github"))
    people: Any = People()
    with pytest.raises(Enough):
        await discord_bot.speak_first(people, manager, redis)
    (told,) = sent.sent
    assert told["content"].startswith("That link was cancelled.")
    assert is_careful(told)


# A model


class Inbox:
    """A person's own chat, with all that the bot wrote there."""

    def __init__(self) -> None:
        self.got = ""

    async def __call__(self, text: str) -> None:
        self.got += f"{text}\n"


async def test_a_model_calls_the_tool_and_chooses_neither_person_nor_permissions(
    manager: OAuthManager, redis: Redis
) -> None:
    ctx: Any = SimpleNamespace(user_id="alice", redis=redis)
    person = Inbox()
    hostile = {"action": "connect", "provider": "github", "user_id": "bob", "scopes": "repo"}
    said = await model_tools.call(ctx, "connect_service", hostile, person)
    assert "http" not in said
    (url,) = LINK.findall(person.got)
    assert (await leads_to(manager, redis, url)).user_id == "alice"
    assert (await leads_to(manager, redis, url)).scopes == ("read:user",)
    assert "I can do this" in await model_tools.call(ctx, "connect_service", {}, person)
    code = await code_shown(manager, redis, "alice")
    for given in ({"code": code}, {"provider": code}):
        talked_into = {"action": "confirm", **given}
        assert "I can do this" in await model_tools.call(
            ctx, "connect_service", talked_into, person
        )
    assert await manager.proofs.confirm(redis, "alice", code) is None, "nobody had passed it on"
    assert "no tool" in await model_tools.call(ctx, "delete_everything", {}, person)


async def test_in_a_thousand_turns_a_hostile_model_reads_no_link_code_or_token(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, "link", "1000/minute")
    monkeypatch.setitem(LIMITS, "check", "1000/minute")
    await connected(manager, fake, redis, "alice", "google")
    ctx: Any = SimpleNamespace(user_id="alice", redis=redis)
    code = await code_shown(manager, redis, "alice")
    choice, person, read = random.Random(7), Inbox(), ""  # noqa: S311
    actions = [*ACTIONS, "token", "", "connect", "manage"]
    services = [*manager.providers, "", code, "nowhere", "https://evil.example/", "confirm"]
    for _ in range(1000):
        given = {
            "action": choice.choice(actions),
            "provider": choice.choice(services),
            "code": code,
            "user_id": choice.choice(["alice", "bob"]),
        }
        read += await model_tools.call(ctx, "connect_service", given, person)
        if choice.random() < 0.1:
            wanted = [choice.choice(["repo", "gist"])]
            try:
                await require_oauth_token(ctx, choice.choice(["github", "google"]), wanted)
            except OAuthNotConnected as error:
                read += error.for_model
    assert LINK.search(person.got)
    assert "://" not in read.replace("https://evil.example/", "")
    assert not [secret for secret in fake.issued if secret in read]
    assert not [url for url in LINK.findall(person.got) if url.rpartition("/")[2] in read]
    assert await manager.proofs.confirm(redis, "alice", code) is None, "nobody had passed it on"


@pytest.mark.parametrize("form", ["{}", "{}\n", "  {}  "])
async def test_a_code_is_taken_out_of_the_persons_message_before_the_model_sees_it(
    manager: OAuthManager, redis: Redis, form: str
) -> None:
    ctx: Any = SimpleNamespace(user_id="alice", redis=redis)
    assert await model_tools.before_the_model(ctx, "rhythm") == ""
    code = await code_shown(manager, redis, "alice")
    assert await model_tools.before_the_model(ctx, "what is connected?") == ""
    assert "That matches." in await model_tools.before_the_model(ctx, form.format(code))
    assert await model_tools.before_the_model(ctx, code) == "", "no page waits any more"


# MCP

MODERN, BEFORE = "2026-07-28", "2025-11-25"


class Assistant:
    """A client of the document's server, whose person says yes to every address.

    ``typed`` is what the person fills a form with; ``None`` if they close it.
    """

    def __init__(self, server: Any) -> None:
        self.server = server
        self.shown: list[Any] = []
        self.typed: str | None = None

    async def show(self, _: Any, asked: Any) -> mcp.types.ElicitResult:
        self.shown.append(asked)
        if asked.mode == "url":
            return mcp.types.ElicitResult(action="accept")
        if self.typed is None:
            return mcp.types.ElicitResult(action="cancel")
        return mcp.types.ElicitResult(action="accept", content={"code": self.typed})

    @asynccontextmanager
    async def talking(self, protocol: str, *, can_open: bool = True) -> AsyncIterator[mcp.Client]:
        mode = "legacy" if protocol == BEFORE else protocol
        callback: Any = self.show if can_open else None
        async with mcp.Client(
            self.server, mode=mode, elicitation_callback=callback, cache=None
        ) as client:
            assert client.protocol_version == protocol
            yield client


def text_of(result: mcp.types.CallToolResult) -> str:
    assert not result.is_error, result
    (content,) = result.content
    assert isinstance(content, mcp.types.TextContent)
    return content.text


@pytest.fixture
async def assistant(redis: Redis, manager: OAuthManager) -> Assistant:
    async def ask_github(_: str) -> str:
        return "You are mona."

    return Assistant(mcp_server.make_server(redis, lambda _: "alice", ask_github))


async def test_over_mcp_a_tool_without_access_has_our_link_shown_to_the_person(
    assistant: Assistant, manager: OAuthManager, redis: Redis
) -> None:
    async with assistant.talking(BEFORE) as client:
        with pytest.raises(mcp.MCPError) as caught:
            await client.call_tool("whoami")
    needed = mcp.UrlElicitationRequiredError.from_error(caught.value.error)
    (asked,) = needed.elicitations
    assert asked.mode == "url"
    assert asked.elicitation_id
    assert asked.elicitation_id not in asked.url
    assert asked.message.startswith("Connect GitHub so I can")
    link = await leads_to(manager, redis, asked.url)
    assert (link.user_id, link.provider) == ("alice", "github")


async def test_over_mcp_of_today_the_link_is_shown_and_stays_open_while_the_tool_waits(
    assistant: Assistant, manager: OAuthManager, redis: Redis
) -> None:
    async with assistant.talking(MODERN) as client:
        said = text_of(await client.call_tool("whoami"))
    assert "not connected yet" in said
    assert "http" not in said
    (asked,) = assistant.shown
    assert (await leads_to(manager, redis, asked.url)).provider == "github"


@pytest.mark.parametrize("protocol", [BEFORE, MODERN])
async def test_over_mcp_a_tool_with_access_answers(
    assistant: Assistant, manager: OAuthManager, fake: FakeProvider, redis: Redis, protocol: str
) -> None:
    await connected(manager, fake, redis, "alice", "github")
    async with assistant.talking(protocol) as client:
        assert text_of(await client.call_tool("whoami")) == "You are mona."
    assert assistant.shown == []


@pytest.mark.parametrize("protocol", [BEFORE, MODERN])
async def test_over_mcp_a_client_that_opens_no_addresses_is_told_where_the_link_is(
    assistant: Assistant, protocol: str
) -> None:
    async with assistant.talking(protocol, can_open=False) as client:
        said = text_of(await client.call_tool("whoami"))
    assert "ask the bot for it, in their own chat" in said
    assert "http" not in said


@pytest.mark.parametrize("protocol", [BEFORE, MODERN])
async def test_over_mcp_the_tool_is_offered_with_the_actions_of_a_model(
    assistant: Assistant, protocol: str
) -> None:
    async with assistant.talking(protocol) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        tool = tools[CONNECT_SERVICE_TOOL["name"]]
        assert tool.description == CONNECT_SERVICE_TOOL["description"]
        properties = tool.input_schema["properties"]
        described = CONNECT_SERVICE_TOOL["parameters"]["properties"]
        assert set(properties) == set(described)
        assert properties["action"]["enum"] == described["action"]["enum"]
        for name in described:
            assert properties[name]["description"] == described[name]["description"]
        listed = text_of(await client.call_tool(tool.name, {"action": "list"}))
        assert "Nothing is connected yet." in listed


@pytest.mark.parametrize("protocol", [BEFORE, MODERN])
async def test_over_mcp_the_code_comes_from_a_form_that_the_person_fills_in(
    assistant: Assistant, manager: OAuthManager, redis: Redis, protocol: str
) -> None:
    assistant.typed = await code_shown(manager, redis, "alice")
    async with assistant.talking(protocol) as client:
        (tool,) = [t for t in (await client.list_tools()).tools if t.name == "enter_code"]
        assert not tool.input_schema.get("properties")
        assert "That matches." in text_of(await client.call_tool("enter_code"))
    (asked,) = assistant.shown
    assert asked.mode == "form"


@pytest.mark.parametrize("protocol", [BEFORE, MODERN])
async def test_over_mcp_no_call_of_a_model_passes_a_code_on(
    assistant: Assistant, manager: OAuthManager, redis: Redis, protocol: str
) -> None:
    code = await code_shown(manager, redis, "alice")
    async with assistant.talking(protocol) as client:
        for tool in (await client.list_tools()).tools:
            if tool.name == "whoami":
                continue  # says where the link is by an error
            for given in ({"code": code}, {"action": "confirm", "code": code, "provider": code}):
                result = await client.call_tool(tool.name, given)
                assert "That matches." not in str(result)
    assert await manager.proofs.confirm(redis, "alice", code) is None, "nobody had passed it on"


@pytest.mark.parametrize("protocol", [BEFORE, MODERN])
async def test_over_mcp_a_form_that_is_closed_or_cannot_be_shown_confirms_nothing(
    assistant: Assistant, manager: OAuthManager, redis: Redis, protocol: str
) -> None:
    await code_shown(manager, redis, "alice")
    async with assistant.talking(protocol) as client:
        assert "typed no code" in text_of(await client.call_tool("enter_code"))
    async with assistant.talking(protocol, can_open=False) as client:
        assert "send the code to the bot" in text_of(await client.call_tool("enter_code"))


async def test_over_mcp_no_argument_chooses_the_person(
    assistant: Assistant, manager: OAuthManager, redis: Redis
) -> None:
    async with assistant.talking(MODERN) as client:
        arguments = {"action": "manage", "user_id": "bob"}
        await client.call_tool(CONNECT_SERVICE_TOOL["name"], arguments)
    (asked,) = assistant.shown
    assert (await leads_to(manager, redis, asked.url)).user_id == "alice"


@pytest.mark.long
@pytest.mark.parametrize("protocol", [BEFORE, MODERN])
async def test_over_mcp_a_hostile_model_reads_no_link_code_or_token_in_five_hundred_turns(
    assistant: Assistant,
    manager: OAuthManager,
    fake: FakeProvider,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
    protocol: str,
) -> None:
    """Of an error a host may show its model the message, and never what an address came in."""
    monkeypatch.setitem(LIMITS, "link", "1000/minute")
    monkeypatch.setitem(LIMITS, "check", "1000/minute")
    await connected(manager, fake, redis, "alice", "google")
    code = await code_shown(manager, redis, "alice")
    choice, read, needed = random.Random(7), "", []  # noqa: S311
    services = [*manager.providers, "", code, "nowhere", "confirm", 7, None]
    async with assistant.talking(protocol) as client:
        for _ in range(500):
            name = choice.choice(["whoami", "enter_code", *["connect_service"] * 5])
            given = {
                "action": choice.choice([*ACTIONS, "token", "", 1]),
                "provider": choice.choice(services),
                "code": code,
            }
            try:
                read += str(
                    await client.call_tool(name, given if name == "connect_service" else {})
                )
            except mcp.MCPError as error:
                read += error.error.message
                needed.append(str(error.error.data))
    links = LINK.findall(f"{needed} {[getattr(asked, 'url', '') for asked in assistant.shown]}")
    assert links
    assert "://" not in read.replace("https://errors.pydantic.dev/", "")
    assert not [url for url in links if url.rpartition("/")[2] in read]
    assert not [secret for secret in fake.issued if secret in read]
    assert await manager.proofs.confirm(redis, "alice", code) is None, "nobody had passed it on"
