"""A bot's side in full: set up, one tool, and codes from people's own messages."""

import os
from typing import Any

from webui.chat import ChatContext, connect_service, sent_code
from webui.oauth_manager import OAuthNotConnected, init_oauth_manager, oauth_client

GITHUB_API = os.environ.get("GITHUB_API", "https://api.github.com")


def set_up(providers: dict[str, dict[str, Any]]) -> None:
    """Once, at the start; {"github": {"client_id": "...", "client_secret": "..."}}."""
    init_oauth_manager(os.environ["ENCRYPTION_KEY"], os.environ["BASE_URL"], providers)


async def whoami(ctx: ChatContext) -> str:
    """A tool; ctx carries user_id and redis, an asyncio Redis client."""
    try:
        async with oauth_client(ctx, "github") as github:  # each request with a token that works
            answer = await github.get(f"{GITHUB_API}/user")
    except OAuthNotConnected:
        return await connect_service(ctx, "connect", "github")  # text with a link, for them alone
    return f"You are {answer.json()['login']}."


async def on_message(ctx: ChatContext, text: str) -> str:
    """Every message of a person; the code that a page of ours shows them comes this way."""
    if code := await sent_code(ctx, text):
        return await connect_service(ctx, "confirm", code=code)
    return await whoami(ctx) if text == "whoami" else "I know whoami."
