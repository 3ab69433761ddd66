"""``ENCRYPTION_KEY_COMMAND``: a program that prints the keys, such as a vault's or a cloud's.

It runs without a shell, in a session of its own, with our environment and no input.  What it
prints is a secret, and what it says on stderr may hold one: neither is ever shown.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
from contextlib import suppress

from webui.oauth_manager.configuration import Malformed
from webui.oauth_manager.storage import Clock

NAME = "ENCRYPTION_KEY_COMMAND"
SECONDS = 10.0  # for it to end
_MOST = 16 * 1024  # bytes that it may print
_CLOCK = Clock()


def arguments(text: str) -> tuple[str, ...]:
    """Split a command line like a shell does, and run none."""
    try:
        found = tuple(shlex.split(text))
    except ValueError:
        raise Malformed("has a quotation mark that is not closed") from None
    if not found:
        raise Malformed("names no program")
    return found


def output(text: str, seconds: float = SECONDS) -> str:
    """Run the program and return what it printed."""
    try:
        process = subprocess.Popen(
            arguments(text),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError):
        raise Malformed(
            "names a program that cannot be started; give its whole path, and the right to run it"
        ) from None
    with process:
        try:
            printed = _read(process, _CLOCK.monotonic() + seconds)
        finally:
            with suppress(OSError):  # also what it has started itself
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise Malformed(
            f"ended with {process.returncode}; run it by hand, as this user, to see why"
        )
    try:
        keys = printed.decode("ascii").strip()
    except UnicodeDecodeError:
        raise Malformed("printed something else than keys") from None
    if not keys:
        raise Malformed("printed nothing")
    return keys


def _read(process: subprocess.Popen[bytes], until: float) -> bytes:
    """Read to the end of what it prints, and wait for its own end."""
    printed = b""
    stdout = process.stdout
    while stdout and select.select([stdout], [], [], max(until - _CLOCK.monotonic(), 0))[0]:
        piece = os.read(stdout.fileno(), _MOST)
        printed += piece
        if len(printed) > _MOST:
            raise Malformed("printed more than keys")
        if not piece:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(until - _CLOCK.monotonic(), 0))
                return printed
            break
    raise Malformed(f"did not end within {SECONDS:.0f} seconds")
