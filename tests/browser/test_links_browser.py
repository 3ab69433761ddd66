"""The chat link on a small phone, in a real Chromium: with JavaScript and without."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser
from redis.asyncio import Redis
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.kit import browser
from tests.kit.browser import CLIENT, Town, Window, window
from tests.kit.fake_provider import serve
from tests.kit.library import BUILT_IN, KEY
from tests.kit.site_fixtures import free_port, serving, site_environment
from webui.oauth_manager import OAuthManager
from webui.sandbox.standins import create_standins, endpoints

pytestmark = pytest.mark.anyio
chromium = browser.chromium

WIDTH, HEIGHT = 360, 640
SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
LANDING, PROVIDERS_OWN = "our landing page", "the provider's own address"


@contextmanager
def settled(redis_url: str, folder: Path, **environment: str) -> Iterator[Town]:
    """A town whose providers are another site to the browser, as in life: cookies have to cross."""
    base_url = f"http://127.0.0.1:{free_port()}"
    made: list[ASGIApp] = []

    async def providers(scope: Scope, receive: Receive, send: Send) -> None:
        await made[0](scope, receive, send)

    with serve(providers) as served:
        standins = served.replace("127.0.0.1", "localhost")
        config: dict[str, dict[str, Any]] = {
            name: {**urls, "client_id": CLIENT[0], "client_secret": CLIENT[1]}
            for name, urls in endpoints(standins).items()
        }
        clients = {name: (*CLIENT, f"{base_url}/oauth/{name}/callback") for name in config}
        made.append(create_standins(standins, clients=clients))
        settings = site_environment(base_url, redis_url, config) | environment
        with serving(settings, folder) as site:
            yield Town(site, standins, OAuthManager(KEY, base_url, config))


@pytest.fixture(scope="module")
def abroad(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with settled(redis_url, tmp_path_factory.mktemp("links")) as made:
        yield made


@pytest.fixture(scope="module")
def team(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A team for whom the browser's word is enough."""
    folder = tmp_path_factory.mktemp("team")
    with settled(redis_url, folder, LINK_PROOF="confirm") as made:
        yield made


async def address(phone: Window, way: str, user: str = "ann", provider: str = "github") -> str:
    """The link that the bot gives the person."""
    if way == LANDING:
        return await phone.town.link(phone.redis, user, provider)
    return await phone.town.bot.generate_connect_url(user, provider, phone.redis)


async def to_the_code(phone: Window, way: str) -> str:
    """Go from the chat to the code that the page shows."""
    await phone.page.goto(await address(phone, way, "ann"))
    if way == LANDING:
        await phone.press("Yes, I asked for this")
    else:
        await phone.decide("Allow")
    await phone.page.wait_for_url("**/connect/proof")
    return await phone.page.locator(".code [aria-hidden]").inner_text()


async def send(phone: Window, code: str, user: str = "ann") -> bool:
    return await phone.town.bot.proofs.confirm(phone.redis, user, code) is None


async def is_on_the_first_screen(phone: Window, name: str) -> None:
    """The button of that name is seen whole before anybody scrolls."""
    box = await phone.page.get_by_role("button", name=name, exact=True).bounding_box()
    assert box
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= HEIGHT, f"{name} ends at {box['y'] + box['height']}"
    assert box["x"] + box["width"] <= WIDTH
    assert box["height"] >= 24, "WCAG 2.2, 2.5.8"


async def is_good(phone: Window) -> None:
    await phone.fits()
    await phone.is_accessible()


@SCRIPT
class TestOnASmallPhone:
    async def test_the_landing_page_leads_to_done(
        self, chromium: Browser, abroad: Town, redis: Redis, script: bool
    ) -> None:
        async with window(chromium, abroad, redis, script=script, width=WIDTH) as phone:
            await phone.page.goto(await address(phone, LANDING))
            await phone.fits()
            await phone.press("Yes, I asked for this")
            await phone.page.wait_for_url("**/connect/proof")
            await phone.fits()
            if not script:
                await phone.press("I have sent it")
                await phone.page.get_by_text("has not received the code yet").wait_for()
                await phone.fits()
            code = await phone.page.locator(".code [aria-hidden]").inner_text()
            assert await send(phone, code)
            await phone.go("/connect/proof")
            await is_on_the_first_screen(phone, "Continue to GitHub")
            await phone.press("Continue to GitHub")
            await phone.decide("Allow")
            await phone.page.wait_for_url("**/connect/done/github")
            await phone.fits()
            assert await phone.page.locator("h1").inner_text() == "GitHub is connected"
            assert await phone.town.bot.has_token("ann", "github", redis)
            await phone.press("See or remove this connection", "link")
            await phone.card("github", "connected")

    async def test_the_providers_own_address_leads_to_done(
        self, chromium: Browser, abroad: Town, redis: Redis, script: bool
    ) -> None:
        async with window(chromium, abroad, redis, script=script, width=WIDTH) as phone:
            code = await to_the_code(phone, PROVIDERS_OWN)
            await phone.fits()
            assert "?" not in phone.page.url
            assert not await phone.town.bot.has_token("ann", "github", redis)
            assert await send(phone, code)
            await phone.go("/connect/proof")
            await phone.press("Go on with GitHub")
            await phone.page.wait_for_url("**/connections/github/switch")
            assert await phone.page.locator(".lede code").inner_text() == "mona"
            await phone.fits()
            for name in ("Yes, that is me", "No"):
                await is_on_the_first_screen(phone, name)
            await phone.press("Yes, that is me")
            await phone.page.wait_for_url("**/connect/done/github")
            assert await phone.page.locator("h1").inner_text() == "GitHub is connected"
            await phone.fits()

    async def test_sending_the_code_and_saying_so_is_enough(
        self, chromium: Browser, abroad: Town, redis: Redis, script: bool
    ) -> None:
        async with window(chromium, abroad, redis, script=script, width=WIDTH) as phone:
            assert await send(phone, await to_the_code(phone, LANDING))
            await phone.page.locator("#proof-sent:visible, #proof-continue").click()
            await phone.decide("Allow")
            await phone.page.wait_for_url("**/connect/done/github")

    @pytest.mark.parametrize("provider", [*BUILT_IN, ""])
    async def test_both_answers_are_on_the_first_screen(
        self, chromium: Browser, abroad: Town, redis: Redis, script: bool, provider: str
    ) -> None:
        async with window(chromium, abroad, redis, script=script, width=WIDTH) as phone:
            await phone.page.goto(await address(phone, LANDING, provider=provider))
            for name in ("Yes, I asked for this", "This was not me"):
                await is_on_the_first_screen(phone, name)
            sizes = [
                await phone.page.locator(button).bounding_box()
                for button in ("#link-yes", "#link-no")
            ]
            assert sizes[0]
            assert sizes[1]
            assert sizes[0]["width"] == sizes[1]["width"], "as prominent as each other"
            assert sizes[0]["height"] == sizes[1]["height"]

    async def test_the_code_and_what_to_do_with_it_are_on_the_first_screen(
        self, chromium: Browser, abroad: Town, redis: Redis, script: bool
    ) -> None:
        async with window(chromium, abroad, redis, script=script, width=WIDTH) as phone:
            await to_the_code(phone, LANDING)
            copy = phone.page.get_by_role("button", name="Copy code")
            sent = phone.page.get_by_role("button", name="I have sent it")
            assert await copy.is_visible() == script
            assert await sent.is_visible() == (not script)
            await is_on_the_first_screen(phone, "Copy code" if script else "I have sent it")
            if not script:
                await phone.press("I have sent it")
                await phone.page.get_by_text("has not received the code yet").wait_for()
                await is_on_the_first_screen(phone, "I have sent it")

    async def test_one_tap_selects_the_code_and_nothing_else(
        self, chromium: Browser, abroad: Town, redis: Redis, script: bool
    ) -> None:
        async with window(chromium, abroad, redis, script=script, width=WIDTH) as phone:
            code = await to_the_code(phone, LANDING)
            await phone.page.locator(".code").click()
            assert await phone.page.evaluate("getSelection().toString().trim()") == code
            await phone.page.keyboard.press("Control+a")
            everything = await phone.page.evaluate("getSelection().toString()")
            assert code in everything
            assert ", ".join(code.replace(" ", "")) not in everything

    async def test_pressing_yes_twice_leads_to_the_code(
        self, chromium: Browser, abroad: Town, redis: Redis, script: bool
    ) -> None:
        async with window(chromium, abroad, redis, script=script, width=WIDTH) as phone:
            await phone.page.goto(await address(phone, LANDING))
            yes = phone.page.locator("#link-yes")
            if script:  # it sends a form once, however far apart the two presses are
                await yes.dblclick()
            else:  # two presses before the browser has sent anything are one
                await yes.evaluate("button => { button.click(); button.click(); }")
            await phone.page.wait_for_url("**/connect/proof")
            await phone.page.locator(".code").wait_for()

    async def test_the_answer_no_ends_it(
        self, chromium: Browser, abroad: Town, redis: Redis, script: bool
    ) -> None:
        async with window(chromium, abroad, redis, script=script, width=WIDTH) as phone:
            link = await address(phone, LANDING)
            await phone.page.goto(link)
            await phone.press("This was not me")
            await phone.page.get_by_text("The link is switched off").wait_for()
            await phone.fits()
            assert await phone.page.goto(link)
            await phone.fits()
            assert "no longer works" in await phone.page.locator("h1").inner_text()
            phone.complaints.clear()  # Chromium reports the status of a dead link


class TestWithoutTheScript:
    async def test_saying_too_early_that_it_is_sent_changes_the_page_each_time(
        self, chromium: Browser, abroad: Town, redis: Redis
    ) -> None:
        async with window(chromium, abroad, redis, script=False, width=WIDTH) as phone:
            await to_the_code(phone, LANDING)
            shown = []
            note = phone.page.locator("#proof .note")
            for _ in range(3):
                await phone.press("I have sent it")
                shown.append(await note.inner_text())
                assert await note.evaluate("e => e === document.activeElement")
            assert len(set(shown)) == 3
            assert (await phone.page.title()).startswith("Code not received yet \N{EN DASH} ")


class TestCopying:
    @pytest.fixture
    async def phone(self, chromium: Browser, abroad: Town, redis: Redis) -> AsyncIterator[Window]:
        async with window(chromium, abroad, redis, width=WIDTH) as opened:
            await opened.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
            yield opened

    async def test_puts_the_code_on_the_clipboard_and_says_so(self, phone: Window) -> None:
        code = await to_the_code(phone, LANDING)
        await phone.press("Copy code")
        await phone.page.locator("#announce", has_text="Copied").wait_for(state="attached")
        assert await phone.page.evaluate("navigator.clipboard.readText()") == code
        assert await phone.page.get_by_role("button", name="Copied", exact=True).is_visible()
        await phone.page.get_by_role("button", name="Copy code", exact=True).wait_for()

    async def test_copies_the_words_to_send_from_the_sign_in_page(self, phone: Window) -> None:
        await phone.go("/signin")
        await phone.press("Copy connect")
        await phone.page.locator("#announce", has_text="Copied").wait_for(state="attached")
        assert await phone.page.evaluate("navigator.clipboard.readText()") == "connect"

    async def test_in_a_browser_without_a_clipboard_marks_the_text(self, phone: Window) -> None:
        """On plain http but on loopback, and in older browsers."""
        await phone.page.add_init_script(
            "Object.defineProperty(navigator, 'clipboard', {value: undefined})"
        )
        code = await to_the_code(phone, LANDING)
        await phone.press("Copy code")
        await phone.page.locator("#announce", has_text=re.compile("Copied|Selected")).wait_for(
            state="attached"
        )
        assert await phone.page.evaluate("getSelection().toString().trim()") == code

    async def test_of_what_the_browser_refuses_says_that_it_is_only_marked(
        self, phone: Window
    ) -> None:
        await phone.page.add_init_script(
            "Object.defineProperty(navigator, 'clipboard', {value: undefined});"
            "document.execCommand = () => false"
        )
        code = await to_the_code(phone, LANDING)
        await phone.press("Copy code")
        marked = phone.page.locator("#announce", has_text="Selected. Copy it now.")
        await marked.wait_for(state="attached")
        assert await phone.page.evaluate("getSelection().toString().trim()") == code
        assert await phone.page.get_by_role("button", name="Copy code", exact=True).is_visible()


class TestThePageThatWaits:
    @pytest.fixture
    async def phone(self, chromium: Browser, abroad: Town, redis: Redis) -> AsyncIterator[Window]:
        async with window(chromium, abroad, redis, width=WIDTH) as opened:
            yield opened

    async def test_asks_by_itself_until_the_code_has_arrived(self, phone: Window) -> None:
        """Nothing else happens to the page: no click, no event, no jump."""
        code = await to_the_code(phone, PROVIDERS_OWN)
        assert await phone.page.get_by_text("Waiting for your message").is_visible()
        assert await send(phone, code)
        await phone.page.locator("#proof-continue").wait_for()
        said = await phone.page.locator("#announce").inner_text()
        assert said == "Confirmed. Stella has your code. You can go on."
        assert (await phone.page.title()).startswith("Confirmed \N{EN DASH} ")
        assert await phone.page.locator("h1").inner_text() == "Confirmed"
        assert phone.page.url.endswith("/connect/proof")
        assert await phone.page.locator(".code").count() == 0
        assert not await phone.town.bot.has_token("ann", "github", phone.redis)
        await phone.press("Go on with GitHub")
        await phone.page.wait_for_url("**/connections/github/switch")
        assert not await phone.town.bot.has_token("ann", "github", phone.redis)
        await phone.press("Yes, that is me")
        await phone.page.wait_for_url("**/connect/done/github")

    async def test_without_htmx_has_the_button_that_asks(self, phone: Window) -> None:
        """A filter in the network lets one file through and not the other."""
        await phone.page.route("**/htmx-*", lambda route: route.abort())
        assert await send(phone, await to_the_code(phone, LANDING))
        assert not await phone.page.get_by_text("Waiting for your message").is_visible()
        await phone.press("I have sent it")
        await phone.page.wait_for_url(phone.town.standins + "/**")
        phone.complaints.clear()  # Chromium reports the file that did not load

    async def test_gives_the_focus_on_and_never_loses_it(self, phone: Window) -> None:
        code = await to_the_code(phone, LANDING)
        await phone.page.get_by_role("button", name="Copy code").focus()
        assert await send(phone, code)
        await phone.focuses("proof-continue")
        await phone.page.keyboard.press("Enter")
        await phone.page.wait_for_url(phone.town.standins + "/**")

    async def test_leaves_a_focus_outside_alone(self, phone: Window) -> None:
        code = await to_the_code(phone, LANDING)
        brand = phone.page.locator("a.brand")
        await brand.focus()
        assert await send(phone, code)
        await phone.page.locator("#proof-continue").wait_for()
        assert await brand.evaluate("e => e === document.activeElement")

    async def test_changes_to_a_dead_link_after_five_wrong_codes(self, phone: Window) -> None:
        await to_the_code(phone, LANDING)
        for wrong in ("BCDFGH", "BCDFGJ", "BCDFGK", "BCDFGM", "BCDFGN"):
            assert not await send(phone, wrong)
        await phone.page.get_by_role("heading", name="no longer works").wait_for()
        assert await phone.page.get_by_text("For a new link, send this to Stella").is_visible()
        phone.complaints.clear()  # Chromium reports the status of a dead link

    async def test_does_not_deny_what_was_done_when_the_person_goes_back(
        self, phone: Window
    ) -> None:
        assert await send(phone, await to_the_code(phone, PROVIDERS_OWN))
        await phone.go("/connect/proof")
        await phone.press("Go on with GitHub")
        await phone.press("Yes, that is me")
        await phone.page.wait_for_url("**/connect/done/github")
        await phone.page.go_back()
        await phone.page.wait_for_load_state()
        text = await phone.page.locator("main").inner_text()
        assert "nothing was connected" not in text.lower()
        phone.complaints.clear()


class TestAnotherPhone:
    async def test_cannot_go_on_from_any_address_of_the_first(
        self, chromium: Browser, abroad: Town, redis: Redis
    ) -> None:
        async with (
            window(chromium, abroad, redis, width=WIDTH) as first,
            window(chromium, abroad, redis, width=WIDTH) as second,
        ):
            code = await to_the_code(first, LANDING)
            await second.page.goto(first.page.url)
            assert code not in await second.page.content()
            await second.page.get_by_role("heading", name="in another browser").wait_for()
            assert await send(first, code)
            await first.go("/connect/proof")
            await first.press("Continue to GitHub")
            await first.page.wait_for_url(abroad.standins + "/**")
            await second.page.goto(first.page.url)
            await second.decide("Allow")
            assert not await first.town.bot.has_token("ann", "github", redis)
            await first.decide("Allow")
            await second.page.goto(first.page.url)
            await second.page.wait_for_url("**/signin**")
            second.complaints.clear()  # Chromium reports the status of each refusal


async def test_every_page_of_the_way_is_accessible(
    chromium: Browser, abroad: Town, redis: Redis
) -> None:
    """axe, in light and dark, and nothing wider than the phone."""
    async with window(chromium, abroad, redis, width=WIDTH) as phone:
        await phone.page.goto(await address(phone, LANDING))
        await is_good(phone)
        code = await to_the_code(phone, PROVIDERS_OWN)
        await is_good(phone)
        await phone.page.locator("#proof-sent").evaluate("button => button.form.requestSubmit()")
        await phone.page.get_by_text("has not received the code yet").wait_for()
        await is_good(phone)
        assert await send(phone, code)
        await phone.go("/connect/proof")
        await is_good(phone)
        await phone.press("Go on with GitHub")
        await phone.page.wait_for_url("**/connections/github/switch")
        await is_good(phone)
        await phone.press("Yes, that is me")
        await phone.page.wait_for_url("**/connect/done/github")
        await is_good(phone)
        others = await address(phone, LANDING, "ben")
        await phone.page.goto(others)
        await phone.page.get_by_role("heading", name="a different").wait_for()
        await is_good(phone)
        phone.complaints.clear()
    async with window(chromium, abroad, redis, width=WIDTH) as stranger:
        await stranger.page.goto(others)
        await stranger.press("This was not me")
        await is_good(stranger)
        for path in ("/connect/proof", "/connect/" + "u" * 43):
            await stranger.go(path)
            await is_good(stranger)
        stranger.complaints.clear()


class TestInAClosedTeam:
    """LINK_PROOF=confirm"""

    @SCRIPT
    @pytest.mark.parametrize("way", [LANDING, PROVIDERS_OWN])
    async def test_the_question_is_answered_in_the_browser(
        self, chromium: Browser, team: Town, redis: Redis, way: str, script: bool
    ) -> None:
        async with window(chromium, team, redis, script=script, width=WIDTH) as member:
            await member.page.goto(await address(member, way))
            if way == LANDING:
                await member.press("Yes, I asked for this")
            else:
                await member.decide("Allow")
            await member.page.wait_for_url("**/connect/proof")
            assert await member.page.locator("bdi").inner_text() == "ann"
            assert await member.page.locator(".code").count() == 0
            for name in ("Yes, that is me", "This was not me"):
                await is_on_the_first_screen(member, name)
            await member.fits()
            await member.press("Yes, that is me")
            if way == LANDING:
                await member.decide("Allow")
            else:
                await member.page.wait_for_url("**/connections/github/switch")
                await member.press("Yes, that is me")
            await member.page.wait_for_url("**/connect/done/github")
            assert await member.town.bot.has_token("ann", "github", redis)

    async def test_the_question_is_accessible_whatever_the_name(
        self, chromium: Browser, team: Town, redis: Redis
    ) -> None:
        async with window(chromium, team, redis, width=WIDTH) as member:
            owner = "<b>" + "x" * 100 + "\u202e & co"
            await member.page.goto(await address(member, LANDING, owner))
            await member.press("Yes, I asked for this")
            assert "<b>" in await member.page.locator("bdi").inner_text()
            await is_good(member)
