"""The accounts of one service: which there are, which one is meant, and mending after a crash.

A list of names says where to look, and the records decide (:mod:`..storage.account_names`).
Nothing is guessed: a call that names no account is for the only one there has ever been, or
for the person's default.
"""

from __future__ import annotations

from ..errors import OAuthAmbiguous, RecordUnreadable, StoreUnavailable
from ..storage import lookup, name_list
from ..storage.account_names import FRESH_SECONDS, Names, account_name, slot_of
from ..storage.records import Stored
from ..storage.storage import Subject
from ..token_data import TokenData
from ..values import replace
from .look import Look, look
from .services import Services


async def found(
    services: Services, subject: Subject, *, is_any: bool = False
) -> tuple[Subject, TokenData | None]:
    """Read the tokens that are meant, and say whose: one round trip if there is one account.

    ``is_any`` as in :class:`.storage.Subject`.  Raises ``RecordUnreadable``, and
    ``OAuthAmbiguous`` if it is unclear.
    """
    storage = services.storage
    if not (is_any or subject.is_any):
        return subject, await lookup.read_token(storage, subject)
    token, fault = None, None
    try:
        token = await lookup.read_token(storage, subject)
    except RecordUnreadable as error:
        fault = error
    if token and not token.has_others:
        return subject, token
    meant = await the_one(services, subject)
    if meant.slot:
        return meant, await lookup.read_token(storage, meant)
    if fault:
        raise fault
    return meant, token


async def meant(
    services: Services, first: Subject, account: str | None
) -> tuple[Subject, TokenData | None]:
    """Read the tokens of the account of this name or handle, of the one that is meant if None.

    Raises like :func:`found`.
    """
    if account is None:
        return await found(services, first, is_any=True)
    return await named(services, first, account)


async def named(
    services: Services, first: Subject, account: str
) -> tuple[Subject, TokenData | None]:
    """Read the tokens of the account of this name or handle, and say whose; one round trip."""
    slot = slot_of(account)
    if slot is None:
        return await lookup.read_token_named(services.storage, first, account_name(account))
    subject = first.at(slot)
    return subject, await lookup.read_token(services.storage, subject)


async def place_of(services: Services, first: Subject, account: str) -> Subject:
    """Return the connection that a name or a handle means; one with nothing in it if none."""
    slot = slot_of(account)
    if slot is not None:
        return first.at(slot)
    name = account_name(account)
    names = await name_list.read(services.storage, first) or Names()
    known = names.by_name(name)
    return first.at(known.slot if known else names.free_slot(name))


async def settled(services: Services, subject: Subject, stored: Stored) -> Subject:
    """Return the connection that is meant, once the first account was read with its names."""
    is_alone = stored.names is None and not (stored.token and stored.token.has_others)
    if not subject.is_any or is_alone:
        return subject
    return await the_one(services, subject)


async def the_one(services: Services, first: Subject) -> Subject:
    """Return the connection that a call means which names no account.

    Raises ``OAuthAmbiguous`` if there are several, or once were, and none is the default;
    ``RecordUnreadable`` if the list cannot be read.
    """
    seen = await look(services.storage, first)
    mend(services, seen)
    names, live = seen.names, seen.live
    if names.fault:
        raise RecordUnreadable(names.fault)
    if names.default in live:
        return first.at(names.default or "")
    if not live:
        return first.at("")
    if len(live) == 1 and not names.is_several:
        return first.at(live[0])
    provider = first.provider
    keys = [seen.key(slot) for slot in live]
    raise OAuthAmbiguous(provider.name, services.page_url, sorted(keys), provider.label)


def mend(services: Services, seen: Look) -> bool:
    """Put the list right in the background, if a crash or a disconnect has left it behind.

    Returns whether it was.
    """
    now = services.storage.clock.now()
    if seen.names.fault or not seen.names.accounts:
        token = seen.stored[""].token
        is_odd = not seen.names.fault and bool(token and token.has_others)
    else:
        is_odd = mended(seen, seen.names, now) != seen.names or _is_mark_wrong(seen)
    if is_odd:
        services.tasks.run(_mend(services, seen))
    return is_odd


def mended(seen: Look, names: Names, now: float) -> Names:
    """Return the list as it should be by what was seen: what has changed since stays as it is."""
    kept = names
    for one in names.accounts:
        known, before = seen.stored.get(one.slot), seen.names.at(one.slot)
        if known is None or one != before:
            continue
        if known.is_there and one.since:
            kept = kept.with_one(replace(one, since=0.0, account_id=""))
            kept = replace(kept, is_several=kept.is_several or bool(kept.others))
        elif not (known.is_there or known.held) and now - one.since >= FRESH_SECONDS:
            kept = kept.without(one.slot)
    return kept


def _is_mark_wrong(seen: Look) -> bool:
    token = seen.stored[""].token
    needs = seen.names.is_several or bool(seen.names.others)
    return token is not None and token.has_others is not needs


async def _mend(services: Services, seen: Look) -> None:
    storage, first = services.storage, seen.first.at("")
    now = storage.clock.now()
    try:
        names = seen.names
        if names.accounts:
            names = await name_list.change(storage, first, lambda n: mended(seen, n, now), names)
        needs = names.is_several or bool(names.others)
        await name_list.mark(storage, first, has_others=needs)
        if not needs and (await name_list.read(storage, first) or Names()).others:
            await name_list.mark(storage, first)  # somebody is adding one just now
    except (StoreUnavailable, RecordUnreadable):
        services.steps.tell("mend", first.provider.name, "failed", services.steps.now())
