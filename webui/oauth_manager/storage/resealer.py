"""The work of a rotation on one page of keys: records sealed anew, the index put right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import RecordUnreadable
from ..models import Account
from ..providers.provider import OAuthProvider
from ..shapes import shaped
from ..values import Struct, replace
from . import account_index, beside, keys, older_keys, scripts, stray_entries
from .batches import run_each
from .bulk_sealer import BulkSealer
from .calls import RedisClient, as_text, exact, read_page, read_texts, redis_call
from .keys import UserId
from .older_keys import is_claim
from .sealer import NO_KEY
from .storage import Storage, Subject

RECORDS = "records"  # work on a page: every record is opened
AGAIN = "again"  # only those that the newest key did not sign
INDEX = "index"  # the index of accounts
BESIDE = "beside"  # timelines and held tokens

MOST_NAMED = 1000  # keys that are left alone; of any more only the number is known
_TRIES = 5  # for a record that another process writes meanwhile
_UNREADABLE = (NO_KEY, "empty or too large", "not an object")


class Task(Struct, frozen=True):
    """Work on a page of keys; ``mark`` is the rotation's, for entries of the index."""

    work: str
    mark: str
    page: Sequence[bytes]


@dataclass
class Findings:
    """The outcome of a work on a page, or on all of them.

    ``counts`` has ``done``, ``moved``, ``new``, ``unreadable``, ``unknown``, ``changed``, and
    ``beside`` and ``blind``; ``left`` maps keys to the reason.
    """

    counts: Counter[str] = field(default_factory=Counter)
    left: dict[str, str] = field(default_factory=dict)

    def add(self, more: Findings) -> None:
        self.counts += more.counts
        for key, reason in more.left.items():
            if len(self.left) < MOST_NAMED:
                self.left.setdefault(key, reason)

    def leave(self, key: bytes, reason: str) -> None:
        self.counts["unreadable" if reason in _UNREADABLE else "unknown"] += 1
        self.left[as_text(key)] = reason


@dataclass(slots=True)  # not frozen: that costs three times as much to make
class _Opened:
    """A record, its seal for compare-and-set, and the one by the newest key."""

    key: bytes
    text: str
    subject: Subject
    kind: str
    record: dict[str, Any]
    sealed: str

    @property
    def is_new(self) -> bool:
        return self.text == self.sealed


class Resealer:
    """A worker of rotations in one process."""

    def __init__(
        self,
        storage: Storage,
        redis: RedisClient,
        providers: Mapping[str, OAuthProvider],
        *,
        writes: bool = True,
    ) -> None:
        self._storage = storage
        self._sealer = storage.sealer
        self._bulk = BulkSealer(storage.sealer, storage.clock)
        self._redis = redis
        self._providers = providers
        self._writes = writes

    async def visit(self, task: Task) -> Findings:
        """Do the work on a page.  Raises ``StoreUnavailable``."""
        found, page = Findings(), task.page
        if not page:
            return found
        if task.work == BESIDE:
            found.counts += await beside.visit(self._storage, self._bulk, self._redis, page)
            return found
        if task.work == INDEX:
            await self._mend_index(task, found)
            return found
        for _ in range(_TRIES):
            page = await self._resealed(replace(task, page=page), found)
            if not page:
                return found
        found.counts["changed"] += len(page)
        return found

    async def _resealed(self, task: Task, found: Findings) -> list[bytes]:
        """Reseal records once; return the keys of those that changed meanwhile."""
        again: list[bytes] = []
        opened: list[_Opened] = []
        faults: dict[bytes, tuple[str, str]] = {}
        async with redis_call("read records"):
            texts = await self._texts(task.page)
        for key, text in zip(task.page, texts, strict=True):
            kind = keys.record_kind(key)
            if not kind or not text or is_claim(text):
                continue
            if task.work == AGAIN and self._bulk.is_newest(text):
                continue
            try:
                subject, is_raw = self._owner(kind, key, text)
                if not is_raw:
                    anew = self._bulk.seal_anew(kind, subject.user_id, subject.place, text)
                    opened.append(_Opened(key, text, subject, kind, *anew))
                elif not await self._moved(subject, text, found):
                    again.append(key)
            except RecordUnreadable as error:
                faults[key] = text, error.reason
        again += await self._left(faults, found)
        return again + await self._written(opened, found, task.mark)

    async def _texts(self, page: Sequence[bytes]) -> list[str]:
        """Read the values of the keys; an absent one again: it may be of another type."""
        texts = await read_page(self._redis, page)
        absent = [n for n, text in enumerate(texts) if not text]
        again = await read_texts(self._redis, [page[n] for n in absent]) if absent else []
        for n, text in zip(absent, again, strict=True):
            texts[n] = text
        return texts

    def _owner(self, kind: str, key: bytes, text: str) -> tuple[Subject, bool]:
        """Return the owner by the key, and whether the key is one of the older system.

        Raises ``RecordUnreadable``.
        """
        try:
            name = key.decode()
        except UnicodeDecodeError:
            raise RecordUnreadable("a name that is no text") from None
        if plain := keys.parse_plain_record(name):
            return self._subject(*plain), False
        ours = keys.parse_record(name)
        older = keys.parse_older_record(name) if kind == "tokens" else ours
        is_raw = ours != older and self._sealer.is_older(text)
        owner = older if is_raw else ours
        if owner is None:
            raise RecordUnreadable("no possible user id" if is_raw else "no key of ours")
        return self._subject(*owner), is_raw

    def _subject(self, user_id: UserId, name: str) -> Subject:
        return account_index.subject(self._redis, self._providers, user_id, name)

    async def _left(self, faults: Mapping[bytes, tuple[str, str]], found: Findings) -> list[bytes]:
        """Name the records that cannot be read; return the keys of those that changed."""
        if not faults:
            return []
        async with redis_call("read records"):
            texts = await read_texts(self._redis, faults)
        changed = []
        for (key, (before, reason)), text in zip(faults.items(), texts, strict=True):
            if text == before:
                found.leave(key, reason)
            else:
                changed.append(key)
        return changed

    async def _moved(self, subject: Subject, text: str, found: Findings) -> bool:
        """Move a record of the older system to our keys; ``False`` if it changed meanwhile."""
        self._sealer.open("tokens", subject.user_id, subject.place, text)
        async with redis_call("move a record"):
            is_moved = not self._writes or await older_keys.move(self._storage, subject)
        found.counts["moved"] += is_moved
        found.counts["done"] += is_moved
        return is_moved

    async def _written(self, opened: Sequence[_Opened], found: Findings, mark: str) -> list[bytes]:
        """Write records anew; return the keys of those that changed meanwhile.

        The index comes first: a rotation that is killed in between finds the record under
        its old key again.
        """
        old = [one for one in opened if not one.is_new]
        found.counts["new"] += len(opened) - len(old)
        if not self._writes:
            found.counts["done"] += len(old)
            return []
        made = await self._list([one for one in opened if one.kind == "connection"], mark)
        calls = [(one.key, exact(one.text), one.sealed) for one in old]
        async with redis_call("seal records anew"):
            outcomes = await run_each(self._redis, scripts.REPLACE, calls)
        lost = [one.key for one, outcome in zip(old, outcomes, strict=True) if outcome != 1]
        found.counts["done"] += len(old) - len(lost)
        await self._take_back([entry for key in lost for entry in made.get(key, ())], mark)
        return lost

    async def _list(
        self, connections: Sequence[_Opened], mark: str
    ) -> dict[bytes, list[account_index.Place]]:
        """Put connections into the index; return the entries that were not there, by record.

        The mark says that a record confirms the entry: so a new one gets it only if the
        record's replacement will tell whether that is still true.
        """
        places = [
            (one, place)
            for one in connections
            for place in account_index.places(self._storage, one.subject, _account(one.record))
        ]
        calls = [
            (key, name, mark, account_index.new_value(self._storage) if one.is_new else mark)
            for one, (key, name) in places
        ]
        async with redis_call("list accounts"):
            outcomes = await run_each(self._redis, scripts.LIST, calls)
        made: dict[bytes, list[account_index.Place]] = {}
        for (one, place), outcome in zip(places, outcomes, strict=True):
            if outcome == 1:
                made.setdefault(one.key, []).append(place)
        return made

    async def _take_back(self, entries: Sequence[account_index.Place], mark: str) -> None:
        """Remove entries of records that have gone or changed meanwhile."""
        calls = [(key, name, mark) for key, name in entries]
        async with redis_call("list accounts"):
            await run_each(self._redis, scripts.HDEL_IF_SAME, calls)

    async def _mend_index(self, task: Task, found: Findings) -> None:
        """Remove the stray entries of these keys of the index of accounts."""
        marks = task.mark, account_index.key_mark(self._storage)
        async for entries, mistyped in stray_entries.read(self._redis, task.page, marks):
            for key in mistyped:
                found.leave(key, "no index of an account")
            await stray_entries.prune(self._storage, self._redis, self._providers, entries)


def _account(record: Mapping[str, Any]) -> Account:
    """Return the account of a connection's facts; an empty one if they cannot be read."""
    try:
        return shaped(Account, record.get("account"))
    except TypeError:
        return Account()
