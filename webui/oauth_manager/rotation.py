"""Rotation of the encryption key: for an operator, never for a request."""

from __future__ import annotations

from collections import Counter
from typing import Any

from redis.exceptions import RedisError

from . import canary, keys
from .accounts import Accounts
from .errors import RecordUnreadable, StoreUnavailable
from .redis_io import as_text, read_text, redis_call
from .sealing import Sealer
from .store import Store

_TRIES = 5  # for a record that somebody else writes meanwhile


async def reseal(redis: Any, sealer: Sealer, store: Store, accounts: Accounts) -> tuple[int, int]:
    """Seal every record with the newest key: how many were, how many could not be read.

    The index of accounts is made anew on the way.  Safe to interrupt and to
    repeat; a record that changes meanwhile is left to whoever changed it.
    Walks all keys.  Raises ``StoreUnavailable``.
    """
    outcomes: Counter[str] = Counter()
    try:
        for kind, pattern in keys.RECORD_PATTERNS.items():
            async for key in redis.scan_iter(match=pattern, count=500):
                outcomes[await _reseal_one(redis, sealer, store, kind, as_text(key))] += 1
                if kind == "connection":
                    await _list_one(redis, store, accounts, as_text(key))
        async for key in redis.scan_iter(match=keys.ACCOUNT_PATTERN, count=500):
            async for field, sealed in redis.hscan_iter(key):
                await accounts.prune(redis, as_text(key), as_text(field), as_text(sealed))
    except RedisError as error:
        raise StoreUnavailable("walk all records", type(error).__name__) from None
    if outcomes.keys() <= {"done", "gone"}:
        await canary.renew(redis, sealer)
    return outcomes["done"], outcomes["unreadable"]


async def _reseal_one(redis: Any, sealer: Sealer, store: Store, kind: str, key: str) -> str:
    owner = keys.parse_record(key)
    if owner is None:
        return "foreign"
    for _ in range(_TRIES):
        async with redis_call("seal a record anew"):
            before = await read_text(redis, key)
            try:
                record = sealer.open(kind, *owner, before)
            except RecordUnreadable:
                return "unreadable" if before else "gone"
            after = sealer.seal(kind, *owner, record)
            if await store.replace(redis, key, before, after):
                return "done"
    return "changed"


async def _list_one(redis: Any, store: Store, accounts: Accounts, key: str) -> None:
    """Put a connection into the index of accounts."""
    owner = keys.parse_record(key)
    if owner is None:
        return
    async with redis_call("list an account"):
        profile = store.open_profile(*owner, await read_text(redis, key))
        if profile.account.id or profile.account.label:
            pipe = redis.pipeline(transaction=False)
            accounts.add(pipe, *owner, profile.account)
            await pipe.execute()
