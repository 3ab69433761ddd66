"""Use of stored records: a token that works, or a description of the connection."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from ..connection import describe
from ..errors import (
    Meaning,
    OAuthMisconfigured,
    OAuthUnavailable,
    RecordUnreadable,
    StoreUnavailable,
)
from ..journal.activity import Activity, Event
from ..models import Connection, Status
from ..providers.provider import OAuthProvider
from ..storage import renewal_limit as renewals
from ..storage.calls import RedisClient
from ..storage.held_tokens import ENDED
from ..storage.storage import Storage
from ..storage.store import Stored
from ..token_data import TokenData
from .check import Checker, Health
from .last_used import WRITE_EVERY
from .refresh import Refresher

log = logging.getLogger(__name__)

_TRIES = 3


class Tokens:
    """Reader of tokens and connections; it reports unreadable records and leaves them alone."""

    def __init__(
        self, storage: Storage, refresher: Refresher, checker: Checker, activity: Activity
    ) -> None:
        self._store = storage.connections
        self._leftovers = storage.held
        self._refresher = refresher
        self._checker = checker
        self._activity = activity

    async def load(self, redis: RedisClient, user_id: str, provider: str) -> TokenData | None:
        """Load the stored tokens, valid or not.  Raises ``RecordUnreadable``."""
        sealed = await self._store.read_tokens(redis, user_id, provider)
        return self._store.open_tokens(user_id, provider, sealed)

    async def valid(
        self, redis: RedisClient, user_id: str, provider: OAuthProvider
    ) -> TokenData | None:
        """Return tokens that work now, refreshed if need be; ``None`` if there are none.

        A refresh that fails is raised only if the old token is over as well.
        """
        try:
            token = await self.load(redis, user_id, provider.name)
            if token is None or not token.is_expired:
                return token
            if not token.refresh_token:
                return None if token.is_over else token
            try:
                return await self._refresher.refreshed(redis, user_id, provider, token)
            except (OAuthUnavailable, OAuthMisconfigured):
                if token.is_over:
                    raise
                return token
        except RecordUnreadable as error:
            _report(user_id, provider.name, error)
            return None

    async def renewed(
        self, redis: RedisClient, user_id: str, provider: OAuthProvider, refused: str
    ) -> TokenData | None:
        """Return tokens to replace ``refused``, an access token that an API did not take.

        A newer one that another process renewed comes first.  If renewing is not
        possible the account address is asked; a token that it does not confirm to be
        over, and one renewed too often lately, comes back as it is.
        """
        try:
            token = await self.load(redis, user_id, provider.name)
        except RecordUnreadable as error:
            _report(user_id, provider.name, error)
            return None
        if token is None or token.access_token != refused:
            return await self.valid(redis, user_id, provider)
        if token.refresh_token:
            return await self._refresher.refreshed(redis, user_id, provider, token, is_refused=True)
        if await renewals.allows(redis, user_id, provider.name):
            await self._found(redis, user_id, provider)
        return await self.valid(redis, user_id, provider)

    async def health(self, redis: RedisClient, user_id: str, provider: OAuthProvider) -> Health:
        """Return whether the connection works at the provider.  Raises ``StoreUnavailable``."""
        health = await self._found(redis, user_id, provider)
        if health not in (Health.WORKING, Health.NOT_CONNECTED):
            await self._note_check(redis, user_id, provider.name, health)
        return health

    async def _note_check(
        self, redis: RedisClient, user_id: str, provider: str, health: Health
    ) -> None:
        """Keep the result of a failed check; for display, so a write failure is ignored."""
        try:
            stored = await self._store.read_one(redis, user_id, provider)
            known = self._store.facts(user_id, provider, stored)
            noted = replace(known, failed_check_at=time.time(), failed_check=health.value)
            await self._store.update_profile(redis, user_id, provider, noted, stored)
        except StoreUnavailable:
            log.warning("%s: how a check went could not be noted", provider)

    async def _found(self, redis: RedisClient, user_id: str, provider: OAuthProvider) -> Health:
        try:
            if await self.valid(redis, user_id, provider) is not None:
                health = await self._checker.check(redis, user_id, provider)
                if health is not Health.RECONNECT_NEEDED:
                    return health
            # Access has ended, or the person disconnected meanwhile: the records say
            # which.
            stored = await self._store.read_one(redis, user_id, provider.name)
            status = self.standing(user_id, provider, stored).status
        except OAuthMisconfigured:
            return Health.MISCONFIGURED
        except StoreUnavailable:
            raise
        except OAuthUnavailable as failure:
            is_refusal = failure.meaning is Meaning.UNKNOWN
            return Health.REFUSED if is_refusal else Health.PROVIDER_TROUBLE
        except RecordUnreadable:
            return Health.RECONNECT_NEEDED
        is_absent = status is Status.NOT_CONNECTED
        return Health.NOT_CONNECTED if is_absent else Health.RECONNECT_NEEDED

    async def used(self, redis: RedisClient, user_id: str, provider: OAuthProvider) -> None:
        """Record that the connection was used just now, once an hour.

        The first use of a day is an event.
        """
        now = time.time()
        stored = await self._store.read_one(redis, user_id, provider.name)
        profile = self._store.facts(user_id, provider.name, stored)
        if 0 <= now - profile.used_at < WRITE_EVERY:
            return
        if profile.is_account_unasked:
            profile = await self._checker.learned(redis, user_id, provider, stored, profile)
        used = replace(profile, used_at=now)
        is_written = await self._store.update_profile(redis, user_id, provider.name, used, stored)
        if is_written and stored.tokens and now // 86400 != profile.used_at // 86400:
            label = profile.account.label
            event = Event("used", provider.name, "bot", now, account=label)
            await self._activity.note(redis, user_id, event)

    async def accept_missing(
        self, redis: RedisClient, user_id: str, provider: OAuthProvider
    ) -> bool:
        """Accept the missing permissions for the person; ``False`` if that changes nothing."""
        for _ in range(_TRIES):  # a check or a use may be writing its time just now
            stored = await self._store.read_one(redis, user_id, provider.name)
            known = self.standing(user_id, provider, stored)
            if not known.is_limited:
                return False
            before = (s for s in known.profile.accepted_missing if s in known.missing_scopes)
            accepted = tuple(dict.fromkeys([*known.lacking_scopes, *before]))
            profile = replace(known.profile, accepted_missing=accepted)
            if await self._store.update_profile(redis, user_id, provider.name, profile, stored):
                return True
        return False

    def standing(self, user_id: str, provider: OAuthProvider, stored: Stored) -> Connection:
        """Describe a connection by its records alone."""
        profile = self._store.open_profile(user_id, provider.name, stored.profile)
        try:
            token = self._store.open_tokens(user_id, provider.name, stored.tokens)
        except RecordUnreadable as error:
            _report(user_id, provider.name, error)
            return Connection(provider.name, Status.UNREADABLE, profile=profile)
        known = describe(provider, token, profile.of(token))
        left = self._leftovers.open(user_id, provider.name, stored.aside)
        if stored.is_there or left is None or left.state == ENDED:
            return known
        return replace(known, ending=left.state, ending_until=left.until)


def _report(user_id: str, provider: str, error: RecordUnreadable) -> None:
    log.error("%s tokens of %r cannot be read: %s", provider, user_id, error.reason)
