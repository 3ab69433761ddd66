"""The room that people take in Redis, by the kind of key, from connections made like real ones."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from itertools import count
from typing import Any

from bench.report import Report, Size
from tests.kit.fake_answers import Answer, json_answer
from tests.kit.fake_requests import Recorded
from tests.kit.library import connected, fake_provider, manager_for
from webui.oauth_manager import redis_from_url
from webui.oauth_manager.storage.calls import raw

PEOPLE = 1_000
PROVIDERS = ("google", "github")
AT_ONCE = 20
_KIND = re.compile(rb"stargazer:(\w+)")


async def measure(redis_url: str, size: Size, report: Report) -> None:
    """Connect people with two services each, and count what is left of it."""
    fake, people, numbers = fake_provider(), size.of(PEOPLE), count(10**8)

    async def own_account(_: Recorded) -> Answer:
        number = next(numbers)
        return json_answer({"id": str(number), "login": f"person-{number}", "name": "Some Person"})

    fake.always["account"] = own_account
    manager = manager_for(fake)
    async with redis_from_url(redis_url) as redis:
        before = await _memory(redis)
        for start in range(0, people, AT_ONCE):
            names = [f"{n:018d}" for n in range(start, min(start + AT_ONCE, people))]
            work = [connected(manager, fake, redis, name, p) for p in PROVIDERS for name in names]
            await asyncio.gather(*work)
        # Links and states are gone in ten minutes, and are none of what stays.
        for kind in ("link", "links", "state"):
            async for key in redis.scan_iter(f"stargazer:oauth_{kind}:*", count=1000):
                await redis.delete(key)
        grown = await _memory(redis) - before
        counts, sizes = await _kinds(redis)
    await manager.aclose()
    each = people * len(PROVIDERS)
    report.title(f"What {people:,} people with {len(PROVIDERS)} connections each take in Redis")
    for kind, number in sorted(counts.items()):
        if number >= people:
            keys, room = number / each, sizes[kind] / each
            report.say(kind, f"{keys:.2f} keys, {room:,.0f} bytes a connection")
    kept = sum(number for number in counts.values() if number >= people)
    report.judge("keys of a connection", [kept / each])
    report.say("all of it", f"{grown / each:,.0f} bytes of memory a connection")


async def _memory(redis: Any) -> int:
    return int((await redis.info("memory"))["used_memory"])


async def _kinds(redis: Any) -> tuple[Counter[str], Counter[str]]:
    counts = Counter[str]()
    sizes = Counter[str]()
    async for key in redis.scan_iter("stargazer:*", count=1000):
        found = _KIND.match(key)
        kind = found[1].decode() if found else "others"
        counts[kind] += 1
        sizes[kind] += int(await raw(redis, "MEMORY USAGE", key) or 0)
    return counts, sizes
