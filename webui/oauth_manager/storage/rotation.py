"""Rotation of the encryption key: for an operator, never for a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from redis.exceptions import RedisError, ResponseError

from ..errors import RecordUnreadable, StoreUnavailable
from ..providers.provider import OAuthProvider
from . import account_index, canary, keys, older_keys, records, updates
from .calls import RedisClient, as_text, read_text, redis_call
from .keys import UserId
from .older_keys import is_claim
from .storage import Storage, Subject

_TRIES = 5  # for a record that another process writes meanwhile


@dataclass(frozen=True, slots=True)
class Rotation:
    """The outcome of a rotation.

    ``done`` were resealed, ``moved`` of them from keys of the older system.  ``left``
    maps the name of every key that was not understood to the reason, the end of a
    sentence.
    """

    done: int
    moved: int
    left: Mapping[str, str]


async def reseal(
    storage: Storage,
    redis: RedisClient,
    providers: Mapping[str, OAuthProvider],
    *,
    writes: bool = True,
) -> Rotation:
    """Seal every record with the newest key, and rebuild the index of accounts on the way.

    Safe to interrupt and to repeat; a record that changes meanwhile is left to the
    process that changed it.  Without ``writes`` it only looks.  Walks all keys.  Raises
    ``StoreUnavailable``.
    """
    walk = _Walk(storage, redis, providers, writes=writes)
    try:
        for kind, pattern in keys.RECORD_PATTERNS.items():
            async for key in redis.scan_iter(match=pattern, count=500, NEVER_DECODE=True):
                await walk.visit(kind, key)
        async for key in redis.scan_iter(match=keys.ACCOUNT_PATTERN, count=500):
            await walk.visit_index(as_text(key))
    except RedisError as error:
        raise StoreUnavailable("walk all records", type(error).__name__) from None
    if writes and not walk.left and not walk.outcomes["changed"]:
        await canary.renew(redis, storage.sealer)
    done = walk.outcomes["done"] + walk.outcomes["moved"]
    return Rotation(done, walk.outcomes["moved"], walk.left)


class _Walk:
    """One walk over all keys, with its findings so far."""

    def __init__(
        self,
        storage: Storage,
        redis: RedisClient,
        providers: Mapping[str, OAuthProvider],
        *,
        writes: bool,
    ) -> None:
        self._storage = storage
        self._sealer = storage.sealer
        self._redis = redis
        self._providers = providers
        self._writes = writes
        self.outcomes: Counter[str] = Counter()
        self.left: dict[str, str] = {}

    async def visit(self, kind: str, key: bytes) -> None:
        """Reseal one record."""
        outcome = "changed"
        for _ in range(_TRIES):
            async with redis_call("seal a record anew"):
                text = await read_text(self._redis, key)
                if not text or is_claim(text):
                    return
                try:
                    outcome = await self._resealed(kind, key, text)
                except RecordUnreadable as error:
                    if await read_text(self._redis, key) == text:
                        self.left[as_text(key)] = error.reason
                        return
            if outcome != "changed":
                break
        self.outcomes[outcome] += 1

    async def _resealed(self, kind: str, key: bytes, text: str) -> str:
        """Reseal a record's text.  Raises ``RecordUnreadable``."""
        try:
            name = key.decode()
        except UnicodeDecodeError:
            raise RecordUnreadable("a name that is no text") from None
        ours = keys.parse_record(name)
        older = keys.parse_older_record(name) if kind == "tokens" else ours
        if ours != older and self._sealer.is_older(text):
            return await self._moved(older, text)
        if ours is None:
            raise RecordUnreadable("no key of ours")
        record = self._sealer.open(kind, *ours, text)
        if not self._writes:
            return "done"
        sealed = self._sealer.seal(kind, *ours, record)
        is_done = await updates.replace(self._redis, name, text, sealed)
        if kind == "connection":
            await self._list(*ours)
        return "done" if is_done else "changed"

    def _subject(self, user_id: UserId, name: str) -> Subject:
        provider = self._providers.get(name) or account_index.unknown(name)
        return Subject(self._redis, user_id, provider)

    async def _moved(self, owner: tuple[UserId, str] | None, text: str) -> str:
        """Move a record of the older system to our keys."""
        if owner is None:
            raise RecordUnreadable("no possible user id")
        self._sealer.open("tokens", *owner, text)
        subject = self._subject(*owner)
        is_moved = not self._writes or await older_keys.move(self._storage, subject)
        return "moved" if is_moved else "changed"

    async def _list(self, user_id: UserId, provider: str) -> None:
        """Add a connection to the index of accounts."""
        subject = self._subject(user_id, provider)
        text = await read_text(self._redis, keys.connection(user_id, provider))
        account = records.open_profile(self._storage, subject, text).account
        if account.id or account.label:
            pipe = self._redis.pipeline(transaction=False)
            account_index.add(self._storage, pipe, subject, account)
            await pipe.execute()

    async def visit_index(self, key: str) -> None:
        """Reseal one account of the index."""
        if not self._writes:
            return
        try:
            async for field, sealed in self._redis.hscan_iter(key):
                entry = key, as_text(field), as_text(sealed)
                await account_index.prune(self._storage, self._redis, self._providers, *entry)
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            self.left[key] = "no index of an account"
