"""A Slack bot (Bolt without asyncio) whose tool uses people's accounts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from slack_bolt import Ack, App, BoltContext, Respond, Say

from webui.chat import connect_service, sent_code, split_link
from webui.oauth_manager import OAuthError, OAuthNotConnected
from webui.oauth_manager.blocking import caller, oauth_client, run

GITHUB_API = os.environ.get("GITHUB_API", "https://api.github.com")


@dataclass
class Person:
    user_id: str


def make_app(**settings: Any) -> App:
    """Call ``webui.connections.blocking_from_environment()`` before; ``settings`` are ``App``'s."""
    app = App(**settings)

    @app.command("/whoami")
    def command(ack: Ack, respond: Respond, context: BoltContext) -> None:
        """Only the person sees the answer, wherever they are."""
        ack()
        respond(**as_message(whoami(person(context))))

    @app.event("message")
    def message(event: dict[str, Any], say: Say, context: BoltContext) -> None:
        if event.get("channel_type") != "im" or "subtype" in event or "bot_id" in event:
            return
        who = caller(person(context))
        if code := run(sent_code(who, event.get("text", ""))):
            say(**as_message(run(connect_service(who, "confirm", code=code))))

    @app.action("open")
    def opened(ack: Ack) -> None:
        ack()  # Slack tells of buttons that are links, too

    return app


def person(context: BoltContext) -> str:
    """The team is in the id: an id of a user means nothing without it."""
    team, user = context.actor_team_id or context.team_id, context.actor_user_id or context.user_id
    if not team or not user:
        raise ValueError("Slack did not say who that was")
    return f"{team}.{user}"


def whoami(user_id: str) -> str:
    try:
        with oauth_client(Person(user_id), "github") as github:
            return f"You are {github.get(f'{GITHUB_API}/user').json()['login']}."
    except OAuthNotConnected:
        return run(connect_service(caller(user_id), "connect", "github"))
    except OAuthError as error:
        return error.for_model


def as_message(said: str) -> dict[str, Any]:
    """Plain text, without markup and mentions; its link is a button, and no preview is fetched."""
    text, url = split_link(said)
    plain = {"type": "plain_text", "text": text[:3000], "emoji": False}
    blocks: list[dict[str, Any]] = [{"type": "section", "text": plain}]
    if url:
        label = {"type": "plain_text", "text": "Open the link"}
        button = {"type": "button", "text": label, "url": url, "action_id": "open"}
        blocks.append({"type": "actions", "elements": [button]})
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": safe, "blocks": blocks, "unfurl_links": False, "unfurl_media": False}
