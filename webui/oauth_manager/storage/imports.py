"""Connections that another system made, stored a page at a time.

What is there already stays, so that a repetition changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ..models import Profile
from ..token_data import TokenData, new_generation
from ..values import replace
from . import account_index, erasures, held_tokens, lookup, older_keys, records, scripts, store
from .calls import Pipeline, exact, redis_call
from .records import Stored
from .storage import Storage, Subject

_SECONDS = 10.0  # for one page


class Imported(StrEnum):
    """The outcome of one entry."""

    STORED = "stored"
    REPLACED = "replaced"  # another connection, as was asked for
    SAME = "same"  # these very tokens were there
    FULL = "full"  # as many accounts of the service are there as there may be
    KEPT = "kept"  # another connection was there, or came meanwhile, and stays


@dataclass(frozen=True, slots=True)
class Entry:
    """One connection to store; the profile holds the account, as far as it is known."""

    subject: Subject
    token: TokenData = field(repr=False)
    profile: Profile


async def put(
    storage: Storage,
    entries: Sequence[Entry],
    *,
    replaces: bool,
    writes: bool,
    ended: Collection[Subject] = (),
) -> list[Imported]:
    """Store a page of entries, each of another connection; four round trips.

    Those that the person ``ended`` here stay so.  Without ``writes`` it only tells what
    would come of it.
    """
    if not entries:
        return []
    found = await lookup.read(storage, [entry.subject for entry in entries], with_names=True)
    outcomes = [
        Imported.KEPT
        if entry.subject in ended and not known.is_there
        else _judged(entry, known, replaces)
        for entry, known in zip(entries, found, strict=True)
    ]
    if writes:
        await _write(storage, entries, found, outcomes)
    return outcomes


def _judged(entry: Entry, known: Stored, replaces: bool) -> Imported:
    if known.token and known.token.to_dict() == entry.token.to_dict():
        return Imported.SAME
    if not known.is_there:
        return Imported.STORED
    return Imported.REPLACED if replaces and not known.is_newer else Imported.KEPT


async def _write(
    storage: Storage,
    entries: Sequence[Entry],
    found: Sequence[Stored],
    outcomes: list[Imported],
) -> None:
    """Write the page; an outcome is corrected if somebody else stored something meanwhile."""
    numbers = [n for n, outcome in enumerate(outcomes) if outcome is not Imported.KEPT]
    refused = await _sent(storage, entries, found, outcomes, numbers)
    for number in refused:  # perhaps by another person's record of the older system
        async with redis_call("import connections"):
            await older_keys.make_room(storage, entries[number].subject)
    if refused:
        refused = await _sent(storage, entries, found, outcomes, refused)
    for number in [*refused, *await _erased(storage, entries, numbers)]:
        outcomes[number] = Imported.KEPT


async def _erased(storage: Storage, entries: Sequence[Entry], numbers: Sequence[int]) -> list[int]:
    """Take back what was stored of people who were erased just now; return the numbers.

    The mark is looked at behind the write: see :mod:`.erasures`.
    """
    if not numbers:
        return []
    pipe = entries[0].subject.redis.pipeline(transaction=False)
    for number in numbers:
        erasures.queue(storage, pipe, entries[number].subject.user_id)
    async with redis_call("look for erasures", _SECONDS):
        marks = await pipe.execute(raise_on_error=False)
    gone = [n for n, mark in zip(numbers, marks, strict=True) if erasures.is_since(mark, 0)]
    return [n for n in gone if not await store.stays(storage, entries[n].subject, Stored())]


async def _sent(
    storage: Storage,
    entries: Sequence[Entry],
    found: Sequence[Stored],
    outcomes: Sequence[Imported],
    numbers: Sequence[int],
) -> list[int]:
    """Send these entries in one round trip; return those whose place was taken."""
    asked: list[tuple[int, int]] = []
    pipe = entries[0].subject.redis.pipeline(transaction=False)
    for number in numbers:
        entry, known = entries[number], found[number]
        if outcomes[number] is not Imported.SAME:
            asked.append((number, len(pipe)))
            _queue(storage, pipe, entry, known)
        elif not known.sealed.profile:
            _queue_profile(storage, pipe, entry, known)  # a killed run had come so far
    if not len(pipe):
        return []
    async with redis_call("import connections", _SECONDS):
        answers = await pipe.execute()
        for number, _ in asked:
            if found[number].sealed.older:
                await older_keys.take(storage, entries[number].subject)
    return [number for number, at in asked if answers[at] in (None, False, 0, -1)]


def _queue(storage: Storage, pipe: Pipeline, entry: Entry, known: Stored) -> None:
    """Queue the tokens, whose answer is the first, and everything beside them.

    The index of accounts has no harm of an entry that no record confirms.
    """
    subject, generation = entry.subject, new_generation()
    has_others = store.is_marked(subject, known)
    token = replace(entry.token, generation=generation, has_others=has_others)
    profile = replace(entry.profile, generation=generation)
    tokens, beside = subject.record_keys
    before = "" if known.is_older else known.sealed.tokens
    _swap(pipe, tokens, before, records.seal_token(storage, subject, token))
    _swap(pipe, beside, known.sealed.profile, records.seal_profile(storage, subject, profile))
    account_index.add(storage, pipe, subject, profile.account, known.profile.account)
    # Asking again would end the new grant along with the old one.
    held_tokens.drop(pipe, subject)


def _swap(pipe: Pipeline, key: str, before: str, sealed: str) -> None:
    """Queue a write in the place of what was seen, and of nothing else."""
    if before:
        pipe.eval(scripts.REPLACE, 1, key, exact(before), sealed)
    else:
        pipe.set(key, sealed, nx=True)


def _queue_profile(storage: Storage, pipe: Pipeline, entry: Entry, known: Stored) -> None:
    subject = entry.subject
    generation = known.token.generation if known.token else ""
    profile = replace(entry.profile, generation=generation)
    pipe.set(subject.record_keys[1], records.seal_profile(storage, subject, profile), nx=True)
    account_index.add(storage, pipe, subject, profile.account)
