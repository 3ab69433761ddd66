"""Meters of the benchmarks: turns on the wire, commands in Redis, medians over rounds."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis

T = TypeVar("T")
Call = Callable[[], Awaitable[Any]]

_OWN = {"config|resetstat", "info"}


@dataclass
class Meter:
    """Counts between a client and Redis.  ``url`` is for the client, ``redis`` passes by it.

    A round trip is a turn of the wire: the client writes after the server did.
    So a pipeline is one, whoever the client is and however it is written.
    """

    url: str
    redis: Redis
    turns: int = 0

    async def count(self, work: Awaitable[T]) -> tuple[int, str, T]:
        """Round trips and executed commands (those inside of scripts too) of one piece of work."""
        await self.redis.config_resetstat()
        before = self.turns
        result = await work
        turns = self.turns - before
        stats = await self.redis.info("commandstats")
        calls = {name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()}
        shown = [f"{calls[name]} {name}" for name in sorted(calls.keys() - _OWN)]
        return turns, ", ".join(shown), result


@asynccontextmanager
async def metered(redis_url: str) -> AsyncIterator[Meter]:
    """A socket in front of the one of ``redis_url`` (``unix://``)."""
    with TemporaryDirectory() as folder:
        address = Path(folder) / "metered.sock"
        async with Redis.from_url(redis_url, decode_responses=True) as redis:
            meter = Meter(f"unix://{address}", redis)
            open_wires: set[asyncio.Task[None]] = set()

            async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                if task := asyncio.current_task():
                    open_wires.add(task)
                with suppress(asyncio.CancelledError):
                    await _pass_on(meter, unquote(urlsplit(redis_url).path), reader, writer)

            server = await asyncio.start_unix_server(accept, address)
            try:
                yield meter
            finally:
                server.close()
                for wire in open_wires:
                    wire.cancel()
                await asyncio.gather(*open_wires)


async def _pass_on(
    meter: Meter, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    server_reader, server_writer = await asyncio.open_unix_connection(path)
    is_answered = True

    async def requests() -> None:
        nonlocal is_answered
        while data := await reader.read(65536):
            meter.turns += is_answered
            is_answered = False
            server_writer.write(data)
            await server_writer.drain()

    async def answers() -> None:
        nonlocal is_answered
        while data := await server_reader.read(65536):
            is_answered = True
            writer.write(data)
            await writer.drain()

    directions = [asyncio.create_task(requests()), asyncio.create_task(answers())]
    try:
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for direction in directions:
            direction.cancel()
        await asyncio.gather(*directions, return_exceptions=True)
        writer.close()
        server_writer.close()


async def interleaved(
    candidates: Mapping[str, Call],
    *,
    rounds: int,
    calls: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Microseconds a call of each candidate by the ``clock``, a figure a round.

    Every round has all of them, and each goes first equally often, so that
    whatever else the machine does meanwhile falls on all alike.
    """
    names = list(candidates)
    for call in candidates.values():
        await _timed(call, calls, clock)  # warms caches and connections
    figures: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            figures[name].append(await _timed(candidates[name], calls, clock))
    return figures


async def _timed(call: Call, calls: int, clock: Callable[[], float]) -> float:
    began = clock()
    for _ in range(calls):
        await call()
    return (clock() - began) / calls * 1e6


def median(figures: Sequence[float]) -> float:
    return statistics.median(figures)


def ratios(figure: Sequence[float], floor: Sequence[float]) -> tuple[float, float, float]:
    """Least, median and greatest ratio, round by round."""
    found = [a / b for a, b in zip(figure, floor, strict=True)]
    return min(found), statistics.median(found), max(found)
