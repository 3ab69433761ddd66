"""``python -m bench.peers``: other libraries at the same work, in the same process and rounds.

Each is set up as its documentation says.  This needs an environment of its own,
which ``make bench-peers`` makes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

from redis.asyncio import Redis

from bench.browser import Browser, settings_for
from bench.meter import Call, interleaved, median, ratios
from bench.pages import bare_site
from bench.peers import allauth_site, authlib_site, key_value_store, sql_store
from bench.people import populate
from bench.report import Report
from tests.kit.library import BASE_URL, fake_provider, manager_for
from tests.kit.site_fixtures import running
from webui.app import create_app
from webui.logs import configure_logs
from webui.redis_client import connect
from webui.sandbox.embedded_redis import embedded_redis
from webui.server import loop_factory

ROUNDS = 5
CALLERS = 16
READS = 20  # of each caller, a round
PAGES = 25  # a round, at most: one person may begin thirty authorizations a minute
OURS = "this product"
TOKEN = "a" * 220


async def measure(redis_url: str, folder: Path) -> None:
    report = Report()
    fake = fake_provider()
    manager = manager_for(fake)
    async with AsyncExitStack() as stack:
        plain = await stack.enter_async_context(Redis.from_url(redis_url))
        redis = await stack.enter_async_context(connect(redis_url))
        threads = stack.enter_context(ThreadPoolExecutor(CALLERS))
        people = await populate(manager, fake, plain, 60, providers=list(manager.providers))
        app = create_app(settings_for(redis_url, fake))
        await stack.enter_async_context(running(app))
        bare_app, bare_redis = bare_site(redis_url, fake, manager)
        stack.push_async_callback(bare_redis.aclose)
        stack.push_async_callback(manager.aclose)

        in_thread = partial(_in_thread, threads)
        await in_thread(partial(allauth_site.set_up, folder, TOKEN))()
        asked = cycle(people[:CALLERS])  # no two of one moment share a read
        reads: dict[str, Call] = {
            OURS: lambda: manager.get_token(next(asked), "google", redis),
            "py-key-value, Fernet wrapper, Redis": await key_value_store.reader(redis_url, TOKEN),
            "SQLAlchemy and Fernet, SQLite": await sql_store.reader(folder, TOKEN),
            "django-allauth, SQLite, not encrypted": in_thread(allauth_site.read_token),
        }
        await _reads(reads, report)

        browsers = []
        for person in people:
            browsers.append(Browser(app, BASE_URL))
            await browsers[-1].sign_in(manager, plain, person)
        bare = Browser(bare_app, BASE_URL, browsers[0].cookies)
        pages: dict[str, Call] = {
            OURS: lambda: browsers[0].get("/connections"),
            "a bare Starlette page of the same reads": lambda: bare.get("/read"),
            "django-allauth, connections": in_thread(allauth_site.page),
        }
        await _rows("A page with four connections", pages, report)
        turn = iter(browsers * 1000)
        starts: dict[str, Call] = {
            OURS: lambda: next(turn).leave_for("github"),
            "Authlib, Starlette client": authlib_site.start,
            "django-allauth, connect": in_thread(allauth_site.start),
        }
        await _rows("Starting a connection", starts, report)


def _in_thread(threads: ThreadPoolExecutor, work: Callable[[], object]) -> Call:
    """Django is synchronous: it runs in as many threads as there are callers."""
    return lambda: asyncio.get_running_loop().run_in_executor(threads, work)


async def _reads(rows: Mapping[str, Call], report: Report) -> None:
    for name, call in rows.items():
        if not isinstance(await call(), str):
            raise RuntimeError(f"{name} has no token")

    async def by_all(call: Call) -> None:
        async def one() -> None:
            for _ in range(READS):
                await call()

        await asyncio.gather(*(one() for _ in range(CALLERS)))

    figures = await interleaved(
        {name: partial(by_all, call) for name, call in rows.items()}, rounds=ROUNDS, calls=1
    )
    report.title(f"A stored token, {CALLERS} callers, {ROUNDS} rounds")
    for name, figure in figures.items():
        speed = CALLERS * READS / median(figure) * 1e6
        report.say(name, f"{speed:7.0f} a second{_beside(figure, figures[OURS])}")


async def _rows(title: str, rows: Mapping[str, Call], report: Report) -> None:
    figures = await interleaved(rows, rounds=ROUNDS, calls=PAGES)
    report.title(f"{title}, {ROUNDS} rounds of {PAGES}")
    for name, figure in figures.items():
        report.say(name, f"{median(figure) / 1000:7.2f} ms{_beside(figure, figures[OURS])}")


def _beside(figure: list[float], ours: list[float]) -> str:
    if figure is ours:
        return ""
    least, middle, most = ratios(figure, ours)
    return f"   takes {middle:5.2f} times as long ({least:.2f} to {most:.2f})"


def main() -> None:
    configure_logs("error", as_json=False)
    with (
        embedded_redis() as redis_url,
        TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=loop_factory()) as runner,
    ):
        runner.run(measure(redis_url, Path(folder)))


if __name__ == "__main__":
    main()
