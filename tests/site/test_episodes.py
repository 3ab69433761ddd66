"""Events that are told as one line: a link with its outcome, support's acts for a ticket."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.every import every
from webui.cards.episodes import HOUR, OUTCOMES, SPAN, Episode, episodes
from webui.oauth_manager import Event
from webui.oauth_manager.values import replace

T = 1_791_000_000.0
LATER = T + 86_400.0


def at(seconds: float, kind: str, by: str = "", provider: str = "github", **more: str) -> Event:
    return Event(kind, provider, by, T + seconds, **more)


def told(*events: Event, until: float = LATER) -> list[tuple[str, str]]:
    """The kind and the end of each line, newest first; the events are given oldest first."""
    return [(one.event.kind, one.end) for one in episodes(events[::-1], until)]


MADE = at(0, "link_made", "chat")
USED = at(60, "link_used")


@every("kind", sorted(OUTCOMES))
def test_a_link_is_told_by_what_it_led_to(kind: str) -> None:
    assert told(MADE, USED, at(120, kind, "chat")) == [(kind, "")]


def test_an_answer_in_the_browser_is_the_outcome_of_a_link_that_was_used() -> None:
    assert told(MADE, USED, at(120, "account_switched", "web")) == [("account_switched", "")]
    assert told(MADE, USED, at(120, "denied", "web", detail="not_you")) == [("denied", "")]


def test_connecting_in_the_browser_is_no_outcome_of_a_link_that_nobody_used() -> None:
    assert told(MADE, at(120, "connected", "web")) == [("connected", ""), ("link_made", "unused")]


def test_a_link_leads_to_one_outcome_alone() -> None:
    lines = told(MADE, USED, at(90, "connected", "chat"), at(120, "reconnected", "chat"))
    assert lines == [("reconnected", ""), ("connected", "")]


def test_a_link_of_one_service_is_not_told_by_another() -> None:
    other = at(120, "connected", "chat", "google")
    assert told(MADE, USED, other) == [("connected", ""), ("link_made", "unfinished")]


def test_an_outcome_long_after_a_link_is_not_its_own() -> None:
    late = at(60 + SPAN, "connected", "chat")
    assert told(MADE, USED, late) == [("connected", ""), ("link_made", "unfinished")]


@every(
    ("events", "until", "end"),
    [
        ([MADE], T + SPAN - 1, ""),
        ([MADE], T + SPAN, "unused"),
        ([MADE, USED], T + 61, "used"),
        ([MADE, USED], T + 60 + SPAN, "unfinished"),
        ([MADE, at(30, "link_cancelled")], T + 31, "cancelled"),
        ([MADE, USED, at(90, "link_cancelled")], T + 91, "cancelled"),
        ([MADE, at(30, "support_cancelled_links", "support", "")], T + 31, "cancelled"),
        ([MADE, at(SPAN, "support_cancelled_links", "support", "")], T + SPAN, "unused"),
    ],
)
def test_a_link_without_an_outcome_says_what_became_of_it(
    events: list[Event], until: float, end: str
) -> None:
    assert told(*events, until=until)[-1] == ("link_made", end)


def test_a_newer_link_takes_the_place_of_an_open_one() -> None:
    again = at(100, "link_made", "chat")
    assert told(MADE, again) == [("link_made", "unused")]
    assert told(MADE, again, at(160, "link_used"), at(200, "connected", "chat")) == [
        ("connected", "")
    ]


def test_a_link_that_ran_out_before_the_next_one_has_its_own_line() -> None:
    again = at(SPAN, "link_made", "chat")
    assert told(MADE, again) == [("link_made", "unused"), ("link_made", "unused")]


def test_a_page_that_begins_within_a_story_claims_nothing_of_its_rest() -> None:
    """The outcome is on the page before, which is newer."""
    assert told(MADE, until=T + 60) == [("link_made", "")]
    assert told(MADE, USED, until=T + 90) == [("link_made", "used")]


def test_a_page_that_ends_within_a_story_tells_the_rest() -> None:
    assert told(USED, at(120, "connected", "chat")) == [("connected", "")]
    assert told(USED) == [("link_used", "")]
    assert told(at(60, "link_cancelled")) == [("link_cancelled", "")]


LOOKED = at(0, "support_viewed", "support", "", ticket="4711")
CHECKED = at(60, "support_checked", "support", ticket="4711")


def lines(*events: Event) -> tuple[Episode, ...]:
    return episodes(events[::-1], LATER)


def test_support_is_one_line_for_a_ticket_and_an_hour() -> None:
    again = replace(LOOKED, at=T + 120, detail="3")
    (line,) = lines(LOOKED, CHECKED, again)
    assert (line.event.at, line.looks) == (T + 120, 4)
    assert [(act.kind, act.provider) for act in line.acts] == [("support_checked", "github")]


def test_another_ticket_or_another_hour_is_a_line_of_its_own() -> None:
    other = at(10, "support_viewed", "support", "", ticket="4712")
    later = at(HOUR + 60, "support_viewed", "support", "", ticket="4711")
    assert [line.looks for line in lines(LOOKED, CHECKED, other, later)] == [1, 1, 1]


def test_what_support_did_without_looking_is_told_by_itself() -> None:
    ended = at(70, "support_ended_sessions", "support", "", ticket="4711")
    (line,) = lines(CHECKED, at(65, "support_checked", "support", ticket="4711"), ended)
    assert (line.event, line.looks) == (ended, 0)
    assert [act.kind for act in line.acts] == ["support_checked"]


def test_a_count_that_is_none_is_one_look() -> None:
    (line,) = lines(replace(LOOKED, detail="9" * 5000))
    assert line.looks == 1


KINDS = st.sampled_from(
    [
        *sorted(OUTCOMES),
        "link_made",
        "link_used",
        "link_cancelled",
        "used",
        "disconnected",
        "support_viewed",
        "support_checked",
        "support_cancelled_links",
    ]
)
EVENTS = st.lists(
    st.builds(
        Event,
        kind=KINDS,
        provider=st.sampled_from(["github", "google", ""]),
        by=st.sampled_from(["web", "chat", "support", ""]),
        at=st.integers(0, 7200).map(lambda seconds: T + seconds),
        ticket=st.sampled_from(["", "1", "2"]),
    ),
    max_size=12,
).map(lambda events: sorted(events, key=lambda event: -event.at))


def _own(events: Sequence[Event]) -> Counter[Event]:
    """Those that are neither of a link nor of support."""
    return Counter(e for e in events if not e.kind.startswith(("link_", "support_")))


@given(EVENTS)
def test_nothing_but_links_and_support_is_ever_put_together(events: list[Event]) -> None:
    assert _own([one.event for one in episodes(events, LATER)]) == _own(events)


@given(EVENTS)
def test_lines_stay_in_the_order_of_their_events(events: list[Event]) -> None:
    shown = [one.event.at for one in episodes(events, LATER)]
    assert shown == sorted(shown, reverse=True)


@given(EVENTS)
def test_no_look_and_no_act_of_support_is_lost(events: list[Event]) -> None:
    found = episodes(events, LATER)
    assert sum(one.looks for one in found) == sum(e.kind == "support_viewed" for e in events)
    did = {(e.kind, e.provider, e.ticket) for e in events if e.kind == "support_checked"}
    shown = {
        (act.kind, act.provider, act.ticket)
        for one in found
        for act in (one.event, *one.acts)
        if act.kind == "support_checked"
    }
    assert shown == did


@given(EVENTS, st.integers(0, 12))
def test_an_older_page_says_of_a_link_nothing_that_the_whole_denies(
    events: list[Event], cut: int
) -> None:
    """A page that was cut off may say less, and nothing else."""
    older = events[cut:]
    until = events[cut - 1].at if cut and older else LATER
    whole = {id(one.event): one.end for one in episodes(events, LATER)}
    for one in episodes(older, until):
        known = whole.get(id(one.event))
        if known is None or one.event.kind != "link_made":
            continue  # told by something newer
        assert one.end in ("", "used", known)


@given(EVENTS, st.integers(0, 12))
def test_a_link_that_led_somewhere_is_never_said_to_have_run_out(
    events: list[Event], cut: int
) -> None:
    older = events[cut:]
    until = events[cut - 1].at if cut and older else LATER
    led = {id(e) for e in events} - {id(one.event) for one in episodes(events, LATER)}
    for one in episodes(older, until):
        assert (
            id(one.event) not in led
            or one.end in ("", "used", "cancelled")
            or one.looks
            or (one.event.kind.startswith("support_"))
        )
