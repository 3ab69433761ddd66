"""Names of a person's accounts at one service, beside the records: one sealed list.

There is one only where there are, or have been, several accounts, or the only one was given
a name.  The records decide which accounts there are; the list says where to look, what each
is called, and which one is meant by default.  It is changed by compare-and-set alone:

1. the list names a new account, with the time (``since``);
2. the first account's tokens get their mark (:attr:`..token_data.TokenData.has_others`);
3. the new account's records are written;
4. the list says that it is there.

A crash after 1 or 2 leaves a name without records, which the next look drops; one after 3 is
mended by it.  A disconnect removes records alone: their name is dropped by the next look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..errors import RecordUnreadable
from ..shapes import seconds, text
from ..values import Struct, replace
from .storage import Storage, Subject

LONGEST = 32  # characters of a name
FRESH_SECONDS = 60.0  # in which an account that is listed may still be written

_WRITTEN = re.compile(r"[A-Za-z0-9 -]{1,32}")
_HANDLE = re.compile(r"~([a-z0-9-]{0,32})")
_OTHERS = re.compile(r"[^a-z0-9]+")


def handle(slot: str) -> str:
    """Return what names an account for ever: no name that a person gives looks like it."""
    return f"~{slot}"


def slot_of(account: str) -> str | None:
    """Return the slot that a :func:`handle` names; ``None`` of a name."""
    found = _HANDLE.fullmatch(account)
    return found[1] if found else None


def checked_account(account: str | None) -> str:
    """Return a handle, or a name as it is shown, ``""`` of none.  Raises ``ValueError``."""
    return as_shown(account) if account and slot_of(account) is None else account or ""


def is_account(account: str) -> bool:
    """Tell whether it is a handle, or can be a name."""
    try:
        return slot_of(account) is not None or bool(account_name(account))
    except ValueError:
        return False


def name_of(shown: str, label: str) -> str:
    """Return an account's name: of one that has none, what it would be called."""
    return account_name(shown) if shown else proposed(label)


def account_name(written: str) -> str:
    """Return the name that accounts are told apart by: of ``Work``, ``work``.

    Raises ``ValueError``; the message ends a sentence and does not quote it.
    """
    return as_shown(written).replace(" ", "-").lower()


def as_shown(written: str) -> str:
    """Return a name as a person wrote it, to be shown.  Raises like :func:`account_name`."""
    shown = " ".join(filter(None, written.split(" "))) if isinstance(written, str) else ""
    if not _WRITTEN.fullmatch(shown) or not any(letter.isalnum() for letter in shown):
        raise ValueError("an account's name is 1 to 32 letters, digits and hyphens")
    return shown


def proposed(label: str, taken: Iterable[str] = ()) -> str:
    """Make a name of what the provider calls an account, other than those that are taken."""
    local = label.partition("@")[0] if label.count("@") == 1 else label
    plain = _OTHERS.sub("-", local.lower()).strip("-")[:LONGEST].strip("-") or "account"
    return free(plain, taken)


def free(name: str, taken: Iterable[str]) -> str:
    """Return the name, with a number behind it if it is taken."""
    known = set(taken)
    tried, number = name, 1
    while tried in known:
        number += 1
        end = f"-{number}"
        tried = f"{name[: LONGEST - len(end)]}{end}"
    return tried


class Named(Struct, frozen=True):
    """One account: its slot, its name as the person wrote it.

    ``since`` is when it was listed (epoch seconds), as long as its records may not be there,
    and ``account_id`` which account of the provider's it is, as long as they do not tell.
    """

    slot: str
    shown: str
    since: float = 0.0
    account_id: str = ""

    @property
    def name(self) -> str:
        return account_name(self.shown)


@dataclass(frozen=True, slots=True)
class Names:
    """The list.  ``default`` is a slot; ``is_several`` once there were several accounts.

    ``fault`` is the reason if it cannot be read.
    """

    accounts: tuple[Named, ...] = ()
    default: str | None = None
    is_several: bool = False
    fault: str = ""
    sealed: str = field(default="", repr=False, compare=False)

    @property
    def others(self) -> tuple[str, ...]:
        """Return the slots of all but the first account."""
        return tuple(one.slot for one in self.accounts if one.slot)

    def by_name(self, name: str) -> Named | None:
        return next((one for one in self.accounts if one.name == name), None)

    def at(self, slot: str) -> Named | None:
        return next((one for one in self.accounts if one.slot == slot), None)

    def shown(self, slot: str) -> str:
        """Return the name of the account at a slot as it is shown, ``""`` if it has none."""
        known = self.at(slot)
        return known.shown if known else ""

    def with_one(self, account: Named) -> Names:
        """Return the same with this account, in place of that of its slot."""
        if self.at(account.slot):
            kept = [account if one.slot == account.slot else one for one in self.accounts]
        else:
            kept = [*self.accounts, account]
        return replace(self, accounts=tuple(kept))

    def without(self, slot: str) -> Names:
        kept = tuple(one for one in self.accounts if one.slot != slot)
        return replace(self, accounts=kept, default=None if self.default == slot else self.default)

    def free_slot(self, name: str) -> str:
        return free(name, [one.slot for one in self.accounts])


def read_names(storage: Storage, subject: Subject, sealed: str) -> Names | None:
    """Open a list like :func:`opened`; one that cannot be read has a ``fault``."""
    try:
        return opened(storage, subject, sealed)
    except RecordUnreadable as error:
        return Names(fault=error.reason, sealed=sealed)


def opened(storage: Storage, subject: Subject, sealed: str) -> Names | None:
    """Open a list, ``None`` if there is none.  Raises ``RecordUnreadable``."""
    if not sealed:
        return None
    record = storage.sealer.open("names", subject.user_id, subject.provider.name, sealed)
    try:
        found = [
            Named(
                text(one["slot"]),
                text(one["name"]),
                seconds(one.get("since", 0.0)),
                text(one.get("id", "")),
            )
            for one in record["accounts"]
        ]
        if any(not re.fullmatch("[a-z0-9-]{0,32}", one.slot) or not one.name for one in found):
            raise TypeError("no slot")
        default = record.get("default")
        names = Names(tuple(found), None if default is None else text(default))
        return replace(names, is_several=record.get("several") is True, sealed=sealed)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RecordUnreadable("a field has no sensible reading") from None


def seal(storage: Storage, subject: Subject, names: Names) -> str:
    accounts = [
        {"slot": one.slot, "name": one.shown}
        | ({"since": one.since, "id": one.account_id} if one.since else {})
        for one in names.accounts
    ]
    payload: dict[str, Any] = {"accounts": accounts}
    if names.default is not None:
        payload["default"] = names.default
    if names.is_several:
        payload["several"] = True
    return storage.sealer.seal("names", subject.user_id, subject.provider.name, payload)
