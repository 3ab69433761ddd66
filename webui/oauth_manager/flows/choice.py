"""The person's answer to an offered account: use it, or do without it."""

from __future__ import annotations

from ..errors import StoreUnavailable
from ..journal.activity import Event
from ..models import Connection
from ..storage import lookup, switch_offers
from ..storage.storage import Subject
from ..storage.switch_offers import SwitchOffer
from . import arrivals, offers, revocation
from .arrivals import Fresh
from .services import Services


async def answer(
    services: Services, subject: Subject, offer_id: str, *, use_new: bool
) -> Connection | SwitchOffer | None:
    """Answer the offer of this id; return the new connection, if there is one.

    Returns a newer offer, untouched, if that one has been replaced.
    """
    offer = await switch_offers.claim(services.storage, subject, offer_id)
    if offer is None:
        return None
    if offer.id != offer_id:
        return await offers.peek(services, subject)
    if use_new and not offer.is_over(services.storage.clock.now()):
        return await _use_new(services, subject, offer)
    await offers.give_back(services, subject, offer)
    return None


async def _use_new(services: Services, subject: Subject, offer: SwitchOffer) -> Connection | None:
    """Replace the connected account by the offered one, and end the old grant aside.

    ``None`` if the connection is not the one of the time of the question: a
    disconnect or another connection came in between, and counts.
    """
    try:
        before = await lookup.read_for_writing(services.storage, subject)
    except StoreUnavailable:
        await offers.give_back(services, subject, offer)
        raise
    earlier = before.facts
    old = earlier.account
    is_replacing = bool(before.sealed.tokens or earlier.problem)
    if is_replacing != offer.is_replacing or old.id != offer.old.id:
        await offers.give_back(services, subject, offer)
        return None
    by = "chat" if offer.handle and offer.return_to == "done" else "web"
    kind = "account_switched" if is_replacing else "connected"
    now = services.storage.clock.now()
    accounts = {"account": offer.new.label, "was": old.label if is_replacing else ""}
    event = Event(kind, subject.provider.name, by, now, **accounts)
    fresh = Fresh(subject, offer.token, offer.profile, before, event)
    connection = await arrivals.keep(services, fresh)
    if connection and old.id and offer.new.id and before.token:
        # Not if it may be the same account, whose new grant would end with the old one.
        services.tasks.run(revocation.ask(services, subject, before.token))
    return connection
