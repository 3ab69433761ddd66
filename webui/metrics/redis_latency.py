"""Time and failures of round trips to Redis, taken at a client; never an argument."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis.exceptions import RedisError

from webui.metrics.recorder import Recorder
from webui.oauth_manager.storage.calls import RedisClient

Call = Callable[..., Awaitable[Any]]


def measure(redis: RedisClient, recorder: Recorder) -> None:
    """Have a client of ``redis.asyncio`` tell the recorder of each command and each pipeline."""
    patched: Any = redis  # redis-py has no seam of its own
    make_pipeline = patched.pipeline

    def pipeline(*arguments: Any, **options: Any) -> Any:
        made = make_pipeline(*arguments, **options)
        made.execute = _measured(made.execute, recorder, "pipeline")
        return made

    patched.execute_command = _measured(patched.execute_command, recorder)
    patched.pipeline = pipeline


def _measured(call: Call, recorder: Recorder, name: str = "") -> Call:
    async def measured(*arguments: Any, **options: Any) -> Any:
        since = time.perf_counter()
        error = ""
        try:
            return await call(*arguments, **options)
        except (RedisError, OSError) as failure:
            error = type(failure).__name__
            raise
        except asyncio.CancelledError:
            error = "cancelled"  # by a deadline, or with the caller
            raise
        finally:
            command = name or str(arguments[0])
            recorder.round_trip(command, time.perf_counter() - since, error)

    return measured
