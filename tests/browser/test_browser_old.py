"""A Chromium of which nothing arrives that older browsers do not send: no ``Sec-Fetch-*``."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Request, Response
from redis.asyncio import Redis
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.browser.test_exchanges import ROWS, Row, control
from tests.kit import browser, hosted
from tests.kit.browser import Window, window
from tests.kit.hosted import Host, desk
from tests.kit.support_fixtures import settle

pytestmark = pytest.mark.anyio
chromium, host = browser.chromium, hosted.host
SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])

HIDDEN: set[bytes] = set()
# One control for each address that a card sends a form to.
CONTROLS = list({row.sends: row for row in reversed(ROWS) if row.sends[:4] == "POST"}.values())


def silent(app: ASGIApp) -> ASGIApp:
    """Take away what only newer browsers send, and of ``HIDDEN`` what an add-on hides."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            hidden = dict.fromkeys(HIDDEN, b"null")
            scope["headers"] = [
                (name, hidden.get(name, value))
                for name, value in scope["headers"]
                if not name.startswith(b"sec-fetch-")
            ]
        await app(scope, receive, send)

    return answer


@pytest.fixture(scope="module")
async def housed(redis_url: str) -> AsyncIterator[Host]:
    async with hosted.hosted(redis_url, silent) as made:
        yield made


def posted(window: Window) -> list[tuple[str, int]]:
    """Every form that was sent from now on, and how it was answered."""
    seen: list[tuple[str, int]] = []

    def note(response: Response) -> None:
        if response.request.method == "POST":
            seen.append((response.url.removeprefix(window.town.site.base_url), response.status))

    window.page.on("response", note)
    return seen


@SCRIPT
@pytest.mark.parametrize("row", CONTROLS, ids=lambda row: row.sends)
async def test_every_button_of_a_card_works(
    chromium: Browser, host: Host, redis: Redis, row: Row, script: bool
) -> None:
    async with desk(chromium, host, redis, script=script) as ann:
        sent = posted(ann.window)
        await row.given(ann)
        await ann.window.go(row.page)
        *first, last = row.buttons.split()
        for button in first:
            await (await control(ann, row, button)).click()
        await (await control(ann, row, last)).wait_for()
        await row.meanwhile(ann)
        async with ann.window.page.expect_response(lambda r: r.request.method == "POST"):
            await (await control(ann, row, last)).click()
        await ann.window.card(row.provider, row.state)
        assert (row.sends.removeprefix("POST "), row.statuses[0 if script else 1]) in sent
        assert not [status for _, status in sent if status >= 400]


@SCRIPT
async def test_a_link_from_chat_leads_through_its_proof_to_the_service_and_out_again(
    chromium: Browser, host: Host, redis: Redis, script: bool
) -> None:
    async with window(chromium, host.town, redis, script=script) as ann:
        sent = posted(ann)
        await ann.sign_in("ann", "github")
        await ann.page.wait_for_url("**/connect/done/github")
        await ann.press("See or remove this connection", "link")
        await ann.press("Sign out")
        await ann.page.wait_for_url("**/signed-out")
        await ann.page.goto(await ann.town.link(redis, "ann", "github"))
        await ann.press("This was not me")
        await ann.page.get_by_role("heading", name="The link is switched off").wait_for()
        await ann.page.goto(await ann.town.link(redis, "ann", "github"))
        await ann.press("Yes, I asked for this")
        await ann.page.wait_for_url("**/connect/proof")
        await ann.press("This was not me")
        await ann.page.get_by_role("heading", name="The link is switched off").wait_for()
        assert len(sent) == 6
        assert not [status for _, status in sent if status >= 400]


@SCRIPT
async def test_support_looks_and_acts(
    chromium: Browser, host: Host, redis: Redis, script: bool
) -> None:
    await settle(host.town.bot, redis)
    async with desk(chromium, host, redis, user="carol", script=script) as carol:
        page = carol.window.page
        await carol.window.go("/support/people/mona?reason=ticket")
        await page.get_by_role("link", name="End all sessions").click()
        sent = posted(carol.window)
        await page.locator("#act-go").click()
        await page.get_by_role("heading", name="Done: ").wait_for()
        assert [status for _, status in sent] == [200]


@SCRIPT
async def test_no_secret_in_an_address_is_told_to_anybody_else(
    chromium: Browser, host: Host, redis: Redis, script: bool
) -> None:
    """And of the link's address not even our own files hear, whose requests a proxy may log."""
    told: dict[str, str] = {}

    def note(request: Request) -> None:
        told[request.url] = request.headers.get("referer", "")

    async with window(chromium, host.town, redis, script=script) as ann:
        ann.page.on("request", note)
        link = await ann.town.link(redis, "ann", "github")
        await ann.page.goto(link)
        code = link.rpartition("/")[2]
        await ann.press("Yes, I asked for this")
        await ann.page.wait_for_url("**/connect/proof")
        shown = await ann.page.locator(".code [aria-hidden]").inner_text()
        assert await ann.town.bot.proofs.confirm(redis, "ann", shown) is None
        await ann.go("/connect/proof")
        await ann.page.locator("#proof-continue").click()
        await ann.page.wait_for_url("**/connect/done/github")
    theirs = {url: referer for url, referer in told.items() if url.startswith(host.town.standins)}
    files = {url: referer for url, referer in told.items() if "/static/" in url}
    callbacks = {url for url in told if "/callback" in url}
    assert theirs
    assert files
    assert callbacks
    assert not any(theirs.values())
    assert any(".svg" in url for url in files), "a sprite says by itself where it is used"
    for secret in ("/callback", code, "code=", "state="):
        assert not [referer for referer in told.values() if secret in referer]


async def test_a_browser_that_says_nothing_is_told_what_helps(
    chromium: Browser, host: Host, redis: Redis
) -> None:
    async with desk(chromium, host, redis, script=False) as ann:
        page = ann.window.page
        await ann.window.go("/connections")
        HIDDEN.add(b"origin")
        await ann.window.press("Sign out")
        heading = "Your browser did not say where this came from"
        await page.get_by_role("heading", name=heading).wait_for()
        HIDDEN.clear()
        await page.get_by_role("link", name="Go back", exact=True).click()
        await page.wait_for_url("**/connections")
        ann.window.complaints.clear()  # Chromium reports the 403


@SCRIPT
async def test_the_buttons_of_an_answer_at_the_callback_work_and_its_code_is_told_to_nobody(
    chromium: Browser, host: Host, redis: Redis, script: bool
) -> None:
    """Its header says no-referrer, under which a form alone would say that it is nobody's."""
    told: list[str] = []
    async with desk(chromium, host, redis, script=script) as ann:
        page = ann.window.page
        sent = posted(ann.window)
        page.on("request", lambda request: told.append(request.headers.get("referer", "")))
        await ann.window.go("/oauth/github/callback?code=canary")
        await ann.window.press("Sign out")
        await page.wait_for_url("**/signed-out")
        assert sent == [("/signout", 303)]
        ann.window.complaints.clear()  # Chromium reports the status of the refusal
    assert told
    assert not any("callback" in referer or "canary" in referer for referer in told)
