"""Clients that ask a server again and again until it refuses to connect, and count answers."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Any

_SECONDS = 60.0  # for all of it


class Load:
    """``answered`` by status, ``lost`` requests that were sent and have no whole answer."""

    def __init__(
        self, host: str, address: tuple[str, int], tls: ssl.SSLContext | None = None
    ) -> None:
        self.answered: Counter[int] = Counter()
        self.lost: list[str] = []
        self._host, self._address = host, address
        self._tls: dict[str, Any] = {"ssl": tls, "server_hostname": host} if tls else {}
        self._is_over = False

    async def goes_on(self, answers: int = 50) -> None:
        """Wait until so many more have been answered."""
        enough = self.answered.total() + answers
        await until(lambda: self.answered.total() >= enough)

    def end(self) -> None:
        """Ask nothing more."""
        self._is_over = True

    async def run(self, path: str, clients: int, *, keeps: bool, form: str = "") -> None:
        """Ask on so many connections, kept ones or a new one each time, until refused.

        With a ``form`` it is sent, as from a page of the site.
        """
        ask = f"{'POST' if form else 'GET'} {path} HTTP/1.1\r\nHost: {self._host}\r\n"
        if form:
            ask += "Sec-Fetch-Site: same-origin\r\n"
            ask += "Content-Type: application/x-www-form-urlencoded\r\n"
            ask += f"Content-Length: {len(form)}\r\n"
        whole = f"{ask}\r\n{form}".encode()
        async with asyncio.timeout(_SECONDS):
            await asyncio.gather(*(self._client(whole, keeps=keeps) for _ in range(clients)))

    async def _client(self, whole: bytes, *, keeps: bool) -> None:
        while not self._is_over:
            try:
                reader, writer = await asyncio.open_connection(*self._address, **self._tls)
            except ConnectionRefusedError:
                return
            is_kept = True
            while is_kept and not self._is_over:
                is_kept = await self._ask(reader, writer, whole) and keeps
            writer.close()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, whole: bytes
    ) -> bool:
        """Ask once; return whether the connection may be used again."""
        try:
            writer.write(whole)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            _, _, rest = head.partition(b"content-length: ")
            await reader.readexactly(int(rest.partition(b"\r\n")[0]))
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            self.lost.append(repr(error))
            return False
        self.answered[int(head[9:12])] += 1
        return b"connection: close" not in head


async def until(happened: Callable[[], bool]) -> None:
    """Look every few milliseconds."""
    async with asyncio.timeout(_SECONDS):
        while not happened():  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.005)
