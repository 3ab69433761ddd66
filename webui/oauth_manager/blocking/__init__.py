"""The library for callers without asyncio: one event loop in a thread, for every other thread.

Same names, same errors; of a ``ctx`` only ``user_id`` is used, since the loop has a client
of Redis of its own.
"""

from __future__ import annotations

from .calls import (
    caller,
    close,
    init_oauth_manager,
    oauth_client,
    require_oauth_token,
    run,
    run_beside,
)

__all__ = [
    "caller",
    "close",
    "init_oauth_manager",
    "oauth_client",
    "require_oauth_token",
    "run",
    "run_beside",
]
