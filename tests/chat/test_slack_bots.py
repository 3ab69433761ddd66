"""The examples for Slack, with Bolt itself and a Slack that notes what it is told."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from redis.asyncio import Redis
from slack_bolt import BoltContext, BoltRequest
from slack_bolt.async_app import AsyncApp, AsyncBoltContext, AsyncBoltRequest
from slack_sdk import WebClient
from slack_sdk.web.async_client import AsyncWebClient
from starlette.types import Receive, Scope, Send

from examples import slack_bot, slack_sync_bot
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import BASE_URL, KEY, connected, providers_config
from webui.oauth_manager import LinkRequest, OAuthManager, blocking, init_oauth_manager

pytestmark = pytest.mark.anyio

LINK = re.compile(rf"{BASE_URL}/connect/([\w-]{{40,}})")
ALICE = "T1.U1"


class Slack:
    """The Web API and the addresses of answers; ``sent`` are all messages, as Slack gets them."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while (message := await receive()).get("body") or message.get("more_body"):
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if scope["path"] in ("/chat.postMessage", "/response"):
            text = body.decode()
            form = {name: values[0] for name, values in parse_qs(text).items()}
            self.sent.append(json.loads(text) if text.startswith("{") else form)
        who = {"team_id": "T1", "user_id": "UBOT", "bot_id": "B1", "bot_user_id": "UBOT"}
        answer = json.dumps({"ok": True, **who}).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    @property
    def said(self) -> dict[str, Any]:
        return self.sent[-1]


def blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    found = message["blocks"]
    return list(json.loads(found) if isinstance(found, str) else found)


def shown(message: dict[str, Any]) -> str:
    section = blocks(message)[0]["text"]
    assert section["type"] == "plain_text"
    return str(section["text"])


def link_of(message: dict[str, Any]) -> str:
    (button,) = blocks(message)[1]["elements"]
    found = LINK.fullmatch(button["url"])
    assert found
    assert found[1] not in message["text"] + shown(message), "no preview is fetched of a button"
    return found[1]


def direct(text: str, **more: Any) -> tuple[str, dict[str, str]]:
    event = {"type": "message", "channel": "D1", "channel_type": "im", "user": "U1", "team": "T1"}
    body = {
        "type": "event_callback",
        "team_id": "T1",
        "api_app_id": "A1",
        "event": {**event, "ts": "1.2", "text": text, **more},
        "authorizations": [{"team_id": "T1", "user_id": "UBOT", "is_bot": True}],
    }
    return json.dumps(body), {"content-type": "application/json"}


def slash(slack: str, command: str, text: str, **more: str) -> tuple[str, dict[str, str]]:
    form = {
        "command": command,
        "text": text,
        "team_id": "T1",
        "user_id": "U1",
        "channel_id": "C1",
        "response_url": f"{slack}/response",
        "trigger_id": "1.2",
        **more,
    }
    return urlencode(form), {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def to_slack() -> Slack:
    return Slack()


@pytest.fixture
async def slack(to_slack: Slack) -> AsyncIterator[str]:
    with serve(to_slack) as url:
        yield url


@pytest.fixture
def config(fake: FakeProvider, api: str) -> dict[str, dict[str, Any]]:
    found = providers_config(fake, api)
    found["github"]["api_hosts"] = (api.removeprefix("http://"),)
    return found


@pytest.fixture
async def api(fake: FakeProvider) -> AsyncIterator[str]:
    with serve(fake) as url:
        yield url


@pytest.fixture
async def manager(config: dict[str, dict[str, Any]]) -> AsyncIterator[OAuthManager]:
    made = init_oauth_manager(KEY, BASE_URL, config)
    yield made
    await made.aclose()


@pytest.fixture
def app(redis: Redis, manager: OAuthManager, slack: str) -> AsyncApp:
    client = AsyncWebClient("xoxb-1", base_url=f"{slack}/")
    return slack_bot.make_app(
        redis,
        client=client,
        signing_secret="s",
        request_verification_enabled=False,
        process_before_response=True,
    )


async def dispatch(app: AsyncApp, request: tuple[str, dict[str, str]]) -> int:
    body, headers = request
    answer = await app.async_dispatch(AsyncBoltRequest(body=body, headers=headers))  # type: ignore[arg-type]
    return answer.status


async def code_for(manager: OAuthManager, redis: Redis, user: str) -> str:
    secret = await manager.proofs.start(redis, LinkRequest(user, "github"))
    proof = await manager.proofs.peek(redis, secret)
    assert proof
    return proof.code


async def test_a_slash_command_is_answered_to_that_person_of_that_team_alone(
    app: AsyncApp, to_slack: Slack, slack: str, manager: OAuthManager, redis: Redis
) -> None:
    assert await dispatch(app, slash(slack, "/connections", "connect github")) == 200
    assert to_slack.said.get("response_type", "ephemeral") == "ephemeral"
    found = await manager.links.peek(redis, link_of(to_slack.said))
    assert found
    assert (found[0].user_id, found[0].provider) == (ALICE, "github")

    await dispatch(app, slash(slack, "/connections", "connect github", team_id="T2"))
    found = await manager.links.peek(redis, link_of(to_slack.said))
    assert found
    assert found[0].user_id == "T2.U1", "the same user id in another team is somebody else"


async def test_a_code_in_a_direct_message_is_taken_and_other_messages_are_answered(
    app: AsyncApp, to_slack: Slack, slack: str, manager: OAuthManager, redis: Redis
) -> None:
    code = await code_for(manager, redis, ALICE)
    await dispatch(app, direct(f"{code[:3]} {code[3:]}"))
    assert "That matches." in shown(to_slack.said)
    assert to_slack.said["unfurl_links"] in ("false", "0", False)
    await dispatch(app, direct("list"))
    assert "Nothing is connected yet." in shown(to_slack.said)
    await dispatch(app, direct("<!channel> & you"))
    assert "<!" not in to_slack.said["text"]


@pytest.mark.parametrize(
    "more",
    [
        {"channel_type": "channel", "channel": "C1"},
        {"channel_type": "mpim", "channel": "G1"},
        {"subtype": "message_changed"},
        {"bot_id": "B2"},
    ],
)
async def test_where_others_read_along_and_to_bots_nothing_is_said(
    app: AsyncApp, to_slack: Slack, manager: OAuthManager, redis: Redis, more: dict[str, Any]
) -> None:
    code = await code_for(manager, redis, ALICE)
    await dispatch(app, direct(code, **more))
    assert to_slack.sent == []
    assert await manager.proofs.confirm(redis, ALICE, code) is None, "nobody had passed it on"


async def test_slacks_word_of_an_opened_button_is_taken(
    app: AsyncApp, to_slack: Slack, slack: str
) -> None:
    payload = {
        "type": "block_actions",
        "team": {"id": "T1"},
        "user": {"id": "U1", "team_id": "T1"},
        "actions": [{"type": "button", "action_id": "open", "block_id": "b"}],
        "api_app_id": "A1",
        "token": "t",
    }
    body = urlencode({"payload": json.dumps(payload)})
    request = (body, {"content-type": "application/x-www-form-urlencoded"})
    assert await dispatch(app, request) == 200


async def test_the_bot_without_asyncio_uses_the_account_or_gives_a_link(
    config: dict[str, dict[str, Any]],
    manager: OAuthManager,
    fake: FakeProvider,
    redis: Redis,
    redis_url: str,
    to_slack: Slack,
    slack: str,
    api: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slack_sync_bot, "GITHUB_API", f"{api}/github/account?")
    await connected(manager, fake, redis, ALICE, "github")
    code = await code_for(manager, redis, "T1.U2")

    def play() -> None:
        blocking.init_oauth_manager(KEY, BASE_URL, config, redis_url=redis_url)
        app = slack_sync_bot.make_app(
            client=WebClient("xoxb-1", base_url=f"{slack}/"),
            signing_secret="s",
            request_verification_enabled=False,
            process_before_response=True,
        )
        for request in (
            slash(slack, "/whoami", ""),
            slash(slack, "/whoami", "", user_id="U2"),
            direct(code, user="U2"),
        ):
            body, headers = request
            assert app.dispatch(BoltRequest(body=body, headers=headers)).status == 200  # type: ignore[arg-type]
        blocking.close()

    await asyncio.to_thread(play)
    first, second, third = to_slack.sent
    assert shown(first) == "You are mona."
    found = await manager.links.peek(redis, link_of(second))
    assert found
    assert found[0].user_id == "T1.U2"
    assert "That matches." in shown(third)


@pytest.mark.parametrize("known", [{"user_id": "U1"}, {"team_id": "T1"}, {}])
def test_a_person_without_a_team_is_nobody(known: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="did not say who"):
        slack_sync_bot.person(BoltContext(known))
    with pytest.raises(ValueError, match="did not say who"):
        slack_bot.person(AsyncBoltContext(known))
    abroad = {"team_id": "T1", "user_id": "U1", "actor_team_id": "T9", "actor_user_id": "U9"}
    assert slack_sync_bot.person(BoltContext(abroad)) == "T9.U9"
    assert slack_bot.person(AsyncBoltContext(abroad)) == "T9.U9"
