"""The account that an authorization is for: one that is connected, or another beside them."""

from __future__ import annotations

from ..links.codes import Attempt
from ..models import Account
from ..storage.account_names import account_name, slot_of
from .look import Look


def target(seen: Look, attempt: Attempt) -> str | None:
    """Return the slot of the account that was asked for; ``None`` to add one.

    The first of all goes to the first slot, whatever it is to be called.
    """
    live = seen.live
    if not live:
        return ""
    if attempt.account:
        slot = slot_of(attempt.account)
        if slot is not None:
            return slot if slot in live else None
        known = seen.names.by_name(account_name(attempt.account))
        return known.slot if known and known.slot in live else None
    if attempt.is_adding:
        return None
    if seen.names.default in live:
        return seen.names.default
    return live[0] if len(live) == 1 and not seen.names.is_several else None


def same(seen: Look, target: str | None, account: Account) -> str | None:
    """Return the slot at which this very account is connected already, the target's first."""
    is_same = seen.first.provider.is_same_account
    if target is not None and is_same(seen.stored[target].facts.account, account):
        return target
    return seen.slot_of(account)


def wanted(seen: Look, attempt: Attempt) -> str:
    """Return the name that was asked for, ``""`` if none was."""
    slot = slot_of(attempt.account)
    return attempt.account if slot is None else seen.names.shown(slot)
