"""``connect_service`` as a tool of a model, past which links and codes go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from webui.chat import (
    ChatContext,
    answer_model,
    connect_service,
    connect_service_tool,
    sent_code,
)

# One or the other, as the model's interface has it; "mcp" and "json-schema" are there too.
for_openai: dict[str, Any] = connect_service_tool("openai")
for_anthropic: dict[str, Any] = connect_service_tool("anthropic")


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
    """Do what the model asked for, and return what it may read.

    ``send`` writes to the person, in their own chat: a link goes that way, past the model.
    """
    if name != "connect_service":
        return f"There is no tool {name}."
    asked = (arguments.get(name) for name in ("action", "provider", "account"))
    answer = await answer_model(ctx, *asked)
    if answer.for_person:
        await send(answer.for_person)
    return answer.for_model
