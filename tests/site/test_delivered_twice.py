"""A provider's answer that a browser brings twice, or that is cut off: what is told is true."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from starlette.types import Message, Scope

from tests.kit.cards_shown import note
from tests.kit.fake_answers import error_answer
from tests.kit.library import BUILT_IN, tokens_key
from tests.kit.redis_proxy import redis_proxy
from tests.kit.site_fixtures import (
    Browser,
    Place,
    card_state,
    confirm,
    handed_off,
    heading,
    query_of,
    shown_code,
    site_at,
)
from webui.oauth_manager import LINK_CODE_TTL
from webui.sessions.delivered import MOST, delivered, remembered

pytestmark = pytest.mark.anyio

CARD = "/connections#conn-github-n"
OVER = "/connect/ended/over"


async def allowed(place: Place, ann: Browser, **form: str) -> str:
    return place.fake.authorize(await ann.begin("github", form))


async def from_a_link(place: Place, ann: Browser) -> str:
    """Begun on the landing page of a link, in ann's browser."""
    code = await place.bot.create_link_code(place.redis, "ann", provider="github")
    return place.fake.authorize(handed_off(await ann.post(f"/connect/{code}/start")))


async def straight(place: Place) -> str:
    """Begun by a link straight to the provider, in no browser."""
    url = await place.bot.generate_connect_url("ann", "github", place.redis)
    return place.fake.authorize(url)


class TestTheSecondDelivery:
    @pytest.mark.parametrize("where", ["list", "detail"])
    async def test_says_what_the_first_one_did(
        self, place: Place, ann: Browser, where: str
    ) -> None:
        callback = await allowed(place, ann, **{"return": where})
        first = await ann.get(callback)
        for _ in range(3):
            again = await ann.get(callback)
            assert again.headers["location"] == first.headers["location"]
        assert note(await ann.get("/connections")) == "GitHub is connected."
        assert place.fake.calls["exchange"] == 1

    async def test_of_what_began_with_a_link_says_done_as_well(
        self, place: Place, ann: Browser
    ) -> None:
        callback = await from_a_link(place, ann)
        for _ in range(2):
            answer = await ann.get(callback)
            assert answer.headers["location"] == "/connect/done/github"

    async def test_of_what_is_asked_about_leads_to_the_question(
        self, place: Place, ann: Browser
    ) -> None:
        callback = await straight(place)
        for _ in range(2):
            answer = await ann.get(callback)
            assert answer.headers["location"] == "/connections/github/switch"

    async def test_of_what_waits_for_its_proof_leads_to_the_code_and_then_to_the_question(
        self, place: Place
    ) -> None:
        callback = await straight(place)
        phone = await place.browser()
        for _ in range(2):
            assert (await phone.get(callback)).headers["location"] == "/connect/proof"
        assert await confirm(place, "ann", shown_code(await phone.get("/connect/proof")))
        await phone.post("/connect/proof/continue")
        answer = await phone.get(callback)
        assert answer.headers["location"] == "/connections/github/switch"
        assert place.fake.calls["exchange"] == 1

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            ("access_denied", "You chose not to connect"),
            ("server_error", "GitHub is not answering"),
        ],
    )
    async def test_of_an_error_says_the_same_of_it(
        self, place: Place, ann: Browser, error: str, told: str
    ) -> None:
        state = query_of(await ann.begin("github"))["state"]
        url = f"/oauth/github/callback?error={error}&state={state}"
        for _ in range(2):
            assert (await ann.get(url)).headers["location"] == CARD
            assert note(await ann.get("/connections")).startswith(told)

    async def test_of_a_failed_exchange_says_that_it_failed(
        self, place: Place, ann: Browser
    ) -> None:
        place.fake.script("token", error_answer("invalid_grant"))
        callback = await allowed(place, ann)
        for _ in range(2):
            assert (await ann.get(callback)).headers["location"] == CARD
            assert card_state((await ann.get("/connections")).text, "github") == "failed"
        assert place.fake.calls["exchange"] == 1

    async def test_says_nothing_of_it_to_anybody_else(
        self, place: Place, ann: Browser, ben: Browser
    ) -> None:
        callback = await allowed(place, ann)
        await ann.get(callback)
        for other in (ben, await place.signed_in("ann"), await place.browser()):
            assert (await other.get(callback)).headers["location"] == OVER

    async def test_leaves_what_the_card_has_told_since(self, place: Place, ann: Browser) -> None:
        callback = await allowed(place, ann)
        await ann.get(callback)
        await ann.post("/connections/github/disconnect")
        assert (await ann.get(callback)).headers["location"] == CARD
        assert await ann.state_of("github") == "disconnected"

    @pytest.mark.parametrize("begin", [allowed, from_a_link])
    async def test_at_the_same_moment_waits_for_what_the_first_one_comes_to(
        self, place: Place, ann: Browser, begin: Any
    ) -> None:
        callback = await begin(place, ann)
        gate = place.fake.gate("token")
        first = asyncio.create_task(ann.get(callback))
        await gate.reached()
        second = asyncio.create_task((await place.browser(ann)).get(callback))
        done, _ = await asyncio.wait({second}, timeout=0.3)
        assert not done
        gate.open()
        answers = await asyncio.gather(first, second)
        assert answers[0].headers["location"] == answers[1].headers["location"]
        assert await ann.state_of("github") == "connected"
        assert place.fake.calls["exchange"] == 1

    @pytest.mark.parametrize("begin", [allowed, from_a_link, straight])
    async def test_five_at_once_all_say_the_same(
        self, place: Place, ann: Browser, redis_url: str, begin: Any
    ) -> None:
        callback = await (begin(place) if begin is straight else begin(place, ann))
        async with site_at(redis_url, place.redis, place.fake) as other:
            tabs = [await (place, other)[n % 2].browser(ann) for n in range(5)]
            answers = await asyncio.gather(*(tab.get(callback) for tab in tabs))
        (location,) = {answer.headers["location"] for answer in answers}
        assert not location.startswith("/connect/ended/")
        assert place.fake.calls["exchange"] == 1

    async def test_of_a_state_that_has_run_out_is_not_waited_for(
        self, place: Place, ann: Browser
    ) -> None:
        callback = await allowed(place, ann)
        state = query_of(callback)["state"]
        await place.redis.pexpire(f"stargazer:oauth_state:{state}", 0)
        async with asyncio.timeout(5):
            assert (await ann.get(callback)).headers["location"] == OVER


class TestTheOrdinaryWay:
    async def test_costs_five_round_trips_with_the_session(
        self, redis_url: str, redis: Redis
    ) -> None:
        async with redis_proxy(redis_url) as proxy, site_at(proxy.url, redis) as place:
            ann = await place.signed_in("ann")
            callback = await allowed(place, ann)
            before = proxy.round_trips
            await ann.get(callback)
            assert proxy.round_trips - before == 5


class TestWhatASessionKeeps:
    def test_is_of_the_newest_answers_alone_and_no_state_in_clear(self) -> None:
        notes: dict[str, Any] = {}
        now = 1_750_000_000.0
        states = [f"{number}" * 43 for number in range(MOST + 2)]
        for state in states:
            notes |= remembered(notes, "github", state, "done", now=now, is_done=False)
        found = [bool(delivered(notes, "github", state, now)) for state in states]
        assert found == [False] * 2 + [True] * MOST
        assert delivered(notes, "google", states[-1], now) is None
        assert states[-1] not in str(notes)
        notes |= remembered(notes, "github", states[-1], "done", now=now, is_done=True)
        last = delivered(notes, "github", states[-1], now)
        assert last
        assert (last.is_done, last.return_to) == (True, "done")
        assert delivered(notes, "github", states[-1], now + LINK_CODE_TTL) is None


async def cut(
    place: Place, url: str, browser: Browser, reached: Any, *, method: str = "GET"
) -> tuple[Message, bytes]:
    """The answer to a request whose task is cancelled once it has ``reached`` a point."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    path = httpx.URL(url)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
    headers = {"host": "bot.example", "cookie": cookie, "sec-fetch-site": "same-origin"}
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path.path,
        "raw_path": path.path.encode(),
        "query_string": path.query,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("192.0.2.99", 1),
    }

    async def answer() -> None:
        await place.app(scope, receive, send)

    task = asyncio.create_task(answer())
    await reached()
    task.cancel("the server has waited long enough")
    await asyncio.wait({task})
    return sent[0], b"".join(message.get("body", b"") for message in sent)


class TestAnAnswerThatIsCutOff:
    """By a server that is told to stop and has waited its time, or by anything else."""

    async def test_leads_to_the_page_that_tells_what_is_true(
        self, redis_url: str, redis: Redis
    ) -> None:
        async with site_at(redis_url, redis) as place:
            ann = await place.signed_in("ann")
            callback = await allowed(place, ann)
            gate = place.fake.gate("account")
            answer, _ = await cut(place, callback, ann, gate.reached)
            gate.open()
            assert answer["status"] == 303
            assert (b"location", CARD.encode()) in answer["headers"]
        # The server has ended, and waited for what was under way.
        assert await redis.exists(tokens_key("ann", "github"))
        async with site_at(redis_url, redis, place.fake) as later:
            page = await (await later.browser(ann)).get("/connections")
            assert note(page) == "GitHub is connected."
            again = await (await later.browser(ann)).get(callback)
            assert again.headers["location"] == CARD

    async def test_after_the_proof_signs_in_and_leads_there_too(self, place: Place) -> None:
        phone = await place.browser()
        await phone.get(await straight(place))
        assert await confirm(place, "ann", shown_code(await phone.get("/connect/proof")))
        gate = place.fake.gate("account")
        url = "/connect/proof/continue"
        answer, _ = await cut(place, url, phone, gate.reached, method="POST")
        gate.open()
        headers = dict(answer["headers"])
        assert (answer["status"], headers[b"location"]) == (303, CARD.encode())
        assert b"__Host-session=" in b"".join(v for n, v in answer["headers"] if n == b"set-cookie")

    async def test_before_anything_was_asked_is_told_in_our_own_words(
        self, place: Place, ann: Browser
    ) -> None:
        callback = await allowed(place, ann)

        async def at_once() -> None:
            await asyncio.sleep(0)

        answer, _ = await cut(place, callback, ann, at_once)
        assert answer["status"] == 303
        assert (b"location", b"/connect/ended/unanswered") in answer["headers"]
        answer, body = await cut(place, "/connections", ann, at_once)
        assert answer["status"] == 503
        assert b"Stargazer is not available" in body
        assert (b"x-content-type-options", b"nosniff") in answer["headers"]


class TestNothingIsShownAtTheCallback:
    """Its address holds a code and a state; every ending has one of its own."""

    @pytest.mark.parametrize("provider", BUILT_IN)
    async def test_whatever_becomes_of_it(
        self, place: Place, ann: Browser, ben: Browser, provider: str
    ) -> None:
        nobody, at = await place.browser(), f"/oauth/{provider}/callback"

        async def link(user: str = "ann") -> str:
            return await place.bot.generate_connect_url(user, provider, place.redis)

        async def state(user: str = "ann") -> str:
            return query_of(await link(user))["state"]

        endings = {
            "in another browser": (nobody, place.fake.authorize(await ann.begin(provider))),
            "in another person's": (ben, place.fake.authorize(await ann.begin(provider))),
            "of another person's link": (ben, place.fake.authorize(await link("owner"))),
            "the proof": (nobody, place.fake.authorize(await link())),
            "declined": (nobody, f"{at}?error=access_denied&state={await state('u1')}"),
            "declined, signed in": (ann, f"{at}?error=access_denied&state={await state()}"),
            "trouble": (nobody, f"{at}?error=server_error&state={await state('u2')}"),
            "issuer": (nobody, f"{at}?code=c&state={await state('u3')}&iss=https://evil.example"),
            "made up": (nobody, f"{at}?code=c&state={'u' * 43}"),
            "made up, signed in": (ann, f"{at}?code=c&state={'u' * 43}"),
            "no answer": (nobody, f"{at}?state={await state('u4')}"),
            "twice the same": (ann, f"{at}?code=c&code=c&state={'u' * 43}"),
            "connected": (ann, place.fake.authorize(await ann.begin(provider))),
        }
        for name, (browser, url) in endings.items():
            answer = await browser.get(url)
            assert (answer.status_code, answer.text) == (303, ""), name
            location = answer.headers["location"]
            clean = r"/[a-z/_-]+(\?service=[a-z]+)?([?&]ref=[A-Z0-9]{6})?(#[a-z-]+)?"
            assert re.fullmatch(clean, location), name
            if location.startswith("/connect/"):
                page = await browser.get(location)
                assert heading(page.text), name
                again = await browser.get(location)
                assert (again.status_code, again.text) == (page.status_code, page.text), name

    async def test_what_nobody_thought_of_neither(self, redis_url: str, redis: Redis) -> None:
        async def broken(*_: Any) -> None:
            raise KeyError

        async with site_at(redis_url, redis, provider_app=broken) as place:
            ann = await place.signed_in("ann")
            callback = place.fake.authorize(await ann.begin("github"))
            page = await ann.come_back(callback)
            assert "we do not know whether it was connected" in page.text

    async def test_a_browser_that_looks_ahead_is_shown_nothing_and_spends_nothing(
        self, place: Place, ann: Browser
    ) -> None:
        callback = await allowed(place, ann)
        ahead = await ann.get(callback, headers={"sec-purpose": "prefetch"})
        assert (ahead.status_code, ahead.text) == (503, "")
        assert (await ann.get(callback)).headers["location"] == CARD

    async def test_an_ending_that_is_none_is_not_found(self, place: Place) -> None:
        nobody = await place.browser()
        for path in ("well", "failed", "failed?service=gitlab", "well?service=github"):
            assert (await nobody.get(f"/connect/ended/{path}")).status_code == 404
        for ref in ("<b>", "aaaaaa", "K4T9WXK4T9WX", "K4T9W%0a"):
            page = await nobody.get(f"/connect/ended/failed?service=github&ref={ref}")
            assert page.status_code == 400
            assert "reference" not in page.text.lower().partition("<main")[2].partition("</main")[0]
