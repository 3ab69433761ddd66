"""The site as it is deployed: ``webui serve`` in a process of its own, its log in a file.

Clients speak HTTP/1.1 over loopback with next to no code, and share one process.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from redis.asyncio import Redis

from bench.browser import Browser
from bench.meter import interleaved, median
from bench.people import populate
from bench.processes import child, cpu_seconds, memory, wait_until_listening
from bench.report import Report, Size
from tests.kit.library import KEY, fake_provider, manager_for
from tests.kit.site_fixtures import SESSION_SECRET, free_port, running
from webui.app import create_app
from webui.settings.settings import load_settings

CALLS = 100  # a round, of one client
SECONDS = 2.0  # for each number of connections
MANY = 500
MANY_SECONDS = 12.0


def environment(redis_url: str, port: int) -> dict[str, str]:
    clients = {}
    for provider in ("GITHUB", "GOOGLE", "DISCORD", "MICROSOFT"):
        clients[f"{provider}_CLIENT_ID"] = "client"
        clients[f"{provider}_CLIENT_SECRET"] = "client-secret"
    return {
        "BASE_URL": f"http://127.0.0.1:{port}",
        "REDIS_URL": redis_url,
        "ENCRYPTION_KEY": KEY,
        "SESSION_SECRET": SESSION_SECRET,
        **clients,
    }


@dataclass
class Client:
    """One kept connection to the site, with the cookies of one person."""

    port: int
    cookies: str
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(
        default=None, repr=False
    )

    async def get(self, path: str) -> int:
        """Ask, read the whole answer, and return its status."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._streams
        head = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nCookie: {self.cookies}\r\n\r\n"
        )
        writer.write(head.encode())
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        _, _, rest = answer.partition(b"content-length: ")
        await reader.readexactly(int(rest.partition(b"\r\n")[0] or 0))
        if b"connection: close" in answer:
            self.close()
        return int(answer[9:12])

    async def get_anew(self, path: str) -> int:
        status = await self.get(path)
        self.close()
        return status

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def visitor(redis_url: str) -> tuple[dict[str, str], Client]:
    """Return the settings of a site on a port of its own, and a client with four connections."""
    port = free_port()
    settings = environment(redis_url, port)
    fake = fake_provider()
    manager = manager_for(fake)
    async with Redis.from_url(redis_url) as plain:
        (person,) = await populate(manager, fake, plain, 1, providers=list(manager.providers))
        app = create_app(load_settings(settings))
        browser = Browser(app, settings["BASE_URL"])
        async with running(app):
            await browser.sign_in(manager, plain, person)
    await manager.aclose()
    return settings, Client(port, "; ".join(f"{k}={v}" for k, v in browser.cookies.items()))


async def measure(redis_url: str, size: Size, report: Report) -> None:
    settings, client = await visitor(redis_url)
    with (
        TemporaryDirectory() as folder,
        (Path(folder) / "site.log").open("wb") as log,
        child("-m", "webui", "serve", environment=settings, log=log) as process,
    ):
        wait_until_listening(process, client.port)
        await _load(client, process.pid, size, report)


async def _load(client: Client, pid: int, size: Size, report: Report) -> None:
    for path in ("/healthz", "/connections"):
        if await client.get(path) != 200:
            raise RuntimeError("not the answer that was to be measured")
    kept, new = "an answer of /healthz on a kept connection", "the same on a new one"
    other = Client(client.port, "")
    figures = await interleaved(
        {kept: lambda: client.get("/healthz"), new: lambda: other.get_anew("/healthz")},
        rounds=size.rounds,
        calls=size.of(CALLS),
    )
    report.title("The site in a process of its own, over a socket, with its ordinary log")
    for name, figure in figures.items():
        report.say(name, f"{median(figure):7.0f} us")
    report.judge("answer on a kept connection", figures[kept], figures[new])
    for path in ("/healthz", "/connections"):
        for count in (1, 16, 64):
            await _row(client, path, count, SECONDS / size.divisor, pid, report)
    client.close()
    clients = [Client(client.port, client.cookies) for _ in range(size.of(MANY))]
    seconds = MANY_SECONDS / size.divisor
    half = await ask_all(clients, "/connections", seconds / 2)
    middle = memory(pid)
    statuses = half + await ask_all(clients, "/connections", seconds / 2)
    refused = sum(count for status, count in statuses.items() if status != 200)
    text = f"{statuses.total() / seconds:7.0f} a second, {memory(pid):.1f} MB"
    report.say(f"/connections, {len(clients)} connections", text)
    report.judge("500 kept connections: refused", [float(refused)])
    report.judge("500 kept connections: memory at the end", [memory(pid)], [middle])
    for one in clients:
        one.close()


async def _row(
    client: Client, path: str, count: int, seconds: float, pid: int, report: Report
) -> None:
    clients = [Client(client.port, client.cookies) for _ in range(count)]
    before = cpu_seconds(pid)
    began = time.monotonic()
    statuses = await ask_all(clients, path, seconds)
    taken = time.monotonic() - began
    cpu = (cpu_seconds(pid) - before) / statuses.total() * 1e6
    refused = statuses.total() - statuses[200]
    text = f"{statuses.total() / taken:7.0f} a second, {cpu:5.0f} us CPU each, {refused} refused"
    report.say(f"{path}, {count} connection{'s' if count > 1 else ''}", text)
    for one in clients:
        one.close()


async def ask_all(clients: list[Client], path: str, seconds: float) -> Counter[int]:
    """Ask on every connection, again and again."""
    found: Counter[int] = Counter()
    end = time.monotonic() + seconds

    async def keep_asking(client: Client) -> None:
        while True:
            found[await client.get(path)] += 1
            if time.monotonic() > end:
                return

    await asyncio.gather(*map(keep_asking, clients))
    return found
