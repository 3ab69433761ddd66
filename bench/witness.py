"""A process that says who has a token: ``python -m bench.witness REDIS_URL``.

It reads orders from its standard input, a line each, and answers each with a line:

- ``watch PERSON``: read the token, and from then on again and again.
- ``ask PERSON``: read it once more, while those reads still go on, and end them.
"""

from __future__ import annotations

import asyncio
import sys

import click
from redis.asyncio import Redis

from tests.kit.library import BASE_URL, KEY, fake_provider, providers_config
from webui.oauth_manager import OAuthManager
from webui.redis_client import connect
from webui.serving.server import loop_factory

PAUSE = 0.002  # seconds between two reads of one person


class Witness:
    def __init__(self, manager: OAuthManager, redis: Redis) -> None:
        self._manager = manager
        self._redis = redis
        self._watched: dict[str, asyncio.Task[None]] = {}

    async def serve(self, orders: asyncio.StreamReader) -> None:
        """Take orders until the other side closes the pipe; end if one of them fails."""
        async with asyncio.TaskGroup() as work:
            while line := (await orders.readline()).decode():
                work.create_task(self._answer(work, *line.split()))

    async def _answer(self, work: asyncio.TaskGroup, order: str, person: str) -> None:
        has_token = await self._has_token(person)
        if order == "watch":
            self._watched[person] = work.create_task(self._keep_reading(person))
        elif watch := self._watched.pop(person, None):
            watch.cancel()
        click.echo(f"{person} {'token' if has_token else 'none'}")

    async def _keep_reading(self, person: str) -> None:
        while await self._has_token(person):  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(PAUSE)

    async def _has_token(self, person: str) -> bool:
        return await self._manager.get_token(person, "google", self._redis) is not None


async def serve(redis_url: str) -> None:
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    manager = OAuthManager(KEY, BASE_URL, providers_config(fake_provider(), names=["google"]))
    async with connect(redis_url) as redis:
        await Witness(manager, redis).serve(orders)
        await manager.aclose()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(sys.argv[1]))
