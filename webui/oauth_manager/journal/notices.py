"""Notices that the bot sends unprompted: a stream in Redis, delivered at least once.

A notice holds no link and no secret; a link that is needed is made when the
notice is read, so that it is fresh.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from redis.exceptions import RedisError, ResponseError

from ..errors import RecordUnreadable, StoreUnavailable
from ..shapes import shaped, text
from ..storage import keys
from ..storage.calls import Commands, RedisClient, as_text, is_mistyped, raw, redis_call
from ..storage.keys import UserId
from ..storage.scripts import APPEND, OURS
from ..storage.storage import Storage
from . import due_notices as due

log = logging.getLogger(__name__)

GROUP = "bot"
MAX_LENGTH = 10_000  # about how many notices are kept
_AT_ONCE = 10  # notices
_BLOCK_MS = 500  # below the time-out of a careful client
_CLEAR = f"{OURS} return ours('XLEN', KEYS[1])"  # a key of another type is deleted
_ABANDONED_MS = 60_000  # after which another consumer takes over an unfinished notice
_LONGEST_PAUSE = 15.0  # seconds between tries while Redis is away


ANSWER_SECONDS = 5  # in which the bot's answer comes before an unprompted notice
AHEAD_SECONDS = 86_400.0  # before the end of access at which it is told
LINK_SECONDS = keys.LINK_CODE_TTL + 5  # after which a link has certainly expired


class NoticeKind(StrEnum):
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    RECONNECT_NEEDED = "reconnect_needed"
    DENIED = "denied"
    CONNECT_FAILED = "connect_failed"
    LINK_CANCELLED = "link_cancelled"
    LINK_RAN_OUT = "link_ran_out"
    ENDS_SOON = "ends_soon"
    SUPPORT_CHECKED = "support_checked"
    SUPPORT_CANCELLED_LINKS = "support_cancelled_links"
    SUPPORT_DISCONNECTED = "support_disconnected"
    SUPPORT_ENDED_SESSIONS = "support_ended_sessions"


@dataclass(frozen=True, slots=True)
class Notice:
    """A message for a person from the bot, in their private chat.

    ``account`` is the name at the provider, ``""`` if unknown; ``at`` is in epoch
    seconds; ``detail`` is a word of ours that says why an attempt failed, or that an account
    which was to be added was there already.  ``slot`` tells
    which of several accounts of the service it is about, ``name`` what the person calls it.
    """

    kind: NoticeKind
    user_id: str
    provider: str
    account: str
    at: float
    detail: str = ""
    name: str = ""
    slot: str = ""


IsNews = Callable[[Notice], Awaitable[bool]]
"""Whether a notice is still to be told.  May raise ``StoreUnavailable``."""


def add(
    storage: Storage,
    pipe: Commands,
    kind: NoticeKind,
    user_id: UserId,
    provider: str,
    account: str = "",
    detail: str = "",
    name: str = "",
    slot: str = "",
) -> Any:
    """Queue the notice on a pipeline, or on a client: then await what is returned.

    The end of access waits a moment: if a tool has found it, the bot is about to
    answer with it, and does not say it twice.
    """
    if kind is NoticeKind.RECONNECT_NEEDED:
        return due.put(pipe, kind, user_id, keys.place(provider, slot), ANSWER_SECONDS)
    notice = Notice(kind, user_id, provider, account, storage.clock.now(), detail, name, slot)
    return _append(storage, pipe, notice)


def _append(storage: Storage, pipe: Commands, notice: Notice) -> Any:
    details = {
        "notice": notice.kind.value,
        "account": notice.account,
        "at": notice.at,
        "detail": notice.detail,
    }
    details |= {n: value for n in ("name", "slot") if (value := getattr(notice, n))}
    sealed = storage.sealer.seal("notice", notice.user_id, notice.provider, details)
    return pipe.eval(APPEND, 1, keys.NOTICES, "MAXLEN", "~", MAX_LENGTH, "*", "sealed", sealed)


async def put(
    storage: Storage,
    redis: RedisClient,
    kind: NoticeKind,
    user_id: UserId,
    provider: str,
    account: str = "",
) -> None:
    """Write one notice, about a place.  Its event has happened: a failure is only logged."""
    provider, slot = keys.split(provider)
    try:
        async with redis_call("write a notice"):
            await add(storage, redis, kind, user_id, provider, account, slot=slot)
    except StoreUnavailable:
        log.error("%s: a notice (%s) could not be written", provider, kind)


async def read(
    storage: Storage, redis: RedisClient, consumer: str, is_news: IsNews
) -> AsyncIterator[Notice]:
    """Yield every notice that is news, until each was handled; ends only when the caller stops.

    A notice is acknowledged when the next one is asked for.  First come those this
    consumer left unfinished, and those another one abandoned, then new ones.  Redis may
    go away meanwhile.
    """
    start, pause = "0", 0.5
    while True:
        try:
            await promote(storage, redis)
            entries = await _entries(redis, consumer, start)
            for identifier, sealed in entries:
                notice = _open(storage, sealed)
                if notice is not None and await is_news(notice):
                    yield notice
                async with redis_call("acknowledge a notice"):
                    await redis.xack(keys.NOTICES, GROUP, identifier)
            start, pause = (start if entries else ">"), 0.5
        except StoreUnavailable as error:
            log.warning("notices wait: %s", error)
            await asyncio.sleep(pause)
            start, pause = "0", min(pause * 2, _LONGEST_PAUSE)


async def promote(storage: Storage, redis: RedisClient) -> None:
    """Put the notices whose time has come into the stream, where every reader meets them.

    Each reader does so; one that dies in between may leave a notice there twice.
    Raises ``StoreUnavailable``.
    """
    for waited in await due.take(redis):
        notice = _timely(waited)
        if notice is not None:
            async with redis_call("write a notice that was due"):
                await _append(storage, redis, notice)
        await due.settle(redis, waited)


async def _entries(redis: RedisClient, consumer: str, start: str) -> list[tuple[Any, str]]:
    async with redis_call("read notices"):
        try:
            claim = GROUP, consumer, _ABANDONED_MS, "0-0", "COUNT", _AT_ONCE
            abandoned = await raw(redis, "XAUTOCLAIM", keys.NOTICES, *claim)
            found = abandoned[1] or await _asked(redis, consumer, start)
        except ResponseError as error:
            if is_mistyped(error):
                await redis.eval(_CLEAR, 1, keys.NOTICES)
            elif "NOGROUP" not in str(error):
                raise
            await _make_group(redis)
            return []
    return [(i, as_text(f.get(b"sealed") or f.get("sealed"))) for i, f in found if f]


async def _asked(redis: RedisClient, consumer: str, start: str) -> list[Any]:
    wanted = "COUNT", _AT_ONCE, "BLOCK", _BLOCK_MS, "STREAMS", keys.NOTICES, start
    answer = await raw(redis, "XREADGROUP", "GROUP", GROUP, consumer, *wanted)
    streams = answer.values() if isinstance(answer, dict) else [s for _, s in answer or ()]
    return [entry for stream in streams for entry in _flat(stream)]


async def _make_group(redis: RedisClient) -> None:
    try:
        await redis.xgroup_create(keys.NOTICES, GROUP, id="0", mkstream=True)
    except RedisError as error:
        if "BUSYGROUP" not in str(error):
            raise


def _open(storage: Storage, sealed: str) -> Notice | None:
    notice = opened(storage, sealed)
    if notice is None:
        log.error("a notice cannot be read and is passed over")
    return notice


def opened(storage: Storage, sealed: str) -> Notice | None:
    """Open the notice of a stream's entry; None if it cannot be read."""
    try:
        record = storage.sealer.open("notice", None, None, sealed)
        return shaped(Notice, record, kind=NoticeKind(text(record.get("notice"))))
    except (RecordUnreadable, TypeError, ValueError):
        return None


def _timely(waited: due.DueNotice) -> Notice | None:
    kind, place, user_id = waited.parts
    provider, slot = keys.split(place)
    try:
        whose = keys.check_user_id(user_id)
        return Notice(NoticeKind(kind), whose, provider, "", waited.at, slot=slot)
    except ValueError:
        log.error("a notice that was due cannot be read and is passed over")
        return None


def _flat(stream: Any) -> list[Any]:
    """Return a stream's entries; RESP3 answers wrap them in one more list."""
    return stream[0] if stream and isinstance(stream[0], list) else list(stream)
