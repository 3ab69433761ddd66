"""The queue of a destination in Redis: what was taken up and not delivered yet, and what never was.

A notice comes into the queue before the position moves on, and leaves it once it is
delivered: so a crash anywhere in between may repeat one, and loses none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from webui.oauth_manager.storage import WalkTurn, entry_id
from webui.oauth_manager.storage.calls import RedisClient, as_text, raw, redis_call
from webui.webhooks.destination import Destination

DESTINATIONS = "stargazer:webhook_to"
TURN_SECONDS = 60
_FAILED_SECONDS = 30 * 86400
_MOST_FAILED = 1000


class Waiting(NamedTuple):
    """A notice in the queue: its position in the stream, its seal, and when it was taken up."""

    position: str
    sealed: str
    since: float  # epoch seconds


class Queue:
    """The queue of one destination; every method raises ``StoreUnavailable``."""

    def __init__(self, redis: RedisClient, to: Destination) -> None:
        self._redis = redis
        self._to = to
        self._turn = WalkTurn(redis, f"stargazer:webhook_turn:{to.id}", TURN_SECONDS)

    async def take_turn(self) -> bool:
        """Hold the queue for a minute; False if another process does: order is for one alone."""
        return await self._turn.goes_on() or await self._turn.begin()

    async def keep_turn(self) -> bool:
        """Hold it for another minute; False if it is lost, and then nothing is to be sent."""
        return await self._turn.goes_on()

    async def end_turn(self) -> None:
        await self._turn.end()

    async def load(self) -> tuple[str, list[Waiting]]:
        """Return the position in the stream, ``""`` before the first, and what waits, by age."""
        async with redis_call("read what waits"):
            pipe = self._redis.pipeline(transaction=False)
            raw(pipe, "HGET", DESTINATIONS, f"{self._to.id}:position")
            pipe.hgetall(_waiting(self._to.id))
            pipe.hset(DESTINATIONS, self._to.id, self._to.origin)
            position, held, _ = await pipe.execute()
        return as_text(position), _read(held)

    async def add(self, waiting: list[Waiting], position: str) -> None:
        """Put notices into the queue, and only then note the position behind them."""
        if waiting:
            fields = {one.position: json.dumps([one.sealed, one.since]) for one in waiting}
            async with redis_call("take up notices"):
                await self._redis.hset(_waiting(self._to.id), mapping=fields)
        async with redis_call("note the position"):
            await self._redis.hset(DESTINATIONS, f"{self._to.id}:position", position)

    async def holds(self, position: str) -> bool:
        """Tell whether a notice still waits: its person may have been erased meanwhile."""
        async with redis_call("look for what waits"):
            return bool(await self._redis.hexists(_waiting(self._to.id), position))

    async def remove(self, position: str) -> None:
        async with redis_call("remove what was delivered"):
            await self._redis.hdel(_waiting(self._to.id), position)

    async def give_up(self, one: Waiting) -> None:
        """Put a notice aside that nobody took for a day; `webui check` lists it."""
        name = _failed(self._to.id)
        async with redis_call("put aside what nobody took"):
            held = await self._redis.hgetall(name)
            if len(held) >= _MOST_FAILED:
                await self._redis.hdel(name, min(held))
            await self._redis.hset(name, one.position, json.dumps([one.sealed, one.since]))
            await self._redis.expire(name, _FAILED_SECONDS)
        await self.remove(one.position)


async def forget(redis: RedisClient, is_theirs: Callable[[str], bool]) -> int:
    """Remove notices from every queue by their seal; return how many.

    Raises ``StoreUnavailable``.
    """
    removed = 0
    async with redis_call("forget webhooks"):
        names = [as_text(name) for name in await redis.hgetall(DESTINATIONS)]
        for name in names:
            for key in (_waiting(name), _failed(name)):
                held = _read(await redis.hgetall(key))
                for one in held:
                    if is_theirs(one.sealed):
                        removed += int(await redis.hdel(key, one.position))
    return removed


class Standing(NamedTuple):
    """Facts of a destination for `webui check`: what waits, and what was given up."""

    origin: str
    waiting: int
    failed: list[Waiting]


async def standings(redis: RedisClient) -> list[Standing]:
    """Read how it stands with every destination there was.  Raises ``StoreUnavailable``."""
    async with redis_call("read the destinations of webhooks"):
        known = {as_text(k): as_text(v) for k, v in (await redis.hgetall(DESTINATIONS)).items()}
        found = []
        for name, origin in sorted(known.items()):
            if name.endswith(":position"):
                continue
            pipe = redis.pipeline(transaction=False)
            pipe.hgetall(_waiting(name))
            pipe.hgetall(_failed(name))
            waiting, failed = await pipe.execute()
            found.append(Standing(origin, len(waiting), _read(failed)))
    return found


def _read(held: Mapping[Any, Any]) -> list[Waiting]:
    found = []
    for position, value in held.items():
        try:
            sealed, since = json.loads(as_text(value))
            found.append(Waiting(as_text(position), str(sealed), float(since)))
        except (ValueError, TypeError):
            continue
    return sorted(found, key=lambda one: entry_id(one.position))


def _waiting(name: str) -> str:
    return f"stargazer:webhook_waiting:{name}"


def _failed(name: str) -> str:
    return f"stargazer:webhook_failed:{name}"
