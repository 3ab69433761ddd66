"""A page notices by itself what other tabs, the chat or the service changed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from playwright.async_api import Browser, Page, expect
from redis.asyncio import Redis

from tests.kit import browser, hosted
from tests.kit.hosted import Desk, Host, desk

pytestmark = pytest.mark.anyio
chromium, housed, host = browser.chromium, hosted.housed, hosted.host

# Whatever the live region says is kept, in order.
LISTEN = """() => {
  window.said = [];
  const region = document.getElementById('announce');
  new MutationObserver(() => region.textContent.trim() && said.push(region.textContent.trim()))
    .observe(region, {childList: true, characterData: true, subtree: true});
}"""


async def look(page: Page) -> int:
    """The person comes back to the page; the status of what it asks."""
    async with page.expect_response(lambda response: "seen=" in response.url) as asked:
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    response = await asked.value
    await response.finished()
    return response.status


@pytest.fixture
async def ann(chromium: Browser, host: Host, redis: Redis) -> AsyncIterator[Desk]:
    """At her connections, with GitHub connected; the page asks when a test says so."""
    async with desk(chromium, host, redis) as opened:
        await opened.window.page.add_init_script("window.setInterval = () => 0")
        await opened.connect("github")
        await opened.window.go("/connections")
        await opened.window.page.evaluate(LISTEN)
        yield opened


async def said(ann: Desk) -> list[str]:
    return list(await ann.window.page.evaluate("window.said"))


async def test_nothing_new_is_no_content_and_touches_nothing(ann: Desk) -> None:
    page = ann.window.page
    card = page.locator("#conn-github")
    await card.evaluate("e => e.isTheSame = true")
    await (await ann.window.reach("github", "check")).focus()
    assert await look(page) == 204
    assert await card.evaluate("e => e.isTheSame")
    assert await ann.window.focused() == "conn-github-check"
    assert await said(ann) == []


async def test_another_tab_that_disconnects_changes_the_card_of_the_first(ann: Desk) -> None:
    page = ann.window.page
    other = await page.context.new_page()
    await other.goto(page.url)
    await other.locator("#conn-github summary").click()
    await other.locator("#conn-github-disconnect").click()
    await other.locator("#conn-github-confirm").click()
    await other.locator('#conn-github[data-state="disconnected"]').wait_for()
    await other.close()
    await page.locator("#conn-google-connect").focus()
    assert await look(page) == 200
    await ann.window.card("github", "disconnected")
    assert await ann.window.focused() == "conn-google-connect"
    await expect(page.locator("#cards-summary")).to_contain_text("Nothing is connected yet.")
    assert await said(ann) == ["GitHub is disconnected."]
    assert await look(page) == 204
    assert await said(ann) == ["GitHub is disconnected."]


async def test_a_title_follows_what_another_tab_has_done(ann: Desk) -> None:
    page = ann.window.page
    await ann.window.press_on("github", "disconnect")
    await page.locator("#conn-github-confirm").click()
    await expect(page).to_have_title("GitHub disconnected \N{EN DASH} Stargazer")
    other = await page.context.new_page()
    await other.goto(page.url)
    await other.locator("#conn-github-connect").click()
    await other.locator('#conn-github[data-state="connected"]').wait_for()
    await other.close()
    assert await look(page) == 200
    await expect(page).to_have_title("GitHub connected \N{EN DASH} Stargazer")
    assert await said(ann) == ["GitHub is connected."]


async def test_a_link_that_is_finished_elsewhere_connects_the_card(ann: Desk) -> None:
    await ann.window.page.locator("a.brand").focus()
    await ann.connect("google")
    assert await look(ann.window.page) == 200
    await ann.window.card("google", "connected")
    assert await said(ann) == ["Google: Connected."]
    assert await ann.window.page.locator("a.brand").evaluate("e => e === document.activeElement")


async def test_a_tab_hears_that_another_waits_at_the_provider_and_comes_back(ann: Desk) -> None:
    page, gate = ann.window.page, ann.fake.gate("authorize")
    await page.locator("a.brand").focus()
    other = await page.context.new_page()
    await other.goto(page.url)
    await other.locator("#conn-google-connect").click(no_wait_after=True)
    await gate.reached()
    assert await look(page) == 200
    await ann.window.card("google", "waiting")
    assert await look(page) == 204
    gate.open()
    await other.locator('#conn-google[data-state="connected"]').wait_for()
    await other.close()
    assert await look(page) == 200
    await ann.window.card("google", "connected")
    assert await said(ann) == ["Waiting for Google.", "Google is connected."]
    assert await page.locator("a.brand").evaluate("e => e === document.activeElement")


async def test_a_provider_that_takes_its_time_is_heard_of_in_the_end(ann: Desk) -> None:
    page, gate = ann.window.page, ann.fake.gate("revoke")
    ann.host.site.manager.patience = 0.01
    await ann.window.press_on("github", "disconnect")
    await page.locator("#conn-github-confirm").click()
    await ann.window.card("github", "disconnecting")
    await ann.window.focuses("conn-github-n")
    assert await look(page) == 204
    gate.open()
    with anyio.fail_after(10):
        while await look(page) == 204:
            pass
    await ann.window.card("github", "disconnected")
    await ann.window.focuses("conn-github-n")
    assert await said(ann) == ["GitHub is disconnected."]


@pytest.mark.parametrize("inside", ["#conn-github-disconnect", "#conn-github summary"])
async def test_a_focus_inside_what_changes_stays_in_the_card(ann: Desk, inside: str) -> None:
    await ann.window.reach("github", "disconnect")
    await ann.window.page.locator(inside).focus()
    await ann.disconnect("github")
    assert await look(ann.window.page) == 200
    await ann.window.card("github", "not_connected")
    await ann.window.focuses("conn-github-t")


async def test_a_question_is_not_taken_away_while_it_is_read(ann: Desk) -> None:
    await ann.window.press_on("github", "disconnect")
    await ann.window.card("github", "asking")
    await ann.disconnect("github")
    assert await look(ann.window.page) == 204
    await ann.window.card("github", "asking")


async def test_trouble_is_not_told_since_nobody_asked(ann: Desk) -> None:
    page = ann.window.page
    await (await ann.window.reach("github", "check")).focus()
    await ann.host.store.go()
    try:
        assert await look(page) == 503
    finally:
        await ann.host.store.come()
    assert await page.locator("#page-alert").inner_text() == ""
    assert await ann.window.focused() == "conn-github-check"
    await ann.window.card("github", "connected")
    assert await look(page) == 204
    ann.window.complaints.clear()  # Chromium reports every 503


async def test_a_session_that_has_ended_takes_the_page_to_signing_in(ann: Desk) -> None:
    """Nothing personal stays on the screen for whoever comes next."""
    await ann.window.page.context.clear_cookies()
    await ann.window.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await ann.window.page.wait_for_url("**/signin?next=/connections")
    ann.window.complaints.clear()


async def test_asking_ends_by_itself(chromium: Browser, host: Host, redis: Redis) -> None:
    async with desk(chromium, host, redis) as ann:
        page = ann.window.page
        await page.clock.install()
        asked: list[str] = []
        answered: list[str] = []
        page.on("request", lambda r: asked.append(r.url) if "seen=" in r.url else None)
        page.on("requestfinished", lambda r: answered.append(r.url) if "seen=" in r.url else None)
        await ann.window.go("/connections")
        for _ in range(24):
            await page.clock.run_for(5_000)
            while len(answered) < len(asked):
                await page.wait_for_event("requestfinished")
            await page.evaluate("new Promise(done => queueMicrotask(done))")  # it was read, too
        assert 20 <= len(asked) <= 24
        count = len(asked)
        await page.clock.run_for(600_000)
        assert len(asked) <= count + 1
        assert count <= 24


async def test_without_the_script_nothing_asks(chromium: Browser, host: Host, redis: Redis) -> None:
    async with desk(chromium, host, redis, script=False) as ann:
        await ann.window.go("/connections")
        await ann.window.card("github", "not_connected")
        await ann.connect("github")
        await ann.window.page.reload()
        await ann.window.card("github", "connected")
        assert not any("seen=" in url for url in ann.window.requested)


HIDE = """is => {
  Object.defineProperty(document, 'hidden', {configurable: true, get: () => is});
  document.dispatchEvent(new Event('visibilitychange'));
}"""


async def test_a_title_tells_no_outcome_while_nobody_looks_and_the_newest_afterwards(
    ann: Desk,
) -> None:
    page = ann.window.page
    await ann.window.press_on("github", "check")
    await expect(page).to_have_title("GitHub checked: working \N{EN DASH} Stargazer")
    await expect(page.locator("#announce")).to_have_text("GitHub checked: working.")
    await page.evaluate(HIDE, True)
    await expect(page).to_have_title("Connections \N{EN DASH} Stargazer")
    await ann.bot.delete_token(ann.redis, "ann", "github", by="chat")
    await page.evaluate(HIDE, False)
    await ann.window.card("github", "not_connected")
    await expect(page).to_have_title("Connections \N{EN DASH} Stargazer")
    await expect(page.locator("#announce")).to_have_text("GitHub: Not connected.")


async def test_the_live_region_is_emptied_by_what_moves_the_focus(ann: Desk) -> None:
    page = ann.window.page
    await ann.window.press_on("github", "check")
    await expect(page.locator("#announce")).to_have_text("GitHub checked: working.")
    await ann.window.press_on("github", "disconnect")
    await ann.window.card("github", "asking")
    await expect(page.locator("#announce")).to_have_text("")
    await expect(page).to_have_title("Disconnect GitHub? \N{EN DASH} Stargazer")


async def group(ann: Desk, provider: str) -> str:
    """The group that a card stands in, by its name."""
    card = ann.window.page.locator(f"#conn-{provider}")
    return str(await card.evaluate("e => e.parentElement.id.replace('group-', '')"))


async def test_news_moves_a_card_to_its_group_and_keeps_the_focus_in_it(ann: Desk) -> None:
    page = ann.window.page
    await page.locator("#conn-google-connect").focus()
    await ann.connect("google")
    assert await look(page) == 200
    await ann.window.card("google", "connected")
    await ann.window.focuses("conn-google-t")
    assert await group(ann, "google") == "connected"
    order = "[...document.querySelectorAll('#group-connected > li')].map(e => e.id)"
    assert await page.evaluate(order) == ["conn-github", "conn-google"]


async def test_news_shows_a_group_with_its_first_card_and_hides_one_without_any(ann: Desk) -> None:
    page = ann.window.page
    await expect(page.get_by_role("heading", name="Connected", exact=True)).to_have_count(1)
    await ann.disconnect("github")
    assert await look(page) == 200
    await expect(page.get_by_role("heading", name="Connected", exact=True)).to_have_count(0)
    assert await group(ann, "github") == "more"
    await ann.connect("github")
    assert await look(page) == 200
    await expect(page.get_by_role("heading", name="Connected", exact=True)).to_have_count(1)


async def test_a_fold_that_is_open_stays_open_over_news_and_its_own_buttons(ann: Desk) -> None:
    page = ann.window.page
    await ann.window.reach("github", "check")
    await ann.connect("google")
    assert await look(page) == 200
    await ann.window.card("google", "connected")
    assert await page.locator("#conn-github > details").evaluate("e => e.open")
    await ann.window.press_on("github", "check")
    await expect(page.locator("#announce")).to_have_text("GitHub checked: working.")
    assert await page.locator("#conn-github > details").evaluate("e => e.open")
    await ann.window.focuses("conn-github-check")


async def test_what_was_just_disconnected_stays_in_its_place_until_the_next_load(ann: Desk) -> None:
    page = ann.window.page
    await ann.window.press_on("github", "disconnect")
    await page.locator("#conn-github-confirm").click()
    await ann.window.card("github", "disconnected")
    assert await group(ann, "github") == "connected"
    await page.reload()
    assert await group(ann, "github") == "just"
