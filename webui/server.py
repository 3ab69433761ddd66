"""Listening: one process, one or more applications, and a quiet end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

DRAIN_SECONDS = 10  # for requests under way when we are told to stop
MAX_HEADERS = 32 * 1024  # bytes of request line and headers


class PortTaken(RuntimeError):
    """Somebody else listens there; the message is the sentence to show."""


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise PortTaken(
            f"Cannot listen on {host}, port {port}: {os.strerror(error.errno or 0)}. "
            "Stop what uses it, or choose another port."
        ) from None


class _Server(uvicorn.Server):
    """uvicorn's server, told to stop by us: it would catch the signals for itself alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(app: ASGIApp) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            http="h11",  # strict about framing, and bounded in headers
            h11_max_incomplete_event_size=MAX_HEADERS,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,  # uvicorn's prints query strings; ours does not
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )


def run_server(listeners: Sequence[tuple[ASGIApp, str, int]]) -> None:
    """Serve each application on its host and port until told to stop.  Raises ``PortTaken``.

    The first signal lets requests under way finish, a second one does not.
    """
    with contextlib.ExitStack() as stack:
        pairs = [
            (_server(app), stack.enter_context(contextlib.closing(_listen(host, port))))
            for app, host, port in listeners
        ]

        def stop() -> None:
            for server, _ in pairs:
                server.force_exit = server.should_exit
                server.should_exit = True

        async def serve_all() -> None:
            for told_to_stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(told_to_stop, stop)
            async with asyncio.TaskGroup() as group:
                for server, listener in pairs:
                    group.create_task(server.serve(sockets=[listener]))

        asyncio.run(serve_all())
