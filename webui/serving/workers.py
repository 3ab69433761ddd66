"""A worker process as its supervisor sees it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from webui.serving.channel import Channel, Message, packed
from webui.settings.settings import Settings


class Worker:
    """One worker's process and its channel; ``last`` is what it said of its end."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.pid = process.pid
        self.last: Message = {}
        self._process = process
        self._channel = channel
        self._began = time.monotonic()
        self._answers: asyncio.Queue[Message | None] = asyncio.Queue()
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(
        cls, settings: Settings, sockets: Sequence[socket.socket], grace: float
    ) -> Worker:
        """Start a process that has the sockets; its first answer tells whether it accepts.

        Raises ``OSError`` if the machine starts none.
        """
        ours, theirs = socket.socketpair()
        with theirs, ExitStack() as unless_started:
            unless_started.callback(ours.close)
            inherited = [each.fileno() for each in (theirs, *sockets)]
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", *(f"-W{option}" for option in sys.warnoptions)),
                *("-m", "webui.serving.worker"),
                *(str(grace), *map(str, inherited)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=inherited,
                process_group=0,  # Ctrl-C is for the supervisor alone
                env={name: text for name, text in os.environ.items() if name != "NOTIFY_SOCKET"},
            )
            unless_started.pop_all()
        worker = cls(process, await Channel.over(ours))
        await worker.say({"settings": packed(settings)})
        return worker

    async def _listen(self) -> None:
        while (message := await self._channel.hear()) is not None:
            if message["did"] == "stopped":
                self.last = message
            else:
                self._answers.put_nowait(message)
        self._answers.put_nowait(None)

    async def say(self, message: Message) -> None:
        await self._channel.say(message)

    async def answer(self, seconds: float, message: Message | None = None) -> Message | None:
        """Return its next answer, to a ``message`` if given.

        None if it ends, or is killed for taking longer.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if message:
                    await self.say(message)
                answer = await self._answers.get()
                if answer is None:
                    self._answers.put_nowait(None)  # nothing follows, for whoever asks again
                return answer
        self.kill()
        return None

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    async def ended(self) -> tuple[int, float]:
        """Wait for its end; return the exit status (negative for a signal), and its age."""
        status = await self._process.wait()
        await self._listening
        self._channel.close()
        return status, time.monotonic() - self._began
