"""The records of connections in Redis: every write; :mod:`.lookup` reads.

Every command is portable (Redis 7, Valkey 8); the scripts are in ``scripts``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..errors import RecordUnreadable, StoreUnavailable
from ..models import Profile
from ..token_data import TokenData, new_generation
from . import canary, keys, scripts
from .calls import DEADLINE, RedisClient, exact, is_mistyped, raw, read_text, redis_call, text_of
from .lookup import Lookup
from .records import Stored

__all__ = ["Store", "Stored"]

WRITE_SECONDS = 0.9  # after which a fresh connection may no longer be written


class Store(Lookup):
    """Reader and writer of the records of connections."""

    async def put_tokens(self, redis: RedisClient, user_id: str, token: TokenData) -> None:
        """Store tokens, replacing any.

        The first tokens in a Redis come with the canary.  Raises ``WrongKey``.
        """
        name = token.provider
        key = keys.tokens(user_id, name)
        if not token.generation:
            known = await self._generation(redis, user_id, token)
            token = replace(token, generation=known or new_generation())
        await canary.require_for(redis, self._sealer, key, name, "store tokens")
        async with redis_call("store tokens"):
            await self.older.make_room(redis, user_id, name)
            await redis.set(key, self.sealed_tokens(user_id, token))
            await self.older.take(redis, user_id, name)

    async def _generation(self, redis: RedisClient, user_id: str, token: TokenData) -> str:
        """Return the stored generation if ``token`` is of the same authorization; else ``""``."""
        sealed = await self.read_tokens(redis, user_id, token.provider)
        try:
            stored = self.open_tokens(user_id, token.provider, sealed)
        except RecordUnreadable:
            return ""
        if stored is None:
            return ""
        held = {stored.access_token, stored.refresh_token} - {""}
        is_same = not held.isdisjoint((token.access_token, token.refresh_token))
        return stored.generation if is_same else ""

    async def connect(
        self,
        redis: RedisClient,
        user_id: str,
        token: TokenData,
        profile: Profile,
        before: Stored,
        also: Callable[[Any], object],
    ) -> tuple[bool, list[Any]]:
        """Store a fresh connection; ``False`` if a disconnect came in between.

        ``also`` queues more commands on the same trip; every answer to it comes second.
        """
        name = token.provider
        fresh = Stored(
            self.sealed_tokens(user_id, token), self.sealed_profile(user_id, name, profile)
        )
        tokens, beside = keys.tokens(user_id, name), keys.connection(user_id, name)
        until = int(time.monotonic() * 1000 + before.clock + WRITE_SECONDS * 1000)
        async with redis_call("store connection"):
            known, profiled = exact(before.tokens), exact(before.profile)
            if before.is_older:
                known = (await self.older.claim(redis, user_id, name)).encode() or known
            else:
                await self.older.make_room(redis, user_id, name)
            pipe = redis.pipeline(transaction=False)
            pipe.eval(scripts.CONNECT, 1, tokens, known, fresh.tokens, until, "")
            pipe.eval(scripts.CONNECT, 1, beside, profiled, fresh.profile, until, "same")
            also(pipe)
            outcomes = await pipe.execute()
            written, written_beside = int(outcomes[0]), int(outcomes[1])
            if written == 1 and written_beside == -1:
                # A check or a refresh wrote its time meanwhile; ours is newer.
                again = (beside, profiled, fresh.profile, until, "")
                written_beside = int(await redis.eval(scripts.CONNECT, 1, *again))
            kept = written == written_beside == 1
            if kept:
                await self.older.take(redis, user_id, name)
            else:
                await self._take_back(redis, user_id, name, fresh)
            if -2 in (written, written_beside):
                raise StoreUnavailable("store connection", "too_late")
        return kept, outcomes

    async def _take_back(
        self, redis: RedisClient, user_id: str, provider: str, fresh: Stored
    ) -> None:
        pipe = redis.pipeline(transaction=False)
        pipe.eval(scripts.DELETE_IF_SAME, 1, keys.tokens(user_id, provider), fresh.tokens)
        pipe.eval(scripts.DELETE_IF_SAME, 1, keys.connection(user_id, provider), fresh.profile)
        await pipe.execute()

    async def renew(
        self,
        redis: RedisClient,
        user_id: str,
        token: TokenData,
        profile: Profile,
        before: Stored,
        *,
        deadline: float = DEADLINE,
    ) -> int:
        """Replace refreshed tokens: 1 done, 0 disconnected meanwhile, -1 reconnected meanwhile.

        -1 also if a record of the older system has just been moved: read it once more.
        """
        name, sealed = token.provider, self.sealed_tokens(user_id, token)
        async with redis_call("store refreshed tokens", deadline):
            if before.is_older:
                await self.older.move(redis, user_id, name)
                return -1 if await self.read_tokens(redis, user_id, name) else 0
            pipe = redis.pipeline(transaction=False)
            pipe.eval(scripts.REPLACE, 1, keys.tokens(user_id, name), before.tokens, sealed)
            if self.can_open(user_id, name, before.profile):
                beside = keys.connection(user_id, name)
                sealed_profile = self.sealed_profile(user_id, name, profile)
                pipe.eval(scripts.REPLACE, 1, beside, before.profile, sealed_profile)
            canary.queue_beside(pipe, self._sealer, before.tokens)
            outcome = int((await pipe.execute())[0])
            if outcome == 1:
                await self.older.clear(redis, user_id, name, before.older)
        return outcome

    async def update_profile(
        self, redis: RedisClient, user_id: str, provider: str, profile: Profile, before: Stored
    ) -> bool:
        """Write the profile; ``False`` if it was removed or changed meanwhile.

        Also the first profile of a connection that an older system made.
        """
        if before.tokens and not before.profile:
            return await self._begin_profile(redis, user_id, provider, profile)
        if not self.can_open(user_id, provider, before.profile):
            return False
        sealed = self.sealed_profile(user_id, provider, profile)
        key = keys.connection(user_id, provider)
        async with redis_call("store a connection's facts"):
            return int(await redis.eval(scripts.REPLACE, 1, key, before.profile, sealed)) == 1

    async def _begin_profile(
        self, redis: RedisClient, user_id: str, provider: str, profile: Profile
    ) -> bool:
        """Write a first profile, unless the connection has gone meanwhile."""
        key = keys.connection(user_id, provider)
        sealed = self.sealed_profile(user_id, provider, profile)
        async with redis_call("store a connection's facts"):
            pipe = redis.pipeline(transaction=False)
            pipe.set(key, sealed, nx=True)
            for place in filter(None, keys.token_places(user_id, provider)):
                raw(pipe, "GET", place)
            is_written, *tokens = await pipe.execute(raise_on_error=False)
            if is_written and not any(tokens):
                await redis.eval(scripts.DELETE_IF_SAME, 1, key, sealed)
        return bool(is_written and any(tokens))

    async def end(
        self,
        redis: RedisClient,
        user_id: str,
        provider: str,
        mark: Callable[[Profile], Profile],
        before: Stored,
        also: Callable[[Any], object],
    ) -> tuple[bool, list[Any]]:
        """Drop tokens that are over, keep the reason; ``False`` if they changed or moved meanwhile.

        ``mark`` writes the reason into the profile.  ``also`` queues more commands
        ahead of the removal, on the same trip; their answers come second.
        """
        tokens, beside = keys.tokens(user_id, provider), keys.connection(user_id, provider)

        def marked(profile: str) -> str:
            known = mark(self.open_profile(user_id, provider, profile))
            return self.sealed_profile(user_id, provider, known)

        reason = marked(before.profile)
        async with redis_call("record the end of a grant"):
            if before.is_older:
                await self.older.move(redis, user_id, provider)
                return False, []
            await self.older.clear(redis, user_id, provider, before.older)
            pipe = redis.pipeline(transaction=False)
            also(pipe)
            # The reason before the removal: a crash in between must not lose it.
            if before.profile:
                pipe.eval(scripts.REPLACE, 1, beside, exact(before.profile), reason)
            else:
                pipe.set(beside, reason, nx=True)
            pipe.eval(scripts.DELETE_IF_SAME, 1, tokens, before.tokens)
            *told, written, deleted = await pipe.execute()
            is_ended = int(deleted) == 1
            if is_ended and before.profile and int(written) == -1:
                # Another process wrote a time meanwhile; the reason goes on top of it.
                now = await read_text(redis, beside)
                await redis.eval(scripts.REPLACE, 1, beside, exact(now), marked(now))
            elif not is_ended and not before.profile and written:
                await redis.eval(scripts.DELETE_IF_SAME, 1, beside, reason)
        return is_ended, told

    async def remove(
        self,
        redis: RedisClient,
        user_id: str,
        provider: str,
        before: Stored,
        also: Callable[[Any], object],
    ) -> tuple[int, str, list[Any]]:
        """Remove the records, the tokens only if they are still those of ``before``.

        1 if they were, 0 if there are none any more, -1 if they changed; and the
        profile, which is removed in any case.  ``also`` queues more commands ahead of
        that, on the same trip; their answers come third.
        """
        tokens, beside = keys.tokens(user_id, provider), keys.connection(user_id, provider)
        async with redis_call("disconnect"):
            done = None
            if before.is_older:
                done = await self.older.remove(redis, user_id, provider, before.older)
            else:
                await self.older.clear(redis, user_id, provider, before.older)
            pipe = redis.pipeline(transaction=False)
            also(pipe)
            pipe.eval(scripts.DELETE_IF_SAME, 1, tokens, exact(before.tokens))
            raw(pipe, "GETDEL", beside)
            *told, deleted, profile = await pipe.execute(raise_on_error=False)
            if is_mistyped(profile):
                await redis.delete(beside)
            if isinstance(deleted, Exception):
                raise deleted
            return int(deleted if done is None else done), text_of(profile), told

    async def replace(self, redis: RedisClient, key: str, before: str, after: str) -> bool:
        """Replace one sealed value by another, if it still is there."""
        return int(await redis.eval(scripts.REPLACE, 1, key, before, after)) == 1
