"""The person's answer to an offered account: use it, put it beside the other, or do without."""

from __future__ import annotations

from ..errors import FlowRefused, StoreUnavailable
from ..journal.activity import Event
from ..models import Connection
from ..storage import lookup, switch_offers
from ..storage.storage import Subject
from ..storage.switch_offers import SwitchOffer
from . import additions, arrivals, offers, revocation
from .arrivals import Fresh
from .look import Look, look_beside
from .services import Services


async def answer(
    services: Services, subject: Subject, offer_id: str, *, use_new: bool, add: bool, name: str
) -> Connection | SwitchOffer | None:
    """Answer the offer of this id; return the new connection, if there is one.

    Returns a newer offer, untouched, if that one has been replaced.
    """
    offer = await switch_offers.claim(services.storage, subject, offer_id)
    if offer is None:
        return None
    if offer.id != offer_id:
        return await offers.peek(services, subject)
    is_over = offer.is_over(services.storage.clock.now())
    if is_over or not (use_new or (add and offer.can_add)):
        await offers.give_back(services, subject, offer)
        return None
    try:
        before = await lookup.read_for_writing(services.storage, subject)
        (seen,) = await look_beside(services.storage, [(subject.at(""), before)])
    except StoreUnavailable:
        await offers.give_back(services, subject, offer)
        raise
    if add or (seen.live and not offer.is_replacing):
        return await _add(services, seen, offer, name or offer.name)
    return await _use_new(services, seen, offer)


async def _use_new(services: Services, seen: Look, offer: SwitchOffer) -> Connection | None:
    """Replace the connected account by the offered one, and end the old grant aside.

    ``None`` if the connection is not the one of the time of the question: a
    disconnect or another connection came in between, and counts.
    """
    subject, before = seen.first.at(offer.slot), seen.as_read(offer.slot)
    earlier = before.facts
    old = earlier.account
    is_replacing = bool(before.sealed.tokens or earlier.problem)
    if is_replacing != offer.is_replacing or old.id != offer.old.id:
        await offers.give_back(services, subject, offer)
        return None
    kind = "account_switched" if is_replacing else "connected"
    was = old.label if is_replacing else ""
    event = _event(services, kind, subject, offer, was=was, **before.named(subject))
    fresh = Fresh(subject, offer.token, offer.profile, before, event)
    connection = await arrivals.keep(services, fresh)
    if connection and old.id and offer.new.id and before.token:
        # Not if it may be the same account, whose new grant would end with the old one.
        services.tasks.run(revocation.ask(services, subject, before.token))
    return connection and seen.named(connection, offer.slot)


async def _add(services: Services, seen: Look, offer: SwitchOffer, name: str) -> Connection | None:
    """Put the offered account beside those that are connected."""
    event = _event(services, "connected", seen.first, offer)
    try:
        return await additions.add(services, seen, offer.token, offer.profile, event, name)
    except FlowRefused:
        await offers.give_back(services, seen.first, offer)
        raise


def _event(
    services: Services, kind: str, subject: Subject, offer: SwitchOffer, **more: str
) -> Event:
    by = "chat" if offer.handle and offer.return_to == "done" else "web"
    now = services.storage.clock.now()
    return Event(kind, subject.provider.name, by, now, account=offer.new.label, **more)
