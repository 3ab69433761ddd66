"""Fresh connections: stored over the old one, and reported, unless a disconnect came first."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from ..connection import describe
from ..errors import RecordUnreadable, StoreUnavailable
from ..journal.activity import Event
from ..journal.outbox import Outbox, Queued
from ..models import Connection, Profile
from ..protocol.client import ProviderClient
from ..protocol.transport import DEADLINE_WHILE_WAITING
from ..providers.provider import OAuthProvider
from ..storage.calls import Pipeline, RedisClient
from ..storage.storage import Storage
from ..storage.store import Stored
from ..token_data import TokenData
from .offers import Offers

PATIENCE = 8.0  # seconds that a person waits for Redis, once the provider has answered
PAUSE = 0.25  # seconds between two tries


@dataclass(frozen=True, slots=True)
class Fresh:
    """A connection to store, in place of the one ``before``."""

    user_id: str
    token: TokenData
    profile: Profile
    before: Stored
    event: Event


class Arrivals:
    """The storing of fresh connections."""

    def __init__(
        self, storage: Storage, client: ProviderClient, outbox: Outbox, offers: Offers
    ) -> None:
        self._store = storage.connections
        self._client = client
        self._outbox = outbox
        self._offers = offers
        self.patience = PATIENCE

    async def keep(
        self, redis: RedisClient, provider: OAuthProvider, fresh: Fresh
    ) -> Connection | None:
        """Store the connection; ``None`` if a disconnect came in between, which wins.

        Raises ``StoreUnavailable``, after asking the provider to revoke the grant that
        could not be stored.
        """
        try:
            kept = await self._save_in_time(redis, provider, fresh)
        except StoreUnavailable:
            if not fresh.before.tokens:
                await self._client.revoke(provider, fresh.token, DEADLINE_WHILE_WAITING)
            raise
        if not kept:
            await self._client.revoke(provider, fresh.token, DEADLINE_WHILE_WAITING)
            return None
        return describe(provider, fresh.token, fresh.profile)

    async def _save_in_time(
        self, redis: RedisClient, provider: OAuthProvider, fresh: Fresh
    ) -> bool:
        """Save, and retry while the person waits and Redis does not answer."""
        give_up = time.monotonic() + self.patience
        while True:
            try:
                return await self._save_over_an_end(redis, provider, fresh)
            except StoreUnavailable:
                if time.monotonic() >= give_up:
                    raise
            await asyncio.sleep(PAUSE)
            with suppress(StoreUnavailable):
                now = await self._store.read_for_writing(redis, fresh.user_id, provider.name)
                fresh = replace(fresh, before=replace(fresh.before, clock=now.clock))

    async def _save_over_an_end(
        self, redis: RedisClient, provider: OAuthProvider, fresh: Fresh
    ) -> bool:
        """Save; if the old tokens went meanwhile, tell an ended grant from a disconnect.

        A disconnect takes both records and wins; a grant that ended leaves its reason
        behind, and the person is just mending it.
        """
        if await self._save(redis, provider, fresh):
            return True
        name = provider.name
        now = await self._store.read_for_writing(redis, fresh.user_id, name)
        if now.tokens or not self._store.open_profile(fresh.user_id, name, now.profile).problem:
            return False
        return await self._save(redis, provider, replace(fresh, before=now))

    async def _save(self, redis: RedisClient, provider: OAuthProvider, fresh: Fresh) -> bool:
        user_id = fresh.user_id
        token = fresh.token
        profile = fresh.profile
        known = self._store.open_profile(user_id, provider.name, fresh.before.profile).account

        told = Queued()

        def tell(pipe: Pipeline) -> None:
            nonlocal told
            told = self._outbox.connected(pipe, user_id, fresh.event, profile.account, known)
            # An offer that waits for an answer is over: the person has connected something
            # since.
            self._offers.queue_take(pipe, user_id, provider.name)

        write = partial(self._store.connect, redis, user_id, token, profile, fresh.before, tell)
        try:
            kept, answers = await write()
        except StoreUnavailable:
            if await self._is_written(redis, fresh):
                return True  # and reported: only the answer was lost
            kept, answers = await write()
        waiting = self._offers.taken(user_id, provider.name, answers[-1])
        self._offers.drop(redis, user_id, provider, waiting)
        if not kept:
            told.answered(answers)
            gone = (provider.name, profile.account)
            await self._outbox.withdraw(redis, user_id, told, gone)
        return kept

    async def _is_written(self, redis: RedisClient, fresh: Fresh) -> bool:
        user_id, name = fresh.user_id, fresh.token.provider
        now = await self._store.read_one(redis, user_id, name)
        try:
            written = self._store.open_tokens(user_id, name, now.tokens)
        except RecordUnreadable:
            return False
        known = self._store.open_profile(user_id, name, now.profile)
        return (written, known) == (fresh.token, fresh.profile)
