"""From a connection to none: here for certain, at the provider as far as it goes."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from .activity import Activity, Event
from .background import Background
from .errors import OAuthError, OAuthRefused, RecordUnreadable, StoreUnavailable
from .leftovers import KEPT_SECONDS, Leftover, Leftovers
from .models import Account, Disconnected, RevokeOutcome, TokenData
from .provider import OAuthProvider
from .redis_io import redis_call
from .refreshing import Refresher
from .store import Store, Stored
from .switching import Switches, SwitchOffer
from .telling import Telling
from .transport import DEADLINE, DEADLINE_WHILE_WAITING

log = logging.getLogger(__name__)

Asked = tuple[RevokeOutcome, TokenData | None]
"""What the provider did, and what it can be asked with again where it did not confirm."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A connection that is gone here, while its provider is being asked to end it."""

    account: Account
    result: asyncio.Task[Disconnected]

    async def within(self, seconds: float) -> Disconnected | None:
        """How it went; ``None`` where the provider takes longer, and is not stopped by that."""
        done, _ = await asyncio.wait({self.result}, timeout=seconds)
        return self.result.result() if done else None


class Disconnector:
    """Removes connections and asks providers to end their grants."""

    def __init__(
        self,
        store: Store,
        refresher: Refresher,
        telling: Telling,
        activity: Activity,
        switches: Switches,
        leftovers: Leftovers,
        background: Background,
    ) -> None:
        self._store = store
        self._refresher = refresher
        self._telling = telling
        self._activity = activity
        self._switches = switches
        self._leftovers = leftovers
        self._background = background

    async def disconnect(
        self, redis: Any, user_id: str, provider: OAuthProvider, by: str, *, keeps: bool
    ) -> Ending:
        """Remove the connection here; what the ending still waits for is the provider.

        ``keeps`` puts the tokens aside for :meth:`ask_again` where the provider
        does not confirm.  Raises ``StoreUnavailable``, in which case it was not asked.
        """
        removed = await self._removed(redis, user_id, provider.name)
        account = self._store.open_profile(user_id, provider.name, removed.profile).account
        work = self._end(redis, user_id, provider, removed, account, by, keeps)
        return Ending(account, self._background.run(work))

    async def _removed(self, redis: Any, user_id: str, provider: str) -> Stored:
        """Both records, taken away; what only the answer to that lost was read before."""
        before = await self._store.read_one(redis, user_id, provider)
        account = self._store.open_profile(user_id, provider, before.profile).account
        also = partial(self._telling.removed, user_id=user_id, provider=provider, account=account)
        try:
            return await self._store.remove(redis, user_id, provider, also)
        except StoreUnavailable:
            removed = await self._store.remove(redis, user_id, provider, also)
        return Stored(removed.tokens or before.tokens, removed.profile or before.profile)

    async def _end(
        self,
        redis: Any,
        user_id: str,
        provider: OAuthProvider,
        removed: Stored,
        account: Account,
        by: str,
        keeps: bool,
    ) -> Disconnected:
        name = provider.name
        offer = await self._other_account(redis, user_id, name)
        outcome, token = await self._end_at_provider(user_id, provider, removed)
        if offer:
            await self._refresher.revoke(provider, offer.token, DEADLINE_WHILE_WAITING)
        now, until = time.time(), 0.0
        if removed.tokens or removed.profile:
            left = Leftover(token, now + KEPT_SECONDS) if keeps and token else None
            if left and await self._is_connected(redis, user_id, name):
                left = None  # asking again would end the new grant along with the old one
            event = Event("disconnected", name, by, now, outcome.value, account.label)
            if await self._telling.disconnected(redis, user_id, event, left) and left:
                until = left.until
        return Disconnected(name, outcome, account, until)

    async def _other_account(self, redis: Any, user_id: str, provider: str) -> SwitchOffer | None:
        try:
            return await self._switches.take(redis, user_id, provider)
        except StoreUnavailable:
            log.warning("%s: another account was left to run out", provider)
            return None

    def end_aside(self, user_id: str, provider: OAuthProvider, removed: Stored) -> None:
        """Ask the provider to end what was removed, while nobody waits for it."""
        self._background.run(self._end_at_provider(user_id, provider, removed))

    async def _end_at_provider(
        self, user_id: str, provider: OAuthProvider, removed: Stored
    ) -> Asked:
        if not removed.tokens:
            known = self._store.open_profile(user_id, provider.name, removed.profile)
            return RevokeOutcome.ENDED if known.problem else RevokeOutcome.NOTHING, None
        if not provider.can_revoke:
            return RevokeOutcome.UNSUPPORTED, None
        try:
            token = self._store.open_tokens(user_id, provider.name, removed.tokens)
        except RecordUnreadable:
            token = None
        if token is None or not provider.is_configured:
            return RevokeOutcome.UNCONFIRMED, None
        return await self._ask(provider, token)

    async def _ask(self, provider: OAuthProvider, token: TokenData) -> Asked:
        """Ask the provider, which has ``DEADLINE`` seconds in all."""
        give_up = time.monotonic() + DEADLINE
        if provider.revoke_style == "delete" and token.is_over and token.refresh_token:
            # Only a token that still works can end this kind of grant.
            try:
                token = await self._refresher.renewed(provider, token)
            except OAuthRefused:
                return RevokeOutcome.UNCONFIRMED, None
            except OAuthError:
                return RevokeOutcome.UNCONFIRMED, token
        rest = max(give_up - time.monotonic(), 0.1)
        confirmed = await self._refresher.revoke(provider, token, rest)
        log.info("%s: disconnected; provider confirmed: %s", provider.name, confirmed)
        return (RevokeOutcome.REVOKED, None) if confirmed else (RevokeOutcome.UNCONFIRMED, token)

    # Asking once more

    async def ask_again(self, redis: Any, user_id: str, provider: OAuthProvider) -> Ending | None:
        """Ask with what is left; ``None`` where that is nothing, or something is connected."""
        if await self._is_connected(redis, user_id, provider.name):
            return None
        left = await self._leftovers.take(redis, user_id, provider.name)
        if left is None:
            return None
        work = self._end_again(redis, user_id, provider, left)
        return Ending(Account(), self._background.run(work))

    async def _end_again(
        self, redis: Any, user_id: str, provider: OAuthProvider, left: Leftover
    ) -> Disconnected:
        outcome, token = await self._ask(provider, left.token)
        if token is None:
            if outcome is RevokeOutcome.REVOKED:
                event = Event("revoked", provider.name, "web", time.time())
                await self._activity.note(redis, user_id, event)
            return Disconnected(provider.name, outcome)
        try:
            if await self._is_connected(redis, user_id, provider.name):
                return Disconnected(provider.name, outcome)
            async with redis_call("keep what is left of a connection"):
                await self._leftovers.add(redis, user_id, Leftover(token, left.until))
        except StoreUnavailable:
            return Disconnected(provider.name, outcome)
        return Disconnected(provider.name, outcome, retry_until=left.until)

    async def _is_connected(self, redis: Any, user_id: str, provider: str) -> bool:
        stored = await self._store.read_one(redis, user_id, provider)
        return bool(stored.tokens or stored.profile)

    async def drop_leftovers(self, redis: Any, user_id: str, provider: str) -> None:
        """Nothing is to be asked again."""
        async with redis_call("drop what is left of a connection"):
            await self._leftovers.drop(redis, user_id, provider)
