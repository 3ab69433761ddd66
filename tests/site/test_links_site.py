"""The way in from chat: a link says for whom, and only the proof says who."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.library import BUILT_IN
from tests.kit.site_fixtures import (
    Browser,
    Place,
    but_reference,
    card_state,
    confirm,
    handed_off,
    heading,
    is_signed_in,
    nothing_happened,
    shown_code,
    site_at,
)

pytestmark = pytest.mark.anyio

DEAD = "This link no longer works"
UNKNOWN = "u" * 43
PREVIEWS = (
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "TelegramBot (like TwitterBot)",
    "facebookexternalhit/1.1",
    "Mozilla/5.0 (Windows NT 10.0) SafeLinks",
)


async def link(place: Place, user: str = "ann", provider: str = "") -> str:
    return await place.bot.create_link_code(place.redis, user, provider=provider)


async def start(place: Place, browser: Browser, code: str) -> str:
    """Press "Yes, I asked for this": the code to send to the bot."""
    answer = await browser.post(f"/connect/{code}/start")
    assert answer.headers["location"] == "/connect/proof"
    return shown_code(await browser.get("/connect/proof"))


def same(answer: httpx.Response) -> tuple[object, ...]:
    headers = tuple(sorted(answer.headers.multi_items()))
    return answer.status_code, headers, len(answer.content), but_reference(answer)


class TestTheLandingPage:
    async def test_explains_and_warns_before_any_button(self, place: Place) -> None:
        page = await (await place.browser()).get(f"/connect/{await link(place, 'ann', 'github')}")
        assert page.status_code == 200
        assert heading(page.text) == "Connect GitHub to Stargazer?"
        warning = page.text.index("Did someone send you this link?")
        assert warning < page.text.index("<button")
        assert "bot.example" in page.text

    async def test_of_a_link_without_a_service_offers_to_sign_in(self, place: Place) -> None:
        page = await (await place.browser()).get(f"/connect/{await link(place)}")
        assert heading(page.text) == "Sign in to Stargazer?"

    async def test_tells_a_stranger_nothing_about_the_owner(self, place: Place) -> None:
        owner = "owner-of-the-link"
        page = await (await place.browser()).get(f"/connect/{await link(place, owner, 'github')}")
        assert owner not in page.text
        assert "set-cookie" not in page.headers
        assert 'name="robots" content="noindex"' in page.text
        assert "og:" not in page.text

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("agent", PREVIEWS)
    async def test_fetched_by_a_preview_costs_nothing(
        self, place: Place, method: str, agent: str
    ) -> None:
        code = await link(place, "ann", "github")
        scanner = await place.browser()
        for path in ("", "/start", "/decline"):
            for _ in range(4):
                await scanner.client.request(
                    method,
                    f"/connect/{code}{path}",
                    headers={"user-agent": agent, "sec-purpose": "prefetch"},
                )
        assert list(scanner.client.cookies) == []
        phone = await place.browser()
        assert await confirm(place, "ann", await start(place, phone, code))
        await scanner.client.request(method, "/connect/proof/continue")
        url = handed_off(await phone.post("/connect/proof/continue"))
        assert (await phone.get(place.fake.authorize(url))).status_code == 303
        assert await phone.state_of("github") == "connected"


class TestTheProof:
    @pytest.mark.parametrize("provider", BUILT_IN)
    async def test_signs_in_and_goes_on_to_the_provider(self, place: Place, provider: str) -> None:
        phone = await place.browser()
        url = handed_off(await place.prove(phone, "ann", provider))
        answer = await phone.get(place.fake.authorize(url))
        assert answer.headers["location"] == f"/connect/done/{provider}"
        page = await phone.get(f"/connect/done/{provider}")
        assert page.status_code == 200
        assert heading(page.text).endswith("is connected")
        assert await phone.state_of(provider) == "connected"

    async def test_is_asked_for_before_anything_is_asked_of_the_provider(
        self, place: Place
    ) -> None:
        phone = await place.browser()
        await start(place, phone, await link(place, "ann", "github"))
        answer = await phone.post("/connect/proof/continue")
        assert answer.status_code == 200
        assert "has not received the code yet" in answer.text
        assert not await is_signed_in(phone)
        states = [key async for key in place.redis.scan_iter("stargazer:oauth_state:*")]
        assert states == []
        assert await nothing_happened(place)

    async def test_takes_the_code_from_the_links_own_person_alone(self, place: Place) -> None:
        phone = await place.browser()
        shown = await start(place, phone, await link(place))
        for other in ("ben", "Ann", "ann ", "ann:github"):
            assert not await confirm(place, other, shown)
        await phone.post("/connect/proof/continue")
        assert not await is_signed_in(phone)
        assert await confirm(place, "ann", shown)
        await phone.post("/connect/proof/continue")
        assert await is_signed_in(phone)

    async def test_dies_after_five_wrong_codes(self, place: Place) -> None:
        phone = await place.browser()
        shown = await start(place, phone, await link(place))
        left = [
            await place.bot.proofs.confirm(place.redis, "ann", f"BCDFG{letter}")
            for letter in "HJKMN"
        ]
        assert left == [4, 3, 2, 1, 0]
        assert not await confirm(place, "ann", shown)
        answer = await phone.post("/connect/proof/continue")
        assert answer.status_code == 410
        assert heading(answer.text) == DEAD
        assert not await is_signed_in(phone)

    async def test_survives_four(self, place: Place) -> None:
        phone = await place.browser()
        shown = await start(place, phone, await link(place))
        for letter in "HJKM":
            assert not await confirm(place, "ann", f"BCDFG{letter}")
        assert await confirm(place, "ann", shown)

    async def test_is_good_for_one_continue(self, place: Place) -> None:
        phone = await place.browser()
        shown = await start(place, phone, await link(place))
        secret_of_before = phone.client.cookies["__Host-proof"]
        assert await confirm(place, "ann", shown)
        await phone.post("/connect/proof/continue")
        assert "__Host-proof" not in phone.client.cookies
        copy = await place.browser()
        copy.client.cookies.set("__Host-proof", secret_of_before)
        assert (await copy.post("/connect/proof/continue")).status_code == 410
        assert not await is_signed_in(copy)
        assert not await confirm(place, "ann", shown)

    async def test_runs_out(self, place: Place) -> None:
        phone = await place.browser()
        shown = await start(place, phone, await link(place))
        (key,) = [k async for k in place.redis.scan_iter("stargazer:oauth_pending:*")]
        assert 0 < await place.redis.ttl(key) <= 600
        await place.redis.pexpire(key, 0)
        await confirm(place, "ann", shown)
        answer = await phone.post("/connect/proof/continue")
        assert answer.status_code == 410
        assert not await is_signed_in(phone)

    async def test_asked_by_htmx_says_nothing_until_the_code_is_there(self, place: Place) -> None:
        phone = await place.browser()
        shown = await start(place, phone, await link(place))
        waiting = await phone.get("/connect/proof", htmx=True)
        assert (waiting.status_code, waiting.content) == (204, b"")
        assert await confirm(place, "ann", shown)
        there = await phone.get("/connect/proof", htmx=True)
        assert there.headers["x-fragment"] == "1"
        assert 'id="proof-continue"' in there.text
        assert 'id="announce" hx-swap-oob="innerHTML">Confirmed.' in there.text
        assert not await is_signed_in(phone), "looking is not continuing"

    async def test_asked_by_htmx_after_its_end_leaves_the_page(self, place: Place) -> None:
        phone = await place.browser()
        await start(place, phone, await link(place))
        await phone.client.post("/connect/proof/decline", headers={"sec-fetch-site": "same-origin"})
        gone = await phone.get("/connect/proof", htmx=True)
        assert gone.status_code == 410
        assert gone.headers["hx-redirect"] == "/connect/proof"


class TestALinkInTheBrowserOf:
    async def test_the_same_person_needs_no_proof(self, place: Place, ann: Browser) -> None:
        code = await link(place, "ann", "github")
        url = handed_off(await ann.post(f"/connect/{code}/start"))
        answer = await ann.get(place.fake.authorize(url))
        assert answer.headers["location"] == "/connect/done/github"

    async def test_another_person_ends_for_both(
        self, place: Place, ann: Browser, ben: Browser
    ) -> None:
        code = await link(place, "ann", "github")
        page = await ben.get(f"/connect/{code}")
        assert page.status_code == 403
        assert heading(page.text) == "This link belongs to a different Stargazer account"
        assert ">ann<" not in page.text
        refused = await ben.post(f"/connect/{code}/start")
        assert refused.status_code == 403
        assert "proof" not in str(ben.client.cookies)
        assert (await ann.get(f"/connect/{code}")).status_code == 410
        assert await ben.state_of("github") == "not_connected"
        assert await nothing_happened(place)

    async def test_another_person_is_left_alone_by_merely_opening_it(
        self, place: Place, ann: Browser, ben: Browser
    ) -> None:
        code = await link(place, "ann", "github")
        await ben.get(f"/connect/{code}")
        assert (await ann.get(f"/connect/{code}")).status_code == 200

    async def test_two_people_in_turn_belongs_to_the_one_who_started(self, place: Place) -> None:
        """Two cookie jars: the address of the proof page is worth nothing in the other."""
        first, second = await place.browser(), await place.browser()
        code = await link(place)
        shown = await start(place, first, code)
        assert (await second.post(f"/connect/{code}/start")).status_code == 410
        for path in ("/connect/proof", "/connect/proof/continue"):
            other = await (second.get(path) if path == "/connect/proof" else second.post(path))
            assert other.status_code in (400, 410)
            assert shown[:3] not in other.text
        assert await confirm(place, "ann", shown)
        await second.post("/connect/proof/continue")
        assert not await is_signed_in(second)
        await first.post("/connect/proof/continue")
        assert await is_signed_in(first)


class TestALinkThatIsOver:
    @pytest.mark.parametrize("method", ["landing", "start", "decline"])
    async def test_looks_the_same_to_a_stranger_whatever_ended_it(
        self, place: Place, method: str
    ) -> None:
        """Status, headers, body and its length"""
        used = await link(place)
        await (await place.browser()).post(f"/connect/{used}/start")
        declined = await link(place)
        await (await place.browser()).post(f"/connect/{declined}/decline")
        expired = await link(place)
        await place.redis.pexpire(f"stargazer:oauth_link:{expired}", 0)
        replaced = await link(place)
        await link(place)
        answers = set()
        for code in (used, declined, expired, replaced, UNKNOWN, "x", "a" * 500, "ä"):
            stranger = await place.browser()
            answers.add(
                same(
                    await stranger.get(f"/connect/{code}")
                    if method == "landing"
                    else await stranger.post(f"/connect/{code}/{method}")
                )
            )
        assert len(answers) == 1
        ((status, *_),) = answers
        assert status == 410

    async def test_says_how_to_get_another(self, place: Place) -> None:
        page = await (await place.browser()).get(f"/connect/{UNKNOWN}")
        assert heading(page.text) == DEAD
        assert "For a new link, send this to Stella in your chat:" in page.text
        assert ">connect</code>" in page.text


class TestAtOnce:
    """Double clicks, and whoever is faster"""

    async def test_one_of_many_starts_gets_the_link(self, place: Place) -> None:
        code = await link(place)
        browsers = [await place.browser() for _ in range(20)]
        answers = await asyncio.gather(*(b.post(f"/connect/{code}/start") for b in browsers))
        assert Counter(answer.status_code for answer in answers) == {303: 1, 410: 19}

    async def test_one_of_many_continues_is_signed_in(self, place: Place) -> None:
        phone = await place.browser()
        assert await confirm(place, "ann", await start(place, phone, await link(place)))
        tabs = [await place.browser() for _ in range(20)]
        for tab in tabs:
            tab.client.cookies.set("__Host-proof", phone.client.cookies["__Host-proof"])
        answers = await asyncio.gather(*(tab.post("/connect/proof/continue") for tab in tabs))
        assert sum("__Host-session" in tab.client.cookies for tab in tabs) == 1
        assert Counter(answer.status_code for answer in answers) == {303: 1, 410: 19}

    async def test_guesses_are_counted_one_by_one(self, place: Place) -> None:
        phone = await place.browser()
        shown = await start(place, phone, await link(place))
        guesses = [f"BCDFG{letter}" for letter in "HJKMNPQRTVWXY"]
        await asyncio.gather(*(confirm(place, "ann", guess) for guess in guesses))
        assert not await confirm(place, "ann", shown)


class TestSayingNo:
    async def test_on_the_landing_page_kills_the_link(self, place: Place) -> None:
        stranger = await place.browser()
        code = await link(place, "ann", "github")
        answer = await stranger.post(f"/connect/{code}/decline")
        assert answer.status_code == 200
        assert heading(answer.text).startswith("The link is switched off")
        assert (await (await place.browser()).get(f"/connect/{code}")).status_code == 410
        assert await nothing_happened(place)

    async def test_on_the_proof_page_kills_the_code_too(self, place: Place) -> None:
        phone = await place.browser()
        shown = await start(place, phone, await link(place))
        answer = await phone.post("/connect/proof/decline")
        assert answer.status_code == 200
        assert not await confirm(place, "ann", shown)

    async def test_is_remembered_as_that_by_whoever_goes_back(self, place: Place) -> None:
        phone, code = await place.browser(), await link(place)
        await start(place, phone, code)
        await phone.post("/connect/proof/decline")
        for path in ("/connect/proof", "/connect/proof/continue", f"/connect/{code}"):
            page = await phone.client.get(path, follow_redirects=True)
            assert page.status_code == 410
            assert heading(page.text) == DEAD
            assert "It was used at" not in page.text

    async def test_by_get_or_head_is_not_saying_no(self, place: Place) -> None:
        code = await link(place)
        browser = await place.browser()
        for path in (f"/connect/{code}/decline", f"/connect/{code}/start"):
            for method in ("GET", "HEAD"):
                answer = await browser.client.request(method, path)
                assert answer.status_code == 405
                assert answer.headers["allow"] == "POST"
        assert (await browser.get(f"/connect/{code}")).status_code == 200


class TestFixation:
    async def test_a_planted_session_cookie_is_replaced_at_signing_in(self, place: Place) -> None:
        attacker = await place.signed_in("mallory")
        planted = attacker.client.cookies["__Host-session"]
        victim = await place.browser()
        shown = await start(place, victim, await link(place))
        victim.client.cookies.set("__Host-session", planted)
        assert await confirm(place, "ann", shown)
        answer = await victim.post("/connect/proof/continue")
        (fresh,) = re.findall(r"__Host-session=([^;]+)", answer.headers["set-cookie"])
        assert fresh != planted
        assert not await is_signed_in(attacker), "the planted session has ended"

    async def test_a_cookie_from_before_signing_in_stays_nobodys(self, place: Place) -> None:
        victim = await place.browser()
        made_up = "A" * 43 + "." + "B" * 43
        victim.client.cookies.set("__Host-session", made_up)
        await place.prove(victim, "ann")
        attacker = await place.browser()
        attacker.client.cookies.set("__Host-session", made_up)
        assert not await is_signed_in(attacker)

    async def test_the_length_of_a_page_with_its_code_tells_nothing_of_it(
        self, place: Place
    ) -> None:
        phone = await place.browser()
        shown = await start(place, phone, await link(place))
        page = await phone.get("/connect/proof", headers={"Accept-Encoding": "gzip"})
        assert shown_code(page) == shown
        assert "content-encoding" not in page.headers

    async def test_the_proofs_cookie_opens_nothing_after_the_proof(self, place: Place) -> None:
        victim, attacker = await place.browser(), await place.browser()
        shown = await start(place, victim, await link(place))
        attacker.client.cookies.set("__Host-proof", victim.client.cookies["__Host-proof"])
        assert await confirm(place, "ann", shown)
        await victim.post("/connect/proof/continue")
        assert (await attacker.post("/connect/proof/continue")).status_code == 410
        assert not await is_signed_in(attacker)

    async def test_each_signing_in_has_an_id_of_its_own(self, place: Place) -> None:
        browser = await place.browser()
        seen = set()
        for _ in range(3):
            await place.prove(browser, "ann")
            seen.add(browser.client.cookies["__Host-session"])
            await browser.post("/signout")
        assert len(seen) == 3

    async def test_an_attempt_from_before_is_not_finished_in_the_new_session(
        self, place: Place, ann: Browser
    ) -> None:
        callback = place.fake.authorize(await ann.begin("github"))
        await ann.post("/signout")
        await place.prove(ann, "ann")
        assert (await ann.come_back(callback)).status_code == 400
        assert await ann.state_of("github") == "not_connected"
        assert await nothing_happened(place)


class TestTheCookies:
    async def test_are_for_this_host_alone_and_hold_nothing_readable(self, place: Place) -> None:
        phone = await place.browser()
        code = await link(place, "ann", "github")
        started = await phone.post(f"/connect/{code}/start")
        assert await confirm(place, "ann", shown_code(await phone.get("/connect/proof")))
        continued = await phone.post("/connect/proof/continue")
        cookies = [*started.headers.get_list("set-cookie")]
        cookies += continued.headers.get_list("set-cookie")
        assert len(cookies) == 5, "the proof's, taken back, the link's, the session's, known"
        for cookie in cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            attributes = {part.strip() for part in cookie.split(";")[1:]}
            assert name in ("__Host-proof", "__Host-link", "__Host-session", "__Host-known")
            assert attributes >= {"HttpOnly", "Secure", "Path=/"}
            assert "samesite=lax" in {a.lower() for a in attributes}
            assert "domain" not in cookie.lower()
            assert len(cookie) < 4096
            assert "ann" not in value
            assert code not in value

    async def test_on_loopback_http_have_plain_names(self, redis_url: str, redis: Redis) -> None:
        async with site_at(redis_url, redis, base_url="http://127.0.0.1:8000") as place:
            browser = await place.signed_in("ann")
        assert sorted(browser.client.cookies) == ["known", "link", "session"]


class TestDone:
    async def test_is_only_for_what_is_connected(self, ann: Browser) -> None:
        answer = await ann.get("/connect/done/github")
        assert (answer.status_code, answer.headers["location"]) == (303, "/connections")

    async def test_may_be_loaded_again(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "github")
        for _ in range(2):
            page = await ann.get("/connect/done/github")
            assert ">Connected as <bdi>" in page.text
            assert "Stargazer can now" in page.text
            assert "read your full profile" in page.text
        assert card_state((await ann.get("/connections")).text, "github") == "connected"
