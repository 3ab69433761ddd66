"""News for systemd: ready, reloading, stopping (sd_notify(3)); silence without it."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress


def notify(state: str) -> None:
    """Send ``READY=1``, ``STOPPING=1`` or the like, if somebody asked to hear it."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(state.encode(), address)


def notify_reloading() -> None:
    """Send ``RELOADING=1`` with its moment, as systemd wants it (Type=notify-reload)."""
    microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")
