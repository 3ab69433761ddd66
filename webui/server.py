"""Listening: one process, one or more applications, and a quiet end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version

import structlog
import uvicorn
from starlette.types import ASGIApp

from webui.http_connection import BoundedConnection, WaitingRoom

DRAIN_SECONDS = 10  # for requests under way when a signal stops us
MAX_HEADERS = 32 * 1024  # bytes of request line and headers
BACKLOG = 512  # connections that the kernel accepts ahead of us
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

log = structlog.get_logger(__name__)


class PortTaken(RuntimeError):
    """Another process listens there; the message is the sentence to show."""


class NotStarted(RuntimeError):
    """An application refused to start; it has written the reason to the log."""


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


class Server(uvicorn.Server):
    """uvicorn's server, stopped by us: it would catch the signals for itself alone."""

    def __init__(self, app: ASGIApp, room: WaitingRoom) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                # h11 is strict about framing, and bounded in headers.
                http=partial(BoundedConnection, room=room),  # type: ignore[arg-type]
                h11_max_incomplete_event_size=MAX_HEADERS,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,  # uvicorn's prints query strings; ours does not
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=DRAIN_SECONDS,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, and log it; an application that refuses to start ends the server."""
        try:
            await super().startup(sockets)
        except SystemExit:
            self.should_exit = True
            return
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            log.info(
                "started",
                address=f"http://{f'[{host}]' if ':' in host else host}:{port}",
                version=version("stargazer-webui"),
                pid=os.getpid(),
            )


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's factory; None, for asyncio's own loop, if uvloop is not installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def run_server(listeners: Sequence[tuple[ASGIApp, str, int]]) -> None:
    """Serve each application on its host and port until a signal.

    The first signal lets requests under way finish, a second one does not.
    Raises ``PortTaken`` and ``NotStarted``.
    """
    room = WaitingRoom()
    with contextlib.ExitStack() as stack:
        pairs = [
            (Server(app, room), stack.enter_context(contextlib.closing(listen(host, port))))
            for app, host, port in listeners
        ]
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve_all(pairs))


async def _serve_all(pairs: Sequence[tuple[Server, socket.socket]]) -> None:
    """Serve until a signal; log its name, how long that took, and how long we served."""
    began = time.monotonic()
    told: list[tuple[str, float]] = []

    def stop(received: signal.Signals) -> None:
        told.append((received.name, time.monotonic()))
        for server, _ in pairs:
            server.force_exit = server.should_exit
            server.should_exit = True

    for each in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(each, stop, each)

    async def serve(own: Server, listener: socket.socket) -> None:
        await own.serve(sockets=[listener])
        for server, _ in pairs:
            server.should_exit = True  # one application alone is no use

    async with asyncio.TaskGroup() as group:
        for server, listener in pairs:
            group.create_task(serve(server, listener))
    if not all(server.started for server, _ in pairs):
        raise NotStarted
    if told:
        ended, (why, since) = time.monotonic(), told[0]
        log.info(
            "stopped",
            why=why,
            was_forced=len(told) > 1,
            stopping_seconds=round(ended - since, 1),
            served_seconds=round(ended - began, 1),
            pid=os.getpid(),
        )
