"""The site in this process for a real browser, with a provider that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from socket import create_server, socket
from typing import Any
from urllib.parse import urlencode

import pytest
import uvicorn
from playwright.async_api import Browser
from redis.asyncio import Redis
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.kit.browser import Address, Town, Window, window
from tests.kit.fake_answers import Answer, redirect
from tests.kit.fake_provider import FakeProvider
from tests.kit.fake_requests import Recorded
from tests.kit.library import began, connected, fake_provider, impatient, providers_config
from tests.kit.redis_proxy import RedisProxy, redis_proxy
from tests.kit.site_fixtures import site_in, site_settings
from webui.app import create_app, make_manager
from webui.oauth_manager import OAuthManager
from webui.oauth_manager.storage import Clock
from webui.sessions.note import Note
from webui.sessions.sessions import Session, Sessions
from webui.settings.settings import Settings
from webui.site import Site


@dataclass
class Host:
    """``fake`` is the provider, to be replaced for each test; ``store`` stands before Redis."""

    town: Town
    settings: Settings
    site: Site
    store: RedisProxy
    fake: FakeProvider


@dataclass
class Desk:
    """A window where somebody is signed in, and what happens to ann from elsewhere."""

    host: Host
    window: Window
    session: Session

    @property
    def fake(self) -> FakeProvider:
        return self.host.fake

    @property
    def bot(self) -> OAuthManager:
        return self.host.town.bot

    @property
    def redis(self) -> Redis:
        return self.window.redis

    async def connect(self, provider: str) -> None:
        """Store what a finished connection leaves behind."""
        await connected(self.bot, self.fake, self.redis, "ann", provider)

    async def disconnect(self, provider: str) -> None:
        """Disconnect in another tab, or in the chat."""
        await self.bot.delete_token(self.redis, "ann", provider)

    async def offer_another(self, provider: str) -> None:
        """ann comes back as somebody else."""
        self.fake.account = {"id": "43", "login": "hubert", "name": "Hubert"}
        attempt, code = await began(self.bot, self.fake, self.redis, "ann", provider)
        await self.bot.complete(self.redis, attempt, code)

    async def note(self, provider: str, key: str) -> None:
        """An outcome that the session keeps for a card."""
        note = Note(key, ref="K4T9WX")
        await Sessions(self.redis, self.host.settings, Clock()).put_note(
            self.session, provider, note
        )

    def refuse(self, error: str = "access_denied") -> None:
        """At the provider, instead of yes."""

        async def refused(request: Recorded) -> Answer:
            back = {"error": error, "state": request.query["state"]}
            if request.prefix in self.fake.issuers:
                back["iss"] = self.fake.issuers[request.prefix]
            return redirect(f"{request.query['redirect_uri']}?{urlencode(back)}", 302)

        self.fake.always["authorize"] = refused


@asynccontextmanager
async def desk(
    browser: Browser,
    host: Host,
    redis: Redis,
    *,
    user: str = "ann",
    script: bool = True,
    width: int = 1280,
) -> AsyncIterator[Desk]:
    """Signed in without the way through the chat, which other tests go."""
    async with window(browser, host.town, redis, script=script, width=width) as opened:
        request = Request({"type": "http", "method": "GET", "path": "/", "headers": []})
        session = await Sessions(redis, host.settings, Clock()).start(request, user)
        (given,) = request.scope["webui.session_cookies"].values()
        name, _, value = given.partition(";")[0].partition("=")
        cookie: Any = {"name": name, "value": value, "url": host.town.site.base_url}
        await opened.page.context.add_cookies([cookie])
        yield Desk(host, opened, session)


@asynccontextmanager
async def listening(app: ASGIApp, listener: socket) -> AsyncIterator[None]:
    """Serve on this loop, start-up and shutdown included."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def hosted(
    redis_url: str, front: Callable[[ASGIApp], ASGIApp] = lambda app: app, **changes: Any
) -> AsyncIterator[Host]:
    """The site as in development, so with the page of all cards, and its provider.

    ``front`` stands before the site; ``changes`` are settings.
    """
    made: list[Host] = []

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await made[0].fake(scope, receive, send)

    with create_server(("127.0.0.1", 0)) as own, create_server(("127.0.0.1", 0)) as theirs:
        site, provider = (f"http://127.0.0.1:{each.getsockname()[1]}" for each in (own, theirs))
        async with redis_proxy(redis_url) as store:
            fake = fake_provider()
            settings = site_settings(
                store.url,
                fake,
                base_url=site,
                providers_config=providers_config(fake, provider),
                support_users=("carol",),
                **changes,
            )
            bot = impatient(make_manager(settings))
            app = create_app(settings, development=True)
            impatient(site_in(app).manager)
            town = Town(Address(site), provider, bot)
            made.append(Host(town, settings, site_in(app), store, fake))
            try:
                async with listening(answer, theirs), listening(front(app), own):
                    yield made[0]
            finally:
                await bot.aclose()


# For the modules that name them: ``housed, host = hosted.housed, hosted.host``.


@pytest.fixture(scope="module")
async def housed(redis_url: str) -> AsyncIterator[Host]:
    async with hosted(redis_url) as made:
        yield made


@pytest.fixture
async def host(housed: Host) -> AsyncIterator[Host]:
    """The module's, with a provider of its own for each test."""
    housed.fake = fake_provider()
    patience = housed.site.manager.patience
    yield housed
    housed.site.manager.patience = patience
    for gate in housed.fake._gates.values():
        gate.open()
