"""From a connection to none: here for certain, at the provider as far as it goes."""

from __future__ import annotations

import logging
import time
from typing import Any

from .activity import Activity, Event
from .errors import OAuthError, RecordUnreadable, StoreUnavailable
from .models import Disconnected, RevokeOutcome
from .notices import NoticeKind, Notices
from .provider import OAuthProvider
from .redis_io import redis_call
from .refreshing import Refresher
from .store import Store, Stored
from .switching import Switches
from .transport import DEADLINE_WHILE_WAITING

log = logging.getLogger(__name__)


class Disconnector:
    """Removes connections and asks providers to end their grants."""

    def __init__(
        self,
        store: Store,
        refresher: Refresher,
        notices: Notices,
        activity: Activity,
        switches: Switches,
    ) -> None:
        self._store = store
        self._refresher = refresher
        self._notices = notices
        self._activity = activity
        self._switches = switches

    async def disconnect(
        self, redis: Any, user_id: str, provider: OAuthProvider, by: str
    ) -> Disconnected:
        """Remove the connection here, then ask the provider to end it; say truthfully what it did.

        The local copy goes first and whatever the provider answers.  Raises
        ``StoreUnavailable``, in which case the provider was not asked.
        """
        name = provider.name
        removed = await self._removed(redis, user_id, name)
        account = self._store.open_profile(user_id, name, removed.profile).account
        offer = await self._switches.take(redis, user_id, name)
        outcome = await self.end_at_provider(user_id, provider, removed)
        if offer:
            await self._refresher.revoke(provider, offer.token, DEADLINE_WHILE_WAITING)
        if removed.tokens or removed.profile:
            event = Event("disconnected", name, by, time.time(), outcome.value, account.label)
            await self._tell(redis, user_id, event)
        return Disconnected(name, outcome, account)

    async def _tell(self, redis: Any, user_id: str, event: Event) -> None:
        """Tell the bot and the timeline; it has happened, so a failure only goes to the log."""
        try:
            async with redis_call("tell of a disconnect"):
                pipe = redis.pipeline(transaction=False)
                kind = NoticeKind.DISCONNECTED
                self._notices.add(pipe, kind, user_id, event.provider, event.account)
                self._activity.add(pipe, user_id, event)
                await pipe.execute()
        except StoreUnavailable:
            log.error("%s: a disconnect could not be told", event.provider)

    async def _removed(self, redis: Any, user_id: str, provider: str) -> Stored:
        """Both records, taken away; what only the answer to that lost was read before."""
        before = await self._store.read_one(redis, user_id, provider)
        try:
            return await self._store.remove(redis, user_id, provider)
        except StoreUnavailable:
            removed = await self._store.remove(redis, user_id, provider)
        return Stored(removed.tokens or before.tokens, removed.profile or before.profile)

    async def end_at_provider(
        self, user_id: str, provider: OAuthProvider, removed: Stored
    ) -> RevokeOutcome:
        if not removed.tokens:
            return RevokeOutcome.NOTHING
        if not provider.can_revoke:
            return RevokeOutcome.UNSUPPORTED
        try:
            token = self._store.open_tokens(user_id, provider.name, removed.tokens)
        except RecordUnreadable:
            return RevokeOutcome.UNCONFIRMED
        if token is None:
            return RevokeOutcome.UNCONFIRMED
        give_up = time.monotonic() + DEADLINE_WHILE_WAITING
        if provider.revoke_style == "delete" and token.is_over and token.refresh_token:
            # Only a token that still works can end this kind of grant.
            try:
                token = await self._refresher.renewed(provider, token, DEADLINE_WHILE_WAITING)
            except OAuthError:
                return RevokeOutcome.UNCONFIRMED
        rest = max(give_up - time.monotonic(), 0.1)
        confirmed = await self._refresher.revoke(provider, token, rest)
        log.info("%s: disconnected; provider confirmed: %s", provider.name, confirmed)
        return RevokeOutcome.REVOKED if confirmed else RevokeOutcome.UNCONFIRMED
