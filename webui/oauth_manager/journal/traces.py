"""Traces of one person in what all share: the notices, those that are due, the audit.

They are found by reading the whole of each, which is bounded, but for the audit.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from typing import Any

from ..storage import keys
from ..storage.calls import RedisClient, answer_of, as_text, raw, redis_call, unless_mistyped
from ..storage.keys import UserId
from ..storage.storage import Storage
from ..values import replace
from .audit import AuditRecord, open_record, ticket_of
from .due_notices import parts_of
from .notices import Notice, opened

_CHUNK = 500  # entries read at once
# Put an entry in the place of another, unless that has gone meanwhile.  ARGV: its id, the record.
_REPLACE = """
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[1], '*', 'record', ARGV[2])
return 1
"""


async def notices(
    storage: Storage, redis: RedisClient, user_id: UserId
) -> list[tuple[str, Notice]]:
    """Find the person's notices, sent or not, each with its id in the stream."""
    found = []
    async for identifier, fields in _entries(redis, keys.NOTICES):
        notice = opened(storage, as_text(fields.get(b"sealed") or fields.get("sealed")))
        if notice and notice.user_id == user_id:
            found.append((identifier, notice))
    return found


async def due(redis: RedisClient, user_id: UserId) -> list[tuple[str, str, str]]:
    """Find what is to be told later: kind and provider of each, and its member of the set."""
    async with redis_call("read what is due"):
        answer = unless_mistyped(await answer_of(raw(redis, "ZRANGE", keys.DUE, 0, -1)), [])
    members = map(as_text, answer)
    return [(*parts[:2], m) for m in members if (parts := parts_of(m))[2] == user_id]


async def audited(redis: RedisClient, user_id: UserId) -> list[tuple[str, AuditRecord]]:
    """Find the records of staff's acts that concern the person, each with its id."""
    found = []
    async for identifier, fields in _entries(redis, keys.AUDIT):
        record = open_record(fields)
        if record and (record.whom == user_id or user_id in _found_by(record)):
            found.append((identifier, record))
    return found


async def remove(storage: Storage, redis: RedisClient, user_id: UserId) -> int:
    """Remove every trace; return how many there were.

    An act of staff stays on record, at the end of the audit, with nothing of the person in it.
    """
    told, later = await notices(storage, redis, user_id), await due(redis, user_id)
    acts = await audited(redis, user_id)
    if told or later:
        async with redis_call("remove notices"):
            pipe = redis.pipeline(transaction=False)
            for identifier, _ in told:
                pipe.xdel(keys.NOTICES, identifier)
            for *_, member in later:
                pipe.zrem(keys.DUE, member)
            await pipe.execute()
    for start in range(0, len(acts), _CHUNK):
        async with redis_call("blank the audit"):
            pipe = redis.pipeline(transaction=False)
            for identifier, record in acts[start : start + _CHUNK]:
                blank = json.dumps(asdict(_without(record, user_id)))
                pipe.eval(_REPLACE, 1, keys.AUDIT, identifier, blank)
            await pipe.execute()
    return len(told) + len(later) + len(acts)


def _without(record: AuditRecord, user_id: UserId) -> AuditRecord:
    """Return the act without the person; a reason stays only if it is a ticket's number."""
    reason = record.reason if ticket_of(record.reason) else ""
    others = [other for other in _found_by(record) if other != user_id]
    result = record.result if user_id not in _found_by(record) else f"found {json.dumps(others)}"
    whom = "" if record.whom == user_id else record.whom
    return replace(record, whom=whom, reason=reason, result=result)


def _found_by(record: AuditRecord) -> list[Any]:
    """Return the user ids that a search found, as its result lists them."""
    begin, end = record.result.find("["), record.result.rfind("]")
    try:
        found = json.loads(record.result[begin : end + 1])
    except ValueError:
        return []
    return found if isinstance(found, list) else []


async def _entries(redis: RedisClient, stream: str) -> AsyncIterator[tuple[str, Mapping[Any, Any]]]:
    """Read a stream from its oldest entry on."""
    oldest = "-"
    while True:
        async with redis_call("read a stream"):
            answer = await answer_of(redis.xrange(stream, oldest, "+", count=_CHUNK))
            found = unless_mistyped(answer, [])
        for identifier, fields in found:
            yield as_text(identifier), fields or {}
        if len(found) < _CHUNK:
            return
        oldest = f"({as_text(found[-1][0])}"
