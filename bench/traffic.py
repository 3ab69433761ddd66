"""Redis traffic of every path, and the bytes of a person: counted, not timed."""

from __future__ import annotations

from bench import memory, paths
from bench.meter import metered
from bench.report import Report, Size
from tests.kit.library import fake_provider, manager_for


async def measure(redis_url: str, _: Size, report: Report) -> None:
    fake = fake_provider()
    manager = manager_for(fake)
    async with metered(redis_url) as meter:
        costs = await paths.costs(meter, fake, manager)
        held = await memory.held(meter.redis, fake, manager)
    await manager.aclose()
    report.title("Redis round trips, then the commands executed, those inside of scripts too")
    for path, expected in paths.EXPECTED.items():
        turns, commands = costs[path]
        note = "" if costs[path] == expected else f"   (expected: {expected[0]}  {expected[1]})"
        report.say(path, f"{turns}  {commands}{note}")
    report.title("Redis bytes of a person, with four connections and one account each")
    for what, weight in held.items():
        report.say(what, f"{weight:7d}")
    floor = held[memory.FLOOR]
    name = "Redis bytes of a person, four connections"
    report.judge(name, [float(sum(held.values()))], [float(floor)])
