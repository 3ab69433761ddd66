"""One account of a service: what is written and read is what it was before there were several."""

from __future__ import annotations

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.library import BASE_URL, fake_provider, providers_config
from tests.kit.one_account import as_before, dumped_life, records_before
from webui.oauth_manager import OAuthManager, Status
from webui.oauth_manager.protocol.transport import Transport

pytestmark = pytest.mark.anyio


async def test_a_life_with_one_account_leaves_the_very_bytes_that_it_left_before_accounts(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, before = await dumped_life(redis, monkeypatch), as_before()
    assert found.keys() == before.keys()
    for key, values in found.items():
        assert [list(value) for value in values] == before[key], key


async def test_records_of_that_time_are_read_and_left_as_they_are(redis: Redis) -> None:
    records, fake = records_before(), fake_provider()
    for key, value in records.items():  # on a Cluster each has a node of its own
        await redis.set(key, value)
    transport = Transport(httpx.ASGITransport(fake))
    manager = OAuthManager("", BASE_URL, providers_config(fake), transport=transport)
    rows = await manager.list_user_connections("ann", redis)
    assert [(row["provider"], row["account"], row["label"]) for row in rows] == [
        ("github", None, "mona"),
        ("google", None, "mona@example.org"),
    ]
    shown = {row.provider: row.status for row in await manager.connections(redis, "ann")}
    assert shown["google"] is shown["github"] is Status.CONNECTED
    assert shown["microsoft"] is Status.RECONNECT_NEEDED
    assert shown["discord"] is Status.NOT_CONNECTED
    for provider in ("github", "google"):
        assert await manager.get_token("ann", provider, redis) == "access-*"
    held = {key: await redis.get(key) for key in records}
    assert {k: v.decode() if isinstance(v, bytes) else v for k, v in held.items()} == records
