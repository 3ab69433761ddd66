"""Reads of one connection and of all: against redis-py's GET, for one caller and for many.

Below them, what no implementation can do without: fetch the record, decrypt it, read the JSON.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from cryptography.fernet import Fernet
from redis.asyncio import Redis

from bench.meter import Call, interleaved, median
from bench.people import populate
from bench.report import Report, Size
from tests.kit.library import KEY, fake_provider, manager_for, tokens_key
from webui.oauth_manager import OAuthManager
from webui.redis_client import connect

CALLS = 640  # a round
FLOOR = "redis-py's GET"
NEEDED = "GET, Fernet decrypt, json.loads"
ForPerson = Callable[[str], Any]


async def measure(redis_url: str, size: Size, report: Report) -> None:
    fake = fake_provider()
    manager = manager_for(fake)
    async with Redis.from_url(redis_url) as plain, connect(redis_url) as ours:
        people = await populate(manager, fake, plain, 64, providers=list(manager.providers))
        for callers in (1, 64):
            await _compare(manager, plain, ours, people[:callers], size, report)
    await manager.aclose()


async def _compare(
    manager: OAuthManager, plain: Redis, ours: Redis, people: list[str], size: Size, report: Report
) -> None:
    fernet = Fernet(KEY)

    async def get(person: str) -> Any:
        return await plain.get(tokens_key(person, "google"))

    async def needed(person: str) -> Any:
        return json.loads(fernet.decrypt(await get(person) or b""))["access_token"]

    async def get_token(person: str) -> Any:
        return await manager.get_token(person, "google", ours)

    async def listed(person: str) -> Any:
        return await manager.list_user_connections(person, ours)

    if await needed(people[0]) != await get_token(people[0]) or len(await listed(people[0])) != 4:
        raise RuntimeError("they do not read the same")
    who = "1 caller" if len(people) == 1 else f"{len(people)} callers"
    rows = {FLOOR: get, NEEDED: needed, "get_token": get_token, "list_user_connections": listed}
    calls = size.of(CALLS // len(people))
    figures = await interleaved(
        {name: _by_all(people, call) for name, call in rows.items()},
        rounds=size.rounds,
        calls=calls,
    )
    report.title(f"Reads, {who}: {size.rounds} rounds of {calls * len(people)}, microseconds each")
    for name, figure in figures.items():
        report.say(name, f"{median(figure) / len(people):7.0f} us")
    for name in ("get_token", "list_user_connections"):
        report.judge(f"{name}, {who}", figures[name], figures[FLOOR])


def _by_all(people: list[str], call: ForPerson) -> Call:
    if len(people) == 1:
        return lambda: call(people[0])
    return lambda: asyncio.gather(*map(call, people))
