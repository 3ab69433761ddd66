"""Each end of a link has an address of its own, and the bot tells it once."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.library import keys_at, let_time_pass
from tests.kit.site_fixtures import (
    FROM_OUR_PAGE,
    Browser,
    Place,
    confirm,
    handed_off,
    heading,
    query_of,
    shown_code,
    site_at,
)
from tests.library.test_stories import told
from webui.oauth_manager import Meaning

pytestmark = pytest.mark.anyio

NAVIGATION = {"sec-fetch-mode": "navigate"}
UNKNOWN = "u" * 43


async def code_of(place: Place, provider: str = "github") -> str:
    return await place.bot.create_link_code(place.redis, "ann", provider=provider)


async def press(browser: Browser, path: str) -> httpx.Response:
    return await browser.client.post(path, headers=FROM_OUR_PAGE)


async def declined(place: Place, browser: Browser) -> httpx.Response:
    return await press(browser, f"/connect/{await code_of(place)}/decline")


async def declined_later(place: Place, browser: Browser) -> httpx.Response:
    await press(browser, f"/connect/{await code_of(place)}/start")
    return await press(browser, "/connect/proof/decline")


async def sign_in_declined(place: Place, browser: Browser) -> httpx.Response:
    return await press(browser, f"/connect/{await code_of(place, '')}/decline")


async def unknown(_: Place, browser: Browser) -> httpx.Response:
    return await browser.client.get(f"/connect/{UNKNOWN}")


async def used(place: Place, browser: Browser) -> httpx.Response:
    """To the browser that used it: its code was sent, and it went on."""
    code = await code_of(place)
    await press(browser, f"/connect/{code}/start")
    assert await confirm(place, "ann", shown_code(await browser.get("/connect/proof")))
    await press(browser, "/connect/proof/continue")
    return await browser.client.get(f"/connect/{code}")


async def ran_out(place: Place, browser: Browser) -> httpx.Response:
    await press(browser, f"/connect/{await code_of(place)}/start")
    place.clock.advance(700)
    await place.redis.delete(*[key async for key in place.redis.scan_iter("*oauth_p*")])
    return await browser.client.get("/connect/proof")


async def not_yours(place: Place, _: Browser) -> httpx.Response:
    """Pressed by somebody else, with which the link is over."""
    code, ben = await code_of(place), await place.signed_in("ben")
    return await press(ben, f"/connect/{code}/start")


async def not_yours_but_opened(place: Place, _: Browser) -> httpx.Response:
    code, ben = await code_of(place), await place.signed_in("ben")
    return await ben.client.get(f"/connect/{code}")


async def other_browser(place: Place, browser: Browser) -> httpx.Response:
    await press(await place.browser(), f"/connect/{await code_of(place)}/start")
    return await browser.client.get("/connect/proof")


async def came_back_elsewhere(place: Place, browser: Browser) -> httpx.Response:
    url = handed_off(await place.prove(await place.browser(), "ann", "github"))
    return await browser.get(place.fake.authorize(url), headers=NAVIGATION)


async def no_at(browser: Browser, url: str) -> httpx.Response:
    query = urlencode({"error": "access_denied", "state": query_of(url)["state"]})
    return await browser.get(f"/oauth/github/callback?{query}")


async def denied(place: Place, browser: Browser) -> httpx.Response:
    return await no_at(browser, handed_off(await place.prove(browser, "ann", "github")))


async def denied_before_the_proof(place: Place, browser: Browser) -> httpx.Response:
    return await no_at(browser, await place.bot.generate_connect_url("ann", "github", place.redis))


async def over(_: Place, browser: Browser) -> httpx.Response:
    return await browser.get(f"/oauth/github/callback?code=c&state={UNKNOWN}")


@dataclass(frozen=True)
class End:
    """Its address, status and first words, and what the bot tells at once and when time is up."""

    address: str
    status: int
    says: str
    command: str
    at_once: tuple[str, ...] = ()
    later: tuple[str, ...] = ()


RAN_OUT = ("link_ran_out",)
CANCELLED = ("link_cancelled",)
DEAD = "This link no longer works"
Scene = Callable[[Place, Browser], Awaitable[httpx.Response]]
ENDS: dict[Scene, End] = {
    declined: End("declined", 200, "The link is switched off", "connect github", CANCELLED),
    declined_later: End("declined", 200, "The link is switched off", "connect github", CANCELLED),
    sign_in_declined: End("declined", 200, "The link is switched off", "connect", CANCELLED),
    unknown: End("dead", 410, DEAD, "connect"),
    used: End("used", 410, DEAD, "connect", (), RAN_OUT),
    ran_out: End("ran-out", 410, DEAD, "connect", (), RAN_OUT),
    not_yours: End("not-yours", 403, "This link belongs to a different", "connect", CANCELLED),
    not_yours_but_opened: End(
        "not-yours", 403, "This link belongs to a different", "connect", (), RAN_OUT
    ),
    other_browser: End(
        "other-browser", 400, "You came back in another browser", "connect", (), RAN_OUT
    ),
    came_back_elsewhere: End(
        "other-browser",
        400,
        "You came back in another browser",
        "connect",
        ("connect_failed elsewhere",),
    ),
    denied: End("denied", 200, "You chose not to connect", "connect github", ("denied denied",)),
    denied_before_the_proof: End(
        "denied", 200, "You chose not to connect", "connect github", CANCELLED
    ),
    over: End("over", 400, "That attempt is over", "connect"),
}


@pytest.fixture(params=ENDS, ids=lambda scene: scene.__name__)
def scene(request: pytest.FixtureRequest) -> Scene:
    found: Scene = request.param
    return found


class TestAnEnd:
    async def test_has_an_address_without_a_code_that_may_be_loaded_again(
        self, place: Place, scene: Scene
    ) -> None:
        browser, end = await place.browser(), ENDS[scene]
        answer = await scene(place, browser)
        location = answer.headers["location"]
        assert (answer.status_code, answer.content) == (303, b"")
        assert re.fullmatch(rf"/connect/ended/{end.address}(\?service=github)?", location)
        before = {key: await place.redis.dump(key) for key in await keys_at(place.redis)}
        pages = [await browser.client.get(location) for _ in range(2)]
        assert pages[0].text == pages[1].text
        assert all(page.status_code == end.status for page in pages)
        assert all("set-cookie" not in page.headers for page in pages)
        counted = {key for key in await keys_at(place.redis) if "web_" not in key}
        assert counted == {key for key in before if "web_" not in key}
        # A stranger reads the same there, but how long ago this browser used its link.
        theirs = await (await place.browser()).get(location)
        assert heading(theirs.text) == heading(pages[0].text)

    async def test_says_what_happened_and_what_to_send_next(
        self, place: Place, scene: Scene
    ) -> None:
        browser, end = await place.browser(), ENDS[scene]
        page = await browser.client.get((await scene(place, browser)).headers["location"])
        assert heading(page.text).startswith(end.says)
        assert f'<code id="command">{end.command}</code>' in page.text
        assert "look up" not in page.text, "nothing failed"

    async def test_is_told_by_the_bot_once(self, place: Place, scene: Scene) -> None:
        browser, end = await place.browser(), ENDS[scene]
        location = (await scene(place, browser)).headers["location"]
        for _ in range(2):
            await browser.client.get(location)
        assert await told(place) == list(end.at_once)
        await let_time_pass(place.redis)
        assert await told(place) == list(end.later)
        assert await told(place) == []


class TestAnAddressOfAnEnd:
    @pytest.mark.parametrize(
        "path",
        [
            "nothing",
            "denied",
            "denied?service=nobody",
            "failed",
            "connecting.failed?service=github",
            "unknown?service=github",
            "again?service=github",
        ],
    )
    async def test_that_nothing_leads_to_shows_nothing(self, place: Place, path: str) -> None:
        assert (await (await place.browser()).get(f"/connect/ended/{path}")).status_code == 404

    @pytest.mark.parametrize("outcome", sorted({m.outcome for m in Meaning} - {"denied"}))
    async def test_after_a_failure_says_what_to_send_unless_we_have_to_act_first(
        self, place: Place, outcome: str
    ) -> None:
        is_ours = outcome in ("misconfigured", "not_understood")
        page = await (await place.browser()).get(
            f"/connect/ended/{outcome}?service=github&ref=K4T9WX"
        )
        assert page.status_code == 400
        assert ('<code id="command">connect github</code>' in page.text) != is_ours
        assert "give support the reference <code>K4T9WX</code>" in page.text

    @pytest.mark.parametrize("outcome", sorted({m.outcome for m in Meaning} - {"denied"}))
    async def test_leads_back_to_the_chat_whatever_happened(
        self, redis_url: str, redis: Redis, outcome: str
    ) -> None:
        async with site_at(redis_url, redis, chat_url="https://chat.example/") as place:
            stranger = await place.browser()
            page = await stranger.get(f"/connect/ended/{outcome}?service=github")
        assert 'href="https://chat.example/"' in page.text

    async def test_leads_who_is_signed_in_to_their_connections(
        self, place: Place, ann: Browser
    ) -> None:
        stranger = await place.browser()
        for how in ("dead", "declined", "denied?service=github", "over"):
            ways = [
                "Go to connections" in (await browser.get(f"/connect/ended/{how}")).text
                for browser in (ann, stranger)
            ]
            assert ways == [True, False]

    async def test_of_another_persons_link_offers_to_sign_out(
        self, place: Place, ann: Browser
    ) -> None:
        page = await ann.get("/connect/ended/not-yours")
        assert 'id="switch-account"' in page.text
        assert 'id="switch-account"' not in (await ann.get("/connect/ended/dead")).text

    async def test_of_another_persons_link_tells_nobody_who_is_signed_out_that_they_are_in(
        self, place: Place, ann: Browser
    ) -> None:
        signed_in = await ann.get("/connect/ended/not-yours")
        await ann.post("/signout")
        signed_out = await ann.get("/connect/ended/not-yours")
        assert "You are signed in here with another one" in signed_in.text
        assert "You are signed in here" not in signed_out.text
        assert "sign out here" not in signed_out.text
        assert heading(signed_out.text) == heading(signed_in.text)
