"""The gallery's promises: how each state is drawn, and which buttons it has, in which order."""

from __future__ import annotations

import pytest

from tests.kit.screens import SCREEN, card
from webui.cards import Card, confirm_card
from webui.cards.gallery import CASES

# Of each state: form, line, sign, and the labels of what can be pressed, in the order of the page.
PROMISES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "endless": ("row", "joined", "check", ("Check now", "Disconnect")),
    "checked": ("row", "joined", "check", ("Check now", "Disconnect")),
    "never used": ("row", "joined", "check", ("Check now", "Disconnect")),
    "provider trouble": ("row", "paused", "pause", ("Reconnect", "Check now", "Disconnect")),
    "set-up trouble": ("row", "paused", "pause", ("Reconnect", "Check now", "Disconnect")),
    "switched off": ("row", "parted", "", ("Disconnect",)),
    "free": ("offer", "parted", "", ("Connect",)),
    "denied": ("offer", "parted", "", ("Connect",)),
    "failed": ("offer", "parted", "", ("Try again",)),
    "attempt over": ("offer", "parted", "", ("Start again",)),
    "disconnected": ("offer", "parted", "", ("Connect", "Dismiss this message")),
    "asked again": (
        "offer",
        "parted",
        "",
        ("Connect", "Try again", "Remove Stargazer at Google yourself", "Dismiss this message"),
    ),
    "own list": (
        "offer",
        "parted",
        "",
        ("Connect", "Open the list at Microsoft", "Dismiss this message"),
    ),
    "waiting": ("card", "waiting", "more", ("Check again", "Start again", "Cancel")),
    "ended": ("card", "broken", "cross", ("Reconnect", "Disconnect")),
    "limited": ("card", "limited", "minus", ("Allow the rest", "Keep as it is", "Disconnect")),
    "ends soon": ("card", "ending", "clock", ("Renew", "Disconnect")),
    "unreadable": ("card", "broken", "cross", ("Reconnect", "Disconnect")),
    "needs an administrator": ("card", "waiting", "more", ("Try again", "Cancel")),
    "kept": ("card", "joined", "check", ("Try again", "Keep connected", "Check now", "Disconnect")),
}


def shown(drawn: Card) -> tuple[str, str, str, tuple[str, ...]]:
    labels = tuple(action.label for action in drawn.every_action)
    return drawn.form, drawn.line, drawn.sign, labels


@pytest.mark.parametrize("name", PROMISES)
def test_a_state_looks_as_promised(name: str) -> None:
    assert shown(card(CASES[name])) == PROMISES[name]


def test_every_way_to_draw_a_line_is_promised() -> None:
    drawn = {card(case).line for case in CASES.values()}

    assert drawn == {line for _, line, _, _ in PROMISES.values()}


def test_a_question_asks_on_the_line_and_offers_the_safe_way_first() -> None:
    case = CASES["endless"]
    asked = confirm_card(case.provider, case.connection, SCREEN)

    assert shown(asked) == ("card", "joined", "ask", ("Keep connected", "Disconnect"))
    assert [action.style for action in asked.actions] == ["", "danger"]


def test_no_open_card_and_no_row_has_two_filled_buttons() -> None:
    for name, case in CASES.items():
        filled = [a for a in card(case).every_action if a.style in ("primary", "danger")]
        assert len(filled) <= 1, name
