"""The support pages in every state, for the tests that look at all screens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from webui.access.roles import Staff
from webui.cards import Screen, grouped, make_card, summarize
from webui.cards.gallery import CASES, NOW, ON, connection
from webui.cards.timeline import days
from webui.incident_codes import Reference
from webui.oauth_manager import LINK_CODE_TTL, Event, Health, Status, Week
from webui.oauth_manager.values import replace
from webui.sessions.note import Note
from webui.support.history import KINDS, history
from webui.support.rows import Row, explained, make_row, problems, verdict
from webui.support.search import Question, failure_of, results
from webui.text import words
from webui.views.support import overview
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
        "no reason": Question("ann", "", {"reason": words.text(fault + "reason")}),
        "nothing": Question("", REASON, {"q": words.text(fault + "q")}),
        "blank": Question(" ann", REASON, {"q": words.text(fault + "q_blank")}),
        "long": Question("ann", "x" * 301, {"reason": words.text(fault + "reason_long")}),
    }
    for name, question in questions.items():
        yield name, {"question": question, "found": None}
    asked = Question("<i>ann", REASON)
    many = {f"person {number}": "GitHub account" for number in range(11)}
    by_reference = {"ann": words.text("support.reference")}
    found = {
        "nobody": results(asked, {}, None, names),
        "nobody, or no reference": results(asked, {}, None, names, may_be_reference=True),
        "one": results(asked, {"<b>\u202eann": "Stargazer id, GitHub account"}, None, names),
        "many": results(asked, many, None, names),
        "reference": results(asked, {}, failures[0], names),
        "reference of one": results(asked, by_reference, failures[1], names),
    }
    for name, each in found.items():
        yield name, {"question": asked, "found": each}


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
    rows = [
        *(make_row(c.provider, c.connection, screen) for c in cases if c.connection),
        *_checked(screen),
    ]
    # Of one service there are many here, and each has an id by its name.
    rows = [replace(row, name=f"{row.name}-{number}") for number, row in enumerate(rows)]
    everything = {
        "is_known": True,
        "verdict": verdict(rows),
        "wrong": problems(rows),
        "fine": [row for row in rows if row.stored and not row.problem],
        "free": _never_connected(screen),
        "links": [
            ("github", "GitHub", "open", NOW),
            ("", "", "waiting", NOW),
            ("github", "GitHub", "over", NOW),
        ],
        "days": days(history(happened(events), ON, screen.product, screen.bot), NOW),
        "older": "/support/people/ann?before=1-0",
        "newest": "/support/people/ann",
        "services": SERVICES,
        "kinds": list(KINDS),
        "service": "github",
        "kind": "links",
    }
    yield "person", everything
    yield "nobody", {**everything, "is_known": False}
    quiet = {"links": [], "days": (), "older": "", "newest": "", "service": "", "kind": ""}
    yield "quiet", {**everything, **quiet}
    wrong = problems(rows)[:1]
    one = {"verdict": verdict(wrong), "wrong": wrong, "fine": [], "free": []}
    yield "one problem", {**everything, **quiet, **one}
    fine = [row for row in rows if row.stored and not row.problem]
    well = {"verdict": verdict(fine), "wrong": [], "fine": fine, "free": []}
    yield "well", {**everything, **quiet, **well}
    nothing = {"verdict": verdict([]), "wrong": [], "fine": []}
    yield "free", {**everything, **quiet, **nothing}


def _weeks() -> dict[str, Week | None]:
    now = {"github": {"connected": 120, "reconnect_needed": 3}, "google": {"connected": 80}}
    before = now | {"github": {"connected": 121, "reconnect_needed": 1}, "gone": {"connected": 1}}
    return {
        "nobody counted": None,
        "nothing": Week(NOW - 60, {}),
        "first day": Week(NOW - 60, now),
        "a day": Week(NOW - 60, now, 1, before),
        "week": Week(NOW - 60, now, 7, before),
    }


def support_screens(screen: Screen, events: list[Event]) -> Iterator[tuple[str, str, str, Any]]:
    """A name, the template, its fragment or ``""``, and the context."""
    desk = {"staff": "carol", "now": NOW}
    for name, context in _searches(screen):
        template = "support_search.html", "support_results.html"
        yield f"support search, {name}", *template, {**desk, **context}
    for name, counted in _weeks().items():
        shown = list(overview.services(counted, ON)) if counted else []
        context = {"at": counted.at if counted else 0.0, "services": shown}
        yield f"support overview, {name}", "support_overview.html", "", {**desk, **context}
    for name, context in _people(screen, events):
        yield f"support {name}", "support_person.html", "", {**_about("<i>ann"), **context}
    for fault in ("", "reason", "reason_long"):
        said = words.text(f"support.fault.{fault}") if fault else ""
        asked = {**_about(), "action": "/support/people/ann", "fault": said}
        yield f"support asks why {fault}", "support_reason.html", "", asked
    cards = [
        picture(make_card(CASES[name].provider, CASES[name].connection, None, screen))
        for name in ("limited", "ended", "endless", "free")
    ]
    seen = {**_about(), "groups": grouped(cards), "summary": summarize(cards, screen)}
    yield "support preview", "support_preview.html", "", seen
    for act in ACTS.values():
        service = {"act": act.name, "will": act.name, "provider": "", "label": "", "fault": ""}
        if act.of_service:
            service.update(provider="github", label="GitHub")
        yield f"support asks {act.name}", "support_ask.html", "", {**_about(), **service}
        faulty = {**_about(), **service, "fault": words.text("support.fault.reason")}
        yield f"support asks {act.name} again", "support_ask.html", "", faulty
        if act.name == "disconnect":
            listed = {**_about(), **service, "will": "disconnect_own_list"}
            yield "support asks disconnect of a list", "support_ask.html", "", listed
        done = {**_about(), **_done(act.name, screen)}
        yield f"support did {act.name}", "support_done.html", "", done


def _done(act: str, screen: Screen) -> dict[str, Any]:
    if not ACTS[act].of_service:
        said = words.text(f"support.done.{act}", count=2)
        return {"act": act, "label": "", "said": said, "card": None}
    case = CASES["to be asked again" if act == "disconnect" else "endless"]
    note = case.note if act == "disconnect" else Note("checked")
    card = picture(make_card(case.provider, case.connection, note, screen))
    return {"act": act, "label": case.provider.label, "said": "", "card": card}
