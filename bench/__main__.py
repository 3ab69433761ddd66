"""``python -m bench``: every benchmark, or those named, on an embedded Redis of their own."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import click

from bench import (
    api,
    calls,
    carried,
    disconnects,
    herd,
    pages,
    refreshing,
    rotation,
    scale,
    served,
    sizing,
    starting,
    storm,
    tokens,
    traffic,
    workers,
)
from bench.report import Report, Size
from webui.logs import configure_logs
from webui.sandbox.embedded_redis import embedded_redis
from webui.serving.server import loop_factory

Benchmark = Callable[[str, Size, Report], Awaitable[Any]]

ALL: dict[str, Benchmark] = {
    "tokens": tokens.measure,
    "traffic": traffic.measure,
    "calls": calls.measure,
    "carried": carried.measure,
    "api": api.measure,
    "refreshing": refreshing.measure,
    "storm": storm.measure,
    "herd": herd.measure,
    "disconnects": disconnects.measure,
    "pages": pages.measure,
    "served": served.measure,
    "workers": workers.measure,
    "rotation": rotation.measure,
    "scale": scale.measure,
    "sizing": sizing.measure,
    "starting": starting.measure,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(ALL)))
def main(names: tuple[str, ...]) -> None:
    """Print what the product costs on this machine; exit 1 if something is beyond its limit."""
    configure_logs("error", as_json=False)
    report = Report()
    began = time.monotonic()
    for name in names or ALL:
        with embedded_redis() as redis_url, asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_run(ALL[name], redis_url, report))
    click.echo(f"{time.monotonic() - began:.0f} seconds in all")
    sys.exit(report.end())


async def _run(benchmark: Benchmark, redis_url: str, report: Report) -> None:
    await benchmark(redis_url, Size(), report)


if __name__ == "__main__":
    main()
