"""A person's own timeline: what happened, when, by whom.  A stream for each person."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from typing import Any

from . import keys
from .errors import RecordUnreadable, StoreUnavailable
from .redis_io import as_text, redis_call
from .sealing import Sealer

log = logging.getLogger(__name__)

KEPT_SECONDS = 90 * 86400
MAX_EVENTS = 2000  # about how many are kept for one person
PAGE = 25

_ID = re.compile(r"\d{1,15}-\d{1,10}")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    ``by`` is ``web``, ``chat``, ``bot``, ``provider`` or ``support``; ``at`` is
    in epoch seconds; ``detail`` is a word of ours (an outcome, an error code).
    """

    kind: str
    provider: str
    by: str
    at: float
    detail: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """Newest first; ``older`` asks for the next page, ``""`` where there is none."""

    events: tuple[Event, ...]
    older: str = ""


class Activity:
    """Writes and reads timelines."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def add(self, pipe: Any, user_id: str, event: Event) -> None:
        """Queue the event on a pipeline."""
        details = {
            "event": event.kind,
            "by": event.by,
            "at": event.at,
            "detail": event.detail,
            "account": event.account,
        }
        sealed = self._sealer.seal("event", user_id, event.provider, details)
        oldest = int((time.time() - KEPT_SECONDS) * 1000)
        pipe.xadd(keys.events(user_id), {"sealed": sealed}, minid=oldest, approximate=True)
        pipe.xtrim(keys.events(user_id), maxlen=MAX_EVENTS, approximate=True)
        pipe.expire(keys.events(user_id), KEPT_SECONDS)

    async def put(self, redis: Any, user_id: str, event: Event) -> None:
        """Write one event.  Raises ``StoreUnavailable``."""
        async with redis_call("write an event"):
            pipe = redis.pipeline(transaction=False)
            self.add(pipe, user_id, event)
            await pipe.execute()

    async def note(self, redis: Any, user_id: str, event: Event) -> None:
        """As :meth:`put`, for what has happened anyway: a failure only goes to the log."""
        try:
            await self.put(redis, user_id, event)
        except StoreUnavailable:
            log.error("%s: an event (%s) could not be written", event.provider, event.kind)

    async def read(self, redis: Any, user_id: str, before: str = "") -> ActivityPage:
        """One page; ``before`` is the ``older`` of the page before, anything else the first."""
        newest = f"({before}" if _ID.fullmatch(before) else "+"
        async with redis_call("read events"):
            found = await redis.xrevrange(keys.events(user_id), newest, "-", count=PAGE + 1)
        opened = [self._open(user_id, fields) for _, fields in found[:PAGE]]
        older = as_text(found[PAGE - 1][0]) if len(found) > PAGE else ""
        return ActivityPage(tuple(event for event in opened if event), older)

    def _open(self, user_id: str, fields: dict[Any, Any]) -> Event | None:
        sealed = as_text(fields.get(b"sealed") or fields.get("sealed"))
        try:
            record = self._sealer.open("event", user_id, None, sealed)
            return Event(
                record["event"],
                record["provider"],
                record["by"],
                record["at"],
                record["detail"],
                record["account"],
            )
        except (RecordUnreadable, KeyError):
            return None
