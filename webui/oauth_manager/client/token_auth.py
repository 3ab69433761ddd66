"""``TokenAuth``: a request with the person's token, and once more after a 401."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

import httpx

from ..access import ToolContext, account_of, require_oauth_token, wider
from ..manager import OAuthManager
from ..protocol import requests
from ..protocol.protected_resource import challenge, scopes_of
from .guard import TOKEN, ApiHosts


class TokenAuth(httpx.Auth):
    """The token of one person.  Redis is asked for it at every request.

    A 401 alone is evidence against it, and only from a host that got it; a second one,
    after a renewal that worked, is the API's own answer.  Bodies are not read.
    """

    def __init__(
        self,
        manager: OAuthManager,
        ctx: ToolContext,
        hosts: ApiHosts,
        scopes: tuple[str, ...],
        account: str | None,
        min_valid: float,
    ) -> None:
        self._manager = manager
        self._ctx = ctx
        self._hosts = hosts
        self._scopes = scopes
        named = account_of(ctx, account)
        self._account: dict[str, Any] = {"account": named} if named else {}
        self._min_valid = min_valid

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        raise RuntimeError("this client is asynchronous")

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = await self._settled()
        self._hosts.check(request.url)
        is_repeatable = _is_repeatable(request.stream)
        token = token or await self._token()
        response = yield self._carrying(request, token)
        await self._step_up(response)
        if response.status_code != 401 or not _carries(response.request, token):
            return
        name = self._hosts.provider.name
        place = self._ctx.redis, self._ctx.user_id, name
        fresh = await self._manager.renew(*place, refused=token, **self._account)
        if fresh is None:
            fresh = await self._token()  # raises, unless the person has just reconnected
        if fresh != token and is_repeatable:
            await self._step_up((yield self._carrying(_again(request), fresh)))

    async def _step_up(self, response: httpx.Response) -> None:
        """Raise ``OAuthNotConnected`` if a remote MCP server wants more scopes (RFC 6750 3.1).

        Some say so with a 401, where renewing would not help.  No other API is believed: some
        name scopes of which any one would do.
        """
        provider, place = self._hosts.provider, response.request.url
        is_refused = response.status_code in (401, 403)
        if not is_refused or not provider.resource or not self._hosts.has(place):
            return
        said = challenge(response.headers.get("www-authenticate", ""))
        wanted = scopes_of(said.get("scope", "").split())
        if said.get("error") != "insufficient_scope" or not wanted:
            return
        if error := await wider(self._ctx, self._manager, provider.name, wanted, **self._account):
            raise error

    async def _settled(self) -> str:
        """Find out the hosts of this connection, and its token, if they are other ones for each.

        For each request: the client may outlive the connection.
        """
        if not self._hosts.are_of_connection:
            return ""
        token = await self._token()
        place = self._ctx.redis, self._ctx.user_id, self._hosts.provider.name
        self._hosts.settle(await self._manager.connection(*place, **self._account))
        return token

    def _carrying(self, request: httpx.Request, token: str) -> httpx.Request:
        provider = self._hosts.provider
        for name, value in requests.own_headers(provider).items():
            request.headers.setdefault(name, value)
        request.headers.update(requests.token_header(provider, token))
        request.extensions = {**request.extensions, TOKEN: token}
        return request

    async def _token(self) -> str:
        name = self._hosts.provider.name
        options = {"min_valid": self._min_valid, **self._account}
        return await require_oauth_token(
            self._ctx, name, self._scopes, manager=self._manager, **options
        )


def _again(request: httpx.Request) -> httpx.Request:
    """Copy a request that was sent, so that what is known of the first stays true."""
    copy = httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        stream=request.stream,
        extensions=request.extensions,
    )
    if isinstance(copy.stream, httpx.ByteStream):
        copy.read()  # its length is known then, and it goes out in one piece
    return copy


def _carries(request: httpx.Request, token: str) -> bool:
    return any(token in value for value in request.headers.values())


def _is_repeatable(stream: Any) -> bool:
    """Return whether a body can be sent once more: bytes, or a form whose files can go back."""
    if isinstance(stream, httpx.ByteStream):
        return True
    parts = [getattr(part, "file", b"") for part in getattr(stream, "fields", [None])]
    return hasattr(stream, "fields") and all(
        isinstance(file, (str, bytes)) or (hasattr(file, "seekable") and file.seekable())
        for file in parts
    )
