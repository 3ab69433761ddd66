"""``connect_service`` as a tool of a model, past which a person's code never goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from webui.chat import (
    CONNECT_SERVICE_TOOL,
    ChatContext,
    connect_service,
    for_model,
    sent_code,
    split_link,
)

# One form or the other, as the model's interface has it.
as_function: dict[str, Any] = {"type": "function", "function": CONNECT_SERVICE_TOOL}
as_tool: dict[str, Any] = {
    "name": CONNECT_SERVICE_TOOL["name"],
    "description": CONNECT_SERVICE_TOOL["description"],
    "input_schema": CONNECT_SERVICE_TOOL["parameters"],
}


async def before_the_model(ctx: ChatContext, text: str) -> str:
    """Take a code out of the person's own message; return the answer to it, or nothing."""
    if code := await sent_code(ctx, text):
        return await connect_service(ctx, "confirm", code=code)
    return ""  # no code: the message is for the model


async def call(
    ctx: ChatContext,
    name: str,
    arguments: dict[str, Any],
    send: Callable[[str], Awaitable[None]],
) -> str:
    """Do what the model asked for, as far as the schema goes, and return what it may read.

    ``send`` writes to the person, in their own chat: a link goes that way, past the model.
    """
    if name != CONNECT_SERVICE_TOOL["name"]:
        return f"There is no tool {name}."
    known = CONNECT_SERVICE_TOOL["parameters"]["properties"]
    action, provider = arguments.get("action", ""), arguments.get("provider", "")
    if action not in known["action"]["enum"]:
        return f"There is no action {action}."
    said = await connect_service(ctx, action, provider)
    if split_link(said)[1]:
        await send(said)
    return for_model(said)
