"""The example for Telegram, with python-telegram-bot itself and a Telegram that notes messages."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from telegram import Update
from telegram.ext import Application
from telegram.request import BaseRequest, RequestData

from examples import telegram_bot
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import BASE_URL, KEY, providers_config
from webui.chat import ACTIONS
from webui.oauth_manager import LinkRequest, OAuthManager, init_oauth_manager

pytestmark = pytest.mark.anyio

LINK = re.compile(rf"{BASE_URL}/connect/([\w-]{{40,}})")
BOT = {"id": 1, "is_bot": True, "first_name": "Bot", "username": "connections_bot"}


class Telegram(BaseRequest):
    """The Bot API; ``sent`` are all messages, as Telegram gets them."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    @property
    def read_timeout(self) -> float:
        return 1.0

    async def initialize(self) -> None:
        pass

    async def shutdown(self) -> None:
        pass

    async def do_request(
        self, url: str, method: str, request_data: RequestData | None = None, *_: Any, **__: Any
    ) -> tuple[int, bytes]:
        answer: Any = BOT
        if url.endswith("/sendMessage") and request_data:
            self.sent.append(request_data.parameters)
            answer = message("", chat="private")["message"]
        return 200, json.dumps({"ok": True, "result": answer}).encode()


def message(text: str, *, chat: str, number: int = 1001, is_bot: bool = False) -> dict[str, Any]:
    command = text.split()[0] if text.startswith("/") else ""
    entities = [{"type": "bot_command", "offset": 0, "length": len(command)}] if command else []
    return {
        "update_id": 1,
        "message": {
            "message_id": 1,
            "date": 1,
            "text": text,
            "chat": {"id": 5, "type": chat, "title": "t"},
            "from": {"id": number, "is_bot": is_bot, "first_name": "A"},
            "entities": entities,
        },
    }


@pytest.fixture
async def manager(fake: FakeProvider) -> AsyncIterator[OAuthManager]:
    made = init_oauth_manager(KEY, BASE_URL, providers_config(fake))
    yield made
    await made.aclose()


@pytest.fixture
def telegram() -> Telegram:
    return Telegram()


@pytest.fixture
async def app(telegram: Telegram, redis: Redis, manager: OAuthManager) -> AsyncIterator[Any]:
    builder = Application.builder().token("1:t").updater(None)
    app = builder.request(telegram).get_updates_request(Telegram()).build()
    telegram_bot.add_handlers(app, redis)
    async with app:
        yield app


async def write(app: Any, text: str, **more: Any) -> None:
    await app.process_update(Update.de_json(message(text, **{"chat": "private", **more}), app.bot))


def link_of(sent: dict[str, Any]) -> str:
    ((button,),) = sent["reply_markup"]["inline_keyboard"]
    found = LINK.fullmatch(button["url"])
    assert found
    assert found[1] not in sent["text"]
    assert sent["link_preview_options"] == {"is_disabled": True}
    assert "parse_mode" not in sent
    return found[1]


@pytest.mark.parametrize("command", ["/connect github", "/connect@connections_bot GitHub"])
async def test_a_command_is_answered_with_a_link_as_a_button(
    app: Any, telegram: Telegram, manager: OAuthManager, redis: Redis, command: str
) -> None:
    await write(app, command)
    (sent,) = telegram.sent
    found = await manager.links.peek(redis, link_of(sent))
    assert found
    assert (found[0].user_id, found[0].provider) == ("1001", "github")


async def test_every_action_but_the_one_that_takes_a_code_is_a_command(
    app: Any, telegram: Telegram
) -> None:
    assert [*telegram_bot.ACTIONS, "confirm"] == sorted(ACTIONS, key=lambda name: name == "confirm")
    for action in telegram_bot.ACTIONS:
        await write(app, f"/{action}")
    assert len(telegram.sent) == len(telegram_bot.ACTIONS)


async def test_a_code_is_taken_in_a_persons_own_chat_alone(
    app: Any, telegram: Telegram, manager: OAuthManager, redis: Redis
) -> None:
    secret = await manager.proofs.start(redis, LinkRequest("1001", "github"))
    proof = await manager.proofs.peek(redis, secret)
    assert proof
    await write(app, proof.code, chat="supergroup")
    await write(app, proof.code, number=1002)
    await write(app, "hello")
    assert telegram.sent == []
    await write(app, proof.code)
    assert "That matches." in telegram.sent[-1]["text"]


async def test_in_a_group_nothing_is_done_and_a_bot_is_not_answered(
    app: Any, telegram: Telegram, redis: Redis
) -> None:
    await write(app, "/connect github", chat="group")
    assert telegram.sent[-1]["text"] == "Please ask me that in a private chat."
    await write(app, "/connect github", is_bot=True)
    assert len(telegram.sent) == 1
    assert await redis.keys("*") == []
