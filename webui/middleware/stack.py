"""The stack of middleware: security headers, access log, refusals, whole bodies, answers.

:func:`guarded` puts them around the site, outermost first: security headers, access log, headers
of trusted proxies, refusals (of the faults in ``webui.middleware.requests``), session cookies.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.addresses import TrustedNetworks
from webui.fetch_metadata import METHODS, SAFE_METHODS
from webui.logs import tell_request
from webui.metrics.recorder import Recorder
from webui.metrics.traces import trace_id_of
from webui.middleware.forwarded import ForwardedClient
from webui.middleware.proxy_identity import ProxyIdentity
from webui.middleware.requests import (
    BODY_SECONDS,
    ENDS_CONNECTION,
    MAX_BODY_BYTES,
    Check,
    Fault,
    Refusal,
    form_fault,
    host_fault,
    method_fault,
    origin_fault,
)
from webui.paths import is_callback
from webui.sessions.signed_cookie import SessionCookie
from webui.settings.settings import Settings

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    # A form sends its page's origin then, also in browsers that know no Sec-Fetch-Site; under
    # no-referrer it would be "null" (Fetch, "append a request Origin header").
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": (
        "accelerometer=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), "
        "gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=()"
    ),
}
# A picture that is opened by itself is a document, and an SVG could run something: it may not.
_PICTURE_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# For answers that no browser shows.
_FOR_MACHINES = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}
_HSTS = "max-age=31536000"


def guarded(
    app: ASGIApp, settings: Settings, refuse: Refusal, recorder: Recorder | None = None
) -> ASGIApp:
    """Wrap the site in all middleware; ``refuse`` answers the refused requests."""
    app = SessionCookie(AlwaysAnswered(app, refuse))
    app = Bar(app, partial(origin_fault, settings.base_url), refuse)
    app = Bar(app, method_fault, refuse)
    app = Bar(app, form_fault, refuse)
    app = WholeBody(app, refuse)
    app = Bar(app, partial(host_fault, settings.host), refuse)
    if settings.trusted_proxies:
        # Their X-Forwarded-For and -Proto count; everybody else's are ignored.
        app = ForwardedClient(app, settings.trusted_proxies)
    if settings.proxy_user_header:
        app = ProxyIdentity(app, settings, refuse)  # before X-Forwarded-For replaces the peer
    app = AccessLog(app, settings.trusted_proxies, recorder)
    return SecurityHeaders(app, is_secure=settings.is_secure)


def guarded_for_machines(
    app: ASGIApp,
    settings: Settings,
    refuse: Refusal,
    most_bytes: int,
    recorder: Recorder | None = None,
) -> ASGIApp:
    """Wrap the API: like the site, but for cookies and browsers' other origins.

    A caller shows a key with each request, which no page of another site can make a browser do.
    On a port of its own it is reached by other names than the site is.
    """

    def find(scope: Scope) -> Fault | None:
        fault = None if settings.api_port else host_fault(settings.host, scope)
        return fault or form_fault(scope) or method_fault(scope)

    app = AlwaysAnswered(app, refuse)
    app = Bar(WholeBody(app, refuse, most_bytes), find, refuse)
    if settings.trusted_proxies:
        app = ForwardedClient(app, settings.trusted_proxies)
    app = AccessLog(app, settings.trusted_proxies, recorder)
    return SecurityHeaders(app, is_secure=settings.is_secure, headers=_FOR_MACHINES)


class Divided:
    """The site, and beside it the API with guards of its own, made for its first call.

    The API is at its own port if it has one, and nothing else is there.
    """

    def __init__(self, site: ASGIApp, make_api: Callable[[], ASGIApp], api_port: int = 0) -> None:
        self.app = site
        self._make_api = make_api
        self._api_port = api_port
        self._api: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or not self._is_for_api(scope):
            await self.app(scope, receive, send)
            return
        self._api = self._api or self._make_api()
        await self._api(scope, receive, send)

    def _is_for_api(self, scope: Scope) -> bool:
        if self._api_port:
            # Of the socket that took the connection: no header of the request counts.
            return bool((scope.get("server") or ("", 0))[1] == self._api_port)
        return scope["type"] == "http" and str(scope["path"]).startswith("/api/")


class SecurityHeaders:
    """Headers on every response.  One that does not say how it may be stored is not stored."""

    def __init__(
        self, app: ASGIApp, *, is_secure: bool, headers: Mapping[str, str] = _HEADERS
    ) -> None:
        self.app = app
        ours = {**headers, **({"strict-transport-security": _HSTS} if is_secure else {})}
        self._raw = [(name.encode(), value.encode()) for name, value in ours.items()]
        self._names = {name for name, _ in self._raw}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = (pair for pair in message["headers"] if pair[0] not in self._names)
                message["headers"] = [*given, *self._raw]
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("image/"):
                    headers["content-security-policy"] = _PICTURE_POLICY
                if is_callback(scope["path"]):
                    headers["referrer-policy"] = "no-referrer"
                if "cache-control" not in headers:
                    headers["cache-control"] = "no-store"
                    headers.add_vary_header("Cookie, HX-Request")
            await send(message)

        await self.app(scope, receive, send_with_headers)


class AccessLog:
    """One line per request, without anything the client wrote: no path, no query.

    ``facts`` in the request's state, words of ours, go on that line too.

    The request id is bound to every line logged meanwhile and is
    ``request.state.request_id`` for the error pages.  It is the trace id if there is one:
    of our own traces, or of the ``traceparent`` of a proxy in ``trusted``.
    """

    def __init__(
        self, app: ASGIApp, trusted: Sequence[str] = (), recorder: Recorder | None = None
    ) -> None:
        self.app = app
        self._trusted = TrustedNetworks(trusted) if trusted else ()
        self._recorder = recorder

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

        began = time.perf_counter()
        traceparent = self._traceparent(scope)
        tracer = self._recorder.tracer if self._recorder else None
        with ExitStack() as stack:
            span = stack.enter_context(tracer.request(traceparent)) if tracer else None
            request_id = span.request_id if span else traceparent and trace_id_of(traceparent)
            request_id = request_id or secrets.token_hex(8)
            scope.setdefault("state", {})["request_id"] = request_id
            stack.enter_context(structlog.contextvars.bound_contextvars(request_id=request_id))
            try:
                await self.app(scope, receive, send_and_note)
            finally:
                seconds = time.perf_counter() - began
                method = scope["method"] if scope["method"] in METHODS else "other"
                route = getattr(scope.get("route"), "path", "unmatched")
                tell_request(
                    method=method,
                    route=route,
                    status=status,  # 0: no answer was begun
                    ms=round(seconds * 1000, 1),
                    request_id=request_id,
                    **scope["state"].get("facts", {}),
                )
                if self._recorder:
                    self._recorder.request(route, method, status, seconds)
                if span:
                    span.answered(route, method, status)

    def _traceparent(self, scope: Scope) -> str:
        """Return the header of a trusted proxy, ``""`` from anybody else or if it is of no use."""
        client = scope.get("client")
        if not self._trusted or not client or client[0] not in self._trusted:
            return ""
        given = Headers(scope=scope).getlist("traceparent")
        return given[0] if len(given) == 1 and trace_id_of(given[0]) else ""


class Bar:
    """A bar to requests in which ``find`` finds a fault; and to WebSockets, not spoken here."""

    def __init__(self, app: ASGIApp, find: Check, refuse: Refusal) -> None:
        self.app = app
        self.find = find
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "http" and (fault := self.find(scope)):
            await _refuse(self.refuse, fault, scope, receive, send)
        else:
            await self.app(scope, receive, send)


async def _refuse(
    refuse: Refusal, fault: Fault, scope: Scope, receive: Receive, send: Send
) -> None:
    response = await refuse(scope, fault.status, fault.reason)
    response.headers.update(fault.headers)
    await response(scope, receive, send)


class WholeBody:
    """A limit on bodies: small, and whole within ``BODY_SECONDS``, however slowly they drip."""

    def __init__(self, app: ASGIApp, refuse: Refusal, most_bytes: int = MAX_BODY_BYTES) -> None:
        self.app = app
        self.refuse = refuse
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self.app(scope, receive, send)
            return
        messages, fault = await self._read(receive)
        if messages and messages[-1]["type"] == "http.disconnect":
            return  # half a form is none, and nobody is there to answer
        if fault:
            await _refuse(self.refuse, fault, scope, receive, send)
            return

        async def replay() -> Message:
            return messages.pop(0) if messages else await receive()

        await self.app(scope, replay, send)

    async def _read(self, receive: Receive) -> tuple[list[Message], Fault | None]:
        messages: list[Message] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while not messages or messages[-1].get("more_body"):
                    messages.append(await receive())
                    size += len(messages[-1].get("body", b""))
                    if size > self._most_bytes:
                        return [], Fault(413, "large", ENDS_CONNECTION)
        except TimeoutError:
            return [], Fault(408, "slow", ENDS_CONNECTION)
        return messages, None


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
