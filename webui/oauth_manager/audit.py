"""Who of support did what, to whom and why: a stream of plain JSON that is only added to."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from . import keys
from .redis_io import as_text, redis_call

KEPT_SECONDS = 400 * 86400
OWN_KEPT_SECONDS = 90 * 86400  # the person's own copy
MAX_REASON = 300  # characters
MAX_RESULT = 6000  # characters: ten user ids, however long
_CHUNK = 500  # entries read at once
_YEAR_10000 = 253_402_300_800.0
_LOOKUPS = frozenset(("searched", "viewed", "previewed", "reference"))
# What the person is shown, under these kinds of events; a disconnect has an event of its own.
OWN_KINDS = {
    "viewed": "support_viewed",
    "previewed": "support_viewed",
    "checked": "support_checked",
    "cancelled_links": "support_cancelled_links",
    "ended_sessions": "support_ended_sessions",
}


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One thing that somebody of support did, or was refused.

    ``via`` is how they had signed in: ``chat``, ``sso``, ``proxy`` or
    ``command``.  ``action`` is ``searched``, ``viewed``, ``previewed``,
    ``denied``, ``too_many_lookups``, ``too_many_actions``, ``checked``,
    ``cancelled_links``, ``disconnected``, ``ended_sessions`` or ``reference``.
    ``at`` is in epoch seconds; ``0`` becomes the time of writing.
    """

    who: str
    via: str
    action: str
    whom: str = ""
    provider: str = ""
    reason: str = ""
    result: str = ""
    request_id: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class OwnCopy:
    """What the person sees of a record: that support did it, not who or why."""

    action: str
    provider: str
    at: float


class Audit:
    """Writes the records, and reads them back."""

    async def write(
        self, redis: Any, record: AuditRecord, *, has_begun_before: bool = False
    ) -> None:
        """Keep the record, and the person's copy where they are to see it.  One round trip.

        One of what came of something that ``has_begun_before`` needs no second copy.
        Raises ``StoreUnavailable``: then nothing may be shown or done.  Whoever
        tries again may leave the record twice.  Raises ``ValueError`` where
        ``whom`` would be shown it and is no user id.
        """
        record = _bounded(record)
        entry = {"record": json.dumps(asdict(record))}
        async with redis_call("write an audit record"):
            pipe = redis.pipeline(transaction=False)
            pipe.xadd(keys.AUDIT, entry, minid=_ms(-KEPT_SECONDS), approximate=True)
            if record.whom and record.action in OWN_KINDS and not has_begun_before:
                own = asdict(OwnCopy(record.action, record.provider, record.at))
                key = keys.own_audit(record.whom)
                oldest = _ms(-OWN_KEPT_SECONDS)
                pipe.xadd(key, {"record": json.dumps(own)}, minid=oldest, approximate=True)
                pipe.expire(key, OWN_KEPT_SECONDS)
            await pipe.execute()

    async def lookups(self, redis: Any, who: str, seconds: float) -> list[float]:
        """When ``who`` looked somebody up in the last so many seconds, newest first; reads only.

        Raises ``StoreUnavailable``.
        """
        newest, oldest, at = "+", str(_ms(-seconds)), list[float]()
        while True:
            async with redis_call("count look-ups"):
                found = await redis.xrevrange(keys.AUDIT, newest, oldest, count=_CHUNK)
            records = [open_record(entry) for _, entry in found]
            at += [r.at for r in records if r and r.who == who and r.action in _LOOKUPS]
            if len(found) < _CHUNK:
                return at
            newest = f"({as_text(found[-1][0])}"

    async def read(self, redis: Any, since: float) -> AsyncIterator[AuditRecord]:
        """Every record since then (epoch seconds), oldest first; what is not ours is passed over.

        Raises ``StoreUnavailable``.
        """
        oldest = str(max(int(since * 1000), 0))
        while True:
            async with redis_call("read audit records"):
                found = await redis.xrange(keys.AUDIT, oldest, "+", count=_CHUNK)
            for _, entry in found:
                record = open_record(entry)
                if record is not None:
                    yield record
            if len(found) < _CHUNK:
                return
            oldest = f"({as_text(found[-1][0])}"


def open_record(entry: Mapping[Any, Any]) -> AuditRecord | None:
    """The record in a stream's entry; ``None`` where it is none of ours."""
    held = _held(entry, AuditRecord.__slots__)
    try:
        return AuditRecord(**held) if held else None
    except TypeError:
        return None


def open_copy(entry: Mapping[Any, Any]) -> OwnCopy | None:
    """The person's copy in a stream's entry; ``None`` where it is none of ours."""
    held = _held(entry, OwnCopy.__slots__)
    try:
        copy = OwnCopy(**held)
    except TypeError:
        return None
    return copy if copy.action in OWN_KINDS else None


def _held(entry: Mapping[Any, Any], names: Iterable[str]) -> dict[str, Any]:
    """The fields of these names; none at all where one of them is of another type."""
    try:
        record = json.loads(as_text(entry.get(b"record") or entry.get("record")))
        held = {name: record[name] for name in names if name in record}
    except (ValueError, TypeError, RecursionError):
        return {}
    at = held.get("at")
    is_time = isinstance(at, (int, float)) and 0 <= at < _YEAR_10000
    is_text = all(isinstance(value, str) for name, value in held.items() if name != "at")
    return held if is_time and is_text else {}


def _bounded(record: AuditRecord) -> AuditRecord:
    texts = {name: value for name, value in asdict(record).items() if name != "at"}
    short = {name: value[: keys.MAX_USER_ID] for name, value in texts.items()}
    short["reason"] = record.reason[:MAX_REASON]
    short["result"] = record.result[:MAX_RESULT]
    return replace(record, **short, at=record.at or time.time())


def _ms(seconds: float) -> int:
    """The moment so many seconds from now, as the first half of an entry's id."""
    return max(int((time.time() + seconds) * 1000), 0)
