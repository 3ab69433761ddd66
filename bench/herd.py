"""Crowds: 20,000 calls of one moment, and the first uses of 10,000 people beside a bystander."""

from __future__ import annotations

import asyncio
import time

from redis.asyncio import Redis

from bench.people import populate
from bench.report import Report, Size
from tests.kit.library import BASE_URL, KEY, fake_provider, manager_for, providers_config
from webui.oauth_manager import OAuthManager
from webui.redis_client import connect

PEOPLE = 10_000
SECONDS = 5.0  # between a use and the time it is written
PAUSE = 0.005  # seconds between two calls of the bystander


async def measure(redis_url: str, size: Size, report: Report) -> None:
    fake = fake_provider()
    stocker = manager_for(fake)
    async with Redis.from_url(redis_url) as plain:
        people = await populate(stocker, fake, plain, size.of(PEOPLE))
    await stocker.aclose()
    manager = OAuthManager(KEY, BASE_URL, providers_config(fake))
    manager._uses._delay = SECONDS / size.divisor
    async with connect(redis_url) as redis:
        await _crowd(manager, redis, people, report)
    await manager.aclose()


async def _crowd(manager: OAuthManager, redis: Redis, people: list[str], report: Report) -> None:
    bystander = people.pop()
    began = time.monotonic()
    calls = (manager.get_token(person, "google", redis) for person in [*people, *people])
    tokens = await asyncio.gather(*calls, return_exceptions=True)
    report.title(f"A crowd: {len(tokens):,} get_token of one moment, of {len(people):,} people")
    report.say("all of them", f"{time.monotonic() - began:7.2f} s")
    failed = sum(not isinstance(token, str) for token in tokens)
    report.judge("get_token, 20,000 at once: failed", [float(failed)])

    await asyncio.sleep(manager._uses._delay / 2)
    waits: list[float] = []
    idle = 0
    while idle < 50 or time.monotonic() - began < manager._uses._delay * 2:
        asked = time.monotonic()
        await manager.get_token(bystander, "google", redis)
        waits.append((time.monotonic() - asked) * 1000)
        await asyncio.sleep(PAUSE)
        idle = 0 if manager._uses._queues else idle + 1
    unwritten = 0
    for person in people:
        found = await manager.connection(redis, person, "google")
        unwritten += not found.profile.used_at
    slowest = sorted(waits)[round(len(waits) * 0.99) - 1]
    report.say("a bystander, the slowest of all", f"{max(waits):7.1f} ms")
    report.judge("a bystander beside 10,000 first uses: slowest of 99 %", [slowest], [20.0])
    report.judge("first uses, 10,000: not written", [float(unwritten)])
