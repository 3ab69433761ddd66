"""Work that goes on when nobody waits for it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class Background:
    """Runs coroutines to their end, whoever is cancelled meanwhile."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def run(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Start ``work``; the set keeps the task alive."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    async def finish(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Start ``work`` and wait for what comes of it."""
        return await asyncio.shield(self.run(work))

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen here, in case nobody waits any more

    async def drain(self) -> None:
        """Wait for what this event loop has under way, and for what comes of it."""
        loop = asyncio.get_running_loop()
        while ours := [task for task in self._running if task.get_loop() is loop]:
            await asyncio.gather(*ours, return_exceptions=True)
