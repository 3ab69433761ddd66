"""The whole site for tests: in process or as the command itself, with browsers and a bot."""

from __future__ import annotations

import asyncio
import html
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.types import ASGIApp

from tests.kit.clock import FakeClock
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import BASE_URL, KEY, fake_provider, impatient, providers_config
from tests.kit.redis_fleets import one_server
from webui.app import create_app, make_manager
from webui.oauth_manager import OAuthManager
from webui.oauth_manager.protocol.transport import Transport
from webui.sandbox.embedded_redis import stop
from webui.settings.settings import Settings
from webui.site import Site

SESSION_SECRET = "kX9wq2-mTzR7_pL4vB8nC1yH6jD3fG5s"
FROM_OUR_PAGE = {"sec-fetch-site": "same-origin"}
HTMX = {"hx-request": "true"}
START_SECONDS = 20.0
# The last is set while `make cover` measures.
OF_EVERY_PROCESS = ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_CONFIG")


def site_settings(redis_url: str, fake: FakeProvider, **changes: Any) -> Settings:
    """A deployment on https with all four providers at the fake."""
    usual: dict[str, Any] = {
        "base_url": BASE_URL,
        "redis_url": redis_url,
        "encryption_keys": (KEY,),
        "session_secrets": (SESSION_SECRET,),
        "bot_name": "Stella",
        "providers_config": providers_config(fake),
    }
    return Settings(**{**usual, **changes})


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[None]:
    """The application between its startup and its shutdown, as a server drives it."""
    to_app: asyncio.Queue[Any] = asyncio.Queue()
    from_app: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}

    async def live() -> None:
        await app(scope, to_app.get, from_app.put)

    task = asyncio.create_task(live())
    await to_app.put({"type": "lifespan.startup"})
    assert (await from_app.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await to_app.put({"type": "lifespan.shutdown"})
        assert (await from_app.get())["type"] == "lifespan.shutdown.complete"
        await task


class Browser:
    """One cookie jar at the site.

    Redirects are not followed, but those from a link's page to the page on which it ends.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def get(
        self, path: str, *, htmx: bool = False, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        sent = {**(HTMX if htmx else {}), **(headers or {})}
        return await self._shown(path, await self.client.get(path, headers=sent))

    async def come_back(self, callback: str) -> httpx.Response:
        """Open a callback that leads nowhere: the page of its own on which that ends."""
        return await self.end_of(await self.get(callback))

    async def end_of(self, answer: httpx.Response) -> httpx.Response:
        """Open the page on which a link ends: its address has no code, and works again."""
        location = answer.headers["location"]
        assert (answer.status_code, answer.text) == (303, "")
        assert re.fullmatch(r"/connect/ended/[a-z_-]+(\?[a-z]+=\w+(&ref=[A-Z0-9]{6})?)?", location)
        return await self.client.get(location)

    async def _shown(self, path: str, answer: httpx.Response) -> httpx.Response:
        is_end = answer.headers.get("location", "").startswith("/connect/ended/")
        return await self.end_of(answer) if is_end and path.startswith("/connect/") else answer

    async def after_sign_on(self, callback: str) -> httpx.Response:
        """Open a callback of the sign-on, and where it leads to an end, the page that tells of it.

        Nothing is shown at the callback itself, whose address holds a code and a state.
        """
        answer = await self.get(callback)
        location = answer.headers["location"]
        assert (answer.status_code, answer.text) == (303, "")
        assert "code=" not in location
        assert "state=" not in location
        if not location.startswith("/signin/ended/"):
            return answer
        given = answer.headers.get_list("set-cookie")
        assert [cookie for cookie in given if "Max-Age=0" not in cookie] == []
        return await self.get(location)

    async def post(
        self, path: str, form: Mapping[str, str] | None = None, *, htmx: bool = False
    ) -> httpx.Response:
        """Send a form of a page of the site."""
        headers = {**FROM_OUR_PAGE, **(HTMX if htmx else {})}
        return await self._shown(path, await self.client.post(path, data=form, headers=headers))

    async def begin(self, provider: str, form: Mapping[str, str] | None = None) -> str:
        """Press Connect: the authorize URL that the hand-off page leads to."""
        return handed_off(await self.post(f"/connections/{provider}/connect", form))

    async def state_of(self, provider: str) -> str:
        """The state of the card on the connections page, ``""`` where there is no card."""
        return card_state((await self.get("/connections")).text, provider)


@dataclass
class Place:
    """One site in process, the provider behind it, and the bot beside it."""

    app: ASGIApp
    settings: Settings
    fake: FakeProvider
    redis: Redis
    bot: OAuthManager = field(repr=False)
    clock: FakeClock  # of the site and the bot; Redis has its own
    _clients: AsyncExitStack = field(repr=False)
    _addresses: Iterator[int] = field(default_factory=lambda: count(1), repr=False)

    @property
    def site(self) -> Site:
        return site_in(self.app)

    async def settled(self) -> None:
        """Everything the site has under way is done."""
        await self.site.manager._tasks.drain()

    async def browser(self, jar: Browser | None = None, *, address: str = "") -> Browser:
        """A browser, at an address of its own unless told; ``jar`` has the cookies it shares."""
        address = address or f"192.0.2.{next(self._addresses)}"
        # As behind a server, an error is answered and not passed on to the client.
        transport = httpx.ASGITransport(
            self.app, raise_app_exceptions=False, client=(address, 50000)
        )
        client = httpx.AsyncClient(transport=transport, base_url=self.settings.base_url)
        if jar:
            client.cookies = jar.client.cookies
        return Browser(await self._clients.enter_async_context(client))

    async def prove(self, browser: Browser, user: str, provider: str = "") -> httpx.Response:
        """The way in from chat, up to the answer to "continue"."""
        code = await self.bot.create_link_code(self.redis, user, provider=provider)
        await browser.post(f"/connect/{code}/start")
        assert await confirm(self, user, shown_code(await browser.get("/connect/proof")))
        return await browser.post("/connect/proof/continue")

    async def signed_in(self, user: str) -> Browser:
        browser = await self.browser()
        answer = await self.prove(browser, user)
        assert answer.headers["location"] == "/connections"
        return browser

    async def connect(self, browser: Browser, provider: str) -> httpx.Response:
        """The whole way from the button to the answer to the callback."""
        return await browser.get(self.fake.authorize(await browser.begin(provider)))

    async def answer(
        self, browser: Browser, provider: str, choice: str = "new", offer: str = ""
    ) -> httpx.Response:
        """Answer the question of an account that came back; ``offer`` is that of the page."""
        page = f"/connections/{provider}/switch"
        offer = offer or offer_on(await browser.get(page))
        return await browser.post(page, {"offer": offer, "choice": choice})

    async def records(self) -> dict[bytes, bytes]:
        """Every stored token and profile, as it is."""
        found = [
            key
            for kind in ("tokens", "connection")
            async for key in self.redis.scan_iter(f"stargazer:oauth_{kind}:*")
        ]
        return {key: await self.redis.dump(key) or b"" for key in sorted(found)}


@asynccontextmanager
async def site_at(
    redis_url: str,
    redis: Redis,
    fake: FakeProvider | None = None,
    *,
    provider_app: ASGIApp | None = None,
    **changes: Any,
) -> AsyncIterator[Place]:
    """A site of its own; ``provider_app`` may stand in front of the fake."""
    fake = fake or fake_provider()
    settings = site_settings(redis_url, fake, **changes)
    network, clock = httpx.ASGITransport(provider_app or fake), FakeClock()
    app = create_app(settings, transport=Transport(network), clock=clock)
    bot = impatient(make_manager(settings, Transport(network), clock))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(app))
        impatient(site_in(app).manager)
        stack.push_async_callback(bot.aclose)
        yield Place(app, settings, fake, redis, bot, clock, stack)


@pytest.fixture
async def place(redis_url: str, redis: Redis) -> AsyncIterator[Place]:
    """The site on an empty Redis."""
    async with site_at(redis_url, redis) as made:
        yield made


@pytest.fixture
async def ann(place: Place) -> Browser:
    """A browser that is signed in as ann."""
    return await place.signed_in("ann")


@pytest.fixture
async def ben(place: Place) -> Browser:
    """Another person's browser."""
    return await place.signed_in("ben")


# Reading pages


def handed_off(page: httpx.Response) -> str:
    """The address a hand-off page leaves for."""
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page.text)
    assert found, f"no hand-off page but {page.status_code}"
    return html.unescape(found[1])


def offer_on(page: httpx.Response) -> str:
    """Return the offer that an answer to the page's question has to name."""
    found = re.search(r'name="offer" value="([\w-]+)"', page.text)
    assert found, f"no question on a page {page.status_code}"
    return found[1]


def shown_code(page: httpx.Response) -> str:
    """The code that a proof page asks the person to send."""
    found = re.search(r'aria-hidden="true">\s*([A-Z0-9]{3}) ([A-Z0-9]{3})\s*<', page.text)
    assert found, f"no code on a page {page.status_code}"
    return found[1] + found[2]


def shown_reference(page: httpx.Response) -> str:
    """Return the reference that an error page or a card asks to quote."""
    found = re.search(r"(?:eference|look up) (?:<code>)?([A-Z0-9]{6})\b", page.text)
    assert found, f"no reference on a page {page.status_code}"
    return found[1]


def site_in(app: Any) -> Site:
    """Return the site inside the application, behind everything that guards it."""
    while not isinstance(app, Starlette):
        app = app.app
    site: Site = app.state.site
    return site


async def confirm(place: Place, user: str, shown: str) -> bool:
    """Send the bot a code; whether a page waited for it."""
    return await place.bot.proofs.confirm(place.redis, user, shown) is None


async def is_signed_in(browser: Browser) -> bool:
    return (await browser.get("/connections")).status_code == 200


async def nothing_happened(place: Place) -> bool:
    """The provider was never asked for anything, and nothing is stored for anyone."""
    return not place.fake.requests and await place.records() == {}


def but_reference(page: httpx.Response) -> str:
    """The page as everybody sees it: a reference is each one's own."""
    return re.sub(r"(?<=<code>)[A-Z0-9]{6}(?=</code>)", "", page.text)


def card_state(page: str, provider: str) -> str:
    found = re.search(rf'id="conn-{provider}" data-state="(\w+)"', page)
    return found[1] if found else ""


def query_of(url: str) -> dict[str, str]:
    """The query's fields, none of which may stand twice."""
    fields = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert all(len(values) == 1 for values in fields.values())
    return {name: values[0] for name, values in fields.items()}


def heading(page: str) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", found[1])).split()) if found else ""


@asynccontextmanager
async def commands(redis: Redis) -> AsyncIterator[list[str]]:
    """Collect what every client sends to Redis, complete when the block has ended."""
    one_server()
    seen: list[str] = []
    async with redis.monitor() as monitor:
        end = "END OF WHAT IS WATCHED"

        async def read() -> None:
            async for line in monitor.listen():
                if end in line["command"]:
                    return
                if not line["command"].startswith(("HELLO", "CLIENT")):  # a new connection
                    seen.append(line["command"])

        reader = asyncio.create_task(read())
        yield seen
        await redis.echo(end)
        await reader


# The command itself


@dataclass(frozen=True)
class SiteProcess:
    """``webui serve`` on loopback; ``log`` is everything it has written."""

    base_url: str
    log: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def address(self) -> tuple[str, int]:
        port = urlsplit(self.base_url).port
        assert port
        return "127.0.0.1", port

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """The lines of the log, or those of one event."""
        written = self.log.read_text().rpartition("\n")[0].splitlines()
        found = [json.loads(line) for line in written if line.startswith("{")]
        return [line for line in found if line["event"] == (name or line["event"])]

    def wait_for(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until the log has that many such events."""
        for _ in range(round(START_SECONDS / 0.02)):
            if len(found := self.events(name)) >= count:
                return found
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)
        raise AssertionError(f"no {name!r} in {self.log.read_text()[-3000:]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> dict[str, Any]:
        """Send a signal, wait for the end, and return what the log says last."""
        self.process.send_signal(how)
        self.process.wait(START_SECONDS)
        return self.events()[-1]


def free_port() -> int:
    """A port below those that outgoing connections take, so that none takes it meanwhile."""
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def site_environment(
    base_url: str, redis_url: str, providers: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """The same deployment as settings in the environment; empty values are left out."""
    given = {
        f"{name}_{key}".upper(): str(value)
        for name, config in providers.items()
        for key, value in config.items()
        if value
    }
    return {
        "BASE_URL": base_url,
        "REDIS_URL": redis_url,
        "ENCRYPTION_KEY": KEY,
        "SESSION_SECRET": SESSION_SECRET,
        "BOT_NAME": "Stella",
        **given,
    }


@contextmanager
def serving(
    environment: Mapping[str, str], folder: Path, *arguments: str, at: str = ""
) -> Iterator[SiteProcess]:
    """Run ``webui serve`` with exactly these settings; ``at`` is its address if not BASE_URL's."""
    log = folder / "site.log"
    own = {name: os.environ[name] for name in OF_EVERY_PROCESS if name in os.environ}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "webui", "serve", *arguments],
            env={**own, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    site = SiteProcess(at or environment["BASE_URL"], log, process)
    try:
        _wait_until_listening(site)
        yield site
    finally:
        stop(process, START_SECONDS)


def _wait_until_listening(site: SiteProcess) -> None:
    for _ in range(round(START_SECONDS / 0.02)):
        try:
            socket.create_connection(site.address, 1).close()
            return
        except OSError:
            pass
        try:
            site.process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(f"the site did not start: {site.log.read_text()[-2000:]}")
