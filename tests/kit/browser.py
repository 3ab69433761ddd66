"""A real Chromium at the real site, with stand-in providers behind it."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    async_playwright,
)
from redis.asyncio import Redis
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.kit.fake_provider import serve
from tests.kit.library import KEY
from tests.kit.site_fixtures import free_port, serving, site_environment
from webui.oauth_manager import OAuthManager
from webui.sandbox.standins import create_standins, endpoints, manage_urls

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CLIENT = ("a-client", "a-client-secret")
NARROWEST = 320  # pixels
# Only what axe finds is asked for: a list of everything that passes takes it twice as long.
AXE_RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}
AXE_COLOURS = {
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
    "resultTypes": ["violations"],
}


# A frame that is left while its request still connects to Redis leaves a socket to the collector.
LEFT_BY_FRAMES = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect what a test left before the next one begins, for the modules that name it."""
    yield
    gc.collect()


def find_chromium() -> str:
    """The installed browser, ``""`` where there is none."""
    named = os.environ.get("CHROMIUM", "")
    return named or next((path for name in NAMES if (path := shutil.which(name))), "")


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """For the modules that name it: ``chromium = browser.chromium``."""
    executable = find_chromium()
    if not executable:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("REQUIRE_BROWSER is set and there is no Chromium (CHROMIUM names one)")
        pytest.skip("there is no Chromium here; CHROMIUM names one")
    async with launched(executable) as browser:
        yield browser


@asynccontextmanager
async def launched(executable: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()


class Site(Protocol):
    @property
    def base_url(self) -> str: ...


@dataclass(frozen=True)
class Address:
    """A site in this process."""

    base_url: str


@dataclass(frozen=True)
class Town:
    """The site, the providers behind one address, and the bot's side of it."""

    site: Site
    standins: str
    bot: OAuthManager = field(repr=False)

    async def link(self, redis: Redis, user: str, provider: str = "") -> str:
        return self.bot.landing_url(await self.bot.create_link_code(redis, user, provider=provider))


@contextmanager
def town(
    redis_url: str,
    folder: Path,
    *,
    front: Callable[[ASGIApp], ASGIApp] = lambda app: app,
    entrance: str = "",
) -> Iterator[Town]:
    """``front`` stands before the stand-ins; people come to them by the path ``entrance``."""
    base_url = f"http://127.0.0.1:{free_port()}"
    made: list[ASGIApp] = []

    async def providers(scope: Scope, receive: Receive, send: Send) -> None:
        await made[0](scope, receive, send)

    with ExitStack() as stack:
        standins = stack.enter_context(serve(providers))
        clients = {
            name: (*CLIENT, f"{base_url}/oauth/{name}/callback") for name in endpoints(standins)
        }
        made.append(front(create_standins(standins, clients=clients)))
        manage = manage_urls(standins)
        config: dict[str, dict[str, Any]] = {
            name: {
                **urls,
                "authorize_url": urls["authorize_url"].replace(standins, standins + entrance),
                "client_id": CLIENT[0],
                "client_secret": CLIENT[1],
                "manage_url": manage[name],
            }
            for name, urls in endpoints(standins).items()
        }
        environment = site_environment(base_url, redis_url, config)
        site = stack.enter_context(serving(environment, folder))
        yield Town(site, standins, OAuthManager(KEY, base_url, config))


@dataclass
class Window:
    """One page in a context of its own, and everything it complained about."""

    page: Page = field(repr=False)
    town: Town = field(repr=False)
    redis: Redis = field(repr=False)
    script: bool = True
    complaints: list[str] = field(default_factory=list)
    requested: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requested.add(request.url))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{self.page.url}: {message.text}")

    async def go(self, path: str) -> None:
        await self.page.goto(self.town.site.base_url + path)

    async def press(self, name: str, role: Any = "button") -> None:
        """Press what has exactly this accessible name."""
        await self.page.get_by_role(role, name=name, exact=True).click()

    async def sign_in(self, user: str, provider: str = "") -> None:
        """Go from the link in chat to the page after the proof."""
        await self.page.goto(await self.town.link(self.redis, user, provider))
        await self.press("Yes, I asked for this")
        await self.page.wait_for_url("**/connect/proof")
        shown = await self.page.locator(".code [aria-hidden]").inner_text()
        assert await self.town.bot.proofs.confirm(self.redis, user, shown) is None
        # Either the page has noticed by itself, or the person says so; both lead on.
        await self.page.goto(self.town.site.base_url + "/connect/proof")
        await self.page.locator("#proof-continue").click()
        if not provider:
            await self.page.wait_for_url("**/connections")

    async def decide(self, answer: str) -> None:
        """At a stand-in's consent page; ends on the page of the site it leads to."""
        await self.page.wait_for_url(self.town.standins + "/**")
        await self.press(answer)
        await self.page.wait_for_url(self.town.site.base_url + "/**")

    async def reach(self, provider: str, key: str) -> Locator:
        """Find a control of a card, and open the fold that it is in."""
        control = self.page.locator(f"#conn-{provider}-{key}")
        await control.wait_for(state="attached")
        if not await control.is_visible():
            await self.page.locator(f"#conn-{provider} > details:not([open]) > summary").click()
        return control

    async def press_on(self, provider: str, key: str) -> None:
        await (await self.reach(provider, key)).click()

    async def card(self, provider: str, state: str) -> None:
        """Wait until the card stands in the state."""
        await self.page.locator(f'#conn-{provider}[data-state="{state}"]').wait_for()

    async def focused(self) -> str:
        """The id of the focused element, its tag where it has none."""
        element = "document.activeElement"
        return str(await self.page.evaluate(f"{element}.id || {element}.tagName.toLowerCase()"))

    async def focuses(self, wanted: str) -> None:
        """Wait until the element of that id has the focus."""
        await self.page.locator(f"#{wanted}:focus").wait_for(state="attached")

    async def fits(self) -> None:
        """Nothing is wider than the screen."""
        await self.page.wait_for_load_state()
        root = "document.documentElement"
        wide, room = await self.page.evaluate(f"[{root}.scrollWidth, {root}.clientWidth]")
        assert wide <= room, f"{self.page.url} is {wide} wide in {room}"

    async def is_accessible(self, width: int = NARROWEST) -> None:
        """axe finds nothing, in light and in dark; only colours differ between the two.

        A test of several widths asks at the narrowest alone, and a build machine at all.
        """
        if width != NARROWEST and "REQUIRE_BROWSER" not in os.environ:
            return
        await self._has_no_finding(AXE_RULES)
        await self.page.emulate_media(color_scheme="dark")
        await self._has_no_finding(AXE_COLOURS)
        await self.page.emulate_media(color_scheme="light")

    async def _has_no_finding(self, rules: dict[str, Any]) -> None:
        found = await Axe().run(self.page, options=rules)
        assert found.violations_count == 0, f"{self.page.url}: {found.generate_report()}"


@asynccontextmanager
async def window(
    browser: Browser, town: Town, redis: Redis, *, script: bool = True, width: int = 1280
) -> AsyncIterator[Window]:
    """A window that must have had nothing to complain about when it closes."""
    context: BrowserContext = await browser.new_context(
        java_script_enabled=script, viewport={"width": width, "height": 640 if width < 500 else 900}
    )
    context.set_default_timeout(10_000)
    opened = Window(await context.new_page(), town, redis, script)
    try:
        yield opened
        assert opened.complaints == [], "\n".join(opened.complaints)
        foreign = {
            url
            for url in opened.requested
            if not url.startswith((town.site.base_url + "/", town.standins + "/"))
        }
        assert foreign == set()
    finally:
        await context.close()
