"""Accounts with a name, of another system: stored one by one, each beside the others."""

from __future__ import annotations

from ..journal import activity
from ..storage import imports, name_list
from ..storage.account_names import Named, account_name
from ..storage.imports import Entry, Imported
from ..storage.storage import Subject
from . import additions
from .look import Look, look
from .services import Services


async def put(
    services: Services, entry: Entry, name: str, *, replaces: bool, writes: bool
) -> Imported:
    """Store one account under its name; it takes the steps of :mod:`.additions`.

    One that is connected under another name stays as it is.  Raises ``StoreUnavailable``
    and ``RecordUnreadable``.
    """
    storage, first = services.storage, entry.subject
    how = {"replaces": replaces, "writes": writes}
    seen = await look(storage, first)
    slot = _slot(seen, entry, name)
    if slot is None:
        return Imported.KEPT
    if slot in seen.live:
        return await _put(services, entry, slot, **how)
    if not replaces and await is_ended(services, first.at(slot)):
        return Imported.KEPT
    if additions.is_full(seen, seen.names, storage.clock.now()):
        return Imported.FULL
    if not writes:
        return Imported.STORED
    account = await _listed(services, seen, entry, name)
    if account is None:
        return Imported.KEPT
    outcome = await _put(services, entry, account.slot, **how)
    after = additions.without if outcome is Imported.KEPT else additions.settled
    await name_list.change(storage, first, lambda names: after(names, account))
    return outcome


async def is_ended(services: Services, subject: Subject) -> bool:
    """Tell whether the connection was disconnected here, by the person's timeline."""
    place = services.storage, subject.redis, subject.user_id
    page = await activity.read(*place, provider=subject.place, kinds=("disconnected",), size=1)
    return bool(page.events)


def _slot(seen: Look, entry: Entry, name: str) -> str | None:
    """Return the place of an account, ``None`` if it is connected under another name."""
    known = seen.names.by_name(account_name(name))
    if known and known.slot in seen.live:
        return known.slot
    if seen.names.fault or seen.slot_of(entry.profile.account) is not None:
        return None
    if not seen.live:
        return ""
    return known.slot if known else seen.names.free_slot(account_name(name))


async def _listed(services: Services, seen: Look, entry: Entry, name: str) -> Named | None:
    """List the account; ``None`` if another process adds the same one just now."""
    if not seen.live:
        return (await additions.begin_anew(services, seen, name)).names.at("")
    account = await additions.listed(services, seen, entry.profile, name)
    if account:
        await name_list.mark(services.storage, seen.first)
    return account


async def _put(
    services: Services, entry: Entry, slot: str, *, replaces: bool, writes: bool
) -> Imported:
    placed = [Entry(entry.subject.at(slot), entry.token, entry.profile)]
    (outcome,) = await imports.put(services.storage, placed, replaces=replaces, writes=writes)
    return outcome
