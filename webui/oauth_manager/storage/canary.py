"""The canary: a sealed record that tells a process whether its keys fit this Redis.

It goes only into a Redis without connections, or beside one that our keys have
opened; a rotation that left nothing behind seals it with the newest key.  So a
site and a bot with different keys notice each other.
"""

from __future__ import annotations

import asyncio
import logging
from enum import StrEnum
from typing import Any

from ..errors import OAuthMisconfigured, RecordNewer, RecordUnreadable, StoreUnavailable
from . import keys, scripts
from .calls import (
    FAULTS,
    FOREIGN,
    Pipeline,
    RedisClient,
    as_text,
    raw,
    read_text,
    redis_call,
    text_of,
)
from .older_keys import is_claim
from .sealer import Sealer

log = logging.getLogger(__name__)

KIND = "canary"
MOST_OPENED = 100  # records, in one search for one that our keys open
SEARCH_SECONDS = 0.5  # a Redis may hold millions of other applications' keys
START_SECONDS = 5.0
READY_SECONDS = 1.0
_READY_TTL = 10  # seconds


class Fit(StrEnum):
    """The fit of keys and store, by the canary, or without one by the records."""

    FITS = "fits"
    NOTHING = "nothing"  # neither canary nor record
    WRONG_KEY = "wrong_key"  # a canary that our keys do not open
    TOO_OLD = "too_old"  # a canary of a newer version
    NO_RECORD_OPENS = "no_record_opens"  # no canary, and records of which our keys open none


TROUBLE = {
    Fit.WRONG_KEY: (
        "ENCRYPTION_KEY is not the key that this Redis was filled with. Put that one back; "
        "several keys stand beside each other, the newest first"
    ),
    Fit.TOO_OLD: (
        "A newer version of this program has taken over this Redis. Upgrade this process"
    ),
    Fit.NO_RECORD_OPENS: (
        "ENCRYPTION_KEY opens none of the connections that this Redis holds. Put back the key "
        "that they were made with; several keys stand beside each other, the newest first"
    ),
}
"""For an operator: what is wrong, and what to do."""


class WrongKey(OAuthMisconfigured):
    """Our keys are not those that this Redis was filled with."""

    what = "was refused, since the encryption key is not the one that this Redis was filled with"

    def __init__(self, provider: str, step: str) -> None:
        super().__init__(provider, step, Fit.WRONG_KEY.value)


class TooOld(OAuthMisconfigured):
    """A newer version of this program wrote what we would have to replace."""

    what = "was refused, since a newer version of this program wrote the record; upgrade this one"

    def __init__(self, provider: str, step: str) -> None:
        super().__init__(provider, step, Fit.TOO_OLD.value)


def queue(pipe: Pipeline) -> None:
    """Ask for the canary on a pipeline; its answer is for :func:`read` or :func:`require`."""
    raw(pipe, "GET", keys.CANARY)


def read(sealer: Sealer, answer: Any) -> Fit:
    """Judge the canary by one answer of Redis.  An error in its place is raised."""
    sealed = text_of(answer)
    if not sealed:
        return Fit.NOTHING
    try:
        if sealed != FOREIGN:
            sealer.open(KIND, "", "", sealed)
            return Fit.FITS
    except RecordNewer:
        return Fit.TOO_OLD
    except RecordUnreadable:
        pass
    return Fit.WRONG_KEY


def require(sealer: Sealer, answer: Any, provider: str, step: str) -> None:
    """Raise ``WrongKey`` before anything is sealed that nobody else could open."""
    _refuse(read(sealer, answer), provider, step)


async def require_ours(redis: RedisClient, sealer: Sealer, step: str) -> None:
    """Raise ``WrongKey`` unless our keys open what this Redis holds, if it holds anything."""
    fit = await settle(redis, sealer)
    if fit is Fit.NO_RECORD_OPENS:
        raise WrongKey("Redis", step)
    _refuse(fit, "Redis", step)


def require_age(provider: str, step: str, *, is_newer: bool) -> None:
    """Raise ``TooOld`` before a newer record is replaced."""
    if is_newer:
        _refuse(Fit.TOO_OLD, provider, step)


def _refuse(fit: Fit, provider: str, step: str) -> None:
    for hindrance, error in ((Fit.WRONG_KEY, WrongKey), (Fit.TOO_OLD, TooOld)):
        if fit is hindrance:
            log.error("%s", TROUBLE[fit])
            raise error(provider, step)


async def execute(pipe: Pipeline, sealer: Sealer, provider: str, step: str) -> list[Any]:
    """Run a pipeline: its answers.  Raises ``WrongKey`` if nobody else can open its records."""
    queue(pipe)
    answers: list[Any] = await pipe.execute()
    require(sealer, answers[-1], provider, step)
    return answers


async def require_for(
    redis: RedisClient, sealer: Sealer, key: str, provider: str, step: str
) -> None:
    """Raise ``WrongKey`` before a record goes to ``key``; settle first if there is no canary.

    Raises ``TooOld`` if a newer record is there.
    """
    async with redis_call(step):
        pipe = redis.pipeline(transaction=False)
        queue(pipe)
        raw(pipe, "GET", key)
        answer, record = await pipe.execute(raise_on_error=False)
        known = text_of(record)
        fit = read(sealer, answer)
    if fit is Fit.NOTHING:
        fit = await settle(redis, sealer, known=known)
    _refuse(Fit.TOO_OLD if sealer.is_newer(known) else fit, provider, step)


def queue_beside(pipe: Pipeline, sealer: Sealer, record: str) -> None:
    """Write the canary on a pipeline if there is none and our keys open ``record``."""
    if record and sealer.fits(record):
        pipe.set(keys.CANARY, sealed(sealer), nx=True)


def sealed(sealer: Sealer) -> str:
    return sealer.seal(KIND, "", "", {})


async def look(redis: RedisClient, sealer: Sealer) -> Fit:
    """Read the canary.  One round trip.  Raises ``StoreUnavailable``."""
    async with redis_call("read the keys' canary"):
        return read(sealer, await read_text(redis, keys.CANARY))


async def settle(
    redis: RedisClient, sealer: Sealer, seconds: float = SEARCH_SECONDS, *, known: str = ""
) -> Fit:
    """Read the canary, and write it if there is none and our keys may have it.

    Of several processes that start at once one writes it, and the others read
    it back.  Nothing is written if the search for records did not end within
    ``seconds``; a ``known`` record that opens saves it.  Raises ``StoreUnavailable``.
    """
    fit = await look(redis, sealer)
    if fit is not Fit.NOTHING:
        return fit
    if not (known and sealer.fits(known)):
        may_be_ours = await _may_be_ours(redis, sealer, seconds)
        if not may_be_ours:
            return Fit.NOTHING if may_be_ours is None else Fit.NO_RECORD_OPENS
    async with redis_call("write the keys' canary"):
        await redis.set(keys.CANARY, sealed(sealer), nx=True)
    return await look(redis, sealer)


async def ready(redis: RedisClient, sealer: Sealer) -> Fit:
    """Read, write and open the canary within a second; one round trip if there is a canary.

    The written value is deleted on the same trip.  Raises ``StoreUnavailable``.
    """
    async with redis_call("read and write", READY_SECONDS):
        pipe = redis.pipeline(transaction=False)
        queue(pipe)
        pipe.set(keys.READY, "1", ex=_READY_TTL)  # a full Redis refuses it, and not the next one
        pipe.delete(keys.READY)
        fit = read(sealer, (await pipe.execute())[0])
        return await settle(redis, sealer) if fit is Fit.NOTHING else fit


async def _may_be_ours(redis: RedisClient, sealer: Sealer, seconds: float) -> bool | None:
    """Return whether there is no record, or our keys open one of those found.

    None if the search found none within ``seconds`` and had not ended.  Walks
    keys: at a start, or before the first record of all is stored.
    """
    unreadable = 0
    try:
        async with asyncio.timeout(seconds):
            async for key in redis.scan_iter(match=keys.RECORD_PATTERN, count=1000):
                text = await read_text(redis, as_text(key))
                if not text or is_claim(text):
                    continue
                if sealer.fits(text):
                    return True
                unreadable += 1
                if unreadable == MOST_OPENED:
                    return False
    except TimeoutError:
        return False if unreadable else None
    except FAULTS as error:
        raise StoreUnavailable("look at the records", type(error).__name__) from None
    return not unreadable


async def renew(redis: RedisClient, sealer: Sealer) -> None:
    """Seal the canary with the newest key, whichever key sealed it before.

    For a rotation that left nothing behind: all that is stored is ours now.
    """
    async with redis_call("seal the keys' canary"):
        before = await read_text(redis, keys.CANARY)
        if not before:
            await redis.set(keys.CANARY, sealed(sealer), nx=True)
        elif before != FOREIGN and not sealer.is_newer(before):
            await redis.eval(scripts.REPLACE, 1, keys.CANARY, before, sealed(sealer))
