"""The supervisor: workers over the same listening sockets.

A worker that dies is started again.  Settings are read here alone, so that all workers
have the same.  The sockets stay open here, so that nobody who waits in their queue is
lost with one worker.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import structlog

from webui.serving.change import ChangeRefused, Load, reload, with_keys_of
from webui.serving.channel import packed
from webui.serving.notify import notify
from webui.serving.server import NotStarted, tell_start, tell_stop
from webui.serving.signals import on_signals
from webui.serving.workers import Worker
from webui.settings.settings import Settings

START_SECONDS = 60.0  # for a worker to accept
CHANGE_SECONDS = 60.0  # for a worker to have nothing left of its settings before
END_SECONDS = 25.0  # beyond the grace, for the work that requests leave
STEADY_SECONDS = 60.0  # a worker that lived so long is started again at once
PAUSES = (0.5, 30.0)  # the shortest and the longest before another one is

log = structlog.get_logger(__name__)


class Supervisor:
    """Keeper of ``count`` workers on ``sockets``; ``load`` reads the settings again."""

    def __init__(
        self,
        settings: Settings,
        sockets: Sequence[socket.socket],
        *,
        count: int,
        grace: float,
        load: Load,
    ) -> None:
        self._settings = settings
        self._sockets = sockets
        self._count = count
        self._grace = grace
        self._load = load
        self._workers: dict[int, Worker] = {}
        self._changing = asyncio.Lock()  # settings, or workers that start with them
        self._told: list[tuple[str, float]] = []
        self._is_stopping = asyncio.Event()
        self._telling: set[asyncio.Task[None]] = set()
        self._requests: Counter[str] = Counter()

    async def run(self) -> None:
        """Serve until a signal; the log says why and how long.  Raises ``NotStarted``."""
        began = time.monotonic()
        with on_signals(self._stop, self._reload):
            if await self._start_all():
                for listener in self._sockets:
                    tell_start(listener, workers=self._count)
                notify("READY=1")
            elif not self._told:
                self._stop("not started")
            await self._keep_all()
        if self._told[0][0] == "not started":
            raise NotStarted
        waited_for, cut_short = (self._requests[name] for name in ("waited_for", "cut_short"))
        tell_stop("stopped", began, self._told, waited_for=waited_for, cut_short=cut_short)

    # Start

    async def _start_all(self) -> bool:
        """Start one worker, which looks at the keys, and then the others."""
        async with self._changing:
            if not await self._start_first(1):
                return False
            return all(await asyncio.gather(*map(self._start_first, range(2, self._count + 1))))

    async def _start_first(self, number: int) -> bool:
        """Start a worker; log it if the machine starts none."""
        try:
            return await self._start(number)
        except OSError as error:
            _tell_refusal(number, error)
            return False

    async def _start(self, number: int) -> bool:
        """Start a worker with the settings of now; return whether it accepts."""
        if self._is_stopping.is_set():
            return False
        worker = await Worker.start(self._settings, self._sockets, self._grace)
        self._workers[number] = worker
        if self._is_stopping.is_set():
            await self._tell_to_stop()
        return await worker.answer(START_SECONDS) is not None

    # Keeping

    async def _keep_all(self) -> None:
        keepers = [asyncio.create_task(self._keep(n)) for n in range(1, self._count + 1)]
        await self._is_stopping.wait()
        await asyncio.wait(keepers, timeout=self._grace + END_SECONDS)
        for worker in self._workers.values():
            worker.kill()
        await asyncio.gather(*keepers)

    async def _keep(self, number: int) -> None:
        """Have a worker at this place until the end."""
        pause, longest = PAUSES
        while worker := self._workers.get(number):
            status, age = await worker.ended()
            self._requests.update(
                {name: worker.last.get(name, 0) for name in ("waited_for", "cut_short")}
            )
            del self._workers[number]
            if self._is_stopping.is_set():
                return
            pause = PAUSES[0] if age > STEADY_SECONDS else min(longest, 2 * pause)
            log.error(
                "worker ended", worker=number, worker_pid=worker.pid, status=status, pause=pause
            )
            await self._rest(0 if age > STEADY_SECONDS else pause)
            await self._start_again(number, pause)

    async def _start_again(self, number: int, pause: float) -> None:
        """Start a worker at this place, however often the machine refuses to."""
        while not self._is_stopping.is_set():
            try:
                async with self._changing:
                    await self._start(number)
                return
            except OSError as error:  # no memory, too many processes or files: it may pass
                _tell_refusal(number, error, pause=pause)
            await self._rest(pause)
            pause = min(PAUSES[1], 2 * pause)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_stopping.wait()

    def _stop(self, why: str) -> None:
        """End: once let requests under way finish, a second time do not."""
        self._told.append((why, time.monotonic()))
        self._is_stopping.set()
        notify("STOPPING=1")
        for listener in self._sockets:
            listener.close()  # before the workers empty its queue, and the last of them closes it
        task = asyncio.get_running_loop().create_task(self._tell_to_stop())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell_to_stop(self) -> None:
        message = {"do": "stop", "why": self._told[0][0], "is_forced": len(self._told) > 1}
        await asyncio.gather(*(worker.say(message) for worker in list(self._workers.values())))

    # Settings

    async def _reload(self) -> None:
        async with self._changing:
            await reload(self._settings, self._load, self._change)

    async def _change(self, new: Settings) -> None:
        """Bring new settings to all workers, in two steps.

        Raises ``ChangeRefused``, and all have those of before.
        """
        before = self._settings
        if faults := await self._have(with_keys_of(before, new), to_come=new):
            await self._have(before)
            raise ChangeRefused(*faults)
        for fault in await self._have(new):
            log.error("a worker does not take settings that others took: %s", fault)

    async def _have(self, settings: Settings, to_come: Settings | None = None) -> list[str]:
        """Have every worker take settings; return why some refuse, or refuse those to come.

        A worker that ends meanwhile will be started with them.
        """
        self._settings = settings
        asked = list(self._workers.values())
        message = {"do": "change", "settings": packed(settings)}
        if to_come:
            message["to_come"] = packed(to_come)
        answers = await asyncio.gather(
            *(worker.answer(CHANGE_SECONDS, message) for worker in asked)
        )
        return list(
            dict.fromkeys(fault for answer in answers if answer for fault in answer.get("why", ()))
        )


def _tell_refusal(number: int, error: OSError, **more: float) -> None:
    """Log that the machine starts no process for a worker."""
    log.error(
        "worker not started", worker=number, why=error.strerror or type(error).__name__, **more
    )
