"""What stands before every request: plain ASGI, so that nothing is left out.

:func:`guarded` puts them around the site, outermost first: security headers,
access log, host, method, cross-site check, session cookie.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.auth import is_same_origin
from webui.sessions import SessionCookie
from webui.settings import Settings

MAX_BODY_BYTES = 64 * 1024
MAX_ADDRESS_BYTES = 20 * 1024
_ENCODED = re.compile(rb"%(2f|5c|00)", re.IGNORECASE)
SAFE_METHODS = ("GET", "HEAD")
METHODS = (*SAFE_METHODS, "POST")

Refusal = Callable[[Scope, int, str], Response]
"""From scope, status and reason (a key of ``_SENTENCES``) to the answer."""

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": (
        "accelerometer=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), "
        "gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=()"
    ),
}
_HSTS = "max-age=31536000"

_SENTENCES = {
    "framing": "This request can be read in two ways.",
    "address": "This address is too long.",
    "path": "There is nothing at this address.",
    "host": "This address is not served here.",
    "method": "This cannot be done here.",
    "cross-site": "This request did not come from a page of this site. Nothing was changed.",
}

_log = structlog.get_logger("webui.access")


def plain_refusal(_: Scope, status: int, reason: str) -> Response:
    """A sentence, where no page is wanted."""
    return PlainTextResponse(_SENTENCES[reason], status)


def guarded(app: ASGIApp, settings: Settings, refuse: Refusal = plain_refusal) -> ASGIApp:
    """The site behind everything in this module."""
    app = SessionCookie(app)
    app = SameOrigin(app, settings.base_url, refuse)
    app = KnownMethod(app, refuse)
    app = PlainRequest(app, refuse)
    app = OwnHost(app, settings.host, refuse)
    app = AccessLog(app)
    return SecurityHeaders(app, is_secure=settings.is_secure)


class SecurityHeaders:
    """On every response.  What does not say how it may be stored is not stored."""

    def __init__(self, app: ASGIApp, is_secure: bool) -> None:
        self.app = app
        self.headers = _HEADERS | ({"strict-transport-security": _HSTS} if is_secure else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers[name] = value
                if "cache-control" not in headers:
                    headers["cache-control"] = "no-store"
                    headers.add_vary_header("Cookie, HX-Request")
            await send(message)

        await self.app(scope, receive, send_with_headers)


class AccessLog:
    """One line per request, without anything the client wrote: no path, no query.

    The request id is bound to every line logged meanwhile and is
    ``request.state.request_id`` for the error pages.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_and_note)
            finally:
                _log.info(
                    "request",
                    method=scope["method"] if scope["method"] in METHODS else "other",
                    route=getattr(scope.get("route"), "path", "unmatched"),
                    status=status,  # 0: no answer was begun
                    ms=round((time.perf_counter() - began) * 1000, 1),
                )


class OwnHost:
    """Only requests for the host of ``BASE_URL``, to the letter; ``/healthz`` too."""

    def __init__(self, app: ASGIApp, host: str, refuse: Refusal) -> None:
        self.app = app
        self.host = host
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_ours(scope):
            await self.refuse(scope, 400, "host")(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        hosts = [host.lower() for host in Headers(scope=scope).getlist("host")]
        # A target in absolute form names a host of its own (RFC 9112, section 3.2.2).
        return hosts == [self.host] and scope["path"].startswith("/")


class PlainRequest:
    """Nothing that two readers could read in two ways, and nothing endless.

    A body announced twice (RFC 9112, section 6.1) ends the connection.  An
    encoded slash would be another path here than at a proxy.
    """

    def __init__(self, app: ASGIApp, refuse: Refusal) -> None:
        self.app = app
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (fault := self._fault(scope)):
            response = self.refuse(scope, *fault)
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


class KnownMethod:
    """GET, HEAD and POST; and no WebSocket, which this site does not speak."""

    def __init__(self, app: ASGIApp, refuse: Refusal) -> None:
        self.app = app
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "http" and scope["method"] not in METHODS:
            response = self.refuse(scope, 405, "method")
            response.headers["allow"] = ", ".join(METHODS)
            await response(scope, receive, send)
        else:
            await self.app(scope, receive, send)


class SameOrigin:
    """Nothing is changed for another site's page."""

    def __init__(self, app: ASGIApp, origin: str, refuse: Refusal) -> None:
        self.app = app
        self.origin = origin
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_unsafe = scope["type"] == "http" and scope["method"] not in SAFE_METHODS
        if is_unsafe and not is_same_origin(Headers(scope=scope), self.origin):
            await self.refuse(scope, 403, "cross-site")(scope, receive, send)
        else:
            await self.app(scope, receive, send)
