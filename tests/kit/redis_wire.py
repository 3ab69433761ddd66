"""A Redis client whose wire can be read along and cut, in front of the real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from tests.kit.redis_fleets import socket_of


@dataclass
class Wire:
    """A wire that keeps what went over it, and on which things go wrong.

    ``lost_answers`` counts down per matching write: Redis executes it, and the
    answer never arrives.  ``refused`` writes never reach Redis.  ``dies_after`` so many
    writes the wire is down for good, as that of a process that was killed.  ``torn``
    is the same within one: of a matching pipeline so many commands arrive.  ``ahead`` runs
    once before of a matching write.
    """

    sent: list[bytes] = field(default_factory=list, repr=False)
    is_down: bool = False
    is_frozen: bool = False
    lost_answers: dict[bytes, int] = field(default_factory=dict)
    refused: dict[bytes, int] = field(default_factory=dict)
    before: Callable[[int], Awaitable[bool]] | None = None
    dies_after: int | None = None
    torn: dict[bytes, int] = field(default_factory=dict)
    ahead: dict[bytes, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    _grown: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def round_trips(self) -> int:
        """A write is a round trip: a pipeline goes out as one."""
        return len(self.sent)

    def note(self, data: bytes) -> None:
        self.sent.append(data)
        self._grown.set()
        if self.dies_after is not None:
            self.dies_after -= 1
            self.is_down |= self.dies_after <= 0

    async def carried(self, matches: Callable[[bytes], bool], count: int = 1) -> None:
        """Return once so many writes that match have gone out; give up after half a minute."""
        async with asyncio.timeout(30):
            while sum(map(matches, self.sent)) < count:
                self._grown.clear()
                await self._grown.wait()

    def refuses(self, data: bytes) -> bool:
        return self.is_down or _count_down(self.refused, data)

    def loses(self, data: bytes) -> bool:
        return _count_down(self.lost_answers, data)


def _count_down(wanted: dict[bytes, int], data: bytes) -> bool:
    for mark in wanted:
        if mark in data and wanted[mark] > 0:
            wanted[mark] -= 1
            return True
    return False


class WiredConnection(UnixDomainSocketConnection):
    def __init__(self, *, wire: Wire, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._wire = wire
        self._is_losing = False

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        if isinstance(command, str):
            command = command.encode()
        data = command if isinstance(command, bytes) else b"".join(command)
        is_ours = not any(word in data for word in (b"HELLO", b"SETINFO"))
        before = self._wire.before if is_ours else None
        is_refused = before is not None and await before(self._wire.round_trips)
        for mark in [mark for mark in self._wire.ahead if mark in data]:
            await self._wire.ahead.pop(mark)()
        if is_refused or self._wire.refuses(data):
            await self.disconnect()
            raise RedisConnectionError("the wire is cut")
        if is_ours:
            self._wire.note(data)
        self._is_losing = self._wire.loses(data)
        for mark in [mark for mark in self._wire.torn if mark in data]:
            await self._tear(data, self._wire.torn.pop(mark))
        await super().send_packed_command(data, check_health)

    async def _tear(self, data: bytes, count: int) -> None:
        """Send the first commands of a pipeline, see them executed, and be cut off."""
        await super().send_packed_command(_commands(data)[:count], check_health=False)
        for _ in range(count):
            with suppress(ResponseError):
                await super().read_response()
        self._wire.is_down = True
        await self.disconnect()
        raise RedisConnectionError("the wire was cut within a pipeline")

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        if self._wire.is_frozen:
            await asyncio.Event().wait()
        answer = await super().read_response(*args, **kwargs)
        if self._is_losing:
            self._is_losing = False
            await self.disconnect()
            raise RedisConnectionError("the answer was lost")
        return answer


def _commands(data: bytes) -> list[bytes]:
    """The commands of a pipeline (RESP arrays of bulk strings)."""
    found, at = [], 0
    while at < len(data):
        start, end = at, data.index(b"\r\n", at)
        parts, at = int(data[at + 1 : end]), end + 2
        for _ in range(parts):
            end = data.index(b"\r\n", at)
            at = end + 2 + int(data[at + 1 : end]) + 2
        found.append(data[start:at])
    return found


@asynccontextmanager
async def wired(redis_url: str) -> AsyncIterator[tuple[Redis, Wire]]:
    """A client that never repeats a command, with its wire laid open."""
    wire = Wire()
    pool = ConnectionPool(
        connection_class=WiredConnection,
        path=socket_of(redis_url),
        wire=wire,
        retry=Retry(NoBackoff(), 0),
    )
    async with Redis.from_pool(pool) as client:
        yield client, wire
