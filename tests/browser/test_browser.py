"""Whole journeys in a real Chromium, with JavaScript and without."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser
from redis.asyncio import Redis

from tests.kit import browser
from tests.kit.browser import Town, Window, town, window

pytestmark = pytest.mark.anyio
chromium = browser.chromium

ALL_WELL = "{} connected. Nothing needs you."
LABELS = {
    "discord": "Discord",
    "github": "GitHub",
    "google": "Google",
    "microsoft": "Microsoft",
}


@pytest.fixture(scope="module")
def place_of_all(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town(redis_url, tmp_path_factory.mktemp("browser")) as made:
        yield made


@pytest.fixture
async def ann(chromium: Browser, place_of_all: Town, redis: Redis) -> AsyncIterator[Window]:
    """ann at a desk, signed in, with JavaScript."""
    async with window(chromium, place_of_all, redis) as opened:
        await opened.sign_in("ann")
        yield opened


async def connect(ann: Window, provider: str, answer: str = "Allow") -> None:
    label = LABELS[provider]
    await ann.press(f"Connect {label}")
    await ann.decide(answer)
    await ann.card(provider, "connected" if answer == "Allow" else "denied")


@pytest.mark.parametrize("width", [320, pytest.param(1280, marks=pytest.mark.long)])
@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
async def test_the_whole_journey(
    chromium: Browser, place_of_all: Town, redis: Redis, script: bool, width: int
) -> None:
    """link, proof, connect all four, deny, keep, disconnect, sign out"""
    async with window(chromium, place_of_all, redis, script=script, width=width) as ann:
        await ann.page.goto(await ann.town.link(redis, "ann"))
        await ann.fits()
        await ann.sign_in("ann", "github")
        await ann.decide("Allow")
        assert ann.page.url.endswith("/connect/done/github")
        assert await ann.page.locator("h1").inner_text() == "GitHub is connected"
        await ann.fits()
        await ann.press("See or remove this connection", "link")
        await ann.card("github", "connected")
        await ann.fits()
        await ann.go("/connections")
        await connect(ann, "discord", "Deny")
        for provider in ("discord", "google", "microsoft"):
            await connect(ann, provider)
            assert ann.page.url.endswith(f"/connections#conn-{provider}-n")
            assert await ann.focused() == f"conn-{provider}-n"
            await ann.fits()
        assert await ann.page.locator("#cards-summary").inner_text() == ALL_WELL.format(4)
        for provider, state in {
            "github": "disconnected",
            "google": "disconnected",
            "microsoft": "own_list",
        }.items():
            await disconnect(ann, provider, state)
        assert await ann.page.locator("#cards-summary").inner_text() == ALL_WELL.format(1)
        await ann.press("Sign out")
        assert ann.page.url.endswith("/signed-out")
        await ann.fits()


async def disconnect(ann: Window, provider: str, state: str) -> None:
    label = LABELS[provider]
    await ann.press_on(provider, "disconnect")
    await ann.card(provider, "asking")
    await ann.fits()
    if ann.script:
        await ann.focuses(f"conn-{provider}-t")
        await ann.press(f"Keep connected {label}", "link")
        await ann.card(provider, "connected")
        await ann.focuses(f"conn-{provider}-disconnect")
        await ann.press(f"Disconnect {label}", "link")
        await ann.card(provider, "asking")
    await ann.press(f"Disconnect {label}")
    await ann.card(provider, state)
    await ann.focuses(f"conn-{provider}-n")
    await ann.fits()


async def test_a_finished_attempt_leaves_no_code_in_the_address_or_the_history(
    ann: Window,
) -> None:
    await connect(ann, "google")
    addresses = [ann.page.url]
    while await ann.page.go_back():
        addresses.append(ann.page.url)
    ours = [url for url in addresses if url.startswith(ann.town.site.base_url)]
    assert ours
    assert not any("?" in url or "callback" in url for url in ours)
    ann.complaints.clear()  # the pages of a spent link say 400 and 410


@pytest.mark.long
async def test_a_way_back_that_is_another_windows_is_refused_with_a_way_on(
    ann: Window, chromium: Browser, redis: Redis
) -> None:
    await ann.press("Connect GitHub")
    await ann.page.wait_for_url(ann.town.standins + "/**")
    async with window(chromium, ann.town, redis) as other:
        await other.page.goto(ann.page.url)
        await other.press("Allow")
        await other.page.wait_for_url(ann.town.site.base_url + "/**")
        assert "GitHub is connected" not in await other.page.content()
        await other.is_accessible()
        other.complaints.clear()  # Chromium reports the status of the refusal
