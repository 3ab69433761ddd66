"""Ready answers of the fake provider, right and wrong ones, and the gate that holds them."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

CHUNK = b" " * 16384
ENDLESS_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """``body`` is the bytes, or makes the chunks one after the other."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Callable[[], AsyncIterator[bytes]] = b""


def json_answer(content: object, status: int = 200, **headers: str) -> Answer:
    """``content`` as JSON; keyword arguments are more headers (``retry_after="5"``)."""
    extra = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(
        status, {"content-type": "application/json"} | extra, json.dumps(content).encode()
    )


def error_answer(error: str, status: int = 400) -> Answer:
    return json_answer({"error": error, "error_description": "said by the fake"}, status)


def redirect(location: str, status: int = 307) -> Answer:
    return Answer(status, {"location": location})


def gzip_bomb(decoded_bytes: int = 200 * 1024 * 1024) -> Answer:
    """About a thousandth of ``decoded_bytes`` on the wire, whatever encodings were accepted."""
    packed = gzip.compress(bytes(decoded_bytes), compresslevel=9)
    return Answer(200, {"content-type": "application/json", "content-encoding": "gzip"}, packed)


def dripping() -> Answer:
    """A blank every 50 ms, so that no single read ever times out."""

    async def drops() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b" "
            await asyncio.sleep(0.05)

    return Answer(200, {"content-type": "application/json"}, drops)


def endless() -> Answer:
    """Blanks as fast as they are taken; after 64 MB it stays silent, and open."""

    async def flood() -> AsyncIterator[bytes]:
        for _ in range(ENDLESS_BYTES // len(CHUNK)):
            yield CHUNK
            await asyncio.sleep(0)
        await asyncio.Event().wait()

    return Answer(200, {"content-type": "application/json"}, flood)


class Gate:
    """Holds answers that are ready until it is opened; usable from any thread and loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = False
        self._held = 0
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._watching: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = []

    def open(self) -> None:
        with self._lock:
            self._open = True
            for loop, event in self._waiting:
                loop.call_soon_threadsafe(event.set)

    async def reached(self, count: int = 1) -> None:
        """Return once ``count`` answers are, or were, held here."""
        event = asyncio.Event()
        with self._lock:
            if self._held >= count:
                return
            self._watching.append((count, asyncio.get_running_loop(), event))
        await event.wait()

    async def wait(self) -> None:
        event = asyncio.Event()
        with self._lock:
            self._held += 1
            for count, loop, watcher in self._watching:
                if self._held >= count:
                    loop.call_soon_threadsafe(watcher.set)
            if self._open:
                return
            self._waiting.append((asyncio.get_running_loop(), event))
        await event.wait()
