"""Cards of what is going on: waiting for a person at a provider, waiting for a provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from starlette.types import Receive, Scope, Send

from tests.kit.cards_shown import buttons, element, focused, note, seen
from tests.kit.fake_answers import Answer, Gate, error_answer, json_answer
from tests.kit.library import dumped, fake_provider, revoke_key, tokens_key
from tests.kit.screens import Document
from tests.kit.site_fixtures import Browser, Place, card_state, heading, site_at
from webui.sessions.note import Note
from webui.sessions.sessions import Session

pytestmark = pytest.mark.anyio


async def news(browser: Browser, marks: list[str]) -> httpx.Response:
    query = "&".join(f"seen={mark}" for mark in marks)
    return await browser.get(f"/connections?{query}", htmx=True)


async def remember(place: Place, key: str, age: float, **more: Any) -> None:
    """Pass some seconds after a note was left in the one session there is."""
    (name,) = [k async for k in place.redis.scan_iter("stargazer:web_session:*")]
    session = Session("ann", 0.0, "", name.decode())
    await place.site.sessions.put_note(session, "github", Note(key, **more))
    place.clock.advance(age)


async def hang_up(asking: asyncio.Task[Any]) -> None:
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


@pytest.fixture
async def place(redis_url: str, redis: Redis) -> AsyncIterator[Place]:
    """A site that waits for a provider for a moment only."""
    async with site_at(redis_url, redis) as made:
        made.site.manager.patience = 0.05
        yield made


@pytest.fixture
def held(place: Place) -> Gate:
    """The provider takes its time over revocations."""
    return place.fake.gate("revoke")


class TestASlowProvider:
    """disconnecting"""

    @pytest.mark.parametrize("htmx", [True, False])
    async def test_is_not_waited_for(
        self, place: Place, ann: Browser, held: Gate, htmx: bool
    ) -> None:
        await place.connect(ann, "github")
        shown = await ann.post("/connections/github/disconnect", htmx=htmx)
        assert not await place.redis.exists(tokens_key("ann", "github"))
        if htmx:
            assert shown.status_code == 202
            assert focused(shown) == ["conn-github-n"]
        else:
            assert shown.headers["location"] == "/connections#conn-github-n"
            shown = await ann.get("/connections")
        assert card_state(shown.text, "github") == "disconnecting"
        assert note(shown).startswith("We have stopped using GitHub. Telling GitHub now…")
        assert buttons(shown) == ["Connect GitHub", "Check again GitHub"]
        held.open()

    async def test_is_heard_of_by_the_page(self, place: Place, ann: Browser, held: Gate) -> None:
        await place.connect(ann, "github")
        during = seen(await ann.post("/connections/github/disconnect", htmx=True))
        assert (await news(ann, during)).status_code == 204
        held.open()
        await place.settled()
        told = await news(ann, during)
        assert card_state(told.text, "github") == "disconnected"
        assert element(told, "announce") == "GitHub is disconnected."
        assert focused(told) == []
        assert (await news(ann, seen(told))).status_code == 204

    async def test_that_refuses_in_the_end_is_told_of(
        self, place: Place, ann: Browser, held: Gate
    ) -> None:
        await place.connect(ann, "github")
        place.fake.script("revoke", Answer(503))
        await ann.post("/connections/github/disconnect")
        held.open()
        await place.settled()
        page = await ann.get("/connections")
        assert card_state(page.text, "github") == "still_listed"
        assert buttons(page)[:2] == ["Connect GitHub", "Try again GitHub"]

    async def test_is_told_of_in_every_browser_of_the_person(
        self, place: Place, ann: Browser, held: Gate
    ) -> None:
        await place.connect(ann, "github")
        place.fake.script("revoke", Answer(503))
        other = await place.signed_in("ann")
        await ann.post("/connections/github/disconnect")
        assert await other.state_of("github") == "disconnecting"
        held.open()
        await place.settled()
        page = await other.get("/connections")
        assert card_state(page.text, "github") == "still_listed"
        assert buttons(page)[:2] == ["Connect GitHub", "Try again GitHub"]
        await other.post("/connections/github/revoke")
        assert await other.state_of("github") == "disconnected"
        await other.post("/connections/github/dismiss")
        assert await other.state_of("github") == "not_connected"

    async def test_that_never_answers_is_given_up(self, redis_url: str, redis: Redis) -> None:
        fake, called = fake_provider(), asyncio.Event()

        async def silent(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].endswith("/grant"):
                await called.wait()
                raise httpx.ReadTimeout("")
            await fake(scope, receive, send)

        async with site_at(redis_url, redis, fake, provider_app=silent) as place:
            place.site.manager.patience = 0.05
            ann = await place.signed_in("ann")
            await place.connect(ann, "github")
            answer = await ann.post("/connections/github/disconnect", htmx=True)
            assert answer.status_code == 202
            called.set()
            await place.settled()
            assert await ann.state_of("github") == "still_listed"

    async def test_is_asked_though_the_browser_has_gone(
        self, place: Place, ann: Browser, held: Gate
    ) -> None:
        place.site.manager.patience = 60.0
        await place.connect(ann, "github")
        asking = asyncio.create_task(ann.post("/connections/github/disconnect"))
        await held.reached()
        await hang_up(asking)
        held.open()
        await place.settled()
        assert await ann.state_of("github") == "disconnected"
        assert not any(place.fake.is_alive(token) for token in place.fake.issued)

    async def test_is_asked_or_nothing_is_disconnected_where_the_browser_goes_at_once(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        asking = asyncio.create_task(ann.post("/connections/github/disconnect"))
        await asyncio.sleep(0)
        await hang_up(asking)
        await place.settled()
        is_alive = any(place.fake.is_alive(token) for token in place.fake.issued)
        assert await ann.state_of("github") == ("connected" if is_alive else "disconnected")

    async def test_does_not_bring_back_a_session_that_has_ended(
        self, place: Place, ann: Browser, held: Gate
    ) -> None:
        await place.connect(ann, "github")
        await ann.post("/connections/github/disconnect")
        await ann.post("/signout")
        held.open()
        await place.settled()
        async for key in place.redis.scan_iter("stargazer:web_session:*"):
            assert not await place.redis.hget(key, "note:github")
            assert not await place.redis.hget(key, "user")

    async def test_is_waited_for_by_a_site_that_stops(self, redis_url: str, redis: Redis) -> None:
        fake = fake_provider()
        gate = fake.gate("revoke")

        async def run(jar: list[Browser]) -> None:
            async with site_at(redis_url, redis, fake) as place:
                place.site.manager.patience = 0.05
                ann = await place.signed_in("ann")
                await place.connect(ann, "github")
                await ann.post("/connections/github/disconnect")
                jar.append(ann)

        jar: list[Browser] = []
        stopping = asyncio.create_task(run(jar))
        await gate.reached()
        gate.open()
        await stopping
        async with site_at(redis_url, redis, fake) as place:
            assert await (await place.browser(jar[0])).state_of("github") == "disconnected"

    async def test_that_a_dead_process_was_asking_is_not_told_of_for_ever(
        self, place: Place, ann: Browser
    ) -> None:
        await remember(place, "disconnecting", age=29)
        during = await ann.get("/connections")
        assert card_state(during.text, "github") == "disconnecting"
        await remember(place, "disconnecting", age=31)
        after = await news(ann, seen(during))
        assert card_state(after.text, "github") == "still_listed"
        assert buttons(after) == ["Connect GitHub", "Dismiss this message GitHub"]

    async def test_stands_beside_what_happens_elsewhere(
        self, place: Place, ann: Browser, held: Gate
    ) -> None:
        await place.connect(ann, "github")
        await ann.post("/connections/github/disconnect")
        await place.connect(ann, "google")
        page = (await ann.get("/connections")).text
        assert card_state(page, "github") == "disconnecting"
        assert "Google is connected." in page
        held.open()

    async def test_that_answers_in_time_is_told_at_once(self, place: Place, ann: Browser) -> None:
        place.site.manager.patience = 60.0
        await place.connect(ann, "github")
        answer = await ann.post("/connections/github/disconnect", htmx=True)
        assert answer.status_code == 200
        assert card_state(answer.text, "github") == "disconnected"


async def refused(place: Place, browser: Browser) -> httpx.Response:
    """Disconnected here, while the provider is in trouble."""
    place.site.manager.patience = 60.0
    await place.connect(browser, "github")
    place.fake.script("revoke", Answer(503))
    return await browser.post("/connections/github/disconnect", htmx=True)


class TestTryingAgain:
    """still_listed"""

    async def test_is_offered_first_for_an_hour(self, place: Place, ann: Browser) -> None:
        place.site.manager.providers["github"].manage_url = "https://github.example/apps"
        shown = await refused(place, ann)
        assert card_state(shown.text, "github") == "still_listed"
        assert buttons(shown) == [
            "Connect GitHub",
            "Try again GitHub",
            "Remove Stargazer at GitHub yourself",
            "Dismiss this message GitHub",
        ]
        assert note(shown).startswith(
            "GitHub is disconnected here. GitHub did not confirm, so it may still list Stargazer."
        )
        assert "We can try again until" in note(shown)
        assert 3500 < await place.redis.ttl(revoke_key("ann", "github")) <= 3600

    @pytest.mark.parametrize("htmx", [True, False])
    async def test_that_works_is_told(self, place: Place, ann: Browser, htmx: bool) -> None:
        await refused(place, ann)
        answer = await ann.post("/connections/github/revoke", htmx=htmx)
        if htmx:
            assert answer.status_code == 200
            assert focused(answer) == ["conn-github-n"]
        else:
            assert answer.headers["location"] == "/connections#conn-github-n"
            answer = await ann.get("/connections")
        assert card_state(answer.text, "github") == "disconnected"
        assert "GitHub has cancelled our access too." in note(answer)
        assert "GitHub confirmed, reference" in note(answer)
        assert "did not confirm" not in note(answer)
        activity = Document((await ann.get("/activity")).text).text
        assert "GitHub confirmed, reference" in activity
        assert "did not confirm" not in activity
        assert not any(place.fake.is_alive(token) for token in place.fake.issued)
        assert not await place.redis.exists(revoke_key("ann", "github"))

    async def test_in_vain_can_be_repeated(self, place: Place, ann: Browser) -> None:
        await refused(place, ann)
        place.fake.script("revoke", Answer(503))
        answer = await ann.post("/connections/github/revoke", htmx=True)
        assert answer.status_code == 200
        assert card_state(answer.text, "github") == "still_listed"
        assert buttons(answer)[:2] == ["Connect GitHub", "Try again GitHub"]

    async def test_of_a_slow_provider_goes_on(self, place: Place, ann: Browser) -> None:
        await refused(place, ann)
        place.site.manager.patience = 0.05
        gate = place.fake.gate("revoke")
        answer = await ann.post("/connections/github/revoke", htmx=True)
        assert answer.status_code == 202
        assert card_state(answer.text, "github") == "disconnecting"
        gate.open()
        await place.settled()
        assert await ann.state_of("github") == "disconnected"

    @pytest.mark.parametrize("htmx", [True, False])
    async def test_too_often_is_refused_for_a_while(
        self, place: Place, ann: Browser, htmx: bool
    ) -> None:
        await refused(place, ann)
        place.fake.always["revoke"] = Answer(503)
        for _ in range(10):
            assert (await ann.post("/connections/github/revoke", htmx=True)).status_code == 200
        calls = place.fake.calls["revoke"]
        answer = await ann.post("/connections/github/revoke", htmx=htmx)
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        assert card_state(answer.text, "github") == "still_listed"
        assert "Try again after" in note(answer)
        assert place.fake.calls["revoke"] == calls
        assert buttons(await ann.get("/connections"))[1] == "Try again GitHub"

    async def test_of_what_is_connected_again_says_how_it_stands(
        self, place: Place, ann: Browser
    ) -> None:
        await refused(place, ann)
        assert await place.redis.exists(revoke_key("ann", "github"))
        other = await place.browser(ann)
        await place.connect(other, "github")
        assert not await place.redis.exists(revoke_key("ann", "github"))
        calls = place.fake.calls["revoke"]
        answer = await ann.post("/connections/github/revoke", htmx=True)
        assert answer.status_code == 200
        assert card_state(answer.text, "github") == "connected"
        assert place.fake.calls["revoke"] == calls
        assert await place.bot.get_token("ann", "github", place.redis)

    async def test_is_not_offered_any_more_where_nothing_is_left(
        self, place: Place, ann: Browser
    ) -> None:
        await refused(place, ann)
        await place.redis.delete(revoke_key("ann", "github"))
        answer = await ann.post("/connections/github/revoke", htmx=True)
        assert card_state(answer.text, "github") == "still_listed"
        assert buttons(answer) == ["Connect GitHub", "Dismiss this message GitHub"]
        assert note(answer).startswith("GitHub is disconnected here.")

    async def test_ends_with_its_hour(self, place: Place, ann: Browser) -> None:
        await remember(place, "still_listed", age=3601, until=place.clock.now() + 3600)
        page = await ann.get("/connections")
        assert buttons(page) == ["Connect GitHub", "Dismiss this message GitHub"]

    async def test_ends_when_the_person_has_removed_it(self, place: Place, ann: Browser) -> None:
        await refused(place, ann)
        answer = await ann.post("/connections/github/dismiss", htmx=True)
        assert card_state(answer.text, "github") == "not_connected"
        assert not await place.redis.exists(revoke_key("ann", "github"))

    async def test_is_for_the_same_person(self, place: Place, ann: Browser, ben: Browser) -> None:
        await refused(place, ann)
        calls = place.fake.calls["revoke"]
        answer = await ben.post("/connections/github/revoke", htmx=True)
        assert card_state(answer.text, "github") == "not_connected"
        assert place.fake.calls["revoke"] == calls
        assert await place.redis.exists(revoke_key("ann", "github"))

    async def test_leaves_no_token_in_clear(self, place: Place, ann: Browser) -> None:
        await refused(place, ann)
        everything = await dumped(place.redis)
        assert not any(secret.encode() in everything for secret in place.fake.issued)


class TestWaiting:
    """waiting"""

    async def test_begins_with_leaving(self, place: Place, ann: Browser) -> None:
        await ann.begin("github")
        page = await ann.get("/connections")
        assert card_state(page.text, "github") == "waiting"
        assert element(page, "conn-github-t") == "Finish at GitHub"
        assert "it was not finished." in note(page)
        assert buttons(page) == ["Check again GitHub", "Start again GitHub", "Cancel GitHub"]

    async def test_ends_with_the_answer_which_the_page_hears_of(
        self, place: Place, ann: Browser
    ) -> None:
        url = await ann.begin("github")
        during = seen(await ann.get("/connections"))
        assert (await news(ann, during)).status_code == 204
        await ann.get(place.fake.authorize(url))
        told = await news(ann, during)
        assert card_state(told.text, "github") == "connected"
        assert element(told, "announce") == "GitHub is connected."

    async def test_ends_with_a_no(self, place: Place, ann: Browser) -> None:
        state = httpx.URL(await ann.begin("github")).params["state"]
        await ann.get(f"/oauth/github/callback?error=access_denied&state={state}")
        assert await ann.state_of("github") == "denied"

    async def test_ends_where_the_connection_was_made_from_elsewhere(
        self, place: Place, ann: Browser
    ) -> None:
        await ann.begin("github")
        assert await ann.state_of("github") == "waiting"
        await place.connect(await place.signed_in("ann"), "github")
        assert await ann.state_of("github") == "connected"

    async def test_is_over_where_another_account_came_back(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        place.fake.account = {"id": 5, "login": "lisa"}
        answer = await place.connect(ann, "github")
        assert answer.headers["location"] == "/connections/github/switch"
        assert await ann.state_of("github") == "connected"

    async def test_changes_its_words_after_two_minutes(self, place: Place, ann: Browser) -> None:
        await remember(place, "waiting", age=119)
        during = await ann.get("/connections")
        assert card_state(during.text, "github") == "waiting"
        await remember(place, "waiting", age=121)
        after = await news(ann, seen(during))
        assert element(after, "conn-github-t") == "Still waiting for GitHub"
        assert note(after).startswith("If you have finished there, choose Check again.")
        assert element(after, "announce") == "Still waiting for GitHub."

    async def test_is_over_when_the_attempt_is(self, place: Place, ann: Browser) -> None:
        await remember(place, "waiting", age=599)
        assert await ann.state_of("github") == "waiting"
        await remember(place, "waiting", age=601)
        assert await ann.state_of("github") == "not_connected"

    async def test_stands_beside_what_happens_elsewhere(self, place: Place, ann: Browser) -> None:
        await ann.begin("github")
        await place.connect(ann, "google")
        page = (await ann.get("/connections")).text
        assert card_state(page, "github") == "waiting"
        assert "Google is connected." in page

    async def test_over_a_connection_that_works_leaves_it_connected_and_disconnectable(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        await ann.begin("github", {"intent": "reconnect"})
        page = await ann.get("/connections")
        assert card_state(page.text, "github") == "waiting"
        assert "Disconnect GitHub" in buttons(page)
        assert "Status: Connected" in element(page, "conn-github")
        assert element(page, "cards-summary") == "GitHub needs you."
        answer = await ann.post("/connections/github/disconnect", htmx=True)
        assert card_state(answer.text, "github") == "disconnected"


class TestCancelling:
    @pytest.mark.parametrize("htmx", [True, False])
    async def test_leads_back_to_how_it_stood(self, place: Place, ann: Browser, htmx: bool) -> None:
        await ann.begin("github")
        answer = await ann.post("/connections/github/cancel", htmx=htmx)
        if htmx:
            assert answer.status_code == 200
            assert focused(answer) == ["conn-github-t"]
        else:
            assert answer.headers["location"] == "/connections#conn-github-t"
            answer = await ann.get("/connections")
        assert card_state(answer.text, "github") == "not_connected"
        assert note(answer) == ""

    async def test_is_what_the_page_of_leaving_offers(self, place: Place, ann: Browser) -> None:
        page = await ann.post("/connections/github/connect", {"return": "detail"})
        assert 'action="/connections/github/cancel" method="post"' in page.text
        assert element(page, "handoff-cancel") == "Cancel"
        answer = await ann.post("/connections/github/cancel", {"return": "detail"})
        assert answer.headers["location"] == "/connections/github#conn-github-t"
        assert heading((await ann.get("/connections/github")).text) == "GitHub"

    async def test_holds_for_whoever_goes_on_at_the_provider(
        self, place: Place, ann: Browser
    ) -> None:
        callback = place.fake.authorize(await ann.begin("github"))
        await ann.post("/connections/github/cancel")
        answer = await ann.get(callback)
        assert answer.headers["location"] == "/connections#conn-github-n"
        assert await ann.state_of("github") == "attempt_over"
        assert not place.fake.calls["token"]
        assert await place.records() == {}

    async def test_does_not_hold_for_what_is_begun_afterwards(
        self, place: Place, ann: Browser
    ) -> None:
        """Two tabs: the first one's attempt stays cancelled, the second one's works."""
        first = place.fake.authorize(await ann.begin("github"))
        await ann.post("/connections/github/cancel")
        second = place.fake.authorize(await ann.begin("github"))
        assert await ann.state_of("github") == "waiting"
        await ann.get(first)
        assert not place.fake.calls["token"]
        await ann.get(second)
        assert await ann.state_of("github") == "connected"

    async def test_is_of_one_service_and_one_browser(self, place: Place, ann: Browser) -> None:
        google = place.fake.authorize(await ann.begin("google"))
        other = await place.signed_in("ann")
        elsewhere = place.fake.authorize(await other.begin("github"))
        await ann.post("/connections/github/cancel")
        assert await ann.state_of("google") == "waiting"
        assert await other.state_of("github") == "waiting"
        await ann.get(google)
        await other.get(elsewhere)
        assert await ann.state_of("google") == "connected"
        assert await other.state_of("github") == "connected"

    async def test_leaves_a_connection_as_it_was(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "github")
        before = await place.records()
        callback = place.fake.authorize(await ann.begin("github"))
        await ann.post("/connections/github/cancel")
        assert await ann.state_of("github") == "connected"
        await ann.get(callback)
        assert await place.records() == before
        assert "Your old connection is unchanged." in note(await ann.get("/connections"))

    async def test_of_nothing_is_calm_and_hides_no_outcome(
        self, place: Place, ann: Browser
    ) -> None:
        await refused(place, ann)
        await ann.post("/connections/github/cancel")
        assert await ann.state_of("github") == "still_listed"


DESCRIPTIONS = {
    "first": "AADSTS90094: kestrel-app needs permission. Trace ID: kestrel-trace",
    "in the middle": "Sorry. (AADSTS90095) kestrel-who",
    "risky": "AADSTS900941: kestrel",
    "not assigned": "AADSTS50105: kestrel",
}


class TestAnAdministrator:
    """needs_admin"""

    async def come_back(self, place: Place, ann: Browser, **fields: str) -> httpx.Response:
        state = httpx.URL(await ann.begin("microsoft")).params["state"]
        query = httpx.QueryParams({"state": state, **fields})
        await ann.get(f"/oauth/microsoft/callback?{query}")
        return await ann.get("/connections")

    def expect_told(self, page: httpx.Response) -> None:
        assert card_state(page.text, "microsoft") == "needs_admin"
        title = element(page, "conn-microsoft-t")
        assert title == "Your organisation has to allow Stargazer at Microsoft"
        assert "Send this to its administrator: Please allow" in " ".join(
            note(page, "microsoft").replace(":", ": ").split()
        )
        assert buttons(page, "microsoft") == ["Try again Microsoft", "Cancel Microsoft"]
        assert "Waiting for approval" in page.text

    @pytest.mark.parametrize("description", DESCRIPTIONS.values(), ids=DESCRIPTIONS.keys())
    @pytest.mark.parametrize("error", ["access_denied", "invalid_client", "server_error"])
    async def test_is_asked_for_by_a_code_in_the_text_and_nothing_else_of_it_is_kept(
        self,
        place: Place,
        ann: Browser,
        error: str,
        description: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level("DEBUG", "webui")
        page = await self.come_back(place, ann, error=error, error_description=description)
        self.expect_told(page)
        assert "kestrel" not in page.text + caplog.text
        assert "AADSTS" not in page.text
        assert b"kestrel" not in await dumped(place.redis)

    async def test_is_asked_for_by_the_error_itself(self, place: Place, ann: Browser) -> None:
        self.expect_told(await self.come_back(place, ann, error="consent_required"))

    @pytest.mark.parametrize("codes", [[1, 65001], 65001, "65001", [[65001]]])
    @pytest.mark.parametrize("error", ["invalid_grant", "interaction_required", "invalid_client"])
    async def test_is_asked_for_by_a_number_in_the_token_answer(
        self, place: Place, ann: Browser, error: str, codes: object
    ) -> None:
        answer = {"error": error, "error_description": "kestrel", "error_codes": codes}
        place.fake.script("token", json_answer(answer, 400))
        await place.connect(ann, "microsoft")
        page = await ann.get("/connections")
        self.expect_told(page)
        assert b"kestrel" not in await dumped(place.redis)

    @pytest.mark.parametrize(
        ("fields", "state"),
        [
            ({"error": "access_denied"}, "denied"),
            ({"error": "access_denied", "error_description": "AADSTS65004: said no"}, "denied"),
            ({"error": "access_denied", "error_description": "xAADSTS90094"}, "denied"),
            ({"error": "access_denied", "error_description": "AADSTS900940"}, "denied"),
            ({"error": "server_error", "error_description": ""}, "trouble"),
        ],
    )
    async def test_is_not_asked_for_by_anything_else(
        self, place: Place, ann: Browser, fields: dict[str, str], state: str
    ) -> None:
        page = await self.come_back(place, ann, **fields)
        assert card_state(page.text, "microsoft") == state

    async def test_is_no_matter_of_a_provider_without_such_codes(
        self, place: Place, ann: Browser
    ) -> None:
        state = httpx.URL(await ann.begin("github")).params["state"]
        query = f"state={state}&error=access_denied&error_description=AADSTS90094"
        await ann.get(f"/oauth/github/callback?{query}")
        assert await ann.state_of("github") == "denied"

    @pytest.mark.parametrize("codes", [None, [True], [65009], [165001], "AADSTS650011", {}])
    async def test_is_not_asked_for_by_other_numbers(
        self, place: Place, ann: Browser, codes: object
    ) -> None:
        answer = {"error": "invalid_grant", "error_codes": codes}
        place.fake.script("token", json_answer(answer, 400))
        await place.connect(ann, "microsoft")
        assert await ann.state_of("microsoft") == "failed"

    async def test_leaves_a_connection_as_it_is(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "microsoft")
        before = await place.records()
        page = await self.come_back(place, ann, error="consent_required")
        assert card_state(page.text, "microsoft") == "needs_admin"
        assert "Your old connection is unchanged." in note(page, "microsoft")
        assert buttons(page, "microsoft") == [
            "Try again Microsoft",
            "Cancel Microsoft",
            "Check now Microsoft Checking…",
            "Disconnect Microsoft",
        ]
        assert await place.records() == before
        answer = await ann.post("/connections/microsoft/cancel", htmx=True)
        assert card_state(answer.text, "microsoft") == "connected"

    async def test_stands_in_the_timeline_as_an_attempt_that_did_not_finish(
        self, place: Place, ann: Browser
    ) -> None:
        await self.come_back(place, ann, error="consent_required")
        (event, *_) = (await place.bot.activity(place.redis, "ann")).events
        assert (event.kind, event.detail) == ("connect_failed", "needs_admin")


async def test_an_error_of_another_kind_is_as_before(place: Place, ann: Browser) -> None:
    place.fake.script("token", error_answer("invalid_grant"))
    await place.connect(ann, "github")
    assert await ann.state_of("github") == "failed"


STEPS = (
    "connect",
    "begin",
    "finish",
    "cancel",
    "disconnect",
    "in vain",
    "again",
    "again in vain",
    "dismiss",
)


@dataclass
class Model:
    """The expected state of ann's connection, and of what she has begun in two browsers."""

    browsers: list[Browser]
    begun: list[tuple[int, str]] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    is_connected: bool = False
    is_kept: bool = False  # what the provider can be asked with again

    async def step(self, place: Place, name: str, who: int) -> None:
        browser = self.browsers[who]
        match name:
            case "connect":
                await place.connect(browser, "github")
                self.is_connected, self.is_kept = True, False
            case "begin":
                self.begun.append((who, place.fake.authorize(await browser.begin("github"))))
            case "finish" if self.begun:
                await self.finish(*self.begun.pop(who if len(self.begun) > 1 else 0))
            case "cancel":
                await browser.post("/connections/github/cancel")
                self.cancelled |= {callback for owner, callback in self.begun if owner == who}
            case "disconnect" | "in vain":
                await browser.post("/connections/github/disconnect")
                self.is_kept = name == "in vain" if self.is_connected else self.is_kept
                self.is_connected = False
            case "again" | "again in vain":
                await browser.post("/connections/github/revoke")
                self.is_kept &= name == "again in vain"
            case "dismiss":
                await browser.post("/connections/github/dismiss")
                self.is_kept = False

    async def finish(self, who: int, callback: str) -> None:
        await self.browsers[who].get(callback)
        if callback not in self.cancelled:
            self.is_connected, self.is_kept = True, False

    async def check(self, place: Place) -> None:
        assert await place.redis.exists(tokens_key("ann", "github")) == self.is_connected
        assert await place.redis.exists(revoke_key("ann", "github")) == self.is_kept
        token = await place.bot.get_token("ann", "github", place.redis)
        assert (token is not None) == self.is_connected
        assert token is None or place.fake.is_alive(token)
        found = await place.bot.find_accounts(place.redis, "github", "mona")
        assert found == (("ann",) if self.is_connected else ())
        for browser in self.browsers:
            state = await browser.state_of("github")
            standing = (
                {"connected"}
                if self.is_connected
                else {"not_connected", "disconnected", "still_listed"}
            )
            assert state in standing | {"waiting", "attempt_over"}


@pytest.mark.long
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 1)), min_size=3, max_size=9))
async def test_whatever_is_pressed_the_store_the_provider_and_the_cards_agree(
    redis: Redis, redis_url: str, steps: list[tuple[str, int]]
) -> None:
    await redis.flushall()
    async with site_at(redis_url, redis) as place:
        place.site.manager.patience = 60.0
        model = Model([await place.signed_in("ann") for _ in range(2)])
        for name, who in steps:
            in_vain = name in ("in vain", "again in vain")
            place.fake.always = {"revoke": Answer(503)} if in_vain else {}
            await model.step(place, name, who)
            await model.check(place)
