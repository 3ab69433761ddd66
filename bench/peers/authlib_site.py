"""Authlib's client for Starlette, as its documentation registers GitHub."""

from __future__ import annotations

from typing import Any

import httpx
from authlib.integrations.starlette_client import OAuth
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.routing import Route

from bench.browser import Browser

_ORIGIN = "http://localhost"
_oauth = OAuth()
_oauth.register(
    name="github",
    client_id="client",
    client_secret="client-secret",
    access_token_url="https://provider.example/github/token",
    authorize_url="https://provider.example/github/authorize",
    client_kwargs={"scope": "user:email", "code_challenge_method": "S256"},
)


async def _connect(request: Request) -> Any:
    return await _oauth.github.authorize_redirect(request, f"{_ORIGIN}/callback")


_app = Starlette(
    routes=[Route("/connect", _connect, methods=["POST"])],
    middleware=[Middleware(SessionMiddleware, secret_key="a-secret-of-the-benchmark")],
)


async def start() -> None:
    """A new browser each time: the session in the cookie grows with every attempt."""
    status, _ = await Browser(_app, _ORIGIN).post("/connect")
    if status not in (httpx.codes.FOUND, httpx.codes.SEE_OTHER):
        raise RuntimeError(f"Authlib did not begin: {status}")
