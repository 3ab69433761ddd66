"""One press leads back to access from everything that does not work."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.kit.cards_shown import buttons, note
from tests.kit.every import every
from tests.kit.fake_answers import Answer, error_answer
from tests.kit.screens import DETAIL, SCREEN
from tests.kit.site_fixtures import Browser, Place, card_state
from webui.cards import Card, make_card
from webui.cards.gallery import CASES, NOW, OFF, Case
from webui.cards.states import BASES, OUTCOMES, WORKING
from webui.oauth_manager.models import Connection, Status
from webui.oauth_manager.values import replace
from webui.sessions.note import Note

pytestmark = pytest.mark.anyio

WAYS_BACK = {"Connect", "Reconnect", "Try again", "Start again", "Renew", "Allow the rest"}


def stored() -> dict[str, Case]:
    """One connection for each way in which something can be stored, or nothing."""
    found: dict[str, Case] = {}
    for case in CASES.values():
        shown = make_card(case.provider, case.connection, None, SCREEN)
        found.setdefault(shown.state, case)
    assert found.keys() == {base.state for base in BASES.values()}
    return found


def notes() -> Iterator[Note | None]:
    yield None
    for key in (*OUTCOMES, "dismissed", "from another release"):
        yield Note(key, ref="K4T9WX", at=NOW - 5)
        yield Note(key, at=NOW - 5, until=NOW + 600, times=3)


def cards() -> Iterator[tuple[str, Card]]:
    """Every connection with every outcome, in a list and alone, set up and switched off."""
    everything = itertools.product(stored().items(), notes(), (SCREEN, DETAIL), (True, False))
    for (state, case), outcome, screen, is_set_up in everything:
        provider = case.provider if is_set_up else replace(case.provider, client_id="")
        name = f"{state} with {outcome}, {screen.where}, set up: {is_set_up}"
        yield name, make_card(provider, case.connection, outcome, screen)


def ways_back(shown: Card) -> list[str]:
    return [
        a.label
        for a in shown.every_action
        if a.url.endswith("/connect") and a.method == "post" and not a.id.endswith("-add")
    ]


def test_whatever_is_stored_and_whatever_happened_last_access_is_one_press_away() -> None:
    working = {BASES[key].state for key in WORKING}
    without = [
        name
        for name, shown in cards()
        if name.endswith("set up: True")
        if not ways_back(shown)
        if name.partition(" ")[0] not in working | {"not_set_up"}
    ]
    assert without == []


def test_a_card_has_at_most_one_way_back_and_one_primary_button() -> None:
    for name, shown in cards():
        assert len(ways_back(shown)) <= 1, name
        assert set(ways_back(shown)) <= WAYS_BACK, name
        assert sum(a.style == "primary" for a in shown.every_action) <= 1, name


def test_what_is_not_set_up_offers_no_way_that_leads_nowhere() -> None:
    for name, shown in cards():
        if name.endswith("set up: False"):
            assert ways_back(shown) == [], name


def test_every_button_of_a_card_has_a_name_of_its_own() -> None:
    for name, shown in cards():
        labels = [action.label for action in shown.every_action]
        assert len(labels) == len(set(labels)), name


@every("outcome", ["disconnected", "waiting", "failed", "attempt_over"])
def test_what_is_switched_off_says_that_alone(outcome: str) -> None:
    kept = Connection("github", Status.CONNECTED)
    shown = make_card(OFF["github"], kept, Note(outcome), SCREEN)
    assert (shown.state, [a.label for a in shown.every_action]) == ("not_set_up", ["Disconnect"])


# On the site, in the browser where it happened


async def connected(place: Place, ann: Browser, provider: str) -> None:
    await place.connect(ann, provider)


class TestAfterADisconnect:
    @pytest.mark.parametrize(
        ("provider", "answer", "state"),
        [
            ("github", None, "disconnected"),
            ("github", Answer(503), "still_listed"),
            ("google", Answer(400), "still_listed"),
            ("microsoft", None, "own_list"),
        ],
    )
    async def test_the_browser_that_disconnected_can_connect_again(
        self, place: Place, ann: Browser, provider: str, answer: Answer | None, state: str
    ) -> None:
        await connected(place, ann, provider)
        if answer:
            place.fake.always["revoke"] = answer
        await ann.post(f"/connections/{provider}/disconnect")
        for shown in (
            await ann.get("/connections"),
            await ann.get(f"/connections/{provider}"),
            await ann.get(f"/connections/{provider}", htmx=True),
        ):
            assert card_state(shown.text, provider) == state
            assert f"Connect {place.site.manager.providers[provider].label}" in buttons(
                shown, provider
            )
        await place.connect(ann, provider)
        assert await ann.state_of(provider) == "connected"

    async def test_it_can_also_while_the_provider_is_being_asked(
        self, place: Place, ann: Browser
    ) -> None:
        await connected(place, ann, "github")
        place.site.manager.patience = 0.01
        gate = place.fake.gate("revoke")
        shown = await ann.post("/connections/github/disconnect", htmx=True)
        assert card_state(shown.text, "github") == "disconnecting"
        assert "Connect GitHub" in buttons(shown)
        gate.open()

    async def test_it_can_also_after_asking_too_often(self, place: Place, ann: Browser) -> None:
        await connected(place, ann, "github")
        place.fake.always["revoke"] = Answer(503)
        await ann.post("/connections/github/disconnect")
        for _ in range(10):
            await ann.post("/connections/github/revoke")
        shown = await ann.post("/connections/github/revoke", htmx=True)
        assert (shown.status_code, note(shown)[:8]) == (429, "You have")
        assert "Connect GitHub" in buttons(shown)


class TestFromTrouble:
    async def test_of_the_provider_the_person_can_reconnect(
        self, place: Place, ann: Browser
    ) -> None:
        await connected(place, ann, "google")
        place.fake.always["account"] = Answer(503)
        shown = await ann.post("/connections/google/check", htmx=True)
        assert card_state(shown.text, "google") == "provider_trouble"
        assert "Reconnect Google" in buttons(shown, "google")
        place.fake.always.pop("account")
        await place.connect(ann, "google")
        assert await ann.state_of("google") == "connected"

    async def test_of_our_set_up_the_person_can_reconnect(self, place: Place, ann: Browser) -> None:
        await connected(place, ann, "google")
        place.fake.withdraw()
        place.fake.always["token"] = error_answer("invalid_client", 401)
        shown = await ann.post("/connections/google/check", htmx=True)
        assert card_state(shown.text, "google") == "setup"
        assert "Reconnect Google" in buttons(shown, "google")
