"""Notices by a position that the reader keeps: pages of the stream, for the API and webhooks.

A reader that asks for what comes after a position has read all before it: the furthest one is
kept, so that an operator's count of unread notices leaves those out.
"""

from __future__ import annotations

from collections.abc import Callable

from ..storage import keys
from ..storage.calls import RedisClient, answer_of, as_text, raw, redis_call, unless_mistyped
from ..storage.scripts import OURS
from ..storage.storage import Storage
from ..storage.timeline import entry_id
from ..values import Struct
from . import notices
from .notices import IsNews, Notice

BEGINNING = "0-0"
_READ = 200  # entries at once
_READ_DAYS = 90  # without a reader, after which nothing counts as read any more

# ARGV: milliseconds and number of a position, seconds to keep it.  One in the future is no
# reader's.
_NOTE_READ = f"""{OURS}
local ms, number = tonumber(ARGV[1]), tonumber(ARGV[2])
if ms > tonumber(redis.call('TIME')[1]) * 1000 + 60000 then return 0 end
local at, after = string.match(ours('GET', KEYS[1]) or '', '^(%d+)-(%d+)$')
at, after = tonumber(at or 0), tonumber(after or 0)
if ms < at or ms == at and number < after then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. '-' .. ARGV[2], 'EX', ARGV[3])
return 1
"""

Wanted = Callable[[Notice], bool]


class SealedPage(Struct, frozen=True):
    """Entries of the stream as they are: position and sealed notice, oldest first.

    ``next`` is the position after all of them.  ``has_overflowed``: there were others after
    the position asked for, which are kept no more.
    """

    entries: tuple[tuple[str, str], ...]
    next: str
    has_overflowed: bool = False


class NoticePage(Struct, frozen=True):
    """Notices with their positions, like the entries of a :class:`SealedPage`."""

    notices: tuple[tuple[str, Notice], ...]
    next: str
    has_overflowed: bool = False


async def read_sealed(storage: Storage, redis: RedisClient, after: str) -> SealedPage:
    """Read what comes after a position; ``""`` is the beginning.  Raises ``StoreUnavailable``."""
    await notices.promote(storage, redis)
    entries, first = await _entries(redis, after)
    is_gone = bool(first) and (0, 0) < entry_id(after or BEGINNING) < entry_id(first)
    end = entries[-1][0] if entries else after or BEGINNING
    return SealedPage(tuple(entries), end, is_gone)


async def read(
    storage: Storage, redis: RedisClient, after: str, limit: int, wanted: Wanted, is_news: IsNews
) -> NoticePage:
    """Read what is wanted, and still news, like :func:`read_sealed`."""
    page = await read_sealed(storage, redis, after)
    found: list[tuple[str, Notice]] = []
    for position, sealed in page.entries:
        notice = notices.opened(storage, sealed)
        if notice and wanted(notice) and await is_news(notice):
            found.append((position, notice))
            if len(found) == limit:
                return NoticePage(tuple(found), position, page.has_overflowed)
    return NoticePage(tuple(found), page.next, page.has_overflowed)


async def newest(storage: Storage, redis: RedisClient) -> str:
    """Return the position of the newest notice, what is due included.

    Raises ``StoreUnavailable``.
    """
    await notices.promote(storage, redis)
    async with redis_call("look for notices"):
        asked = raw(redis, "XREVRANGE", keys.NOTICES, "+", "-", "COUNT", 1)
        found = unless_mistyped(await answer_of(asked), [])
    return as_text(found[0][0]) if found else BEGINNING


def is_before(position: str, other: str) -> bool:
    """Tell whether a position is before another one."""
    return entry_id(position) < entry_id(other)


async def _entries(redis: RedisClient, after: str) -> tuple[list[tuple[str, str]], str]:
    """Read the entries after a position, and the position of the oldest that is kept."""
    async with redis_call("read notices"):
        pipe = redis.pipeline(transaction=False)
        raw(pipe, "XRANGE", keys.NOTICES, f"({after}" if after else "-", "+", "COUNT", _READ)
        raw(pipe, "XRANGE", keys.NOTICES, "-", "+", "COUNT", 1)
        if after:
            ms, number = entry_id(after)
            pipe.eval(_NOTE_READ, 1, keys.NOTICES_READ, ms, number, _READ_DAYS * 86400)
        answers = await pipe.execute(raise_on_error=False)
        found, oldest = (unless_mistyped(answer, []) for answer in answers[:2])
    entries = [(as_text(i), as_text(fields.get(b"sealed"))) for i, fields in found]
    return entries, as_text(oldest[0][0]) if oldest else ""
