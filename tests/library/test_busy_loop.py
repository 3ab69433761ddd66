"""A busy event loop is not a Redis that is away: what waits at the socket is read first."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis

from webui.oauth_manager import StoreUnavailable
from webui.oauth_manager.clock import Timer, bounded, deadline
from webui.oauth_manager.storage import reader
from webui.oauth_manager.storage.calls import redis_call

pytestmark = pytest.mark.anyio


def keep_busy(seconds: float) -> None:
    """Hold the event loop, as a page that is long to make would."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


async def one_call(redis: Redis) -> object:
    async with redis_call("read"):
        return await redis.get("k")


async def shared_read(redis: Redis) -> object:
    return (await reader.read("read", redis, ["k"]))[0].encode()


@pytest.mark.parametrize("read", [one_call, shared_read])
async def test_an_answer_that_waited_for_the_loop_is_taken(redis: Redis, read: object) -> None:
    assert callable(read)
    await redis.set("k", "v")
    with deadline(10, redis=0.2):
        asked = asyncio.ensure_future(read(redis))
        while not asked.done():
            await asyncio.sleep(0)
            keep_busy(0.3)
        assert await asked in (b"v", "v")


async def never() -> None:
    keep_busy(0.1)
    await asyncio.get_running_loop().create_future()


async def bounded_wait() -> None:
    async with bounded(0.01):
        await never()


async def bounded_call() -> None:
    async with redis_call("read", 0.01):
        await never()


async def test_without_an_answer_the_call_ends_all_the_same() -> None:
    with pytest.raises(TimeoutError):
        await bounded_wait()
    with pytest.raises(StoreUnavailable, match="timeout"):
        await bounded_call()


async def test_time_is_given_once() -> None:
    rung = asyncio.Event()
    since = time.monotonic()
    Timer(0.0, rung.set)
    keep_busy(0.2)
    await asyncio.sleep(0)
    assert not rung.is_set()
    keep_busy(0.3)
    await rung.wait()
    assert time.monotonic() - since < 5


async def test_a_timer_that_was_cancelled_never_rings() -> None:
    rung = []
    timer = Timer(0.0, lambda: rung.append(1))
    keep_busy(0.1)
    await asyncio.sleep(0)
    timer.cancel()
    await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0))])
    async with bounded(5):
        await asyncio.get_running_loop().run_in_executor(None, keep_busy, 0.2)
    assert rung == []
