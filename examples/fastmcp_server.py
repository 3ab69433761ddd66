"""A server of FastMCP whose tools use people's accounts; the link is shown by the client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import uuid4

from fastmcp import Context, FastMCP
from mcp.types import ElicitRequest, ElicitRequestURLParams, InputRequiredResult
from pydantic import Field
from redis.asyncio import Redis

from webui.chat import CONNECT_SERVICE_TOOL, ModelAction, answer_model, split_link
from webui.oauth_manager import OAuthNotConnected, get_oauth_manager, require_oauth_token

NO_LINK = "Tell them to ask the bot for it, in their own chat: connect."
SHOWN = "The person has the link. Call again when they say that the service is connected."
PARAMETERS = CONNECT_SERVICE_TOOL["parameters"]["properties"]


@dataclass
class Caller:
    user_id: str
    redis: Redis


def make_server(
    redis: Redis,
    user_id_of: Callable[[Context], str],
    ask_github: Callable[[str], Awaitable[str]],
) -> FastMCP:
    """``user_id_of`` gives the person's id in chat, from the server's own authentication."""
    server = FastMCP("stargazer", mask_error_details=True)  # an error's text is for nobody's model

    @server.tool(output_schema=None)
    async def whoami(ctx: Context) -> str | InputRequiredResult:
        """Name the person's GitHub account."""
        caller = Caller(user_id_of(ctx), redis)
        manager = get_oauth_manager()
        if ctx.input_responses and not await manager.has_token(caller.user_id, "github", redis):
            return SHOWN  # asking for a token would make another link, and end that one
        try:
            return await ask_github(await require_oauth_token(caller, "github"))
        except OAuthNotConnected as missing:
            return await answer(ctx, caller, "connect", missing.provider)

    @server.tool(
        name=CONNECT_SERVICE_TOOL["name"],
        description=CONNECT_SERVICE_TOOL["description"],
        output_schema=None,
    )
    async def connections(
        ctx: Context,
        action: Annotated[ModelAction, Field(description=PARAMETERS["action"]["description"])],
        provider: Annotated[str, Field(description=PARAMETERS["provider"]["description"])] = "",
        account: Annotated[str, Field(description=PARAMETERS["account"]["description"])] = "",
    ) -> str | InputRequiredResult:
        if ctx.input_responses:
            return SHOWN
        caller = Caller(user_id_of(ctx), redis)
        return await answer(ctx, caller, action, provider, account)

    return server


async def answer(
    ctx: Context, caller: Caller, action: ModelAction, provider: str, account: str = ""
) -> str | InputRequiredResult:
    """Do what was asked for; the client shows a link to the person, past the model.

    An ``UrlElicitationRequiredError`` would be lost: FastMCP makes a text of every error.
    """
    said = await answer_model(caller, action, provider, account)
    if action not in ("connect", "manage") or not said.for_person:
        return said.for_model
    can_do = ctx.session.client_capabilities
    if not can_do or not can_do.elicitation or can_do.elicitation.url is None:
        return f"{said.for_model} {NO_LINK}"
    text, url = split_link(said.for_person)
    if (ctx.session.protocol_version or "") >= "2026-07-28":
        link = ElicitRequest(params=ElicitRequestURLParams(message=text, url=url))
        return InputRequiredResult(input_requests={"connect": link})
    shown = await ctx.session.elicit_url(text, url, str(uuid4()), ctx.request_id)
    return SHOWN if shown.action == "accept" else "The person did not open the link."
