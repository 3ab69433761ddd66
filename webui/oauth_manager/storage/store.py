"""Connections begun and ended in Redis.  ``updates`` writes what changes in between.

Every command is portable (Redis 7, Valkey 8); the scripts are in ``scripts``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, Protocol

from redis.asyncio import RedisCluster

from ..errors import StoreUnavailable
from ..models import Profile
from ..token_data import TokenData
from ..values import replace as replaced
from . import erasures, lookup, older_keys, records, scripts
from .calls import (
    Pipeline,
    RedisClient,
    exact,
    heed_wait,
    is_mistyped,
    queue_wait,
    raw,
    read_text,
    redis_call,
    text_of,
)
from .records import Sealed, Stored
from .storage import Storage, Subject

WRITE_SECONDS = 0.9  # after which a fresh connection may no longer be written
_TRIES = 5  # of a fresh connection over tokens that change


class Written(IntEnum):
    """The outcome of a write that was to replace what had been read."""

    DONE = 1
    GONE = 0  # removed meanwhile
    CHANGED = -1  # replaced meanwhile


class Along(Protocol):
    """Further commands on the round trip of a write."""

    def queue(self, pipe: Pipeline) -> None:
        """Queue them."""

    def answered(self, answers: Sequence[Any]) -> None:
        """Read their answers out of those of the whole pipeline."""


def is_marked(subject: Subject, stored: Stored) -> bool:
    """Tell whether the tokens to store carry the mark that the person has other accounts."""
    if subject.slot:
        return False
    is_marked = stored.token is not None and stored.token.has_others
    return is_marked or bool(stored.names and (stored.names.is_several or stored.names.others))


async def connect(
    storage: Storage,
    subject: Subject,
    token: TokenData,
    profile: Profile,
    before: Stored,
    along: Along,
) -> bool:
    """Store a fresh connection; ``False`` if a disconnect or an erasure came in between."""
    redis, seen = subject.redis, before.sealed
    token = replaced(token, has_others=is_marked(subject, before))
    fresh = Sealed(
        records.seal_token(storage, subject, token),
        records.seal_profile(storage, subject, profile),
    )
    tokens, beside = subject.record_keys
    same = "" if subject.slot or before.is_older else "same"
    last = int(storage.clock.monotonic() * 1000 + before.clock_ahead + WRITE_SECONDS * 1000)
    async with redis_call("store connection"):
        known, profiled = await _expected(storage, subject, before), exact(seen.profile)
        pipe = redis.pipeline(transaction=False)
        pipe.eval(scripts.CONNECT, 1, tokens, known, fresh.tokens, last, same)
        waits = queue_wait(redis, pipe)
        pipe.eval(scripts.CONNECT, 1, beside, profiled, fresh.profile, last, "same")
        along.queue(pipe)
        erasures.queue(storage, pipe, subject.user_id)
        answers = await pipe.execute(raise_on_error=False)
        along.answered(answers)
        written, written_beside = _outcomes(redis, answers, waits)
        if written == -1:
            written, sealed = await _over_change(storage, subject, token, last)
            fresh = replaced(fresh, tokens=sealed)
        if written == 1 and written_beside == -1:
            # A check or a refresh wrote its time meanwhile; ours is newer.
            again = (beside, profiled, fresh.profile, last, "")
            written_beside = int(await redis.eval(scripts.CONNECT, 1, *again))
        mark = await _mark(storage, subject, answers[-1])
        is_kept = written == written_beside == 1 and not erasures.is_since(mark, before.read_at)
        if is_kept:
            await older_keys.take(storage, subject)
        else:
            await _take_back(subject, fresh)
        if -2 in (written, written_beside):
            raise StoreUnavailable("store connection", "too_late")
    return is_kept


def _outcomes(redis: RedisClient, answers: Sequence[Any], waits: int) -> tuple[int, int]:
    """Return what became of tokens and profile; an error in the place of either is raised."""
    for answer in (answers[0], answers[1 + waits]):
        if isinstance(answer, Exception):
            raise answer
    heed_wait(redis, answers, 1)
    return int(answers[0]), int(answers[1 + waits])


async def _over_change(
    storage: Storage, subject: Subject, token: TokenData, last: int
) -> tuple[int, str]:
    """Write tokens over those that came meanwhile, with their mark; return what was written.

    It is what :data:`.scripts.CONNECT` answers, and the sealed tokens.
    """
    key, _ = subject.record_keys
    written, sealed = int(Written.CHANGED), ""
    for _ in range(_TRIES):
        now = await lookup.read_one(storage, subject)
        token = replaced(token, has_others=is_marked(subject, now))
        sealed = records.seal_token(storage, subject, token)
        if not now.sealed.tokens:
            return Written.GONE, sealed
        seen = exact(now.sealed.tokens)
        written = int(await subject.redis.eval(scripts.CONNECT, 1, key, seen, sealed, last, "same"))
        if written != -1:
            break
    return written, sealed


async def _expected(storage: Storage, subject: Subject, before: Stored) -> bytes:
    """Return what has to be at our tokens' place: the tokens before, or a claim of it."""
    known = exact(before.sealed.tokens)
    if before.is_older:
        return (await older_keys.claim(storage, subject)).encode() or known
    await older_keys.make_room(storage, subject)
    return known


async def _mark(storage: Storage, subject: Subject, answer: Any) -> Any:
    """Return the mark of an erasure as it was after the write.

    A Cluster answers the commands of a pipeline in any order, and is asked once more.
    """
    if isinstance(subject.redis, RedisCluster):
        return await erasures.queue(storage, subject.redis, subject.user_id)
    return answer


async def stays(storage: Storage, subject: Subject, before: Stored) -> bool:
    """Return whether what was written still may stay; it is removed after an erasure."""
    if not await erasures.came(storage, subject.redis, subject.user_id, before.read_at):
        return True
    now = await lookup.read_one(storage, subject)
    async with redis_call("take a connection back"):
        await _take_back(subject, now.sealed)
    return False


async def _take_back(subject: Subject, fresh: Sealed) -> None:
    tokens, beside = subject.record_keys
    pipe = subject.redis.pipeline(transaction=False)
    pipe.eval(scripts.DELETE_IF_SAME, 1, tokens, fresh.tokens)
    pipe.eval(scripts.DELETE_IF_SAME, 1, beside, fresh.profile)
    await pipe.execute()


async def end(
    storage: Storage,
    subject: Subject,
    mark: Callable[[Profile], Profile],
    before: Stored,
    along: Along,
) -> bool:
    """Drop tokens that are over, keep the reason; ``False`` if they changed or moved meanwhile.

    ``mark`` writes the reason into the profile.  The commands ``along`` come ahead of
    the removal.
    """
    redis, seen = subject.redis, before.sealed
    tokens, beside = subject.record_keys
    reason = records.seal_profile(storage, subject, mark(before.profile))
    async with redis_call("record the end of a grant"):
        if before.is_older:
            await older_keys.move(storage, subject)
            return False
        await older_keys.clear(subject, seen.older)
        pipe = redis.pipeline(transaction=False)
        along.queue(pipe)
        # The reason before the removal: a crash in between must not lose it.
        if seen.profile:
            pipe.eval(scripts.REPLACE, 1, beside, exact(seen.profile), reason)
        else:
            pipe.set(beside, reason, nx=True)
        pipe.eval(scripts.DELETE_IF_ROOM, 1, tokens, seen.tokens)
        answers = await pipe.execute()
        along.answered(answers)
        written, deleted = answers[-2:]
        is_ended = int(deleted) == 1
        if is_ended and seen.profile and int(written) == -1:
            # Another process wrote a time meanwhile; the reason goes on top of it.
            text = await read_text(redis, beside)
            profile = mark(records.open_profile(storage, subject, text))
            sealed = records.seal_profile(storage, subject, profile)
            await redis.eval(scripts.REPLACE, 1, beside, exact(text), sealed)
        elif not is_ended and not seen.profile and written:
            await redis.eval(scripts.DELETE_IF_SAME, 1, beside, reason)
    return is_ended


async def remove(
    storage: Storage, subject: Subject, before: Stored, along: Along
) -> tuple[Written, Profile | None]:
    """Remove the records, the tokens only if they are still those of ``before``.

    The profile is removed in any case, and comes second; ``None`` if there was none.
    The commands ``along`` come ahead of the removal.
    """
    redis, seen = subject.redis, before.sealed
    tokens, beside = subject.record_keys
    async with redis_call("disconnect"):
        done = None
        if before.is_older:
            done = await older_keys.remove(storage, subject, seen.older)
        else:
            await older_keys.clear(subject, seen.older)
        pipe = redis.pipeline(transaction=False)
        along.queue(pipe)
        pipe.eval(scripts.DELETE_IF_SAME, 1, tokens, exact(seen.tokens))
        raw(pipe, "GETDEL", beside)
        answers = await pipe.execute(raise_on_error=False)
        along.answered(answers)
        deleted, profile = answers[-2:]
        if is_mistyped(profile):
            await redis.delete(beside)
        if isinstance(deleted, Exception):
            raise deleted
        text = text_of(profile)
    known = records.open_profile(storage, subject, text) if text else None
    return Written(int(deleted if done is None else done)), known
