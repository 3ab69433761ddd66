"""Who has connected an account: an index from accounts at a provider to people, for support.

A copy of Redis names no account and no person here: keys and fields are keyed
digests, and the values are sealed.  The records decide; what the index holds
is only where to look.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from . import keys, scripts
from .errors import RecordUnreadable
from .models import Account
from .redis_io import as_text, raw, redis_call, text_of
from .sealing import Sealer
from .store import Store

MOST = 11  # people that one search finds

_SURROGATE = re.compile("[\ud800-\udfff]")  # no text of a provider's holds one

Place = tuple[str, str]  # a key and a field of its hash


class Accounts:
    """An account is listed by its id, and by its label whatever the case."""

    def __init__(self, sealer: Sealer, store: Store) -> None:
        self._sealer = sealer
        self._store = store

    def add(
        self,
        pipe: Any,
        user_id: str,
        provider: str,
        account: Account,
        before: Account = Account(),  # noqa: B008 - frozen
    ) -> None:
        """Queue the account on a pipeline, in the place of the one ``before``."""
        self.remove(pipe, user_id, provider, before)
        for newest, *older in self._places(user_id, provider, account):
            for key, field in older:
                pipe.hdel(key, field)
            pipe.hset(*newest, self._sealer.seal("account", user_id, provider, {}))

    def remove(self, pipe: Any, user_id: str, provider: str, account: Account) -> None:
        """Queue the end of it on a pipeline."""
        for places in self._places(user_id, provider, account):
            for key, field in places:
                pipe.hdel(key, field)

    async def find(self, redis: Any, provider: str, account: str) -> tuple[str, ...]:
        """User ids of at most ``MOST`` people connected as ``account``.  Two round trips."""
        asked = Account(account, account) if _SURROGATE.search(account) is None else Account()
        async with redis_call("look up an account"):
            pipe = redis.pipeline(transaction=False)
            for places in self._places("", provider, asked):
                for key, _ in places:
                    pipe.hscan(key, 0, count=MOST)
            answers = await pipe.execute()
        values = (as_text(value) for _, found in answers for value in found.values())
        listed = {self._owner(value)[0] for value in values} - {""}
        people = sorted(listed)[:MOST]
        connected = await self._accounts(redis, people, provider)
        wanted = set(_names(asked))
        return tuple(u for u, known in connected.items() if wanted & set(_names(known)))

    async def prune(self, redis: Any, key: str, field: str, sealed: str) -> None:
        """Take an entry away that no record bears out, or that another key made."""
        user_id, provider = self._owner(sealed)
        if user_id:
            connected = await self._accounts(redis, [user_id], provider)
            names = self._places(user_id, provider, connected[user_id])
            newest = [places[0] for places in names]
            if (key, field) in newest:
                return
        async with redis_call("mend the index of accounts"):
            await redis.eval(scripts.HDEL_IF_SAME, 1, key, field, sealed)

    async def _accounts(
        self, redis: Any, people: Sequence[str], provider: str
    ) -> dict[str, Account]:
        """As whom each of the people is connected, by the records."""
        if not people:
            return {}
        async with redis_call("read connections"):
            pipe = redis.pipeline(transaction=False)
            for user_id in people:
                raw(pipe, "GET", keys.connection(user_id, provider))
            answers = [text_of(answer) for answer in await pipe.execute(raise_on_error=False)]
        records = zip(people, answers, strict=True)
        return {u: self._store.open_profile(u, provider, r).account for u, r in records}

    def _owner(self, sealed: str) -> tuple[str, str]:
        """User id and provider of an entry; both ``""`` where it cannot be read."""
        try:
            record = self._sealer.open("account", None, None, sealed)
            return keys.check_user_id(record["user_id"]), str(record["provider"])
        except (RecordUnreadable, KeyError, ValueError):
            return "", ""

    def _places(self, user_id: str, provider: str, account: Account) -> Iterator[list[Place]]:
        """For each name of the account where it stands, by every encryption key, newest first."""
        fields = self._sealer.digests("account user", user_id)
        for name in _names(account):
            found = self._sealer.digests("account", f"{provider}\0{name}")
            yield [(keys.account(d), field) for d, field in zip(found, fields, strict=True)]


def _names(account: Account) -> Iterator[str]:
    if account.id:
        yield f"id\0{account.id}"
    if account.label:
        # Unicode, 3.13 D145: without regard to case, and to how accents are put together.
        yield f"label\0{unicodedata.normalize('NFC', account.label.casefold())}"
