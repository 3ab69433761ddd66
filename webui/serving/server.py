"""Servers of one process: each application on its sockets, and a quiet end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp

from webui.serving.http_connection import BoundedConnection, WaitingRoom
from webui.serving.listeners import BACKLOG, address, listen
from webui.serving.notify import notify

GRACE_SECONDS = 10.0  # for requests under way when a signal stops us
MAX_HEADERS = 32 * 1024  # bytes of request line and headers
_LOOK_SECONDS = 0.02  # between two looks at what is under way
_ANSWER_SECONDS = 1.0  # for those that the grace cut short
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

log = structlog.get_logger(__name__)


class NotStarted(RuntimeError):
    """An application refused to start; it has written the reason to the log."""


class Server(uvicorn.Server):
    """uvicorn's server, stopped by us: it would catch the signals for itself alone.

    ``waited_for`` and ``cut_short`` count requests once it has stopped.
    """

    def __init__(self, app: ASGIApp, room: WaitingRoom, grace: float = GRACE_SECONDS) -> None:
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
            )
        )
        self._grace = grace
        self.is_settled = asyncio.Event()  # it accepts, or will not
        self.waited_for = 0
        self.cut_short = 0

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept; an application that refuses to start ends the server.

        Requests can ask ``is_ending`` in their state: those that only wait need not go on.
        """
        self.lifespan.state["is_ending"] = lambda: self.should_exit
        try:
            await super().startup(sockets)
        except SystemExit:
            self.should_exit = True
        finally:
            self.is_settled.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nobody more, and answer everybody who is connected.

        Each answer says that it is the last one (uvicorn closes without a word, and a client
        may have sent its next request by then).  Who waits in the kernel's queue counts as
        connected: closing the listener would reset them.
        """
        state = self.server_state
        self.waited_for = len(state.tasks)
        ours = [listener.dup() for listener in sockets or ()]
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        queue = [self._accept(one) for listener in ours for one in _last_of(listener)]
        state.default_headers = [*state.default_headers, (b"connection", b"close")]
        await asyncio.gather(*queue, return_exceptions=True)
        for connection in list(state.connections):
            connection.shutdown()
        await self._finish()
        if not self.force_exit:
            await self.lifespan.shutdown()

    async def _finish(self) -> None:
        """Wait for what is under way; cut short what takes longer than the grace."""
        state = self.server_state
        with suppress(TimeoutError):
            async with asyncio.timeout(self._grace):
                # Three things end it, and none of them tells.
                while (state.connections or state.tasks) and not self.force_exit:  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_SECONDS)
        late = list(state.tasks)
        self.cut_short = len(late)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_ANSWER_SECONDS)

    async def _accept(self, accepted: socket.socket) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
            ),
            accepted,
        )


def _last_of(listener: socket.socket) -> Sequence[socket.socket]:
    """Accept everybody whom the kernel has connected, and close in the same moment."""
    accepted: list[socket.socket] = []
    with listener, suppress(OSError):
        while len(accepted) <= BACKLOG:
            accepted.append(listener.accept()[0])
    for one in accepted:
        one.setblocking(False)
        if one.family != socket.AF_UNIX:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return accepted


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's factory; None, for asyncio's own loop, if uvloop is not installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(work)


def run_server(listeners: Sequence[tuple[ASGIApp, str, int]]) -> None:
    """Serve each application on its host and port until a signal.

    The first signal lets requests under way finish, a second one does not.
    Raises ``PortTaken`` and ``NotStarted``.
    """
    room = WaitingRoom()
    with contextlib.ExitStack() as stack:
        house = House(
            [
                (Server(app, room), [stack.enter_context(contextlib.closing(listen(host, port)))])
                for app, host, port in listeners
            ]
        )

        async def serve() -> None:
            for each in _SIGNALS:
                asyncio.get_running_loop().add_signal_handler(each, house.stop, each.name)
            await house.serve()

        run(serve())


class House:
    """The servers of one process: they start together, and end together.

    ``name`` begins the events in the log: ``worker`` or nothing.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Server, Sequence[socket.socket]]],
        *,
        name: str = "",
        on_start: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._pairs = pairs
        self._started, self._stopped = (
            (f"{name} started", f"{name} stopped") if name else ("started", "stopped")
        )
        self._on_start = on_start
        self._told: list[tuple[str, float]] = []

    @property
    def is_stopping(self) -> bool:
        return bool(self._told)

    @property
    def waited_for(self) -> int:
        return sum(server.waited_for for server, _ in self._pairs)

    @property
    def cut_short(self) -> int:
        return sum(server.cut_short for server, _ in self._pairs)

    def stop(self, why: str) -> None:
        """End: once let requests under way finish, a second time do not."""
        if not self._told:
            notify("STOPPING=1")
        self._told.append((why, time.monotonic()))
        for server, _ in self._pairs:
            server.force_exit = server.should_exit
            server.should_exit = True

    async def serve(self) -> None:
        """Serve until somebody stops us; the log says why and how long.  Raises ``NotStarted``."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for server, sockets in self._pairs:
                group.create_task(self._serve_one(server, sockets))
            started = group.create_task(self._tell_start())
        if not started.result():
            raise NotStarted
        if self._told:
            counts = {"waited_for": self.waited_for, "cut_short": self.cut_short}
            tell_stop(self._stopped, began, self._told, **counts)

    async def _serve_one(self, own: Server, sockets: Sequence[socket.socket]) -> None:
        await own.serve(sockets=list(sockets))
        for server, _ in self._pairs:
            server.should_exit = True  # one application alone is no use

    async def _tell_start(self) -> bool:
        """Log that all accept, once they do; return whether they did."""
        for server, _ in self._pairs:
            await server.is_settled.wait()
        if not all(server.started for server, _ in self._pairs):
            return False
        for _, sockets in self._pairs:
            for listener in sockets:
                if listener.fileno() >= 0:  # a stop that came before the start has closed it
                    tell_start(listener, self._started)
        if self._on_start:
            await self._on_start()
        notify("READY=1")
        return True


def tell_start(listener: socket.socket, event: str = "started", **more: int) -> None:
    """Log that a socket is served."""
    log.info(
        event,
        address=address(listener),
        version=version("stargazer-webui"),
        pid=os.getpid(),
        **more,
    )


def tell_stop(
    event: str, began: float, told: Sequence[tuple[str, float]], *, waited_for: int, cut_short: int
) -> None:
    """Log why everything ended, how long that took, and how long we had served.

    ``told`` are the reasons to end, each with its moment of the monotonic clock, like ``began``.
    """
    ended, (why, since) = time.monotonic(), told[0]
    log.info(
        event,
        why=why,
        was_forced=len(told) > 1,
        waited_for=waited_for,
        cut_short=cut_short,
        stopping_seconds=round(ended - since, 1),
        served_seconds=round(ended - began, 1),
        pid=os.getpid(),
    )
