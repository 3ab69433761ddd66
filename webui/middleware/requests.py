"""Refusals of requests before any page sees them: plain ASGI, one reason a class."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.fetch_metadata import METHODS, SAFE_METHODS, is_same_origin, says_where_from

MAX_BODY_BYTES = 64 * 1024
BODY_SECONDS = 10.0
MAX_ADDRESS_BYTES = 20 * 1024
_ENCODED = re.compile(rb"%(2f|5c|00)", re.IGNORECASE)

Refusal = Callable[[Scope, int, str], Awaitable[Response]]
"""From scope, status and reason (a word, such as ``host``) to the answer."""


class OwnHost:
    """A pass for requests for the host of ``BASE_URL`` alone, to the letter; ``/healthz`` too."""

    def __init__(self, app: ASGIApp, host: str, refuse: Refusal) -> None:
        self.app = app
        self.host = host
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_ours(scope):
            response = await self.refuse(scope, 400, "host")
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        hosts = [host.lower() for host in Headers(scope=scope).getlist("host")]
        # A target in absolute form names a host of its own (RFC 9112, section 3.2.2).
        return hosts == [self.host] and scope["path"].startswith("/")


class PlainRequest:
    """A bar to requests that two readers could read in two ways, and to endless ones.

    A body announced twice (RFC 9112, section 6.1) ends the connection.  An
    encoded slash would be another path here than at a proxy.
    """

    def __init__(self, app: ASGIApp, refuse: Refusal) -> None:
        self.app = app
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (fault := self._fault(scope)):
            response = await self.refuse(scope, *fault)
            response.headers["connection"] = "close"
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _fault(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        if "content-length" in headers and "transfer-encoding" in headers:
            return 400, "framing"
        path = scope.get("raw_path") or b""
        if len(path) + len(scope["query_string"]) > MAX_ADDRESS_BYTES:
            return 400, "address"
        return (404, "path") if _ENCODED.search(path) else None


class WholeBody:
    """A limit on bodies: small, and whole within ``BODY_SECONDS``, however slowly they drip."""

    def __init__(self, app: ASGIApp, refuse: Refusal) -> None:
        self.app = app
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self.app(scope, receive, send)
            return
        messages, fault = await self._read(receive)
        if messages and messages[-1]["type"] == "http.disconnect":
            return  # half a form is none, and nobody is there to answer
        if fault:
            response = await self.refuse(scope, *fault)
            response.headers["connection"] = "close"
            await response(scope, receive, send)
            return

        async def replay() -> Message:
            return messages.pop(0) if messages else await receive()

        await self.app(scope, replay, send)

    async def _read(self, receive: Receive) -> tuple[list[Message], tuple[int, str] | None]:
        messages: list[Message] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while not messages or messages[-1].get("more_body"):
                    messages.append(await receive())
                    size += len(messages[-1].get("body", b""))
                    if size > MAX_BODY_BYTES:
                        return [], (413, "large")
        except TimeoutError:
            return [], (408, "slow")
        return messages, None


class KnownMethod:
    """A pass for GET, HEAD and POST; and no WebSocket, which this site does not speak."""

    def __init__(self, app: ASGIApp, refuse: Refusal) -> None:
        self.app = app
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "http" and scope["method"] not in METHODS:
            response = await self.refuse(scope, 405, "method")
            response.headers["allow"] = ", ".join(METHODS)
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, send)


class AlwaysAnswered:
    """An answer, in our own words, to a request that a stopping server cuts short."""

    def __init__(self, app: ASGIApp, refuse: Refusal) -> None:
        self.app = app
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_answered = scope["type"] != "http"

        async def watched(message: Message) -> None:
            nonlocal is_answered
            is_answered = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except asyncio.CancelledError:
            if not is_answered:
                response = await self.refuse(scope, 503, "interrupted")
                await response(scope, receive, send)
            raise


class SameOrigin:
    """A bar to changes for another site's page."""

    def __init__(self, app: ASGIApp, origin: str, refuse: Refusal) -> None:
        self.app = app
        self.origin = origin
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_unsafe = scope["type"] == "http" and scope["method"] not in SAFE_METHODS
        if is_unsafe and not is_same_origin(Headers(scope=scope), self.origin):
            is_said = says_where_from(Headers(scope=scope))
            response = await self.refuse(scope, 403, "cross-site" if is_said else "unsaid")
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, send)
