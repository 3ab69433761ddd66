"""Signals to a server: SIGTERM and SIGINT end it, SIGHUP has it read its settings again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def on_signals(
    stop: Callable[[str], None], reload: Callable[[], Coroutine[Any, Any, None]]
) -> Iterator[None]:
    """Call ``stop`` with the signal's name, or run ``reload``, on the running loop.

    A terminal that goes away sends SIGHUP too: that ends what was started in it, unless
    SIGHUP was ignored from the beginning (nohup).
    """
    loop = asyncio.get_running_loop()
    ends_with_terminal = _has_terminal() and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    reloads: set[asyncio.Task[None]] = set()

    def hung_up() -> None:
        if ends_with_terminal and not _has_terminal():
            stop("SIGHUP")
            return
        task = loop.create_task(reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop, each.name)
    loop.add_signal_handler(signal.SIGHUP, hung_up)
    try:
        yield
    finally:
        for task in reloads:
            task.cancel()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
