"""Times of last use, written seldom and off the path of the user of the token."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..clock import Clock
from ..errors import OAuthError
from ..storage.storage import Subject
from .tasks import Tasks

WRITE_EVERY = 3600.0  # seconds, for one connection
DELAY = 5.0  # seconds after the use, so that the user of the token does not wait for it
WRITERS = 4  # at once, so that a crowd of first uses keeps nobody else from Redis
_REMEMBERED = 10_000  # connections

Writer = Callable[[Subject], Coroutine[Any, Any, None]]


class Uses:
    """Delayed writer of uses, each connection once an hour.

    A use not written yet when the process ends is lost; it is a hint for people,
    nothing depends on it.
    """

    def __init__(self, write: Writer, tasks: Tasks, clock: Clock, delay: float = DELAY) -> None:
        self._write = write
        self._tasks = tasks
        self._clock = clock
        self._delay = delay
        self._noted: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        self._queues: dict[asyncio.AbstractEventLoop, _Queue] = {}

    def note(self, subject: Subject, token: str) -> None:
        """Note that the connection was used now; another ``token`` may be of another connection."""
        key = (subject.user_id, subject.place)
        now = self._clock.monotonic()
        mark = hash(token)
        at, known = self._noted.get(key, (-WRITE_EVERY, 0))
        is_due = now - at >= WRITE_EVERY
        if not is_due and mark == known:
            return
        if len(self._noted) >= _REMEMBERED:
            self._noted.popitem(last=False)
        self._noted[key] = (now if is_due else at), mark
        self._queue(asyncio.get_running_loop(), subject)

    def drop(self) -> None:
        """Write nothing more of this event loop's that has not begun: its Redis is closed next."""
        if queue := self._queues.get(asyncio.get_running_loop()):
            queue.due.clear()

    def _queue(self, loop: asyncio.AbstractEventLoop, subject: Subject) -> None:
        """Hand it to the writers, who begin after the delay; one more if not all are at work."""
        queue = self._queues.get(loop)
        if queue is None:
            for ended in [other for other in self._queues if other.is_closed()]:
                del self._queues[ended]
            queue = self._queues[loop] = _Queue()
        queue.due.append(subject)
        if queue.writers < WRITERS:
            queue.writers += 1
            loop.call_later(self._delay, self._begin, loop, queue)

    def _begin(self, loop: asyncio.AbstractEventLoop, queue: _Queue) -> None:
        self._tasks.run(self._write_all(loop, queue))

    async def _write_all(self, loop: asyncio.AbstractEventLoop, queue: _Queue) -> None:
        try:
            while queue.due:
                with suppress(OAuthError):  # it costs this use, and no other
                    await self._write(queue.due.popleft())
        finally:
            queue.writers -= 1
            if not queue.writers:
                self._queues.pop(loop, None)  # which may have ended before its writers


@dataclass
class _Queue:
    """The uses to write in one event loop, and how many writers are at it or about to be."""

    due: deque[Subject] = field(default_factory=deque)
    writers: int = 0
