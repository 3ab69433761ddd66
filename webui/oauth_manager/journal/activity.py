"""A person's own timeline: what happened, when, by whom."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ..errors import RecordUnreadable, StoreUnavailable
from ..shapes import shaped, text
from ..storage import keys, timeline
from ..storage.calls import Pipeline, RedisClient, as_text, raw, redis_call, unless_mistyped
from ..storage.keys import UserId
from ..storage.storage import Storage
from ..storage.timeline import EntryId
from .audit import OWN_KINDS, open_copy

log = logging.getLogger(__name__)

KEPT_SECONDS = 90 * 86400
PAGE = 25

_SIEVED = 100  # entries read at once if only some of them count
_READ_ON = 500  # entries read at once if the first ones did not fill a page
_ID = re.compile(r"(?!0+-0+$)[0-9]{1,15}-[0-9]{1,10}")  # Redis refuses to go back from 0-0


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    ``by`` is ``web``, ``chat``, ``bot``, ``provider`` or ``support``; ``at`` is in
    epoch seconds; ``detail`` is a word of ours (an outcome, an error code), or how
    often it happened if more than once.  ``was`` is the account before ``account``;
    ``ticket`` the number of the ticket for which support did it.  ``name`` and ``slot``
    tell which of several accounts of the service it was, by its name at the time.
    """

    kind: str
    provider: str
    by: str
    at: float
    detail: str = ""
    account: str = ""
    was: str = ""
    ticket: str = ""
    name: str = ""
    slot: str = ""

    @property
    def place(self) -> str:
        """Return the provider's name, with the slot of one of several accounts behind it."""
        return keys.place(self.provider, self.slot)


WAS_THERE = "was_there"  # the detail of an account that was to be added, and was connected already


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """A page, newest first; ``older`` asks for the next one, ``""`` if there is none."""

    events: tuple[Event, ...]
    older: str = ""


def add(
    storage: Storage, pipe: Pipeline, user_id: UserId, event: Event, replaces: str = ""
) -> None:
    """Queue the event on a pipeline; the answer is its entry.

    It takes the place of the one whose entry is ``replaces``.
    """
    details = {"event": event.kind, "by": event.by, "at": event.at}
    more = {"detail": event.detail, "account": event.account, "was": event.was}
    more |= {"name": event.name, "slot": event.slot}
    details |= {name: value for name, value in more.items() if value}
    sealed = storage.sealer.seal("event", user_id, event.provider, details)
    timeline.queue_add(
        pipe,
        keys.events(user_id),
        sealed,
        oldest=_oldest(storage),
        life=KEPT_SECONDS,
        replaces=replaces,
    )


def remove(pipe: Pipeline, user_id: UserId, entry: str) -> None:
    """Queue the removal of an event by its entry."""
    timeline.queue_remove(pipe, keys.events(user_id), entry)


def _oldest(storage: Storage) -> int:
    return int((storage.clock.now() - KEPT_SECONDS) * 1000)


async def put(storage: Storage, redis: RedisClient, user_id: UserId, event: Event) -> None:
    """Write one event.  Raises ``StoreUnavailable``."""
    async with redis_call("write an event"):
        pipe = redis.pipeline(transaction=False)
        add(storage, pipe, user_id, event)
        await pipe.execute()


async def note(storage: Storage, redis: RedisClient, user_id: UserId, event: Event) -> None:
    """Write an event that has happened anyway: a failure is only logged."""
    try:
        await put(storage, redis, user_id, event)
    except StoreUnavailable:
        log.error("%s: an event (%s) could not be written", event.provider, event.kind)


async def find(storage: Storage, redis: RedisClient, user_id: UserId, event: Event) -> str:
    """Return the entry of an event that was written lately, ``""`` if it is not there.

    Raises ``StoreUnavailable``.
    """
    asked = "+", 0, _READ_ON
    async with redis_call("find an event"):
        pipe = redis.pipeline(transaction=False)
        timeline.queue_read(pipe, keys.events(user_id), *asked)
        (answer,) = await pipe.execute(raise_on_error=False)
        entries = timeline.entries(answer, *asked)
    found = (f"{i} {sealed}" for i, sealed in entries if _open(storage, user_id, sealed) == event)
    return next(found, "")


async def read(
    storage: Storage,
    redis: RedisClient,
    user_id: UserId,
    before: str = "",
    *,
    provider: str = "",
    kinds: Collection[str] = (),
    size: int = PAGE,
) -> ActivityPage:
    """Read one page; ``before`` is the ``older`` of the page before, else it is the first.

    Reads on until the page is full or nothing is left; the first chunk is enough if
    every entry counts.
    """
    newest = f"({before}" if _ID.fullmatch(before) else "+"
    found: list[tuple[EntryId, Event]] = []
    # One more tells that there is an older page.
    count = _SIEVED if provider or kinds else size + 1
    while len(found) <= size and newest:
        chunk, newest = await _chunk(storage, redis, user_id, newest, count)
        found += [
            (identifier, event)
            for identifier, event in chunk
            if _is_of(event, provider) and (not kinds or event.kind in kinds)
        ]
        count = _READ_ON
    return _page(found, size)


def _is_of(event: Event, place: str) -> bool:
    """Tell whether an event is of a provider, or of one of several there: ``provider~slot``."""
    provider, tilde, slot = place.partition("~")
    return provider in ("", event.provider) and (not tilde or slot == event.slot)


async def _chunk(
    storage: Storage, redis: RedisClient, user_id: UserId, newest: str, count: int
) -> tuple[list[tuple[EntryId, Event]], str]:
    """Read a chunk of both streams, newest first, and where to go on; ``""`` at the end.

    A stream that was cut off holds the other one back: of both, only entries no
    older than the last one seen in it are known to be complete.
    """
    oldest = _oldest(storage)
    asked = newest, oldest, count
    async with redis_call("read events"):
        pipe = redis.pipeline(transaction=False)
        timeline.queue_read(pipe, keys.events(user_id), *asked)
        raw(pipe, "XREVRANGE", keys.own_audit(user_id), newest, oldest, "COUNT", count)
        own, support = await pipe.execute(raise_on_error=False)
        events = timeline.entries(own, *asked)
        copies = [(as_text(i), fields) for i, fields in unless_mistyped(support, [])]
    ends = [entries[-1][0] for entries in (events, copies) if len(entries) == count]
    cut_at = max(map(timeline.entry_id, ends), default=None)
    opened = [(i, _open(storage, user_id, sealed)) for i, sealed in events]
    opened += [(i, _support_event(fields)) for i, fields in copies]
    known = [
        (identifier, event)
        for named, event in opened
        if (identifier := timeline.entry_id(named)) >= (cut_at or identifier) and event
    ]
    known.sort(key=lambda found: found[0], reverse=True)
    return known, f"({_text(cut_at)}" if cut_at else ""


def _open(storage: Storage, user_id: UserId, sealed: str) -> Event | None:
    try:
        record = storage.sealer.open("event", user_id, None, sealed)
        return shaped(Event, record, kind=text(record.get("event")))
    except (RecordUnreadable, TypeError):
        return None


def _text(identifier: EntryId) -> str:
    return "{}-{}".format(*identifier)


def _page(found: list[tuple[EntryId, Event]], size: int) -> ActivityPage:
    """Return the first page of the entries that were found.

    Entries of two streams may have the same id, and a page ends with one: so two of the
    same id are never on different pages.
    """
    shown = found[:size]
    if len(found) > size and found[size][0] == shown[-1][0]:
        shown.pop()
    older = _text(shown[-1][0]) if len(found) > len(shown) else ""
    return ActivityPage(tuple(event for _, event in shown), older)


def _support_event(entry: dict[Any, Any]) -> Event | None:
    copy = open_copy(entry)
    if copy is None:
        return None
    count = str(copy.count) if copy.count > 1 else ""
    kind = OWN_KINDS[copy.action]
    return Event(kind, copy.provider, "support", copy.at, detail=count, ticket=copy.ticket)
