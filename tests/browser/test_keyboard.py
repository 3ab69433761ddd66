"""Everything from the keyboard alone; the focus is never lost."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect
from redis.asyncio import Redis

from tests.kit import browser, hosted
from tests.kit.hosted import Desk, Host, desk

pytestmark = pytest.mark.anyio
chromium, housed, host = browser.chromium, hosted.housed, hosted.host
SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])

STOPS = 60
# Of the focused element: whether the ring is drawn, and whether it is on the screen; its name.
LOOKS = """() => {
  const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
  const isSeen = box.height > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0;
  return [e.id || e.textContent.trim(), style.outlineStyle === 'solid' && isSeen];
}"""
ORDER = """() => {
  const after = (a, b) => a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING;
  const now = document.activeElement, was = window.stopBefore;
  window.stopBefore = now;
  return !was || Boolean(after(was, now));
}"""


IN_A_CLOSED_FOLD = """wanted => {
  const fold = document.activeElement.parentElement;
  return fold.matches('details:not([open])') && Boolean(fold.querySelector('#' + wanted));
}"""


async def tab_to(ann: Desk, wanted: str, key: str = "Tab") -> None:
    """Press until the element of that id has the focus; it is never nowhere on the way.

    The fold that it is in is opened with the keyboard, too.
    """
    page = ann.window.page
    for _ in range(STOPS):
        await page.keyboard.press(key)
        if await ann.window.focused() == wanted:
            return
        if await page.evaluate(IN_A_CLOSED_FOLD, wanted):
            await page.keyboard.press("Enter")
    raise AssertionError(f"{wanted} is not reached with {key}")


async def do(ann: Desk, wanted: str, key: str = "Enter") -> None:
    """Go to the control and press it, which leads to a page where there is no script."""
    page = ann.window.page
    await tab_to(ann, wanted)
    if ann.window.script:
        await page.keyboard.press(key)
        return
    async with page.expect_navigation():
        await page.keyboard.press(key)


@SCRIPT
async def test_a_connection_is_made_checked_kept_and_taken_away(
    chromium: Browser, host: Host, redis: Redis, script: bool
) -> None:
    async with desk(chromium, host, redis, script=script) as ann:
        page, keys = ann.window.page, ann.window.page.keyboard
        await ann.window.go("/connections")
        await do(ann, "conn-google-connect")
        await ann.window.card("google", "connected")
        await ann.window.focuses("conn-google-n")

        await do(ann, "conn-google-check", "Space")
        if script:
            await expect(page.locator("#announce")).to_have_text("Google checked: working.")
            await ann.window.focuses("conn-google-check")
        else:
            await ann.window.focuses("conn-google-n")

        await do(ann, "conn-google-disconnect")
        await ann.window.card("google", "asking")
        if script:
            await ann.window.focuses("conn-google-t")
        await do(ann, "conn-google-keep")
        await ann.window.card("google", "connected")
        await ann.window.focuses(f"conn-google-{'disconnect' if script else 't'}")

        if script:
            await keys.press("Enter")
        else:
            await do(ann, "conn-google-disconnect")
        await ann.window.card("google", "asking")
        await do(ann, "conn-google-confirm", "Space")
        await ann.window.card("google", "disconnected")
        await ann.window.focuses("conn-google-n")
        await tab_to(ann, "sign-out", "Shift+Tab")


@SCRIPT
async def test_waiting_is_looked_after_and_given_up(
    chromium: Browser, host: Host, redis: Redis, script: bool
) -> None:
    async with desk(chromium, host, redis, script=script) as ann:
        await ann.note("github", "waiting")
        await ann.window.go("/connections")
        await ann.window.card("github", "waiting")
        await do(ann, "conn-github-check_again")
        if script:
            announced = ann.window.page.locator("#announce")
            await expect(announced).to_have_text("Waiting for GitHub.")
            await ann.window.focuses("conn-github-check_again")
        await do(ann, "conn-github-cancel", "Space")
        await ann.window.card("github", "not_connected")
        await ann.window.focuses("conn-github-t")


@SCRIPT
async def test_what_was_left_off_is_kept_so_or_allowed(
    chromium: Browser, host: Host, redis: Redis, script: bool
) -> None:
    async with desk(chromium, host, redis, script=script) as ann:
        host.fake.scope = "openid"
        await ann.connect("google")
        host.fake.scope = None
        await ann.window.go("/connections")
        await ann.window.card("google", "limited")
        await do(ann, "conn-google-keep_limited")
        await ann.window.card("google", "connected")
        await ann.window.focuses("conn-google-t")
        await do(ann, "conn-google-allow")
        await ann.window.focuses("conn-google-n")
        await expect(ann.window.page.locator("#conn-google-allow")).to_have_count(0)


@SCRIPT
@pytest.mark.parametrize(("button", "account"), [("switch-keep", "mona"), ("switch-use", "hubert")])
async def test_one_of_two_accounts_is_chosen(
    chromium: Browser, host: Host, redis: Redis, script: bool, button: str, account: str
) -> None:
    async with desk(chromium, host, redis, script=script) as ann:
        await ann.connect("github")
        await ann.offer_another("github")
        await ann.window.go("/connections/github/switch")
        await do(ann, button)
        await ann.window.focuses("conn-github-n")
        await expect(ann.window.page.locator("#conn-github .row-who")).to_have_text(account)


async def test_every_stop_of_the_tab_key_is_seen_and_in_the_order_of_the_page(
    chromium: Browser, host: Host, redis: Redis
) -> None:
    async with desk(chromium, host, redis, width=320) as ann:
        await ann.connect("github")
        await ann.connect("google")
        for path in ("/connections", "/connections/github", "/activity"):
            await ann.window.go(path)
            stops = []
            for _ in range(STOPS):
                await ann.window.page.keyboard.press("Tab")
                if await ann.window.focused() == "body":
                    break
                name, is_seen = await ann.window.page.evaluate(LOOKS)
                assert is_seen, name
                assert name
                assert await ann.window.page.evaluate(ORDER), name
                stops.append(name)
            assert stops[0] == "Skip to the content"
            assert len(stops) > 5


async def test_the_skip_link_leads_past_the_navigation(
    chromium: Browser, host: Host, redis: Redis
) -> None:
    async with desk(chromium, host, redis) as ann:
        await ann.window.go("/connections")
        await ann.window.page.keyboard.press("Tab")
        await ann.window.page.keyboard.press("Enter")
        await ann.window.focuses("main")
        await ann.window.page.keyboard.press("Tab")
        focused = ann.window.page.locator(":focus")
        assert await focused.evaluate("e => Boolean(e.closest('main'))")


async def test_permissions_open_and_close_and_keep_the_focus(
    chromium: Browser, host: Host, redis: Redis
) -> None:
    async with desk(chromium, host, redis) as ann:
        await ann.connect("google")
        await ann.window.go("/connections")
        summary = ann.window.page.locator("#conn-google summary")
        details = ann.window.page.locator("#conn-google details")
        for _ in range(STOPS):
            await ann.window.page.keyboard.press("Tab")
            if await summary.evaluate("e => e === document.activeElement"):
                break
        for key, is_open in (("Enter", True), ("Space", False)):
            await ann.window.page.keyboard.press(key)
            assert await details.evaluate("e => e.open") is is_open
            assert await summary.evaluate("e => e === document.activeElement")
