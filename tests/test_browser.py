"""Whole journeys in a real Chromium, with JavaScript and without."""

from __future__ import annotations

import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict

import pytest
from playwright.async_api import Browser, Route
from redis.asyncio import Redis

from tests.browser import Town, Window, find_chromium, launched, town, window
from tests.library import KEY, connection_key
from webui.oauth_manager import Account, Profile
from webui.oauth_manager.sealing import Sealer

pytestmark = pytest.mark.anyio

LABELS = {
    "discord": "Discord",
    "github": "GitHub",
    "google": "Google",
    "microsoft": "Microsoft",
}
FOREIGN_PAGE = "<h1>502 Bad Gateway</h1><p>canary of a proxy</p>"


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    executable = find_chromium()
    if not executable:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("REQUIRE_BROWSER is set and there is no Chromium (CHROMIUM names one)")
        pytest.skip("there is no Chromium here; CHROMIUM names one")
    async with launched(executable) as browser:
        yield browser


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
    await ann.card(provider, "S4" if answer == "Allow" else "S15")


@pytest.mark.parametrize("width", [320, 1280])
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
        assert await ann.page.locator("h1").inner_text() == "Done. GitHub is connected."
        await ann.fits()
        await ann.press("See or remove this connection", "link")
        await ann.card("github", "S4")
        await ann.fits()
        await ann.go("/connections")
        await connect(ann, "discord", "Deny")
        for provider in ("discord", "google", "microsoft"):
            await connect(ann, provider)
            assert ann.page.url.endswith(f"/connections#conn-{provider}-n")
            assert await ann.focused() == f"conn-{provider}-n"
            await ann.fits()
        assert await ann.page.locator("#conn-summary").inner_text() == "4 connected."
        for provider, state in {"github": "S12", "google": "S12", "microsoft": "S13b"}.items():
            await disconnect(ann, provider, state)
        assert await ann.page.locator("#conn-summary").inner_text() == "1 connected."
        await ann.press("Sign out")
        assert ann.page.url.endswith("/signed-out")
        await ann.fits()


async def disconnect(ann: Window, provider: str, state: str) -> None:
    label = LABELS[provider]
    await ann.press(f"Disconnect {label}", "link")
    await ann.card(provider, "S10")
    await ann.fits()
    if ann.script:
        await ann.focuses(f"conn-{provider}-t")
        await ann.press(f"Keep connected {label}", "link")
        await ann.card(provider, "S4")
        await ann.focuses(f"conn-{provider}-disconnect")
        await ann.press(f"Disconnect {label}", "link")
        await ann.card(provider, "S10")
    await ann.press(f"Disconnect {label}")
    await ann.card(provider, state)
    await ann.focuses(f"conn-{provider}-n")
    await ann.fits()


async def test_a_finished_attempt_leaves_no_code_in_the_address_or_the_history(
    ann: Window,
) -> None:
    """E05"""
    await connect(ann, "google")
    addresses = [ann.page.url]
    while await ann.page.go_back():
        addresses.append(ann.page.url)
    ours = [url for url in addresses if url.startswith(ann.town.site.base_url)]
    assert ours
    assert not any("?" in url or "callback" in url for url in ours)
    ann.complaints.clear()  # the pages of a spent link say 400 and 410


class TestASwap:
    async def test_says_what_happened_once_and_keeps_every_id_unique(self, ann: Window) -> None:
        await connect(ann, "github")
        await ann.press("Disconnect GitHub", "link")
        await ann.card("github", "S10")
        await ann.press("Disconnect GitHub")
        await ann.card("github", "S12")
        ids = await ann.page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids))
        assert ann.page.url.endswith("/connections#conn-github-n")

    async def test_that_a_proxy_answered_leaves_the_card_and_says_so(self, ann: Window) -> None:
        await connect(ann, "github")
        await ann.press("Disconnect GitHub", "link")
        await ann.card("github", "S10")

        async def bad_gateway(route: Route) -> None:
            await route.fulfill(status=502, content_type="text/html", body=FOREIGN_PAGE)

        await ann.page.route("**/disconnect", bad_gateway)
        await ann.press("Disconnect GitHub")
        await ann.page.locator("#page-alert :focus").wait_for()
        assert "canary" not in await ann.page.content()
        assert "could not answer" in await ann.page.locator("#page-alert").inner_text()
        await ann.card("github", "S10")
        ann.complaints.clear()  # Chromium reports every 502

    async def test_that_never_arrived_says_so(self, ann: Window) -> None:
        await connect(ann, "github")
        await ann.page.route("**/connections/github/disconnect", lambda route: route.abort())
        await ann.press("Disconnect GitHub", "link")
        await ann.page.locator("#page-alert :focus").wait_for()
        assert "could not reach" in await ann.page.locator("#page-alert").inner_text()
        await ann.card("github", "S4")
        ann.complaints.clear()

    async def test_after_the_session_ended_leads_to_signing_in(self, ann: Window) -> None:
        """B20: no sign-in page inside a card"""
        await connect(ann, "github")
        await ann.page.context.clear_cookies()
        await ann.press("Disconnect GitHub", "link")
        await ann.page.wait_for_url(re.compile(r"/signin\?next=/connections"))
        assert await ann.page.locator("h1").inner_text() == "Sign in"
        ann.complaints.clear()

    async def test_refused_by_the_server_is_told_in_the_alert(
        self, ann: Window, redis: Redis
    ) -> None:
        """The session's note cannot be put: the key is gone and of another type."""
        await connect(ann, "github")
        await ann.press("Disconnect GitHub", "link")
        await ann.card("github", "S10")
        await redis.config_set("maxmemory", "1")
        try:
            await ann.press("Disconnect GitHub")
            await ann.page.locator("#page-alert :focus").wait_for()
        finally:
            await redis.config_set("maxmemory", "0")
        assert "is not available" in await ann.page.locator("#page-alert").inner_text()
        ann.complaints.clear()

    async def test_pressed_twice_asks_once(self, ann: Window) -> None:
        await connect(ann, "github")
        await ann.press("Disconnect GitHub", "link")
        await ann.card("github", "S10")
        await ann.page.get_by_role("button", name="Disconnect GitHub", exact=True).dblclick()
        await ann.card("github", "S12")
        note = await ann.page.locator("#conn-github-n").inner_text()
        assert note.startswith("GitHub is disconnected.")


class TestBack:
    async def test_after_signing_out_shows_nothing_personal(self, ann: Window) -> None:
        """B09"""
        await connect(ann, "github")
        assert "mona" in await ann.page.content()
        await ann.press("Sign out")
        await ann.page.wait_for_url("**/signed-out")
        for _ in range(3):
            await ann.page.go_back()
            if not ann.page.url.startswith(ann.town.site.base_url):
                break
            await ann.page.wait_for_load_state()
            assert "mona" not in await ann.page.content()
        stored = await ann.page.evaluate("[localStorage.length, sessionStorage.length]")
        assert stored == [0, 0]

    async def test_from_the_provider_shows_the_state_of_now(self, ann: Window) -> None:
        await ann.press("Connect GitHub")
        await ann.page.wait_for_url(ann.town.standins + "/**")
        await ann.go("/connections")
        await ann.card("github", "S1")


class TestAWayBackThatIsAnotherWindows:
    async def test_is_refused_with_a_way_on(
        self, ann: Window, chromium: Browser, redis: Redis
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


class TestTheCode:
    async def test_is_noticed_by_the_page_itself(
        self, chromium: Browser, place_of_all: Town, redis: Redis
    ) -> None:
        async with window(chromium, place_of_all, redis) as phone:
            await phone.page.goto(await phone.town.link(redis, "ann", "github"))
            await phone.press("Yes, I asked for this")
            shown = await phone.page.locator(".code [aria-hidden]").inner_text()
            assert await phone.town.bot.proofs.confirm(redis, "ann", shown) is None
            # As when the person comes back from the chat.
            await phone.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
            await phone.page.locator("#proof-continue").wait_for()
            assert await phone.page.locator("#announce").inner_text() == "Confirmed. You can go on."
            await phone.press("Continue to GitHub")
            await phone.decide("Allow")
            assert phone.page.url.endswith("/connect/done/github")

    async def test_that_has_not_arrived_is_said_so(
        self, chromium: Browser, place_of_all: Town, redis: Redis
    ) -> None:
        async with window(chromium, place_of_all, redis, script=False, width=320) as phone:
            await phone.page.goto(await phone.town.link(redis, "ann"))
            await phone.press("Yes, I asked for this")
            await phone.press("I have sent it")
            assert "has not received the code yet" in await phone.page.content()
            await phone.fits()


@pytest.mark.parametrize("width", [320, 1280])
async def test_every_page_is_accessible_in_light_and_dark(
    chromium: Browser, place_of_all: Town, redis: Redis, width: int
) -> None:
    async with window(chromium, place_of_all, redis, width=width) as ann:
        for path in ("/signin", "/signed-out"):
            await ann.go(path)
            await ann.is_accessible()
        await ann.page.goto(await ann.town.link(redis, "ann", "github"))
        await ann.is_accessible()
        await ann.press("Yes, I asked for this")
        await ann.page.wait_for_url("**/connect/proof")
        await ann.is_accessible()
        await ann.sign_in("ann")
        await ann.is_accessible()
        await connect(ann, "microsoft")
        await connect(ann, "google", "Deny")
        await ann.is_accessible()
        await ann.go("/connections/microsoft")
        await ann.is_accessible()
        await ann.press("Disconnect Microsoft", "link")
        await ann.card("microsoft", "S10")
        await ann.is_accessible()
        await ann.press("Disconnect Microsoft")
        await ann.card("microsoft", "S13b")
        await ann.is_accessible()
        await ann.go("/connections/microsoft/disconnect")
        await ann.is_accessible()
        assert ann.complaints == []
        await ann.go("/nowhere")
        await ann.is_accessible()
        ann.complaints.clear()


async def test_a_hostile_name_from_outside_is_only_text(ann: Window, redis: Redis) -> None:
    """B05: no script runs, nothing is fetched, nothing is wider than the screen"""
    name = (
        "<img src=/canary onerror=alert(1)><a hx-get=/canary hx-trigger=load>\"'{{7*7}}\u202e"
        + "W" * 300
    )
    await connect(ann, "github")
    profile = asdict(Profile(Account("1", name), connected_at=time.time()))
    sealed = Sealer(KEY).seal("connection", "ann", "github", profile)
    await redis.set(connection_key("ann", "github"), sealed)
    await ann.page.set_viewport_size({"width": 320, "height": 640})
    for path in ("/connections", "/connections/github", "/connect/done/github"):
        await ann.go(path)
        assert "<img src=/canary" in await ann.page.locator("main bdi").first.inner_text()
        await ann.fits()
    await ann.go("/connections")
    await ann.press("Disconnect GitHub", "link")
    await ann.card("github", "S10")
    assert not any("canary" in url for url in ann.requested)
