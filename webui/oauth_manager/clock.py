"""The clock of one application, and the deadline of the work under way.

The library and the site ask the clock, and tests turn its hands.  Deadlines are measured
by the event loop.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar


class Clock:
    """Two ways to measure time.  Redis's own clock decides what several processes agree on."""

    def now(self) -> float:
        """Return the wall time in epoch seconds, for what is stored and shown."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back, for deadlines and pauses."""
        return time.monotonic()


_ends: ContextVar[tuple[float, float]] = ContextVar("_ends", default=(math.inf, math.inf))


@contextmanager
def deadline(seconds: float, *, redis: float | None = None) -> Iterator[None]:
    """Let everything within take so many seconds in all, and one call to Redis ``redis``.

    It replaces the deadline around it, ``math.inf`` lifts that; the bound on one call
    stays unless another is given.
    """
    _, each = _ends.get()
    ends = asyncio.get_running_loop().time() + seconds
    before = _ends.set((ends, each if redis is None else redis))
    try:
        yield
    finally:
        _ends.reset(before)


def seconds_left(most: float = math.inf) -> float:
    """Return what the deadline leaves of so many seconds, 0 if it is over."""
    ends, _ = _ends.get()
    if ends == math.inf:
        return most
    return max(min(most, ends - asyncio.get_running_loop().time()), 0.0)


def redis_seconds(most: float = math.inf) -> float:
    """Return what it leaves of so many seconds for one call to Redis."""
    _, each = _ends.get()
    return seconds_left(min(most, each))


class Timer:
    """A call after so many seconds, and later, once, if the event loop was busy meanwhile.

    A loop that comes to its timers late comes to its sockets late too: the answer may
    wait there, and whoever waits for it must not be told that there is none.
    """

    __slots__ = ("_call", "_due", "_handle", "_loop")

    _LATE = 0.05  # seconds; a loop that is well is later than that by nothing of its own
    _MOST = 0.5  # seconds, that are given in return

    def __init__(self, seconds: float, call: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._call = call
        self._due = self._loop.time() + seconds
        self._handle: asyncio.Handle = self._loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        late = self._loop.time() - self._due
        if late <= self._LATE:
            self._call()
        else:
            self._handle = self._loop.call_later(min(late, self._MOST), self._call)

    def cancel(self) -> None:
        self._handle.cancel()


@asynccontextmanager
async def bounded(seconds: float) -> AsyncIterator[None]:
    """Do as ``asyncio.timeout``, with a :class:`Timer`."""
    async with asyncio.timeout(None) as bound:
        loop = asyncio.get_running_loop()
        timer = Timer(seconds, lambda: bound.reschedule(loop.time()))
        try:
            yield
        finally:
            timer.cancel()
