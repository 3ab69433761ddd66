"""One client's connection: uvicorn's HTTP/1.1 protocol with limits on waiting.

uvicorn waits without limit for the rest of a request and for a client that does not take
its answer.  Each such connection holds a file descriptor, and without any left nobody
else can connect.
"""

from __future__ import annotations

import asyncio
import resource
import socket
from enum import Enum
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from webui.addresses import UNIX_PEER
from webui.oauth_manager.values import Struct

_LAST_SECONDS = 0.5  # for a request on its way to a server that stops
_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Awaited(Enum):
    """The client's next step."""

    HEAD = "the rest of a request's head, or of a body that nobody reads any more"
    BODY = "the rest of a body"  # webui.middleware.requests has its deadline
    NEXT = "another request on a kept connection"
    TAKE = "to take its answer"


def _most_waiting() -> int:
    """Return half of the files this process may open: the rest is for Redis, providers and work."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 4096 if files == resource.RLIM_INFINITY else min(files // 2, 4096)


class Patience(Struct, frozen=True):
    """Seconds to wait for a client.  Bytes that it sends meanwhile do not extend them."""

    head: float = 10.0
    next_request: float = 75.0  # longer than a proxy's, which would race with our closing
    take: float = 30.0

    def seconds(self, awaited: Awaited) -> float | None:
        return {
            Awaited.HEAD: self.head,
            Awaited.NEXT: self.next_request,
            Awaited.TAKE: self.take,
        }.get(awaited)


class WaitingRoom:
    """The connections whose client has to do the next step, the longest wait first.

    Beyond ``most`` the longest wait ends, so that newcomers always get in: an ordinary
    client sends its bytes along with its connection.  It ends among the kept
    connections or among the others, whichever are more, so that neither crowds out the
    other.
    """

    def __init__(self, patience: Patience | None = None, most: int | None = None) -> None:
        self.patience = patience or Patience()
        self._most = most or _most_waiting()
        self._kept: dict[BoundedConnection, None] = {}
        self._others: dict[BoundedConnection, None] = {}

    def enter(self, connection: BoundedConnection, awaited: Awaited) -> None:
        """Move it to the end, wherever it was."""
        self.leave(connection)
        (self._kept if awaited is Awaited.NEXT else self._others)[connection] = None
        if len(self._kept) + len(self._others) > self._most:
            fuller = self._kept if len(self._kept) > len(self._others) else self._others
            longest = next(iter(fuller))
            self.leave(longest)
            longest.transport.abort()

    def leave(self, connection: BoundedConnection) -> None:
        self._kept.pop(connection, None)
        self._others.pop(connection, None)


class BoundedConnection(H11Protocol):
    """uvicorn's connection, which ends if its client does not act in time."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        room: WaitingRoom,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._room = room
        self._awaited: Awaited | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if transport.get_extra_info("socket").family == socket.AF_UNIX:
            self.client = (UNIX_PEER, 0)
        self._await(Awaited.HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        self._await(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()  # ours also ends unclean closes
        # uvloop writes at the end of its turn: only then do we know how much the client
        # took.
        self.loop.call_soon(self._look)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._look()

    def shutdown(self) -> None:
        """Answer what is being asked, or will be in a moment, for the last time; then close."""
        if self.cycle:
            self.cycle.default_headers = self.server_state.default_headers
        self.loop.call_later(_LAST_SECONDS, self._leave)

    def _leave(self) -> None:
        """Close while nothing is asked; look again later if something is."""
        if self not in self.connections:
            return
        if self._next_step() in (Awaited.HEAD, Awaited.NEXT):
            self.transport.close()
        else:
            self.loop.call_later(_LAST_SECONDS, self._leave)

    def _look(self) -> None:
        """Begin to wait for the client's next step, unless it is awaited already."""
        if self in self.connections:
            awaited = self._next_step()
            if awaited is not self._awaited:
                self._await(awaited)

    def _next_step(self) -> Awaited | None:
        """Return None while the next step is ours."""
        if self.transport.get_write_buffer_size():
            return Awaited.TAKE
        if self.cycle and not self.cycle.response_complete:
            return Awaited.BODY if self.cycle.more_body else None
        is_between = (
            self.conn.their_state in (h11.IDLE, h11.DONE) and not self.conn.trailing_data[0]
        )
        return Awaited.NEXT if self.cycle and is_between else Awaited.HEAD

    def _await(self, awaited: Awaited | None) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._awaited, self._deadline = awaited, None
        if awaited is None:
            self._room.leave(self)
            return
        if seconds := self._room.patience.seconds(awaited):
            self._deadline = self.loop.call_later(seconds, self._give_up)
        self._room.enter(self, awaited)

    def _give_up(self) -> None:
        """End the wait; a client that sent half a request gets 408 (RFC 9110, 15.5.9)."""
        if self._next_step() is not self._awaited:
            self._look()
        elif self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            if self._is_half_sent():
                self.transport.write(_TIMED_OUT)
            self.transport.close()

    def _is_half_sent(self) -> bool:
        return self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
