"""The site in this process, and a browser that speaks ASGI and keeps cookies, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import unescape
from http.cookies import SimpleCookie
from ipaddress import IPv4Address
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.types import ASGIApp, Message

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import BASE_URL, KEY, providers_config
from webui.app import create_app
from webui.oauth_manager import OAuthManager
from webui.oauth_manager.protocol.transport import Transport
from webui.settings.settings import Settings

_NUMBERS = count(1)


def settings_for(redis_url: str, fake: FakeProvider) -> Settings:
    return Settings(
        base_url=BASE_URL,
        redis_url=redis_url,
        encryption_keys=(KEY,),
        session_secrets=("a-secret-of-the-benchmark-alone-Qx7",),
        providers_config=providers_config(fake),
    )


def site(redis_url: str, fake: FakeProvider) -> ASGIApp:
    """The site, whose network is the fake alone."""
    settings = settings_for(redis_url, fake)
    return create_app(settings, transport=Transport(httpx.ASGITransport(fake)))


@dataclass
class Browser:
    """A call costs next to nothing beyond that of the application."""

    app: ASGIApp
    origin: str
    cookies: dict[str, str] = field(default_factory=dict, repr=False)
    # Each has its own: tries to sign in are limited for each address.
    address: str = field(default_factory=lambda: str(IPv4Address("10.0.0.0") + next(_NUMBERS)))
    location: str = ""  # of the last answer

    async def get(self, url: str, **headers: str) -> tuple[int, str]:
        return await self._ask("GET", url, headers)

    async def post(self, url: str) -> tuple[int, str]:
        return await self._ask("POST", url, {"sec-fetch-site": "same-origin"})

    async def _ask(self, method: str, url: str, more: dict[str, str]) -> tuple[int, str]:
        parts = urlsplit(url)
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"host": urlsplit(self.origin).netloc, **more}
        if cookie:
            headers["cookie"] = cookie
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": urlsplit(self.origin).scheme,
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "client": (self.address, 50000),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        answer: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request"}

        async def send(message: Message) -> None:
            answer.append(message)

        await self.app(scope, receive, send)
        self.location = dict(answer[0]["headers"]).get(b"location", b"").decode()
        for name, value in answer[0]["headers"]:
            if name == b"set-cookie":
                self.cookies |= {k: m.value for k, m in SimpleCookie(value.decode()).items()}
        body = b"".join(message.get("body", b"") for message in answer[1:])
        return answer[0]["status"], body.decode()

    async def sign_in(self, manager: OAuthManager, redis: Any, user_id: str) -> None:
        """The whole way in from chat."""
        code = await manager.create_link_code(redis, user_id)
        await self.post(f"/connect/{code}/start")
        _, page = await self.get("/connect/proof")
        shown = re.search(r'aria-hidden="true">(\w{3} \w{3})<', page)
        if shown is None or await manager.proofs.confirm(redis, user_id, shown[1]) is not None:
            raise RuntimeError("nobody could sign in")
        await self.post("/connect/proof/continue")

    async def leave_for(self, provider: str) -> str:
        """The authorize address that Connect leads to."""
        _, page = await self.post(f"/connections/{provider}/connect")
        found = re.search(r'href="([^"]+)" rel="noreferrer"', page)
        if found is None:
            raise RuntimeError("there is no way to the provider")
        return unescape(found[1])


async def signed_in(
    app: ASGIApp, manager: OAuthManager, redis: Any, people: Iterable[str]
) -> list[Browser]:
    """Sign everybody in, each in a browser of their own."""
    browsers = []
    for person in people:
        browsers.append(Browser(app, BASE_URL))
        await browsers[-1].sign_in(manager, redis, person)
    return browsers
