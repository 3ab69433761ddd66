"""A start until the site listens, against a bare application that imports the same packages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from bench.meter import median
from bench.processes import child, wait_until_listening
from bench.report import Report, Size
from bench.served import environment
from tests.kit.site_fixtures import free_port


async def measure(redis_url: str, size: Size, report: Report) -> None:
    bare: list[float] = []
    ours: list[float] = []
    for _ in range(size.rounds):
        port = free_port()
        bare.append(await asyncio.to_thread(_started, ("-m", "bench.bare", str(port)), port))
        settings = environment(redis_url, port=free_port())
        port = int(settings["BASE_URL"].rpartition(":")[2])
        command = ("-m", "webui", "serve")
        ours.append(await asyncio.to_thread(_started, command, port, settings))
    report.title(f"Start-up, {size.rounds} rounds, until a connection is taken")
    report.say("a bare application of the same packages", f"{median(bare):7.0f} ms")
    report.say("webui serve", f"{median(ours):7.0f} ms")
    report.judge("start-up to listening", ours, bare)


def _started(
    command: tuple[str, ...], port: int, settings: Mapping[str, str] | None = None
) -> float:
    """Return the milliseconds until it listens."""
    began = time.perf_counter()
    with child(*command, environment=settings) as process:
        wait_until_listening(process, port)
        return (time.perf_counter() - began) * 1000
