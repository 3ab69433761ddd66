"""The list of a person's accounts at one service in Redis: read, and changed by compare-and-set."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import RecordUnreadable
from ..values import replace
from . import account_names, keys, lookup, older_keys, records, scripts
from .account_names import Names
from .calls import exact, read_text, redis_call
from .storage import Storage, Subject

_TRIES = 20  # of compare-and-set


async def read(storage: Storage, subject: Subject) -> Names | None:
    """Read the list.  One round trip.  Raises ``RecordUnreadable``."""
    async with redis_call("read the names of accounts"):
        sealed = await read_text(subject.redis, _key(subject))
    return account_names.opened(storage, subject, sealed)


async def change(
    storage: Storage, subject: Subject, make: Callable[[Names], Names], seen: Names | None = None
) -> Names:
    """Change the list, whatever others do to it meanwhile; return the new one.

    ``make`` is called with the present one, perhaps several times; one that is not needed
    is removed.  Raises ``RecordUnreadable``, and whatever ``make`` raises.
    """
    now = seen if seen and seen.sealed else await read(storage, subject)
    for _ in range(_TRIES):
        before = now or Names()
        fresh = make(before)
        if replace(fresh, sealed="") == replace(before, sealed="") and now:
            return now
        if await _swap(storage, subject, before.sealed, fresh):
            return fresh
        now = await read(storage, subject)
    raise RecordUnreadable("the names of accounts change all the time")


async def _swap(storage: Storage, subject: Subject, before: str, fresh: Names) -> bool:
    redis, key = subject.redis, _key(subject)
    async with redis_call("write the names of accounts"):
        if not fresh.accounts:
            if not before:
                return True
            return int(await redis.eval(scripts.DELETE_IF_SAME, 1, key, exact(before))) >= 0
        sealed = account_names.seal(storage, subject, fresh)
        if not before:
            return bool(await redis.set(key, sealed, nx=True))
        return int(await redis.eval(scripts.REPLACE, 1, key, exact(before), sealed)) == 1


async def mark(storage: Storage, first: Subject, *, has_others: bool = True) -> None:
    """Put the mark into the first account's tokens, or take it away; none there need none."""
    key, _ = first.record_keys
    for _ in range(_TRIES):
        stored = await lookup.read_one(storage, first)
        token = stored.token
        if token is None or token.has_others is has_others:
            return
        if stored.is_older:
            async with redis_call("mark a connection"):
                await older_keys.move(storage, first)
            continue
        sealed = records.seal_token(storage, first, replace(token, has_others=has_others))
        async with redis_call("mark a connection"):
            before = exact(stored.sealed.tokens)
            if int(await first.redis.eval(scripts.REPLACE, 1, key, before, sealed)) == 1:
                return
    raise RecordUnreadable("the tokens change all the time")


def _key(subject: Subject) -> str:
    return keys.names(subject.user_id, subject.provider.name)
