"""Connecting: an authorization code becomes a stored connection, or a question."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import FlowRefused, OAuthUnavailable, RecordUnreadable
from ..journal.activity import Event
from ..links.codes import Attempt
from ..models import Account, Connection, Profile
from ..protocol import answers
from ..protocol.client import ProviderClient
from ..providers.provider import OAuthProvider
from ..storage.calls import RedisClient
from ..storage.storage import Storage
from ..storage.store import Stored
from ..storage.switch_offers import SwitchOffer, new_offer
from ..token_data import TokenData, new_generation
from .arrivals import Arrivals, Fresh
from .offers import Offers

log = logging.getLogger(__name__)

_NOBODY = Account()


@dataclass(frozen=True, slots=True)
class _Back:
    """The result of an exchange; account and handle are empty if they are not known."""

    token: TokenData
    account: Account = _NOBODY
    handle: str = ""
    is_refused: bool = False  # by the account address


class Connector:
    """Exchanger of codes, which stores or offers the tokens."""

    def __init__(
        self, storage: Storage, client: ProviderClient, arrivals: Arrivals, offers: Offers
    ) -> None:
        self._store = storage.connections
        self._client = client
        self._arrivals = arrivals
        self._offers = offers

    async def complete(
        self,
        redis: RedisClient,
        provider: OAuthProvider,
        attempt: Attempt,
        code: str,
        redirect_uri: str,
        also: Callable[[Any], object],
    ) -> Connection | SwitchOffer | None:
        """Finish an attempt whose person has been proven.  Two round trips.

        ``also`` queues more commands on the first.  ``None`` if a disconnect came in
        between; it wins.  A ``SwitchOffer`` if the person has to confirm first that they
        want this.  Raises like :meth:`ProviderClient.exchange`, ``FlowRefused`` if they
        cannot be asked, and ``StoreUnavailable`` after asking the provider to revoke the
        grant that could not be stored.
        """
        user_id = attempt.user_id
        before = await self._store.read_for_writing(redis, user_id, provider.name, also)
        back = await self._back(provider, attempt, code, redirect_uri)
        earlier = self._store.facts(user_id, provider.name, before)
        account = provider.with_fuller_id(back.account, earlier.account)
        is_same = provider.is_same_account(earlier.account, account)
        if is_same:
            self._keep_refresh_token(user_id, before, back.token)
        profile = _fresh_profile(attempt, back, account, earlier, is_same=is_same)
        if not is_same and (
            not attempt.is_bound or self._is_unclear(attempt, before, earlier, account)
        ):
            return await self._ask(redis, provider, attempt, before, back, profile)
        kind = "reconnected" if before.tokens or before.profile else "connected"
        by = "chat" if attempt.return_to == "done" else "web"
        event = Event(kind, provider.name, by, profile.connected_at, account=account.label)
        fresh = Fresh(user_id, back.token, profile, before, event)
        return await self._arrivals.keep(redis, provider, fresh)

    async def _back(
        self, provider: OAuthProvider, attempt: Attempt, code: str, redirect_uri: str
    ) -> _Back:
        """Exchange the code, and find out its account.

        It is empty if the provider does not name it in a way we can read.
        """
        token, fields = await self._client.exchange(
            provider, redirect_uri, code, attempt.verifier, attempt.scopes
        )
        token.generation = new_generation()
        if not provider.account_url:
            return _Back(token)
        try:
            answer = await self._client.account(provider, token)
        except OAuthUnavailable:
            return _Back(token)
        account = answers.read_account(provider, answer, fields)
        handle = answers.read_handle(provider, answer)
        return _Back(token, account, handle, is_refused=answers.refuses_token(provider, answer))

    def _is_unclear(
        self, attempt: Attempt, before: Stored, earlier: Profile, account: Account
    ) -> bool:
        """Return whether another account may be connected, and a question could name one of both.

        An unreadable record is nobody's: its card says that reconnecting replaces it.
        """
        known = earlier.account
        if known.id:
            return True
        if not (known.label or account.id or account.label):
            return False
        try:
            token = self._store.open_tokens(attempt.user_id, attempt.provider, before.tokens)
        except RecordUnreadable:
            return False
        return token is not None or bool(earlier.problem)

    async def _ask(
        self,
        redis: RedisClient,
        provider: OAuthProvider,
        attempt: Attempt,
        before: Stored,
        back: _Back,
        profile: Profile,
    ) -> SwitchOffer:
        """Put the new tokens aside as an offer.

        Raises ``FlowRefused("unnamed")`` if the authorization began in no browser and
        has no name that the person could know as their own: a name that can be copied
        proves no owner.
        """
        user_id, name = attempt.user_id, provider.name
        earlier = self._store.facts(user_id, name, before)
        offer = new_offer(
            earlier.account,
            back.token,
            profile,
            is_replacing=bool(before.tokens or earlier.problem),
            handle="" if attempt.is_bound else back.handle,
            return_to=attempt.return_to,
        )
        if not attempt.is_bound and not back.handle:
            await self._offers.give_back(redis, user_id, provider, offer)
            raise FlowRefused("unnamed", name)
        await self._offers.put(redis, user_id, provider, offer)
        return offer

    def _keep_refresh_token(self, user_id: str, before: Stored, token: TokenData) -> None:
        """Keep the old refresh token if the answer omits it: the account is the very same."""
        if token.refresh_token:
            return
        try:
            old = self._store.open_tokens(user_id, token.provider, before.tokens)
        except RecordUnreadable:
            return
        if old:
            token.refresh_token = old.refresh_token


def _fresh_profile(
    attempt: Attempt, back: _Back, account: Account, earlier: Profile, *, is_same: bool
) -> Profile:
    """Build the profile of a connection that has just been made."""
    now = time.time()
    goes_on = is_same or not (earlier.account.id or account.id)
    return Profile(
        account,
        connected_at=now,
        renewed_at=now,
        checked_at=now,
        requested_scopes=attempt.scopes,
        used_at=earlier.used_at if goes_on else 0.0,
        generation=back.token.generation,
        is_account_refused=back.is_refused,
    )
