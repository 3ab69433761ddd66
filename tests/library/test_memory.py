"""Shown connections that are remembered: never a stale one, and no secret."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import NO_REDIS, age, connected, manager_for, subject, text_at, time_passes
from webui.oauth_manager import OAuthManager, Status, StoreUnavailable, TokenData
from webui.oauth_manager.flows.memory import Memory
from webui.oauth_manager.models import Connection
from webui.oauth_manager.storage.records import Sealed
from webui.oauth_manager.values import replace

pytestmark = pytest.mark.anyio


async def assert_fresh(manager: OAuthManager, redis: Redis, fake: FakeProvider) -> None:
    """What a manager shows that has seen it all is what one shows that has seen nothing."""
    stranger = manager_for(fake)
    time_passes(stranger, manager.clock.now() - stranger.clock.now())
    known = await manager.connections(redis, "ann")
    assert known == await stranger.connections(redis, "ann")
    assert known == await manager.connections(redis, "ann")


async def test_after_every_change_what_is_shown_is_what_is_stored(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    other = manager_for(fake)
    await assert_fresh(manager, redis, fake)
    for provider in manager.providers:
        await connected(other, fake, redis, "ann", provider)
        await assert_fresh(manager, redis, fake)
    await age(other, redis, "ann", "google")
    await assert_fresh(manager, redis, fake)
    assert await other.get_token("ann", "google", redis)
    await assert_fresh(manager, redis, fake)
    await other.check(redis, "ann", "github")
    await assert_fresh(manager, redis, fake)
    await other.accept_missing(redis, "ann", "discord")
    await assert_fresh(manager, redis, fake)
    await redis.set("stargazer:oauth_connection:ann:discord", "junk")
    await assert_fresh(manager, redis, fake)
    await redis.set("stargazer:oauth_tokens:ann:discord", "junk")
    await assert_fresh(manager, redis, fake)
    await redis.delete("stargazer:oauth_tokens:ann:discord")
    await redis.rpush("stargazer:oauth_tokens:ann:discord", "a list")
    await assert_fresh(manager, redis, fake)
    for provider in manager.providers:
        await other.delete_token(redis, "ann", provider)
        await assert_fresh(manager, redis, fake)


async def test_access_that_runs_out_is_shown_as_over_though_no_text_has_changed(
    manager: OAuthManager, redis: Redis
) -> None:
    ends = manager.clock.now() + 100
    await manager.store_token(redis, "ann", TokenData("a", "", ends, provider="github"))
    for passed, status in ((0, Status.CONNECTED), (99, Status.CONNECTED), (1, "over")):
        time_passes(manager, passed)
        known = await manager.connection(redis, "ann", "github")
        assert known.status is (Status.RECONNECT_NEEDED if status == "over" else status)


async def test_an_interrupted_disconnect_is_resumed_by_one_who_remembers_the_connection(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    await connected(manager, fake, redis, "ann", "google")
    await manager.connections(redis, "ann")
    value = await redis.get("stargazer:oauth_tokens:ann:google")
    assert value is not None
    await redis.set("stargazer:oauth_revoke:ann:google", "junk")
    assert (await manager.connection(redis, "ann", "google")).status is Status.CONNECTED


async def test_no_secret_and_no_sealed_text_is_remembered(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    plain = OAuthManager("", "https://bot.example")
    await plain.store_token(redis, "ann", TokenData("canary-token", "canary-r", provider="github"))
    assert (await plain.connection(redis, "ann", "github")).has_tokens
    assert "canary" not in repr(plain._memory._known)
    await redis.flushall()
    await connected(manager, fake, redis, "ben", "google")
    await manager.connections(redis, "ben")
    sealed = await text_at(redis, "stargazer:oauth_tokens:ben:google")
    assert sealed not in repr(manager._memory._known)


class TestItsSize:
    SHOWN = Connection("google", Status.CONNECTED)

    def test_is_bounded_and_the_longest_unseen_gives_way(self) -> None:
        memory, sealed = Memory(most=3), Sealed("t", "p")
        people = [subject(NO_REDIS, name) for name in "abcd"]
        for person in people[:3]:
            memory.keep(person, sealed, self.SHOWN)
        assert memory.recall(people[0], sealed, 0.0)
        memory.keep(people[3], sealed, self.SHOWN)
        left = [memory.recall(person, sealed, 0.0) is not None for person in people]
        assert left == [True, False, True, True]

    def test_one_of_other_texts_is_dropped_when_it_is_found(self) -> None:
        memory, sealed = Memory(), Sealed("t", "p")
        for other in (replace(sealed, tokens="x"), replace(sealed, profile="x"), Sealed()):
            memory.keep(subject(NO_REDIS, "a"), sealed, self.SHOWN)
            assert memory.recall(subject(NO_REDIS, "a"), other, 0.0) is None
            assert memory.recall(subject(NO_REDIS, "a"), sealed, 0.0) is None


async def test_a_connection_read_beside_another_command_is_what_it_is_alone(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    for number in range(3):
        found, answer = await manager.connection_beside(
            redis, "ann", "google", lambda pipe: pipe.incr("count")
        )
        assert found == await manager.connection(redis, "ann", "google")
        assert answer == number + 1
        if number == 0:
            await connected(manager, fake, redis, "ann", "google")
        else:
            await redis.delete("stargazer:oauth_tokens:ann:google")
            await redis.rpush("stargazer:oauth_tokens:ann:google", "a list")


async def test_a_command_that_is_refused_beside_a_read_is_named_as_redis_failure(
    manager: OAuthManager, redis: Redis
) -> None:
    await redis.rpush("count", "a list")
    with pytest.raises(StoreUnavailable, match="ResponseError"):
        await manager.connection_beside(redis, "ann", "google", lambda pipe: pipe.incr("count"))
