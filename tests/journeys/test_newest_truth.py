"""A page tells the newest action alone, and it is still true when it is read later."""

from __future__ import annotations

import re

import pytest

from tests.kit.cards_shown import buttons, element, focused, note, seen
from tests.kit.fake_answers import Answer
from tests.kit.screens import Document
from tests.kit.site_fixtures import Browser, Place, card_state
from tests.site.test_told_truly import kinds
from webui.support.history import history

pytestmark = pytest.mark.anyio

CLOCK = r"\d\d:\d\d UTC"


def title(page: object) -> list[str]:
    found = [e.text for e in Document(page.text).elements if e.tag == "title"]  # type: ignore[attr-defined]
    return found[0].split(" \N{EN DASH} ") if found else []


async def ended(place: Place, ann: Browser) -> None:
    """GitHub has ended the access, and that is known."""
    await place.connect(ann, "github")
    place.fake.withdraw()
    await place.bot.check(place.redis, "ann", "github")


async def unconfirmed(place: Place, ann: Browser, provider: str = "google") -> None:
    await place.connect(ann, provider)
    place.fake.always["revoke"] = Answer(503)
    await ann.post(f"/connections/{provider}/disconnect")


class TestDisconnectingWhatHadEnded:
    async def test_says_that_it_is_removed_and_who_ended_it(
        self, place: Place, ann: Browser
    ) -> None:
        await ended(place, ann)
        await ann.post("/connections/github/disconnect")
        shown = await ann.get("/connections")
        assert note(shown).startswith("GitHub is removed here. It had already ended our access.")
        assert title(shown) == ["GitHub removed here", "Stargazer"]

    async def test_says_so_only_the_first_time(self, place: Place, ann: Browser) -> None:
        await ended(place, ann)
        await ann.post("/connections/github/disconnect")
        shown = await ann.post("/connections/github/disconnect", htmx=True)
        assert note(shown).startswith("GitHub was already disconnected.")

    async def test_says_the_same_in_the_timeline_of_the_person_and_of_support(
        self, place: Place, ann: Browser
    ) -> None:
        await ended(place, ann)
        await ann.post("/connections/github/disconnect")
        said = "GitHub had already ended our access"
        activity = (await ann.get("/activity")).text
        assert "You, in the browser. Disconnected GitHub (" in activity
        assert f", {said}, reference " in activity
        events = (await place.bot.activity(place.redis, "ann")).events
        (line,) = history(events[:1], place.bot.providers, "Stargazer", "Stella")
        assert line.text.startswith("GitHub disconnected (")
        assert (line.more, line.code) == (f"By them, in the browser. {said}.", "")

    async def test_is_told_apart_from_what_the_provider_was_asked_to_end(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        await ann.post("/connections/github/disconnect")
        assert note(await ann.get("/connections")).startswith("GitHub is disconnected.")


class TestTryingAgain:
    async def test_at_a_provider_in_vain_says_when_and_aloud(
        self, place: Place, ann: Browser
    ) -> None:
        await unconfirmed(place, ann)
        before = note(await ann.get("/connections"), "google")
        shown = await ann.post("/connections/google/revoke", htmx=True)
        said = f"Asked again at {CLOCK}: still no answer."
        assert re.match(said, note(shown, "google"))
        assert note(shown, "google") != before
        assert re.fullmatch(said, element(shown, "announce"))
        assert "Try again Google" in buttons(shown, "google")
        assert focused(shown) == []  # the same button is there again
        assert title(shown)[0] == "Google asked again: still no answer"

    async def test_is_told_on_the_page_without_the_script_too(
        self, place: Place, ann: Browser
    ) -> None:
        await unconfirmed(place, ann)
        answer = await ann.post("/connections/google/revoke")
        assert answer.headers["location"] == "/connections#conn-google-n"
        shown = await ann.get("/connections")
        assert re.match(f"Asked again at {CLOCK}: still no answer.", note(shown, "google"))

    async def test_changes_what_is_shown_and_said_each_time(
        self, place: Place, ann: Browser
    ) -> None:
        await unconfirmed(place, ann)
        answers = [await ann.post("/connections/google/revoke", htmx=True) for _ in range(4)]
        assert len({note(shown, "google") for shown in answers}) == 4
        assert len({element(shown, "announce") for shown in answers}) == 4
        assert "still no answer. 4 times so far." in note(answers[-1], "google")

    async def test_that_helps_says_so(self, place: Place, ann: Browser) -> None:
        await unconfirmed(place, ann)
        await ann.post("/connections/google/revoke")
        place.fake.always.pop("revoke")
        shown = await ann.post("/connections/google/revoke", htmx=True)
        assert card_state(shown.text, "google") == "disconnected"
        assert focused(shown) == ["conn-google-n"]

    async def test_with_nothing_left_to_ask_with_offers_it_no_more(
        self, place: Place, ann: Browser
    ) -> None:
        await unconfirmed(place, ann)
        await ann.post("/connections/google/revoke")
        await place.bot.drop_leftovers(place.redis, "ann", "google")
        shown = await ann.post("/connections/google/revoke", htmx=True)
        assert note(shown, "google").startswith("Google is disconnected here.")
        assert "Try again Google" not in buttons(shown, "google")

    @pytest.mark.parametrize("answer", [None, Answer(503)], ids=["works", "no answer"])
    async def test_of_a_check_changes_what_is_shown_and_said_each_time(
        self, place: Place, ann: Browser, answer: Answer | None
    ) -> None:
        await place.connect(ann, "google")
        if answer:
            place.fake.always["account"] = answer
        answers = [await ann.post("/connections/google/check", htmx=True) for _ in range(4)]
        assert len({note(shown, "google") for shown in answers}) == 4
        assert len({element(shown, "announce") for shown in answers}) == 4

    async def test_after_something_else_counts_from_one(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "google")
        await ann.post("/connections/google/check")
        await place.connect(ann, "google")
        shown = await ann.post("/connections/google/check", htmx=True)
        assert re.fullmatch(f"Working. Checked at {CLOCK}.", note(shown, "google"))

    async def test_to_see_whether_it_is_finished_says_when_that_was_looked_at(
        self, place: Place, ann: Browser
    ) -> None:
        await ann.begin("github")
        shown = await ann.get("/connections/github", htmx=True)
        assert re.search(r"At \d\d:\d\d:\d\d UTC it was not finished\.", note(shown))
        assert seen(shown) == seen(await ann.get("/connections/github", htmx=True))


class TestATitle:
    async def test_holds_the_last_outcome_alone(self, place: Place, ann: Browser) -> None:
        await unconfirmed(place, ann)
        await place.connect(ann, "microsoft")
        await ann.post("/connections/microsoft/disconnect")
        await place.connect(ann, "github")
        assert title(await ann.get("/connections"))[0] == "GitHub connected"

    async def test_tells_of_a_connection_with_a_permission_left_off(
        self, place: Place, ann: Browser
    ) -> None:
        await unconfirmed(place, ann, "github")
        place.fake.scope = "openid"
        await place.connect(ann, "google")
        for shown in (await ann.get("/connections"), await ann.get("/connections/google")):
            assert title(shown)[0] == "Google connected, with permissions left off"
            assert card_state(shown.text, "google") == "limited"

    async def test_tells_of_a_check_that_found_the_end(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "google")
        place.fake.withdraw()
        await ann.post("/connections/google/check")
        shown = await ann.get("/connections")
        assert title(shown)[0] == "Google checked: it needs reconnecting"

    async def test_tells_nothing_old_after_a_message_was_put_away(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        await unconfirmed(place, ann)
        await ann.post("/connections/google/dismiss")
        assert title(await ann.get("/connections")) == ["Connections", "Stargazer"]

    async def test_tells_nothing_old_after_cancelling(self, place: Place, ann: Browser) -> None:
        await unconfirmed(place, ann)
        await ann.begin("github")
        await ann.post("/connections/github/cancel")
        assert title(await ann.get("/connections")) == ["Connections", "Stargazer"]

    async def test_of_another_tab_follows_what_was_done_since(
        self, place: Place, ann: Browser
    ) -> None:
        await unconfirmed(place, ann, "github")
        first = await ann.get("/connections")
        assert title(first)[0] == "GitHub disconnected, still listed there"
        await place.connect(ann, "github")
        query = "&".join(f"seen={mark}" for mark in seen(first))
        news = await ann.get(f"/connections?{query}", htmx=True)
        assert title(news) == ["GitHub connected", "Stargazer"]
        assert element(news, "announce") == "GitHub is connected."

    @pytest.mark.parametrize(
        ("page", "left"),
        [
            ("/connections", ["Connections", "Stargazer"]),
            ("/connections/github", ["GitHub", "Stargazer"]),
        ],
    )
    async def test_of_another_tab_tells_nothing_where_it_was_done_elsewhere(
        self, place: Place, ann: Browser, page: str, left: list[str]
    ) -> None:
        await place.connect(ann, "github")
        first = await ann.get(page)
        assert title(first)[0] == "GitHub connected"
        await place.bot.delete_token(place.redis, "ann", "github", by="chat")
        query = "&".join(f"seen={mark}" for mark in seen(first))
        where = "" if page == "/connections" else "return=detail&"
        news = await ann.get(f"/connections?{where}{query}", htmx=True)
        assert title(news) == left
        assert element(news, "announce") == "GitHub: Not connected."


class TestTheLiveRegion:
    async def test_is_emptied_where_the_focus_moves_instead(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        assert element(await ann.post("/connections/github/check", htmx=True), "announce")
        asked = await ann.get("/connections/github/disconnect", htmx=True)
        gone = await ann.post("/connections/github/disconnect", htmx=True)
        for shown in (asked, gone):
            assert 'id="announce"' in shown.text
            assert element(shown, "announce") == ""
        assert title(asked)[0] == "Disconnect GitHub?"

    async def test_is_emptied_by_an_error(self, ann: Browser) -> None:
        shown = await ann.get("/connections/nothing", htmx=True)
        assert (shown.status_code, 'id="announce"' in shown.text) == (404, True)
        assert element(shown, "announce") == ""


async def test_a_check_tells_the_time_and_not_how_long_ago(place: Place, ann: Browser) -> None:
    await place.connect(ann, "google")
    shown = await ann.post("/connections/google/check", htmx=True)
    assert re.fullmatch(f"Working. Checked at {CLOCK}.", note(shown, "google"))
    assert re.search(r'<time datetime="[^"]+" data-local="time">', shown.text)
    assert (await kinds(place))[0] == "checked_working"
