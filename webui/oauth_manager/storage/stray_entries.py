"""Stray entries in the index of accounts: those that no record confirms.

A crash, a backup that was restored, or a key that is no longer the newest leaves them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from ..models import Profile
from ..providers.provider import OAuthProvider
from . import account_index, records, scripts
from .account_index import Entry
from .batches import run_all, run_each
from .calls import RedisClient, as_text, is_mistyped, read_page, redis_call, unless_mistyped
from .storage import Storage, Subject

_COUNT = 500  # entries of one key that are read together


async def read(
    redis: RedisClient, names: Sequence[bytes], marks: tuple[str, str]
) -> AsyncIterator[tuple[list[Entry], list[bytes]]]:
    """Read the entries of these keys in pieces, and which of the keys hold no index.

    ``marks`` are the rotation's and our key's (:func:`.account_index.key_mark`).  Entries with
    the former are left out, since their records have just been read; those that another key made
    and marked are removed.  Raises ``StoreUnavailable``.
    """
    cursors = dict.fromkeys(names, 0)
    while cursors:
        async with redis_call("read the index of accounts"):
            calls = [(key, cursor, _COUNT, *marks) for key, cursor in cursors.items()]
            answers = dict(zip(cursors, await run_all(redis, scripts.SWEEP, calls), strict=True))
            mistyped = [key for key, answer in answers.items() if is_mistyped(answer)]
            found = {
                key: unless_mistyped(answer, 0) or (0, ())
                for key, answer in answers.items()
                if answer != 0
            }
        entries = [
            (as_text(key), as_text(field), as_text(value))
            for key, (_, held) in found.items()
            for field, value in zip(held[::2], held[1::2], strict=True)
        ]
        yield entries, mistyped
        cursors = {key: int(cursor) for key, (cursor, _) in found.items() if int(cursor)}


async def prune(
    storage: Storage,
    redis: RedisClient,
    providers: Mapping[str, OAuthProvider],
    entries: Sequence[Entry],
) -> None:
    """Remove the entries that no record confirms, or that another key made.  Two round trips."""
    owners = [account_index.newest_owner(storage, key, field) for key, field, _ in entries]
    subjects = [
        account_index.subject(redis, providers, user_id, name)
        for user_id, name in dict.fromkeys(filter(None, owners))
    ]
    confirmed = {
        (subject.user_id, subject.place, *place)
        for subject, profile in await _profiles(storage, redis, subjects)
        for place in account_index.places(storage, subject, profile.account)
    }
    stray = [
        entry
        for entry, owner in zip(entries, owners, strict=True)
        if owner is None or (*owner, *entry[:2]) not in confirmed
    ]
    if stray:
        async with redis_call("mend the index of accounts"):
            await run_each(redis, scripts.HDEL_IF_SAME, stray)


async def _profiles(
    storage: Storage, redis: RedisClient, subjects: Sequence[Subject]
) -> list[tuple[Subject, Profile]]:
    """Read the facts of each connection; empty ones if there are none."""
    if not subjects:
        return []
    async with redis_call("read connections"):
        texts = await read_page(redis, [subject.record_keys[1] for subject in subjects])
    return [
        (subject, records.open_profile(storage, subject, text))
        for subject, text in zip(subjects, texts, strict=True)
    ]
