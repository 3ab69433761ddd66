"""A rotation of the encryption key, against opening and sealing the same records alone."""

from __future__ import annotations

import resource
import time

from redis.asyncio import Redis

from bench.meter import median
from bench.people import KINDS, populate
from bench.report import Report, Size
from tests.kit.library import BASE_URL, KEY, OTHER_KEY, fake_provider, manager_for, text_at
from webui.oauth_manager import OAuthManager
from webui.redis_client import connect

PEOPLE = 2_000


async def measure(redis_url: str, size: Size, report: Report) -> None:
    fake = fake_provider()
    stocker = manager_for(fake)
    async with Redis.from_url(redis_url) as plain:
        people = await populate(stocker, fake, plain, size.of(PEOPLE))
    await stocker.aclose()
    records = len(people) * len(KINDS)
    alone: list[float] = []
    taken: list[float] = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with connect(redis_url) as redis:
        keys = [KEY, OTHER_KEY]
        for _ in range(size.rounds):
            keys.reverse()
            manager = OAuthManager(" ".join(keys), BASE_URL)
            alone.append(await _alone(manager, redis, people) * 1e6)
            began = time.perf_counter()
            rotation = await manager.reseal(redis)
            taken.append((time.perf_counter() - began) / rotation.done * 1e6)
            if rotation.left or rotation.done < records:
                raise RuntimeError("not every record was rotated")
            await manager.aclose()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    report.title(f"Rotation: {size.rounds} rounds of {records:,} records")
    report.say("open and seal alone", f"{1e6 / median(alone):7.0f} a second")
    report.say("rotate-keys", f"{1e6 / median(taken):7.0f} a second, {grown:.1f} MB more memory")
    report.judge("rotation", taken, alone)


async def _alone(manager: OAuthManager, redis: Redis, people: list[str]) -> float:
    """Return the seconds of a record, over some hundred of them."""
    some = [(kind, person) for person in people[:100] for kind in KINDS]
    texts = [await text_at(redis, KINDS[kind](person, "google")) for kind, person in some]
    sealer = manager._storage.sealer
    began = time.perf_counter()
    for (kind, person), text in zip(some, texts, strict=True):
        sealer.seal(kind, person, "google", sealer.open(kind, person, "google", text))
    return (time.perf_counter() - began) / len(some)
