"""Time and failures of round trips to Redis, taken at a client; never an argument."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis.exceptions import RedisError

from webui.metrics.recorder import Recorder

Call = Callable[..., Awaitable[Any]]


def measure(client: Any, recorder: Recorder) -> None:
    """Have a client of ``redis.asyncio`` tell the recorder of each command and each pipeline."""
    make_pipeline = client.pipeline

    def pipeline(*arguments: Any, **options: Any) -> Any:
        made = make_pipeline(*arguments, **options)
        made.execute = _measured(made.execute, recorder, "pipeline")
        return made

    client.execute_command = _measured(client.execute_command, recorder)
    client.pipeline = pipeline


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
