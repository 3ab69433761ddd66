"""A tool of the demo's bot, one for every service: it asks the service for the person's name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from webui.oauth_manager import (
    Connection,
    OAuthProvider,
    OAuthUnavailable,
    get_oauth_manager,
    require_oauth_token,
)
from webui.oauth_manager.storage.calls import RedisClient
from webui.text.labels import clean_label

DEADLINE_SECONDS = 10.0


@dataclass
class Caller:
    """The person who asks, and what the tools need: the context of ``require_oauth_token``."""

    user_id: str
    redis: RedisClient
    http: httpx.AsyncClient


async def whoami(caller: Caller, provider: OAuthProvider) -> str:
    """Return a sentence for the chat.  Raises the errors of ``require_oauth_token``."""
    token = await require_oauth_token(caller, provider.name)
    status, account = await _ask(caller.http, provider, token)
    if status == 401:
        # Taken away at the provider, perhaps.  The check finds out and keeps it in mind; then
        # there is another token, or none, for which the caller is asked to connect again.
        await get_oauth_manager().check(caller.redis, caller.user_id, provider.name)
        token = await require_oauth_token(caller, provider.name)
        status, account = await _ask(caller.http, provider, token)
    if status == 401:
        raise OAuthUnavailable(provider.name, "account", "http_401")
    name = account
    for step in provider.account_label_field.split("."):
        name = name.get(step) if isinstance(name, Mapping) else None
    if not isinstance(name, str):
        return f"{provider.label} answered, and did not say who you are."
    connection = await get_oauth_manager().connection(caller.redis, caller.user_id, provider.name)
    return f"{provider.label} knows you as {clean_label(name)}. {_token_age(connection)}"


async def _ask(http: httpx.AsyncClient, provider: OAuthProvider, token: str) -> tuple[int, Any]:
    """Return status and JSON of the account request.  Raises ``OAuthUnavailable``."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            response = await http.get(provider.account_url, headers=headers)
        if response.status_code in (200, 401):
            return response.status_code, response.json()
    except (httpx.HTTPError, TimeoutError, ValueError):
        pass  # raised below, where no cause can quote the header
    raise OAuthUnavailable(provider.name, "account")


def _token_age(connection: Connection) -> str:
    """Say the token's age, so that a refresh can be watched."""
    now, profile = time.time(), connection.profile
    is_first = profile.renewed_at <= profile.connected_at
    since = "came with the connection" if is_first else "was renewed"
    left = connection.expires_at - now
    ends = f"expires in {max(left, 0):.0f} s" if connection.expires_at else "does not expire"
    return f"The token {since} {max(now - profile.renewed_at, 0):.0f} s ago and {ends}."
