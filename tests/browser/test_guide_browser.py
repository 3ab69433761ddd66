"""The demo's one address in a browser: four presses to a connected service, and steps that tick."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Frame, Locator, Page, expect
from redis.asyncio import Redis

from tests.kit import browser
from tests.kit.browser import AXE_COLOURS, AXE_RULES
from tests.kit.journey import Journey, demo

pytestmark = [pytest.mark.anyio, browser.LEFT_BY_FRAMES]
chromium, collected = browser.chromium, browser.collected
SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
WIDTHS = (320, 390, 800, 1280)
PRESSES = 4
SECONDS = 60


@pytest.fixture
async def journey(redis: Redis, redis_url: str) -> AsyncIterator[Journey]:
    async with demo(redis_url, token_lifetime=3600) as started:
        yield started


@asynccontextmanager
async def guide(
    chromium: Browser, journey: Journey, *, script: bool = True, width: int = 1280
) -> AsyncIterator[Page]:
    """The guide, opened; nothing on it or in its frames may have been complained about."""
    context = await chromium.new_context(
        java_script_enabled=script, viewport={"width": width, "height": 800}
    )
    context.set_default_timeout(10_000)
    page, complaints = await context.new_page(), list[str]()
    page.on("console", lambda said: complaints.append(said.text) if said.type != "log" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(journey.sandbox)
    try:
        yield page
        assert complaints == []
        assert len(context.pages) == 1  # everything happened beside each other
    finally:
        await context.close()


def frame(page: Page, name: str) -> Frame:
    found = page.frame(name)
    assert found
    return found


async def connect(page: Page, *, script: bool) -> int:
    """Go from the open guide to a connected GitHub; returns the number of presses."""
    chat, site = frame(page, "chat"), frame(page, "site")
    presses = 0

    async def press(what: Locator) -> None:
        nonlocal presses
        presses += 1
        await what.click()

    await press(chat.get_by_role("link", name="Connect GitHub"))
    await press(site.get_by_role("button", name="Yes, I asked for this"))
    code = await site.locator(".code [aria-hidden]").inner_text()
    await chat.get_by_role("textbox").fill(code)
    await chat.get_by_role("textbox").press("Enter")
    if not script:
        await chat.get_by_text("That matches.").wait_for()
        await site.get_by_role("button", name="I have sent it").click()
    else:
        await press(site.get_by_role("button", name="Continue to GitHub"))
    await press(site.get_by_role("button", name="Allow"))
    await site.get_by_role("heading", name="GitHub is connected").wait_for()
    return presses


async def test_four_presses_lead_from_the_address_to_a_connected_service(
    chromium: Browser, journey: Journey
) -> None:
    began = monotonic()
    async with guide(chromium, journey) as page:
        assert await connect(page, script=True) == PRESSES
        assert monotonic() - began < SECONDS
        done = frame(page, "steps").get_by_role("status")
        await expect(done).to_have_text("4 of 7 steps done")  # without a press
        chat = frame(page, "chat")
        await chat.get_by_role("button", name="Send whoami github").click()
        await expect(done).to_have_text("5 of 7 steps done")
        await chat.get_by_role("button", name="Send disconnect github").click()
        await chat.get_by_role("button", name="Send connect github").wait_for()


async def test_without_a_script_there_is_a_link_to_look_again(
    chromium: Browser, journey: Journey
) -> None:
    async with guide(chromium, journey, script=False) as page:
        await connect(page, script=False)
        steps, site = frame(page, "steps"), frame(page, "site")
        shown = site.url
        await steps.get_by_role("link", name="Look again").click()
        await expect(steps.get_by_role("status")).to_have_text("4 of 7 steps done")
        assert site.url == shown  # chat and site stay as they are


@SCRIPT
async def test_attacks_and_switches_are_played_beside_chat_and_site(
    chromium: Browser, journey: Journey, script: bool
) -> None:
    async with guide(chromium, journey, script=script) as page:
        steps, site = frame(page, "steps"), frame(page, "site")
        shown = site.url
        for name in ("A stranger's link", "A forwarded link", "A planted account"):
            await steps.get_by_role("button", name=name).click()
        await expect(steps.locator(".note.joined")).to_have_count(3)
        await steps.get_by_role("button", name="GitHub is down").click()
        await steps.get_by_role("button", name="End GitHub's trouble").click()
        await steps.get_by_text("GitHub answers again.").wait_for()
        assert site.url == shown


async def test_on_a_phone_the_page_that_a_link_opens_comes_into_sight(
    chromium: Browser, journey: Journey
) -> None:
    async with guide(chromium, journey, width=390) as page:
        await frame(page, "chat").get_by_role("link", name="Connect GitHub").click()
        await expect(page.locator("#site")).to_be_in_viewport(ratio=0.5)


@pytest.mark.long
@pytest.mark.parametrize("width", WIDTHS)
async def test_the_guide_fits_and_is_accessible(
    chromium: Browser, journey: Journey, width: int
) -> None:
    async with guide(chromium, journey, width=width) as page:
        await frame(page, "steps").get_by_role("button", name="A forwarded link").click()
        await frame(page, "steps").locator(".note").wait_for()
        for each in (page.main_frame, *(frame(page, name) for name in ("steps", "chat", "site"))):
            root = "document.documentElement"
            wide, room = await each.evaluate(f"[{root}.scrollWidth, {root}.clientWidth]")
            assert wide <= room, each.url
        for path in ("", "/guide", "/chat/alice"):
            await page.goto(journey.sandbox + path)
            for scheme, rules in (("light", AXE_RULES), ("dark", AXE_COLOURS)):
                await page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
                found = await Axe().run(page, options=rules | {"iframes": False})
                assert found.violations_count == 0, f"{path}: {found.generate_report()}"


@pytest.mark.long
async def test_the_pages_of_the_stand_ins_fit_and_are_accessible(
    chromium: Browser, journey: Journey
) -> None:
    await journey.connect("google")
    context = await chromium.new_context(viewport={"width": 320, "height": 640})
    page = await context.new_page()
    for path in ("/standins", "/google/settings", "/signon/people", "/chat", "/github/x"):
        await page.goto(journey.sandbox + path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320, path
        if path != "/github/x":
            found = await Axe().run(page, options=AXE_RULES)
            assert found.violations_count == 0, f"{path}: {found.generate_report()}"
    await context.close()
