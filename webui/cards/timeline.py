"""A person's own events, as the sentences of ``/activity``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from webui.oauth_manager import Event, OAuthProvider
from webui.text import words
from webui.text.labels import clean_label, label_of


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline.

    ``at`` is in epoch seconds; ``starts_day`` says that the entry above is of another
    day in UTC; ``mark`` and ``label`` are the provider's, ``""`` if the event is about
    none.
    """

    text: str
    by: str
    at: float
    account: str = ""
    mark: str = ""
    label: str = ""
    starts_day: bool = False


def timeline(
    events: Iterable[Event], providers: Mapping[str, OAuthProvider], product: str, bot: str
) -> tuple[Entry, ...]:
    """Turn the events into entries, in order; those of a kind without words are left out."""
    entries: list[Entry] = []
    day = None
    for event in events:
        label = label_of(event.provider, providers)
        names = {"provider": label, "product": product, "bot": bot}
        suffixes = (*times(event), *(() if label else ("_signin",)), "")
        keys = (f"activity.{event.kind}{suffix}" for suffix in suffixes)
        key = next((key for key in keys if key in words.CATALOGUE), "")
        if not key:
            continue
        today = datetime.fromtimestamp(event.at, UTC).date()
        entries.append(
            Entry(
                text=" ".join(
                    [words.text(key, **names, count=event.detail), *_detail(event, names)]
                ),
                by=_by(event.by, names),
                at=event.at,
                account=clean_label(event.account),
                mark=event.provider if event.provider in providers else "",
                label=label,
                starts_day=today != day,
            )
        )
        day = today
    return tuple(entries)


def times(event: Event) -> tuple[str, ...]:
    """Return the end of the key of a sentence with a count, if there is something to count."""
    return ("_times",) if event.detail.isdecimal() else ()


def _detail(event: Event, names: Mapping[str, str]) -> Iterator[str]:
    """Say the outcome or the reason, if there are words for it."""
    key = f"activity.detail.{event.kind}_{event.detail}"
    if key in words.CATALOGUE:
        yield words.text(key, **names)


def _by(by: str, names: Mapping[str, str]) -> str:
    key = f"activity.by.{by}"
    return words.text(key, **names) if key in words.CATALOGUE else ""
