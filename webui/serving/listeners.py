"""Listening sockets: on a port, at a path, or opened for us by systemd."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BACKLOG = 512  # connections that the kernel accepts ahead of us
_FIRST_GIVEN = 3  # descriptor (sd_listen_fds(3))
_OWN_AND_GROUP = 0o117  # umask: the socket file gets the mode 0660


class PortTaken(RuntimeError):
    """Nobody can listen there; the message is the sentence to show."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket whose connections do not wait for acknowledgements.

    Event loops set TCP_NODELAY only if the socket names its protocol, and that of
    ``socket.create_server`` does not: a body would wait 40 ms behind its head.  Raises
    ``PortTaken``.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"Cannot listen on {host}, port {port}: {error.strerror}. "
            "Stop what uses it, or choose another port."
        ) from None
    return listener


@contextmanager
def listening_at(path: Path) -> Iterator[socket.socket]:
    """Listen at a Unix socket of mode 0660; its file goes at the end.

    A file that an earlier process left behind is replaced.  Raises ``PortTaken``.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(_OWN_AND_GROUP)
    try:
        _make_room(path)
        listener.bind(str(path))
        listener.listen(BACKLOG)
        own = path.stat().st_ino
    except OSError as error:
        listener.close()
        raise PortTaken(f"Cannot listen at {path}: {error.strerror or error}.") from None
    finally:
        os.umask(before)
    try:
        yield listener
    finally:
        listener.close()
        with suppress(OSError):
            if path.stat().st_ino == own:  # else a later process has replaced it
                path.unlink()


def _make_room(path: Path) -> None:
    """Remove a socket at which nobody listens any more.  Raises ``OSError``."""
    if not path.exists() or not stat.S_ISSOCK(path.stat().st_mode):
        return  # bind says what is wrong with anything else
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knocking,
        suppress(ConnectionRefusedError),
    ):
        knocking.connect(str(path))
        raise OSError(errno.EADDRINUSE, "Another process listens there")
    path.unlink()


def given() -> list[socket.socket]:
    """Take the sockets of systemd's socket activation (sd_listen_fds(3)); none if it gave none.

    Raises ``PortTaken`` for anything that does not listen for connections.
    """
    is_ours = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    count = os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if not is_ours or not count.isdecimal():
        return []
    try:
        found = [
            socket.socket(fileno=number)
            for number in range(_FIRST_GIVEN, _FIRST_GIVEN + int(count))
        ]
        if not all(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for one in found):
            raise OSError
    except OSError:
        raise PortTaken(
            "LISTEN_FDS names what is no listening socket (ListenStream=, Accept=no)."
        ) from None
    for one in found:
        one.set_inheritable(False)
    return found


def address(listener: socket.socket) -> str:
    """Return the address for the log."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
