"""Does a connection work right now?  The provider is asked with the token itself."""

from __future__ import annotations

import time
from dataclasses import replace
from enum import StrEnum
from typing import Any

from . import answers, requests, troubles
from .errors import OAuthRefused, OAuthUnavailable
from .models import TokenData
from .provider import OAuthProvider
from .refreshing import Refresher
from .store import Store, Stored
from .transport import DEADLINE_WHILE_WAITING, Transport


class Health(StrEnum):
    WORKING = "working"
    NOT_CONNECTED = "not_connected"
    RECONNECT_NEEDED = "reconnect_needed"
    PROVIDER_TROUBLE = "provider_trouble"
    REFUSED = "refused"  # renewing, in words that nobody here knows
    MISCONFIGURED = "misconfigured"


class Checker:
    """Asks the account endpoint; a token it refuses is refreshed once, then believed to be over."""

    def __init__(self, store: Store, transport: Transport, refresher: Refresher) -> None:
        self._store = store
        self._transport = transport
        self._refresher = refresher

    async def check(
        self, redis: Any, user_id: str, provider: OAuthProvider, *, may_refresh: bool = True
    ) -> Health:
        """Whether the stored tokens, not yet due for a refresh, work at the provider.

        Raises ``OAuthUnavailable``, ``OAuthMisconfigured`` or ``RecordUnreadable``.
        """
        stored = await self._store.read_one(redis, user_id, provider.name)
        token = self._store.open_tokens(user_id, provider.name, stored.tokens)
        if token is None:
            return Health.RECONNECT_NEEDED
        try:
            is_accepted = await self._accepted(provider, token)
        except OAuthUnavailable as error:
            await troubles.note(self._store, redis, user_id, provider, stored, error)
            raise
        if is_accepted:
            await self._remember(redis, user_id, provider, stored)
            return Health.WORKING
        if not may_refresh:
            # The grant has just been renewed, so it lives: this answer is about something else.
            return Health.PROVIDER_TROUBLE
        if token.refresh_token:
            now = await self._refresher.refreshed(redis, user_id, provider, token)
        else:
            refusal = OAuthRefused(provider.name, "check", "invalid_token")
            now = await self._refresher.ended(redis, user_id, provider, stored, refusal)
        if now is None:
            return Health.RECONNECT_NEEDED
        return await self.check(redis, user_id, provider, may_refresh=False)

    async def _remember(
        self, redis: Any, user_id: str, provider: OAuthProvider, stored: Stored
    ) -> None:
        profile = self._store.open_profile(user_id, provider.name, stored.profile)
        profile = replace(profile.without_trouble(), checked_at=time.time())
        await self._store.update_profile(redis, user_id, provider.name, profile, stored)

    async def _accepted(self, provider: OAuthProvider, token: TokenData) -> bool:
        """``False`` only for 401, which RFC 6750 3.1 keeps for a token that is over.

        An account, or 403 (a token that may not read it), is a yes; whatever else
        comes back says nothing about the token, and raises ``OAuthUnavailable``.
        """
        if not provider.account_url:
            return True
        request = requests.account_request(provider, token.access_token)
        answer = await self._transport.send(request, DEADLINE_WHILE_WAITING)
        account = answers.read_json(answer.body) if answer.status == 200 else None
        if answer.status in (401, 403):
            return answer.status == 403
        if account is None or account.get("error"):
            raise OAuthUnavailable(provider.name, "check", f"http_{answer.status}")
        return True
