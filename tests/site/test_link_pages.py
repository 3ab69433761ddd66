"""Pages of the chat link say never more than is so, and always a way on."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.library import keys_at
from tests.kit.site_fixtures import (
    FROM_OUR_PAGE,
    Browser,
    Place,
    confirm,
    handed_off,
    heading,
    shown_code,
    site_at,
)
from webui.oauth_manager import LINK_CODE_TTL

pytestmark = pytest.mark.anyio

DEAD = "This link no longer works"
OTHER_BROWSER = "You came back in another browser"
NOTHING = re.compile("nothing was connected", re.IGNORECASE)
WAYS = ("landing page", "provider's address")
OVER = ("/connect/ended/used", "/connect/ended/ran-out")


async def link(place: Place, user: str = "ann", provider: str = "github") -> str:
    return f"/connect/{await place.bot.create_link_code(place.redis, user, provider=provider)}"


async def begun(place: Place, browser: Browser, way: str, user: str = "ann") -> httpx.Response:
    """Open a link of the user: the proof page that follows."""
    if way == "landing page":
        answer = await browser.post(f"{await link(place, user)}/start")
    else:
        url = await place.bot.generate_connect_url(user, "github", place.redis)
        answer = await browser.get(place.fake.authorize(url))
    assert answer.headers["location"] == "/connect/proof"
    return await browser.get("/connect/proof")


async def connected(place: Place, browser: Browser, way: str, user: str = "ann") -> None:
    """The whole way, up to the stored connection."""
    assert await confirm(place, user, shown_code(await begun(place, browser, way, user)))
    answer = await browser.post("/connect/proof/continue")
    if way == "landing page":
        await browser.get(place.fake.authorize(handed_off(answer)))
    else:
        await place.answer(browser, "github")
    assert await place.bot.has_token(user, "github", place.redis)


class TestAfterItWorked:
    """The person goes back, loads again, or presses in a tab that was left open."""

    @pytest.mark.parametrize("way", WAYS)
    async def test_the_proof_page_does_not_deny_it(self, place: Place, way: str) -> None:
        phone = await place.browser()
        await connected(place, phone, way)
        answer = await phone.get("/connect/proof")
        assert not NOTHING.search(answer.text)
        assert heading(answer.text) != OTHER_BROWSER, "it is the very same browser"

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("button", ["continue", "decline"])
    async def test_a_button_of_a_tab_left_open_does_not_deny_it(
        self, place: Place, way: str, button: str
    ) -> None:
        phone = await place.browser()
        await connected(place, phone, way)
        answer = await phone.post(f"/connect/proof/{button}")
        assert not NOTHING.search(answer.text)
        assert await phone.state_of("github") == "connected"

    async def test_pressing_continue_twice_does_not_deny_it(self, place: Place) -> None:
        """Both presses were sent with the cookie; the person sees the answer to the second."""
        phone = await place.browser()
        shown = shown_code(await begun(place, phone, WAYS[1]))
        second = await place.browser()
        second.client.cookies.set("__Host-proof", phone.client.cookies["__Host-proof"])
        assert await confirm(place, "ann", shown)
        await phone.post("/connect/proof/continue")
        answer = await second.post("/connect/proof/continue")
        assert not NOTHING.search(answer.text)
        assert place.fake.calls["exchange"] == 1

    async def test_the_link_itself_leads_to_the_connections(self, place: Place) -> None:
        """Shown to somebody who is signed in."""
        phone = await place.browser()
        opened = await link(place)
        await phone.post(f"{opened}/start")
        shown = shown_code(await phone.get("/connect/proof"))
        assert await confirm(place, "ann", shown)
        url = handed_off(await phone.post("/connect/proof/continue"))
        await phone.get(place.fake.authorize(url))
        page = await phone.get(opened)
        assert page.status_code == 410
        assert re.search('href="/connections">Go to connections<', page.text)
        assert not NOTHING.search(page.text)

    async def test_done_is_said_only_while_it_is_so(self, place: Place) -> None:
        phone = await place.browser()
        await connected(place, phone, WAYS[0])
        assert heading((await phone.get("/connect/done/github")).text).endswith("is connected")
        await place.bot.delete_token(place.redis, "ann", "github")
        answer = await phone.get("/connect/done/github")
        assert answer.headers["location"] == "/connections"


class TestWhileItIsUnderWay:
    async def test_pressing_yes_twice_leads_to_the_code_all_the_same(self, place: Place) -> None:
        """A double click: the second answer is the one that is shown."""
        phone = await place.browser()
        opened = await link(place)
        answers = [await phone.post(f"{opened}/start") for _ in range(2)]
        assert [a.headers.get("location") for a in answers] == ["/connect/proof"] * 2
        assert await confirm(place, "ann", shown_code(await phone.get("/connect/proof")))

    async def test_the_link_tapped_again_leads_back_to_the_code(self, place: Place) -> None:
        """The person has gone to the chat to send the code."""
        phone = await place.browser()
        opened = await link(place)
        await phone.post(f"{opened}/start")
        answer = await phone.get(opened)
        assert answer.headers.get("location") == "/connect/proof"
        assert (await (await place.browser()).get(opened)).status_code == 410

    async def test_a_newer_start_in_the_same_browser_is_the_one_that_counts(
        self, place: Place
    ) -> None:
        phone = await place.browser()
        first = shown_code(await begun(place, phone, WAYS[0]))
        second = shown_code(await begun(place, phone, WAYS[1]))
        assert await confirm(place, "ann", first)
        page = await phone.post("/connect/proof/continue")
        assert "has not received the code yet" in page.text
        assert shown_code(page) == second
        assert await confirm(place, "ann", second)
        assert (await phone.post("/connect/proof/continue")).status_code == 303

    async def test_the_same_page_is_shown_however_it_is_asked_for(self, place: Place) -> None:
        """One template for the page and for what htmx swaps in."""
        phone = await place.browser()
        shown = shown_code(await begun(place, phone, WAYS[0]))
        page = await phone.post("/connect/proof/continue")
        piece = await phone.post("/connect/proof/continue", htmx=True)
        assert shown_code(page) == shown_code(piece) == shown
        assert piece.text.lstrip().startswith('<div id="proof" class="card panel">')
        assert "<html" not in piece.text
        assert piece.headers["x-fragment"] == "1"

    async def test_the_code_is_in_no_address_and_no_link(self, place: Place) -> None:
        phone = await place.browser()
        page = await begun(place, phone, WAYS[0])
        shown = shown_code(page)
        targets = re.findall(r'(?:href|action|src|hx-get)="([^"]*)"', page.text)
        assert targets
        assert not [t for t in targets if shown in t or shown[:3] + " " in t]
        assert all(target.startswith(("/", "#")) or target == "" for target in targets)


class TestTimeOver:
    """Shows 2: refused, with a way on, and with the right reason."""

    @pytest.mark.parametrize("way", WAYS)
    async def test_the_cookie_outlives_what_it_is_for(self, place: Place, way: str) -> None:
        """Else a browser has forgotten it when the time is over, and is taken for another one."""
        phone = await place.browser()
        if way == WAYS[0]:
            answer = await phone.post(f"{await link(place)}/start")
        else:
            url = await place.bot.generate_connect_url("ann", "github", place.redis)
            answer = await phone.get(place.fake.authorize(url))
        cookie = answer.headers.get_list("set-cookie")[0]
        age = re.search(r"Max-Age=(\d+)", cookie, re.IGNORECASE)
        assert age is None or int(age[1]) > LINK_CODE_TTL

    @pytest.mark.parametrize("way", WAYS)
    async def test_the_page_says_so_and_how_to_get_another_link(
        self, place: Place, way: str
    ) -> None:
        phone = await place.browser()
        shown = shown_code(await begun(place, phone, way))
        for key in [*await keys_at(place.redis, "oauth_p*")]:
            await place.redis.pexpire(key, 0)
        assert not await confirm(place, "ann", shown)
        for answer in (
            await phone.post("/connect/proof/continue"),
            await phone.get("/connect/proof"),
        ):
            assert (answer.status_code, heading(answer.text)) == (410, DEAD)
            assert "For a new link, send this to Stella in your chat:" in answer.text
            assert ">connect</code>" in answer.text
        fresh = await begun(place, phone, way)
        assert await confirm(place, "ann", shown_code(fresh)), "and the new one works at once"

    async def test_the_clock_times_are_there_before(self, place: Place) -> None:
        phone = await place.browser()
        opened = await link(place)
        clock = r'<time datetime="[^"]+Z" data-local="time">\d\d:\d\d UTC</time>'
        assert re.search(f"This link runs out at {clock}", (await phone.get(opened)).text)
        await phone.post(f"{opened}/start")
        page = await phone.get("/connect/proof")
        assert re.search(f"The code runs out at {clock}", page.text)


class TestWhatBecameOfALink:
    """Told to the browser that used the link, and to nobody else."""

    USED, RAN_OUT = "You used it at", "It ran out at"

    async def test_is_told_where_it_was_used(self, place: Place) -> None:
        phone, opened = await place.browser(), await link(place)
        await phone.post(f"{opened}/start")
        assert await confirm(place, "ann", shown_code(await phone.get("/connect/proof")))
        await phone.post("/connect/proof/continue")
        for answer in (await phone.get(opened), await phone.post(f"{opened}/start")):
            assert answer.status_code == 410
            assert self.USED in answer.text
        stranger = await place.browser()
        assert self.USED not in (await stranger.get(opened)).text
        assert self.USED not in (await phone.get(f"/connect/{'u' * 43}")).text

    async def test_is_told_where_its_person_was_signed_in(self, place: Place, ann: Browser) -> None:
        opened = await link(place)
        handed_off(await ann.post(f"{opened}/start"))
        assert self.USED in (await ann.get(opened)).text

    async def test_is_not_told_where_it_was_only_looked_at(self, place: Place) -> None:
        phone, opened = await place.browser(), await link(place)
        assert "set-cookie" not in (await phone.get(opened)).headers
        await place.redis.flushall()
        page = (await phone.get(opened)).text
        assert not [reason for reason in (self.USED, self.RAN_OUT) if reason in page]

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("seconds", [LINK_CODE_TTL - 60, LINK_CODE_TTL + 60])
    async def test_is_told_of_a_proof_once_its_time_is_over(
        self, place: Place, way: str, seconds: int
    ) -> None:
        """Before that something else has ended it: a wrong code too many, a newer link."""
        phone = await place.browser()
        await begun(place, phone, way)
        if value := phone.client.cookies.get("__Host-link"):
            digest, _, used = value.partition(".")
            phone.client.cookies.delete("__Host-link")
            phone.client.cookies.set("__Host-link", f"{digest}.{int(used) - seconds}")
        for key in await keys_at(place.redis, "oauth_p*"):
            await place.redis.delete(key)
        answer = await phone.get("/connect/proof")
        assert (answer.status_code, heading(answer.text)) == (410, DEAD)
        assert (self.RAN_OUT in answer.text) == (way == WAYS[0] and seconds > LINK_CODE_TTL)

    async def test_is_forgotten_with_the_next_proof(self, place: Place) -> None:
        phone, opened = await place.browser(), await link(place)
        await phone.post(f"{opened}/start")
        await begun(place, phone, WAYS[1], "ben")
        assert "__Host-link" not in phone.client.cookies

    @pytest.mark.parametrize(
        "value", [".", "x", "x.1", "x.99999999999999", "x.-1", ".\u0662", "a.b.c"]
    )
    async def test_of_a_made_up_cookie_nothing_is_told(self, place: Place, value: str) -> None:
        nobody = await place.browser()
        cookie = f"__Host-link={value}; __Host-proof=x".encode()
        headers: Any = {"cookie": cookie}
        for path in (f"/connect/{'u' * 43}", "/connect/proof", *OVER):
            answer = await nobody.client.get(path, headers=headers)
            if path not in OVER:
                assert answer.headers["location"] == "/connect/ended/dead"
                answer = await nobody.get(answer.headers["location"], headers=headers)
            assert (answer.status_code, heading(answer.text)) == (410, DEAD)
            assert self.USED not in answer.text
            assert self.RAN_OUT not in answer.text


class TestAServiceSwitchedOff:
    @pytest.fixture
    async def off(self, place: Place, redis_url: str) -> AsyncIterator[Place]:
        """The same site after the operator took GitHub away."""
        config = {**place.settings.providers_config}
        config["github"] = {**config["github"], "client_id": "", "client_secret": ""}
        async with site_at(redis_url, place.redis, place.fake, providers_config=config) as made:
            yield made

    async def test_keeps_the_link_for_when_it_is_back(self, place: Place, off: Place) -> None:
        opened = await link(place)
        answer = await (await off.browser()).get(opened)
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        assert "Your link is kept" in answer.text
        assert (await (await place.browser()).get(opened)).status_code == 200

    async def test_does_not_take_the_link_of_a_page_opened_before(
        self, place: Place, off: Place
    ) -> None:
        opened = await link(place)
        answer = await (await off.browser()).post(f"{opened}/start")
        assert answer.status_code == 503
        assert (await (await place.browser()).get(opened)).status_code == 200


class TestConfirmingInTheBrowser:
    """LINK_PROOF=confirm, for closed teams: the page asks, and nothing goes through the chat."""

    @pytest.fixture
    async def team(self, redis_url: str, redis: Redis) -> AsyncIterator[Place]:
        async with site_at(redis_url, redis, link_proof="confirm") as made:
            yield made

    @pytest.mark.parametrize("way", WAYS)
    async def test_names_who_asked_and_warns_before_the_buttons(
        self, team: Place, way: str
    ) -> None:
        page = (await begun(team, await team.browser(), way)).text
        assert "This link was made for <bdi>ann</bdi>. Is that you?" in page
        warning = page.index("Did someone send you this link?")
        assert page.index("<bdi>ann") < page.index("<button", page.index("<main"))
        assert warning < page.index("<button", page.index("<main"))
        assert 'action="/connect/proof/continue"' in page
        assert 'action="/connect/proof/decline"' in page
        assert 'class="code"' not in page
        assert "hx-get" not in page

    async def test_the_landing_page_still_names_nobody(self, team: Place) -> None:
        """It is what a preview sees."""
        page = await (await team.browser()).get(await link(team, "owner-of-the-link"))
        assert "owner-of-the-link" not in page.text

    @pytest.mark.parametrize("way", WAYS)
    async def test_asks_nothing_of_the_provider_before_the_answer(
        self, team: Place, way: str
    ) -> None:
        phone = await team.browser()
        await begun(team, phone, way)
        await phone.get("/connect/proof", htmx=True)
        assert team.fake.requests == []
        assert (await phone.get("/connections")).status_code == 303
        assert await team.records() == {}

    async def test_yes_signs_in_and_goes_on(self, team: Place) -> None:
        phone = await team.browser()
        await begun(team, phone, WAYS[0])
        url = handed_off(await phone.post("/connect/proof/continue"))
        answer = await phone.get(team.fake.authorize(url))
        assert answer.headers["location"] == "/connect/done/github"

    async def test_yes_to_a_parked_code_exchanges_it(self, team: Place) -> None:
        phone = await team.browser()
        await begun(team, phone, WAYS[1])
        assert (await phone.post("/connect/proof/continue")).status_code == 303
        assert team.fake.calls["exchange"] == 1
        await team.answer(phone, "github")
        assert await phone.state_of("github") == "connected"

    @pytest.mark.parametrize("way", WAYS)
    async def test_is_good_for_one_yes(self, team: Place, way: str) -> None:
        phone = await team.browser()
        await begun(team, phone, way)
        tabs = [await team.browser() for _ in range(20)]
        for tab in tabs:
            tab.client.cookies.set("__Host-proof", phone.client.cookies["__Host-proof"])
        # Every connection is there already, so that they do meet.
        await asyncio.gather(*(tab.get("/connect/proof") for tab in tabs))
        answers = await asyncio.gather(*(tab.post("/connect/proof/continue") for tab in tabs))
        assert sorted(answer.status_code for answer in answers)[1:] == [410] * 19
        assert sum("__Host-session" in tab.client.cookies for tab in tabs) == 1
        assert team.fake.calls["exchange"] == (way == WAYS[1])

    @pytest.mark.parametrize("way", WAYS)
    async def test_no_ends_it(self, team: Place, way: str) -> None:
        phone = await team.browser()
        await begun(team, phone, way)
        secret = phone.client.cookies["__Host-proof"]
        answer = await phone.post("/connect/proof/decline")
        assert heading(answer.text).endswith("is switched off")
        phone.client.cookies.set("__Host-proof", secret)
        assert (await phone.post("/connect/proof/continue")).status_code == 410
        assert team.fake.calls["token"] == 0
        assert await team.redis.xlen("stargazer:oauth_notices") == 1

    async def test_is_asked_in_the_browser_that_started_alone(self, team: Place) -> None:
        phone, other = await team.browser(), await team.browser()
        await begun(team, phone, WAYS[1])
        for answer in (await other.get("/connect/proof"), await other.post("/connect/proof")):
            assert "<bdi>ann" not in answer.text
        assert heading((await other.post("/connect/proof/continue")).text) == OTHER_BROWSER
        assert team.fake.calls["token"] == 0

    async def test_is_not_answered_by_another_sites_page(self, team: Place) -> None:
        """With the cookie of the person's own browser"""
        phone = await team.browser()
        await begun(team, phone, WAYS[1])
        for headers in (
            {},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "none"},
            {"origin": "null"},
            {"origin": "https://evil.example"},
            {**FROM_OUR_PAGE, "origin": "https://evil.example"},
        ):
            answer = await phone.client.post("/connect/proof/continue", headers=headers)
            assert answer.status_code == 403
        for method in ("GET", "HEAD"):
            answer = await phone.client.request(method, "/connect/proof/continue")
            assert (answer.status_code, answer.headers["location"]) == (303, "/connect/proof")
        assert team.fake.calls["token"] == 0

    async def test_another_person_who_is_signed_in_is_not_even_asked(self, team: Place) -> None:
        ben = await team.browser()
        await ben.post(f"{await link(team, 'ben', '')}/start")
        await ben.post("/connect/proof/continue")
        assert (await ben.post(f"{await link(team)}/start")).status_code == 403
        url = await team.bot.generate_connect_url("ann", "google", team.redis)
        assert (await ben.come_back(team.fake.authorize(url))).status_code == 403
        assert team.fake.calls["token"] == 0

    @pytest.mark.parametrize(
        "owner",
        ["<script>alert(1)</script>", '"><b hx-get=/x>', "\u202emoc.live", "{{7*7}}", "&lt;"],
    )
    async def test_a_hostile_name_is_only_text(self, team: Place, owner: str) -> None:
        page = await begun(team, await team.browser(), WAYS[0], owner)
        assert "<script>alert" not in page.text
        assert "<b hx-get" not in page.text
        assert "\u202e" not in page.text or "<bdi>" in page.text
        assert ">49<" not in page.text

    async def test_a_code_sent_in_chat_is_no_way_around_the_question(self, team: Place) -> None:
        phone = await team.browser()
        await begun(team, phone, WAYS[0])
        assert not await confirm(team, "ann", "BCDFGH")
        assert "Is that you?" in (await phone.get("/connect/proof")).text


class TestToPreviews:
    async def test_every_page_of_the_way_is_neutral_and_kept_by_nobody(self, place: Place) -> None:
        """No name of a service or a person in the title, no picture, no index, no cache."""
        phone = await place.browser()
        opened = await link(place, "owner-of-the-link")
        pages = [await phone.get(opened)]
        title = re.search(r"<title>([^<]*)</title>", pages[0].text)
        assert title
        assert title[1] == "Connect a service – Stargazer"  # noqa: RUF001
        await phone.post(f"{opened}/start")
        pages += [
            await phone.get("/connect/proof"),
            await phone.post("/connect/proof/continue"),
            await phone.post("/connect/proof/decline"),
            await phone.get(opened),
            await (await place.browser()).get("/connect/proof"),
        ]
        for page in pages:
            assert "owner-of-the-link" not in page.text
            assert 'name="robots" content="noindex"' in page.text
            assert "og:" not in page.text
            assert page.headers["cache-control"] == "no-store"
            assert page.headers["referrer-policy"] == "same-origin"
            files = re.findall(
                r'<(?:link rel="stylesheet"|script|img) [^>]*/static/[^>]*>', page.text
            )
            assert files
            assert all('referrerpolicy="no-referrer"' in tag for tag in files)
        for page in pages:
            # A drawing cannot say so for itself.
            is_secret = re.fullmatch("/connect/[^/]+", page.request.url.path) is not None
            assert ('name="referrer" content="origin"' in page.text) == is_secret
