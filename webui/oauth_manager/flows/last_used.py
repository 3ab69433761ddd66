"""Times of last use, written seldom and off the path of the user of the token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ..clock import Clock
from ..storage.storage import Subject
from .tasks import Tasks

WRITE_EVERY = 3600.0  # seconds, for one connection
DELAY = 5.0  # seconds after the use, so that the user of the token does not wait for it
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
        self._noted: dict[tuple[str, str], tuple[float, int]] = {}

    def note(self, subject: Subject, token: str) -> None:
        """Note that the connection was used now; another ``token`` may be of another connection."""
        key = (subject.user_id, subject.name)
        now = self._clock.monotonic()
        mark = hash(token)
        at, known = self._noted.get(key, (-WRITE_EVERY, 0))
        is_due = now - at >= WRITE_EVERY
        if not is_due and mark == known:
            return
        if len(self._noted) >= _REMEMBERED:
            self._noted.pop(next(iter(self._noted)))
        self._noted[key] = (now if is_due else at), mark
        asyncio.get_running_loop().call_later(
            self._delay, lambda: self._tasks.run(self._write(subject))
        )
