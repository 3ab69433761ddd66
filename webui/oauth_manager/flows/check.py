"""Health of a connection right now: the provider is asked with the token itself."""

from __future__ import annotations

import time
from dataclasses import replace
from enum import Enum, StrEnum

from ..errors import OAuthRefused, OAuthUnavailable, StoreUnavailable
from ..models import Profile
from ..protocol import answers
from ..protocol.answers import Answer
from ..protocol.client import ProviderClient
from ..protocol.transport import DEADLINE_WHILE_WAITING
from ..providers.provider import OAuthProvider
from ..storage.calls import RedisClient, redis_call
from ..storage.storage import Storage
from ..storage.store import Stored
from ..token_data import TokenData
from . import troubles
from .refresh import Refresher

APART = 60.0  # seconds between two refusals that together end a connection


class Health(StrEnum):
    WORKING = "working"
    NOT_CONNECTED = "not_connected"
    RECONNECT_NEEDED = "reconnect_needed"
    PROVIDER_TROUBLE = "provider_trouble"
    REFUSED = "refused"  # renewing, with an unknown error
    REJECTED = "rejected"  # the token, once; that can pass
    UNCHECKED = "unchecked"  # there is no address to ask
    MISCONFIGURED = "misconfigured"


class _Verdict(Enum):
    ACCEPTED = 1
    REJECTED = 2
    NOBODY = 3  # no address, or one that refuses for a reason of its own


class Checker:
    """Checker by the account endpoint, or by a refresh if the grant can be renewed.

    One refusal deletes nothing: only a refused refresh, or two refusals apart in time,
    end a connection.
    """

    def __init__(self, storage: Storage, client: ProviderClient, refresher: Refresher) -> None:
        self._store = storage.connections
        self._accounts = storage.accounts
        self._client = client
        self._refresher = refresher

    async def check(self, redis: RedisClient, user_id: str, provider: OAuthProvider) -> Health:
        """Return whether the stored tokens, not yet due for a refresh, work at the provider.

        Raises ``OAuthUnavailable``, ``OAuthMisconfigured`` or ``RecordUnreadable``.
        """
        stored = await self._store.read_one(redis, user_id, provider.name)
        token = self._store.open_tokens(user_id, provider.name, stored.tokens)
        if token is None:
            return Health.RECONNECT_NEEDED
        verdict = await self._verdict(redis, user_id, provider, stored, token)
        if verdict is _Verdict.ACCEPTED:
            return Health.WORKING
        if token.refresh_token:
            return await self._by_renewal(redis, user_id, provider, token, verdict)
        if verdict is _Verdict.NOBODY:
            return Health.UNCHECKED
        return await self._rejected(redis, user_id, provider, token)

    async def _verdict(
        self,
        redis: RedisClient,
        user_id: str,
        provider: OAuthProvider,
        stored: Stored,
        token: TokenData,
    ) -> _Verdict:
        """Judge the token by the account address; a success is written to the profile."""
        known = self._store.facts(user_id, provider.name, stored)
        if not provider.account_url:
            return _Verdict.NOBODY
        try:
            answer = await self._answer(provider, token)
        except OAuthUnavailable as error:
            await troubles.note(self._store, redis, user_id, provider, stored, error)
            raise
        if not answers.refuses_token(provider, answer):
            await self._remember(redis, user_id, provider, stored, known, answer)
            return _Verdict.ACCEPTED
        # An address that refused at connecting already cannot judge the token.
        return _Verdict.NOBODY if known.is_account_refused else _Verdict.REJECTED

    async def _answer(self, provider: OAuthProvider, token: TokenData) -> Answer:
        """Ask the account address.

        Returns that the token is over, an account, or 403, a token that may not read
        it.  Any other answer says nothing about the token, and raises
        ``OAuthUnavailable``.
        """
        answer = await self._client.account(provider, token, DEADLINE_WHILE_WAITING)
        account = answers.read_json(answer.body) if answer.status == 200 else None
        is_said = answer.status == 403 or answers.refuses_token(provider, answer)
        if not is_said and (account is None or answers.says_no(account)):
            raise OAuthUnavailable(provider.name, "check", f"http_{answer.status}")
        return answer

    async def _remember(
        self,
        redis: RedisClient,
        user_id: str,
        provider: OAuthProvider,
        stored: Stored,
        known: Profile,
        answer: Answer,
    ) -> None:
        profile = replace(known.without_trouble(), checked_at=time.time())
        if known.is_account_unasked:
            profile = await self._with_account(redis, user_id, provider, profile, answer)
        await self._store.update_profile(redis, user_id, provider.name, profile, stored)

    async def learned(
        self,
        redis: RedisClient,
        user_id: str,
        provider: OAuthProvider,
        stored: Stored,
        known: Profile,
    ) -> Profile:
        """Return ``known`` with its account, if the provider names it; writes nothing."""
        token = self._store.open_tokens(user_id, provider.name, stored.tokens)
        if token is None or not provider.account_url:
            return known
        try:
            answer = await self._answer(provider, token)
        except OAuthUnavailable:
            return known
        return await self._with_account(redis, user_id, provider, known, answer)

    async def _with_account(
        self,
        redis: RedisClient,
        user_id: str,
        provider: OAuthProvider,
        known: Profile,
        answer: Answer,
    ) -> Profile:
        account = answers.read_account(provider, answer, {})
        if not account.id:
            return known
        try:
            async with redis_call("list an account"):
                pipe = redis.pipeline(transaction=False)
                self._accounts.add(pipe, user_id, provider.name, account)
                await pipe.execute()
        except StoreUnavailable:
            return known
        return replace(known, account=account)

    async def _by_renewal(
        self,
        redis: RedisClient,
        user_id: str,
        provider: OAuthProvider,
        token: TokenData,
        verdict: _Verdict,
    ) -> Health:
        """Return the health of a grant by renewing it: if that succeeds, it lives."""
        now = await self._refresher.refreshed(redis, user_id, provider, token, is_refused=True)
        if now is None:
            return Health.RECONNECT_NEEDED
        if now == token:
            return Health.UNCHECKED  # renewed too often lately
        stored = await self._store.read_one(redis, user_id, provider.name)
        if verdict is _Verdict.NOBODY:
            known = self._store.facts(user_id, provider.name, stored)
            checked = replace(known, checked_at=time.time())
            await self._store.update_profile(redis, user_id, provider.name, checked, stored)
            return Health.WORKING
        verdict = await self._verdict(redis, user_id, provider, stored, now)
        # It has just been renewed: an address that refuses it has another reason.
        return Health.WORKING if verdict is _Verdict.ACCEPTED else Health.PROVIDER_TROUBLE

    async def _rejected(
        self, redis: RedisClient, user_id: str, provider: OAuthProvider, token: TokenData
    ) -> Health:
        """Believe a refusal of a token that cannot be renewed the second time, a while later."""
        stored = await self._store.read_one(redis, user_id, provider.name)
        if self._store.open_tokens(user_id, provider.name, stored.tokens) != token:
            return await self.check(redis, user_id, provider)  # of the token that replaced it
        known, now = self._store.facts(user_id, provider.name, stored), time.time()
        refusal = OAuthRefused(provider.name, "check", "invalid_token")
        if known.trouble != "rejected":
            noted = known.with_trouble("rejected", refusal.code, now)
            await self._store.update_profile(redis, user_id, provider.name, noted, stored)
        elif now - known.trouble_since >= APART:
            await self._refresher.ended(redis, user_id, provider, stored, refusal)
            return Health.RECONNECT_NEEDED
        return Health.REJECTED
