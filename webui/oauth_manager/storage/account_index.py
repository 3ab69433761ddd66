"""The index of accounts: from an account at a provider to the people who connected it.

A copy of Redis names no account and no person here: a key is a keyed digest of the account,
and a field of its hash is a person, sealed for that key.  The records decide; the index
only says where to look.  It is for support.  It lists an account by its id, and by its
label regardless of case.

Earlier versions had a keyed digest in the field and the sealed person in the value, which
cost twice the memory; such entries are found, and replaced by a rotation.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
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
Entry = tuple[str, str, str]  # and the value there
_Places = tuple[str, str, str]  # a key, a field, and the field of earlier versions


def add(
    storage: Storage,
    pipe: Pipeline,
    subject: Subject,
    account: Account,
    before: Account = Account(),  # noqa: B008 - frozen
) -> None:
    """Queue the account on a pipeline, in place of the one ``before``.

    No entry that stays is removed first: a Redis without room would not take it back.  So
    one of an earlier version stays beside it.
    """
    listed = places(storage, subject, account)
    for key, *fields in _all_places(storage, subject, before, account):
        if (key, fields[0]) not in listed:
            pipe.hdel(key, *fields)
    for key, field in listed:
        pipe.hset(key, field, new_value(storage))


def new_value(storage: Storage) -> str:
    """Make the value of an entry: the encryption key's mark, and what distinguishes entries.

    The mark tells a rotation that the entry goes; the rest, an entry from one that was removed
    and made again meanwhile.
    """
    return f"{key_mark(storage)}-{secrets.token_hex(2)}"


def key_mark(storage: Storage) -> str:
    """Return the mark of the newest encryption key."""
    return storage.sealer.digest("account value", "")[:3]


def remove(storage: Storage, pipe: Pipeline, subject: Subject, account: Account) -> None:
    """Queue its removal on a pipeline."""
    for key, *fields in _all_places(storage, subject, account):
        pipe.hdel(key, *fields)


async def find(
    storage: Storage, redis: RedisClient, provider: OAuthProvider, account: str
) -> tuple[str, ...]:
    """Find user ids of at most ``MOST`` people connected as ``account``.  Two round trips."""
    asked = Account(account, account) if _SURROGATE.search(account) is None else Account()
    label = _label_names(asked)
    connected = await _candidates(storage, redis, provider, asked)
    found = (
        user_id
        for user_id, known in connected
        if provider.is_same_account(asked, known) or (label and label == _label_names(known))
    )
    return tuple(dict.fromkeys(found))


async def users(
    storage: Storage, redis: RedisClient, provider: OAuthProvider, account: Account
) -> tuple[str, ...]:
    """Find at most ``MOST`` people connected as this very account.  Two round trips."""
    connected = await _candidates(storage, redis, provider, Account(account.id))
    same = (u for u, known in connected if provider.is_same_account(account, known))
    return tuple(dict.fromkeys(same))


def unknown(name: str) -> OAuthProvider:
    """Stand in for a provider that was taken out of the configuration."""
    return OAuthProvider(name, "", "")


def subject(
    redis: RedisClient, providers: Mapping[str, OAuthProvider], user_id: UserId, name: str
) -> Subject:
    """Return the owner of a record at a place, also of a provider that is :func:`unknown`."""
    provider, slot = keys.split(name)
    return Subject(redis, user_id, providers.get(provider) or unknown(provider), slot)


async def _candidates(
    storage: Storage, redis: RedisClient, provider: OAuthProvider, asked: Account
) -> list[tuple[UserId, Account]]:
    """Find connections listed under any name of the account: whose, and the account of each."""
    async with redis_call("look up an account"):
        pipe = redis.pipeline(transaction=False)
        places = [
            key
            for name in _names(provider, asked)
            for key, *_ in _places(storage, "", provider.name, name)
        ]
        for key in places:
            raw(pipe, "HSCAN", key, 0, "COUNT", MOST)
        answers = await pipe.execute(raise_on_error=False)
        found = [unless_mistyped(answer, (0, {}))[1] for answer in answers]
    owners = (
        owner(storage, (key, as_text(field), as_text(value)))
        for key, entries in zip(places, found, strict=True)
        for field, value in entries.items()
    )
    listed = sorted({(user_id, place) for user_id, place in owners if user_id})
    subjects = [
        Subject(redis, user_id, provider, keys.split(place)[1]) for user_id, place in listed[:MOST]
    ]
    accounts = await _accounts(storage, redis, subjects)
    return [(subject.user_id, one) for subject, one in zip(subjects, accounts, strict=True)]


async def _accounts(
    storage: Storage, redis: RedisClient, subjects: Sequence[Subject]
) -> list[Account]:
    """Read the connected account of each from the records."""
    if not subjects:
        return []
    async with redis_call("read connections"):
        places = [keys.connection(subject.user_id, subject.place) for subject in subjects]
        texts = await read_texts(redis, places)
    return [
        records.open_profile(storage, subject, text).account
        for subject, text in zip(subjects, texts, strict=True)
    ]


def owner(storage: Storage, entry: Entry) -> tuple[UserId | None, str]:
    """Return user id and place of an entry; no id if it cannot be read."""
    key, field, value = entry
    try:
        name, _, user_id = storage.sealer.open_label(key, field).partition("\0")
        return keys.check_user_id(user_id), name
    except (RecordUnreadable, ValueError):
        return _owner_in_value(storage, value)


def _owner_in_value(storage: Storage, sealed: str) -> tuple[UserId | None, str]:
    """Return the owner of an entry that an earlier version made."""
    try:
        record = storage.sealer.open("account", None, None, sealed)
    except RecordUnreadable:
        return None, ""
    return UserId(record["user_id"]), record["provider"]


def _places(storage: Storage, user_id: str, place: str, name: str) -> list[_Places]:
    """List one name's places in the index, by every encryption key, newest first."""
    sealer, person = storage.sealer, f"{place}\0{user_id}"
    provider, slot = keys.split(place)
    found = map(keys.account, sealer.digests("account", f"{provider}\0{name}"))
    earlier = sealer.digests("account user", person if slot else user_id)
    return [
        (key, sealer.label(key, person, n), earlier[n])  # each by its own encryption key
        for n, key in enumerate(found)
    ]


def places(storage: Storage, subject: Subject, account: Account) -> list[Place]:
    """List the places of its entries by the newest encryption key."""
    sealer, person = storage.sealer, f"{subject.place}\0{subject.user_id}"
    found = [
        keys.account(sealer.digest("account", f"{subject.provider.name}\0{name}"))
        for name in _listed(subject.provider, account)
    ]
    return [(key, sealer.label(key, person)) for key in found]


def newest_owner(storage: Storage, key: str, field: str) -> tuple[UserId, str] | None:
    """Return user id and place of an entry by the newest encryption key; None of another."""
    try:
        name, _, user_id = storage.sealer.open_label(key, field, by_newest=True).partition("\0")
        return keys.check_user_id(user_id), name
    except (RecordUnreadable, ValueError):
        return None


def _all_places(storage: Storage, subject: Subject, *accounts: Account) -> dict[_Places, None]:
    """List every place that one of the accounts may have, each once."""
    whose = subject.user_id, subject.place
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
