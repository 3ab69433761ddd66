"""The cost of a call to a provider: one POST on a kept connection, CPU of this process alone.

The server is a process of its own on loopback.  The floor is aiohttp, which the transport
sits on, and httpx with its own network layer is there to be compared with.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping

import aiohttp
import click
import httpx

from bench.meter import Call, spread
from webui.oauth_manager.protocol.requests import ProviderRequest
from webui.oauth_manager.protocol.transport import Transport
from webui.server import loop_factory

ROUNDS = 5
CALLS = 320  # in a round
BODY = b"grant_type=refresh_token&refresh_token=" + b"x" * 60
HEADERS = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
FLOOR = "floor: aiohttp"

# Answers each read: a request of ours is one segment, or two at once.
SERVER = r"""
import asyncio, contextlib
BODY = b'{"access_token": "%s", "token_type": "bearer", "expires_in": 3600}' % (b"x" * 40)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
async def talk(reader, writer):
    with contextlib.suppress(ConnectionError):
        while await reader.read(65536):
            writer.write(HEAD % len(BODY) + BODY)
    writer.close()
async def serve():
    server = await asyncio.start_server(talk, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(serve())
"""


async def cpu(call: Call, callers: int) -> float:
    """Microseconds of CPU a call, with so many callers at once."""

    async def work() -> None:
        for _ in range(CALLS // callers):
            await call()

    began = time.process_time()
    await asyncio.gather(*(work() for _ in range(callers)))
    return (time.process_time() - began) / CALLS * 1e6


async def compare(candidates: Mapping[str, Call], callers: int) -> None:
    names = list(candidates)
    for call in candidates.values():
        await cpu(call, callers)  # opens connections
    figures: dict[str, list[float]] = {name: [] for name in names}
    for number in range(ROUNDS):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            figures[name].append(await cpu(candidates[name], callers))
    for name, figure in figures.items():
        least, median, most = spread(figure, figures[FLOOR])
        click.echo(
            f"  {callers:3d} at once: {name:<36} {statistics.median(figure):6.0f} us"
            f"   {median:5.2f} times the floor ({least:.2f} to {most:.2f})"
        )


async def measure(url: str) -> None:
    transport = Transport()
    request = ProviderRequest("plain", "exchange", "POST", url, HEADERS, BODY)
    own = httpx.AsyncHTTPTransport(trust_env=False)
    async with (
        httpx.AsyncClient(transport=own, trust_env=False) as client,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):

        async def bare() -> None:
            async with session.post(url, data=BODY, headers=HEADERS) as answer:
                await answer.read()

        candidates: dict[str, Call] = {
            FLOOR: bare,
            "our transport": lambda: transport.send(request),
            "httpx, its own network": lambda: client.post(url, content=BODY, headers=HEADERS),
        }
        for callers in (1, 16, 64):
            await compare(candidates, callers)
    await transport.aclose()


def main() -> None:
    factory = loop_factory()
    click.echo(
        f"One POST on a kept connection, CPU, {'uvloop' if factory else 'asyncio'}'s loop, "
        f"{ROUNDS} rounds of {CALLS} calls each, medians"
    )
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout  # noqa: S101 -- a pipe was asked for
            port = int(server.stdout.readline())
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(measure(f"http://127.0.0.1:{port}/token"))
        finally:
            server.kill()


if __name__ == "__main__":
    main()
