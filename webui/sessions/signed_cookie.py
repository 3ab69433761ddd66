"""The signed cookie that names a session; sent by a middleware, so that any page may change it."""

from __future__ import annotations

import hashlib
import re

from itsdangerous import BadSignature, Signer
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.settings.settings import Settings

# Characters of 256 bits in URL-safe base64, for the id and for its signature.
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}")
_TO_SEND = "webui.session_cookies"


class SignedCookie:
    """The cookie ``name``; one of another name is signed differently, and is none of ours here."""

    def __init__(self, settings: Settings, name: str) -> None:
        # itsdangerous signs with the last and accepts all.
        self._signer = Signer(
            list(reversed(settings.session_secrets)),
            salt=f"webui.{name}",
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )
        self.name = cookie_name(name, is_secure=settings.is_secure)
        self._attributes = "HttpOnly; Path=/; SameSite=Lax" + (
            "; Secure" if settings.is_secure else ""
        )

    def session_id(self, request: HTTPConnection) -> str | None:
        """Return this browser's session id, if it is ours and sent once."""
        values = self._values(request)
        if len(values) != 1 or not _VALUE.fullmatch(values[0]):
            return None
        try:
            return self._signer.unsign(values[0]).decode("ascii")
        except BadSignature:
            return None

    def give(self, request: HTTPConnection, session_id: str, seconds: int) -> None:
        """Have the browser keep the id, signed."""
        self._send(request, self._signer.sign(session_id).decode("ascii"), seconds)

    def take_back(self, request: HTTPConnection) -> None:
        self._send(request, "", 0)

    def is_brought(self, request: HTTPConnection) -> bool:
        """Return whether the browser sent anything under this name."""
        return bool(self._values(request))

    def _values(self, request: HTTPConnection) -> list[str]:
        """List every value under our name; our own parser, since the usual ones hide a second."""
        pairs = ";".join(Headers(scope=request.scope).getlist("cookie")).split(";")
        split = (pair.strip().partition("=") for pair in pairs)
        return [value for name, _, value in split if name == self.name]

    def _send(self, request: HTTPConnection, value: str, seconds: int) -> None:
        header = f"{self.name}={value}; Max-Age={seconds}; {self._attributes}"
        request.scope.setdefault(_TO_SEND, {})[self.name] = header


class SessionCookie:
    """Middleware that sends the cookies set or deleted during the request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_cookies(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for cookie in scope.get(_TO_SEND, {}).values():
                    headers.append("set-cookie", cookie)
            await send(message)

        await self.app(scope, receive, send_with_cookies)


def cookie_name(name: str, *, is_secure: bool) -> str:
    """Return the cookie's name; with https no other site can plant it (RFC 6265bis, 4.1.3.2)."""
    return f"__Host-{name}" if is_secure else name
