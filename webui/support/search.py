"""A search for a person: its question, and its results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from webui.incident_codes import Reference
from webui.oauth_manager import OAuthProvider
from webui.oauth_manager.values import Struct
from webui.support.identifiers import spelled
from webui.support.paths import person_path, with_query
from webui.text import words
from webui.text.labels import clean_label, label_of

MOST = 10  # people shown


class Question(Struct, frozen=True):
    """The form; ``faults`` maps a field to the sentence beside it: the first gets the focus."""

    q: str = ""
    reason: str = ""
    faults: Mapping[str, str] | None = None

    @property
    def focus(self) -> str:
        return next(iter(self.faults or ()), "")


class Found(Struct, frozen=True):
    """One person found: the address of their page, and where their name was found."""

    name: str
    url: str
    where: str


class Failure(Struct, frozen=True):
    """The failure behind a reference code; ``""`` and 0 mean unknown."""

    code: str
    at: float
    what: str
    where: str
    service: str
    error: str
    trace: str
    request_id: str


class Results(Struct, frozen=True):
    """``said`` is the heading, and the sentence for the live region."""

    said: str
    people: tuple[Found, ...] = ()
    failure: Failure | None = None
    has_more: bool = False


def results(
    question: Question,
    found: Mapping[str, str],
    failure: Failure | None,
    names: Mapping[str, str],
    *,
    may_be_reference: bool = False,
) -> Results:
    """Build the results: at most ``MOST`` people, each with the reason given already.

    ``found`` maps a user id to the places where the question was found.  It
    ``may_be_reference`` if it looks like one: those of an outage are never kept.
    """
    people = tuple(
        Found(spelled(user), page_of(user, question), where)
        for user, where in list(found.items())[:MOST]
    )
    if failure and not people:
        key = "found_failure"
    elif not people:
        key = "nobody_not_kept" if may_be_reference else "nobody"
    else:
        key = "found_one" if len(people) == 1 else "found_many"
    said = words.text(f"support.{key}", count=len(people), q=clean_label(question.q), **names)
    return Results(said, people, failure, has_more=len(found) > MOST)


def page_of(user_id: str, question: Question) -> str:
    """Return the address of a person's page, with the reason given already."""
    return with_query(person_path(user_id), reason=question.reason)


def failure_of(
    reference: Reference, providers: Mapping[str, OAuthProvider], names: dict[str, str]
) -> Failure:
    """Describe a reference in the words that the person saw."""
    label = label_of(reference.provider, providers)
    keys = [f"{section}.{reference.kind}.title" for section in ("error", "card", "ended")]
    found = next((key for key in keys if key in words.CATALOGUE), "")
    known = defaultdict(lambda: "…", names | ({"provider": label} if label else {}))
    said = words.CATALOGUE[found].format_map(known) if found else reference.kind
    status = f" ({reference.status})" if reference.status else ""
    return Failure(
        code=clean_label(reference.code),
        at=reference.at,
        what=clean_label(said),
        where=clean_label(f"{reference.method} {reference.route}{status}"),
        service=label,
        error=clean_label(reference.error),
        trace=clean_label(reference.trace),
        request_id=clean_label(reference.request_id),
    )
