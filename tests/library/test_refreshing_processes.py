"""One refresh across real processes, also when the one that does it is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import Answer, Gate, error_answer
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.fake_requests import Recorded
from tests.kit.library import (
    BASE_URL,
    KEY,
    fake_provider,
    granted,
    manager_for,
    opened,
    providers_config,
)
from webui.oauth_manager import OAuthManager, Status, redis_from_url

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
LOCK = "stargazer:oauth_lock:u1:google"


async def work(number: str, redis_url: str, base_url: str, tasks: str) -> list[str | None]:
    """Run one process of a bot: so many tools ask for the same token at once."""
    config = providers_config(FakeProvider(), base_url, ["google"])
    config["google"]["token_url"] += f"?process={number}"
    manager = OAuthManager(KEY, BASE_URL, config)
    async with redis_from_url(redis_url) as redis:
        await redis.rpush("ready", number)
        while await redis.blpop(["go"], timeout=2) is None:
            pass
        tokens = await asyncio.gather(
            *(manager.get_token("u1", "google", redis) for _ in range(int(tasks)))
        )
    await manager.aclose()
    return tokens


class Processes:
    """Bots that are ready and wait for the start."""

    def __init__(self, redis_url: str, base_url: str, count: int, tasks: int) -> None:
        command = [sys.executable, "-m", "tests.library.test_refreshing_processes"]
        self.count, self.tasks = count, tasks
        self.running = [
            subprocess.Popen(
                [*command, str(number), redis_url, base_url, str(tasks)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONWARNINGS": "error"},
            )
            for number in range(count)
        ]

    async def start(self, redis: Redis) -> None:
        async with asyncio.timeout(120):
            ready = 0
            while ready < self.count:  # a client reads no longer than a few seconds
                ready += await redis.blpop(["ready"], timeout=2) is not None
        await redis.rpush("go", *(["now"] * self.count))

    def kill(self, request: Recorded) -> None:
        """End the one that sent the request, at once and without a word."""
        self.running[int(request.query["process"])].send_signal(signal.SIGKILL)

    def answers(self) -> list[str | None]:
        """Everything the processes that ended well were given."""
        given: list[str | None] = []
        for process in self.running:
            output, _ = process.communicate(timeout=60)
            given += json.loads(output) if process.returncode == 0 else []
        return given


@contextmanager
def processes(
    redis_url: str, base_url: str, count: int = 8, tasks: int = 20
) -> Iterator[Processes]:
    started = Processes(redis_url, base_url, count, tasks)
    try:
        yield started
    finally:
        for process in started.running:
            if process.poll() is None:
                process.kill()
            process.communicate()


async def is_over(redis: Redis, fake: FakeProvider) -> None:
    """An expired token of a provider that rotates and ends the family on reuse."""
    await manager_for(fake).store_token(redis, "u1", granted(fake, "google"))


async def test_eight_processes_with_twenty_tasks_each_refresh_once_and_all_get_the_token(
    redis: Redis, redis_url: str
) -> None:
    fake = fake_provider()
    await is_over(redis, fake)
    with serve(fake) as base_url, processes(redis_url, base_url) as bots:
        await bots.start(redis)
        answers = bots.answers()
    assert fake.calls["refresh"] == 1
    assert len(answers) == 160
    assert len(set(answers)) == 1
    token = await opened(manager_for(fake), redis)
    assert token is not None
    assert answers[0] == token.access_token
    assert fake.is_alive(token.access_token)
    assert fake.is_alive(token.refresh_token)
    assert not await redis.exists(LOCK)


@pytest.mark.long
async def test_a_holder_killed_before_the_provider_acted_costs_one_more_request(
    redis: Redis, redis_url: str
) -> None:
    fake, gate = fake_provider(), Gate()

    async def never_gets_to_it(_: Recorded) -> Answer:
        await gate.wait()
        return error_answer("server_error", 500)

    fake.script("token", never_gets_to_it)
    await is_over(redis, fake)
    with serve(fake) as base_url, processes(redis_url, base_url) as bots:
        await bots.start(redis)
        await gate.reached()
        bots.kill(fake.requests[0])
        gate.open()
        assert await redis.pexpire(LOCK, 1)  # the time of a dead holder passes
        answers = bots.answers()
    assert fake.calls["refresh"] == 2
    assert len(answers) == 140
    assert len(set(answers)) == 1
    assert fake.is_alive(str(answers[0]))


async def test_a_holder_killed_with_the_rotated_pair_in_flight_costs_one_more_and_the_grant(
    redis: Redis, redis_url: str
) -> None:
    """The pair is lost for good: one more try says so, and nobody tries again."""
    fake = fake_provider()
    gate = fake.gate("token")
    await is_over(redis, fake)
    with serve(fake) as base_url, processes(redis_url, base_url, count=4, tasks=5) as bots:
        await bots.start(redis)
        await gate.reached()
        bots.kill(fake.requests[0])
        gate.open()
        assert await redis.pexpire(LOCK, 1)
        answers = bots.answers()
    assert fake.calls["refresh"] == 2
    assert answers == [None] * 15
    manager = manager_for(fake)
    assert await manager.get_token("u1", "google", redis) is None
    assert (await manager.connection(redis, "u1", "google")).status is Status.RECONNECT_NEEDED
    assert fake.calls["refresh"] == 2


async def test_a_disconnect_from_another_process_wins_over_all_of_them(
    redis: Redis, redis_url: str
) -> None:
    fake = fake_provider()
    gate = fake.gate("token")
    await is_over(redis, fake)
    with serve(fake) as base_url, processes(redis_url, base_url, count=4, tasks=5) as bots:
        await bots.start(redis)
        await gate.reached()
        await manager_for(fake).delete_token(redis, "u1", "google")
        gate.open()
        answers = bots.answers()
    assert fake.calls["refresh"] == 1
    assert answers == [None] * 20
    assert not await redis.exists("stargazer:oauth_tokens:u1:google")
    assert not any(fake.is_alive(secret) for secret in fake.issued)


def main(arguments: list[str]) -> Any:
    return asyncio.run(work(*arguments))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1:])))
