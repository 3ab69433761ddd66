"""Calls for one of several accounts, while accounts are renewed, renamed, ended and connected."""

from __future__ import annotations

import random

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.account_provider import AccountProvider
from tests.kit.account_traffic import Traffic
from tests.kit.library import BASE_URL, KEY, providers_config
from webui.oauth_manager import OAuthManager
from webui.oauth_manager.protocol.transport import Transport

pytestmark = pytest.mark.anyio


async def test_no_call_gets_the_other_account_s_token_and_none_is_guessed(redis: Redis) -> None:
    fake = AccountProvider(expires_in=2)  # renewed after a second

    async def allow(url: str) -> str:
        return fake.authorize(url)

    traffic: list[Traffic] = []
    for seed in range(2):
        transport = Transport(httpx.ASGITransport(fake))
        manager = OAuthManager(KEY, BASE_URL, providers_config(fake), transport=transport)
        traffic.append(Traffic(manager, redis, allow, random.Random(seed)))  # noqa: S311
    await traffic[0].begin()
    for _ in range(150):
        for one in traffic:
            await one.call()
    counts = traffic[0].counts + traffic[1].counts
    assert (counts["wrong"], counts["guessed"]) == (0, 0)
    assert min(counts[kind] for kind in ("right", "unclear", "renamed", "connected")) > 0
    for one in traffic:
        await one.manager.aclose()
