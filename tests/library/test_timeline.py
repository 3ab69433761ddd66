"""The timeline's two shapes in Redis: nothing is lost, and nothing changes place, between them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.kit.every import every
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import KEY, keys_at, manager_for
from webui.oauth_manager import Event, OAuthManager, redis_from_url
from webui.oauth_manager.journal import activity
from webui.oauth_manager.journal.activity import KEPT_SECONDS
from webui.oauth_manager.storage.calls import as_text
from webui.oauth_manager.storage.keys import UserId
from webui.oauth_manager.storage.sealer import Sealer
from webui.oauth_manager.storage.timeline import FEW, SHORT

pytestmark = pytest.mark.anyio

ANN = UserId("ann")
EVENTS = "stargazer:oauth_events:ann"
NOW_MS = int(time.time() * 1000)
DAY_MS = 86_400_000


def sealed(kind: str) -> str:
    """Seal an event as earlier versions did, empty fields and all."""
    details = {"event": kind, "by": "web", "at": 5.0, "detail": "", "account": ""}
    return Sealer(KEY).seal("event", "ann", "github", details)


def event(kind: str) -> Event:
    return Event(kind, "github", "web", 5.0)


async def write(manager: OAuthManager, redis: Any, *names: str, replaces: str = "") -> str:
    """Write events one after the other; the entry of the last one."""
    entry = ""
    for name in names:
        pipe = redis.pipeline(transaction=False)
        activity.add(manager._storage, pipe, ANN, event(name), replaces)
        entry = as_text((await pipe.execute())[0])
    return entry


async def take_back(redis: Any, entry: str) -> None:
    pipe = redis.pipeline(transaction=False)
    activity.remove(pipe, ANN, entry)
    await pipe.execute()


async def told(manager: OAuthManager, redis: Any, size: int = 25) -> list[str]:
    """All events, newest first, read page by page."""
    found, before = [], ""
    while True:
        page = await manager.activity(redis, "ann", before, size=size)
        found += [event.kind for event in page.events]
        before = page.older
        if not before:
            return found


async def shape(redis: Redis) -> str:
    return as_text(await redis.type(EVENTS))


def named(count: int) -> list[str]:
    return [f"e{n}" for n in range(count)]


class TestShapes:
    async def test_a_short_one_is_a_list_and_takes_less_than_a_stream(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await write(manager, redis, *named(4))
        assert await shape(redis) == "list"
        assert (await redis.memory_usage(EVENTS) or 0) < 1500
        assert 0 < await redis.ttl(EVENTS) <= KEPT_SECONDS

    async def test_a_long_one_is_a_stream_with_the_same_events_and_pages(
        self, manager: OAuthManager, redis: Redis, either: Redis
    ) -> None:
        await write(manager, either, *named(SHORT))
        assert await shape(redis) == "list"
        first = await manager.activity(either, "ann")
        await write(manager, either, f"e{SHORT}", f"e{SHORT + 1}")
        assert await shape(redis) == "stream"
        assert await told(manager, either) == named(SHORT + 2)[::-1]
        older = await manager.activity(either, "ann", first.older)
        assert [e.kind for e in older.events] == named(SHORT - 25)[::-1]

    async def test_a_stream_of_an_earlier_version_becomes_a_list_with_the_next_event(
        self, manager: OAuthManager, redis: Redis, either: Redis
    ) -> None:
        for n in range(5):
            await redis.xadd(EVENTS, {"sealed": sealed(f"e{n}")}, id=f"{NOW_MS - 100 + n}-0")
        page = await manager.activity(either, "ann", size=2)
        assert await told(manager, either) == named(5)[::-1]
        await write(manager, either, "e5")
        assert await shape(redis) == "list"
        assert await told(manager, either) == named(6)[::-1]
        older = await manager.activity(either, "ann", page.older)
        assert [e.kind for e in older.events] == ["e2", "e1", "e0"]

    async def test_a_long_stream_stays_one(self, manager: OAuthManager, redis: Redis) -> None:
        for n in range(FEW):
            await redis.xadd(EVENTS, {"sealed": sealed(f"e{n}")}, id=f"{NOW_MS - 100 + n}-0")
        await write(manager, redis, f"e{FEW}")
        assert await shape(redis) == "stream"
        assert await told(manager, redis) == named(FEW + 1)[::-1]

    async def test_events_that_are_too_old_go_before_a_list_becomes_a_stream(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        for n in range(20):
            await redis.rpush(EVENTS, f"{NOW_MS - 91 * DAY_MS + n}-0 {sealed(f'old{n}')}")
        await write(manager, redis, *named(13))
        assert await told(manager, redis) == named(13)[::-1]
        assert await shape(redis) == "list"
        assert await redis.llen(EVENTS) == 13

    async def test_a_clock_that_was_set_back_loses_nothing(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        for n in range(SHORT):
            await redis.rpush(EVENTS, f"{NOW_MS + 60_000 - n // 2}-7 {sealed(f'e{n}')}")
        await write(manager, redis, "last")
        assert await shape(redis) == "stream"
        assert sorted(await told(manager, redis)) == sorted([*named(SHORT), "last"])

    @every("junk", ["junk", "", "1-1", "x-y z", "1-1 junk", b"\xff\xfe", "99999999999999-0 x"])
    async def test_what_is_no_entry_is_passed_over(
        self, manager: OAuthManager, redis: Redis, either: Redis, junk: str | bytes
    ) -> None:
        await redis.delete(EVENTS)
        await redis.rpush(EVENTS, junk)
        assert await told(manager, either) == []
        await write(manager, either, "e0")
        assert await told(manager, either) == ["e0"]
        await write(manager, either, *named(SHORT)[1:], "e32")
        assert await told(manager, either) == named(SHORT + 1)[::-1]

    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(st.sets(st.integers(0, 60), max_size=SHORT), st.integers(2, 9))
    async def test_pages_of_a_list_lose_nothing_and_show_nothing_twice(
        self, redis: Redis, moments: set[int], size: int
    ) -> None:
        await redis.flushall()
        for at in sorted(moments):
            await redis.rpush(EVENTS, f"{NOW_MS + at}-0 {sealed(f'e{at}')}")
        manager = manager_for(FakeProvider())
        expected = [f"e{at}" for at in sorted(moments, reverse=True)]
        assert await told(manager, redis, size) == expected


class TestTakingBack:
    @every("before", [0, 3, SHORT - 1, SHORT + 5])
    @every("after", [0, 2, SHORT])
    async def test_removes_that_event_alone_whatever_came_after_it(
        self, manager: OAuthManager, redis: Redis, before: int, after: int
    ) -> None:
        await redis.delete(EVENTS)
        rest = [f"a{n}" for n in range(after)]
        await write(manager, redis, *named(before))
        entry = await write(manager, redis, "wrong")
        await write(manager, redis, *rest)
        await take_back(redis, entry)
        assert await told(manager, redis) == [*rest[::-1], *named(before)[::-1]]
        await take_back(redis, entry)
        assert await told(manager, redis) == [*rest[::-1], *named(before)[::-1]]

    @every("before", [0, 3, SHORT - 1, SHORT + 5])
    async def test_goes_with_what_comes_in_its_place(
        self, manager: OAuthManager, redis: Redis, before: int
    ) -> None:
        await redis.delete(EVENTS)
        await write(manager, redis, *named(before))
        entry = await write(manager, redis, "asking")
        await write(manager, redis, "confirmed", replaces=entry)
        assert await told(manager, redis) == ["confirmed", *named(before)[::-1]]

    @every("before", [0, 3, SHORT + 5])
    async def test_finds_an_event_whose_answer_was_lost(
        self, manager: OAuthManager, redis: Redis, before: int
    ) -> None:
        await redis.delete(EVENTS)
        await write(manager, redis, *named(before))
        entry = await write(manager, redis, "lost")
        found = await activity.find(manager._storage, redis, ANN, event("lost"))
        assert found == entry
        await take_back(redis, found)
        assert await activity.find(manager._storage, redis, ANN, event("lost")) == ""

    async def test_of_an_event_in_a_stream_that_has_become_a_list_works_too(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await redis.xadd(EVENTS, {"sealed": sealed("wrong")}, id=f"{NOW_MS - 100}-0")
        entry = await activity.find(manager._storage, redis, ANN, event("wrong"))
        await write(manager, redis, "right")
        assert await shape(redis) == "list"
        await take_back(redis, entry)
        assert await told(manager, redis) == ["right"]

    async def test_from_an_empty_timeline_makes_none(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await take_back(redis, "1-1 x")
        assert await keys_at(redis, "oauth_events:*") == []


async def test_processes_that_write_at_once_lose_nothing(
    manager: OAuthManager, redis: Redis, redis_url: str
) -> None:
    """Across the moment at which the list becomes a stream."""

    async def work(process: int) -> None:
        async with redis_from_url(redis_url) as client:
            await write(manager, client, *(f"p{process}e{n}" for n in range(15)))

    await asyncio.gather(*(work(process) for process in range(4)))
    found = await told(manager, redis)
    assert len(found) == 60
    for process in range(4):
        own = [kind for kind in found if kind.startswith(f"p{process}")]
        assert own == [f"p{process}e{n}" for n in reversed(range(15))]
