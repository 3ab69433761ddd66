"""Times of last use, written seldom and off the path of the user of the token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from ..providers.provider import OAuthProvider
from ..storage.calls import RedisClient
from .tasks import Tasks

WRITE_EVERY = 3600.0  # seconds, for one connection
DELAY = 5.0  # seconds after the use, so that the user of the token does not wait for it
_REMEMBERED = 10_000  # connections

Writer = Callable[[Any, str, OAuthProvider], Coroutine[Any, Any, None]]


class Uses:
    """Delayed writer of uses, each connection once an hour.

    A use not written yet when the process ends is lost; it is a hint for people,
    nothing depends on it.
    """

    def __init__(self, write: Writer, tasks: Tasks, delay: float = DELAY) -> None:
        self._write = write
        self._tasks = tasks
        self._delay = delay
        self._noted: dict[tuple[str, str], tuple[float, int]] = {}

    def note(self, redis: RedisClient, user_id: str, provider: OAuthProvider, token: str) -> None:
        """Note that the connection was used now; another ``token`` may be of another connection."""
        key = (user_id, provider.name)
        now = time.monotonic()
        mark = hash(token)
        at, known = self._noted.get(key, (-WRITE_EVERY, 0))
        is_due = now - at >= WRITE_EVERY
        if not is_due and mark == known:
            return
        if len(self._noted) >= _REMEMBERED:
            self._noted.pop(next(iter(self._noted)))
        self._noted[key] = (now if is_due else at), mark
        asyncio.get_running_loop().call_later(
            self._delay,
            lambda: self._tasks.run(self._write(redis, user_id, provider)),
        )
