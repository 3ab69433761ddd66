"""The records of connections in Redis.

Every command is portable (Redis 7, Valkey 8); the scripts stand in ``scripts``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from . import canary, keys, scripts
from .errors import RecordUnreadable, StoreUnavailable
from .models import Profile, TokenData
from .redis_io import is_mistyped, raw, read_text, redis_call, text_of
from .sealing import Sealer

WRITE_SECONDS = 0.9  # after which a fresh connection may not be written any more


@dataclass(frozen=True, slots=True)
class Stored:
    """Both records of one connection as they were read; ``""`` where there is none."""

    tokens: str = ""
    profile: str = ""
    clock: float = 0.0  # Redis's clock less our monotonic one, in ms


class Store:
    """Reads and writes the records of connections."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    # Records

    def open_tokens(self, user_id: str, provider: str, sealed: str) -> TokenData | None:
        """The tokens, ``None`` where there are none.  Raises ``RecordUnreadable``."""
        if not sealed:
            return None
        record = self._sealer.open("tokens", user_id, provider, sealed)
        try:
            token = TokenData.from_dict(record)
        except (ValueError, TypeError):
            raise RecordUnreadable("a field has no sensible reading") from None
        return token if token.access_token else None

    def open_profile(self, user_id: str, provider: str, sealed: str) -> Profile:
        """What is known beside the tokens; empty where it is absent or cannot be read."""
        try:
            record = self._sealer.open("connection", user_id, provider, sealed)
            return Profile.from_dict(record)
        except (RecordUnreadable, KeyError, TypeError):
            return Profile()

    def _can_open(self, user_id: str, provider: str, sealed: str) -> bool:
        """Whether a profile is there and can be read: else it is kept as it is."""
        try:
            self._sealer.open("connection", user_id, provider, sealed)
        except RecordUnreadable:
            return False
        return True

    def _sealed_tokens(self, user_id: str, token: TokenData) -> str:
        record = {**token.to_dict(), "issued_at": token.issued_at}
        return self._sealer.seal("tokens", user_id, token.provider, record)

    def _sealed_profile(self, user_id: str, provider: str, profile: Profile) -> str:
        return self._sealer.seal("connection", user_id, provider, asdict(profile))

    # Reading

    async def read_tokens(self, redis: Any, user_id: str, provider: str) -> str:
        """The sealed tokens, ``""`` where there are none.

        Raises ``RecordUnreadable`` where the key holds something else than text.
        """
        async with redis_call("read tokens"):
            return await read_text(redis, keys.tokens(user_id, provider))

    async def read_one(self, redis: Any, user_id: str, provider: str) -> Stored:
        """Both records of one connection, as :meth:`read` gives them."""
        return (await self.read(redis, user_id, [provider]))[provider]

    async def read_for_writing(self, redis: Any, user_id: str, provider: str) -> Stored:
        """Both records of one connection, and Redis's clock, for :meth:`connect`.

        Raises ``WrongKey`` where what would be written could not be read by the others.
        """
        both = keys.tokens(user_id, provider), keys.connection(user_id, provider)
        async with redis_call("read a connection"):
            pipe = redis.pipeline(transaction=False)
            for key in both:
                raw(pipe, "GET", key)
            pipe.eval(scripts.CLOCK, 1, both[0])
            canary.queue(pipe)
            tokens, profile, now, fit = await pipe.execute(raise_on_error=False)
            canary.require(self._sealer, fit, provider, "connect")
            return Stored(text_of(tokens), text_of(profile), int(now) - time.monotonic() * 1000)

    async def read(self, redis: Any, user_id: str, providers: Iterable[str]) -> dict[str, Stored]:
        """Both records for each provider.  A mistyped key reads as a record nobody can open."""
        names = list(providers)
        async with redis_call("read connections"):
            pipe = redis.pipeline(transaction=False)
            for name in names:
                raw(pipe, "GET", keys.tokens(user_id, name))
                raw(pipe, "GET", keys.connection(user_id, name))
            answers = [text_of(a) for a in await pipe.execute(raise_on_error=False)]
        return {n: Stored(answers[2 * i], answers[2 * i + 1]) for i, n in enumerate(names)}

    # Writing

    async def put_tokens(self, redis: Any, user_id: str, token: TokenData) -> None:
        """Store tokens whatever was there before.

        The first of all in a Redis comes with the canary.  Raises ``WrongKey``.
        """
        key = keys.tokens(user_id, token.provider)
        await canary.require_for(redis, self._sealer, key, token.provider, "store tokens")
        async with redis_call("store tokens"):
            await redis.set(key, self._sealed_tokens(user_id, token))

    async def connect(
        self,
        redis: Any,
        user_id: str,
        token: TokenData,
        profile: Profile,
        before: Stored,
        also: Callable[[Any], object],
    ) -> tuple[bool, list[Any]]:
        """Store a fresh connection; ``False`` where a disconnect came in between.

        ``also`` queues more commands on the same trip; their answers come second.
        """
        name = token.provider
        fresh = Stored(
            self._sealed_tokens(user_id, token), self._sealed_profile(user_id, name, profile)
        )
        tokens, beside = keys.tokens(user_id, name), keys.connection(user_id, name)
        until = int(time.monotonic() * 1000 + before.clock + WRITE_SECONDS * 1000)
        async with redis_call("store connection"):
            pipe = redis.pipeline(transaction=False)
            pipe.eval(scripts.CONNECT, 1, tokens, before.tokens, fresh.tokens, until, "")
            pipe.eval(scripts.CONNECT, 1, beside, before.profile, fresh.profile, until, "same")
            also(pipe)
            outcomes = await pipe.execute()
            written, written_beside, answers = int(outcomes[0]), int(outcomes[1]), outcomes[2:]
            if written == 1 and written_beside == -1:
                # A check or a refresh wrote down its time meanwhile; ours is newer.
                known = (beside, before.profile, fresh.profile, until, "")
                written_beside = int(await redis.eval(scripts.CONNECT, 1, *known))
            kept = written == written_beside == 1
            if not kept:
                await self._take_back(redis, user_id, name, fresh)
            if -2 in (written, written_beside):
                raise StoreUnavailable("store connection", "too_late")
        return kept, answers

    async def _take_back(self, redis: Any, user_id: str, provider: str, fresh: Stored) -> None:
        pipe = redis.pipeline(transaction=False)
        pipe.eval(scripts.DELETE_IF_SAME, 1, keys.tokens(user_id, provider), fresh.tokens)
        pipe.eval(scripts.DELETE_IF_SAME, 1, keys.connection(user_id, provider), fresh.profile)
        await pipe.execute()

    async def renew(
        self, redis: Any, user_id: str, token: TokenData, profile: Profile, before: Stored
    ) -> int:
        """Replace refreshed tokens: 1 done, 0 disconnected meanwhile, -1 reconnected meanwhile."""
        sealed = self._sealed_tokens(user_id, token)
        async with redis_call("store refreshed tokens"):
            pipe = redis.pipeline(transaction=False)
            pipe.eval(
                scripts.REPLACE, 1, keys.tokens(user_id, token.provider), before.tokens, sealed
            )
            if self._can_open(user_id, token.provider, before.profile):
                sealed_profile = self._sealed_profile(user_id, token.provider, profile)
                pipe.eval(
                    scripts.REPLACE,
                    1,
                    keys.connection(user_id, token.provider),
                    before.profile,
                    sealed_profile,
                )
            canary.queue_beside(pipe, self._sealer, before.tokens)
            return int((await pipe.execute())[0])

    async def update_profile(
        self, redis: Any, user_id: str, provider: str, profile: Profile, before: Stored
    ) -> bool:
        """Write what is known beside the tokens; ``False`` if that went or changed meanwhile."""
        if not self._can_open(user_id, provider, before.profile):
            return False
        sealed = self._sealed_profile(user_id, provider, profile)
        key = keys.connection(user_id, provider)
        async with redis_call("store a connection's facts"):
            return int(await redis.eval(scripts.REPLACE, 1, key, before.profile, sealed)) == 1

    async def end(
        self,
        redis: Any,
        user_id: str,
        provider: str,
        mark: Callable[[Profile], Profile],
        before: Stored,
    ) -> bool:
        """Drop tokens that are over and keep why; ``False`` where they changed meanwhile.

        ``mark`` writes the reason into what is known of the connection.
        """
        tokens, beside = keys.tokens(user_id, provider), keys.connection(user_id, provider)

        def marked(profile: str) -> str:
            known = mark(self.open_profile(user_id, provider, profile))
            return self._sealed_profile(user_id, provider, known)

        async with redis_call("record the end of a grant"):
            if not before.profile:
                deleted = await redis.eval(scripts.DELETE_IF_SAME, 1, tokens, before.tokens)
                if deleted:
                    await redis.set(beside, marked(""), nx=True)
                return bool(deleted)
            pipe = redis.pipeline(transaction=False)
            # The reason first: a crash in between must not leave silence.
            pipe.eval(scripts.REPLACE, 1, beside, before.profile, marked(before.profile))
            pipe.eval(scripts.DELETE_IF_SAME, 1, tokens, before.tokens)
            written, deleted = await pipe.execute()
            if deleted and int(written) == -1:
                # Somebody wrote down a time meanwhile; the reason goes on top of it.
                now = await read_text(redis, beside)
                await redis.eval(scripts.REPLACE, 1, beside, now, marked(now))
        return bool(deleted)

    async def remove(
        self, redis: Any, user_id: str, provider: str, also: Callable[[Any], object]
    ) -> Stored:
        """Take both records away, atomically each, and return what they were.

        ``also`` queues more commands on the same trip.
        """
        both = (keys.tokens(user_id, provider), keys.connection(user_id, provider))
        async with redis_call("disconnect"):
            pipe = redis.pipeline(transaction=False)
            for key in both:
                raw(pipe, "GETDEL", key)
            also(pipe)
            answers = (await pipe.execute(raise_on_error=False))[:2]
            mistyped = [k for k, a in zip(both, answers, strict=True) if is_mistyped(a)]
            for key in mistyped:
                await redis.delete(key)
            return Stored(text_of(answers[0]), text_of(answers[1]))

    async def replace(self, redis: Any, key: str, before: str, after: str) -> bool:
        """Put one sealed value in another's place, if it still is there."""
        return int(await redis.eval(scripts.REPLACE, 1, key, before, after)) == 1
