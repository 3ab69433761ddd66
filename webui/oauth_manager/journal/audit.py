"""The audit log: actions of support staff, as an append-only stream of plain JSON."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..clock import Clock
from ..shapes import shaped
from ..storage import keys
from ..storage.calls import Pipeline, RedisClient, as_text, redis_call
from ..values import replace

KEPT_SECONDS = 400 * 86400
OWN_KEPT_SECONDS = 90 * 86400  # the person's own copy
MAX_REASON = 300  # characters
MAX_RESULT = 6000  # characters: ten user ids, however long
ONE_LINE_SECONDS = 3600  # from its first look
# The only reasons of which the person reads anything, since they say nothing of them.
_TICKET = re.compile(
    r"(?:ticket|case|request)?(?: |:|#)*((?:[a-z]{1,10}-)?[0-9]{1,9})", re.ASCII | re.IGNORECASE
)
_COUNT = re.compile(r"[0-9]{1,9}")
_CHUNK = 500  # entries read at once
_LOOKUPS = frozenset(("searched", "viewed", "previewed", "reference"))
# Actions that the person sees, as these kinds of events; a disconnect has an event of its
# own.
OWN_KINDS = {
    "viewed": "support_viewed",
    "previewed": "support_viewed",
    "checked": "support_checked",
    "cancelled_links": "support_cancelled_links",
    "ended_sessions": "support_ended_sessions",
}


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One action of a member of support, done or refused.

    ``via`` is how they had signed in: ``chat``, ``sso``, ``proxy`` or
    ``command``.  ``action`` is ``searched``, ``viewed``, ``previewed``,
    ``denied``, ``too_many_lookups``, ``too_many_actions``, ``checked``,
    ``cancelled_links``, ``disconnected``, ``ended_sessions``, ``reference`` or ``erased``,
    which names nobody: its ``via`` is also ``page``, if the person did it there.
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


# The person's copy of a look.  Looks for the same reason within an hour of the first are one line.
# ARGV: group, record, an hour ago, the oldest that is kept (ids), the stream's life, now (ms).
_COPY = """
local since, count = ARGV[6], 1
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', ARGV[3], 'COUNT', 100)) do
  local fields = {}
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  local begun, looks = tonumber(fields.since), tonumber(fields.count)
  if fields.group == ARGV[1] and begun and looks and begun >= tonumber(ARGV[3]) then
    since, count = fields.since, looks + 1
    redis.call('XDEL', KEYS[1], entry[1])
    break
  end
end
redis.call('XADD', KEYS[1], 'MINID', '~', ARGV[4], '*', 'record', ARGV[2],
           'group', ARGV[1], 'since', since, 'count', count)
return redis.call('EXPIRE', KEYS[1], ARGV[5])
"""


@dataclass(frozen=True, slots=True)
class OwnCopy:
    """The person's view of a record: that support did it, not who or why.

    ``count`` is how often, for the same reason and within an hour; ``ticket`` the number of
    the ticket, if the reason is nothing else.
    """

    action: str
    provider: str
    at: float
    count: int = 1
    ticket: str = ""


class Audit:
    """The records, written and read back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def write(
        self, redis: RedisClient, record: AuditRecord, *, has_begun_before: bool = False
    ) -> None:
        """Keep the record, and the person's copy if they are to see it.  One round trip.

        The outcome of an action that ``has_begun_before`` needs no second copy.  Raises
        ``StoreUnavailable``: then nothing may be shown or done.  A retry may leave the
        record twice.  Raises ``ValueError`` if ``whom`` would see it and is no user id.
        """
        now = self._clock.now()
        record = _bounded(record, now)
        entry = {"record": json.dumps(asdict(record))}
        async with redis_call("write an audit record"):
            pipe = redis.pipeline(transaction=False)
            pipe.xadd(keys.AUDIT, entry, minid=_ms(now - KEPT_SECONDS), approximate=True)
            if record.whom and record.action in OWN_KINDS and not has_begun_before:
                _copy(pipe, record, now)
            await pipe.execute()

    async def lookups(self, redis: RedisClient, who: str, seconds: float) -> list[float]:
        """Return the times of ``who``'s lookups in the last ``seconds``, newest first; reads only.

        Raises ``StoreUnavailable``.
        """
        newest = "+"
        oldest = str(_ms(self._clock.now() - seconds))
        at = list[float]()
        while True:
            async with redis_call("count look-ups"):
                found = await redis.xrevrange(keys.AUDIT, newest, oldest, count=_CHUNK)
            records = [open_record(entry) for _, entry in found]
            at += [r.at for r in records if r and r.who == who and r.action in _LOOKUPS]
            if len(found) < _CHUNK:
                return at
            newest = f"({as_text(found[-1][0])}"

    async def read(self, redis: RedisClient, since: float) -> AsyncIterator[AuditRecord]:
        """Read every record since then (epoch seconds), oldest first; skips foreign entries.

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


def _copy(pipe: Pipeline, record: AuditRecord, now: float) -> None:
    own = {"action": record.action, "provider": record.provider, "at": record.at}
    if ticket := ticket_of(record.reason):
        own["ticket"] = ticket
    ids = _ms(now - ONE_LINE_SECONDS), _ms(now - OWN_KEPT_SECONDS)
    key, life = keys.own_audit(record.whom), OWN_KEPT_SECONDS
    pipe.eval(_COPY, 1, key, _group(record), json.dumps(own), *ids, life, _ms(now))


def ticket_of(reason: str) -> str:
    """Return the number of a reason that is a ticket's number alone, ``""`` of any other."""
    found = _TICKET.fullmatch(" ".join(reason.split()))
    return found[1].upper() if found else ""


def _group(record: AuditRecord) -> str:
    """Return one value for all looks of a line; it reveals nothing of the reason by itself."""
    kind = OWN_KINDS[record.action]
    what = record.reason if kind == "support_viewed" else record.request_id or str(record.at)
    text = " ".join(what.casefold().split())
    return hashlib.blake2s(f"{kind}\0{text}".encode(errors="replace"), digest_size=16).hexdigest()


def open_record(entry: Mapping[Any, Any]) -> AuditRecord | None:
    """Return the record in a stream's entry; ``None`` if it is none of ours."""
    try:
        record = _record(entry)
        # A name may hold characters that cannot be shown, and still has to be on
        # record.
        names = [name for name in AuditRecord.__slots__ if name != "at" and name in record]
        if not all(isinstance(record[name], str) for name in names):
            return None
        return shaped(AuditRecord, record, **{name: record[name] for name in names})
    except (TypeError, ValueError, RecursionError):
        return None


def open_copy(entry: Mapping[Any, Any]) -> OwnCopy | None:
    """Return the person's copy in a stream's entry; ``None`` if it is none of ours."""
    count = as_text(entry.get(b"count") or entry.get("count"))
    try:
        times = int(count) if _COUNT.fullmatch(count) else 1
        copy = shaped(OwnCopy, _record(entry), count=times)
    except (TypeError, ValueError, RecursionError):
        return None
    return copy if copy.action in OWN_KINDS else None


def _record(entry: Mapping[Any, Any]) -> Any:
    """Parse an entry.  Raises ``ValueError``, ``RecursionError``."""
    return json.loads(as_text(entry.get(b"record") or entry.get("record")))


def _bounded(record: AuditRecord, now: float) -> AuditRecord:
    texts = {name: value for name, value in asdict(record).items() if name != "at"}
    short = {name: value[: keys.MAX_USER_ID] for name, value in texts.items()}
    short["reason"] = record.reason[:MAX_REASON]
    short["result"] = record.result[:MAX_RESULT]
    return replace(record, **short, at=record.at or now)


def _ms(at: float) -> int:
    """Return a moment (epoch seconds) as the first half of an entry's id."""
    return max(int(at * 1000), 0)
