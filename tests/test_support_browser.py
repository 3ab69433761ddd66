"""The support pages in a real browser: with and without the script, narrow and wide."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import create_server

import pytest
from playwright._impl._api_structures import SetCookieParam
from playwright.async_api import Browser, expect
from redis.asyncio import Redis
from starlette.requests import Request

from tests import browser
from tests.browser import Address, Town, Window, window
from tests.hosted import listening
from tests.library import fake_provider, providers_config
from tests.site_fixtures import site_settings
from tests.support_fixtures import settle
from webui import words
from webui.app import create_app, make_manager
from webui.sessions import Sessions

pytestmark = pytest.mark.anyio
chromium = browser.chromium
WIDTHS = pytest.mark.parametrize("width", [320, 1280])
SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
WHY = "ticket 4411"


@asynccontextmanager
async def carols(
    chromium: Browser, redis_url: str, redis: Redis, *, script: bool = True, width: int = 1280
) -> AsyncIterator[Window]:
    """A window of support's carol, at a site where mona has connections."""
    fake = fake_provider()
    with create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        providers = providers_config(fake, "http://127.0.0.1:9")
        settings = site_settings(
            redis_url, fake, base_url=url, support_users=("carol",), providers_config=providers
        )
        bot = make_manager(settings)
        await settle(bot, redis)
        request = Request({"type": "http", "method": "GET", "path": "/", "headers": []})
        await Sessions(redis, settings).start(request, "carol")
        (given,) = request.scope["webui.session_cookies"].values()
        name, _, value = given.partition(";")[0].partition("=")
        cookie: SetCookieParam = {"name": name, "value": value, "url": url}
        town = Town(Address(url), url, bot)
        async with (
            listening(create_app(settings), listener),
            window(chromium, town, redis, script=script, width=width) as opened,
        ):
            await opened.page.context.add_cookies([cookie])
            yield opened
        await bot.aclose()


async def look(carol: Window, path: str) -> None:
    """Come from outside, where the form is filled in, and press its button."""
    await carol.go(path)
    await carol.page.click("#reason-go")
    await carol.page.wait_for_selector(".lede bdi")


async def search(carol: Window, q: str, reason: str = WHY) -> None:
    await carol.page.fill("#q", q)
    await carol.page.fill("#reason", reason)
    await carol.press("Search")


@WIDTHS
async def test_every_page_fits_and_is_accessible(
    chromium: Browser, redis_url: str, redis: Redis, width: int
) -> None:
    async with carols(chromium, redis_url, redis, width=width) as carol:
        for path in (
            "/support",
            "/support?q=mona&reason=t",
            "/support/people/mona",
            "/support/people/mona?reason=ticket+4411",
            "/support/people/nobody?reason=t",
            "/support/people/mona/preview?reason=t",
            "/support/people/mona/disconnect?provider=github&reason=t",
        ):
            await carol.go(path)
            await carol.fits()
            await carol.is_accessible()
            button = carol.page.locator("#reason-go, #search-go")
            if "reason=" in path and await button.count():
                async with carol.page.expect_response("**/support**"):
                    await button.click()
                await carol.fits()
                await carol.is_accessible()
        await look(carol, "/support/people/mona?reason=t")
        await carol.page.evaluate(
            "document.querySelectorAll('details').forEach(d => d.open = true)"
        )
        await carol.fits()


@SCRIPT
@WIDTHS
async def test_from_a_question_to_what_is_done_about_it(
    chromium: Browser, redis_url: str, redis: Redis, script: bool, width: int
) -> None:
    async with carols(chromium, redis_url, redis, script=script, width=width) as carol:
        page = carol.page
        await carol.go("/support")
        await search(carol, "", WHY)
        await expect(page.locator("#q-fault")).to_have_text(words.text("support.fault.q"))
        await carol.focuses("q")
        assert all("422" in complaint for complaint in carol.complaints)
        carol.complaints.clear()

        await search(carol, "mon")
        await expect(page.locator("#results-t")).to_contain_text("Nobody matches exactly.")
        await expect(page.locator("#q-fault")).to_have_count(0)
        await search(carol, "mona")
        await expect(page.locator("#results-t")).to_have_text("1 person found.")
        if script:
            await expect(page.locator("#announce")).to_have_text("1 person found.")
            await carol.focuses("search-go")
            assert page.url.endswith("/support")

        await carol.press("mona", "link")
        await expect(page.locator("h1")).to_contain_text("mona")
        await page.select_option("#kind", "support")
        await carol.press("Show")
        await expect(page.locator(".happening").first).to_contain_text("Support looked.")
        await carol.press("See their page", "link")
        assert await page.locator(".picture :is(form, button, input)").count() == 0
        await carol.press("Back to mona", "link")

        await carol.press("Disconnect Microsoft", "link")
        await expect(page.locator("#reason")).to_have_value(WHY)
        await page.fill("#reason", "")
        await carol.press("Disconnect Microsoft")
        await expect(page.locator("#reason-fault")).to_be_visible()
        carol.complaints.clear()
        await page.fill("#reason", WHY)
        await carol.press("Disconnect Microsoft")
        await expect(page.locator("h1")).to_have_text("Done: Disconnect Microsoft")
        await carol.card("microsoft", "S13b")
        await carol.fits()


async def test_a_search_needs_no_mouse(chromium: Browser, redis_url: str, redis: Redis) -> None:
    async with carols(chromium, redis_url, redis) as carol:
        keyboard = carol.page.keyboard
        await carol.go("/support")
        await carol.page.focus("#q")
        await keyboard.type("mona")
        await keyboard.press("Tab")
        await keyboard.press("Tab")
        await keyboard.type(WHY)
        await keyboard.press("Enter")
        await expect(carol.page.locator("#results-t")).to_have_text("1 person found.")
        assert await carol.focused() == "reason"
        await keyboard.press("Tab")
        assert await carol.focused() == "search-go"
        await keyboard.press("Tab")
        await keyboard.press("Enter")
        await expect(carol.page.locator("h1")).to_contain_text("mona")


@WIDTHS
async def test_the_table_stays_one_whatever_it_looks_like(
    chromium: Browser, redis_url: str, redis: Redis, width: int
) -> None:
    async with carols(chromium, redis_url, redis, width=width) as carol:
        await look(carol, "/support/people/mona?reason=t")
        await expect(carol.page.get_by_role("table", name="Services")).to_be_visible()
        rows = carol.page.get_by_role("row")
        assert await rows.count() == 1 + 2 * 4
        assert await carol.page.get_by_role("rowheader").all_text_contents() == [
            "Discord",
            "GitHub",
            "Google",
            "Microsoft",
        ]


async def test_print_says_who_printed_and_leaves_the_controls_out(
    chromium: Browser, redis_url: str, redis: Redis
) -> None:
    async with carols(chromium, redis_url, redis) as carol:
        await look(carol, "/support/people/mona?reason=t")
        printed = carol.page.locator(".printed")
        await expect(printed).to_be_hidden()
        await carol.page.emulate_media(media="print")
        await expect(printed).to_contain_text("Printed by carol on ")
        for control in ("header", ".button >> nth=0", "#filter-go"):
            await expect(carol.page.locator(control)).to_be_hidden()
        await expect(carol.page.get_by_text("Ask them to open Connections").first).to_be_visible()
