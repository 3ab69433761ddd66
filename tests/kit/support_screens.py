"""The support pages in every state, for the tests that look at all screens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from webui.access.roles import Staff
from webui.cards import Screen, make_card, summarize
from webui.cards.gallery import CASES, NOW, ON, connection
from webui.incident_codes import Reference
from webui.oauth_manager import LINK_CODE_TTL, Event, Health, Status
from webui.sessions.note import Note
from webui.support.history import KINDS, history
from webui.support.rows import Row, explained, make_row
from webui.support.search import Question, failure_of, results
from webui.text import words
from webui.views.support.actions import ACTS
from webui.views.support.person import about, picture

CAROL = Staff("carol", "sso")
SERVICES = [(provider.name, provider.label) for provider in ON.values()]
REASON = "ticket 4411"


def _about(user: str = "ann") -> dict[str, Any]:
    return about(CAROL, user, REASON, NOW)


def _searches(screen: Screen) -> Iterator[tuple[str, dict[str, Any]]]:
    names = {"product": screen.product, "bot": screen.bot}
    reference = Reference("K4T9WX", NOW, "failed", 0, "/connections/{provider}/check", "POST")
    known = replace(
        reference, provider="github", error="invalid_grant", trace="0a1b-2c3d", request_id="ab12"
    )
    failures = [failure_of(each, ON, names) for each in (reference, known)]
    fault = "support.fault."
    questions = {
        "empty": Question(),
        "no reason": Question("ann", "", "", {"reason": words.text(fault + "reason")}),
        "nothing": Question("", "github", REASON, {"q": words.text(fault + "q")}),
        "blank": Question(" ann", "", REASON, {"q": words.text(fault + "q_blank")}),
        "long": Question("ann", "", "x" * 301, {"reason": words.text(fault + "reason_long")}),
    }
    for name, question in questions.items():
        yield name, {"question": question, "found": None}
    found = {
        "nobody": results([], None, REASON, names),
        "no reference": results([], None, REASON, names, missed="reference"),
        "nobody, or no reference": results([], None, REASON, names, missed="either"),
        "one": results(["<b>\u202eann"], None, REASON, names),
        "many": results([f"person {number}" for number in range(11)], None, REASON, names),
        "reference": results([], failures[0], REASON, names),
        "reference of one": results(["ann"], failures[1], REASON, names),
    }
    for name, each in found.items():
        yield name, {"question": Question("ann", "reference", REASON), "found": each}


def happened(events: list[Event]) -> list[Event]:
    """Beside those, what only support is told."""
    checked = [Event(f"checked_{health}", "github", "web", NOW) for health in Health]
    looked = Event("support_viewed", "", "support", NOW, "3")
    ended = Event("access_ended", "gone", "provider", NOW, "invalid_grant")
    return [*events, *checked, looked, ended]


def _checked(screen: Screen) -> Iterator[Row]:
    """Each way in which the last check can have gone."""
    worked = connection("github", profile={"checked_at": NOW - 60})
    yield make_row(ON["github"], worked, screen)
    for health in Health:
        failed = {"failed_check_at": NOW - 60, "failed_check": health.value}
        yield make_row(ON["github"], connection("github", profile=failed), screen)


def _never_connected(screen: Screen) -> list[Row]:
    """Nothing has happened; a link ran out; they said no."""
    made = Event("link_made", "github", "chat", NOW - 2 * LINK_CODE_TTL)
    last = {"discord": None, "github": made, "google": Event("denied", "google", "web", NOW)}
    found = []
    for name, event in last.items():
        row = make_row(ON[name], connection(name, Status.NOT_CONNECTED), screen)
        found.append(explained(row, event, ON[name], screen))
    return found


def _people(screen: Screen, events: list[Event]) -> Iterator[tuple[str, dict[str, Any]]]:
    cases = [case for case in CASES.values() if case.connection]
    everything = {
        "is_known": True,
        "rows": [
            *(make_row(c.provider, c.connection, screen) for c in cases if c.connection),
            *_never_connected(screen),
            *_checked(screen),
        ],
        "links": [("GitHub", "open", NOW), ("", "waiting", NOW), ("GitHub", "over", NOW)],
        "events": history(happened(events), ON, screen.product, screen.bot),
        "older": "/support/people/ann?before=1-0",
        "newest": "/support/people/ann",
        "services": SERVICES,
        "kinds": list(KINDS),
        "service": "github",
        "kind": "links",
    }
    yield "person", everything
    yield "nobody", {**everything, "is_known": False}
    quiet = {"links": [], "events": (), "older": "", "newest": "", "service": "", "kind": ""}
    yield "quiet", {**everything, **quiet}


def support_screens(screen: Screen, events: list[Event]) -> Iterator[tuple[str, str, str, Any]]:
    """A name, the template, its fragment or ``""``, and the context."""
    desk = {"staff": "carol", "now": NOW, "services": SERVICES}
    for name, context in _searches(screen):
        template = "support_search.html", "support_results.html"
        yield f"support search, {name}", *template, {**desk, **context}
    for name, context in _people(screen, events):
        yield f"support {name}", "support_person.html", "", {**_about("<i>ann"), **context}
    for fault in ("", "reason", "reason_long"):
        said = words.text(f"support.fault.{fault}") if fault else ""
        asked = {**_about(), "action": "/support/people/ann", "fault": said}
        yield f"support asks why {fault}", "support_reason.html", "", asked
    cards = [
        picture(make_card(CASES[name].provider, CASES[name].connection, None, screen))
        for name in ("limited", "ended", "endless")
    ]
    seen = {**_about(), "cards": cards, "summary": summarize(cards, screen)}
    yield "support preview", "support_preview.html", "", seen
    for act in ACTS.values():
        service = {"act": act.name, "provider": "", "label": "", "fault": ""}
        if act.of_service:
            service.update(provider="github", label="GitHub")
        yield f"support asks {act.name}", "support_ask.html", "", {**_about(), **service}
        faulty = {**_about(), **service, "fault": words.text("support.fault.reason")}
        yield f"support asks {act.name} again", "support_ask.html", "", faulty
        done = {**_about(), **_done(act.name, screen)}
        yield f"support did {act.name}", "support_done.html", "", done


def _done(act: str, screen: Screen) -> dict[str, Any]:
    if not ACTS[act].of_service:
        said = words.text(f"support.done.{act}", count=2)
        return {"act": act, "label": "", "said": said, "card": None}
    case = CASES["free" if act == "disconnect" else "endless"]
    note = Note({"disconnect": "disconnected", "check": "checked"}[act])
    card = picture(make_card(case.provider, case.connection, note, screen))
    return {"act": act, "label": case.provider.label, "said": "", "card": card}
