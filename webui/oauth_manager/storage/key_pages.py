"""Walks over all keys, in pages, on every primary of a Cluster; one can be taken up again.

A place in a walk is a cursor of one run of one server: it means nothing to another server,
nor to the same one after a restart.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

from redis.asyncio import RedisCluster
from redis.exceptions import ResponseError

from ..values import Struct
from . import scripts
from .calls import RedisClient, as_text, raw, redis_call

PAGE = 500  # keys that are read and written together
MOST_LOOKS = 20  # of that many keys each, after which a page comes whatever it holds
END = -1  # the place behind the last key
_LIFE = 86_400  # seconds


class Page(Struct, frozen=True):
    """Keys of one server, each once, and the place behind them; a walk may meet a key twice.

    There may be none: among the keys of others a page says only how far the walk has come.
    ``run`` is the id of the server's run, ``""`` if it does not tell.
    """

    keys: list[bytes]
    run: str
    place: int


async def pages(
    redis: RedisClient, pattern: str, places: Mapping[str, int] | None = None
) -> AsyncIterator[Page]:
    """Walk all keys of a pattern, from these places on.  Raises ``StoreUnavailable``."""
    for server in await _servers(redis):
        run = await _run(server)
        cursor = (places or {}).get(run, 0)
        found = dict[bytes, None]()
        looks = 0
        while cursor != END:
            async with redis_call("walk all keys"):
                cursor, names = await server.execute_command(
                    "SCAN", cursor, "MATCH", pattern, "COUNT", PAGE, NEVER_DECODE=True
                )
            cursor = int(cursor) or END
            looks += 1
            found |= dict.fromkeys(names)
            if len(found) >= PAGE or looks == MOST_LOOKS or (found and cursor == END):
                yield Page(list(found), run, cursor)
                found.clear()
                looks = 0


async def portions(redis: RedisClient, pattern: str) -> AsyncIterator[list[bytes]]:
    """Walk all keys of a pattern, at most ``PAGE`` together, or none, like :func:`pages`.

    Raises ``StoreUnavailable``.
    """
    async for page in pages(redis, pattern):
        for start in range(0, len(page.keys) or 1, PAGE):
            yield page.keys[start : start + PAGE]


async def count(redis: RedisClient, pattern: str, places: Mapping[str, int]) -> int:
    """Count the keys from these places on.  Raises ``StoreUnavailable``."""
    return sum([len(page.keys) async for page in pages(redis, pattern, places)])


async def _servers(redis: RedisClient) -> list[Any]:
    """List what answers SCAN: the primaries of a Cluster, or the client itself."""
    if not isinstance(redis, RedisCluster):
        return [redis]
    async with redis_call("find the primaries"):
        await redis.initialize()
    return list(redis.get_primaries())


async def _run(server: Any) -> str:
    async with redis_call("ask a server for its run"):
        try:
            about = await server.execute_command("INFO", "server")
        except ResponseError:
            return ""  # this user may not ask: then nothing is taken up again
    return as_text(about.get("run_id", "")) if isinstance(about, dict) else ""


class Bookmark:
    """The places that a walk has reached, in Redis for a day; ``walk`` tells walks apart."""

    def __init__(self, redis: RedisClient, key: str, walk: str) -> None:
        self._redis = redis
        self._key = key
        self._walk = walk

    async def read(self) -> dict[str, int]:
        """Return the place on each run of a server."""
        async with redis_call("read the place of a walk"):
            held = await raw(self._redis, "HGETALL", self._key)
        pairs = held.items() if isinstance(held, dict) else zip(held[::2], held[1::2], strict=True)
        places = {}
        for field, value in pairs:
            walk, _, run = as_text(field).partition(":")
            if walk == self._walk and run:
                places[run] = int(value)
        return places

    async def put(self, page: Page) -> None:
        if not page.run:
            return
        async with redis_call("keep the place of a walk"):
            pipe = self._redis.pipeline(transaction=False)
            pipe.hset(self._key, f"{self._walk}:{page.run}", page.place)
            pipe.expire(self._key, _LIFE)
            await pipe.execute()

    async def remove(self) -> None:
        async with redis_call("forget the place of a walk"):
            await self._redis.delete(self._key)


class TurnLost(Exception):
    """Another process has the turn."""


class WalkTurn:
    """One process's turn at a walk that one makes at a time.

    A turn that its owner does not keep is over after ``seconds``.
    """

    def __init__(self, redis: RedisClient, key: str, seconds: int) -> None:
        self._redis = redis
        self._key = key
        self._life = seconds * 1000
        self._owner = secrets.token_hex(16)

    async def begin(self) -> bool:
        """Take the turn, if no other process has it."""
        async with redis_call("begin a walk"):
            return bool(await self._redis.set(self._key, self._owner, nx=True, px=self._life))

    async def goes_on(self) -> bool:
        """Keep the turn for another while; ``False`` if it is somebody else's."""
        mine = self._key, self._owner, self._owner, self._life
        async with redis_call("go on with a walk"):
            return int(await self._redis.eval(scripts.REPLACE, 1, *mine)) == 1

    async def keep(self) -> None:
        """Keep the turn for another while.  Raises :class:`TurnLost`."""
        if not await self.goes_on():
            raise TurnLost

    async def end(self) -> None:
        async with redis_call("end a walk"):
            await self._redis.eval(scripts.DELETE_IF_SAME, 1, self._key, self._owner)
