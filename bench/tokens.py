"""The cost of tokens: get_token against its floor, and the Redis traffic of every path.

The floor is what no implementation can do without: fetch the record, decrypt
it, read the JSON.  Redis is the embedded one, the provider a fake in this process.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

import click
from cryptography.fernet import Fernet
from redis.asyncio import Redis

from bench.browser import Browser, site
from bench.meter import Meter, against, interleaved, metered
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    BASE_URL,
    KEY,
    age,
    connected,
    fake_provider,
    manager_for,
    tokens_key,
)
from webui.logs import configure_logs
from webui.oauth_manager import OAuthManager
from webui.redis_client import connect
from webui.sandbox.embedded_redis import embedded_redis

ROUNDS = 30
CALLS = 300
FLOOR = "floor: GET, Fernet decrypt, json.loads"


async def compare(redis: Redis, manager: OAuthManager) -> None:
    fernet = Fernet(KEY)
    key = tokens_key("alice", "google")

    async def floor() -> Any:
        return json.loads(fernet.decrypt(await redis.get(key) or b""))["access_token"]

    async def bare_get() -> Any:
        return await redis.get(key)

    async def get_token() -> Any:
        return await manager.get_token("alice", "google", redis)

    if await floor() != await get_token():
        raise RuntimeError("the two do not read the same token")
    candidates = {FLOOR: floor, "of that, the bare GET": bare_get, "get_token, valid": get_token}
    figures = await interleaved(candidates, rounds=ROUNDS, calls=CALLS)
    click.echo(f"One token, {ROUNDS} rounds of {CALLS} calls each, medians")
    for line in against(FLOOR, figures):
        click.echo(f"  {line}")


async def count_paths(meter: Meter, fake: FakeProvider, manager: OAuthManager) -> None:
    redis = connect(meter.url)
    browser = Browser(site(meter.url, fake), BASE_URL)
    await browser.sign_in(manager, redis, "alice")
    for provider in manager.providers:
        await connected(manager, fake, redis, "alice", provider)

    async def show(what: str, work: Awaitable[Any]) -> Any:
        turns, commands, result = await meter.count(work)
        click.echo(f"  {what:<38} {turns}  {commands}")
        return result

    click.echo("Redis round trips, then the commands executed, those inside of scripts too")
    await show("get_token, valid", manager.get_token("alice", "google", redis))
    await age(manager, redis, "alice", "google")
    await show("get_token, refreshed", manager.get_token("alice", "google", redis))
    await show("has_token", manager.has_token("alice", "google", redis))
    await show("list_user_connections, 4 connected", manager.list_user_connections("alice", redis))
    await show("generate_connect_url", manager.generate_connect_url("alice", "google", redis))
    await show("create_link_code", manager.create_link_code(redis, "alice", provider="google"))
    await show("delete_token", manager.delete_token(redis, "alice", "google"))
    await show("page /connections, session included", browser.get("/connections"))
    url = fake.authorize(await show("button Connect", browser.leave_for("google")))
    await show("callback, session included", browser.get(url))
    if not await manager.has_token("alice", "google", redis):
        raise RuntimeError("the callback did not connect")
    await redis.aclose()


async def measure(redis_url: str) -> None:
    fake = fake_provider()
    manager = manager_for(fake)
    async with Redis.from_url(redis_url) as direct:
        await connected(manager, fake, direct, "alice", "google")
    redis = connect(redis_url)
    await compare(redis, manager)
    await redis.aclose()
    async with metered(redis_url) as meter:
        await count_paths(meter, fake, manager)
    await manager.aclose()


def main() -> None:
    configure_logs("error", as_json=False)
    with embedded_redis() as redis_url:
        asyncio.run(measure(redis_url))


if __name__ == "__main__":
    main()
