"""An HTTP proxy on loopback that tunnels (CONNECT), or refuses to in one way."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.kit.tcp_server import HERE, pump_both, tcp_server


@dataclass
class ConnectProxy:
    """``routes`` leads names to ports here; ``refusal`` is a status line instead of a tunnel.

    ``login`` is what it wants, as ``user:password``.  ``seen`` has the targets asked for,
    and ``plain`` whatever it was sent outside of tunnels.
    """

    routes: Mapping[str, int]
    login: str = ""
    refusal: str = ""
    port: int = 0
    seen: list[str] = field(default_factory=list)
    plain: bytes = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.plain += head
        await self._answer(head.decode("latin-1"), reader, writer)

    async def _answer(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        method, target, _ = head.split(" ", 2)
        self.seen.append(target)
        wanted = base64.b64encode(self.login.encode()).decode()
        if self.login and f"proxy-authorization: basic {wanted}".lower() not in head.lower():
            status = "407 Proxy Authentication Required"
        elif method != "CONNECT":
            status = "405 Method Not Allowed"
        else:
            status = self.refusal or "200 Connection established"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        if status.startswith("200"):
            far = await asyncio.open_connection(HERE, self.routes[target])
            await pump_both((reader, writer), far)


@asynccontextmanager
async def connect_proxy(
    routes: Mapping[str, int],
    *,
    tls: ssl.SSLContext | None = None,
    login: str = "",
    refusal: str = "",
) -> AsyncIterator[ConnectProxy]:
    """Run one; ``routes`` is ``host:port`` to a port of loopback."""
    proxy = ConnectProxy(routes, login, refusal)
    async with tcp_server(proxy.serve, tls=tls) as port:
        proxy.port = port
        yield proxy
