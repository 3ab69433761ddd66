"""Cards that are remembered, and their HTML: never a stale one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from tests.kit.screens import SCREEN, card_html, request
from webui.cards import MOST, Card, News, Screen, card_of, make_card, memory, summarize
from webui.cards.gallery import CASES, NOW, ON, RENEWING, Case, connection
from webui.cards.parts import DAY
from webui.cards.states import OUTCOMES
from webui.oauth_manager import Account, Connection, Profile, Status
from webui.oauth_manager.values import replace
from webui.rendering import render as pages
from webui.sessions.note import Note
from webui.text import permissions
from webui.text.permissions import permission_groups

_VALUES: dict[str, tuple[Any, ...]] = {
    "str": ("", "invalid_token", "provider"),
    "float": (0.0, NOW - 9 * DAY, NOW + 3 * DAY, NOW + 1),
    "bool": (False, True),
    "tuple[str, ...]": ((), ("openid",), ("email", "openid")),
    "Status": tuple(Status),
    "Account": (Account(), Account("1", "ann"), Account("1", "<b>ann</b>")),
}


def assert_fresh(case: Case, screen: Screen) -> None:
    """What is remembered, twice, is what is made anew; HTML in a text is not the text."""
    assert case.connection
    about = case.provider, case.connection, case.note, screen
    anew = repr(make_card(*about))
    assert [repr(card_of(*about)), repr(card_of(*about))] == [anew, anew]


def changed_in_one(whole: Any) -> Iterator[Any]:
    """Every other value of every field of a dataclass, one at a time."""
    for field in fields(whole):
        for value in _VALUES.get(str(field.type), ()):
            yield replace(whole, **{field.name: value})


def test_every_field_of_a_connection_and_of_its_facts_makes_a_card_of_its_own() -> None:
    known = connection("google", **RENEWING)
    others = [replace(known, profile=facts) for facts in changed_in_one(known.profile)]
    for other in [*changed_in_one(known), *others, known]:
        assert_fresh(Case("", ON["google"], other), SCREEN)


def test_no_field_of_a_connection_is_left_out_of_the_test_above() -> None:
    types = {str(field.type) for kind in (Connection, Profile) for field in fields(kind)}
    assert types - {"Profile"} <= _VALUES.keys()


def test_every_field_of_the_note_and_of_the_screen_makes_a_card_of_its_own() -> None:
    note = Note("still_listed", ref="K4T9WX", at=NOW - 60, until=NOW + 600)
    gone = connection("google", Status.NOT_CONNECTED)
    notes = [replace(note, **more) for more in ({"ref": "AB"}, {"at": NOW}, {"until": NOW + 9})]
    for other in [note, *notes, replace(note, key="asked_again", times=2), None]:
        assert_fresh(Case("", ON["google"], gone, other), SCREEN)
    screens = [replace(SCREEN, product="X"), replace(SCREEN, bot="X")]
    for case in CASES.values():
        for screen in [SCREEN, *screens, replace(SCREEN, where="detail"), SCREEN]:
            if case.connection:
                assert_fresh(case, screen)


def test_every_provider_has_a_card_of_its_own_even_under_the_same_name() -> None:
    known = connection("google", **RENEWING)
    own = ON["google"]
    others = [replace(own, label="Other"), replace(own, client_id=""), replace(own, purpose="X")]
    for provider in [own, *others, replace(own, scopes=[]), own]:
        assert_fresh(Case("", provider, known), SCREEN)


@given(
    st.sampled_from([case for case in CASES.values() if case.connection]),
    st.sampled_from([None, *OUTCOMES]),
    st.lists(st.floats(-40 * DAY, 40 * DAY) | st.floats(-120, 120), min_size=2, max_size=5),
)
def test_the_time_changes_a_card_to_the_second(
    case: Case, key: str | None, moments: list[float]
) -> None:
    note = Note(key, at=NOW - 30, until=NOW + 60) if key else None
    for moment in [*moments, 0.0, 0.4, 1.0]:
        assert_fresh(replace(case, note=note), replace(SCREEN, now=NOW + moment))


def test_the_focus_and_old_news_are_no_part_of_another_card() -> None:
    known, note = connection("google", **RENEWING), Note("checked", at=NOW)
    about = ON["google"], known, note, SCREEN
    for focus in ("", "result", "heading", "disconnect", ""):
        made = make_card(*about, focus)
        assert card_of(*about, focus) == made
        old = card_of(*about, focus, is_news=False)
        assert old == replace(made, outcome="", news="")


def shown(card: Card, **settings: str) -> str:
    asked = request(htmx=True)
    asked.app.state.site.settings = replace(asked.app.state.site.settings, **settings)
    summary = summarize([card], SCREEN)
    answer = pages.render_card(asked, card, summary, page="connection.html")
    return bytes(answer.body).decode()


def test_html_is_drawn_for_the_very_card_and_place() -> None:
    known = connection("google", **RENEWING)
    one = card_of(ON["google"], known, None, SCREEN)
    assert card_html(one) == card_html(replace(one))
    assert card_html(one, htmx=True) == card_html(replace(one), htmx=True)
    focused = replace(one, focus="conn-google-t")
    assert "autofocus" not in card_html(focused)
    assert "autofocus" in card_html(focused, htmx=True)
    for name in ("product_name", "bot_name"):
        assert shown(one, **{name: "X"}) == shown(replace(one), **{name: "X"})
    news = pages.render_changes(request(htmx=True), News((one,)), summarize([one], SCREEN), "")
    assert b"hx-swap-oob" in bytes(news.body).partition(b">")[0]


def test_a_label_that_looks_like_html_of_another_card_is_a_text() -> None:
    one = card_of(ON["google"], connection("google", label="<b>ann</b>"), None, SCREEN)
    text = replace(one, used="<i>now</i>")
    html = replace(one, used=Markup("<i>now</i>"))
    assert text == html
    assert ["<i>now</i>" in card_html(card) for card in (text, html, text)] == [False, True, False]


def test_permissions_are_grouped_for_everything_that_goes_in() -> None:
    own, scope = ON["google"], "openid"
    worded = replace(own, scope_texts={scope: "see {product} and {bot}"})
    asked = [
        partial(permission_groups, provider, scopes, *names, strongest_first=first, allowed=allowed)
        for provider in (own, worded, replace(worded, scope_texts={scope: "more"}))
        for scopes in ((), (scope,), (scope, "unknown"), ("unknown", scope))
        for names in (("Stargazer", "Stella"), ("X", "Stella"), ("Stargazer", "Y"))
        for first in (True, False)
        for allowed in (True, False)
    ]
    anew = []
    for ask in asked:
        permissions._groups.cache_clear()
        anew.append(ask())
    assert [ask() for ask in asked * 2] == anew * 2
    assert len(set(anew)) > 10


def test_only_so_many_are_kept() -> None:
    for number in range(MOST + 50):
        known = connection("google", label=f"ann {number}")
        card_of(ON["google"], known, None, SCREEN)
    assert memory._made.cache_info().currsize == MOST
