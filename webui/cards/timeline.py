"""Events of a person, as the lines of ``/activity``, under their days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

from markupsafe import Markup

from webui.cards.episodes import OUTCOMES, Episode, episodes
from webui.oauth_manager import Event, OAuthProvider
from webui.oauth_manager.values import Struct
from webui.text import words
from webui.text.labels import clean_label, isolated, label_of
from webui.text.receipts import answered, receipt_of


class Entry(Struct, frozen=True):
    """One line of the timeline; ``at`` is in epoch seconds.

    ``text`` and ``more``, the line below, are HTML.  ``mark`` and ``label`` are the provider's,
    ``""`` if the event is about none.  ``code`` is a code of the machine, for support.
    """

    text: Markup
    more: Markup
    at: float
    mark: str = ""
    label: str = ""
    is_support: bool = False
    code: str = ""


class Day(Struct, frozen=True):
    """The lines of one day in UTC, newest first.

    ``name`` is ``today``, ``yesterday`` or ``""``: then its date is shown in ``style``.
    """

    at: float
    name: str
    style: str
    entries: tuple[Entry, ...]


def timeline(
    events: Sequence[Event],
    providers: Mapping[str, OAuthProvider],
    product: str,
    bot: str,
    until: float,
    whose: str = "",
) -> tuple[Entry, ...]:
    """Turn the events into lines, in order; those of a kind without words are left out.

    ``until`` is for :func:`webui.cards.episodes.episodes`; ``whose`` is the person's id,
    which receipts are worked out from.
    """
    made = (
        _entry(episode, names_of(episode.event, providers, product, bot), providers, whose)
        for episode in episodes(answered(events), until)
    )
    return tuple(entry for entry in made if entry.text)


def days(entries: Iterable[Entry], now: float) -> tuple[Day, ...]:
    """Put the lines, which are newest first, under their days in UTC."""
    today = _date(now)
    names = {today: "today", today - timedelta(days=1): "yesterday"}
    found = []
    for date, group in groupby(entries, key=lambda entry: _date(entry.at)):
        of_day = tuple(group)
        style = "day" if date.year == today.year else "date"
        found.append(Day(of_day[0].at, names.get(date, ""), style, of_day))
    return tuple(found)


def began(before: str) -> float:
    """Return the moment before which the events of a later page are, 0 on the first page.

    ``before`` is the ``older`` of :class:`webui.oauth_manager.ActivityPage`.
    """
    milliseconds, _, number = before.partition("-")
    is_one = milliseconds.isdecimal() and number.isdecimal() and len(milliseconds) < 16
    return int(milliseconds) / 1000 if is_one else 0.0


def _date(at: float) -> datetime:
    moment = datetime.fromtimestamp(at, UTC)
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def names_of(
    event: Event, providers: Mapping[str, OAuthProvider], product: str, bot: str
) -> dict[str, str]:
    """Return the names in an event's sentences; those from outside keep their direction.

    The name of one of several accounts stands for what the provider calls it, if that is unknown.
    """
    label, name = label_of(event.provider, providers), clean_label(event.name)
    return {
        "provider": f"{label} ({name})" if name and not clean_label(event.account) else label,
        "product": product,
        "bot": bot,
        "account": isolated(event.account),
        "was": isolated(event.was),
        "ticket": isolated(event.ticket),
    }


def sentence(
    event: Event, names: Mapping[str, object], sections: Sequence[str], *, count: int = 1
) -> Markup:
    """Say what happened, by the first of the sections that has words; ``""`` if none has."""
    endings = (
        *(("_times",) if count > 1 else ()),
        *(("_instead",) if clean_label(event.account) and clean_label(event.was) else ()),
        *(("_as",) if clean_label(event.account) else ()),
        *(() if event.provider else ("_signin",)),
        "",
    )
    keys = [f"{section}.{event.kind}{ending}" for ending in endings for section in sections]
    return first(keys, {**names, "count": count})


def first(keys: Iterable[str], names: Mapping[str, object]) -> Markup:
    """Return the first of the sentences that the catalogue has, ``""`` if it has none."""
    found = (words.markup(key, **names) for key in keys if key in words.CATALOGUE)
    return next(found, Markup())


def joined(pieces: Iterable[Markup]) -> Markup:
    """Write sentences without their full stops as one line; one alone stays without."""
    said = [piece[:-1] if piece.endswith(".") else piece for piece in pieces if piece]
    return Markup(". ").join(said) + ("." if len(said) > 1 else "")


def _entry(
    episode: Episode,
    names: Mapping[str, object],
    providers: Mapping[str, OAuthProvider],
    whose: str,
) -> Entry:
    event = episode.event
    told = _looked(event) if episode.looks else event
    return Entry(
        text=sentence(told, names, ["activity.event"], count=episode.looks),
        more=joined(_more(episode, names, providers, whose)),
        at=event.at,
        mark=event.provider if event.provider in providers and not episode.looks else "",
        label="" if episode.looks else str(names["provider"]),
        is_support=event.by == "support",
    )


def _more(
    episode: Episode,
    names: Mapping[str, object],
    providers: Mapping[str, OAuthProvider],
    whose: str,
) -> list[Markup]:
    """Say who did it, how it ended or why, and what else support did."""
    event = episode.event
    if event.kind.startswith("link_"):
        ends = ("_signin", "") if not event.provider else ("",)
        return [first([f"activity.end.{episode.end}{end}" for end in ends], names)]
    by = [f"activity.by.{event.by}"]
    if event.kind.startswith("support_"):  # the sentence says so
        by = ["activity.by.ticket"] if event.ticket else []
    elif event.by == "chat" and event.kind in OUTCOMES:
        by = ["activity.by.link"]
    why = [f"activity.detail.{event.kind}_{event.detail}", f"activity.detail.{event.kind}"]
    acts = [
        first([f"activity.act.{act.kind}"], {"provider": label_of(act.provider, providers)})
        for act in episode.acts
    ]
    is_receipt = event.kind == "disconnected" and whose
    reason = receipt_of(event, whose, str(names["provider"])) if is_receipt else first(why, names)
    return [first(by, names), reason, *acts]


def _looked(event: Event) -> Event:
    return Event("support_viewed", "", event.by, event.at, ticket=event.ticket)
