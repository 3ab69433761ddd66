"""Tokens put aside until the person has answered, and revocation of unwanted ones."""

from __future__ import annotations

import logging
from typing import Any

from ..errors import StoreUnavailable
from ..protocol.client import ProviderClient
from ..protocol.transport import DEADLINE_WHILE_WAITING
from ..providers.provider import OAuthProvider
from ..storage.calls import Pipeline, RedisClient, text_of
from ..storage.storage import Storage
from ..storage.switch_offers import SwitchOffer
from .tasks import Tasks

log = logging.getLogger(__name__)


class Offers:
    """The offers, and the ending of grants of dropped ones."""

    def __init__(self, storage: Storage, client: ProviderClient, tasks: Tasks) -> None:
        self._switches = storage.offers
        self._store = storage.connections
        self._accounts = storage.accounts
        self._client = client
        self._tasks = tasks

    async def put(
        self, redis: RedisClient, user_id: str, provider: OAuthProvider, offer: SwitchOffer
    ) -> None:
        """Keep the offer.  It replaces an older one, which nobody can answer any more."""
        try:
            before = await self._switches.put(redis, user_id, offer)
        except StoreUnavailable:
            await self.give_back(redis, user_id, provider, offer)
            raise
        self.drop(redis, user_id, provider, before)

    async def peek(
        self, redis: RedisClient, user_id: str, provider: OAuthProvider
    ) -> SwitchOffer | None:
        """Return the offer that can be answered.  An expired one is given back meanwhile."""
        offer = await self._switches.peek(redis, user_id, provider.name)
        if offer is None or not offer.is_over:
            return offer
        self._tasks.run(self._end_over(redis, user_id, provider, offer))
        return None

    async def take(
        self, redis: RedisClient, user_id: str, provider: OAuthProvider, offer_id: str
    ) -> SwitchOffer | None:
        """Return the offer there is: consumed if it has this id, else left as it is."""
        return await self._switches.claim(redis, user_id, provider.name, offer_id)

    async def take_any(self, redis: RedisClient, user_id: str, provider: str) -> SwitchOffer | None:
        """Consume the offer, whichever it is."""
        return await self._switches.taken(redis, user_id, provider)

    def queue_take(self, pipe: Pipeline, user_id: str, provider: str) -> Any:
        """Queue a :meth:`take_any` on a pipeline; :meth:`taken` reads the answer."""
        return self._switches.take(pipe, user_id, provider)

    def taken(self, user_id: str, provider: str, answer: Any) -> SwitchOffer | None:
        return self._switches.open(user_id, provider, text_of(answer))

    def drop(
        self, redis: RedisClient, user_id: str, provider: OAuthProvider, offer: SwitchOffer | None
    ) -> None:
        """Give back in the background an offer that was taken already."""
        if offer:
            self._tasks.run(self.give_back(redis, user_id, provider, offer))

    async def give_back(
        self, redis: RedisClient, user_id: str, provider: OAuthProvider, offer: SwitchOffer
    ) -> None:
        """Ask the provider to end a grant that nobody wants.

        Not if a connection here may be of the same account: a provider may end
        everything that an account has granted (GitHub, Google, Discord).
        """
        try:
            is_used = await self._is_used(redis, user_id, provider, offer)
        except StoreUnavailable:
            log.warning("%s: an account that was not wanted is left to run out", provider.name)
            return
        if not is_used:
            await self._client.revoke(provider, offer.token, DEADLINE_WHILE_WAITING)

    async def _is_used(
        self, redis: RedisClient, user_id: str, provider: OAuthProvider, offer: SwitchOffer
    ) -> bool:
        """Return whether the account is, or for all we know may be, one of those in use here."""
        account, name = offer.new, provider.name
        if not account.id:
            return True
        waiting = await self._switches.peek(redis, user_id, name)
        stored = await self._store.read_one(redis, user_id, name)
        in_use = [waiting.new] if waiting and waiting.id != offer.id else []
        if stored.tokens or stored.profile:
            in_use.append(self._store.facts(user_id, name, stored).account)
        if any(not own.id or provider.is_same_account(own, account) for own in in_use):
            return True
        return bool(await self._accounts.users(redis, name, account))

    async def _end_over(
        self, redis: RedisClient, user_id: str, provider: OAuthProvider, offer: SwitchOffer
    ) -> None:
        taken = await self.take(redis, user_id, provider, offer.id)
        if taken and taken.id == offer.id:
            await self.give_back(redis, user_id, provider, taken)
