"""One stand-in: a provider's habits, the one client registered there, and its answers' looks."""

from __future__ import annotations

import secrets
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote_plus, urlencode
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from webui.sandbox.quirks import Cause, Habits

from .grants import Grants, Token

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}

# learn.microsoft.com, "Microsoft Entra authentication and authorization error codes"
_AADSTS: dict[Cause, int] = {
    "client": 7000215,
    "code": 54005,
    "redirect": 50011,
    "verifier": 501481,
    "refresh": 70000,
    "grant_type": 70003,
    "request": 900144,
}


class Client(NamedTuple):
    """The application's registration at the provider."""

    client_id: str
    client_secret: str
    redirect_uri: str


class Refused(Exception):
    """A token or revocation request that gets an error answer; ``text`` is for people."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(cause)
        self.cause: Cause = cause
        self.text = text


@dataclass
class Standin:
    """A stand-in; ``url`` is its own prefix and issuer; ``token_lifetime`` is in seconds."""

    habits: Habits
    client: Client
    grants: Grants
    url: str
    token_lifetime: int
    app_name: str
    in_trouble: bool = False

    def own_token(self, value: str) -> Token | None:
        """Find a live token of this client here; another provider's is as good as unknown."""
        found = self.grants.find(value)
        grant = self.grants.grants.get(found.grant) if found else None
        here = self.habits.name, self.client.client_id
        return found if grant and (grant.provider, grant.client_id) == here else None

    def answer(self, request: Request, status: int, body: dict[str, Any]) -> Response:
        """Answer with JSON, or a form if the provider prefers it and the request does not mind."""
        as_form = self.habits.answers_form and "json" not in request.headers.get("accept", "")
        if as_form:
            media_type = "application/x-www-form-urlencoded; charset=utf-8"
            return Response(urlencode(body), status, NO_STORE, media_type)
        return JSONResponse(body, status, NO_STORE)

    def refusal(self, request: Request, refused: Refused) -> Response:
        status, error = self.habits.error(refused.cause)
        body: dict[str, Any] = {"error": error, "error_description": refused.text}
        if self.habits.numbers_errors:
            number = _AADSTS[refused.cause]
            now = datetime.fromtimestamp(self.grants.clock(), UTC)
            body |= {
                "error_description": f"AADSTS{number}: {refused.text}",
                "error_codes": [number],
                "timestamp": f"{now:%Y-%m-%d %H:%M:%SZ}",
                "trace_id": str(uuid4()),
                "correlation_id": str(uuid4()),
            }
        response = self.answer(request, status, body)
        if status == 401:
            response.headers["WWW-Authenticate"] = 'Basic realm="stand-in"'
        return response

    def authenticate(self, request: Request, form: dict[str, str]) -> None:
        """Check HTTP Basic or form fields (RFC 6749, 2.3.1).  Raises ``Refused``."""
        given = basic_credentials(request)
        if given is None:
            given = (form.get("client_id", ""), form.get("client_secret", ""))
        elif "client_secret" in form:
            raise Refused("request", "Authenticate the client in one way, not two.")
        right = self.client.client_id, self.client.client_secret
        if not all(
            secrets.compare_digest(a.encode(), b.encode())
            for a, b in zip(given, right, strict=True)
        ):
            raise Refused("client", "The client is unknown or its secret is wrong.")


def basic_credentials(request: Request) -> tuple[str, str] | None:
    """Read client id and secret of an HTTP Basic header, form-decoded; ``None`` without one."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = b64decode(value, validate=True).decode().partition(":")
    except (Base64Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(user), unquote_plus(password)


async def read_form(request: Request) -> dict[str, str]:
    """Read the fields of a form body.  Raises ``Refused`` on another kind, or a doubled field."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise Refused("request", "The body must be a form.")
    pairs = parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
    if len(pairs) != len(dict(pairs)):
        raise Refused("request", "A field stands twice in the form.")
    return dict(pairs)


Handler = Callable[[Standin, Request], Awaitable[Response]]


def api(handler: Handler) -> Handler:
    """Wrap a handler: 503 while the stand-in is in trouble, and ``Refused`` as a response."""

    @wraps(handler)
    async def guarded(standin: Standin, request: Request) -> Response:
        if standin.in_trouble:
            return PlainTextResponse("Service Unavailable\n", 503, NO_STORE)
        try:
            return await handler(standin, request)
        except Refused as refused:
            return standin.refusal(request, refused)

    return guarded
