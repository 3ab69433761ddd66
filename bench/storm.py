"""A token that is over, and 64 callers of one moment in one or more processes.

``python -m bench.storm NUMBER REDIS_URL PROVIDER_URL`` is one of these processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import Any

import httpx
from redis.asyncio import Redis

from bench.meter import median
from bench.people import populate
from bench.processes import child
from bench.provider import provider
from bench.report import Report, Size
from tests.kit.library import BASE_URL, KEY, OVER, fake_provider, manager_for, providers_config
from webui.oauth_manager import OAuthError, OAuthManager
from webui.redis_client import connect
from webui.serving.server import loop_factory

CALLERS = 64
PROCESSES = (1, 2, 4, 8)
DELAY = 50  # milliseconds that the endpoint takes


def _slowed(manager: OAuthManager) -> OAuthManager:
    """Make the endpoint slow for all: tokens go back to the very address that issued them."""
    manager.providers["google"].token_url += f"?milliseconds={DELAY}"
    return manager


async def work(number: str, redis_url: str, base_url: str) -> None:
    """Answer orders: so many callers for this person, and when the last had a token."""
    config = providers_config(fake_provider(), base_url, ["google"])
    manager = _slowed(OAuthManager(KEY, BASE_URL, config))
    async with connect(redis_url) as redis:
        while True:
            order = await redis.blpop([f"bench:order:{number}"], timeout=2)
            if order is None:
                continue
            person, callers = json.loads(order[1])
            calls = (manager.get_token(person, "google", redis) for _ in range(callers))
            tokens = await asyncio.gather(*calls, return_exceptions=True)
            ended = time.monotonic()
            failed = sum(not isinstance(token, str) for token in tokens)
            others = [t for t in tokens if isinstance(t, BaseException)]
            if any(not isinstance(other, OAuthError) for other in others):
                raise RuntimeError("a caller met what nobody raises")
            await redis.rpush("bench:done", json.dumps([ended, failed]))


async def measure(redis_url: str, size: Size, report: Report) -> None:
    fake = fake_provider()
    numbers = PROCESSES if size.divisor == 1 else PROCESSES[:1]
    async with Redis.from_url(redis_url) as redis:
        count = (size.rounds + 1) * len(numbers) + max(numbers)
        with provider() as base_url, contextlib.ExitStack() as stack:
            stocker = _slowed(manager_for(fake, base_url=base_url))
            people = await populate(stocker, fake, redis, count, expires_at=OVER)
            await stocker.aclose()
            for number in range(max(numbers)):
                command = ("-m", "bench.storm", str(number), redis_url, base_url)
                stack.enter_context(child(*command))
            async with httpx.AsyncClient() as client:
                await _Storms(redis, client, base_url, iter(people)).run(numbers, size, report)


class _Storms:
    def __init__(self, redis: Redis, client: httpx.AsyncClient, base_url: str, people: Any) -> None:
        self._redis = redis
        self._client = client
        self._base_url = base_url
        self._people = people
        self.wrong = 0  # failed callers, and refreshes beyond the first

    async def run(self, numbers: tuple[int, ...], size: Size, report: Report) -> None:
        for number in range(max(numbers)):  # each makes its first call, and its connections
            await self._order({number: 1}, next(self._people))
        self.wrong = 0
        floors: list[float] = []
        taken: dict[int, list[float]] = {number: [] for number in numbers}
        for _ in range(size.rounds):
            floors.append(await self._bare())
            for number in numbers:
                share = dict.fromkeys(range(number), CALLERS // number)
                taken[number].append(await self._order(share, next(self._people)))
        report.title(f"Storm: {CALLERS} callers, an endpoint that takes {DELAY} ms")
        report.say("one bare POST", f"{median(floors):7.1f} ms")
        for number, figures in taken.items():
            name = f"storm, {CALLERS} callers, {number} process{'es' if number > 1 else ''}"
            report.say(name, f"{median(figures):7.1f} ms")
            report.judge(name, figures, floors)
        report.judge("storm: failed, or asked twice", [float(self.wrong)])

    async def _bare(self) -> float:
        """Return the milliseconds of one POST."""
        await self._count()  # the connection is kept
        began = time.monotonic()
        url = f"{self._base_url}/google/token?milliseconds={DELAY}"
        (await self._client.post(url, data={"grant_type": "refresh_token"})).json()
        return (time.monotonic() - began) * 1000

    async def _order(self, share: dict[int, int], person: str) -> float:
        """Return the milliseconds until the last of all callers has a token."""
        before = await self._count()
        pipe = self._redis.pipeline(transaction=False)
        for number, callers in share.items():
            pipe.rpush(f"bench:order:{number}", json.dumps([person, callers]))
        began = time.monotonic()
        await pipe.execute()
        ended = began
        async with asyncio.timeout(60):
            for _ in share:
                while (done := await self._redis.blpop(["bench:done"], timeout=2)) is None:
                    pass
                at, failed = json.loads(done[1])
                ended = max(ended, at)
                self.wrong += failed
        self.wrong += abs(await self._count() - before - 1)
        return (ended - began) * 1000

    async def _count(self) -> int:
        return int((await self._client.get(f"{self._base_url}/count")).text)


def main() -> None:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(work(*sys.argv[1:]))


if __name__ == "__main__":
    main()
