"""Connecting: an authorization code becomes a stored connection, or a question."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..clock import deadline
from ..errors import FlowRefused
from ..journal.activity import WAS_THERE, Event
from ..links.codes import Attempt
from ..models import Account, Connection, Profile
from ..providers import addresses
from ..providers.provider import OAuthProvider
from ..storage import lookup
from ..storage.canary import WrongKey
from ..storage.records import Stored
from ..storage.storage import Subject
from ..storage.switch_offers import SwitchOffer, new_offer
from ..values import replace
from . import accounts, additions, arrivals, offers, targets
from .arrivals import Fresh
from .exchange import Exchanged, exchanged
from .look import Look, look_beside
from .services import Services


async def complete(
    services: Services,
    subject: Subject,
    attempt: Attempt,
    code: str,
    redirect_uri: str,
    also: Callable[[Any], object],
) -> Connection | SwitchOffer | None:
    """Finish an attempt, and tell how it ended: see :func:`_complete`."""
    work = _complete(services, subject, attempt, code, redirect_uri, also)
    return await services.steps.told("connect", subject.provider.name, work, _outcome)


def _outcome(result: Connection | SwitchOffer | None) -> str:
    if isinstance(result, SwitchOffer):
        return "asked"
    return "connected" if result else "over"


async def _complete(
    services: Services,
    subject: Subject,
    attempt: Attempt,
    code: str,
    redirect_uri: str,
    also: Callable[[Any], object],
) -> Connection | SwitchOffer | None:
    """Finish an attempt whose person has been proven.  Two round trips with one account.

    ``also`` queues more commands on the first.  ``None`` if a disconnect came in
    between; it wins.  A ``SwitchOffer`` if the person has to confirm first that they
    want this.  Raises like :meth:`ProviderClient.exchange`, ``FlowRefused`` if they
    cannot be asked, and ``StoreUnavailable`` after asking the provider to revoke the
    grant that could not be stored.
    """
    subject = await services.servers.about(subject)
    provider = addresses.filled(subject.provider, addresses.values_of(attempt.asked))
    subject = replace(subject, provider=provider)
    if attempt.server not in ("", subject.provider.identity):
        raise FlowRefused("issuer", subject.provider.name)  # its code is another server's
    first, before = subject.at(""), await lookup.read_for_writing(services.storage, subject, also)
    (seen,) = await look_beside(services.storage, [(first, before)])
    if seen.names.fault:
        raise WrongKey(first.provider.name, "connect")
    accounts.mend(services, seen)
    slot = targets.target(seen, attempt)
    back = await exchanged(services, first, attempt, code, redirect_uri)
    same = targets.same(seen, slot, back.account)
    was_there = slot is None and same is not None
    slot = slot if same is None else same
    with deadline(math.inf):  # the provider has answered, and will not answer again
        if slot is None:
            return await _add(services, seen, attempt, back)
        return await _connect(services, seen, attempt, back, slot, was_there=was_there)


async def _connect(
    services: Services,
    seen: Look,
    attempt: Attempt,
    back: Exchanged,
    slot: str,
    *,
    was_there: bool,
) -> Connection | SwitchOffer | None:
    """Store what came back as the account of this slot, or ask if it is another one."""
    subject, provider = seen.first.at(slot), seen.first.provider
    seen = await additions.begin_anew(services, seen, targets.wanted(seen, attempt))
    before = seen.as_read(slot)
    earlier = before.facts
    account = provider.with_fuller_id(back.account, earlier.account)
    is_same = provider.is_same_account(earlier.account, account)
    if is_same and before.token and not back.token.refresh_token:
        # The answer omits it because the account is the very same.
        back.token.refresh_token = before.token.refresh_token
    now = services.storage.clock.now()
    profile = _fresh_profile(provider, attempt, back, account, earlier, now, is_same=is_same)
    if not is_same and (not attempt.is_bound or _is_unclear(before, account)):
        can_add = before.is_there and not additions.is_full(seen, seen.names, now)
        return await _ask(services, seen, attempt, back, profile, slot, can_add=can_add)
    kind = "reconnected" if before.is_there else "connected"
    event = _event(kind, attempt, provider, account, now)
    detail = WAS_THERE if was_there else ""
    named = replace(event, name=seen.name(slot), slot=slot, detail=detail)
    connection = await arrivals.keep(services, Fresh(subject, back.token, profile, before, named))
    return connection and replace(seen.named(connection, slot), was_there=was_there)


async def _add(
    services: Services, seen: Look, attempt: Attempt, back: Exchanged
) -> Connection | SwitchOffer | None:
    """Store what came back beside the others, or ask if it may be one of them."""
    provider, now = seen.first.provider, services.storage.clock.now()
    profile = _fresh_profile(provider, attempt, back, back.account, Profile(), now, is_same=False)
    unknown = [slot for slot in seen.live if not seen.stored[slot].facts.account.id]
    if not back.account.id:
        unknown = seen.live
    if unknown or not attempt.is_bound:
        slot = unknown[0] if unknown else None
        can_add = not additions.is_full(seen, seen.names, now)
        return await _ask(services, seen, attempt, back, profile, slot, can_add=can_add)
    event = _event("connected", attempt, provider, back.account, now)
    wanted = targets.wanted(seen, attempt)
    try:
        return await additions.add(services, seen, back.token, profile, event, wanted)
    except FlowRefused:
        offer = _offer(services, seen, attempt, back, profile, None, can_add=True)
        await offers.give_back(services, seen.first, offer)
        raise


def _event(
    kind: str, attempt: Attempt, provider: OAuthProvider, account: Account, now: float
) -> Event:
    by = "chat" if attempt.return_to == "done" else "web"
    return Event(kind, provider.name, by, now, account=account.label)


def _is_unclear(before: Stored, account: Account) -> bool:
    """Return whether another account may be connected, and a question could name one of both.

    An unreadable record is nobody's: its card says that reconnecting replaces it.
    """
    known = before.facts.account
    if known.id:
        return True
    if before.fault or not (known.label or account.id or account.label):
        return False
    return before.token is not None or bool(before.facts.problem)


async def _ask(
    services: Services,
    seen: Look,
    attempt: Attempt,
    back: Exchanged,
    profile: Profile,
    slot: str | None,
    *,
    can_add: bool,
) -> SwitchOffer | None:
    """Put the new tokens aside as an offer; None if the person was erased meanwhile.

    ``slot`` is that of the account it may replace, if any.  Raises ``FlowRefused("unnamed")``
    if the authorization began in no browser and has no name that the person could know as
    their own: a name that can be copied proves no owner.
    """
    subject = seen.first
    offer = _offer(services, seen, attempt, back, profile, slot, can_add=can_add)
    if not attempt.is_bound and not back.handle:
        await offers.give_back(services, subject, offer)
        raise FlowRefused("unnamed", subject.provider.name)
    is_kept = await offers.put(services, subject, offer, seen.stored[""].read_at)
    return offer if is_kept else None


def _offer(
    services: Services,
    seen: Look,
    attempt: Attempt,
    back: Exchanged,
    profile: Profile,
    slot: str | None,
    *,
    can_add: bool,
) -> SwitchOffer:
    before = Stored() if slot is None else seen.stored[slot]
    earlier = before.facts
    # The name of an account that is there stays with it.
    is_there = targets.target(seen, attempt) is not None
    return new_offer(
        services.storage,
        earlier.account,
        back.token,
        profile,
        is_replacing=bool(before.sealed.tokens or earlier.problem),
        handle="" if attempt.is_bound else back.handle,
        return_to=attempt.return_to,
        slot=slot or "",
        name="" if is_there else targets.wanted(seen, attempt),
        can_add=can_add,
    )


def _fresh_profile(
    provider: OAuthProvider,
    attempt: Attempt,
    back: Exchanged,
    account: Account,
    earlier: Profile,
    now: float,
    *,
    is_same: bool,
) -> Profile:
    """Build the profile of a connection that has just been made."""
    is_of_app = provider.is_of_app(can_renew=bool(back.token.refresh_token))
    goes_on = is_same or not (earlier.account.id or account.id)
    return Profile(
        account,
        connected_at=now,
        renewed_at=now,
        checked_at=now,
        requested_scopes=() if is_of_app else attempt.scopes,
        used_at=earlier.used_at if goes_on else 0.0,
        generation=back.token.generation,
        is_account_refused=back.is_refused,
        kept=back.kept,
        asked=attempt.asked,
    )
