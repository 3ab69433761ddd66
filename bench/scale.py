"""The cost with 100,000 people stored, against the cost with 1,000: of the same calls.

Each number of people has a Redis of its own.  Asked are equally many of them, spread over all,
so what is compared is the store, and not how many connections this process remembers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import cycle

from redis.asyncio import Redis

from bench.browser import signed_in, site
from bench.meter import Call, interleaved, median
from bench.people import populate
from bench.report import Report, Size
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import fake_provider, manager_for
from tests.kit.site_fixtures import running
from webui.oauth_manager import OAuthManager
from webui.redis_client import connect
from webui.sandbox.embedded_redis import embedded_redis

FEW = 1_000
MANY = 100_000
WITH_FOUR = 50  # of them have four connections, the others one
# Calls of a round.  get_token is the last: uses of a token are written seconds later.
CALLS = {"list_user_connections": 640, "page": 50, "get_token": 640}


@dataclass(frozen=True)
class Stored:
    """So many people in a Redis, and the calls that are compared."""

    count: int
    calls: dict[str, Call]


async def measure(redis_url: str, size: Size, report: Report) -> None:
    fake = fake_provider()
    manager = manager_for(fake)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(manager.aclose)
        few = await stack.enter_async_context(_stored(redis_url, fake, manager, size.of(FEW)))
        with embedded_redis() as other_url:
            many = await stack.enter_async_context(_stored(other_url, fake, manager, size.of(MANY)))
            report.title(f"The same calls with {few.count:,} people stored, and {many.count:,}")
            for name, calls in CALLS.items():
                rows = {"few": few.calls[name], "many": many.calls[name]}
                figures = await interleaved(rows, rounds=size.rounds, calls=size.of(calls))
                both = [median(figure) for figure in figures.values()]
                report.say(name, "{:7.0f} us {:7.0f} us".format(*both))
                report.judge(f"{name}, 100,000 people", figures["many"], figures["few"])


@asynccontextmanager
async def _stored(
    redis_url: str, fake: FakeProvider, manager: OAuthManager, count: int
) -> AsyncIterator[Stored]:
    app = site(redis_url, fake)
    async with Redis.from_url(redis_url) as plain, connect(redis_url) as redis, running(app):
        people = await populate(manager, fake, plain, count)
        others = [name for name in manager.providers if name != "google"]
        some = await populate(manager, fake, plain, min(WITH_FOUR, count), providers=others)
        browsers = await signed_in(app, manager, plain, some)
        asked = cycle(people[:: max(count // FEW, 1)])
        listed = cycle(some)
        visitors = cycle(browsers)
        calls: dict[str, Call] = {
            "get_token": lambda: manager.get_token(next(asked), "google", redis),
            "list_user_connections": lambda: manager.list_user_connections(next(listed), redis),
            "page": lambda: next(visitors).get("/connections"),
        }
        yield Stored(count, calls)
