"""Notices over the HTTP API: none lost, only the key's, and a wait that holds nobody up."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.account_provider import AccountProvider, added
from tests.kit.api_caller import caller
from tests.kit.fake_provider import serve
from tests.kit.library import (
    KEY,
    age,
    connected,
    fake_provider,
    let_time_pass,
    manager_for,
    providers_config,
)
from tests.kit.site_fixtures import Place, free_port, serving, site_environment
from webui.api.application import PLACES
from webui.api.service_keys import ServiceKeys
from webui.oauth_manager.journal import notices
from webui.oauth_manager.storage import Clock, Sealer

pytestmark = pytest.mark.anyio


async def link(place: Place, user: str, provider: str = "google") -> None:
    await connected(place.bot, place.fake, place.redis, user, provider)


def told(answer: httpx.Response) -> list[tuple[str, str, str]]:
    assert answer.status_code == 200, answer.text
    return [(n["event"], n["user_id"], n["provider"]) for n in answer.json()["notices"]]


async def test_what_a_bot_has_read_over_the_api_is_read_for_the_operator(place: Place) -> None:
    async def unread() -> int:
        return (await place.bot.census(place.redis)).notices_unread

    bot = await caller(place)
    for user in ("ann", "ben", "cat"):
        await link(place, user)
    assert await unread() == 3
    first = await bot.get("/notices", limit=2)
    assert await unread() == 3  # it may not have come
    await bot.get("/notices", limit=1, after=first.json()["next"])
    assert await unread() == 1
    await bot.get("/notices", after="0-0")
    assert await unread() == 1  # another reader is behind
    await bot.get("/notices", after="999999999999999-0")
    assert await unread() == 1  # a position that nobody can have read
    await place.redis.delete("stargazer:oauth_notices_read")
    await place.redis.rpush("stargazer:oauth_notices_read", "of another type")
    await bot.get("/notices", after=first.json()["next"])
    assert await unread() == 1


async def test_a_reader_keeps_its_own_position_and_may_read_again(place: Place) -> None:
    bot = await caller(place)
    await link(place, "ann")
    await link(place, "ben")
    first = await bot.get("/notices", limit=1)
    assert told(first) == [("connected", "ann", "google")]
    rest = await bot.get("/notices", after=first.json()["next"])
    assert told(rest) == [("connected", "ben", "google")]
    end = rest.json()["next"]
    assert told(await bot.get("/notices", after=end)) == []
    assert (await bot.get("/notices", after=end)).json()["next"] == end
    assert len(told(await bot.get("/notices"))) == 2


async def test_other_readers_lose_nothing_by_it(place: Place) -> None:
    bot = await caller(place)
    await link(place, "ann")
    await bot.get("/notices")
    reader = place.bot.notices(place.redis, "bot-1")
    async with asyncio.timeout(5):
        assert (await anext(reader)).user_id == "ann"
    assert len(told(await bot.get("/notices"))) == 1


async def test_notices_are_those_of_the_keys_services_and_people(place: Place) -> None:
    for user in ("ann", "ben"):
        await link(place, user)
        await link(place, user, "github")
    of_github = await caller(place, providers=("github",))
    assert told(await of_github.get("/notices")) == [
        ("connected", "ann", "github"),
        ("connected", "ben", "github"),
    ]
    of_ann = await caller(place, users=("ann",))
    assert {user for _, user, _ in told(await of_ann.get("/notices"))} == {"ann"}


async def test_positions_go_on_over_notices_of_others(place: Place) -> None:
    bot = await caller(place, providers=("github",))
    await link(place, "ann")
    answer = await bot.get("/notices")
    assert told(answer) == []
    assert answer.json()["next"] != "0-0"


async def test_what_is_due_reaches_every_reader(place: Place) -> None:
    bots = [await caller(place), await caller(place)]
    await bots[0].post("/links", user_id="ann", provider="google")
    await let_time_pass(place.redis)
    for bot in bots:
        assert told(await bot.get("/notices")) == [("link_ran_out", "ann", "google")]
    reader = place.bot.notices(place.redis, "bot-1")
    async with asyncio.timeout(5):
        assert (await anext(reader)).kind == "link_ran_out"


async def test_an_end_that_the_answer_has_told_is_no_notice(place: Place) -> None:
    bot = await caller(place)
    await link(place, "ann")
    start = (await bot.get("/notices")).json()["next"]
    await age(place.bot, place.redis, "ann", "google")
    place.fake.withdraw()
    assert (await bot.token()).status_code == 409
    await let_time_pass(place.redis, 60)
    assert ("reconnect_needed", "ann", "google") not in told(await bot.get("/notices", after=start))


async def test_a_waiting_caller_is_told_as_soon_as_something_happens(place: Place) -> None:
    bot = await caller(place)
    waiting = asyncio.create_task(bot.get("/notices", wait=20))
    await asyncio.sleep(0.1)
    await link(place, "ann")
    async with asyncio.timeout(5):
        assert told(await waiting) == [("connected", "ann", "google")]


async def test_waiting_callers_hold_up_no_other_call(place: Place) -> None:
    bot = await caller(place, others_a_minute=1000)
    waiting = []
    for number in range(PLACES + 10):
        waiting.append(asyncio.create_task(bot.get("/notices", wait=20)))
        if number % 10 == 9:
            await bot.get("/notices")  # one after the other: Redis is not what is tried here
    assert not any(one.done() for one in waiting)
    other = await caller(place)
    async with asyncio.timeout(10):  # whose turn never comes if each of those has a place
        assert (await other.token()).status_code == 409
    await link(place, "ann")
    async with asyncio.timeout(20):
        assert all(told(answer) for answer in await asyncio.gather(*waiting))


async def test_an_overflow_of_the_stream_is_told(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "MAX_LENGTH", 100)  # Redis trims whole nodes, of 100 entries
    bot = await caller(place)
    await link(place, "ann")
    first = await bot.get("/notices")
    assert first.json()["overflowed"] is False
    position = first.json()["next"]
    for _ in range(250):
        await place.bot.tell(place.redis, "ann", notices.NoticeKind.SUPPORT_CHECKED, "google")
    late = await bot.get("/notices", after=position, limit=100)
    assert late.json()["overflowed"] is True
    assert (await bot.get("/notices", after=late.json()["next"])).json()["overflowed"] is False


async def test_a_site_that_stops_or_changes_does_not_wait_for_those_who_wait(
    redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    with serve(fake_provider()) as provider:
        providers = providers_config(fake_provider(), provider)
        environment = site_environment(f"http://127.0.0.1:{free_port()}", redis_url, providers)
        store = ServiceKeys(Sealer(KEY), Clock())
        key, _ = await store.create(redis, "a bot", may=("notices",))
        with serving(environment, tmp_path) as process:
            headers = {"authorization": f"Bearer {key}"}
            async with httpx.AsyncClient(base_url=process.base_url, headers=headers) as client:
                asked = client.get("/api/v1/notices", params={"wait": 20}, timeout=30)
                waiting = asyncio.create_task(asked)
                await asyncio.sleep(0.5)
                began = time.monotonic()
                ended: Any = await asyncio.to_thread(process.stop)
                assert (await waiting).json()["notices"] == []
        assert time.monotonic() - began < 5
        assert ended["cut_short"] == 0


async def test_a_notice_of_one_of_several_accounts_names_it(place: Place) -> None:
    fake = AccountProvider()
    for account, name in (("mona", None), ("hubert", "Work"), ("hubert", "Other")):
        await added(manager_for(fake), fake, place.redis, account, account=name)
    found = (await (await caller(place)).get("/notices")).json()["notices"]
    assert [(one["account"], one["name"], one["detail"]) for one in found] == [
        ("mona", None, None),
        ("hubert", "Work", None),
        ("hubert", "Work", "was_there"),
    ]
