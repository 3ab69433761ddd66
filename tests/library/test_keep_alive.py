"""Keep-alive: grants that nobody uses live on, within the provider's bounds."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

import pytest
from redis.asyncio import Redis, RedisCluster

from tests.kit.every import every
from tests.kit.fake_answers import error_answer, json_answer
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import (
    connected,
    fake_provider,
    manager_for,
    opened,
    providers_config,
    put_strangers,
    text_at,
    time_passes,
)
from tests.kit.site_fixtures import site_environment
from webui.oauth_manager import KeepAlive, OAuthManager, OAuthProvider, Status, TokenData
from webui.oauth_manager.clock import Clock
from webui.oauth_manager.flows import keep_alive
from webui.oauth_manager.storage import key_pages, keys
from webui.oauth_manager.storage.keep_alive_turn import TURN_SECONDS, Turn
from webui.oauth_manager.storage.key_pages import Bookmark, Page

pytestmark = pytest.mark.anyio

LIMIT = 10.0  # seconds
PEOPLE = ("ann", "ben", "cem", "dee", "eve")


class CountedTurn(Turn):
    """A turn that counts how often it was kept."""

    looks = 0

    async def goes_on(self) -> bool:
        self.looks += 1
        return await super().goes_on()


@pytest.fixture
def manager(fake: FakeProvider) -> OAuthManager:
    """A process that knows of Google that it ends what was unused for ten seconds."""
    manager = manager_for(fake)
    manager.providers["google"].idle_limit = LIMIT
    return manager


async def put_people(manager: OAuthManager, fake: FakeProvider, redis: Redis) -> None:
    for user_id in PEOPLE:
        await connected(manager, fake, redis, user_id, "google")


async def states(manager: OAuthManager, redis: Redis) -> list[Status]:
    return [(await manager.connection(redis, user, "google")).status for user in PEOPLE]


class TestAPass:
    async def test_again_and_again_lets_a_grant_live_that_would_die_of_disuse(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await put_people(manager, fake, redis)
        for _ in range(10):
            time_passes(manager, 4)
            done = await manager.keep_alive(redis)
            assert done == KeepAlive(renewed=len(PEOPLE))
        assert fake.calls["refresh"] == 10 * len(PEOPLE)
        token = await opened(manager, redis, "ann")
        assert token
        assert fake.is_alive(token.refresh_token)
        assert await states(manager, redis) == [Status.CONNECTED] * len(PEOPLE)

    async def test_leaves_alone_what_was_renewed_lately(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await put_people(manager, fake, redis)
        time_passes(manager, 3)
        assert await manager.keep_alive(redis) == KeepAlive(young=len(PEOPLE))
        assert fake.calls["refresh"] == 0

    async def test_notes_its_end_and_leaves_no_place_and_no_turn(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await put_people(manager, fake, redis)
        await manager.keep_alive(redis)
        now = manager.clock.now()
        assert abs(int(await text_at(redis, keys.LAST_KEEP_ALIVE)) - now) < 5
        assert not await redis.exists(keys.KEEP_ALIVE, keys.KEEP_ALIVE_LOCK)

    async def test_tells_a_person_whose_grant_has_ended(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await put_people(manager, fake, redis)
        time_passes(manager, 4)
        fake.script("token", error_answer("invalid_grant"))
        done = await manager.keep_alive(redis)
        assert done == KeepAlive(ended=1, renewed=len(PEOPLE) - 1)
        assert (await states(manager, redis)).count(Status.RECONNECT_NEEDED) == 1

    @every(
        "change",
        [
            {"idle_limit": 0.0},
            {"client_secret": ""},
        ],
    )
    async def test_leaves_a_provider_alone_if_renewing_brings_nothing(
        self, fake: FakeProvider, redis: Redis, change: dict[str, object]
    ) -> None:
        await redis.flushall()
        manager = manager_for(fake)
        manager.providers["google"].idle_limit = LIMIT
        await connected(manager, fake, redis, "ann", "google")
        for name, value in change.items():
            setattr(manager.providers["google"], name, value)
        time_passes(manager, 9)
        assert await manager.keep_alive(redis) == KeepAlive()

    async def test_leaves_alone_what_has_no_refresh_token_and_what_cannot_be_read(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await manager.store_token(redis, "ann", TokenData("access", provider="google"))
        await redis.set(keys.tokens("ben", "google"), "junk")
        await redis.set("stargazer:oauth_tokens:%00:google", "junk")
        time_passes(manager, 1e6)
        assert await manager.keep_alive(redis) == KeepAlive()

    async def test_walks_a_cluster_too(
        self, manager: OAuthManager, fake: FakeProvider, cluster: RedisCluster
    ) -> None:
        for user_id in PEOPLE:
            await connected(manager, fake, cluster, user_id, "google")
        time_passes(manager, 4)
        assert await manager.keep_alive(cluster) == KeepAlive(renewed=len(PEOPLE))


class TestTrouble:
    async def test_of_one_provider_does_not_end_the_pass(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        manager.providers["discord"].idle_limit = LIMIT
        await put_people(manager, fake, redis)
        await connected(manager, fake, redis, "ann", "discord")
        time_passes(manager, 4)

        async def google_is_away(request: object) -> object:
            if "/google" in str(getattr(request, "path", "")):
                return error_answer("server_error", 503)
            return await fake.respond(request)  # type: ignore[arg-type]

        fake.always["token"] = google_is_away  # type: ignore[assignment]
        done = await manager.keep_alive(redis)
        assert done == KeepAlive(renewed=1, failed=3, put_off=len(PEOPLE) - 3)
        assert await states(manager, redis) == [Status.CONNECTED] * len(PEOPLE)

    async def test_with_a_pause_that_it_asks_for_is_obeyed_by_every_pass(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await put_people(manager, fake, redis)
        time_passes(manager, 4)
        fake.script("token", json_answer({"error": "slow_down"}, 429, retry_after="300"))
        done = await manager.keep_alive(redis)
        assert done == KeepAlive(failed=1, put_off=len(PEOPLE) - 1)
        assert await manager.keep_alive(redis) == KeepAlive(put_off=len(PEOPLE))
        assert fake.calls["refresh"] == 1

    async def test_with_our_settings_asks_once(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await put_people(manager, fake, redis)
        time_passes(manager, 4)
        fake.always["token"] = error_answer("invalid_client", 401)
        done = await manager.keep_alive(redis)
        assert done == KeepAlive(failed=1, put_off=len(PEOPLE) - 1)

    async def test_of_single_grants_in_unknown_words_leaves_nobody_else_out(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await put_people(manager, fake, redis)
        time_passes(manager, 4)
        for answer in (error_answer("odd"), error_answer("odd"), json_answer({"access_token": 7})):
            fake.script("token", answer)
        done = await manager.keep_alive(redis)
        assert done == KeepAlive(renewed=len(PEOPLE) - 3, failed=3)


class TestTheTurn:
    async def test_is_kept_while_the_keys_are_counted(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(key_pages, "PAGE", 1)
        await put_people(manager, fake, redis)
        turn = CountedTurn(redis, Clock())
        assert await turn.begin()
        work = keep_alive._Pass(manager._services, redis, {}, turn, 60, 1.0)
        assert await work._count(keys.RECORD_PATTERNS["tokens"], {}) == len(PEOPLE)
        assert turn.looks > 1
        await redis.set(keys.KEEP_ALIVE_LOCK, "another's")
        with pytest.raises(key_pages.TurnLost):
            await work._count(keys.RECORD_PATTERNS["tokens"], {})

    async def test_is_kept_among_many_keys_of_others(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(key_pages, "PAGE", 10)
        monkeypatch.setattr(key_pages, "MOST_LOOKS", 2)
        await put_strangers(redis, 1000)
        await put_people(manager, fake, redis)
        time_passes(manager, 4)
        marked: list[int] = []
        put = Bookmark.put

        async def seen(self: Bookmark, page: Page) -> None:
            marked.append(len(page.keys))
            await put(self, page)

        monkeypatch.setattr(Bookmark, "put", seen)
        assert await manager.keep_alive(redis) == KeepAlive(renewed=len(PEOPLE))
        assert marked.count(0) > 10

    async def test_is_of_one_at_a_time(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await put_people(manager, fake, redis)
        time_passes(manager, 4)
        others = [manager_for(fake) for _ in range(5)]
        gate = fake.gate("token")
        first = asyncio.create_task(manager.keep_alive(redis))
        await gate.reached()
        assert [await other.keep_alive(redis) for other in others] == [None] * 5
        gate.open()
        assert await first == KeepAlive(renewed=len(PEOPLE))

    async def test_of_a_killed_process_runs_out(self, redis: Redis) -> None:
        killed, other = Turn(redis, Clock()), Turn(redis, Clock())
        assert await killed.begin()
        assert not await other.begin()
        assert 0 < await redis.pttl(keys.KEEP_ALIVE_LOCK) <= TURN_SECONDS * 1000
        await redis.delete(keys.KEEP_ALIVE_LOCK)
        assert await other.begin()
        assert not await killed.goes_on()
        await killed.end()
        assert await other.goes_on()

    async def test_counts_the_renewals_of_a_minute_for_all(self, redis: Redis) -> None:
        one, other = Turn(redis, Clock()), Turn(redis, Clock())
        asked = [await turn.wait_for("google", 3) for turn in (one, other, one, other)]
        assert asked[:3] == [0, 0, 0]
        assert 0 < asked[3] <= 60
        assert await one.wait_for("discord", 3) == 0
        assert await redis.pexpire(keys.keep_alive_minute("google"), 1)
        async with asyncio.timeout(5):
            while await one.wait_for("google", 3):
                pass

    async def test_goes_to_a_pass_of_the_site_once_within_its_time(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.keep_alive(redis)
        assert await manager.keep_alive(redis, every=3600) is None
        time_passes(manager, 3601)
        assert await manager.keep_alive(redis, every=3600) == KeepAlive()

    async def test_that_was_given_up_midway_goes_on_there(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await put_people(manager, fake, redis)
        time_passes(manager, 4)
        gate = fake.gate("token")
        killed = asyncio.create_task(manager.keep_alive(redis))
        await gate.reached()
        killed.cancel()
        with suppress(asyncio.CancelledError):
            await killed
        gate.open()
        await manager._tasks.drain()
        done = await manager.keep_alive(redis)
        assert done == KeepAlive(renewed=len(PEOPLE) - 1, young=1)
        assert fake.calls["refresh"] == len(PEOPLE)


async def test_two_processes_that_are_started_together_make_one_pass(
    redis: Redis, redis_url: str
) -> None:
    fake = fake_provider()
    with serve(fake) as base_url:
        manager = OAuthManager(
            "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            "http://127.0.0.1:8000",
            providers_config(fake, base_url, ["google"]),
        )
        old = manager.clock.now() - 3600
        for user_id in PEOPLE:
            granted = fake.grant("/google")
            token = TokenData(
                granted["access_token"], granted["refresh_token"], old + 7200, provider="google"
            )
            await manager.store_token(redis, user_id, token)
        config = providers_config(fake, base_url, ["google"])
        environment = site_environment("http://127.0.0.1:8000", redis_url, config)
        environment["GOOGLE_IDLE_LIMIT"] = "3h"
        both = [
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "webui",
                "keep-alive",
                env=environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            for _ in range(2)
        ]
        said = [await process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert fake.calls["refresh"] == len(PEOPLE)
    assert sum(b"5 renewed" in out for out, _ in said) == 1, said


@every("limit", [-1, float("nan"), float("inf"), "soon"])
def test_a_limit_that_is_no_time_is_refused(limit: object) -> None:
    with pytest.raises(ValueError, match=r"seconds|float"):
        OAuthProvider("x", "https://x.example/a", "https://x.example/t", idle_limit=limit)  # type: ignore[arg-type]
