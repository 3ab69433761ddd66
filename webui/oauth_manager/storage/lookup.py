"""Lookup of records: the tokens in use, or everything about a connection in one round trip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, islice
from typing import Any

from ..token_data import TokenData
from ..values import replace
from . import account_names, canary, keys, older_keys, reader, records, scripts
from .account_names import Names
from .calls import raw, redis_call, text_of
from .records import Sealed, Stored
from .storage import Storage, Subject


async def read_token(storage: Storage, subject: Subject) -> TokenData | None:
    """Read the tokens, ``None`` if there are none.  One round trip.

    Raises ``RecordUnreadable``, also if the key holds anything but text.
    """
    key, older = keys.token_places(subject.user_id, subject.place)
    places = [key, older] if older else [key]
    sealed, *theirs = await reader.read("read tokens", subject.redis, places)
    if theirs:
        sealed, _ = older_keys.in_use(storage, subject, sealed, theirs[0])
    return records.open_token(storage, subject, sealed)


async def read_in_use(subject: Subject, *, with_names: bool) -> Sealed:
    """Read the tokens and the profile of a connection that is most likely there.  One trip."""
    key, older = keys.token_places(subject.user_id, subject.place)
    places = [key, keys.connection(subject.user_id, subject.place)]
    names = [keys.names(subject.user_id, subject.provider.name)] if with_names else []
    wanted = [*places, *names, *filter(None, [older])]
    tokens, profile, *more = await reader.read(
        "read tokens", subject.redis, wanted, are_there=not (older or names)
    )
    listed = more.pop(0) if names else ""
    return Sealed(tokens, profile, older="".join(more), names=listed)


async def read_token_named(
    storage: Storage, first: Subject, name: str
) -> tuple[Subject, TokenData | None]:
    """Read the tokens of the account of this name, wherever it is.

    One round trip, unless it was renamed.  An account that is not listed has a slot that is
    free.  Raises like :func:`read_token`, and if the list cannot be read.
    """
    likely = [first.at(""), first.at(name)]
    places = [keys.token_places(one.user_id, one.place) for one in likely]
    wanted = [keys.names(first.user_id, first.provider.name), *filter(None, chain(*places))]
    found = await reader.read("read tokens", first.redis, wanted)
    held = dict(zip(wanted, found, strict=True))
    names = account_names.opened(storage, first, held[wanted[0]]) or Names()
    account = names.by_name(name)
    if account is None:
        return first.at(names.free_slot(name)), None
    subject = first.at(account.slot)
    if subject not in likely:
        return subject, await read_token(storage, subject)
    key, older = places[likely.index(subject)]
    sealed = held[key]
    if older:
        sealed, _ = older_keys.in_use(storage, subject, sealed, held[older])
    return subject, records.open_token(storage, subject, sealed)


async def read_one(storage: Storage, subject: Subject) -> Stored:
    """Read the records of one connection and the names of accounts, like :func:`read`."""
    (sealed,) = await read_sealed(storage, [subject], with_names=True)
    return records.opened(storage, subject, sealed)


async def read_for_writing(
    storage: Storage, subject: Subject, also: Callable[[Any], object] = lambda _: None
) -> Stored:
    """Read tokens, facts and names of accounts, and Redis's clock, for :func:`.store.connect`.

    ``also`` queues more commands on the same trip.  Raises ``WrongKey`` if the
    others could not read a record we write, and ``TooOld`` if one that we would replace
    is newer.
    """
    *places, _, names = _places(subject, with_names=True)
    places.append(names)
    async with redis_call("read a connection"):
        pipe = subject.redis.pipeline(transaction=False)
        also(pipe)
        first = len(pipe)
        for key in places:
            raw(pipe, "GET", key)
        pipe.eval(scripts.CLOCK, 1, places[-1])
        canary.queue(pipe)
        *answers, now, fit = (await pipe.execute(raise_on_error=False))[first:]
        canary.require(storage.sealer, fit, subject.provider.name, "connect")
        texts = [text_of(answer) for answer in answers]
        if isinstance(now, Exception):
            raise now
    ahead = int(now) - storage.clock.monotonic() * 1000
    sealed = _sorted(storage, subject, [*texts[:-1], "", texts[-1]])
    stored = records.opened(storage, subject, sealed)
    canary.require_age(subject.provider.name, "connect", is_newer=stored.is_newer)
    return replace(stored, clock_ahead=ahead, read_at=int(now))


async def read_beside(
    storage: Storage,
    subject: Subject,
    also: Callable[[Any], object],
    *,
    step: str = "read a connection",
    with_names: bool = False,
) -> tuple[Sealed, Any]:
    """Read the records of one connection, and the answer to the command that ``also`` queues.

    One round trip, in which Redis runs that command first; a Cluster may do so later.
    An error in the place of that answer is raised like one of ours.
    """
    async with redis_call(step):
        pipe = subject.redis.pipeline(transaction=False)
        also(pipe)
        for key in _places(subject, with_names=with_names):
            raw(pipe, "GET", key)
        answer, *values = await pipe.execute(raise_on_error=False)
        if isinstance(answer, Exception):
            raise answer
        texts = [text_of(value) for value in values]
    return _sorted(storage, subject, [*texts, *([] if with_names else [""])]), answer


async def read(
    storage: Storage, subjects: Sequence[Subject], *, with_names: bool = False
) -> list[Stored]:
    """Read and open all records of each, of one Redis.

    A mistyped key reads as an unreadable record.
    """
    found = await read_sealed(storage, subjects, with_names=with_names)
    return [records.opened(storage, *pair) for pair in zip(subjects, found, strict=True)]


async def read_sealed(
    storage: Storage, subjects: Sequence[Subject], *, with_names: bool = False
) -> list[Sealed]:
    """Read all records of each, of one Redis, for :func:`.records.opened`."""
    places = [_places(subject, with_names=with_names) for subject in subjects]
    redis = subjects[0].redis
    texts = iter(await reader.read("read connections", redis, list(chain.from_iterable(places))))
    return [
        _sorted(storage, subject, [*islice(texts, len(own)), *([] if with_names else [""])])
        for subject, own in zip(subjects, places, strict=True)
    ]


def _sorted(storage: Storage, subject: Subject, texts: list[str]) -> Sealed:
    """Sort the values of :func:`_places`."""
    older = texts[: len(texts) - 4]
    tokens, profile, aside, names = texts[-4:]
    before = ""
    if older:
        tokens, before = older_keys.in_use(storage, subject, tokens, older[0])
    return Sealed(tokens, profile, aside, before, names)


def _places(subject: Subject, *, with_names: bool) -> list[str]:
    """List the keys of the records: the older tokens' key, if it differs, and ours."""
    user_id, place = subject.user_id, subject.place
    key, older = keys.token_places(user_id, place)
    ours = [key, keys.connection(user_id, place), keys.revoke(user_id, place)]
    names = [keys.names(user_id, subject.provider.name)] if with_names else []
    return [*filter(None, [older]), *ours, *names]
