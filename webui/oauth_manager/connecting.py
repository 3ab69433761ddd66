"""From an authorization code to a stored connection, and from a connection to none."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from . import answers, requests
from .errors import OAuthError, OAuthUnavailable, RecordUnreadable, StoreUnavailable
from .links import Attempt
from .models import Account, Connection, Disconnected, Profile, RevokeOutcome, Status, TokenData
from .notices import NoticeKind, Notices
from .provider import OAuthProvider
from .refreshing import Refresher
from .store import Store, Stored
from .transport import DEADLINE_WHILE_WAITING, Transport

log = logging.getLogger(__name__)


class Connector:
    """Exchanges codes, saves and removes connections."""

    def __init__(
        self, store: Store, transport: Transport, refresher: Refresher, notices: Notices
    ) -> None:
        self._store = store
        self._transport = transport
        self._refresher = refresher
        self._notices = notices

    async def exchange(
        self, provider: OAuthProvider, redirect_uri: str, code: str, verifier: str
    ) -> tuple[TokenData, Mapping[str, Any]]:
        """Trade a code for tokens, once; the answer's fields come along for the account reader."""
        request = requests.exchange_request(provider, redirect_uri, code, verifier)
        answer = await self._transport.send(request)
        fields = answers.read_token_answer(provider, "exchange", answer)
        return answers.token_data(provider, fields, scopes=provider.scopes), fields

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
    ) -> Connection | None:
        """Finish an attempt whose person has been proven.

        ``None`` where a disconnect came in between; it wins.  Two round trips.
        Raises the errors of :meth:`exchange`, and ``StoreUnavailable`` after
        asking the provider to take back what could not be kept.
        """
        name = provider.name
        before = await self._store.read_for_writing(redis, attempt.user_id, name)
        request = requests.exchange_request(provider, redirect_uri, code, attempt.verifier)
        fields = answers.read_token_answer(
            provider, "exchange", await self._transport.send(request)
        )
        token = answers.token_data(provider, fields, scopes=attempt.scopes)
        account = await self.account(provider, token.access_token, fields)
        self._keep_refresh_token(attempt.user_id, before, account, token)
        now = time.time()
        profile = Profile(account, now, now, now, requested_scopes=attempt.scopes)
        try:
            kept = await self._save_over_an_end(redis, attempt.user_id, token, profile, before)
        except StoreUnavailable:
            if not before.tokens:
                await self._refresher.revoke(provider, token, DEADLINE_WHILE_WAITING)
            raise
        if not kept:
            await self._refresher.revoke(provider, token, DEADLINE_WHILE_WAITING)
            return None
        return describe(provider, token, profile)

    async def _save(
        self, redis: Any, user_id: str, token: TokenData, profile: Profile, before: Stored
    ) -> bool:
        def notify(pipe: Any) -> object:
            label = profile.account.label
            return self._notices.add(pipe, NoticeKind.CONNECTED, user_id, token.provider, label)

        write = partial(self._store.connect, redis, user_id, token, profile, before, notify)
        try:
            kept, notice = await write()
        except StoreUnavailable:
            # The answer may have been lost after the write: writing the same again decides.
            kept, notice = await write()
        if not kept:
            await self._notices.withdraw(redis, notice)
        return kept

    async def _save_over_an_end(
        self, redis: Any, user_id: str, token: TokenData, profile: Profile, before: Stored
    ) -> bool:
        """Save; if the old tokens went meanwhile, tell an ended grant from a disconnect.

        A disconnect takes both records and wins; a grant that ended leaves its
        reason behind, and is what the person is mending.
        """
        if await self._save(redis, user_id, token, profile, before):
            return True
        now = await self._store.read_for_writing(redis, user_id, token.provider)
        if now.tokens or not self._store.open_profile(user_id, token.provider, now.profile).problem:
            return False
        return await self._save(redis, user_id, token, profile, now)

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

    async def disconnect(self, redis: Any, user_id: str, provider: OAuthProvider) -> Disconnected:
        """Remove the connection here, then ask the provider to end it; say truthfully what it did.

        The local copy goes first and whatever the provider answers.  Raises
        ``StoreUnavailable``, in which case the provider was not asked.
        """
        removed = await self._removed(redis, user_id, provider.name)
        account = self._store.open_profile(user_id, provider.name, removed.profile).account
        if removed.tokens or removed.profile:
            await self._notices.put(
                redis, NoticeKind.DISCONNECTED, user_id, provider.name, account.label
            )
        outcome = await self._end_at_provider(user_id, provider, removed)
        return Disconnected(provider.name, outcome, account)

    async def _removed(self, redis: Any, user_id: str, provider: str) -> Stored:
        """Both records, taken away; what only the answer to that lost was read before."""
        before = (await self._store.read(redis, user_id, [provider]))[provider]
        try:
            return await self._store.remove(redis, user_id, provider)
        except StoreUnavailable:
            removed = await self._store.remove(redis, user_id, provider)
        return Stored(removed.tokens or before.tokens, removed.profile or before.profile)

    async def _end_at_provider(
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


def describe(provider: OAuthProvider, token: TokenData | None, profile: Profile) -> Connection:
    """The connection as it may be shown."""
    if token is None:
        gone = Status.RECONNECT_NEEDED if profile.problem else Status.NOT_CONNECTED
        return Connection(provider.name, gone, profile=profile)
    over = token.is_over and not token.refresh_token
    return Connection(
        provider.name,
        Status.RECONNECT_NEEDED if over else Status.CONNECTED,
        tuple(token.scopes),
        token.expires_at,
        bool(token.refresh_token),
        profile,
        has_tokens=True,
        missing_scopes=provider.missing_scopes(profile.requested_scopes, token.scopes),
    )
