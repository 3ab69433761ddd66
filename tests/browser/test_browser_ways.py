"""Away from a page and back to it: to the provider, with Back and Forward, by loading it again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Browser
from redis.asyncio import Redis
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.kit import browser, hosted
from tests.kit.browser import Town, town, window
from tests.kit.hosted import Desk, Host, desk

pytestmark = pytest.mark.anyio
chromium, housed, host = browser.chromium, hosted.housed, hosted.host
SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])


def detours(app: ASGIApp) -> ASGIApp:
    """A provider that redirects twice, to and fro between two origins, before it asks anything."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        hop, _, rest = scope["path"].removeprefix("/").partition("/")
        hosts = {"first": ("second/", "localhost"), "second": ("", "127.0.0.1")}
        if scope["type"] != "http" or hop not in hosts:
            await app(scope, receive, send)
            return
        onward, name = hosts[hop]
        address = f"http://{name}:{scope['server'][1]}/{onward}{rest}"
        query = scope["query_string"].decode()
        await RedirectResponse(f"{address}?{query}", 302)(scope, receive, send)

    return answer


@pytest.fixture(scope="module")
def roundabout(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("ways")
    with town(redis_url, folder, front=detours, entrance="/first") as made:
        yield made


@SCRIPT
@pytest.mark.parametrize("provider", ["github", "microsoft"])
async def test_a_provider_that_redirects_twice_is_reached(
    chromium: Browser, roundabout: Town, redis: Redis, script: bool, provider: str
) -> None:
    """Decision 2: a redirect of the form's own answer would be stopped by ``form-action``."""
    async with window(chromium, roundabout, redis, script=script) as ann:
        await ann.sign_in("ann")
        await ann.page.locator(f"#conn-{provider}-connect").click()
        await ann.decide("Allow")
        await ann.card(provider, "connected")
        between = {url for url in ann.requested if url.startswith("http://localhost:")}
        assert len(between) == 1
        ann.requested -= between


PAGES = (
    "/connections",
    "/connections/github",
    "/connections/github/disconnect",
    "/connections/github/switch",
    "/activity",
    "/help/permissions",
    "/connections/discord",
    "/nowhere",
    "/signed-out",
)


async def heading(ann: Desk) -> str:
    return await ann.window.page.locator("h1").inner_text()


@pytest.mark.long
@SCRIPT
async def test_every_page_is_the_same_after_back_forward_and_reload(
    chromium: Browser, host: Host, redis: Redis, script: bool
) -> None:
    async with desk(chromium, host, redis, script=script) as ann:
        await ann.connect("github")
        await ann.offer_another("github")
        page, headings = ann.window.page, []
        for path in PAGES:
            await ann.window.go(path)
            headings.append(await heading(ann))
            await page.reload()
            assert await heading(ann) == headings[-1]
        for expected in reversed(headings[:-1]):
            await page.go_back()
            assert await heading(ann) == expected
        for expected in headings[1:]:
            await page.go_forward()
            assert await heading(ann) == expected
        assert len(set(headings)) == len(PAGES)
        ann.window.complaints.clear()  # Chromium reports the 404


@SCRIPT
async def test_the_way_in_from_the_chat_is_the_same_after_back_forward_and_reload(
    chromium: Browser, host: Host, redis: Redis, script: bool
) -> None:
    async with window(chromium, host.town, redis, script=script) as ann:
        page = ann.page
        await ann.go("/signin")
        await page.goto(await ann.town.link(redis, "ann", "github"))
        await ann.press("Yes, I asked for this")
        await page.wait_for_url("**/connect/proof")
        code = await page.locator(".code").inner_text()
        await page.reload()
        assert await page.locator(".code").inner_text() == code
        await page.go_back()  # to the link, which is used and so leads on in this browser
        assert await page.locator(".code").inner_text() == code
        await page.go_back()
        assert await page.locator("h1").inner_text() == "Sign in from your chat with Stella"


@SCRIPT
async def test_what_was_done_is_not_done_again_by_loading_the_page_again(
    chromium: Browser, host: Host, redis: Redis, script: bool
) -> None:
    async with desk(chromium, host, redis, script=script) as ann:
        page = ann.window.page
        await ann.connect("github")
        await ann.window.go("/connections")
        await ann.window.press_on("github", "disconnect")
        await page.locator("#conn-github-confirm").click()
        await ann.window.card("github", "disconnected")
        posts: list[str] = []
        page.on("request", lambda r: posts.append(r.url) if r.method == "POST" else None)
        await page.reload()
        await ann.window.card("github", "disconnected")
        await page.go_back()
        await page.go_forward()
        await ann.window.card("github", "disconnected")
        assert posts == []
        assert host.fake.calls["revoke"] == 1


@SCRIPT
async def test_back_from_a_connection_shows_what_stands_now(
    chromium: Browser, host: Host, redis: Redis, script: bool
) -> None:
    """Over the page that leads to the provider, and over the callback."""
    async with desk(chromium, host, redis, script=script) as ann:
        await ann.window.go("/activity")
        await ann.window.go("/connections")
        await ann.window.page.locator("#conn-github-connect").click()
        await ann.window.focuses("conn-github-n")
        await ann.window.page.go_back()
        await ann.window.card("github", "connected")
        assert ann.window.page.url.endswith("/connections")
        await ann.window.page.go_back()
        assert await heading(ann) == "Activity"


@SCRIPT
async def test_back_after_signing_out_shows_nothing_personal(
    chromium: Browser, host: Host, redis: Redis, script: bool
) -> None:
    async with desk(chromium, host, redis, script=script) as ann:
        page = ann.window.page
        await ann.connect("github")
        for path in ("/connections", "/connections/github", "/activity"):
            await ann.window.go(path)
            assert "mona" in await page.content()
        await ann.window.press("Sign out")
        await page.wait_for_url("**/signed-out")
        for _ in range(3):
            await page.go_back()
            await page.get_by_role("heading", name="Sign in", level=1).wait_for()
            assert "mona" not in await page.content()
        assert await page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
