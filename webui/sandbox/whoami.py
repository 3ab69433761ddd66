"""Tools of the demo's bot: one asks any service for the person's name, one writes a note."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import httpx

from webui.oauth_manager import (
    Account,
    Connection,
    OAuthProvider,
    OAuthUnavailable,
    get_oauth_manager,
    oauth_client,
    require_oauth_token,
)
from webui.oauth_manager.protocol.answers import Answer, read_account, refuses_token
from webui.oauth_manager.protocol.requests import account_request
from webui.oauth_manager.providers import filled
from webui.oauth_manager.storage.calls import RedisClient
from webui.text.labels import clean_label

DEADLINE_SECONDS = 10.0


@dataclass
class Caller:
    """The person who asks, and what the tools need: the context of ``require_oauth_token``.

    ``account`` is the one of several that they named.
    """

    user_id: str
    redis: RedisClient
    http: httpx.AsyncClient
    account: str = ""


class ThisMachine(httpx.AsyncHTTPTransport):
    """The network, in which names below ``.localhost`` lead here whatever the system knows."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host.endswith(".localhost"):  # the Host header stays
            request.url = request.url.copy_with(host="127.0.0.1")
        return await super().handle_async_request(request)


async def whoami(caller: Caller, provider: OAuthProvider) -> str:
    """Return a sentence for the chat.  Raises the errors of ``require_oauth_token``."""
    if provider.resource:
        return f"{provider.label} knows you as {await _call(caller, provider, 'whoami')}."
    token = await require_oauth_token(caller, provider.name)
    provider = await get_oauth_manager().servers.of(caller.redis, provider)
    if not provider.account_url:
        connection = await _connection(caller, provider)
        return f"{provider.label} tells nobody who you are. {_token_age(connection)}"
    if provider.ask:
        provider = filled(provider, (await _connection(caller, provider)).asked)
    account = await _ask(caller.http, provider, token)
    if account is None:
        # Taken away at the provider, perhaps.  The check finds out and keeps it in mind; then
        # there is another token, or none, for which the caller is asked to connect again.
        place = caller.redis, caller.user_id, provider.name
        await get_oauth_manager().check(*place, account=caller.account or None)
        token = await require_oauth_token(caller, provider.name)
        account = await _ask(caller.http, provider, token)
    if account is None:
        raise OAuthUnavailable(provider.name, "account", "http_401")
    name = account.label
    if not name:
        return f"{provider.label} answered, and did not say who you are."
    connection = await _connection(caller, provider)
    return f"{provider.label} knows you as {clean_label(name)}. {_token_age(connection)}"


async def write_note(caller: Caller, provider: OAuthProvider) -> str:
    """Write a note at a remote MCP server, and return a sentence for the chat.

    Raises the errors of ``require_oauth_token``.
    """
    if not provider.resource:
        return f"{provider.label} keeps no notes."
    return f"Noted: {await _call(caller, provider, 'write_note')}."


async def _call(caller: Caller, provider: OAuthProvider, tool: str) -> str:
    """Call a tool of a remote MCP server; return its text."""
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}}
    try:
        async with oauth_client(caller, provider.name) as http:
            answer = await http.post(provider.resource, json=asked)
        if answer.status_code == 200:
            return clean_label(answer.json()["result"]["content"][0]["text"])
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        pass  # raised below, where no cause can quote the header
    raise OAuthUnavailable(provider.name, tool)


async def _connection(caller: Caller, provider: OAuthProvider) -> Connection:
    place = caller.redis, caller.user_id, provider.name
    return await get_oauth_manager().connection(*place, account=caller.account or None)


async def _ask(http: httpx.AsyncClient, provider: OAuthProvider, token: str) -> Account | None:
    """Return the account, None if the token is over.  Raises ``OAuthUnavailable``."""
    asked = account_request(provider, token)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            response = await http.request(
                asked.method, asked.url, headers=asked.headers, content=asked.body
            )
        answer = Answer(response.status_code, {}, response.content)
        if refuses_token(provider, answer):
            return None
        if answer.status == 200:
            return read_account(provider, answer, {})
    except (httpx.HTTPError, TimeoutError):
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
