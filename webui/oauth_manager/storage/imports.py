"""Connections that another system made, stored a page at a time.

What is there already stays, so that a repetition changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from ..models import Profile
from ..token_data import TokenData, new_generation
from . import account_index, held_tokens, lookup, older_keys, records
from .calls import Pipeline, redis_call
from .records import Stored
from .storage import Storage, Subject

_SECONDS = 10.0  # for one page


class Imported(StrEnum):
    """The outcome of one entry."""

    STORED = "stored"
    REPLACED = "replaced"  # another connection, as was asked for
    SAME = "same"  # these very tokens were there
    KEPT = "kept"  # another connection was there, or came meanwhile, and stays


@dataclass(frozen=True, slots=True)
class Entry:
    """One connection to store; the profile holds the account, as far as it is known."""

    subject: Subject
    token: TokenData = field(repr=False)
    profile: Profile


async def put(
    storage: Storage, entries: Sequence[Entry], *, replaces: bool, writes: bool
) -> list[Imported]:
    """Store a page of entries, each of another connection; three round trips.

    Without ``writes`` it only tells what would come of it.
    """
    if not entries:
        return []
    found = await lookup.read(storage, [entry.subject for entry in entries])
    outcomes = [_judged(e, known, replaces) for e, known in zip(entries, found, strict=True)]
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
    asked: list[tuple[int, int]] = []
    pipe = entries[0].subject.redis.pipeline(transaction=False)
    for number, (entry, known) in enumerate(zip(entries, found, strict=True)):
        outcome = outcomes[number]
        if outcome in (Imported.STORED, Imported.REPLACED):
            await older_keys.make_room(storage, entry.subject)
            asked.append((number, len(pipe)))
            _queue(storage, pipe, entry, known, is_new=outcome is Imported.STORED)
        elif outcome is Imported.SAME and not known.sealed.profile:
            _queue_profile(storage, pipe, entry, known)  # a killed run had come so far
    if not len(pipe):
        return
    async with redis_call("import connections", _SECONDS):
        answers = await pipe.execute()
    for number, at in asked:
        if not answers[at]:
            outcomes[number] = Imported.KEPT
        elif found[number].sealed.older:
            await older_keys.take(storage, entries[number].subject)


def _queue(storage: Storage, pipe: Pipeline, entry: Entry, known: Stored, *, is_new: bool) -> None:
    """Queue the tokens, whose answer is the first, and everything beside them."""
    subject, generation = entry.subject, new_generation()
    token = replace(entry.token, generation=generation)
    profile = replace(entry.profile, generation=generation)
    tokens, beside = subject.record_keys
    pipe.set(tokens, records.seal_token(storage, subject, token), nx=is_new)
    pipe.set(beside, records.seal_profile(storage, subject, profile), nx=is_new)
    account_index.add(storage, pipe, subject, profile.account, known.profile.account)
    if not is_new:  # asking again would end the new grant along with the old one
        held_tokens.drop(pipe, subject)


def _queue_profile(storage: Storage, pipe: Pipeline, entry: Entry, known: Stored) -> None:
    subject = entry.subject
    generation = known.token.generation if known.token else ""
    profile = replace(entry.profile, generation=generation)
    pipe.set(subject.record_keys[1], records.seal_profile(storage, subject, profile), nx=True)
    account_index.add(storage, pipe, subject, profile.account)
