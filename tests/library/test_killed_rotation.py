"""A rotation that is killed and started again, while people connect and disconnect."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    BASE_URL,
    KEY,
    OTHER_KEY,
    connection_key,
    keys_at,
    manager_for,
    subject,
    text_at,
    tokens_key,
)
from tests.kit.redis_fleets import one_server
from tests.kit.site_fixtures import SESSION_SECRET
from webui.oauth_manager import OAuthManager, StoreUnavailable, TokenData
from webui.oauth_manager.models import Account, Profile
from webui.oauth_manager.storage import account_index, keys, records
from webui.oauth_manager.storage.calls import RedisClient, as_text
from webui.oauth_manager.storage.canary import Fit
from webui.oauth_manager.storage.resealer import Findings, Task
from webui.oauth_manager.storage.sealer import Sealer

pytestmark = pytest.mark.anyio

BOTH = f"{OTHER_KEY},{KEY}"
PEOPLE = 1500
RESTLESS = 1200  # of them


async def put_people(manager: OAuthManager, redis: RedisClient, count: int) -> None:
    """People p0, p1, ... connected with Google as accounts of their own."""
    storage = manager._storage
    for start in range(0, count, 500):
        pipe = redis.pipeline(transaction=False)
        for n in range(start, min(start + 500, count)):
            place, account = subject(redis, f"p{n}"), Account(str(n), f"mona{n}")
            tokens, beside = place.record_keys
            pipe.set(tokens, records.seal_token(storage, place, TokenData(f"access-{n}")))
            pipe.set(beside, records.seal_profile(storage, place, Profile(account)))
            account_index.add(storage, pipe, place, account)
        await pipe.execute()


async def started(redis_url: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "webui",
        "rotate-keys",
        *arguments,
        env={
            "BASE_URL": BASE_URL,
            "REDIS_URL": redis_url,
            "ENCRYPTION_KEY": BOTH,
            "SESSION_SECRET": SESSION_SECRET,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def people_come_and_go(manager: OAuthManager, redis: Redis, done: list[int]) -> None:
    """One after the other disconnects or connects again; ``done`` counts them."""
    for n in count():
        user_id = f"p{n * 7 % RESTLESS}"
        if n % 2:
            await manager.delete_token(redis, user_id, "google")
        else:
            token = TokenData(f"newer-{n}", provider="google")
            await manager.store_token(redis, user_id, token)
        done.append(n)


async def has_begun(redis: Any) -> None:
    """Wait until a rotation has noted a place."""
    async with asyncio.timeout(60):
        while not await redis.exists(keys.ROTATION):
            await redis.ping()


async def all_are_new(redis: Redis, names: Sequence[str]) -> bool:
    newest = Sealer(OTHER_KEY)
    return all([newest.fits(await text_at(redis, name)) for name in names])


@pytest.mark.long
@pytest.mark.parametrize("jobs", [(), ("--jobs", "2")], ids=["one process", "two"])
async def test_killed_midway_and_run_again_it_overwrites_nothing_and_leaves_nothing(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, redis_url: str, jobs: Sequence[str]
) -> None:
    one_server()  # tests/engines has a Cluster, with fewer people
    await put_people(manager, redis, PEOPLE)
    rotating = manager_for(fake, key=BOTH)
    done: list[int] = []
    beside = asyncio.create_task(people_come_and_go(rotating, redis, done))
    first = await started(redis_url, *jobs)
    await has_begun(redis)
    first.kill()
    await first.communicate()
    assert first.returncode == -9
    second = await started(redis_url, *jobs)
    said, told = await second.communicate()
    beside.cancel()
    with suppress(asyncio.CancelledError):
        await beside
    await rotating.aclose()  # what is begun goes to its end

    assert second.returncode == 0, (said, told)
    assert b" a second." in said
    assert len(done) > 20
    assert await all_are_new(redis, await keys_at(redis, "oauth_[ct]o*"))
    assert await all_are_new(redis, [keys.CANARY])
    assert not await redis.exists(keys.ROTATION)
    assert float(await text_at(redis, keys.LAST_ROTATION)) > 1e9
    retired = manager_for(fake, key=OTHER_KEY)
    newest = {f"p{n * 7 % RESTLESS}": n for n in done}
    for n in (done[-1], done[-1] + 1):  # these may have been cut short
        newest.pop(f"p{n * 7 % RESTLESS}", None)
    for user_id, n in newest.items():
        held = await retired.get_token(user_id, "google", redis)
        assert held == (None if n % 2 else f"newer-{n}")
        if n % 2:
            assert not await redis.exists(connection_key(user_id, "google"))
            assert await retired.find_accounts(redis, "google", f"mona{user_id[1:]}") == ()
    assert await retired.find_accounts(redis, "google", f"mona{PEOPLE - 1}") == (f"p{PEOPLE - 1}",)


async def given_up(fake: FakeProvider, redis: RedisClient) -> OAuthManager:
    """Begin a rotation that fails after three pages; return its manager."""
    rotating = manager_for(fake, key=BOTH)
    visit, pages = rotating.resealer(redis).visit, iter(range(3))

    async def fails_in_the_end(task: Task) -> Findings:
        if next(pages, None) is None:
            raise StoreUnavailable("walk", "killed")
        return await visit(task)

    with pytest.raises(StoreUnavailable):
        await rotating.reseal(redis, visits=[fails_in_the_end])
    return rotating


class TestOneThatIsTakenUp:
    """Within a process: a rotation fails after some pages."""

    @pytest.fixture
    async def interrupted(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> OAuthManager:
        await manager.settle(redis)
        await put_people(manager, redis, 1500)
        return await given_up(fake, redis)

    async def test_opens_only_what_is_left(self, interrupted: OAuthManager, redis: Redis) -> None:
        told: list[tuple[int, int]] = []
        rotated = await interrupted.reseal(redis, told=lambda *more: told.append(more))
        assert rotated.is_whole
        assert 0 < rotated.done < 3000
        assert rotated.done + rotated.new < 3000
        assert told[-1][0] == told[-1][1] < 3000

    async def test_finds_what_was_written_behind_it_with_an_older_key(
        self, interrupted: OAuthManager, manager: OAuthManager, redis: Redis
    ) -> None:
        for n in range(20):
            late = records.seal_token(
                manager._storage, subject(redis, f"p{n}"), TokenData("late", provider="google")
            )
            await redis.set(tokens_key(f"p{n}", "google"), late)
        assert (await interrupted.reseal(redis)).is_whole
        assert await all_are_new(redis, await keys_at(redis, "oauth_[ct]o*"))

    async def test_keeps_the_canary_of_the_older_key_until_all_is_done(
        self, manager: OAuthManager, interrupted: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        retired = manager_for(fake, key=OTHER_KEY)
        assert await retired.settle(redis) is Fit.WRONG_KEY
        assert await interrupted.settle(redis) is Fit.FITS
        await interrupted.reseal(redis)
        assert await retired.settle(redis) is Fit.FITS
        assert await interrupted.settle(redis) is Fit.FITS
        assert await manager.settle(redis) is Fit.WRONG_KEY

    async def test_begins_anew_by_another_key(
        self, interrupted: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        third = "dGhpcmQta2V5LXRoaXJkLWtleS10aGlyZC1rZXkhISE="
        rotated = await manager_for(fake, key=f"{third},{BOTH}").reseal(redis)
        assert (rotated.done, rotated.is_whole) == (3000, True)

    async def test_begins_anew_on_another_server(
        self, interrupted: OAuthManager, redis: Redis
    ) -> None:
        (field,) = await redis.hkeys(keys.ROTATION)
        walk, _, _ = as_text(field).partition(":")
        await redis.delete(keys.ROTATION)
        await redis.hset(keys.ROTATION, f"{walk}:{'0' * 40}", 512)
        rotated = await interrupted.reseal(redis)
        assert (rotated.done + rotated.new, rotated.is_whole) == (3000, True)


@pytest.mark.long
async def test_a_cluster_is_taken_up_too(
    manager: OAuthManager, fake: FakeProvider, cluster: RedisCluster
) -> None:
    await put_people(manager, cluster, 1500)
    rotating = await given_up(fake, cluster)
    await rotating.delete_token(cluster, "p1", "google")
    rotated = await rotating.reseal(cluster)
    assert rotated.is_whole
    assert 0 < rotated.done < 3000
    retired = manager_for(fake, key=OTHER_KEY)
    assert await retired.get_token("p1", "google", cluster) is None
    assert await retired.get_token("p1499", "google", cluster) == "access-1499"
