"""Offers of another account: tokens put aside until the person answers, or given back."""

from __future__ import annotations

import logging

from ..errors import StoreUnavailable
from ..protocol.transport import DEADLINE_WHILE_WAITING
from ..storage import account_index, erasures, switch_offers
from ..storage.storage import Storage, Subject
from ..storage.switch_offers import SwitchOffer
from .look import look
from .services import Services

log = logging.getLogger(__name__)


async def put(services: Services, subject: Subject, offer: SwitchOffer, begun: float) -> bool:
    """Keep the offer; ``False`` if the person was erased since ``begun`` (ms, Redis's clock).

    It replaces an older one, which nobody can answer any more.
    """
    storage = services.storage
    try:
        before = await switch_offers.put(storage, subject, offer)
        is_gone = await erasures.came(storage, subject.redis, subject.user_id, begun)
    except StoreUnavailable:
        await give_back(services, subject, offer)
        raise
    drop(services, subject, before)
    if is_gone:
        await _end_over(services, subject, offer)
    return not is_gone


async def peek(services: Services, subject: Subject) -> SwitchOffer | None:
    """Return the offer that can be answered.  An expired one is given back meanwhile."""
    offer = await switch_offers.peek(services.storage, subject)
    if offer is None or not offer.is_over(services.storage.clock.now()):
        return offer
    services.tasks.run(_end_over(services, subject, offer))
    return None


def drop(services: Services, subject: Subject, offer: SwitchOffer | None) -> None:
    """Give back in the background an offer that was taken already."""
    if offer:
        services.tasks.run(give_back(services, subject, offer))


async def give_back(services: Services, subject: Subject, offer: SwitchOffer) -> None:
    """Ask the provider to end a grant that nobody wants.

    Not if a connection here may be of the same account: a provider may end
    everything that an account has granted (GitHub, Google, Discord).
    """
    try:
        is_used = await _is_used(services.storage, subject, offer)
    except StoreUnavailable:
        log.warning("%s: an account that was not wanted is left to run out", subject.provider.name)
        return
    if not is_used:
        subject = await services.servers.about_if_known(subject)
        await services.client.revoke(subject.provider, offer.token, DEADLINE_WHILE_WAITING)


async def _is_used(storage: Storage, subject: Subject, offer: SwitchOffer) -> bool:
    """Return whether the account is, or for all we know may be, one of those in use here."""
    account, provider = offer.new, subject.provider
    if not account.id:
        return True
    waiting = await switch_offers.peek(storage, subject)
    seen = await look(storage, subject)
    in_use = [waiting.new] if waiting and waiting.id != offer.id else []
    in_use += [seen.stored[slot].facts.account for slot in seen.live]
    if any(not own.id or provider.is_same_account(own, account) for own in in_use):
        return True
    return bool(await account_index.users(storage, subject.redis, provider, account))


async def _end_over(services: Services, subject: Subject, offer: SwitchOffer) -> None:
    taken = await switch_offers.claim(services.storage, subject, offer.id)
    if taken and taken.id == offer.id:
        await give_back(services, subject, taken)
