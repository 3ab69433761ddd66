"""The call for a token over the HTTP API: CPU of this process, against a bare route with one GET.

All are asked in this process by 16 callers at once, so that nothing of a server is in it.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from time import process_time
from typing import Any

from cryptography.fernet import Fernet
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bench.browser import settings_for
from bench.meter import Call, interleaved, median
from bench.people import populate
from bench.report import Report, Size
from tests.kit.library import KEY, fake_provider, manager_for, tokens_key
from tests.kit.site_fixtures import running
from webui.api.service_keys import ServiceKeys
from webui.app import create_app
from webui.oauth_manager.storage import Clock, Sealer
from webui.redis_client import connect

CALLERS = 16
CALLS = 40  # a round, of each caller
FLOOR = "a bare Starlette route with one GET"
NEEDED = "the same, with Fernet and JSON"
OURS = "POST /api/v1/token"


async def measure(redis_url: str, size: Size, report: Report) -> None:
    fake = fake_provider()
    manager = manager_for(fake)
    app = create_app(settings_for(redis_url, fake))
    async with Redis.from_url(redis_url) as plain, connect(redis_url) as ours, running(app):
        people = await populate(manager, fake, plain, CALLERS, providers=["google"])
        store = ServiceKeys(Sealer(KEY), Clock())
        rate = {"tokens_a_minute": 10**8}
        key, _ = await store.create(plain, "bench", may=("token",), **rate)
        await _compare(people, _bare(ours), app, key, size, report)
    await manager.aclose()


def _bare(redis: Redis) -> ASGIApp:
    fernet = Fernet(KEY)

    async def read(request: Request) -> Any:
        return await redis.get(tokens_key(request.query_params["user"], "google")) or b""

    async def bare(request: Request) -> Response:
        await read(request)
        return JSONResponse({"ok": True})

    async def needed(request: Request) -> Response:
        token = json.loads(fernet.decrypt(await read(request)))
        return JSONResponse({"access_token": token["access_token"]})

    return Starlette(routes=[Route("/bare", bare), Route("/needed", needed)])


async def _compare(
    people: list[str], bare: ASGIApp, app: ASGIApp, key: str, size: Size, report: Report
) -> None:
    def floor(path: str, person: str) -> Call:
        return partial(_ask, bare, "GET", path, f"user={person}", b"", "")

    def token(person: str) -> Call:
        body = json.dumps({"user_id": person, "provider": "google"}).encode()
        return partial(_ask, app, "POST", "/api/v1/token", "", body, key)

    rows = {
        FLOOR: [floor("/bare", person) for person in people],
        NEEDED: [floor("/needed", person) for person in people],
        OURS: [token(person) for person in people],
    }
    figures = await interleaved(
        {name: partial(_by_all, calls) for name, calls in rows.items()},
        rounds=size.rounds,
        calls=size.of(CALLS),
        clock=process_time,
    )
    report.title(f"A token over HTTP, {CALLERS} callers at once, CPU of this process")
    for name, figure in figures.items():
        report.say(name, f"{median(figure) / CALLERS:7.0f} us")
    report.judge("a token over HTTP, 16 callers", figures[OURS], figures[FLOOR])


async def _by_all(calls: list[Call]) -> None:
    await asyncio.gather(*(call() for call in calls))


async def _ask(app: ASGIApp, method: str, path: str, query: str, body: bytes, key: str) -> None:
    """Ask once, with as little of a client as can be; the answer has to be 200."""
    headers = [(b"host", b"bot.example"), (b"content-type", b"application/json")]
    if key:
        headers.append((b"authorization", f"Bearer {key}".encode()))
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "client": ("192.0.2.1", 50000),
    }
    status = 0

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    await app(scope, receive, send)
    if status != 200:
        raise RuntimeError(f"{path} answered {status}")
