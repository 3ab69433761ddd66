"""Rotation of the encryption key: for an operator, never for a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import RecordUnreadable, StoreUnavailable
from ..models import Account, Profile
from ..providers.provider import OAuthProvider
from . import account_index, canary, keys, older_keys, records, scripts, stray_entries
from .calls import (
    FAULTS,
    RedisClient,
    as_text,
    exact,
    read_page,
    read_texts,
    redis_call,
    run_each,
)
from .keys import UserId
from .older_keys import is_claim
from .storage import Storage, Subject

_PAGE = 500  # keys that are read and written together
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
            async for page in _pages(redis, pattern):
                await walk.visit(kind, page)
        if writes:
            async for page in _pages(redis, keys.ACCOUNT_PATTERN):
                await walk.mend_index(page)
    except FAULTS as error:
        raise StoreUnavailable("walk all records", type(error).__name__) from None
    if writes and not walk.left and not walk.outcomes["changed"]:
        await canary.renew(redis, storage.sealer)
    done = walk.outcomes["done"] + walk.outcomes["moved"]
    return Rotation(done, walk.outcomes["moved"], walk.left)


async def _pages(redis: RedisClient, pattern: str) -> AsyncIterator[list[bytes]]:
    """Walk all keys; a walk may meet one twice, but no page has it twice."""
    page = dict[bytes, None]()
    async for key in redis.scan_iter(match=pattern, count=_PAGE, NEVER_DECODE=True):
        page[key] = None
        if len(page) == _PAGE:
            yield list(page)
            page.clear()
    if page:
        yield list(page)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A record, its key and its seal, for compare-and-set."""

    key: bytes
    text: str
    user_id: UserId
    provider: str
    record: dict[str, Any]


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

    async def visit(self, kind: str, page: Sequence[bytes]) -> None:
        """Reseal the records of these keys."""
        for _ in range(_TRIES):
            page = await self._resealed(kind, page)
            if not page:
                return
        self.outcomes["changed"] += len(page)

    async def _resealed(self, kind: str, page: Sequence[bytes]) -> list[bytes]:
        """Reseal records once; return the keys of those that changed meanwhile."""
        again: list[bytes] = []
        opened: list[_Opened] = []
        faults: dict[bytes, tuple[str, str]] = {}
        async with redis_call("read records"):
            texts = await self._texts(page)
        for key, text in zip(page, texts, strict=True):
            if not text or is_claim(text):
                continue
            try:
                (user_id, provider), is_raw = self._owner(kind, key, text)
                record = self._sealer.open(kind, user_id, provider, text)
                if not is_raw:
                    opened.append(_Opened(key, text, user_id, provider, record))
                elif not await self._moved(user_id, provider):
                    again.append(key)
            except RecordUnreadable as error:
                faults[key] = text, error.reason
        return [*again, *await self._left(faults), *await self._written(kind, opened)]

    async def _texts(self, page: Sequence[bytes]) -> list[str]:
        """Read the values of the keys; an absent one again: it may be of another type."""
        texts = await read_page(self._redis, page)
        absent = [n for n, text in enumerate(texts) if not text]
        again = await read_texts(self._redis, [page[n] for n in absent]) if absent else []
        for n, text in zip(absent, again, strict=True):
            texts[n] = text
        return texts

    def _owner(self, kind: str, key: bytes, text: str) -> tuple[tuple[UserId, str], bool]:
        """Return the owner by the key, and whether the key is one of the older system.

        Raises ``RecordUnreadable``.
        """
        try:
            name = key.decode()
        except UnicodeDecodeError:
            raise RecordUnreadable("a name that is no text") from None
        ours = keys.parse_record(name)
        older = keys.parse_older_record(name) if kind == "tokens" else ours
        is_raw = ours != older and self._sealer.is_older(text)
        owner = older if is_raw else ours
        if owner is None:
            raise RecordUnreadable("no possible user id" if is_raw else "no key of ours")
        return owner, is_raw

    async def _left(self, faults: Mapping[bytes, tuple[str, str]]) -> list[bytes]:
        """Name the records that cannot be read; return the keys of those that changed."""
        if not faults:
            return []
        async with redis_call("read records"):
            texts = await read_texts(self._redis, faults)
        changed = []
        for (key, (before, reason)), text in zip(faults.items(), texts, strict=True):
            if text == before:
                self.left[as_text(key)] = reason
            else:
                changed.append(key)
        return changed

    async def _moved(self, user_id: UserId, provider: str) -> bool:
        """Move a record of the older system to our keys; ``False`` if it changed meanwhile."""
        async with redis_call("move a record"):
            subject = self._subject(user_id, provider)
            is_moved = not self._writes or await older_keys.move(self._storage, subject)
        self.outcomes["moved"] += is_moved
        return is_moved

    async def _written(self, kind: str, opened: Sequence[_Opened]) -> list[bytes]:
        """Write records anew; return the keys of those that changed meanwhile."""
        written = opened
        if self._writes and opened:
            calls = [(one.key, exact(one.text), self._sealed(kind, one)) for one in opened]
            async with redis_call("seal records anew"):
                outcomes = await run_each(self._redis, scripts.REPLACE, calls)
            written = [one for one, outcome in zip(opened, outcomes, strict=True) if outcome == 1]
            if kind == "connection":
                await self._list(written)
        self.outcomes["done"] += len(written)
        done = {one.key for one in written}
        return [one.key for one in opened if one.key not in done]

    def _sealed(self, kind: str, one: _Opened) -> str:
        record = records.without_empty(one.record) if kind == "connection" else one.record
        return self._sealer.seal(kind, one.user_id, one.provider, record)

    def _subject(self, user_id: UserId, name: str) -> Subject:
        provider = self._providers.get(name) or account_index.unknown(name)
        return Subject(self._redis, user_id, provider)

    async def _list(self, connections: Sequence[_Opened]) -> None:
        """Add connections to the index of accounts."""
        pipe = self._redis.pipeline(transaction=False)
        for one in connections:
            subject = self._subject(one.user_id, one.provider)
            account_index.add(self._storage, pipe, subject, _account(one.record))
        if len(pipe):
            async with redis_call("list accounts"):
                await pipe.execute()

    async def mend_index(self, names: Sequence[bytes]) -> None:
        """Remove the stray entries of these keys of the index of accounts."""
        async for entries, mistyped in stray_entries.read(self._redis, names):
            self.left |= {as_text(key): "no index of an account" for key in mistyped}
            await stray_entries.prune(self._storage, self._redis, self._providers, entries)


def _account(record: Mapping[str, Any]) -> Account:
    """Return the account of a connection's facts; an empty one if they cannot be read."""
    try:
        return Profile.from_dict(record).account
    except TypeError:
        return Account()
