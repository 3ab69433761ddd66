"""An MCP server whose tools use people's accounts; links and codes go past the model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import uuid4

from mcp import UrlElicitationRequiredError
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    InputRequiredResult,
)
from pydantic import Field
from redis.asyncio import Redis

from webui.chat import CONNECT_SERVICE_TOOL, ModelAction, connect_service, for_model, split_link
from webui.oauth_manager import OAuthNotConnected, get_oauth_manager, require_oauth_token

Answer = str | InputRequiredResult
NO_CODE = "The person has typed no code. Tell them to send the code to the bot, in their own chat."
NO_LINK = "Tell them to ask the bot for it, in their own chat: connect."
PARAMETERS = CONNECT_SERVICE_TOOL["parameters"]["properties"]
FORM = ElicitRequestFormParams(
    message="Type the code that a page of ours shows you, if you opened it yourself just now.",
    requested_schema={
        "type": "object",
        "properties": {"code": {"type": "string", "title": "Code"}},
        "required": ["code"],
    },
)


@dataclass
class Caller:
    user_id: str
    redis: Redis


def make_server(
    redis: Redis,
    user_id_of: Callable[[Context], str],
    ask_github: Callable[[str], Awaitable[str]],
) -> MCPServer:
    """``user_id_of`` gives the person's id in chat, from the server's own authentication."""
    server = MCPServer("stargazer")

    def caller_of(ctx: Context) -> Caller:
        return Caller(user_id_of(ctx), redis)

    @server.tool()
    async def whoami(ctx: Context) -> Answer:
        """Name the person's GitHub account."""
        caller = caller_of(ctx)
        if ctx.input_responses and not await is_connected(caller, "github"):
            # The client has the link. Asking for a token would make another, and end that one.
            return "GitHub is not connected yet. Call again when the person says that it is."
        try:
            return await ask_github(await require_oauth_token(caller, "github"))
        except OAuthNotConnected as missing:
            return show(ctx, await connect_service(caller, "connect", missing.provider))

    @server.tool(CONNECT_SERVICE_TOOL["name"], description=CONNECT_SERVICE_TOOL["description"])
    async def connections(
        ctx: Context,
        action: Annotated[ModelAction, Field(description=PARAMETERS["action"]["description"])],
        provider: Annotated[str, Field(description=PARAMETERS["provider"]["description"])] = "",
        account: Annotated[str, Field(description=PARAMETERS["account"]["description"])] = "",
    ) -> Answer:
        if ctx.input_responses:
            return "The person has the link."
        said = await connect_service(caller_of(ctx), action, provider, account=account)
        return show(ctx, said) if action in ("connect", "manage") else for_model(said)

    @server.tool()
    async def enter_code(ctx: Context) -> Answer:
        """Have the person type the code that our page shows them. You never see it."""
        typed = await typed_by_the_person(ctx)
        if typed is None or isinstance(typed, InputRequiredResult):
            return typed or NO_CODE
        return await connect_service(caller_of(ctx), "confirm", code=typed)

    return server


async def typed_by_the_person(ctx: Context) -> str | InputRequiredResult | None:
    """Return their answer to our form; None if they gave none, or the client has no forms."""
    answer: Any = (ctx.input_responses or {}).get("code")
    if answer is None and has_forms(ctx):
        if is_of_today(ctx):
            return InputRequiredResult(input_requests={"code": ElicitRequest(params=FORM)})
        schema = FORM.requested_schema
        answer = await ctx.session.elicit_form(FORM.message, schema, ctx.request_id)
    if answer is None or answer.action != "accept":
        return None
    return str((answer.content or {}).get("code", ""))


def is_of_today(ctx: Context) -> bool:
    """Return whether a tool asks the client by its answer, as since 2026-07-28."""
    return (ctx.protocol_version or "") >= "2026-07-28"


def has_forms(ctx: Context) -> bool:
    can_do = ctx.client_capabilities and ctx.client_capabilities.elicitation
    if not can_do:
        return False
    return can_do.form is not None or can_do.url is None  # {} means forms


async def is_connected(caller: Caller, provider: str) -> bool:
    return await get_oauth_manager().has_token(caller.user_id, provider, caller.redis)


def show(ctx: Context, said: str) -> Answer:
    """The text; its link is shown by the client, past the model, or else not at all."""
    text, url = split_link(said)
    can_do = ctx.client_capabilities
    if not url:
        return said
    if not can_do or not can_do.elicitation or can_do.elicitation.url is None:
        return f"{for_model(said)} {NO_LINK}"
    if is_of_today(ctx):
        link = ElicitRequest(params=ElicitRequestURLParams(message=text, url=url))
        return InputRequiredResult(input_requests={"connect": link})
    asked = ElicitRequestURLParams(message=text, url=url, elicitation_id=str(uuid4()))
    raise UrlElicitationRequiredError([asked])
