"""Tasks that survive the cancellation of their caller."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, TypeVar

from ..clock import deadline

Result = TypeVar("Result")

DRAIN_SECONDS = 10.0  # for tasks under way when the process ends


class Tasks:
    """Runner of coroutines to their end, even if the caller is cancelled."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def run(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Start ``work`` without the deadline of its caller; the set keeps the task alive."""
        with deadline(math.inf, redis=math.inf):
            return self._start(work)

    def _start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    async def finish(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Start ``work``, which keeps its caller's deadline, and wait for its result."""
        return await asyncio.shield(self._start(work))

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen here, in case nobody waits any more

    async def drain(self, seconds: float | None = None) -> None:
        """Wait for this event loop's tasks, and for those they start.

        A task not done after so many ``seconds`` is cancelled; it logs itself what is lost.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                while ours := self._of(loop):
                    await asyncio.wait(ours)
        except TimeoutError:
            for task in (late := self._of(loop)):
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _of(self, loop: asyncio.AbstractEventLoop) -> list[asyncio.Task[Any]]:
        return [task for task in self._running if task.get_loop() is loop]


async def within(task: asyncio.Task[Result], seconds: float) -> Result | None:
    """Return the task's result; ``None`` if it takes longer: then it runs on."""
    done, _ = await asyncio.wait({task}, timeout=seconds)
    return task.result() if done else None
