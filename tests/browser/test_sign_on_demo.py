"""Sign-on in the demo in a real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser
from redis.asyncio import Redis

from tests.kit import browser
from tests.kit.journey import Journey, demo
from webui.text import words

pytestmark = pytest.mark.anyio
chromium = browser.chromium


@pytest.fixture
async def journey(redis: Redis, redis_url: str) -> AsyncIterator[Journey]:
    async with demo(redis_url, token_lifetime=3600) as started:
        yield started


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
async def test_in_a_real_browser_signing_on_and_out_goes_there_and_back(
    chromium: Browser, journey: Journey, script: bool
) -> None:
    """Two sites, their policies and their cookies, as a browser sees them."""
    context = await chromium.new_context(java_script_enabled=script)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(f"{said.type}: {said.text}"))
    await page.goto(f"{journey.site}/signin?next=/support")
    await page.get_by_role("button", name="Sign in with the stand-in").click()
    await page.get_by_role("button", name="Sign in as Carol").click()
    await page.wait_for_url(f"{journey.site}/support")
    kept = {str(c["name"]) for c in await context.cookies(journey.site)}
    # That of the attempt for ten minutes, for other tabs; that a browser is known, for a month.
    assert kept == {"known", "signon", "staff"}
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url(f"{journey.site}/signed-out")
    assert [c["name"] for c in await context.cookies(journey.site)] == ["known"]
    await page.goto(f"{journey.site}/support")
    assert await page.locator("h1").inner_text() == words.text("signin.title")
    assert [said for said in complaints if said.startswith(("error", "warning"))] == []
    await context.close()
