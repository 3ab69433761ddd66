"""Paths over Redis: what each one costs, as it is expected and as it is counted."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from redis.asyncio import Redis

from bench.browser import Browser, site
from bench.meter import Meter
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import BASE_URL, age, connected
from tests.kit.site_fixtures import running
from webui.oauth_manager import OAuthManager
from webui.redis_client import connect

Cost = tuple[int, str]  # round trips; commands, those inside of scripts too

EXPECTED: dict[str, Cost] = {
    "get_token, valid": (1, "1 get"),
    "get_token, refreshed": (4, "1 del, 4 eval, 9 get, 4 set, 1 time, 2 type"),
    "has_token": (1, "1 get"),
    "list_user_connections, 4 connected": (1, "1 exists, 1 mget"),
    "generate_connect_url": (
        1,
        "1 eval, 1 expire, 1 get, 1 hget, 1 hgetall, 1 hset, 2 set, 1 time",
    ),
    "create_link_code": (
        1,
        (
            "2 del, 4 eval, 3 expire, 1 get, 1 hget, 1 hgetall, 1 hset, 1 rpush, 1 set, 3 time"
            ", 1 ttl, 1 zadd, 1 zrem, 1 zremrangebyrank"
        ),
    ),
    "delete_token": (
        4,
        (
            "2 del, 6 eval, 1 exists, 2 expire, 2 get, 2 getdel, 1 lrem, 1 mget, 2 rpush, 1 set"
            ", 2 time, 2 type, 1 xadd, 1 zrem"
        ),
    ),
    "page /connections, session included": (2, "1 exists, 1 expire, 1 hgetall, 1 mget"),
    "button Connect": (
        3,
        "2 eval, 2 expire, 4 get, 1 hexists, 1 hgetall, 1 hset, 1 incr, 1 set",
    ),
    "callback, session included": (
        5,
        (
            "2 del, 9 eval, 2 expire, 8 get, 1 getdel, 2 hexists, 1 hgetall, 2 hset, 1 rpush"
            ", 2 set, 4 time, 2 type, 1 xadd, 1 zrem"
        ),
    ),
}
"""The price list: a test holds it, so that no path becomes dearer without anybody saying so."""


async def costs(meter: Meter, fake: FakeProvider, manager: OAuthManager) -> dict[str, Cost]:
    """Walk every path once, and count."""
    app = site(meter.url, fake)
    async with running(app), connect(meter.url) as redis:
        return await _walk(Browser(app, BASE_URL), redis, meter, fake, manager)


async def _walk(
    browser: Browser, redis: Redis, meter: Meter, fake: FakeProvider, manager: OAuthManager
) -> dict[str, Cost]:
    counted: dict[str, Cost] = {}

    async def count(path: str, work: Awaitable[Any]) -> Any:
        turns, commands, result = await meter.count(work)
        counted[path] = turns, commands
        return result

    await browser.sign_in(manager, redis, "alice")
    for provider in manager.providers:
        await connected(manager, fake, redis, "alice", provider)
    await count("has_token", manager.has_token("alice", "google", redis))
    listing = manager.list_user_connections("alice", redis)
    await count("list_user_connections, 4 connected", listing)
    await count("generate_connect_url", manager.generate_connect_url("alice", "google", redis))
    linking = manager.create_link_code(redis, "alice", provider="google")
    await count("create_link_code", linking)
    await count("delete_token", manager.delete_token(redis, "alice", "google"))
    await count("page /connections, session included", browser.get("/connections"))
    url = fake.authorize(await count("button Connect", browser.leave_for("google")))
    await count("callback, session included", browser.get(url))
    # A use is written seconds later, and would be counted with what comes then.
    await count("get_token, valid", manager.get_token("alice", "google", redis))
    await age(manager, redis, "alice", "google")
    token = await count("get_token, refreshed", manager.get_token("alice", "google", redis))
    if token is None:
        raise RuntimeError("the callback did not connect")
    return counted
