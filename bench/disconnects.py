"""Disconnects in one process; another one is asked for the token at once: it has none, always.

``python -m bench.disconnects COUNT`` does it so many times.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import click
from redis.asyncio import Redis

from bench.people import populate
from bench.processes import ROOT
from bench.report import Report, Size
from tests.kit.library import fake_provider, manager_for
from webui.oauth_manager import OAuthManager
from webui.redis_client import connect
from webui.sandbox.embedded_redis import embedded_redis
from webui.serving.server import loop_factory

TIMES = 5_000
AT_ONCE = 16  # people, each of them watched by the other process meanwhile


@dataclass
class Other:
    """The other process, :mod:`bench.witness`, at the end of its pipes."""

    orders: asyncio.StreamWriter
    answers: asyncio.StreamReader
    _asked: dict[str, asyncio.Future[bool]] = field(default_factory=dict, repr=False)

    async def has_token(self, person: str, order: str = "ask") -> bool:
        self._asked[person] = asyncio.get_running_loop().create_future()
        self.orders.write(f"{order} {person}\n".encode())
        return await self._asked[person]

    async def listen(self) -> None:
        while line := (await self.answers.readline()).decode():
            person, answer = line.split()
            self._asked.pop(person).set_result(answer == "token")
        for waiting in self._asked.values():
            waiting.set_exception(RuntimeError("the other process has ended"))


@asynccontextmanager
async def other_process(redis_url: str) -> AsyncIterator[Other]:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "bench.witness", redis_url)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("there is no pipe")
    other = Other(process.stdin, process.stdout)
    listening = asyncio.create_task(other.listen())
    try:
        yield other
    finally:
        process.stdin.close()
        await process.wait()
        await listening


async def measure(redis_url: str, size: Size, report: Report) -> None:
    await disconnect_all(redis_url, size.of(TIMES), report)


async def disconnect_all(redis_url: str, times: int, report: Report) -> None:
    fake = fake_provider()
    manager = manager_for(fake)
    async with Redis.from_url(redis_url) as plain:
        people = await populate(manager, fake, plain, times)
    async with connect(redis_url) as redis, other_process(redis_url) as other:
        began = time.monotonic()
        wrong = await _disconnects(manager, redis, other, people)
        taken = time.monotonic() - began
        for start in range(0, times, 500):  # and nothing brings a token back
            again = map(other.has_token, people[start : start + 500])
            wrong += sum(await asyncio.gather(*again))
    await manager.aclose()
    report.title(f"{times:,} disconnects, and another process asked at once, then at the end")
    report.say("all of them", f"{taken:7.2f} s")
    report.judge("asked at once after a disconnect: a token", [float(wrong)])


async def _disconnects(manager: OAuthManager, redis: Redis, other: Other, people: list[str]) -> int:
    """Return how often the other process had a token after the disconnect."""
    left = iter(people)

    async def some(left: Iterator[str]) -> int:
        wrong = 0
        for person in left:
            if not await other.has_token(person, "watch"):
                raise RuntimeError("there is nothing to disconnect")
            await manager.delete_token(redis, person, "google")
            wrong += await other.has_token(person)
        return wrong

    return sum(await asyncio.gather(*(some(left) for _ in range(AT_ONCE))))


@click.command()
@click.argument("count", type=click.IntRange(1))
def main(count: int) -> None:
    """Disconnect COUNT people; exit 1 if another process had a token of one of them afterwards."""
    report = Report()
    with embedded_redis() as redis_url, asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(disconnect_all(redis_url, count, report))
    sys.exit(report.end())


if __name__ == "__main__":
    main()
