"""Authlib's client for Starlette, as its documentation registers GitHub."""

from __future__ import annotations

import ssl
from typing import Any

from authlib.integrations.starlette_client import OAuth
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from bench.browser import Browser
from bench.provider import allowed

_ORIGIN = "http://localhost"


class AuthlibSite:
    """``context`` for all of its calls spares it one for each; without, it is as documented."""

    def __init__(self, provider: str, context: ssl.SSLContext | None = None) -> None:
        oauth = OAuth()
        shared = {} if context is None else {"verify": context}
        self._github = oauth.register(
            name="github",
            client_id="client",
            client_secret="client-secret",
            access_token_url=f"{provider}/github/token",
            authorize_url=f"{provider}/github/authorize",
            api_base_url=f"{provider}/github/",
            client_kwargs={"scope": "user:email", "code_challenge_method": "S256", **shared},
        )
        self._app = Starlette(
            routes=[
                Route("/connect", self._connect, methods=["POST"]),
                Route("/callback", self._callback),
            ],
            middleware=[Middleware(SessionMiddleware, secret_key="a-secret-of-the-benchmark")],
        )

    async def _connect(self, request: Request) -> Any:
        return await self._github.authorize_redirect(request, f"{_ORIGIN}/callback")

    async def _callback(self, request: Request) -> Any:
        token = await self._github.authorize_access_token(request)
        profile = (await self._github.get("user", token=token)).json()
        if profile["id"] != 42:
            raise RuntimeError("not the account that was to be connected")
        return RedirectResponse("/", 303)

    async def start(self) -> tuple[Browser, str]:
        """Return the browser and the address of the provider.

        It is a new browser each time: the session in the cookie grows with every attempt.
        """
        browser = Browser(self._app, _ORIGIN)
        status, _ = await browser.post("/connect")
        if status != 302 or "client_id" not in browser.location:
            raise RuntimeError(f"Authlib did not begin: {status}")
        return browser, browser.location

    async def come_back(self, browser: Browser, authorize_url: str) -> None:
        """Take the session of any such site: it is in the cookie."""
        browser.app = self._app
        status, _ = await browser.get(allowed(authorize_url))
        if status != 303:
            raise RuntimeError(f"Authlib did not connect: {status}")
