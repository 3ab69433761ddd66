"""The census counts what is stored, each person and each connection once, in flat memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis as Blocking
from redis.asyncio import Redis, RedisCluster

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    KEY,
    OTHER_KEY,
    OVER,
    connected,
    granted,
    manager_for,
    put_strangers,
    tokens_key,
)
from tests.kit.redis_fleets import one_server
from tests.kit.support_fixtures import put, settle
from webui.oauth_manager import LinkRequest, OAuthManager, Profile, TokenData
from webui.oauth_manager.flows import census
from webui.oauth_manager.storage import Fit, key_pages, keys

pytestmark = pytest.mark.anyio

MATRIX = "@alice:example.org"


async def test_nothing_is_stored_in_an_empty_redis(manager: OAuthManager, redis: Any) -> None:
    found = await manager.census(redis)
    assert (found.people, found.connections) == (0, {})
    assert (found.open_links, found.notices_unread) == (0, 0)
    assert found.fit is Fit.NOTHING


async def test_every_connection_is_counted_in_its_state_and_every_person_once(
    manager: OAuthManager, redis: Redis
) -> None:
    await settle(manager, redis, "mona")
    await settle(manager, redis, "ann.x")
    found = await manager.census(redis)
    assert found.people == 2
    assert found.connections == {
        "discord": {"reconnect_needed": 2},
        "github": {"connected": 2},
        "google": {"connected": 2},
        "microsoft": {"unreadable": 2},
    }


async def test_records_of_the_older_system_and_of_removed_providers_are_counted_once(
    manager: OAuthManager, redis: Redis
) -> None:
    older = manager._storage.sealer.fernet
    assert older is not None
    text = b'{"access_token": "a", "provider": "github"}'
    await redis.set(tokens_key(MATRIX, "github"), older.encrypt(text))
    sealed = manager._storage.sealer.seal("tokens", "u2", "gone", TokenData("a").to_record())
    await redis.set(tokens_key("u2", "gone"), sealed)
    await redis.set("stargazer:oauth_tokens:junk", "junk")
    found = await manager.census(redis)
    assert found.people == 2
    assert found.connections == {"github": {"connected": 1}, "gone": {"connected": 1}}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(held=st.dictionaries(st.sampled_from("abcdefgh"), st.sets(st.sampled_from("pqrst"))))
def test_people_are_as_many_as_hold_something_in_whatever_order_keys_are_met(
    held: dict[str, set[str]], empty_redis_url: str
) -> None:
    import asyncio

    async def count() -> int:
        client: Any = Redis.from_url(empty_redis_url)
        async with client as redis:
            await redis.flushall()
            manager = OAuthManager(KEY)
            for user, providers in held.items():
                for name in providers:
                    sealed = manager._storage.sealer.seal(
                        "tokens", user, name, TokenData("a").to_record()
                    )
                    await redis.set(tokens_key(user, name), sealed)
            return (await manager.census(redis)).people

    assert asyncio.run(count()) == sum(map(bool, held.values()))


async def test_open_links_are_those_that_can_still_be_used(
    manager: OAuthManager, redis: Redis
) -> None:
    await manager.create_link_code(redis, "u1")
    used = await manager.create_link_code(redis, "u1", provider="github")
    await manager.generate_connect_url("u2", "google", redis)
    assert (await manager.census(redis)).open_links == 3
    await manager.resolve_link_code(redis, used)
    await manager.cancel_links(redis, "u2")
    assert (await manager.census(redis)).open_links == 1


async def test_notices_count_until_the_bot_has_acknowledged_them(
    manager: OAuthManager, either: Any
) -> None:
    for user in ("u1", "u2", "u3"):
        await manager.link_cancelled(either, LinkRequest(user, "github"))
    assert (await manager.census(either)).notices_unread == 3
    bot = manager.notices(either, "one")
    await anext(bot)
    assert (await manager.census(either)).notices_unread == 3
    await anext(bot)
    assert (await manager.census(either)).notices_unread == 2
    await anext(bot)
    await bot.aclose()  # type: ignore[attr-defined]


async def test_an_open_link_leaves_no_notice_unread(manager: OAuthManager, redis: Redis) -> None:
    await manager.create_link_code(redis, "u1", provider="github")
    assert (await manager.census(redis)).notices_unread == 0


async def test_it_walks_in_pages(
    manager: OAuthManager, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_pages, "PAGE", 3)
    for number in range(10):
        await put(manager, redis, f"u{number}", "github", Profile(), TokenData("a"))
        await put(manager, redis, f"u{number}", "google", Profile(), TokenData("a"))
    found = await manager.census(redis)
    assert found.people == 10
    assert found.connections == {"github": {"connected": 10}, "google": {"connected": 10}}


class LockChanged(dict[str, Any]):
    """Providers; at the first connection that a walk asks for, something happens to its lock."""

    def __init__(self, url: str, providers: Any, happens: Callable[[Blocking], object]) -> None:
        super().__init__(providers)
        self.url, self.happens = url, happens
        self.lives: list[int] = []  # ms, at each connection

    def get(self, name: str, default: Any = None) -> Any:
        with Blocking.from_url(self.url) as redis:
            self.lives.append(int(str(redis.pttl(keys.CENSUS_LOCK))))
            if len(self.lives) == 1:
                self.happens(redis)
        return super().get(name, default)


async def test_its_lock_lasts_as_long_as_it_walks(
    manager: OAuthManager, redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_server()
    monkeypatch.setattr(key_pages, "PAGE", 1)
    for user in ("u1", "u2", "u3"):
        await manager.store_token(redis, user, TokenData("a", provider="github"))
    walk = LockChanged(redis_url, manager.providers, lambda r: r.pexpire(keys.CENSUS_LOCK, 20_000))
    assert await census.recent(manager._storage, redis, walk)
    assert min(walk.lives[2:]) > 20_000
    assert not await redis.exists(keys.CENSUS_LOCK)


async def test_its_lock_lasts_among_many_keys_of_others(
    manager: OAuthManager, redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_server()
    monkeypatch.setattr(key_pages, "PAGE", 10)
    monkeypatch.setattr(key_pages, "MOST_LOOKS", 2)
    await put_strangers(redis, 1000)
    for user in ("u1", "u2", "u3"):
        await manager.store_token(redis, user, TokenData("a", provider="github"))
    looks = 0

    async def go_on() -> None:
        nonlocal looks
        looks += 1

    found = await census.count(manager._storage, redis, manager.providers, go_on)
    assert found.people == 3
    assert looks > 2 * 1000 / (2 * 10) / 2  # two walks; a look takes more than was asked for


async def test_a_walk_that_lost_its_lock_leaves_the_counts_and_the_lock_to_another(
    manager: OAuthManager, redis: Redis, redis_url: str
) -> None:
    one_server()
    await manager.store_token(redis, "u1", TokenData("a", provider="github"))
    walk = LockChanged(redis_url, manager.providers, lambda r: r.set(keys.CENSUS_LOCK, "theirs"))
    assert await census.recent(manager._storage, redis, walk) is None
    assert await redis.get(keys.CENSUS_LOCK) == b"theirs"
    assert not await redis.exists(keys.CENSUS)


async def test_with_another_key_it_says_so(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    await connected(manager, fake, redis, "u1", "github")
    theirs = manager_for(fake, key=OTHER_KEY)
    assert (await theirs.census(redis)).fit is Fit.NO_RECORD_OPENS
    await manager.settle(redis)
    found = await theirs.census(redis)
    assert found.fit is Fit.WRONG_KEY
    assert found.connections == {"github": {"unreadable": 1}}
    both = await manager_for(fake, key=f"{OTHER_KEY},{KEY}").census(redis)
    assert both.connections == {"github": {"connected": 1}}


async def test_it_counts_in_a_cluster(
    manager: OAuthManager, fake: FakeProvider, cluster: RedisCluster
) -> None:
    for user in ("u1", "u2"):
        await manager.store_token(cluster, user, granted(fake, "google", expires_at=OVER))
    found = await manager.census(cluster)
    assert (found.people, found.connections) == (2, {"google": {"connected": 2}})
