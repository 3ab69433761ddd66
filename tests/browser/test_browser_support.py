"""Support at work in a real browser: finding somebody, looking, and acting for them."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from playwright.async_api import Browser, expect
from redis.asyncio import Redis

from tests.browser.test_keyboard import do, tab_to
from tests.kit import browser, hosted
from tests.kit.browser import window
from tests.kit.hosted import Desk, Host, desk
from tests.kit.support_fixtures import CANARY, records, settle
from webui.oauth_manager import Event
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


async def opened(carol: Desk) -> None:
    """Wait for the page of mona: she alone was found."""
    await carol.window.page.wait_for_url("**/support/people/mona?**")
    await expect(carol.window.page.locator("h1")).to_have_text("Person: mona")


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
        await keys.type("ghost")
        await tab_to(carol, "reason")
        await keys.type(WHY)
        await keys.press("Enter")
        await expect(page.locator("#results-t")).to_contain_text("Nobody found.")
        if script:
            await expect(page.locator("#announce")).to_contain_text("Nobody found.")
            assert await carol.window.focused() == "reason"
        await page.fill("#q", "mona")
        await page.fill("#reason", "")
        await page.locator("#reason").focus()
        await keys.type(WHY)
        await keys.press("Enter")
        await opened(carol)
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
        await expect(page.locator("#results-t")).to_contain_text("Nobody found.")
        await expect(page.locator("#q-fault")).to_have_count(0)
        if script:
            await window.focuses("search-go")
            assert page.url.endswith("/support")
        await search(carol, "mona")
        await opened(carol)

        await page.get_by_text("Narrow the timeline").click()
        await page.select_option("#kind", "support")
        await window.press("Show")
        await expect(page.locator(".event").first).to_contain_text("Support looked")
        await expect(page.locator("#kind")).to_be_visible()
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


@pytest.mark.long
@WIDTHS
async def test_every_page_is_accessible_and_fits(
    chromium: Browser, host: Host, redis: Redis, people: None, width: int
) -> None:
    async with desk(chromium, host, redis, user="carol", width=width) as carol:
        for path in PAGES:
            await carol.window.go(path)
            await carol.window.fits()
            await carol.window.is_accessible(width)
            for details in await carol.window.page.locator("details").all():
                await details.locator("summary").click()
            await carol.window.fits()
        await carol.window.go(f"{MONA}/check?reason=ticket&provider=github")
        await carol.window.page.locator("#act-go").click()
        await carol.window.page.get_by_role("heading", name="Done: Check GitHub").wait_for()
        await carol.window.fits()
        await carol.window.is_accessible(width)
        await carol.window.go("/support")
        await carol.window.page.locator("#search-go").click()
        await carol.window.focuses("q")
        await carol.window.fits()
        await carol.window.is_accessible(width)
        carol.window.complaints.clear()  # Chromium reports the 422 of a search for nothing


@pytest.mark.parametrize("width", [320, 640, 703, 704, 1280])
async def test_every_service_is_named_with_its_state_at_every_width(
    chromium: Browser, host: Host, redis: Redis, people: None, width: int
) -> None:
    async with desk(chromium, host, redis, user="carol", width=width) as carol:
        page = carol.window.page
        await carol.window.go(f"{MONA}?reason=ticket")
        await carol.window.fits()
        problems = page.get_by_role("article")
        names = [
            await card.get_by_role("heading", level=3).inner_text() for card in await problems.all()
        ]
        assert [name.partition(":")[0] for name in names] == ["Discord", "Microsoft", "Google"]
        for card, tag in zip(
            await problems.all(), ["Reconnect needed", "Cannot be read", "Limited"], strict=True
        ):
            await expect(card.locator(".status")).to_have_text(f"Status: {tag}")
        tree = await page.locator("#service-github").aria_snapshot()
        assert "GitHub" in tree
        assert "Status: Connected." in tree


async def test_what_to_tell_them_is_copied_with_its_command(
    chromium: Browser, host: Host, redis: Redis, people: None
) -> None:
    async with desk(chromium, host, redis, user="carol") as carol:
        page = carol.window.page
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await carol.window.go(f"{MONA}?reason=ticket")
        await page.get_by_role("button", name="Copy what to tell them about Discord").click()
        await expect(page.locator("#announce")).to_have_text(words.text("site.copied"))
        copied = await page.evaluate("navigator.clipboard.readText()")
        assert copied == await page.locator("#tell-discord").inner_text()
        assert "connect discord" in copied


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
        await expect(page.get_by_text("What to tell them").first).to_be_visible()
        after = "e => getComputedStyle(e, '::after').content"
        assert "UTC" in await page.locator("time[title]").first.evaluate(after)


async def test_a_search_pressed_twice_is_on_record_once(
    chromium: Browser, host: Host, redis: Redis, people: None
) -> None:
    async with desk(chromium, host, redis, user="carol") as carol:
        await carol.window.go("/support")
        await carol.window.page.locator("#q").fill("mona")
        await carol.window.page.locator("#reason").fill(WHY)
        await carol.window.page.locator("#search-go").dblclick()
        await opened(carol)
        actions = [record["action"] for record in await records(redis)]
        assert actions == ["searched", "viewed"]


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
        title = words.text("signin.heading", bot=host.settings.bot_name)
        assert await opened.page.locator("h1").inner_text() == title
        assert opened.page.url.endswith("/signin?next=/support/people/mona")
        assert words.text("signin.lede_support") in await opened.page.content()


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
        await expect(first).to_contain_text("Support looked at your connections")
        assert "carol" not in await ann.window.page.content()


@SCRIPT
async def test_events_are_under_the_days_of_the_persons_own_zone(
    chromium: Browser, host: Host, redis: Redis, script: bool
) -> None:
    """Of one day in UTC, the second is on the day after in a zone fourteen hours ahead."""
    day = (time.time() // 86_400 - 10) * 86_400
    for hour in (5, 20):
        event = Event("connected", "github", "web", day + hour * 3600)
        await host.town.bot.record(redis, "ann", event)
    async with desk(chromium, host, redis, script=script) as ann:
        page = ann.window.page
        session = await page.context.new_cdp_session(page)
        zone = {"timezoneId": "Pacific/Kiritimati"}
        await session.send("Emulation.setTimezoneOverride", zone)
        await ann.window.go("/activity")
        groups = page.locator("#days > .group")
        assert [await g.locator(".event").count() for g in await groups.all()] == (
            [1, 1] if script else [2]
        )
        shown = await page.locator(".event time").all_inner_texts()
        assert shown == (["10:00", "19:00"] if script else ["20:00", "05:00"])
        if script:
            later = datetime.fromtimestamp(day + 86_400, UTC)
            title = f"{later.day} {later:%B}"
            await expect(groups.first.get_by_role("heading")).to_contain_text(title)
        else:
            await expect(page.get_by_text("All times are UTC.")).to_be_visible()
        await ann.window.fits()
