"""Disconnecting: always locally, at the provider if it cooperates."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..errors import RecordUnreadable, StoreUnavailable
from ..journal.activity import Event
from ..journal.outbox import Outbox, Queued
from ..models import Account, Disconnected, RevokeOutcome
from ..providers.provider import OAuthProvider
from ..storage.calls import Pipeline, RedisClient, is_full, redis_call
from ..storage.held_tokens import ASKING, ENDED, HELD_SECONDS, Leftover
from ..storage.storage import Storage
from ..storage.store import Stored
from ..storage.switch_offers import SwitchOffer
from .offers import Offers
from .revocation import Ending, Revocation
from .tasks import Tasks

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Removed:
    """A connection that was removed here, with what was recorded of it.

    ``left`` are the tokens to ask the provider with; ``told`` is None if nothing has
    been recorded yet.
    """

    stored: Stored
    account: Account
    event: Event
    left: Leftover | None = None
    told: Queued | None = None
    offer: SwitchOffer | None = None  # another account that waited for the person's choice
    is_ours: bool = True  # nobody else was faster


class Disconnector:
    """The removal of connections, and of their grants at providers.

    The order is such that a process may be killed between any two steps: the tokens to
    ask the provider with are put aside first, the person's timeline and the bot's
    notice come before the removal, and the tokens stay aside until the provider has
    answered.  The next reader finds them (:meth:`resume`).
    """

    def __init__(
        self,
        storage: Storage,
        revocation: Revocation,
        offers: Offers,
        outbox: Outbox,
        tasks: Tasks,
    ) -> None:
        self._store = storage.connections
        self._leftovers = storage.held
        self._revocation = revocation
        self._offers = offers
        self._outbox = outbox
        self._tasks = tasks

    async def disconnect(
        self, redis: RedisClient, user_id: str, provider: OAuthProvider, by: str
    ) -> Ending:
        """Remove the connection here; the returned ending still waits for the provider.

        Raises ``StoreUnavailable``; then the provider was not asked.
        """
        removed = await self._remove(redis, user_id, provider.name, by)
        work = self._end(redis, user_id, provider, removed)
        return Ending(removed.account, self._tasks.run(work))

    async def _remove(self, redis: RedisClient, user_id: str, provider: str, by: str) -> _Removed:
        while True:
            before = await self._store.read_one(redis, user_id, provider)
            account = self._store.facts(user_id, provider, before).account
            at = time.time()
            event = Event("disconnected", provider, by, at, ASKING, account.label)
            removed = _Removed(before, account, event)
            if not before.is_there:
                offer = await self._other_account(redis, user_id, provider)
                return replace(removed, offer=offer)
            removed = await self._put_aside(redis, user_id, removed)
            try:
                removed = await self._take_away(redis, user_id, removed)
            except StoreUnavailable:
                if removed.left:  # as far as we know nothing was removed, so no process resumes it
                    await self._outbox.withdraw(redis, user_id, Queued(), left=removed.left)
                raise
            if removed.is_ours:
                return removed

    async def _other_account(
        self, redis: RedisClient, user_id: str, provider: str
    ) -> SwitchOffer | None:
        try:
            return await self._offers.take_any(redis, user_id, provider)
        except StoreUnavailable:
            log.warning("%s: another account was left to run out", provider)
            return None

    async def _put_aside(self, redis: RedisClient, user_id: str, removed: _Removed) -> _Removed:
        """Put the tokens to ask the provider with aside, before anything is removed."""
        event = removed.event
        try:
            token = self._store.open_tokens(user_id, event.provider, removed.stored.tokens)
        except RecordUnreadable:
            token = None
        if token is None:
            return removed
        token.provider = event.provider
        until, asked = event.at + HELD_SECONDS, event.at
        left = Leftover(token, until, ASKING, asked, event.by, event.at, event.account)
        left = self._leftovers.sealed(user_id, left)
        try:
            async with redis_call("put aside what a disconnect is asked with"):
                await self._leftovers.put(redis, user_id, left)
        except StoreUnavailable as failure:
            if not is_full(failure):
                raise
            # A server without room still removes; only its own crash would go unnoticed.
            log.warning("%s: nothing could be put aside for a disconnect", event.provider)
        return replace(removed, left=left)

    async def _take_away(self, redis: RedisClient, user_id: str, removed: _Removed) -> _Removed:
        """Remove the records and report it; not ours if the tokens changed meanwhile."""
        before = removed.stored
        event = removed.event
        provider = removed.event.provider
        told, account = removed.told or Queued(), removed.account

        def tell(pipe: Pipeline) -> None:
            nonlocal told
            if not told.event_id:
                told = self._outbox.disconnected(pipe, user_id, event)
            clear(pipe)

        def clear(pipe: Pipeline) -> None:
            self._outbox.unlist(pipe, user_id, provider, account)
            self._offers.queue_take(pipe, user_id, provider)

        remove = partial(self._store.remove, redis, user_id, provider, before)
        try:
            done, profile, answers = await remove(tell)
        except StoreUnavailable:
            done, _, answers = await remove(clear)
            return await self._taken_away_twice(redis, user_id, removed, done, answers)
        told.answered(answers)
        removed = replace(removed, offer=self._offers.taken(user_id, provider, answers[-1]))
        if done == 1:
            return replace(removed, told=told if told.event_id else None)
        if done == 0 and profile:  # there was no access any more, only its profile
            return replace(removed, stored=Stored(profile=profile, aside=before.aside), told=told)
        # Another process removed everything and reported it, or stored other tokens.
        await self._outbox.withdraw(redis, user_id, told, left=removed.left)
        stored = Stored() if done == 0 else before
        return replace(removed, stored=stored, left=None, is_ours=done == 0)

    async def _taken_away_twice(
        self, redis: RedisClient, user_id: str, removed: _Removed, done: int, answers: Sequence[Any]
    ) -> _Removed:
        """Return the outcome if the first answer was lost: records that are gone were reported."""
        offer = self._offers.taken(user_id, removed.event.provider, answers[-1])
        told = None
        if done != 1:
            told = Queued(event_id=await self._outbox.find(redis, user_id, removed.event))
        return replace(removed, told=told, offer=offer, is_ours=done != -1)

    async def _end(
        self, redis: RedisClient, user_id: str, provider: OAuthProvider, removed: _Removed
    ) -> Disconnected:
        name = provider.name
        stored = removed.stored
        account = removed.account
        left = removed.left
        if stored.tokens:
            outcome, token = await self._revocation.ask(provider, left.token if left else None)
        else:
            known = self._store.open_profile(user_id, name, stored.profile)
            outcome = RevokeOutcome.ENDED if known.problem else RevokeOutcome.NOTHING
            token = None
            left = left or self._leftovers.open(user_id, name, stored.aside)
            if left and left.state == ENDED:
                # In case it was not over after all.
                await self._revocation.ask(provider, left.token)
        if removed.offer:
            await self._offers.give_back(redis, user_id, provider, removed.offer)
        if not stored.is_there:
            return Disconnected(name, outcome, account)
        event = replace(removed.event, detail=outcome.value)
        until = await self._revocation.answered(redis, user_id, removed.told, event, left, token)
        return Disconnected(name, outcome, account, until)

    def resume(
        self, redis: RedisClient, user_id: str, provider: OAuthProvider, stored: Stored
    ) -> None:
        """Finish in the background the disconnect that a dead process has begun.

        ``stored`` is what a reader has found.  Of any number of readers, one goes on.
        """
        left = self._leftovers.open(user_id, provider.name, stored.aside)
        if left and left.is_interrupted and self._is_of(user_id, stored, left):
            self._tasks.run(self._resume(redis, user_id, provider, stored, left))

    def _is_of(self, user_id: str, stored: Stored, left: Leftover) -> bool:
        """Return whether the stored tokens are those to remove, not newer ones."""
        name = left.token.provider
        try:
            token = self._store.open_tokens(user_id, name, stored.tokens)
        except RecordUnreadable:
            return False
        if token is None:
            return not self._store.open_profile(user_id, name, stored.profile).problem
        return token.access_token == left.token.access_token

    async def _resume(
        self,
        redis: RedisClient,
        user_id: str,
        provider: OAuthProvider,
        stored: Stored,
        left: Leftover,
    ) -> None:
        name = provider.name
        event = Event("disconnected", name, left.by, left.at, ASKING, left.account)
        try:
            claimed = await self._leftovers.claim(redis, user_id, left)
            if claimed is None:
                return
            if stored.is_there:
                account = self._store.facts(user_id, name, stored).account
                told = Queued(event_id=await self._outbox.find(redis, user_id, event))
                removed = _Removed(stored, account, event, claimed, told)
                if not (await self._take_away(redis, user_id, removed)).is_ours:
                    return
            await self._revocation.resume(redis, user_id, provider, claimed, event)
        except StoreUnavailable:
            log.warning("%s: an interrupted disconnect waits for the next look", name)

    def end_aside(self, user_id: str, provider: OAuthProvider, stored: Stored) -> None:
        """Ask the provider in the background to end the replaced grant."""
        try:
            token = self._store.open_tokens(user_id, provider.name, stored.tokens)
        except RecordUnreadable:
            return
        if token:
            self._tasks.run(self._revocation.ask(provider, token))
