"""Revocation: requests to end a grant, their answers, and retries."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace

from ..errors import OAuthError, OAuthRefused
from ..journal.activity import Event
from ..journal.outbox import Outbox, Queued
from ..models import Account, Disconnected, RevokeOutcome
from ..protocol.client import ProviderClient
from ..protocol.transport import DEADLINE
from ..providers.provider import OAuthProvider
from ..storage.calls import RedisClient, redis_call
from ..storage.held_tokens import ASKING, ENDED, UNCONFIRMED, Leftover
from ..storage.storage import Storage
from ..token_data import TokenData
from .tasks import Tasks

log = logging.getLogger(__name__)

Asked = tuple[RevokeOutcome, TokenData | None]
"""What the provider did, and what it can be asked with again where it did not confirm."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A connection that is gone here, while its provider is asked to end it."""

    account: Account
    result: asyncio.Task[Disconnected]

    async def within(self, seconds: float) -> Disconnected | None:
        """Return the outcome; ``None`` if the provider takes longer; the request goes on."""
        done, _ = await asyncio.wait({self.result}, timeout=seconds)
        return self.result.result() if done else None


class Revocation:
    """The asking of providers, and the record of their answers."""

    def __init__(
        self, storage: Storage, client: ProviderClient, outbox: Outbox, tasks: Tasks
    ) -> None:
        self._store = storage.connections
        self._leftovers = storage.held
        self._client = client
        self._outbox = outbox
        self._tasks = tasks

    async def ask(self, provider: OAuthProvider, token: TokenData | None) -> Asked:
        """Ask the provider, within ``DEADLINE`` seconds in all, if it can be asked."""
        if not provider.can_revoke:
            return RevokeOutcome.UNSUPPORTED, None
        if token is None or not provider.is_configured:
            return RevokeOutcome.UNCONFIRMED, None
        give_up = time.monotonic() + DEADLINE
        if provider.revoke_style == "delete" and token.is_over and token.refresh_token:
            # Only a token that still works can end this kind of grant.
            try:
                token = await self._client.refresh(provider, token)
            except OAuthRefused:
                return RevokeOutcome.UNCONFIRMED, None
            except OAuthError:
                return RevokeOutcome.UNCONFIRMED, token
        rest = max(give_up - time.monotonic(), 0.1)
        confirmed = await self._client.revoke(provider, token, rest)
        log.info("%s: disconnected; provider confirmed: %s", provider.name, confirmed)
        return (RevokeOutcome.REVOKED, None) if confirmed else (RevokeOutcome.UNCONFIRMED, token)

    async def answered(
        self,
        redis: RedisClient,
        user_id: str,
        told: Queued | None,
        event: Event | None,
        left: Leftover | None,
        token: TokenData | None,
    ) -> float:
        """Record the provider's answer; return until when ``token`` can ask again."""
        kept = None
        if left and token:
            kept = replace(left, token=token, state=UNCONFIRMED)
            kept = self._leftovers.sealed(user_id, kept)
        is_kept = await self._outbox.answered(redis, user_id, told, event, left, kept)
        return kept.until if kept and is_kept else 0.0

    async def ask_again(
        self, redis: RedisClient, user_id: str, provider: OAuthProvider
    ) -> Ending | None:
        """Ask with the held tokens; ``None`` if there are none, or something is connected."""
        stored = await self._store.read_one(redis, user_id, provider.name)
        left = self._leftovers.open(user_id, provider.name, stored.aside)
        if stored.is_there or left is None or left.state == ENDED:
            return None
        if left.state == ASKING and not left.is_interrupted:
            return None  # another process is asking
        claimed = await self._leftovers.claim(redis, user_id, left)
        if claimed is None:
            return None
        return Ending(
            Account(), self._tasks.run(self._end_again(redis, user_id, provider, claimed))
        )

    async def _end_again(
        self, redis: RedisClient, user_id: str, provider: OAuthProvider, left: Leftover
    ) -> Disconnected:
        """Ask because the person wants to; the first outcome is on record."""
        outcome, token = await self.ask(provider, left.token)
        is_revoked = outcome is RevokeOutcome.REVOKED
        event = Event("revoked", provider.name, "web", time.time()) if is_revoked else None
        until = await self.answered(redis, user_id, Queued(), event, left, token)
        return Disconnected(provider.name, outcome, retry_until=until)

    async def resume(
        self,
        redis: RedisClient,
        user_id: str,
        provider: OAuthProvider,
        left: Leftover,
        event: Event,
    ) -> None:
        """Ask in place of a dead process; ``event`` is the one it wrote of the disconnect."""
        log.info("%s: going on with a disconnect that was interrupted", provider.name)
        told = Queued(event_id=await self._outbox.find(redis, user_id, event))
        outcome, token = await self.ask(provider, left.token)
        event = replace(event, detail=outcome.value)
        await self.answered(redis, user_id, told, event, left, token)

    async def drop_leftovers(self, redis: RedisClient, user_id: str, provider: str) -> None:
        """Drop the held tokens: nothing is asked again."""
        async with redis_call("drop what is left of a connection"):
            await self._leftovers.drop(redis, user_id, provider)
