"""``LoopThread``: an event loop in a thread of its own, that any other thread hands work to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """It runs until :meth:`close`, and never keeps a process from ending."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="oauth_manager", daemon=True
        )
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for the work and return its result, or raise its error.

        It is cancelled if the waiting is interrupted.  Raises ``RuntimeError`` in this very thread,
        which would wait for itself.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("this thread runs the event loop: await the coroutine instead")
        waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return waiting.result()
        finally:
            waiting.cancel()

    def close(self) -> None:
        """Stop, once nobody hands over work any more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
