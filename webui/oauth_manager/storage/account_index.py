"""The index of accounts: from an account at a provider to the people who connected it.

A copy of Redis names no account and no person here: keys and fields are keyed digests,
and the values are sealed.  The records decide; the index only says where to look.  It
is for support.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from ..errors import RecordUnreadable
from ..models import Account
from ..providers.provider import OAuthProvider
from . import keys, scripts
from .calls import Pipeline, RedisClient, as_text, raw, redis_call, text_of, unless_mistyped
from .sealer import Sealer
from .store import Store

MOST = 11  # people that one search finds

_SURROGATE = re.compile("[\ud800-\udfff]")  # no text of a provider's holds one

Place = tuple[str, str]  # a key and a field of its hash


class Accounts:
    """The index; an account is listed by its id, and by its label regardless of case."""

    def __init__(
        self, sealer: Sealer, store: Store, providers: Mapping[str, OAuthProvider]
    ) -> None:
        self._sealer = sealer
        self._store = store
        self._providers = providers

    def add(
        self,
        pipe: Pipeline,
        user_id: str,
        provider: str,
        account: Account,
        before: Account = Account(),  # noqa: B008 - frozen
    ) -> None:
        """Queue the account on a pipeline, in place of the one ``before``."""
        self.remove(pipe, user_id, provider, before)
        listed = self._listed(provider, account)
        for name in self._names(provider, account):
            newest, *older = self._places(user_id, provider, name)
            for key, field in older if name in listed else [newest, *older]:
                pipe.hdel(key, field)
            if name in listed:
                pipe.hset(*newest, self._sealer.seal("account", user_id, provider, {}))

    def remove(self, pipe: Pipeline, user_id: str, provider: str, account: Account) -> None:
        """Queue its removal on a pipeline."""
        for name in self._names(provider, account):
            for key, field in self._places(user_id, provider, name):
                pipe.hdel(key, field)

    async def find(self, redis: RedisClient, provider: str, account: str) -> tuple[str, ...]:
        """Find user ids of at most ``MOST`` people connected as ``account``.  Two round trips."""
        asked = Account(account, account) if _SURROGATE.search(account) is None else Account()
        label = _label_names(asked)
        connected = await self._candidates(redis, provider, asked)
        return tuple(
            user_id
            for user_id, known in connected.items()
            if self._is_same(provider, asked, known) or (label and label == _label_names(known))
        )

    async def users(self, redis: RedisClient, provider: str, account: Account) -> tuple[str, ...]:
        """Find at most ``MOST`` people connected as this very account.  Two round trips."""
        connected = await self._candidates(redis, provider, Account(account.id))
        return tuple(u for u, known in connected.items() if self._is_same(provider, account, known))

    async def _candidates(
        self, redis: RedisClient, provider: str, asked: Account
    ) -> dict[str, Account]:
        """Find people listed under any name of the account, and the account that each has."""
        async with redis_call("look up an account"):
            pipe = redis.pipeline(transaction=False)
            for name in self._names(provider, asked):
                for key, _ in self._places("", provider, name):
                    raw(pipe, "HSCAN", key, 0, "COUNT", MOST)
            answers = await pipe.execute(raise_on_error=False)
            places = [unless_mistyped(answer, (0, {})) for answer in answers]
        values = (as_text(value) for _, found in places for value in found.values())
        listed = {self._owner(value)[0] for value in values} - {""}
        return await self._accounts(redis, sorted(listed)[:MOST], provider)

    async def prune(self, redis: RedisClient, key: str, field: str, sealed: str) -> None:
        """Remove an entry that no record confirms, or that another key made."""
        user_id, provider = self._owner(sealed)
        if user_id:
            connected = await self._accounts(redis, [user_id], provider)
            names = self._listed(provider, connected[user_id])
            if (key, field) in [self._places(user_id, provider, name)[0] for name in names]:
                return
        async with redis_call("mend the index of accounts"):
            await redis.eval(scripts.HDEL_IF_SAME, 1, key, field, sealed)

    async def _accounts(
        self, redis: RedisClient, people: Sequence[str], provider: str
    ) -> dict[str, Account]:
        """Read each person's connected account from the records."""
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
        """Return user id and provider of an entry; both ``""`` if it cannot be read."""
        try:
            record = self._sealer.open("account", None, None, sealed)
        except RecordUnreadable:
            return "", ""
        return record["user_id"], record["provider"]

    def _places(self, user_id: str, provider: str, name: str) -> list[Place]:
        """List one name's places in the index, by every encryption key, newest first."""
        fields = self._sealer.digests("account user", user_id)
        found = self._sealer.digests("account", f"{provider}\0{name}")
        return [(keys.account(d), field) for d, field in zip(found, fields, strict=True)]

    def _listed(self, provider: str, account: Account) -> tuple[str, ...]:
        """List the names of an account's entries: its id in its shortest form, its label."""
        ids = self._ids(provider, account)[:1]
        return *(f"id\0{form}" for form in ids), *_label_names(account)

    def _names(self, provider: str, account: Account) -> tuple[str, ...]:
        """List every name that it may be listed under, by an earlier version too."""
        ids = self._ids(provider, account)
        return *(f"id\0{form}" for form in ids), *_label_names(account)

    def _ids(self, provider: str, account: Account) -> tuple[str, ...]:
        known = self._providers.get(provider)
        return known.account_ids(account) if known else tuple(filter(None, [account.id]))

    def _is_same(self, provider: str, one: Account, other: Account) -> bool:
        known = self._providers.get(provider)
        return known.is_same_account(one, other) if known else bool(one.id) and one.id == other.id


def _label_names(account: Account) -> tuple[str, ...]:
    # Unicode, 3.13 D145: without regard to case, and to how accents are put together.
    label = unicodedata.normalize("NFC", account.label.casefold())
    return (f"label\0{label}",) if label else ()
