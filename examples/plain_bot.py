"""A bot's side in full: set up, one tool, and codes from people's own messages."""

import os
from typing import Any

import httpx

from webui.chat import ChatContext, connect_service, sent_code
from webui.oauth_manager import OAuthNotConnected, init_oauth_manager, require_oauth_token

GITHUB_API = os.environ.get("GITHUB_API", "https://api.github.com")


def set_up(providers: dict[str, dict[str, Any]]) -> None:
    """Once, at the start; {"github": {"client_id": "...", "client_secret": "..."}}."""
    init_oauth_manager(os.environ["ENCRYPTION_KEY"], os.environ["BASE_URL"], providers)


async def whoami(ctx: ChatContext) -> str:
    """A tool; ctx carries user_id and redis, an asyncio Redis client."""
    try:
        token = await require_oauth_token(ctx, "github")  # one that works right now
    except OAuthNotConnected:
        return await connect_service(ctx, "connect", "github")  # text with a link, for them alone
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
        answer = await client.get(f"{GITHUB_API}/user")
    return f"You are {answer.json()['login']}."


async def on_message(ctx: ChatContext, text: str) -> str:
    """Every message of a person; the code that a page of ours shows them comes this way."""
    if code := await sent_code(ctx, text):
        return await connect_service(ctx, "confirm", code=code)
    return await whoami(ctx) if text == "whoami" else "I know whoami."
