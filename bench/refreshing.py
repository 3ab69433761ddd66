"""A refresh that nobody contends for, against one bare POST to the same endpoint."""

from __future__ import annotations

from typing import Any

import httpx
from redis.asyncio import Redis

from bench.meter import interleaved, median
from bench.people import populate
from bench.provider import provider
from bench.report import Report, Size
from tests.kit.library import BASE_URL, KEY, OVER, fake_provider, manager_for, providers_config
from webui.oauth_manager import OAuthManager
from webui.redis_client import connect

CALLS = 60  # a round
FLOOR = "httpx, one POST on a kept connection"


async def measure(redis_url: str, size: Size, report: Report) -> None:
    fake = fake_provider()
    calls = size.of(CALLS)
    with provider() as base_url:
        stocker = manager_for(fake, base_url=base_url)
        async with Redis.from_url(redis_url) as plain:
            count = (size.rounds + 1) * calls
            people = iter(await populate(stocker, fake, plain, count, expires_at=OVER))
        await stocker.aclose()
        config = providers_config(fake, base_url, ["google"])
        manager = OAuthManager(KEY, BASE_URL, config)
        form = {"grant_type": "refresh_token", "refresh_token": "r" * 60}
        async with connect(redis_url) as redis, httpx.AsyncClient() as client:

            async def bare() -> Any:
                answer = await client.post(f"{base_url}/google/token", data=form)
                return answer.json()["access_token"]

            async def refresh() -> None:
                if await manager.get_token(next(people), "google", redis) is None:
                    raise RuntimeError("nothing was refreshed")

            rows = {FLOOR: bare, "get_token, refreshed": refresh}
            figures = await interleaved(rows, rounds=size.rounds, calls=calls)
        await manager.aclose()
    report.title(f"Refresh, uncontended: {size.rounds} rounds of {calls}, the provider on a socket")
    for name, figure in figures.items():
        report.say(name, f"{median(figure):7.0f} us")
    report.judge("refresh, uncontended", figures["get_token, refreshed"], figures[FLOOR])
