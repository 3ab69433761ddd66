"""From an authorization code to a stored connection."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from . import answers, requests, token_answers
from .activity import Event
from .disconnecting import Disconnector
from .errors import OAuthMisconfigured, OAuthUnavailable, RecordUnreadable, StoreUnavailable
from .links import Attempt
from .models import Account, Connection, Profile, TokenData
from .provider import OAuthProvider
from .refreshing import Refresher
from .standing import describe
from .store import Store, Stored
from .switching import Switches, SwitchOffer
from .telling import Telling, Told
from .transport import DEADLINE_WHILE_WAITING, Transport

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fresh:
    """A connection that is to be kept, in the place of what was there ``before``."""

    user_id: str
    token: TokenData
    profile: Profile
    before: Stored
    event: Event


class Connector:
    """Exchanges codes and keeps what they bring."""

    def __init__(
        self,
        store: Store,
        transport: Transport,
        refresher: Refresher,
        telling: Telling,
        switches: Switches,
        disconnector: Disconnector,
    ) -> None:
        self._store = store
        self._transport = transport
        self._refresher = refresher
        self._telling = telling
        self._switches = switches
        self._disconnector = disconnector

    async def exchange(
        self,
        provider: OAuthProvider,
        redirect_uri: str,
        code: str,
        verifier: str,
        scopes: Iterable[str],
    ) -> tuple[TokenData, Mapping[str, Any]]:
        """Trade a code for tokens, once; the answer's fields come along for the account reader.

        ``scopes`` are those that were asked for, in case the answer names none.
        """
        request = requests.exchange_request(provider, redirect_uri, code, verifier)
        answer = await self._transport.send(request)
        try:
            fields = token_answers.read_token_answer(provider, "exchange", answer)
        except OAuthMisconfigured as fault:
            log.error("%s: exchange failed (%s): %s", provider.name, fault.meaning, fault.code)
            raise
        return token_answers.token_data(provider, fields, scopes=scopes), fields

    async def account(
        self, provider: OAuthProvider, access_token: str, token_answer: Mapping[str, Any]
    ) -> Account:
        """Whose account it is; empty where the provider does not say so in a way we can read."""
        if not provider.account_url:
            return Account()
        try:
            answer = await self._transport.send(requests.account_request(provider, access_token))
        except OAuthUnavailable:
            return Account()
        return answers.read_account(provider, answer, token_answer)

    async def complete(
        self, redis: Any, provider: OAuthProvider, attempt: Attempt, code: str, redirect_uri: str
    ) -> Connection | SwitchOffer | None:
        """Finish an attempt whose person has been proven.  Two round trips.

        ``None`` where a disconnect came in between; it wins.  A
        ``SwitchOffer`` where another account is connected: nothing is replaced
        yet.  Raises the errors of :meth:`exchange`, and ``StoreUnavailable``
        after asking the provider to take back what could not be kept.
        """
        user_id = attempt.user_id
        before = await self._store.read_for_writing(redis, user_id, provider.name)
        token, fields = await self.exchange(
            provider, redirect_uri, code, attempt.verifier, attempt.scopes
        )
        account = await self.account(provider, token.access_token, fields)
        self._keep_refresh_token(user_id, before, account, token)
        now = time.time()
        earlier = self._store.open_profile(user_id, provider.name, before.profile)
        known = earlier.account
        used_at = earlier.used_at if known.id == account.id else 0.0
        asked = attempt.scopes
        profile = Profile(account, now, now, now, requested_scopes=asked, used_at=used_at)
        if known.id and account.id and known.id != account.id:
            return await self._offer(redis, user_id, provider, known, token, profile)
        kind = "reconnected" if before.tokens or before.profile else "connected"
        by = "chat" if attempt.return_to == "done" else "web"
        event = Event(kind, provider.name, by, now, account=account.label)
        return await self._keep(redis, provider, Fresh(user_id, token, profile, before, event))

    async def _offer(
        self,
        redis: Any,
        user_id: str,
        provider: OAuthProvider,
        known: Account,
        token: TokenData,
        profile: Profile,
    ) -> SwitchOffer:
        offer = SwitchOffer(provider.name, known, token, profile)
        try:
            await self._switches.put(redis, user_id, offer)
        except StoreUnavailable:
            await self._forget_new(provider, offer)
            raise
        return offer

    async def choose(
        self, redis: Any, user_id: str, provider: OAuthProvider, *, use_new: bool
    ) -> Connection | None:
        """Answer the offer there is; the new connection, where that is what came of it."""
        offer = await self._switches.taken(redis, user_id, provider.name)
        if offer is None:
            return None
        if use_new:
            return await self._use_new(redis, user_id, provider, offer)
        await self._forget_new(provider, offer)
        return None

    async def _use_new(
        self, redis: Any, user_id: str, provider: OAuthProvider, offer: SwitchOffer
    ) -> Connection | None:
        """Put the other account in the place of the connected one; the old grant is ended aside.

        ``None`` where the old one was disconnected meanwhile.
        """
        try:
            before = await self._store.read_for_writing(redis, user_id, provider.name)
        except StoreUnavailable:
            await self._forget_new(provider, offer)
            raise
        if not (before.tokens or before.profile):
            await self._forget_new(provider, offer)
            return None
        event = Event(
            "account_switched", provider.name, "web", time.time(), account=offer.new.label
        )
        fresh = Fresh(user_id, offer.token, offer.profile, before, event)
        kept = await self._keep(redis, provider, fresh)
        if kept:
            self._disconnector.end_aside(user_id, provider, before)
        return kept

    async def _forget_new(self, provider: OAuthProvider, offer: SwitchOffer) -> None:
        """Keep the connected account; the other one's grant is given back."""
        await self._refresher.revoke(provider, offer.token, DEADLINE_WHILE_WAITING)

    async def _keep(self, redis: Any, provider: OAuthProvider, fresh: Fresh) -> Connection | None:
        try:
            kept = await self._save_over_an_end(redis, fresh)
        except StoreUnavailable:
            if not fresh.before.tokens:
                await self._refresher.revoke(provider, fresh.token, DEADLINE_WHILE_WAITING)
            raise
        if not kept:
            await self._refresher.revoke(provider, fresh.token, DEADLINE_WHILE_WAITING)
            return None
        return describe(provider, fresh.token, fresh.profile)

    async def _save_over_an_end(self, redis: Any, fresh: Fresh) -> bool:
        """Save; if the old tokens went meanwhile, tell an ended grant from a disconnect.

        A disconnect takes both records and wins; a grant that ended leaves its
        reason behind, and is what the person is mending.
        """
        if await self._save(redis, fresh):
            return True
        name = fresh.token.provider
        now = await self._store.read_for_writing(redis, fresh.user_id, name)
        if now.tokens or not self._store.open_profile(fresh.user_id, name, now.profile).problem:
            return False
        return await self._save(redis, replace(fresh, before=now))

    async def _save(self, redis: Any, fresh: Fresh) -> bool:
        user_id, token, profile = fresh.user_id, fresh.token, fresh.profile
        known = self._store.open_profile(user_id, token.provider, fresh.before.profile).account

        told = Told()

        def tell(pipe: Any) -> None:
            nonlocal told
            told = self._telling.connected(pipe, user_id, fresh.event, profile.account, known)

        write = partial(self._store.connect, redis, user_id, token, profile, fresh.before, tell)
        try:
            kept, answers = await write()
        except StoreUnavailable:
            if await self._is_written(redis, fresh):
                return True  # and told: only the answer was lost
            kept, answers = await write()
        if not kept:
            told.answered(answers)
            gone = (token.provider, profile.account)
            await self._telling.withdraw(redis, user_id, told, gone)
        return kept

    async def _is_written(self, redis: Any, fresh: Fresh) -> bool:
        user_id, name = fresh.user_id, fresh.token.provider
        now = await self._store.read_one(redis, user_id, name)
        try:
            written = self._store.open_tokens(user_id, name, now.tokens)
        except RecordUnreadable:
            return False
        known = self._store.open_profile(user_id, name, now.profile)
        return (written, known) == (fresh.token, fresh.profile)

    def _keep_refresh_token(
        self, user_id: str, before: Stored, account: Account, token: TokenData
    ) -> None:
        """An omitted refresh token is kept, but only for the very same account."""
        if token.refresh_token or not account.id:
            return
        known = self._store.open_profile(user_id, token.provider, before.profile).account
        try:
            old = self._store.open_tokens(user_id, token.provider, before.tokens)
        except RecordUnreadable:
            return
        if old and known.id == account.id:
            token.refresh_token = old.refresh_token
