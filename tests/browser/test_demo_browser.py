"""A browser walks through the whole demo: nothing is blocked, nothing it asks for is missing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from socket import create_server
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import Browser, ConsoleMessage, Page
from redis.asyncio import Redis
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.kit import browser
from tests.kit.hosted import listening
from webui.sandbox.demo import create_demo
from webui.sandbox.demo_secrets import make_secrets

pytestmark = [pytest.mark.anyio, browser.LEFT_BY_FRAMES]
chromium, collected = browser.chromium, browser.collected
SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])


@dataclass
class Demo:
    """Both origins, and every request that either of them refused."""

    site: str
    sandbox: str
    refused: list[str] = field(default_factory=list)

    def watched(self, app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            async def note(message: Message) -> None:
                if message["type"] == "http.response.start" and message["status"] >= 400:
                    self.refused.append(f"{message['status']} {scope['method']} {scope['path']}")
                await send(message)

            await app(scope, receive, note)

        return answer


@pytest.fixture
async def demo(redis_url: str, redis: Redis) -> AsyncIterator[Demo]:
    with create_server(("127.0.0.1", 0)) as own, create_server(("127.0.0.1", 0)) as theirs:
        made = Demo(
            f"http://127.0.0.1:{own.getsockname()[1]}",
            f"http://127.0.0.1:{theirs.getsockname()[1]}",
        )
        apps = create_demo(redis_url, make_secrets(), made.site, made.sandbox, others=["shopify"])
        async with AsyncExitStack() as stack:
            for app, listener in zip(apps, (own, theirs), strict=True):
                await stack.enter_async_context(listening(made.watched(app), listener))
            yield made


async def say(page: Page, demo: Demo, text: str) -> None:
    await page.goto(f"{demo.sandbox}/chat/alice")
    answers = await page.locator("li.bot").count()
    await page.fill("#text", text)
    await page.get_by_role("button", name="Send", exact=True).click()
    await page.locator("li.bot").nth(answers).wait_for()


async def connect(page: Page, demo: Demo, provider: str, **asked: str) -> str:
    """Go from the chat to a connection; return the host at which access is allowed."""
    await say(page, demo, f"connect {provider}")
    link = await page.locator("a.go").last.get_attribute("href")
    assert link
    await page.goto(link)
    for label, value in asked.items():
        await page.get_by_label(label.replace("_", " ")).fill(value)
    await page.get_by_role("button", name="Yes, I asked for this").click()
    shown = await page.locator(".code [aria-hidden]").inner_text()
    await say(page, demo, shown)
    await page.goto(f"{demo.site}/connect/proof")
    await page.locator("#proof-continue").click()
    await page.wait_for_url(f"**/{provider}/**authorize**")
    host = urlsplit(page.url).hostname
    await page.get_by_role("button", name="Allow").click()
    await page.wait_for_url(f"**/connect/done/{provider}")
    return host or ""


async def walk(page: Page, demo: Demo) -> None:
    """Go as Alice from the chat to a connection and out again, as Carol to the support pages."""
    for path in ("/", "/chat", "/signon/people", "/chat/bob"):
        await page.goto(demo.sandbox + path)
    await connect(page, demo, "github")
    for provider in ("github", "google", "discord", "microsoft"):
        await page.goto(f"{demo.sandbox}/{provider}/settings")
    for path in (
        "/connections",
        "/connections/github",
        "/connections/github/disconnect",
        "/activity",
        "/help/permissions",
        "/dev/cards",
        "/oauth/status",
        "/healthz",
        "/readyz",
        "/static/app.css",
    ):
        await page.goto(demo.site + path)
    await page.goto(f"{demo.site}/connections")
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url("**/signed-out")
    await page.goto(f"{demo.site}/signin?next=/support")
    await page.locator("#sign-on").click()
    await page.get_by_role("button", name="Sign in as Carol").click()
    await page.wait_for_url("**/support")
    await page.goto(f"{demo.site}/support/people/alice?reason=ticket")
    assert "github" in (await page.content()).lower()


@pytest.mark.long
@SCRIPT
async def test_the_browser_is_refused_nothing_and_blocks_nothing(
    chromium: Browser, demo: Demo, script: bool
) -> None:
    context = await chromium.new_context(java_script_enabled=script)
    page, said = await context.new_page(), list[str]()

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            said.append(f"{page.url}: {message.text}")

    page.on("console", note)
    page.on("pageerror", lambda error: said.append(f"{page.url}: {error}"))
    await walk(page, demo)
    for origin in (demo.site, demo.sandbox):
        await page.goto(f"{origin}/favicon.ico")
    await context.close()
    assert said == []
    assert demo.refused == []


async def test_no_page_forbids_the_icon_that_browsers_ask_for_by_themselves(demo: Demo) -> None:
    pages = [
        *(demo.sandbox + path for path in ("/", "/chat", "/chat/alice", "/signon/people")),
        *(f"{demo.sandbox}/{name}/settings" for name in ("github", "google")),
        f"{demo.sandbox}/github/login/oauth/authorize?client_id=x",
        *(demo.site + path for path in ("/signin", "/signed-out", "/nowhere", "/healthz")),
    ]
    async with httpx.AsyncClient(trust_env=False) as client:
        for url in pages:
            policy = (await client.get(url)).headers["content-security-policy"]
            assert re.search(r"\bimg-src 'self'(;|$)", policy), url
        for origin in (demo.site, demo.sandbox):
            icon = await client.get(f"{origin}/favicon.ico")
            assert icon.status_code == 200
            assert icon.headers["content-type"] == "image/svg+xml"


async def test_a_browser_finds_a_stand_in_by_the_value_that_it_asks_for(
    chromium: Browser, demo: Demo
) -> None:
    page = await chromium.new_page()
    host = await connect(page, demo, "shopify", Your_shop="blue-shoes")
    assert host == "blue-shoes.shopify.localhost"
    await page.goto(f"{demo.site}/connections/shopify")
    assert "blue-shoes" in await page.locator("main").inner_text()
    await page.context.close()
    assert demo.refused == []
