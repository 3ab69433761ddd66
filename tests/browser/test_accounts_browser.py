"""Several accounts of one service in a real browser: each changes where it stands."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect
from redis.asyncio import Redis

from tests.browser.test_browser_news import look
from tests.kit import browser, hosted
from tests.kit.hosted import Desk, Host, desk

pytestmark = [pytest.mark.anyio, browser.LEFT_BY_FRAMES]
chromium, housed, host = browser.chromium, hosted.housed, hosted.host
SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])


async def connect_two(ann: Desk) -> None:
    """Connect GitHub as mona, and beside it as hubert."""
    await ann.connect("github")
    await add_hubert(ann)


async def add_hubert(ann: Desk) -> None:
    """Put hubert beside the account of GitHub that is connected."""
    await ann.offer_another("github")
    offer = await ann.bot.switch_offer(ann.redis, "ann", "github")
    assert offer
    answer = {"offer": offer.id, "use_new": False, "add": True}
    await ann.bot.switch(ann.redis, "ann", "github", **answer)  # type: ignore[arg-type]


@SCRIPT
async def test_a_name_is_changed_on_the_page_of_the_account(
    chromium: Browser, host: Host, redis: Redis, script: bool
) -> None:
    async with desk(chromium, host, redis, script=script) as ann:
        await connect_two(ann)
        page = ann.window.page
        await ann.window.go("/connections/github~hubert")
        loads: list[str] = []
        page.on("request", lambda r: loads.append(r.url) if r.is_navigation_request() else None)
        name = page.get_by_label("Name of this account")
        await name.fill("mona")
        await name.press("Enter")
        await expect(page.locator("#account-refused")).to_contain_text("no other account")
        name = page.get_by_label("Name of this account")
        if script:
            await expect(name).to_be_focused()
        await name.fill("Work")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator("h1")).to_have_text("GitHub (Work)")
        await expect(page.locator("#account-refused")).to_have_count(0)
        await page.get_by_role("button", name="Use by default").click()
        again = page.get_by_role("button", name="Ask me each time")
        await expect(again).to_be_visible()
        if script:
            assert loads == []
            await expect(again).to_be_focused()
            await expect(page.locator("#announce")).to_contain_text("uses this account now")
        assert await ann.bot.get_token("ann", "github", ann.redis)
        ann.window.complaints.clear()  # of a 400


async def test_a_card_of_one_of_several_keeps_its_fold_and_the_focus(
    chromium: Browser, host: Host, redis: Redis
) -> None:
    async with desk(chromium, host, redis) as ann:
        await connect_two(ann)
        page = ann.window.page
        await ann.window.go("/connections")
        card = page.locator("[id='conn-github~']")
        await card.locator("summary").first.click()
        await card.get_by_role("button", name="Check now").click()
        await expect(page.locator("#announce")).to_contain_text("checked: working")
        await expect(card.locator("details[open]").first).to_be_visible()
        await expect(card.get_by_role("button", name="Check now")).to_be_focused()


async def test_the_longest_name_fits_on_the_pages_and_in_the_row_of_its_account(
    chromium: Browser, host: Host, redis: Redis
) -> None:
    async with desk(chromium, host, redis, width=320) as ann:
        await connect_two(ann)
        await ann.bot.rename_account(redis, "ann", "github", "~hubert", 32 * "W")
        page = ann.window.page
        for ended in (False, True):
            if ended:
                await page.get_by_role("button", name="Disconnect").click()
                await expect(page.locator("main")).to_contain_text("is disconnected")
            for width in (1280, 320):
                await page.set_viewport_size({"width": width, "height": 700})
                for path in ("", "/github~hubert", "/github~hubert/disconnect"):
                    await ann.window.go(f"/connections{path}")
                    await ann.window.fits()
                    for name in await page.locator(".row-name").filter(has_text="WWW").all():
                        assert await name.evaluate(
                            """e => e.getBoundingClientRect().right
                                 <= e.parentElement.getBoundingClientRect().right"""
                        )


async def test_an_open_list_gets_an_account_that_was_added_and_loses_one_that_ended(
    chromium: Browser, host: Host, redis: Redis
) -> None:
    async with desk(chromium, host, redis) as ann:
        page = ann.window.page
        await page.add_init_script("window.setInterval = () => 0")
        await ann.connect("github")
        await ann.window.go("/connections")
        await add_hubert(ann)
        rows = page.locator("#group-connected > li h3 .row-name")
        assert await look(page) == 200
        await expect(rows).to_have_text(["GitHub (hubert)", "GitHub (mona)"])
        await expect(page.locator("#conn-github")).to_have_count(0)
        await page.locator("[id='conn-github~hubert'] summary").first.focus()
        await ann.bot.delete_token(redis, "ann", "github", account="hubert")
        assert await look(page) == 200
        await expect(rows).to_have_text(["GitHub (mona)"])
        await expect(page.locator("#cards-summary")).to_contain_text("1 connected")
        assert await ann.window.focused() == "main"
        assert await look(page) == 204


async def test_what_came_of_a_disconnect_stands_where_the_account_was(
    chromium: Browser, host: Host, redis: Redis
) -> None:
    async with desk(chromium, host, redis) as ann:
        page = ann.window.page
        await page.add_init_script("window.setInterval = () => 0")
        await connect_two(ann)
        await ann.window.go("/connections")
        card = page.locator("[id='conn-github~hubert']")
        await card.locator("summary").first.click()
        await card.get_by_role("link", name="Disconnect").click()
        await card.get_by_role("button", name="Disconnect").click()
        await expect(card).to_contain_text("is disconnected")
        assert await look(page) == 204
        await expect(card).to_contain_text("is disconnected")
