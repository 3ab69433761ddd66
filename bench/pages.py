"""The cost of a page: GET /connections with four services, against a bare route.

All of them stand behind the same guards and are asked in this process, so what
is compared is the page and nothing of a server.  Redis is the embedded one.
"""

from __future__ import annotations

import asyncio
import gzip
import re
from typing import Any

import click
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from bench.browser import Browser, settings_for, site
from bench.meter import against, interleaved
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import BASE_URL, connected, fake_provider, manager_for
from webui.logs import configure_logs
from webui.middleware.stack import guarded
from webui.oauth_manager import OAuthManager
from webui.redis_client import connect
from webui.rendering import assets
from webui.sandbox.embedded_redis import embedded_redis
from webui.sessions.sessions import Sessions

ROUNDS = 20
CALLS = 60
FLOOR = "floor: a bare route behind the same guards"


def bare_site(redis_url: str, fake: FakeProvider, manager: OAuthManager) -> tuple[ASGIApp, Redis]:
    """``/bare`` answers a constant; so does ``/read``, having read what the page reads."""
    settings = settings_for(redis_url, fake)
    redis = connect(redis_url)
    sessions = Sessions(redis, settings, manager.clock)

    async def bare(_: Request) -> Response:
        return HTMLResponse("<!doctype html><title>Bare</title><p>Bare")

    async def read(request: Request) -> Response:
        session = await sessions.load(request)
        if session is None or len(await manager.connections(redis, session.user)) < 4:
            raise RuntimeError("there is nothing to read")
        return await bare(request)

    async def refuse(_: Scope, status: int, reason: str) -> Response:
        raise RuntimeError(f"{status} {reason}: what is measured has to get in")

    app = Starlette(routes=[Route("/bare", bare), Route("/read", read)])
    return guarded(app, settings, refuse), redis


async def measure(redis_url: str) -> None:
    fake = fake_provider()
    manager = manager_for(fake)
    browser = Browser(site(redis_url, fake), BASE_URL)
    bare_app, redis = bare_site(redis_url, fake, manager)
    await browser.sign_in(manager, redis, "alice")
    for provider in manager.providers:
        await connected(manager, fake, redis, "alice", provider)
    bare = Browser(bare_app, BASE_URL, browser.cookies)

    async def expect(asked: Any, part: str) -> str:
        status, body = await asked
        if status != 200 or part not in body:
            raise RuntimeError(f"not the page that was to be measured: {status}")
        return str(body)

    page = await expect(browser.get("/connections"), "conn-microsoft")
    await expect(browser.get("/connections/github", **{"hx-request": "true"}), "conn-github")
    await expect(bare.get("/read"), "Bare")
    figures = await interleaved(
        {
            FLOOR: lambda: bare.get("/bare"),
            "the same, with session and connections read": lambda: bare.get("/read"),
            "GET /connections, four connected": lambda: browser.get("/connections"),
            "GET /connections/github for htmx, the card alone": lambda: browser.get(
                "/connections/github", **{"hx-request": "true"}
            ),
        },
        rounds=ROUNDS,
        calls=CALLS,
    )
    click.echo(f"One page, {ROUNDS} rounds of {CALLS} calls each, medians")
    for line in against(FLOOR, figures):
        click.echo(f"  {line}")
    weigh(page)
    await redis.aclose()
    await manager.aclose()


def weigh(page: str) -> None:
    """Measure the files of a first visit, as sent (a page itself goes uncompressed)."""
    click.echo("What a first visit to /connections loads, in bytes: as sent, and with gzip")
    html = page.encode()
    rows = [("the page", len(html), len(gzip.compress(html)))]
    for name in sorted(set(re.findall(r'(?:href|src)="/static/([^"]+)"', page))):
        asset = assets.load()[re.sub(r"\.[0-9a-f]{12}(?=\.)", "", name)]
        rows.append((name, len(asset.gzipped), len(asset.gzipped)))
    rows.append(("in all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    for what, sent, zipped in rows:
        click.echo(f"  {what:<54} {sent:8d} {zipped:8d}")


def main() -> None:
    configure_logs("error", as_json=False)
    with embedded_redis() as redis_url:
        asyncio.run(measure(redis_url))


if __name__ == "__main__":
    main()
