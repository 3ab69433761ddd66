"""Requests that reached the fake provider."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote_plus

from starlette.types import Receive, Scope

Endpoint = Literal["authorize", "token", "revoke", "account", "unknown"]


@dataclass(frozen=True)
class Recorded:
    """One request as it arrived; ``form`` and ``query`` keep the last of doubled fields."""

    endpoint: Endpoint
    prefix: str
    method: str
    path: str
    query: dict[str, str] = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("latin-1"), keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def bearer(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def client(self) -> tuple[str, str]:
        """Client id and secret, from the Basic header or else from the form."""
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            user, _, password = b64decode(value).decode().partition(":")
            return unquote_plus(user), unquote_plus(password)
        return self.form.get("client_id", ""), self.form.get("client_secret", "")


async def record(scope: Scope, receive: Receive) -> Recorded:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    endpoint, prefix = _endpoint(scope["method"], scope["path"])
    return Recorded(
        endpoint=endpoint,
        prefix=prefix,
        method=scope["method"],
        path=scope["path"],
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers={k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]},
        body=body,
    )


def _endpoint(method: str, path: str) -> tuple[Endpoint, str]:
    prefix, _, last = path.rpartition("/")
    if method == "DELETE" and last in {"grant", "token"}:
        return "revoke", prefix.partition("/applications/")[0]
    match last:
        case "authorize" | "token" | "revoke" | "account":
            return last, prefix
        case _:
            return "unknown", prefix
