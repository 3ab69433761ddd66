"""Pages and the two halves of a connection: CPU of this process, against bare routes.

All of them are behind the same guards and are asked in this process, so what
is compared is the page and nothing of a server.  Redis is the embedded one.
"""

from __future__ import annotations

import gzip
import itertools
import re
from collections import deque
from collections.abc import Mapping
from html import unescape
from time import process_time
from typing import Any
from urllib.parse import urlencode

from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from bench.browser import Browser, settings_for, signed_in
from bench.meter import Call, interleaved, median
from bench.people import populate
from bench.provider import allowed, provider
from bench.report import Report, Size
from tests.kit.account_provider import AccountProvider, added
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import BASE_URL, fake_provider, manager_for, providers_config
from tests.kit.site_fixtures import HTMX, running
from webui.app import create_app
from webui.middleware.stack import guarded
from webui.oauth_manager import OAuthManager
from webui.oauth_manager.values import replace
from webui.redis_client import connect
from webui.rendering import assets
from webui.sessions.sessions import Sessions

CALLS = 60  # a round
PEOPLE = 200
BARE = "a bare route behind the same guards"
READ = "the same, with session and connections read"
PAGE = "GET /connections, four connected"
CARD = "GET /connections/github for htmx, the card alone"
POLL = "GET /connections for htmx, nothing new"
READ_IN_TURN = "session and connections read, many people in turn"
IN_TURN = "GET /connections, many people in turn"
ONE = "GET /connections, one account of GitHub"
FIVE = "GET /connections, five accounts of GitHub"
CONNECT = "POST /connections/github/connect"
CALLBACK = "GET /oauth/github/callback"


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


async def measure(redis_url: str, size: Size, report: Report) -> None:
    fake = fake_provider()
    manager = manager_for(fake)
    settings = settings_for(redis_url, fake)
    with provider() as base_url:
        app = create_app(replace(settings, providers_config=providers_config(fake, base_url)))
        bare_app, redis = bare_site(redis_url, fake, manager)
        async with running(app):
            everything = list(manager.providers)
            ids = await populate(manager, fake, redis, size.of(PEOPLE), providers=everything)
            people = await signed_in(app, manager, redis, ids)
            page = await _reads(people, bare_app, size, report)
            await _ways(people, bare_app, size, report)
            await _accounts(app, redis, size, report)
        weigh(page, report)
        await redis.aclose()
    await manager.aclose()


async def _expect(asked: Any, status: int, part: str) -> str:
    found, body = await asked
    if found != status or part not in body:
        raise RuntimeError(f"not the page that was to be measured: {found}")
    return str(body)


async def _reads(people: list[Browser], bare_app: ASGIApp, size: Size, report: Report) -> str:
    browser = people[0]
    bare = Browser(bare_app, BASE_URL, browser.cookies)
    page = await _expect(browser.get("/connections"), 200, "conn-microsoft")
    seen = re.findall(r'name="seen" value="([^"]*)"', page)
    poll = "/connections?" + urlencode([("seen", unescape(value)) for value in seen])
    await _expect(browser.get("/connections/github", **HTMX), 200, "conn-github")
    await _expect(browser.get(poll, **HTMX), 204, "")
    await _expect(bare.get("/read"), 200, "Bare")
    in_turn = itertools.cycle(people)
    bare_in_turn = itertools.cycle([Browser(bare_app, BASE_URL, p.cookies) for p in people])
    rows: dict[str, Call] = {
        BARE: lambda: bare.get("/bare"),
        READ: lambda: bare.get("/read"),
        PAGE: lambda: browser.get("/connections"),
        CARD: lambda: browser.get("/connections/github", **HTMX),
        POLL: lambda: browser.get(poll, **HTMX),
        READ_IN_TURN: lambda: next(bare_in_turn).get("/read"),
        IN_TURN: lambda: next(in_turn).get("/connections"),
    }
    figures = await _cpu(rows, size, report)
    report.judge("page of four cards, one person", figures[PAGE], figures[READ])
    report.judge("page of four cards, many people in turn", figures[IN_TURN], figures[READ_IN_TURN])
    report.judge("one card for htmx", figures[CARD], figures[READ])
    report.judge("poll without news", figures[POLL], figures[READ])
    return page


async def _ways(people: list[Browser], bare_app: ASGIApp, size: Size, report: Report) -> None:
    """Measure both halves of a connection; the provider is in a process of its own."""
    in_turn = itertools.cycle(people)
    left: deque[tuple[Browser, str]] = deque()

    async def leave() -> None:
        browser = next(in_turn)
        left.append((browser, allowed(await browser.leave_for("github"))))

    async def come_back() -> None:
        browser, callback = left.popleft()
        await _expect(browser.get(callback), 303, "")

    bare = Browser(bare_app, BASE_URL, people[0].cookies)
    for _ in range(size.of(CALLS)):  # one round may begin with the callbacks
        await leave()
    rows: dict[str, Call] = {READ: lambda: bare.get("/read"), CONNECT: leave, CALLBACK: come_back}
    figures = await _cpu(rows, size, report)
    report.judge("starting a connection", figures[CONNECT], figures[READ])


async def _accounts(app: ASGIApp, redis: Redis, size: Size, report: Report) -> None:
    """Measure the page of a person with five accounts beside that of one with one."""
    fake = AccountProvider()
    manager = manager_for(fake)
    names = ["mona", "hubert", "ada", "grace", "linus"]
    for person, accounts in {"one": names[:1], "five": names}.items():
        for account in accounts:
            await added(manager, fake, redis, account, user_id=person)
    one, five = await signed_in(app, manager, redis, ["one", "five"])
    await _expect(one.get("/connections"), 200, 'id="conn-github"')
    await _expect(five.get("/connections"), 200, 'id="conn-github~linus"')
    rows: dict[str, Call] = {
        ONE: lambda: one.get("/connections"),
        FIVE: lambda: five.get("/connections"),
    }
    figures = await _cpu(rows, size, report)
    report.judge("page of five accounts of one service", figures[FIVE], figures[ONE])
    await manager.aclose()


async def _cpu(rows: Mapping[str, Call], size: Size, report: Report) -> dict[str, list[float]]:
    calls = size.of(CALLS)
    figures = await interleaved(rows, rounds=size.rounds, calls=calls, clock=process_time)
    report.title(f"In this process, {size.rounds} rounds of {calls}, microseconds of its CPU")
    for name, figure in figures.items():
        report.say(name, f"{median(figure):7.0f} us")
    return figures


def weigh(page: str, report: Report) -> None:
    """Measure the files of a first visit, as sent (a page itself goes uncompressed)."""
    report.title("A first visit to /connections loads, in bytes: as sent, and with gzip")
    html = page.encode()
    rows = [("the page", len(html), len(gzip.compress(html)))]
    for name in sorted(set(re.findall(r'(?:href|src)="/static/([^"#]+)', page))):
        asset = assets.load()[re.sub(r"\.[0-9a-f]{12}(?=\.)", "", name)]
        rows.append((name, len(asset.gzipped), len(asset.gzipped)))
    rows.append(("in all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    for what, sent, zipped in rows:
        report.say(what, f"{sent:8d} {zipped:8d}")
