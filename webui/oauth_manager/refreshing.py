"""One refresh for a connection, however many tasks, processes and machines ask for it."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from . import answers, keys, requests
from .activity import Activity, Event
from .background import Background
from .errors import OAuthMisconfigured, OAuthRefused, OAuthUnavailable, StoreUnavailable
from .locking import Lock
from .models import Profile, TokenData
from .notices import NoticeKind, Notices
from .provider import OAuthProvider
from .store import Store, Stored
from .transport import DEADLINE, Transport

log = logging.getLogger(__name__)

# Seconds a waiter stays: the holder may die, and its successor needs its own call.
_PATIENCE = keys.LOCK_TTL + DEADLINE + 2.0
_SAVE_ATTEMPTS = 5

Flight = tuple[asyncio.AbstractEventLoop, str, str]  # of a user id and a provider, in a loop


class Refresher:
    """Renews tokens: single flight in the process, a lock between processes."""

    def __init__(
        self,
        store: Store,
        transport: Transport,
        notices: Notices,
        activity: Activity,
        background: Background,
    ) -> None:
        self._store = store
        self._transport = transport
        self._notices = notices
        self._activity = activity
        self._background = background
        self._flights: dict[Flight, asyncio.Task[TokenData | None]] = {}

    async def refreshed(
        self, redis: Any, user_id: str, provider: OAuthProvider, due: TokenData
    ) -> TokenData | None:
        """The tokens that took the place of ``due``, by our refresh or somebody else's.

        Whoever waited takes the result, however short it lives.  ``None`` means
        that access is over or was disconnected.  The work goes on when the
        caller is cancelled: a rotated pair must reach the store.  Raises
        ``OAuthUnavailable``, ``OAuthMisconfigured`` or ``RecordUnreadable``.
        """
        key = (asyncio.get_running_loop(), user_id, provider.name)
        flight = self._flights.get(key)
        if flight is None:
            flight = self._background.run(self._across_processes(redis, user_id, provider, due))
            self._flights[key] = flight
            flight.add_done_callback(lambda _: self._flights.pop(key, None))
        return await asyncio.shield(flight)

    async def _across_processes(
        self, redis: Any, user_id: str, provider: OAuthProvider, due: TokenData
    ) -> TokenData | None:
        lock = Lock(redis, user_id, provider.name)
        give_up = time.monotonic() + _PATIENCE
        pause = 0.02
        while True:
            hold = await lock.acquire()
            if hold.got:
                return await self._holding(redis, user_id, provider, due, lock, hold.failures)
            tokens = await self._store.read_tokens(redis, user_id, provider.name)
            token = self._store.open_tokens(user_id, provider.name, tokens)
            if token != due:
                return token
            if hold.pausing or time.monotonic() > give_up:
                raise OAuthUnavailable(provider.name, "refresh", "waiting")
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
            pause = min(pause * 1.5, 0.25)

    async def _holding(
        self,
        redis: Any,
        user_id: str,
        provider: OAuthProvider,
        due: TokenData,
        lock: Lock,
        failures: int,
    ) -> TokenData | None:
        """Refresh, unless somebody did before we had the lock; let go in any case."""
        retry_after, failures_now = 0.0, 0
        try:
            stored = await self._store.read_one(redis, user_id, provider.name)
            token = self._store.open_tokens(user_id, provider.name, stored.tokens)
            if token != due:
                return token
            return await self._refresh(redis, user_id, provider, stored, due)
        except StoreUnavailable:
            raise  # no fault of the provider's, so nobody is kept off
        except OAuthUnavailable as error:
            failures_now, retry_after = failures + 1, error.retry_after
            raise
        finally:
            try:
                await lock.release(failures=failures_now, retry_after=retry_after)
            except StoreUnavailable:
                log.warning("%s: a lock was left to run out", provider.name)

    async def _refresh(
        self, redis: Any, user_id: str, provider: OAuthProvider, stored: Stored, token: TokenData
    ) -> TokenData | None:
        try:
            fresh = await self.renewed(provider, token)
        except OAuthRefused as refusal:
            return await self.ended(redis, user_id, provider, stored, refusal.code, refusal.trace)
        except OAuthMisconfigured as fault:
            log.error("%s: refresh refused because of our settings: %s", fault.provider, fault.code)
            await self.note_trouble(redis, user_id, provider, stored, "setup", fault.code)
            raise
        except OAuthUnavailable as error:
            await self.note_trouble(redis, user_id, provider, stored, "provider", error.code)
            raise
        profile = self._store.open_profile(user_id, provider.name, stored.profile)
        profile = replace(profile.without_trouble(), renewed_at=time.time())
        write = partial(self._store.renew, redis, user_id, fresh, profile, stored)
        outcome = await self._save(write, provider)
        while outcome == -1:
            # Sealed anew meanwhile, or replaced?  Only the latter is somebody else's pair.
            stored = await self._store.read_one(redis, user_id, provider.name)
            if self._store.open_tokens(user_id, provider.name, stored.tokens) != token:
                break
            write = partial(self._store.renew, redis, user_id, fresh, profile, stored)
            outcome = await self._save(write, provider)
        if outcome == 1:
            return fresh
        if outcome == 0:
            # Disconnected meanwhile, which wins: the pair just issued must not outlive it.
            await self.revoke(provider, fresh)
            return None
        tokens = await self._store.read_tokens(redis, user_id, provider.name)
        return self._store.open_tokens(user_id, provider.name, tokens)

    async def renewed(self, provider: OAuthProvider, token: TokenData) -> TokenData:
        """Ask the provider, store nothing."""
        if not provider.is_configured:
            raise OAuthMisconfigured(provider.name, "refresh", "not_set_up")
        answer = await self._transport.send(requests.refresh_request(provider, token))
        fields = answers.read_token_answer(provider, "refresh", answer)
        return answers.token_data(
            provider, fields, scopes=token.scopes, refresh_token=token.refresh_token
        )

    async def revoke(
        self, provider: OAuthProvider, token: TokenData, deadline: float = DEADLINE
    ) -> bool:
        """Ask the provider to end the grant; whether it confirmed.  Raises nothing."""
        if not provider.can_revoke or not provider.is_configured:
            return False
        try:
            answer = await self._transport.send(requests.revoke_request(provider, token), deadline)
        except OAuthUnavailable:
            return False
        return answers.confirms_revocation(answer)

    async def note_trouble(
        self,
        redis: Any,
        user_id: str,
        provider: OAuthProvider,
        stored: Stored,
        trouble: str,
        code: str,
    ) -> None:
        """Keep since when it has not been working, and why, through no fault of the grant.

        Only for display, so a failure to write it is passed over.
        """
        known = self._store.open_profile(user_id, provider.name, stored.profile)
        since = known.trouble_since if known.trouble == trouble else time.time()
        profile = replace(known, trouble=trouble, trouble_since=since, trouble_code=code)
        if profile != known:
            try:
                await self._store.update_profile(redis, user_id, provider.name, profile, stored)
            except StoreUnavailable:
                log.warning("%s: trouble could not be noted", provider.name)

    async def ended(
        self,
        redis: Any,
        user_id: str,
        provider: OAuthProvider,
        stored: Stored,
        code: str,
        trace: str = "",
    ) -> TokenData | None:
        """The provider says the grant is over: believe it unless the record moved on.

        ``code`` is its error code, ``trace`` its own id of the error.  The
        tokens that took the place of ``stored``, if any.
        """

        def mark(profile: Profile) -> Profile:
            known = profile.without_trouble()
            return replace(known, problem=code, problem_trace=trace, problem_since=time.time())

        name = provider.name
        over = self._store.open_tokens(user_id, name, stored.tokens)
        label = self._store.open_profile(user_id, name, stored.profile).account.label
        while not await self._store.end(redis, user_id, name, mark, stored):
            stored = await self._store.read_one(redis, user_id, name)
            now = self._store.open_tokens(user_id, name, stored.tokens)
            if now != over:
                return now
        log.warning("%s: access has ended: %s", name, code)
        await self._notices.put(redis, NoticeKind.RECONNECT_NEEDED, user_id, name, label)
        event = Event("access_ended", name, "provider", time.time(), code, label)
        await self._activity.note(redis, user_id, event)
        return None

    async def _save(
        self, write: Callable[[], Coroutine[Any, Any, int]], provider: OAuthProvider
    ) -> int:
        """Write a rotated pair, again and again: losing it would cost the whole grant."""
        for attempt in range(1, _SAVE_ATTEMPTS):
            try:
                return await write()
            except StoreUnavailable:
                log.warning("%s: a refreshed token is not stored yet", provider.name)
                await asyncio.sleep(0.2 * 2**attempt)
        return await write()
