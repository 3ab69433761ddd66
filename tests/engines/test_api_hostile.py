"""The HTTP API under many hostile requests: nothing breaks, and nothing secret is written down."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit import api_hostility
from tests.kit.fake_provider import serve
from tests.kit.library import KEY, fake_provider, granted, manager_for, providers_config
from tests.kit.site_fixtures import free_port, serving, site_environment
from webui.api.service_keys import RIGHTS, ServiceKeys
from webui.oauth_manager.storage import Clock, Sealer

pytestmark = pytest.mark.anyio

REQUESTS = int(os.environ.get("HOSTILE_REQUESTS", "20000"))
AT_ONCE = 16


async def test_hostile_requests_break_nothing_and_leave_no_secret_in_the_log(
    redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    fake = fake_provider()
    manager = manager_for(fake)
    secrets = {KEY}
    for number in range(50):
        token = granted(fake, "google", expires_at=0.0)
        secrets |= {token.access_token, token.refresh_token}
        await manager.store_token(redis, f"p{number}", token)
    await manager.aclose()
    store = ServiceKeys(Sealer(KEY), Clock())
    rates = {"tokens_a_minute": 10**8, "others_a_minute": 10**8}
    key, _ = await store.create(redis, "hostile", may=RIGHTS, **rates)
    secrets |= {key, key.rpartition("_")[2], fake.client_secret}
    seen: Counter[int] = Counter()
    chance = random.Random(7)  # noqa: S311
    with serve(fake) as provider:
        environment = site_environment(
            f"http://127.0.0.1:{free_port()}", redis_url, providers_config(fake, provider)
        )
        environment["LOG_LEVEL"] = "debug"
        with serving(environment, tmp_path) as process:
            async with httpx.AsyncClient(timeout=30) as client:

                async def send_many() -> None:
                    for _ in range(REQUESTS // AT_ONCE):
                        asked = api_hostility.request(chance, key, process.base_url)
                        seen[(await client.send(asked)).status_code] += 1

                await asyncio.gather(*(send_many() for _ in range(AT_ONCE)))
            written = process.log.read_text()
    assert seen.total() == REQUESTS
    assert not {status for status in seen if status >= 500}, seen
    assert {200, 400, 401, 404, 405, 409} <= set(seen), seen
    assert [secret for secret in secrets | fake.issued if secret in written] == []
