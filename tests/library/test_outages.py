"""A renewed pair exists once: the process that holds it stores it, however long Redis is away."""

from __future__ import annotations

import asyncio
import logging

import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import error_answer
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    age,
    began,
    callback_query,
    connected,
    fake_provider,
    granted,
    manager_for,
    opened,
    text_at,
)
from tests.kit.redis_wire import Wire
from webui.oauth_manager import (
    Attempt,
    Connection,
    OAuthManager,
    OAuthUnavailable,
    StoreUnavailable,
    TokenData,
)

pytestmark = pytest.mark.anyio

LOCK = "stargazer:oauth_lock:u1:google"
REPLACING = b"unpack(ARGV[3]"  # in the script that replaces what was read


async def get(manager: OAuthManager, redis: Redis) -> str | None:
    return await manager.get_token("u1", "google", redis)


async def begun_in_a_browser(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> tuple[Attempt, str]:
    url = await manager.begin(redis, "u1", "google", browser="b")
    query = callback_query(fake.authorize(url))
    attempt = await manager.links.take_attempt(redis, query["state"], "b")
    assert attempt is not None
    return attempt, query["code"]


async def stored(manager: OAuthManager, redis: Redis) -> TokenData:
    token = await opened(manager, redis)
    assert token is not None
    return token


class TestRedisGoesAwayWhileTheProviderAnswers:
    async def held(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, wire: Wire, waiting: int = 3
    ) -> list[asyncio.Task[str | None]]:
        """Callers wait, the provider has rotated the pair, and Redis is away."""
        await manager.store_token(redis, "u1", granted(fake, "google"))
        gate = fake.gate("token")
        wire.sent.clear()
        asking = [asyncio.create_task(get(manager, redis)) for _ in range(waiting)]
        await wire.carried(lambda sent: sent.endswith(b":oauth_tokens:u1:google\r\n"))
        await gate.reached()
        wire.is_down = True
        gate.open()
        return asking

    async def test_those_who_wait_get_the_new_token_before_it_is_stored(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire], redis: Redis
    ) -> None:
        old = await self.held(manager, fake, *client)
        given = set(await asyncio.gather(*old))
        assert len(given) == 1
        token = str(given.pop())
        assert fake.is_alive(token)
        assert (await stored(manager, redis)).access_token != token
        client[1].is_down = False
        await manager.aclose()
        assert (await stored(manager, redis)).access_token == token

    async def test_the_pair_is_stored_when_redis_is_back_whoever_was_told_what(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire], redis: Redis
    ) -> None:
        asking = await self.held(manager, fake, *client)
        await asyncio.gather(*asking)
        client[1].is_down = False
        await manager.aclose()
        token = await stored(manager, redis)
        assert fake.is_alive(token.access_token)
        assert fake.is_alive(token.refresh_token)
        assert not await redis.exists(LOCK)
        assert fake.calls["refresh"] == 1

    async def test_whoever_comes_later_is_given_nothing_that_redis_has_not_confirmed(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire]
    ) -> None:
        await asyncio.gather(*await self.held(manager, fake, *client))
        with pytest.raises(StoreUnavailable):
            await get(manager, client[0])
        client[1].is_down = False
        await manager.aclose()

    async def test_whoever_comes_later_gets_it_while_redis_reads_and_does_not_write(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire], redis: Redis
    ) -> None:
        given = await asyncio.gather(*await self.held(manager, fake, *client))
        wire = client[1]
        wire.refused = {REPLACING: 10**6}
        wire.is_down = False
        assert await get(manager, client[0]) == given[0]
        wire.refused = {}
        await manager.aclose()
        assert (await stored(manager, redis)).access_token == given[0]
        assert fake.calls["refresh"] == 1

    async def test_a_disconnect_meanwhile_wins(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire], redis: Redis
    ) -> None:
        given = await asyncio.gather(*await self.held(manager, fake, *client))
        await manager_for(fake).delete_token(redis, "u1", "google")
        client[1].is_down = False
        await manager.aclose()
        assert await opened(manager, redis) is None
        assert not fake.is_alive(str(given[0]))

    async def test_a_reconnect_meanwhile_wins(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire], redis: Redis
    ) -> None:
        await asyncio.gather(*await self.held(manager, fake, *client))
        other = manager_for(fake)
        attempt, code = await began(other, fake, redis, "u1", "google")
        await other.complete(redis, attempt, code)
        fresh = await stored(manager, redis)
        client[1].is_down = False
        await manager.aclose()
        assert (await stored(manager, redis)).access_token == fresh.access_token

    async def test_a_pair_that_cannot_be_stored_before_the_end_is_logged_as_lost(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        client: tuple[Redis, Wire],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        given = await asyncio.gather(*await self.held(manager, fake, *client))
        with caplog.at_level(logging.ERROR):
            await manager.aclose(grace=0.05)
        assert (
            "a renewed token of 'u1' could not be stored before the end and is lost" in caplog.text
        )
        assert str(given[0]) not in caplog.text


class TestTakingOver:
    """A process whose time of holding the lock has passed may still hold the only pair."""

    async def abandoned(self, fake: FakeProvider, redis: Redis) -> TokenData:
        """An owner that never let go; its time has passed."""
        due = granted(fake, "google")
        await manager_for(fake).store_token(redis, "u1", due)
        await redis.set(LOCK, "sent:0123456789abcdef:1000", px=3_600_000)
        return due

    async def test_waits_for_the_pair_of_an_owner_that_was_cut_off(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, client: tuple[Redis, Wire]
    ) -> None:
        await self.abandoned(fake, redis)
        asking = asyncio.create_task(get(manager, client[0]))
        await client[1].carried(lambda sent: b"oauth_lock" in sent, 4)
        fresh = granted(fake, "google", expires_at=4e9)
        await manager_for(fake).store_token(redis, "u1", fresh)
        assert await asking == fresh.access_token
        assert fake.calls["refresh"] == 0

    async def test_happens_once_redis_has_answered_for_a_while_without_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await self.abandoned(fake, redis)
        token = await get(manager, redis)
        assert fake.is_alive(str(token))
        assert fake.calls["refresh"] == 1
        assert not await redis.exists(LOCK)

    async def test_is_done_by_one_of_many(self, fake: FakeProvider, redis: Redis) -> None:
        await self.abandoned(fake, redis)
        tokens = await asyncio.gather(*(get(manager_for(fake), redis) for _ in range(6)))
        assert fake.calls["refresh"] == 1
        assert len(set(tokens)) == 1

    async def test_begins_to_count_anew_where_redis_did_not_answer(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, client: tuple[Redis, Wire]
    ) -> None:
        await self.abandoned(fake, redis)
        asking = asyncio.create_task(get(manager, client[0]))
        await client[1].carried(lambda sent: b"oauth_lock" in sent, 4)
        client[1].is_down = True
        with pytest.raises(StoreUnavailable):
            await asking
        assert fake.calls["refresh"] == 0

    async def test_of_a_lock_written_by_an_earlier_version_waits_for_its_end(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        await redis.set(LOCK, "0123456789abcdef", px=100)
        assert await get(manager, redis) is not None
        assert fake.calls["refresh"] == 1

    async def test_is_spared_where_the_owner_let_go(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.script("token", error_answer("server_error", 500))
        await manager.store_token(redis, "u1", granted(fake, "google"))
        with pytest.raises(OAuthUnavailable):
            await get(manager, redis)
        assert (await text_at(redis, LOCK)).startswith("failed:1:")


async def test_a_second_manager_takes_the_pair_of_one_whose_redis_was_away(
    redis: Redis, client: tuple[Redis, Wire]
) -> None:
    """Two processes, one provider that ends the grant when a refresh token is used twice."""
    fake = fake_provider()
    cut_off, other = manager_for(fake), manager_for(fake)
    await connected(cut_off, fake, redis, "u1", "google")
    await age(cut_off, redis, "u1", "google")
    gate = fake.gate("token")
    first = asyncio.create_task(get(cut_off, client[0]))
    await gate.reached()
    client[1].is_down = True
    gate.open()
    given = await first
    # The time of holding passes while it is cut off.
    owner = (await text_at(redis, LOCK)).split(":")[1]
    await redis.set(LOCK, f"sent:{owner}:1000", px=3_600_000)
    second = asyncio.create_task(get(other, redis))
    await asyncio.sleep(0)
    client[1].is_down = False
    assert await second == given
    assert fake.calls["refresh"] == 1
    assert fake.is_alive(str(given))
    await cut_off.aclose()


class TestRedisGoesAwayDuringACallback:
    """The person waits a few seconds more, and is not sent to the provider again."""

    async def test_the_connection_is_stored_when_redis_is_back(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire], redis: Redis
    ) -> None:
        manager._services.patience = 30.0
        attempt, code = await begun_in_a_browser(manager, fake, redis)
        gate = fake.gate("account")
        finishing = asyncio.create_task(manager.complete(client[0], attempt, code))
        await gate.reached()
        client[1].refused = {b"oauth_connection:u1:google": 5}
        gate.open()
        assert isinstance(await finishing, Connection)
        assert fake.calls["revoke"] == 0
        assert fake.is_alive((await stored(manager, redis)).access_token)

    async def test_what_cannot_be_stored_in_time_is_given_back_and_told(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire], redis: Redis
    ) -> None:
        manager._services.patience = 0.3
        attempt, code = await begun_in_a_browser(manager, fake, redis)
        gate = fake.gate("account")
        finishing = asyncio.create_task(manager.complete(client[0], attempt, code))
        await gate.reached()
        client[1].is_down = True
        gate.open()
        with pytest.raises(StoreUnavailable):
            await finishing
        assert fake.calls["revoke"] == 1
        assert await opened(manager, redis) is None

    async def test_a_disconnect_meanwhile_wins(
        self, manager: OAuthManager, fake: FakeProvider, client: tuple[Redis, Wire], redis: Redis
    ) -> None:
        fake.account = {"sub": "42", "email": "mona@example.org"}
        await connected(manager, fake, redis, "u1", "google")
        manager._services.patience = 30.0
        attempt, code = await begun_in_a_browser(manager, fake, redis)
        gate = fake.gate("account")
        finishing = asyncio.create_task(manager.complete(client[0], attempt, code))
        await gate.reached()
        client[1].is_down = True
        gate.open()
        await manager_for(fake).delete_token(redis, "u1", "google")
        client[1].is_down = False
        assert await finishing is None
        assert await opened(manager, redis) is None
