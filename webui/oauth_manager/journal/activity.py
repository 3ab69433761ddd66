"""A person's own timeline: what happened, when, by whom.  One stream for each person."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..errors import RecordUnreadable, StoreUnavailable
from ..shapes import shaped, text
from ..storage import keys
from ..storage.calls import Pipeline, RedisClient, as_text, raw, redis_call, unless_mistyped
from ..storage.keys import UserId
from ..storage.scripts import APPEND
from ..storage.storage import Storage
from .audit import OWN_KINDS, open_copy

log = logging.getLogger(__name__)

KEPT_SECONDS = 90 * 86400
MAX_EVENTS = 2000  # about how many are kept for one person
PAGE = 25

_SIEVED = 100  # entries read at once if only some of them count
_READ_ON = 500  # entries read at once if the first ones did not fill a page
_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,10}")

EntryId = tuple[int, int]  # milliseconds, and a number among those of the same one


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    ``by`` is ``web``, ``chat``, ``bot``, ``provider`` or ``support``; ``at`` is in
    epoch seconds; ``detail`` is a word of ours (an outcome, an error code), or how
    often it happened if more than once.
    """

    kind: str
    provider: str
    by: str
    at: float
    detail: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """A page, newest first; ``older`` asks for the next one, ``""`` if there is none."""

    events: tuple[Event, ...]
    older: str = ""


def add(storage: Storage, pipe: Pipeline, user_id: UserId, event: Event) -> None:
    """Queue the event on a pipeline."""
    details = {
        "event": event.kind,
        "by": event.by,
        "at": event.at,
        "detail": event.detail,
        "account": event.account,
    }
    sealed = storage.sealer.seal("event", user_id, event.provider, details)
    oldest = int((storage.clock.now() - KEPT_SECONDS) * 1000)
    pipe.eval(APPEND, 1, keys.events(user_id), "MINID", "~", oldest, "*", "sealed", sealed)
    pipe.xtrim(keys.events(user_id), maxlen=MAX_EVENTS, approximate=True)
    pipe.expire(keys.events(user_id), KEPT_SECONDS)


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
    """Return the id of an event that was written lately, ``""`` if it is not there.

    Raises ``StoreUnavailable``.
    """
    async with redis_call("find an event"):
        pipe = redis.pipeline(transaction=False)
        raw(pipe, "XREVRANGE", keys.events(user_id), "+", "-", "COUNT", _READ_ON)
        (entries,) = await pipe.execute(raise_on_error=False)
        entries = unless_mistyped(entries, [])
    found = (as_text(i) for i, fields in entries if _open(storage, user_id, fields) == event)
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
            if provider in ("", event.provider) and (not kinds or event.kind in kinds)
        ]
        count = _READ_ON
    return _page(found, size)


async def _chunk(
    storage: Storage, redis: RedisClient, user_id: UserId, newest: str, count: int
) -> tuple[list[tuple[EntryId, Event]], str]:
    """Read a chunk of both streams, newest first, and where to go on; ``""`` at the end.

    A stream that was cut off holds the other one back: of both, only entries no
    older than the last one seen in it are known to be complete.
    """
    oldest = int((storage.clock.now() - KEPT_SECONDS) * 1000)
    async with redis_call("read events"):
        pipe = redis.pipeline(transaction=False)
        for key in (keys.events(user_id), keys.own_audit(user_id)):
            raw(pipe, "XREVRANGE", key, newest, oldest, "COUNT", count)
        streams = await pipe.execute(raise_on_error=False)
        events, copies = (unless_mistyped(stream, []) for stream in streams)
    cut_at = max((_entry_id(s[-1]) for s in (events, copies) if len(s) == count), default=None)
    known = [
        (identifier, event)
        for stream, read in ((events, partial(_open, storage, user_id)), (copies, _support_event))
        for entry in stream
        if (identifier := _entry_id(entry)) >= (cut_at or identifier)
        if (event := read(entry[1]))
    ]
    known.sort(key=lambda found: found[0], reverse=True)
    return known, f"({_text(cut_at)}" if cut_at else ""


def _open(storage: Storage, user_id: UserId, fields: dict[Any, Any]) -> Event | None:
    sealed = as_text(fields.get(b"sealed") or fields.get("sealed"))
    try:
        record = storage.sealer.open("event", user_id, None, sealed)
        return shaped(Event, record, kind=text(record.get("event")))
    except (RecordUnreadable, TypeError):
        return None


def _entry_id(entry: tuple[Any, Any]) -> EntryId:
    milliseconds, _, number = as_text(entry[0]).partition("-")
    return int(milliseconds), int(number)


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
    return Event(OWN_KINDS[copy.action], copy.provider, "support", copy.at, detail=count)
