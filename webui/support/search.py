"""A search for a person: its question, and its results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from webui.incident_codes import Reference
from webui.oauth_manager import OAuthProvider
from webui.support.identifiers import spelled
from webui.support.paths import person_path, with_query
from webui.text import words
from webui.text.labels import clean_label, label_of

MOST = 10  # people shown


@dataclass(frozen=True, slots=True)
class Question:
    """The form: ``where`` is ``""``, ``reference`` or a provider's name.

    ``faults`` maps a field to the sentence beside it; the first one gets the focus.
    """

    q: str = ""
    where: str = ""
    reason: str = ""
    faults: Mapping[str, str] | None = None

    @property
    def focus(self) -> str:
        return next(iter(self.faults or ()), "")


@dataclass(frozen=True, slots=True)
class Found:
    """One person found, with the address of their page."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure behind a reference code; ``""`` and 0 mean unknown."""

    code: str
    at: float
    what: str
    where: str
    service: str
    error: str
    trace: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Results:
    """``said`` is the heading, and the sentence for the live region."""

    said: str
    people: tuple[Found, ...] = ()
    failure: Failure | None = None
    has_more: bool = False


def results(
    found: Iterable[str],
    failure: Failure | None,
    reason: str,
    names: Mapping[str, str],
    *,
    missed: str = "",
) -> Results:
    """Build the results: at most ``MOST`` people, each with the reason given already.

    ``missed`` is ``reference`` if only one of those was looked for and not found,
    ``either`` if it may have been one.
    """
    ids = tuple(found)
    people = tuple(
        Found(spelled(user), with_query(person_path(user), reason=reason)) for user in ids[:MOST]
    )
    if failure and not people:
        key = "found_failure"
    elif missed and not people:
        key = {"reference": "not_kept", "either": "nobody_not_kept"}[missed]
    else:
        key = {0: "nobody", 1: "found_one"}.get(len(people), "found_many")
    said = words.text(f"support.{key}", count=len(people), **names)
    return Results(said, people, failure, has_more=len(ids) > MOST)


def failure_of(
    reference: Reference, providers: Mapping[str, OAuthProvider], names: dict[str, str]
) -> Failure:
    """Describe a reference in the words that the person saw."""
    label = label_of(reference.provider, providers)
    keys = [f"{section}.{reference.kind}.title" for section in ("error", "card")]
    keys.append(f"{reference.kind}.title")
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
