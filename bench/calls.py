"""The cost of a call to a provider: one POST on a kept connection, CPU of this process alone.

The server is a process of its own on loopback.  The floor is aiohttp, which the transport
sits on, and httpx with its own network layer is there to be compared with.
"""

from __future__ import annotations

import asyncio
from functools import partial
from time import process_time

import aiohttp
import httpx

from bench.meter import Call, interleaved, median
from bench.provider import provider
from bench.report import Report, Size
from webui.oauth_manager.protocol.requests import ProviderRequest
from webui.oauth_manager.protocol.transport import Transport

CALLS = 192  # in a round
BODY = b"grant_type=refresh_token&refresh_token=" + b"x" * 60
HEADERS = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
FLOOR = "aiohttp"
OURS = "our transport"


async def measure(_: str, size: Size, report: Report) -> None:
    with provider() as base_url:
        await _compare(f"{base_url}/plain/token", size, report)


async def _compare(url: str, size: Size, report: Report) -> None:
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

        rows: dict[str, Call] = {
            FLOOR: bare,
            OURS: lambda: transport.send(request),
            "httpx, its own network": lambda: client.post(url, content=BODY, headers=HEADERS),
        }
        for callers in (1, 16, 64):
            figures = await interleaved(
                {name: partial(_by_all, call, callers) for name, call in rows.items()},
                rounds=size.rounds,
                calls=size.of(CALLS // callers),
                clock=process_time,
            )
            report.title(f"One POST on a kept connection, {callers} at once, CPU of this process")
            for name, figure in figures.items():
                report.say(name, f"{median(figure) / callers:7.0f} us")
            report.judge(f"a call to a provider, {callers} at once", figures[OURS], figures[FLOOR])
    await transport.aclose()


async def _by_all(call: Call, callers: int) -> None:
    await asyncio.gather(*(call() for _ in range(callers)))
