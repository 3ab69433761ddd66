"""``python -m bench.peers``: other libraries at the same work, in the same process and rounds.

Each is set up as its documentation says.  This needs an environment of its own,
which ``make bench-peers`` makes.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bench.browser import Browser, settings_for, signed_in
from bench.meter import Call
from bench.pages import bare_site
from bench.peers import (
    allauth_site,
    authlib_site,
    django_page,
    key_value_store,
    msal_cache,
    served,
    slack_store,
    social_auth,
    sql_store,
)
from bench.peers.postgres import postgres
from bench.peers.rows import CALLERS, OURS, PAGES, ROUNDS, compare, read_all, say
from bench.people import populate, records_of
from bench.provider import allowed, provider
from bench.report import Report
from tests.kit.library import BASE_URL, fake_provider, manager_for, providers_config
from tests.kit.site_fixtures import running
from webui.app import create_app
from webui.logs import configure_logs
from webui.oauth_manager import OAuthManager
from webui.oauth_manager.values import replace
from webui.redis_client import connect
from webui.sandbox.embedded_redis import embedded_redis
from webui.serving.server import loop_factory

STARTS = (ROUNDS + 1) * PAGES  # the first round warms
PEOPLE = 60
TOKEN = "a" * 220
InThread = Callable[[Callable[[], object]], Call]


@dataclass
class Peers:
    """Everything that the rows need, set up."""

    redis_url: str
    folder: Path
    redis: Redis
    manager: OAuthManager
    people: list[str]
    browsers: list[Browser]
    alice: allauth_site.Person
    in_thread: InThread
    report: Report

    async def reads(self, sqlite: AsyncEngine, on_postgres: AsyncEngine) -> None:
        asked = cycle(self.people[:CALLERS])  # no two of one moment share a read
        in_thread, url = self.in_thread, self.redis_url
        social = await _result(in_thread, lambda: social_auth.reader(self.alice.user, TOKEN))
        by_sqlalchemy = await slack_store.sqlalchemy_reader(sqlite, TOKEN)
        by_sqlite3 = slack_store.sqlite3_reader(self.folder, TOKEN)
        rows: dict[str, Call] = {
            OURS: lambda: self.manager.get_token(next(asked), "google", self.redis),
            "py-key-value, Fernet wrapper, Redis": await key_value_store.reader(url, TOKEN),
            "SQLAlchemy and Fernet, SQLite": await sql_store.reader(sqlite, TOKEN),
            "SQLAlchemy and Fernet, PostgreSQL": await sql_store.reader(on_postgres, TOKEN),
            "slack_sdk with rotator, SQLAlchemy on SQLite": by_sqlalchemy,
            "slack_sdk with rotator, its store on sqlite3": in_thread(by_sqlite3),
            "MSAL, its cache in Redis": in_thread(msal_cache.reader(url, TOKEN)),
            "django-allauth, SQLite": in_thread(self.alice.read_token),
            "python-social-auth, SQLite": in_thread(social),
        }
        await read_all(rows, self.report)

    async def pages(self, bare_app: Any) -> None:
        bare = Browser(bare_app, BASE_URL, self.browsers[0].cookies)
        everything = list(self.manager.providers)
        records = await records_of(self.manager, self.redis, self.people[0], everything)
        by_hand = await _result(
            self.in_thread,
            lambda: django_page.page(
                self.redis_url, self.alice.user, records, allauth_site.urlpatterns
            ),
        )
        rows: dict[str, Call] = {
            OURS: lambda: self.browsers[0].get("/connections"),
            "a bare Starlette page of the same reads": lambda: bare.get("/read"),
            "hand-written Django, the same records": self.in_thread(by_hand),
            "django-allauth, connections": self.in_thread(self.alice.page),
        }
        await compare("A page with four connections", rows, self.report)

    async def ways(self, base_url: str) -> None:
        """Measure both halves of a connection: what has been begun comes back afterwards."""
        turn = cycle(self.browsers)
        left: deque[tuple[Browser, str]] = deque()
        documented = authlib_site.AuthlibSite(base_url)
        shared = authlib_site.AuthlibSite(base_url, ssl.create_default_context())
        left_authlib: deque[tuple[Browser, str]] = deque()
        sessions = [await _result(self.in_thread, self.alice.sign_in) for _ in range(STARTS)]
        signed_in: Iterator[Any] = iter(sessions)
        left_allauth: deque[tuple[Any, str]] = deque()

        async def start() -> None:
            browser = next(turn)
            left.append((browser, await browser.leave_for("github")))

        async def come_back() -> None:
            browser, url = left.popleft()
            status, _ = await browser.get(allowed(url))
            if status != 303:
                raise RuntimeError(f"this product did not connect: {status}")

        async def start_authlib() -> None:
            left_authlib.append(await documented.start())

        def start_allauth() -> None:
            browser = next(signed_in)
            left_allauth.append((browser, self.alice.start(browser)))

        starts: dict[str, Call] = {
            OURS: start,
            "Authlib, as documented, connect": start_authlib,
            "django-allauth, connect": self.in_thread(start_allauth),
        }
        await compare("Starting a connection", starts, self.report)
        callbacks: dict[str, Call] = {
            OURS: come_back,
            "Authlib, shared TLS context, callback": lambda: shared.come_back(
                *left_authlib.popleft()
            ),
            "django-allauth, callback": self.in_thread(
                lambda: self.alice.come_back(*left_allauth.popleft())
            ),
        }
        title = "The callback, CPU of this process"
        await compare(title, callbacks, self.report, clock=time.process_time)

    async def processes(self) -> None:
        browser = await _result(self.in_thread, self.alice.sign_in)
        session = browser.cookies
        ours, theirs = await served.measure(self.redis_url, self.folder, session, ROUNDS)
        self.report.title(f"Start-up until a site listens, {ROUNDS} rounds")
        starts = {OURS: ours.starts, "django-allauth, under uvicorn": theirs.starts}
        say(starts, self.report, 1000, "ms")
        self.report.title(f"Memory after {served.PAGES} pages, proportional set size")
        weights = {OURS: ours.weights, "django-allauth, warm, under uvicorn": theirs.weights}
        say(weights, self.report, 1, "MB")


async def measure(redis_url: str, folder: Path, postgres_url: str) -> None:
    fake = fake_provider()
    manager = manager_for(fake)
    async with AsyncExitStack() as stack:
        plain = await stack.enter_async_context(Redis.from_url(redis_url))
        redis = await stack.enter_async_context(connect(redis_url))
        threads = stack.enter_context(ThreadPoolExecutor(CALLERS))
        base_url = stack.enter_context(provider())
        engines = [
            create_async_engine(f"sqlite+aiosqlite:///{folder / 'tokens.sqlite'}"),
            create_async_engine(postgres_url, pool_size=CALLERS),
        ]
        for engine in engines:
            stack.push_async_callback(engine.dispose)
        people = await populate(manager, fake, plain, PEOPLE, providers=list(manager.providers))
        config = providers_config(fake, base_url)
        app = create_app(replace(settings_for(redis_url, fake), providers_config=config))
        await stack.enter_async_context(running(app))
        bare_app, bare_redis = bare_site(redis_url, fake, manager)
        stack.push_async_callback(bare_redis.aclose)
        stack.push_async_callback(manager.aclose)
        browsers = await signed_in(app, manager, plain, people)

        in_thread = partial(_in_thread, threads)
        allauth_site.configure(
            folder,
            apps=social_auth.APPS,
            backends=social_auth.BACKENDS,
            **social_auth.SETTINGS,
            **django_page.settings(redis_url),
        )
        alice = await _result(in_thread, lambda: allauth_site.Person(TOKEN, base_url))
        peers = Peers(
            redis_url, folder, redis, manager, people, browsers, alice, in_thread, Report()
        )
        await peers.reads(*engines)
        await peers.pages(bare_app)
        await peers.ways(base_url)
        await peers.processes()


def _in_thread(threads: ThreadPoolExecutor, work: Callable[[], object]) -> Call:
    """Django is synchronous: it runs in as many threads as there are callers."""
    return lambda: asyncio.get_running_loop().run_in_executor(threads, work)


async def _result(in_thread: InThread, work: Callable[[], Any]) -> Any:
    return await in_thread(work)()


def main() -> None:
    configure_logs("error", as_json=False)
    began = time.monotonic()
    with (
        TemporaryDirectory() as folder,
        embedded_redis() as redis_url,
        postgres(Path(folder) / "postgres") as postgres_url,
        asyncio.Runner(loop_factory=loop_factory()) as runner,
    ):
        runner.run(measure(redis_url, Path(folder), postgres_url))
    click.echo(f"{time.monotonic() - began:.0f} seconds in all")


if __name__ == "__main__":
    main()
