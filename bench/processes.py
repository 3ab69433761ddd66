"""Children of a benchmark, and what Linux says of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from webui.sandbox.embedded_redis import stop

START_SECONDS = 30.0
ROOT = Path(__file__).parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def child(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    log: IO[bytes] | int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run Python with these arguments until the end of the ``with``."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    try:
        yield process
    finally:
        stop(process, START_SECONDS)


def wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    """Raise ``RuntimeError`` if the child ends before, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.002)
    raise RuntimeError("a child does not listen")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, in steps of a clock tick."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(pid: int) -> float:
    """Return the proportional set size, in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("Linux does not say")
