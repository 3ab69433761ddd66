"""Events that belong together, as one line: a link and its outcome, support's acts for a ticket.

Pure functions over the events of one page, which may hold only a part of what belongs together:
then they claim nothing of the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from webui.oauth_manager import Event
from webui.oauth_manager.values import Struct, replace

HOUR = 3600.0
SPAN = 1800.0
"""Seconds from a link, or its use, to what follows at the latest: each step may take less."""

OUTCOMES = frozenset({"connected", "reconnected", "account_switched", "denied", "connect_failed"})
"""Kinds of events that a link leads to."""

_LINKS = frozenset({"link_made", "link_used", "link_cancelled"})
_SUPPORT = "support_"
_LOOK = "support_viewed"


class Episode(Struct, frozen=True):
    """One line: the event that it tells of, and more that it tells.

    ``end`` is ``unused``, ``used``, ``unfinished`` or ``cancelled`` for a link without
    another outcome, if that is known.  ``looks`` counts support's looks; ``acts`` are their
    acts beside the line's own, oldest first.
    """

    event: Event
    end: str = ""
    looks: int = 0
    acts: tuple[Event, ...] = ()


def episodes(events: Sequence[Event], until: float) -> tuple[Episode, ...]:
    """Put together what belongs together, newest first as the events are.

    ``until`` is the moment (epoch seconds) up to which nothing newer than the events has
    happened: now, or the beginning of the page before.
    """
    ends = _ends(events, until)
    groups = _groups(events)
    found = []
    for place, event in enumerate(events):
        if event.kind in _LINKS:
            if place in ends:
                found.append(Episode(event, ends[place]))
        elif event.kind.startswith(_SUPPORT):
            if place in groups:
                found.append(_of_support(groups[place]))
        else:
            found.append(Episode(event))
    return tuple(found)


@dataclass(slots=True)
class _Link:
    """A link without an outcome so far: its line's place, and when it was made and used."""

    place: int
    made: float = 0.0
    used: float = 0.0

    @property
    def last(self) -> float:
        return max(self.made, self.used)

    def is_over(self, now: float) -> bool:
        return self.last + SPAN <= now

    def end(self, until: float) -> str:
        if not self.used:
            return "unused" if self.is_over(until) else ""
        if not self.made:
            return ""  # its line says that it was used
        return "unfinished" if self.is_over(until) else "used"


def _ends(events: Sequence[Event], until: float) -> dict[int, str]:
    """Map the place of each link that has a line of its own to the word for its end.

    A newer link replaces one that is still open, and the line of an outcome tells of its link.
    """
    ends: dict[int, str] = {}
    links: dict[str, _Link] = {}
    for place, event in reversed(list(enumerate(events))):
        for name, link in list(links.items()):
            if link.is_over(event.at):
                ends[link.place] = links.pop(name).end(event.at)
        _follow(links, ends, place, event)
    return ends | {link.place: link.end(until) for link in links.values()}


def _follow(links: dict[str, _Link], ends: dict[int, str], place: int, event: Event) -> None:
    """Bring the open links, by provider, and the ends to the state after the event."""
    link = links.get(event.provider)
    if event.kind == "link_made":
        links[event.provider] = _Link(place, made=event.at)
    elif event.kind == "link_used":
        link = links.setdefault(event.provider, _Link(place))
        link.used = event.at
    elif event.kind == "link_cancelled":
        links.pop(event.provider, None)
        ends[link.place if link else place] = "cancelled" if link else ""
    elif event.kind == "support_cancelled_links":
        ends |= {link.place: "cancelled" for link in links.values()}
        links.clear()
    elif event.kind in OUTCOMES and link and (event.by == "chat" or link.used):
        del links[event.provider]


def _groups(events: Sequence[Event]) -> dict[int, list[Event]]:
    """Map the place of a newest act of support to all for the same ticket in the hour before."""
    groups: dict[int, list[Event]] = {}
    newest: dict[str, int] = {}
    for place, event in enumerate(events):
        if not event.kind.startswith(_SUPPORT):
            continue
        head = newest.get(event.ticket)
        if head is not None and events[head].at - event.at <= HOUR:
            groups[head].append(event)
        else:
            newest[event.ticket] = place
            groups[place] = [event]
    return groups


def _of_support(group: Sequence[Event]) -> Episode:
    looks = sum(count_of(event) for event in group if event.kind == _LOOK)
    acts = [_bare(event) for event in group if event.kind != _LOOK]
    others = [act for act in reversed(acts) if looks or act != acts[0]]
    return Episode(group[0], looks=looks, acts=tuple(dict.fromkeys(others)))


def _bare(event: Event) -> Event:
    return replace(event, at=0.0, detail="")


def count_of(event: Event) -> int:
    """Return how often it happened."""
    return int(event.detail) if len(event.detail) < 10 and event.detail.isdecimal() else 1
