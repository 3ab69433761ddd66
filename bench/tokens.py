"""The cost of tokens: get_token against its floor, Redis traffic of every path, bytes of a person.

The floor is what no implementation can do without: fetch the record, decrypt
it, read the JSON.  Redis is the embedded one, the provider a fake in this process.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import click
from cryptography.fernet import Fernet
from redis.asyncio import Redis

from bench import memory, paths
from bench.meter import Meter, against, interleaved, metered
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    KEY,
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


async def show_costs(meter: Meter, fake: FakeProvider, manager: OAuthManager) -> None:
    costs = await paths.costs(meter, fake, manager)
    click.echo("Redis round trips, then the commands executed, those inside of scripts too")
    for path, expected in paths.EXPECTED.items():
        turns, commands = costs[path]
        note = "" if costs[path] == expected else f"   (expected: {expected[0]}  {expected[1]})"
        click.echo(f"  {path:<38} {turns}  {commands}{note}")


async def show_memory(redis: Redis, fake: FakeProvider, manager: OAuthManager) -> None:
    held = await memory.held(redis, fake, manager)
    floor = held[memory.FLOOR]
    click.echo("Redis bytes of a person, with four connections and one account each")
    for what, size in held.items():
        click.echo(f"  {what:<54} {size:8d}")
    in_all = sum(held.values())
    click.echo(f"  {'in all':<54} {in_all:8d}   {in_all / floor:5.2f} times the floor")


async def measure(redis_url: str) -> None:
    fake = fake_provider()
    manager = manager_for(fake)
    async with Redis.from_url(redis_url) as direct:
        await connected(manager, fake, direct, "alice", "google")
    redis = connect(redis_url)
    await compare(redis, manager)
    await redis.aclose()
    async with metered(redis_url) as meter:
        await show_costs(meter, fake, manager)
        await show_memory(meter.redis, fake, manager)
    await manager.aclose()


def main() -> None:
    configure_logs("error", as_json=False)
    with embedded_redis() as redis_url:
        asyncio.run(measure(redis_url))


if __name__ == "__main__":
    main()
