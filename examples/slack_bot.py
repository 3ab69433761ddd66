"""A Slack bot (Bolt, asyncio) whose people connect accounts by /connections or a direct message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext, AsyncRespond, AsyncSay

from webui.chat import connect_service, sent_code, split_link

HELP = "Send connect, status, check or disconnect and a service, or list, or manage."


@dataclass
class Caller:
    user_id: str
    redis: Redis
    is_private: bool = True


def make_app(redis: Redis, **settings: Any) -> AsyncApp:
    """``settings`` are those of ``AsyncApp``, such as ``token`` and ``signing_secret``."""
    app = AsyncApp(**settings)

    @app.command("/connections")
    async def command(
        ack: AsyncAck, respond: AsyncRespond, context: AsyncBoltContext, command: dict[str, str]
    ) -> None:
        """Only the person sees the answer, wherever they are."""
        await ack()
        caller = Caller(person(context), redis)
        await respond(**as_message(await answer(caller, command.get("text", ""))))

    @app.event("message")
    async def message(event: dict[str, Any], say: AsyncSay, context: AsyncBoltContext) -> None:
        is_direct = event.get("channel_type") == "im"
        if not is_direct or "subtype" in event or "bot_id" in event:
            return
        caller = Caller(person(context), redis)
        text = event.get("text", "")
        if code := await sent_code(caller, text):
            await say(**as_message(await connect_service(caller, "confirm", code=code)))
        else:
            await say(**as_message(await answer(caller, text)))

    @app.action("open")
    async def opened(ack: AsyncAck) -> None:
        await ack()  # Slack tells of buttons that are links, too

    return app


def person(context: AsyncBoltContext) -> str:
    """The team is in the id: an id of a user means nothing without it, and none may be guessed."""
    team, user = context.actor_team_id or context.team_id, context.actor_user_id or context.user_id
    if not team or not user:
        raise ValueError("Slack did not say who that was")
    return f"{team}.{user}"


async def answer(caller: Caller, text: str) -> str:
    action, _, service = text.strip().partition(" ")
    if not action:
        return HELP
    return await connect_service(caller, action.lower(), service)


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
