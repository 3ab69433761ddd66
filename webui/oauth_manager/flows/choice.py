"""The person's answer to an offered account: use it, or do without it."""

from __future__ import annotations

import time

from ..errors import StoreUnavailable
from ..journal.activity import Event
from ..models import Connection
from ..providers.provider import OAuthProvider
from ..storage.calls import RedisClient
from ..storage.storage import Storage
from ..storage.switch_offers import SwitchOffer
from .arrivals import Arrivals, Fresh
from .disconnect import Disconnector
from .offers import Offers


class Choice:
    """The carrying out of answers."""

    def __init__(
        self, storage: Storage, arrivals: Arrivals, offers: Offers, disconnector: Disconnector
    ) -> None:
        self._store = storage.connections
        self._arrivals = arrivals
        self._offers = offers
        self._disconnector = disconnector

    async def take(
        self,
        redis: RedisClient,
        user_id: str,
        provider: OAuthProvider,
        offer_id: str,
        *,
        use_new: bool,
    ) -> Connection | SwitchOffer | None:
        """Answer the offer of this id; return the new connection, if there is one.

        Returns a newer offer, untouched, if that one has been replaced.
        """
        offer = await self._offers.take(redis, user_id, provider, offer_id)
        if offer is None:
            return None
        if offer.id != offer_id:
            return await self._offers.peek(redis, user_id, provider)
        if use_new and not offer.is_over:
            return await self._use_new(redis, user_id, provider, offer)
        await self._offers.give_back(redis, user_id, provider, offer)
        return None

    async def _use_new(
        self, redis: RedisClient, user_id: str, provider: OAuthProvider, offer: SwitchOffer
    ) -> Connection | None:
        """Replace the connected account by the offered one, and end the old grant aside.

        ``None`` if the connection is not the one of the time of the question: a
        disconnect or another connection came in between, and counts.
        """
        try:
            before = await self._store.read_for_writing(redis, user_id, provider.name)
        except StoreUnavailable:
            await self._offers.give_back(redis, user_id, provider, offer)
            raise
        earlier = self._store.facts(user_id, provider.name, before)
        old, is_replacing = earlier.account, bool(before.tokens or earlier.problem)
        if is_replacing != offer.is_replacing or old.id != offer.old.id:
            await self._offers.give_back(redis, user_id, provider, offer)
            return None
        by = "chat" if offer.handle and offer.return_to == "done" else "web"
        kind = "account_switched" if is_replacing else "connected"
        event = Event(kind, provider.name, by, time.time(), account=offer.new.label)
        fresh = Fresh(user_id, offer.token, offer.profile, before, event)
        kept = await self._arrivals.keep(redis, provider, fresh)
        if kept and old.id and offer.new.id:
            # Not if it may be the same account, whose new grant would end with the old one.
            self._disconnector.end_aside(user_id, provider, before)
        return kept
