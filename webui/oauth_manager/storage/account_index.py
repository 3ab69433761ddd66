"""The index of accounts: from an account at a provider to the people who connected it.

A copy of Redis names no account and no person here: keys and fields are keyed digests,
and the values are sealed.  The records decide; the index only says where to look.  It
is for support.  It lists an account by its id, and by its label regardless of case.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import chain

from ..errors import RecordUnreadable
from ..models import Account
from ..providers.provider import OAuthProvider
from . import keys, records
from .calls import (
    Pipeline,
    RedisClient,
    as_text,
    raw,
    read_texts,
    redis_call,
    unless_mistyped,
)
from .keys import UserId
from .storage import Storage, Subject

MOST = 11  # people that one search finds

_SURROGATE = re.compile("[\ud800-\udfff]")  # no text of a provider's holds one

Place = tuple[str, str]  # a key and a field of its hash


def add(
    storage: Storage,
    pipe: Pipeline,
    subject: Subject,
    account: Account,
    before: Account = Account(),  # noqa: B008 - frozen
) -> None:
    """Queue the account on a pipeline, in place of the one ``before``.

    No entry that stays is removed first: a Redis without room would not take it back.
    """
    whose = subject.user_id, subject.name
    listed = places(storage, subject, account)
    for place in _all_places(storage, subject, before, account):
        if place not in listed:
            pipe.hdel(*place)
    for place in listed:
        pipe.hset(*place, storage.sealer.seal("account", *whose, {}))


def remove(storage: Storage, pipe: Pipeline, subject: Subject, account: Account) -> None:
    """Queue its removal on a pipeline."""
    for place in _all_places(storage, subject, account):
        pipe.hdel(*place)


async def find(
    storage: Storage, redis: RedisClient, provider: OAuthProvider, account: str
) -> tuple[str, ...]:
    """Find user ids of at most ``MOST`` people connected as ``account``.  Two round trips."""
    asked = Account(account, account) if _SURROGATE.search(account) is None else Account()
    label = _label_names(asked)
    connected = await _candidates(storage, redis, provider, asked)
    return tuple(
        user_id
        for user_id, known in connected.items()
        if provider.is_same_account(asked, known) or (label and label == _label_names(known))
    )


async def users(
    storage: Storage, redis: RedisClient, provider: OAuthProvider, account: Account
) -> tuple[str, ...]:
    """Find at most ``MOST`` people connected as this very account.  Two round trips."""
    connected = await _candidates(storage, redis, provider, Account(account.id))
    return tuple(u for u, known in connected.items() if provider.is_same_account(account, known))


def unknown(name: str) -> OAuthProvider:
    """Stand in for a provider that was taken out of the configuration."""
    return OAuthProvider(name, "", "")


async def _candidates(
    storage: Storage, redis: RedisClient, provider: OAuthProvider, asked: Account
) -> dict[UserId, Account]:
    """Find people listed under any name of the account, and the account that each has."""
    async with redis_call("look up an account"):
        pipe = redis.pipeline(transaction=False)
        for name in _names(provider, asked):
            for key, _ in _places(storage, "", provider.name, name):
                raw(pipe, "HSCAN", key, 0, "COUNT", MOST)
        answers = await pipe.execute(raise_on_error=False)
        places = [unless_mistyped(answer, (0, {})) for answer in answers]
    values = (as_text(value) for _, found in places for value in found.values())
    listed = {user_id for user_id, _ in (owner(storage, value) for value in values) if user_id}
    people = sorted(listed)[:MOST]
    subjects = [Subject(redis, user_id, provider) for user_id in people]
    return dict(zip(people, await _accounts(storage, redis, subjects), strict=True))


async def _accounts(
    storage: Storage, redis: RedisClient, subjects: Sequence[Subject]
) -> list[Account]:
    """Read the connected account of each from the records."""
    if not subjects:
        return []
    async with redis_call("read connections"):
        places = [keys.connection(subject.user_id, subject.name) for subject in subjects]
        texts = await read_texts(redis, places)
    return [
        records.open_profile(storage, subject, text).account
        for subject, text in zip(subjects, texts, strict=True)
    ]


def owner(storage: Storage, sealed: str) -> tuple[UserId | None, str]:
    """Return user id and provider of an entry; no id if it cannot be read."""
    try:
        record = storage.sealer.open("account", None, None, sealed)
    except RecordUnreadable:
        return None, ""
    return UserId(record["user_id"]), record["provider"]


def _places(storage: Storage, user_id: str, provider: str, name: str) -> list[Place]:
    """List one name's places in the index, by every encryption key, newest first."""
    fields = storage.sealer.digests("account user", user_id)
    found = storage.sealer.digests("account", f"{provider}\0{name}")
    return [(keys.account(d), field) for d, field in zip(found, fields, strict=True)]


def places(storage: Storage, subject: Subject, account: Account) -> list[Place]:
    """List the places of its entries by the newest encryption key."""
    user_id, provider = subject.user_id, subject.name
    names = _listed(subject.provider, account)
    return [_places(storage, user_id, provider, name)[0] for name in names]


def _all_places(storage: Storage, subject: Subject, *accounts: Account) -> dict[Place, None]:
    """List every place that one of the accounts may have, each once."""
    whose = subject.user_id, subject.name
    names = chain.from_iterable(_names(subject.provider, account) for account in accounts)
    return dict.fromkeys(
        place for name in dict.fromkeys(names) for place in _places(storage, *whose, name)
    )


def _listed(provider: OAuthProvider, account: Account) -> tuple[str, ...]:
    """List the names of an account's entries: its id in its shortest form, its label."""
    ids = provider.account_ids(account)[:1]
    return *(f"id\0{form}" for form in ids), *_label_names(account)


def _names(provider: OAuthProvider, account: Account) -> tuple[str, ...]:
    """List every name that it may be listed under, by an earlier version too."""
    ids = provider.account_ids(account)
    return *(f"id\0{form}" for form in ids), *_label_names(account)


def _label_names(account: Account) -> tuple[str, ...]:
    # Unicode, 3.13 D145: without regard to case, and to how accents are put together.
    label = unicodedata.normalize("NFC", account.label.casefold())
    return (f"label\0{label}",) if label else ()
