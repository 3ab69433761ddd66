"""A further account of a service, stored beside the others; what that takes, in its order.

The list names it, the first account's tokens are marked, its records are written, and the list
says that it is there: a crash in between is mended by the next look (:mod:`.accounts`).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from ..errors import FlowRefused, RecordUnreadable, StoreUnavailable
from ..journal.activity import WAS_THERE, Event
from ..models import Connection, Profile
from ..storage import name_list
from ..storage.account_names import (
    FRESH_SECONDS,
    Named,
    Names,
    account_name,
    as_shown,
    free,
    proposed,
)
from ..token_data import TokenData
from ..values import replace
from . import arrivals
from .arrivals import Fresh
from .look import Look, look
from .services import Services

_TRIES = 20  # to add an account that another process adds too,
_PAUSE = 0.2  # seconds apart


def is_full(seen: Look, names: Names, now: float) -> bool:
    """Tell whether the person has as many accounts of the service as they may have."""
    return len(_taken(seen, names, now)) >= seen.first.provider.max_accounts


def _taken(seen: Look, names: Names, now: float) -> dict[str, str]:
    """Map the slot of each account that is there, or is being added, to its name."""
    live = {slot: seen.key(slot) for slot in seen.live if not names.at(slot)}
    listed = {
        one.slot: one.name
        for one in names.accounts
        if one.slot in seen.live or now - one.since < FRESH_SECONDS
    }
    return {**live, **listed}


async def add(
    services: Services, seen: Look, token: TokenData, profile: Profile, event: Event, wanted: str
) -> Connection | None:
    """Store another account, under the name ``wanted`` or one made of its label.

    The same account of the provider's is never there twice: if it came meanwhile, it is
    renewed.  ``None`` if the person was erased meanwhile.  Raises ``FlowRefused("too_many")``,
    and like :func:`.arrivals.keep`.
    """
    for _ in range(_TRIES):
        seen = await _now(services, seen)
        slot = seen.slot_of(profile.account)
        if slot is not None:
            told = replace(event, detail=WAS_THERE)
            found = await _stored(services, seen, token, profile, told, slot)
            return found and replace(found, was_there=True)
        account = await listed(services, seen, profile, wanted)
        if account:
            break
        await asyncio.sleep(_PAUSE)  # this very account is being added just now
    else:
        raise StoreUnavailable("store connection", "changing")
    storage, first = services.storage, seen.first
    await name_list.mark(storage, first)
    seen = replace(seen, names=seen.names.with_one(account))
    connection = await _stored(services, seen, token, profile, event, account.slot)
    if connection is None:
        await name_list.change(storage, first, lambda names: without(names, account))
        return None
    with suppress(StoreUnavailable, RecordUnreadable):  # the next look does it
        await name_list.change(storage, first, lambda names: settled(names, account))
    return connection


async def begin_anew(services: Services, seen: Look, wanted: str) -> Look:
    """Begin the list anew for the first account of all: named as was asked for, if it was."""
    if seen.live or not (seen.names.accounts or wanted):
        return seen
    now = services.storage.clock.now()
    own = [Named("", as_shown(wanted), since=now)] if wanted else []
    held = [one for one in seen.names.accounts if one.slot and seen.stored[one.slot].held]
    fresh = Names((*own, *held))
    names = await name_list.change(
        services.storage, seen.first, lambda now: fresh if now == seen.names else now, seen.names
    )
    first = replace(seen.stored[""], names=names if names.others else None)
    return replace(seen, names=names, stored={**seen.stored, "": first})


async def _now(services: Services, seen: Look) -> Look:
    """Look again: the provider may have taken its time."""
    first, now = seen.stored[""], await look(services.storage, seen.first)
    begun = replace(now.stored[""], clock_ahead=first.clock_ahead, read_at=first.read_at)
    return replace(now, stored={**now.stored, "": begun})


async def listed(services: Services, seen: Look, profile: Profile, wanted: str) -> Named | None:
    """List the account; return its entry, ``None`` if another process lists the same account.

    Raises ``FlowRefused("too_many")``.
    """
    first, now = seen.first, services.storage.clock.now()
    account: Named | None = None

    def listed(names: Names) -> Names:
        nonlocal account
        account = None
        fresh = [one for one in names.accounts if now - one.since < FRESH_SECONDS]
        if any(one.account_id == profile.account.id for one in fresh if one.account_id):
            return names
        if is_full(seen, names, now):
            raise FlowRefused("too_many", first.provider.name)
        if "" in seen.live and not names.at(""):
            names = names.with_one(Named("", seen.key("")))
        account = _named(seen, names, profile, wanted, now)
        return names.with_one(account)

    await name_list.change(services.storage, first, listed, seen.names)
    return account


async def _stored(
    services: Services, seen: Look, token: TokenData, profile: Profile, event: Event, slot: str
) -> Connection | None:
    before = seen.as_read(slot)
    kind = "reconnected" if before.is_there else event.kind
    if before.token and not token.refresh_token and before.facts.account == profile.account:
        token.refresh_token = before.token.refresh_token
    event = replace(event, kind=kind, name=seen.name(slot), slot=slot)
    fresh = Fresh(seen.first.at(slot), token, profile, before, event)
    connection = await arrivals.keep(services, fresh)
    return connection and seen.named(connection, slot)


def _named(seen: Look, names: Names, profile: Profile, wanted: str, now: float) -> Named:
    """Choose a name that nobody has, and a slot that nothing is at, or nothing any more."""
    taken = _taken(seen, names, now).values()
    shown = as_shown(wanted) if wanted else proposed(profile.account.label, taken)
    if account_name(shown) in taken:
        shown = free(account_name(shown), taken)
    over = names.by_name(account_name(shown))
    slot = over.slot if over else names.free_slot(account_name(shown))
    return Named(slot, shown, since=now, account_id=profile.account.id)


def without(names: Names, account: Named) -> Names:
    """Take the account from the list, unless it was listed anew since."""
    return names.without(account.slot) if names.at(account.slot) == account else names


def settled(names: Names, account: Named) -> Names:
    """Say in the list that the account is there."""
    known = names.at(account.slot)
    is_ours = known is not None and known.since == account.since
    if known and is_ours:
        names = names.with_one(replace(known, since=0.0, account_id=""))
    return replace(names, is_several=True)
