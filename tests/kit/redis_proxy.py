"""A unix socket in front of the real Redis that can be cut, frozen, and made to lose answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.kit.redis_fleets import socket_of


@dataclass
class RedisProxy:
    """``lost`` and ``cut`` hold marks of commands; each spoils one command that has the mark.

    A ``lost`` command is executed and its connection ends instead of the
    answer; a ``cut`` one never arrives.  ``round_trips`` counts what clients
    send, a pipeline as one.
    """

    path: Path
    server_path: str
    lost: list[bytes] = field(default_factory=list)
    cut: list[bytes] = field(default_factory=list)
    round_trips: int = 0
    delay: float = 0.0  # seconds before each answer, of a slow server
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _thawed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    async def come(self) -> None:
        """Listen, again after :meth:`go`."""
        self._thawed.set()
        self._server = await asyncio.start_unix_server(self._accept, self.path)

    async def go(self) -> None:
        """Die: nobody listens, every connection ends."""
        if self._server:
            self._server.close()
            self._server = None
            self.path.unlink(missing_ok=True)
        self._thawed.set()
        self._hang_up()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def freeze(self) -> None:
        """Take everything, new connections too, and answer nothing."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Go on; what has been waiting is served."""
        self._thawed.set()

    def _hang_up(self) -> None:
        for writer in self._writers:
            writer.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)  # at once, so that nobody who goes leaves it open
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(self.server_path)
        except OSError:  # the server is not there
            self._writers.discard(writer)
            writer.close()
            return
        both = {writer, server_writer}
        self._writers |= both
        if writer.is_closing():
            server_writer.close()
        losing = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, server_writer, both, losing))
                group.create_task(self._return(server_reader, writer, both, losing))
        finally:
            self._writers -= both
            for each in both:
                each.close()
                with suppress(OSError):
                    await each.wait_closed()

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        both: set[asyncio.StreamWriter],
        losing: asyncio.Event,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._thawed.wait()
                if b"HELLO" not in data and b"SETINFO" not in data:
                    self.round_trips += 1
                if _spend(self.cut, data):
                    break
                if _spend(self.lost, data):
                    losing.set()
                writer.write(data)
                await writer.drain()
        for each in both:
            each.close()

    async def _return(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        both: set[asyncio.StreamWriter],
        losing: asyncio.Event,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if losing.is_set():
                    break
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
        for each in both:
            each.close()


def _spend(marks: list[bytes], data: bytes) -> bool:
    for mark in marks:
        if mark in data:
            marks.remove(mark)
            return True
    return False


@asynccontextmanager
async def redis_proxy(redis_url: str) -> AsyncIterator[RedisProxy]:
    """A proxy that listens, in front of the server at a ``unix://`` address."""
    with TemporaryDirectory(prefix="proxy-") as folder:
        proxy = RedisProxy(Path(folder) / "redis.sock", socket_of(redis_url))
        await proxy.come()
        try:
            yield proxy
        finally:
            await proxy.go()
