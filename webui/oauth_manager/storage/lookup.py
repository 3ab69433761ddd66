"""Lookup of records: the tokens in use, or everything about a connection in one round trip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from ..token_data import TokenData
from . import canary, keys, older_keys, records, scripts
from .calls import raw, read_text, read_texts, redis_call, text_of
from .records import Sealed, Stored
from .storage import Storage, Subject


async def read_token(storage: Storage, subject: Subject) -> TokenData | None:
    """Read the tokens, ``None`` if there are none.  One round trip.

    Raises ``RecordUnreadable``, also if the key holds anything but text.
    """
    key, older = keys.token_places(subject.user_id, subject.name)
    async with redis_call("read tokens"):
        if not older:
            sealed = await read_text(subject.redis, key)
        else:
            theirs, ours = await read_texts(subject.redis, [older, key])
            sealed, _ = older_keys.in_use(storage, subject, ours, theirs)
    return records.open_token(storage, subject, sealed)


async def read_one(storage: Storage, subject: Subject) -> Stored:
    """Read the records of one connection, like :func:`read`."""
    (stored,) = await read(storage, [subject])
    return stored


async def read_for_writing(
    storage: Storage, subject: Subject, also: Callable[[Any], object] = lambda _: None
) -> Stored:
    """Read the records of one connection, and Redis's clock, for :func:`.store.connect`.

    ``also`` queues more commands on the same trip.  Raises ``WrongKey`` if the
    others could not read a record we write.
    """
    places = _places(subject)
    async with redis_call("read a connection"):
        pipe = subject.redis.pipeline(transaction=False)
        also(pipe)
        first = len(pipe)
        for key in places:
            raw(pipe, "GET", key)
        pipe.eval(scripts.CLOCK, 1, places[-1])
        canary.queue(pipe)
        *answers, now, fit = (await pipe.execute(raise_on_error=False))[first:]
        canary.require(storage.sealer, fit, subject.name, "connect")
        texts = [text_of(answer) for answer in answers]
        if isinstance(now, Exception):
            raise now
    ahead = int(now) - storage.clock.monotonic() * 1000
    return replace(_stored(storage, subject, texts), clock_ahead=ahead)


async def read(storage: Storage, subjects: Sequence[Subject]) -> list[Stored]:
    """Read all records of each, of one Redis.  A mistyped key reads as an unreadable record."""
    places = [_places(subject) for subject in subjects]
    async with redis_call("read connections"):
        redis = subjects[0].redis
        texts = iter(await read_texts(redis, chain.from_iterable(places)))
    return [
        _stored(storage, subject, list(islice(texts, len(own))))
        for subject, own in zip(subjects, places, strict=True)
    ]


def _stored(storage: Storage, subject: Subject, texts: list[str]) -> Stored:
    """Sort and open the values of :func:`_places`."""
    *older, tokens, profile, aside = texts
    before = ""
    if older:
        tokens, before = older_keys.in_use(storage, subject, tokens, older[0])
    return records.opened(storage, subject, Sealed(tokens, profile, aside, before))


def _places(subject: Subject) -> list[str]:
    """List the keys of the records: the older tokens' key, if it differs, and ours."""
    user_id, name = subject.user_id, subject.name
    key, older = keys.token_places(user_id, name)
    return [*filter(None, [older]), key, keys.connection(user_id, name), keys.revoke(user_id, name)]
