"""The records of connections, read from Redis: everything about one in one round trip."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from . import canary, keys, scripts
from .calls import RedisClient, raw, read_text, redis_call, text_of
from .older_keys import OlderKeys
from .records import Records, Stored
from .sealer import Sealer


class Lookup(Records):
    """Reader of records; it writes nothing."""

    def __init__(self, sealer: Sealer) -> None:
        super().__init__(sealer)
        self.older = OlderKeys(sealer)

    async def read_tokens(self, redis: RedisClient, user_id: str, provider: str) -> str:
        """Read the sealed tokens, ``""`` if there are none.  One round trip.

        Raises ``RecordUnreadable`` if the key holds anything but text.
        """
        key, older = keys.token_places(user_id, provider)
        async with redis_call("read tokens"):
            if not older:
                return await read_text(redis, key)
            before, ours = await _read_all(redis, [older, key])
        return self.older.in_use(user_id, provider, ours, before)[0]

    async def read_one(self, redis: RedisClient, user_id: str, provider: str) -> Stored:
        """Read the records of one connection, like :meth:`read`."""
        return (await self.read(redis, user_id, [provider]))[provider]

    async def read_for_writing(
        self,
        redis: RedisClient,
        user_id: str,
        provider: str,
        also: Callable[[Any], object] = lambda _: None,
    ) -> Stored:
        """Read the records of one connection, and Redis's clock, for :meth:`connect`.

        ``also`` queues more commands on the same trip.  Raises ``WrongKey`` if the
        others could not read a record we write.
        """
        places = _places(user_id, provider)
        async with redis_call("read a connection"):
            pipe = redis.pipeline(transaction=False)
            also(pipe)
            first = len(pipe)
            for key in places:
                raw(pipe, "GET", key)
            pipe.eval(scripts.CLOCK, 1, places[-1])
            canary.queue(pipe)
            *records, now, fit = (await pipe.execute(raise_on_error=False))[first:]
            canary.require(self._sealer, fit, provider, "connect")
            texts = [text_of(record) for record in records]
            if isinstance(now, Exception):
                raise now
        clock = int(now) - time.monotonic() * 1000
        return replace(self._stored(user_id, provider, texts), clock=clock)

    async def read(
        self, redis: RedisClient, user_id: str, providers: Iterable[str]
    ) -> dict[str, Stored]:
        """Read all records for each provider.  A mistyped key reads as an unreadable record."""
        places = {name: _places(user_id, name) for name in providers}
        async with redis_call("read connections"):
            texts = iter(await _read_all(redis, chain.from_iterable(places.values())))
        return {
            name: self._stored(user_id, name, list(islice(texts, len(own))))
            for name, own in places.items()
        }

    def _stored(self, user_id: str, provider: str, texts: list[str]) -> Stored:
        """Sort the values of :func:`_places`."""
        *older, tokens, profile, aside = texts
        before = ""
        if older:
            tokens, before = self.older.in_use(user_id, provider, tokens, older[0])
        return Stored(tokens, profile, aside=aside, older=before)


def _places(user_id: str, provider: str) -> list[str]:
    """List the keys of the records: the older tokens' key, if it differs, and ours."""
    key, older = keys.token_places(user_id, provider)
    beside = keys.connection(user_id, provider), keys.revoke(user_id, provider)
    return [*filter(None, [older]), key, *beside]


async def _read_all(redis: RedisClient, places: Iterable[str]) -> list[str]:
    pipe = redis.pipeline(transaction=False)
    for key in places:
        raw(pipe, "GET", key)
    return [text_of(answer) for answer in await pipe.execute(raise_on_error=False)]
