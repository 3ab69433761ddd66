"""One refresh for a connection, however many tasks, processes and machines ask for it."""

from __future__ import annotations

import asyncio
import logging
import random
import time

from ..errors import OAuthMisconfigured, OAuthRefused, OAuthUnavailable, StoreUnavailable
from ..journal.activity import Event
from ..journal.outbox import Outbox, Queued
from ..models import Profile
from ..protocol.client import ProviderClient
from ..protocol.transport import DEADLINE
from ..providers.provider import OAuthProvider
from ..storage import keys
from ..storage import renewal_limit as renewals
from ..storage.calls import Pipeline, RedisClient
from ..storage.held_tokens import ENDED, HELD_SECONDS, Leftover
from ..storage.lock import GRACE, Lock
from ..storage.storage import Storage
from ..storage.store import Stored
from ..token_data import TokenData
from . import troubles
from .flight import Flight, kept
from .tasks import Tasks

log = logging.getLogger(__name__)

# Seconds a waiter stays: the holder may die, and its successor needs its own call.
_PATIENCE = keys.LOCK_TTL + GRACE + DEADLINE + 2.0
# One person's tokens at one provider, requested because they are due or because an API
# refused them; in one event loop.
Route = tuple[asyncio.AbstractEventLoop, str, str, str, str, bool]


class Refresher:
    """Renewer of tokens: single flight in the process, a lock between processes."""

    def __init__(
        self,
        storage: Storage,
        client: ProviderClient,
        outbox: Outbox,
        tasks: Tasks,
    ) -> None:
        self._store = storage.connections
        self._leftovers = storage.held
        self._client = client
        self._outbox = outbox
        self._tasks = tasks
        self._flights: dict[Route, Flight] = {}

    async def refreshed(
        self,
        redis: RedisClient,
        user_id: str,
        provider: OAuthProvider,
        due: TokenData,
        *,
        is_refused: bool = False,
    ) -> TokenData | None:
        """Return the tokens that replaced ``due``, by our refresh or another process's.

        ``is_refused``: they are not due by the clock, but an API refused them; such
        calls are limited, and beyond the limit ``due`` itself is returned.  Waiters
        take the result, however short it lives, and also while it cannot be stored yet.
        ``None`` means that access is over or was disconnected.  The work goes on when
        the caller is cancelled: a rotated pair must reach the store.  Raises
        ``OAuthUnavailable``, ``OAuthMisconfigured`` or ``RecordUnreadable``.
        """
        loop = asyncio.get_running_loop()
        key = (loop, user_id, provider.name, due.access_token, due.refresh_token, is_refused)
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = Flight(redis, user_id, provider, due, is_refused)
            work = self._tasks.run(self._across_processes(flight))
            work.add_done_callback(flight.land)
            work.add_done_callback(lambda _: self._flights.pop(key, None))
        return await flight.outcome()

    async def _across_processes(self, flight: Flight) -> TokenData | None:
        redis = flight.redis
        user_id = flight.user_id
        name = flight.provider.name
        lock = Lock(redis, user_id, name)
        give_up = time.monotonic() + _PATIENCE
        pause = 0.02
        while True:
            hold = await lock.acquire()
            if hold.answer == "got":
                return await self._holding(flight, lock, hold.failures)
            stored = await self._store.read_one(redis, user_id, name)
            token = self._store.open_tokens(user_id, name, stored.tokens)
            if token != flight.due:
                return token
            if hold.answer == "pausing" or time.monotonic() > give_up:
                known = self._store.open_profile(user_id, name, stored.profile)
                raise troubles.waiting(flight.provider, known)
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
            pause = min(pause * 1.5, 0.25)

    async def _holding(self, flight: Flight, lock: Lock, failures: int) -> TokenData | None:
        """Refresh, unless another did before we had the lock; release it in any case."""
        redis = flight.redis
        user_id = flight.user_id
        provider = flight.provider
        retry_after, failures_now = 0.0, 0
        try:
            stored = await self._store.read_one(redis, user_id, provider.name)
            token = self._store.open_tokens(user_id, provider.name, stored.tokens)
            if token != flight.due:
                return token
            if flight.is_refused and not await renewals.allows(redis, user_id, provider.name):
                return token
            return await self._refresh(flight, stored)
        except StoreUnavailable:
            raise  # no fault of the provider's, so no pause for others
        except OAuthUnavailable as error:
            failures_now, retry_after = failures + 1, error.retry_after
            raise
        finally:
            try:
                await lock.release(failures=failures_now, retry_after=retry_after)
            except StoreUnavailable:
                log.warning("%s: a lock was left to run out", provider.name)

    async def _refresh(self, flight: Flight, stored: Stored) -> TokenData | None:
        redis = flight.redis
        user_id = flight.user_id
        provider = flight.provider
        try:
            fresh = await self._client.refresh(provider, flight.due)
        except OAuthRefused as refusal:
            return await self.ended(redis, user_id, provider, stored, refusal)
        except (OAuthMisconfigured, OAuthUnavailable) as failure:
            await troubles.note(self._store, redis, user_id, provider, stored, failure)
            raise
        outcome = await kept(self._store, flight, stored, fresh)
        if outcome == 1:
            return fresh
        if outcome == 0:
            # Disconnected meanwhile, which wins: the pair just issued must not outlive it.
            await self._client.revoke(provider, fresh)
            return None
        tokens = await self._store.read_tokens(redis, user_id, provider.name)
        return self._store.open_tokens(user_id, provider.name, tokens)

    async def ended(
        self,
        redis: RedisClient,
        user_id: str,
        provider: OAuthProvider,
        stored: Stored,
        refusal: OAuthRefused,
    ) -> TokenData | None:
        """Record that the provider calls the grant over, unless the record moved on.

        Returns the tokens that replaced ``stored``, if any.
        """

        def mark(profile: Profile) -> Profile:
            return profile.with_problem(code, refusal.meaning, refusal.trace, time.time())

        code = refusal.code
        name = provider.name
        over = self._store.open_tokens(user_id, name, stored.tokens)
        if over is None:
            return None
        over.provider = name
        label = self._store.facts(user_id, name, stored).account.label
        event = Event("access_ended", name, "provider", time.time(), code, label)
        left = Leftover(over, event.at + HELD_SECONDS, ENDED, at=event.at, account=label)
        left = self._leftovers.sealed(user_id, left)
        told = Queued()

        def tell(pipe: Pipeline) -> None:
            nonlocal told
            told = self._outbox.ended(pipe, user_id, event, left)

        while True:
            is_ended, answers = await self._store.end(redis, user_id, name, mark, stored, tell)
            if is_ended:
                log.warning("%s: access has ended: %s", name, code)
                return None
            told.answered(answers)
            await self._outbox.withdraw(redis, user_id, told, left=left)
            stored = await self._store.read_one(redis, user_id, name)
            now = self._store.open_tokens(user_id, name, stored.tokens)
            if now != over:
                return now
