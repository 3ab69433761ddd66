"""Support at work in a real browser: finding somebody, looking, and acting for them."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect
from redis.asyncio import Redis

from tests.browser.test_keyboard import do, tab_to
from tests.kit import browser, hosted
from tests.kit.browser import window
from tests.kit.hosted import Desk, Host, desk
from tests.kit.support_fixtures import CANARY, settle
from webui.text import words

pytestmark = pytest.mark.anyio
chromium, housed, host = browser.chromium, hosted.housed, hosted.host
SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
WIDTHS = pytest.mark.parametrize("width", [320, 1280])

MONA = "/support/people/mona"
WHY = "ticket 4411"
PAGES = (
    "/support",
    "/support?q=mona&reason=ticket",
    f"{MONA}?reason=ticket",
    f"{MONA}/preview?reason=ticket",
    f"{MONA}/disconnect?reason=ticket&provider=github",
    f"{MONA}/cancel-links?reason=ticket",
    MONA,
    "/support/people/nobody?reason=ticket",
)


@pytest.fixture
async def people(host: Host, redis: Redis) -> None:
    await settle(host.town.bot, redis)
    await host.town.bot.create_link_code(redis, "mona", provider="google")


async def search(carol: Desk, q: str) -> None:
    await carol.window.page.fill("#q", q)
    await carol.window.page.fill("#reason", WHY)
    await carol.window.press("Search")


async def found(carol: Desk) -> None:
    await carol.window.page.locator("#results a").wait_for()


@SCRIPT
async def test_somebody_is_found_looked_at_and_helped_from_the_keyboard_alone(
    chromium: Browser, host: Host, redis: Redis, people: None, script: bool
) -> None:
    async with desk(chromium, host, redis, user="carol", script=script) as carol:
        page, keys = carol.window.page, carol.window.page.keyboard
        await carol.window.go("/support")
        await do(carol, "search-go")
        await carol.window.focuses("q")
        assert "Enter something to search for." in await page.locator("main").inner_text()
        await keys.type("mona")
        await tab_to(carol, "reason")
        await keys.type(WHY)
        await keys.press("Enter")
        await found(carol)
        assert await page.locator("#results-t").inner_text() == "1 person found."
        if script:
            await expect(page.locator("#announce")).to_have_text("1 person found.")
            assert await carol.window.focused() == "reason"
        await page.locator("#results a").focus()
        await keys.press("Enter")
        await page.wait_for_url("**/support/people/mona?**")
        await expect(page.locator("h1")).to_have_text("Person: mona")
        assert CANARY not in await page.content()
        act = page.get_by_role("link", name="Cancel open links")
        await act.focus()
        await keys.press("Enter")
        await page.get_by_role("heading", name="Cancel open links", level=1).wait_for()
        await do(carol, "act-go", "Space")
        await page.get_by_role("heading", name="Done: Cancel open links").wait_for()
        carol.window.complaints.clear()  # Chromium reports the 422 of a search for nothing


@SCRIPT
@WIDTHS
async def test_from_a_question_to_what_is_done_about_it(
    chromium: Browser, host: Host, redis: Redis, people: None, script: bool, width: int
) -> None:
    async with desk(chromium, host, redis, user="carol", script=script, width=width) as carol:
        window, page = carol.window, carol.window.page
        await window.go("/support")
        await search(carol, "")
        await expect(page.locator("#q-fault")).to_have_text(words.text("support.fault.q"))
        await window.focuses("q")

        await search(carol, "mon")
        await expect(page.locator("#results-t")).to_contain_text("Nobody matches exactly.")
        await expect(page.locator("#q-fault")).to_have_count(0)
        await search(carol, "mona")
        await found(carol)
        if script:
            await window.focuses("search-go")
            assert page.url.endswith("/support")

        await window.press("mona", "link")
        await page.select_option("#kind", "support")
        await window.press("Show")
        await expect(page.locator(".happening").first).to_contain_text("Support looked.")
        await window.press("See their page", "link")
        assert await page.locator(".picture :is(form, button, input)").count() == 0
        await window.press("Back to mona", "link")

        await window.press("Disconnect Microsoft", "link")
        await expect(page.locator("#reason")).to_have_value(WHY)
        await page.fill("#reason", "")
        await window.press("Disconnect Microsoft")
        await expect(page.locator("#reason-fault")).to_be_visible()
        await page.fill("#reason", WHY)
        await window.press("Disconnect Microsoft")
        await expect(page.locator("h1")).to_have_text("Done: Disconnect Microsoft")
        await window.card("microsoft", "own_list")
        await window.fits()
        assert all("422" in complaint for complaint in window.complaints)
        window.complaints.clear()


@WIDTHS
async def test_every_page_is_accessible_and_fits(
    chromium: Browser, host: Host, redis: Redis, people: None, width: int
) -> None:
    async with desk(chromium, host, redis, user="carol", width=width) as carol:
        for path in PAGES:
            await carol.window.go(path)
            await carol.window.fits()
            await carol.window.is_accessible(dark=width == 320)
            for details in await carol.window.page.locator("details").all():
                await details.locator("summary").click()
            await carol.window.fits()
        await carol.window.go(f"{MONA}/check?reason=ticket&provider=github")
        await carol.window.page.locator("#act-go").click()
        await carol.window.page.get_by_role("heading", name="Done: Check GitHub").wait_for()
        await carol.window.fits()
        await carol.window.is_accessible(dark=width == 320)
        await carol.window.go("/support")
        await carol.window.page.locator("#search-go").click()
        await carol.window.focuses("q")
        await carol.window.fits()
        await carol.window.is_accessible(dark=width == 320)
        carol.window.complaints.clear()  # Chromium reports the 422 of a search for nothing


@pytest.mark.parametrize("width", [640, 1008, 1024, 1119, 1120])
async def test_the_table_fits_on_either_side_of_where_it_changes(
    chromium: Browser, host: Host, redis: Redis, people: None, width: int
) -> None:
    async with desk(chromium, host, redis, user="carol", width=width) as carol:
        await carol.window.go(f"{MONA}?reason=ticket")
        await carol.window.fits()


@WIDTHS
async def test_the_table_stays_one_whatever_it_looks_like(
    chromium: Browser, host: Host, redis: Redis, people: None, width: int
) -> None:
    async with desk(chromium, host, redis, user="carol", width=width) as carol:
        page = carol.window.page
        await carol.window.go(f"{MONA}?reason=ticket")
        await expect(page.get_by_role("table", name="Services")).to_be_visible()
        assert await page.get_by_role("row").count() == 1 + 2 * 4
        services = await page.get_by_role("rowheader").all_text_contents()
        assert services == ["Discord", "GitHub", "Google", "Microsoft"]


async def test_print_says_who_printed_and_leaves_the_controls_out(
    chromium: Browser, host: Host, redis: Redis, people: None
) -> None:
    async with desk(chromium, host, redis, user="carol") as carol:
        page = carol.window.page
        await carol.window.go(f"{MONA}?reason=ticket")
        printed = page.locator(".printed")
        await expect(printed).to_be_hidden()
        await page.emulate_media(media="print")
        await expect(printed).to_contain_text("Printed by carol on ")
        for control in ("header", ".button >> nth=0", "#filter-go"):
            await expect(page.locator(control)).to_be_hidden()
        await expect(page.get_by_text("Ask them to open Connections").first).to_be_visible()


async def test_a_search_pressed_twice_is_on_record_once(
    chromium: Browser, host: Host, redis: Redis, people: None
) -> None:
    async with desk(chromium, host, redis, user="carol") as carol:
        await carol.window.go("/support")
        await carol.window.page.locator("#q").fill("mona")
        await carol.window.page.locator("#reason").fill(WHY)
        await carol.window.page.locator("#search-go").dblclick()
        await found(carol)
        assert await redis.xlen("stargazer:oauth_audit") == 1


@SCRIPT
async def test_nobody_else_learns_that_these_pages_are_there(
    chromium: Browser, host: Host, redis: Redis, people: None, script: bool
) -> None:
    async with desk(chromium, host, redis, script=script) as ann:
        for path in (*PAGES, "/support/people/mona/preview"):
            await ann.window.go(path)
            assert await ann.window.page.locator("h1").inner_text() == "Page not found"
            assert "mona" not in await ann.window.page.locator("main").inner_text()
        ann.window.complaints.clear()  # Chromium reports each 404


@SCRIPT
async def test_whoever_is_not_signed_in_is_shown_how_to(
    chromium: Browser, host: Host, redis: Redis, people: None, script: bool
) -> None:
    async with window(chromium, host.town, redis, script=script) as opened:
        await opened.go("/support/people/mona?reason=ticket+4411")
        assert await opened.page.locator("h1").inner_text() == "Sign in"
        assert opened.page.url.endswith("/signin?next=/support/people/mona")
        assert "Sign in to open the support pages." in await opened.page.content()


async def test_a_person_sees_in_her_activity_that_support_looked(
    chromium: Browser, host: Host, redis: Redis
) -> None:
    async with desk(chromium, host, redis, user="carol") as carol:
        await carol.connect("github")
        await carol.window.go("/support/people/ann?reason=ticket+4411")
        await expect(carol.window.page.locator("h1")).to_have_text("Person: ann")
    async with desk(chromium, host, redis) as ann:
        await ann.window.go("/activity")
        first = ann.window.page.locator(".event").first
        await expect(first).to_contain_text("Support looked at your connections.")
        assert "carol" not in await ann.window.page.content()


@WIDTHS
async def test_the_table_of_services_is_a_table_at_every_width(
    chromium: Browser, host: Host, redis: Redis, people: None, width: int
) -> None:
    async with desk(chromium, host, redis, user="carol", width=width) as carol:
        await carol.window.go(f"{MONA}?reason=ticket")
        page = carol.window.page
        table = page.get_by_role("table", name="Services")
        assert await table.count() == 1
        assert await table.get_by_role("rowheader").count() >= 4
        assert await table.get_by_role("columnheader").count() == 8
        assert await table.get_by_role("cell").count() >= 20
        tree = await page.locator("table").aria_snapshot()
        assert "- table" in tree
        assert '- rowheader "GitHub"' in tree
