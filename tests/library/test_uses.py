"""Last uses of a connection: written later, seldom, and never in a tool's way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.clock import FakeClock
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import NO_REDIS, connected, granted, subject, time_passes
from tests.kit.redis_wire import Wire
from webui.oauth_manager import OAuthManager, Profile, StoreUnavailable
from webui.oauth_manager.flows import tokens
from webui.oauth_manager.flows.last_used import DELAY, WRITE_EVERY, WRITERS, Uses
from webui.oauth_manager.flows.tasks import Tasks
from webui.oauth_manager.storage.storage import Subject
from webui.oauth_manager.values import replace

pytestmark = pytest.mark.anyio

A_DAY = 86400.0


class Written:
    """Writes of ``Uses``, which writes at once here, and says so."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.uses = Uses(self._write, Tasks(), self.clock, delay=0)
        self.found: list[tuple[str, str]] = []
        self._come = asyncio.Event()

    async def _write(self, used: Subject) -> None:
        self.found.append((used.user_id, used.provider.name))
        self._come.set()

    def use(self, user_id: str, provider: str, token: str = "a") -> None:
        self.uses.note(subject(NO_REDIS, user_id, provider), token)

    async def written(self) -> list[tuple[str, str]]:
        """Everything up to the end mark, whose use comes last."""
        self.uses.note(subject(NO_REDIS, "the end", f"end-{len(self.found)}"), "")
        async with asyncio.timeout(30):
            while self.found[-1:] == [] or self.found[-1][0] != "the end":
                self._come.clear()
                await self._come.wait()
        return [use for use in self.found if use[0] != "the end"]


async def profile_of(manager: OAuthManager, redis: Any) -> Profile:
    return (await manager.connection(redis, "ann", "google")).profile


async def used(manager: OAuthManager, redis: Any, provider: str = "google") -> None:
    """The use is written now, and not a few seconds later."""
    await tokens.used(manager._services, manager._subject(redis, "ann", provider))


async def kinds(manager: OAuthManager, redis: Any) -> list[str]:
    return [event.kind for event in (await manager.activity(redis, "ann")).events]


class TestWhenItIsWritten:
    async def test_a_token_costs_one_round_trip_and_its_use_comes_later(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        client: tuple[Redis, Wire],
    ) -> None:
        assert DELAY > 0
        await connected(manager, fake, redis, "ann", "google")
        for _ in range(3):
            assert await manager.get_token("ann", "google", client[0])
        assert client[1].round_trips == 3
        assert (await profile_of(manager, redis)).used_at == 0

    async def test_the_caller_does_not_wait_for_it(self) -> None:
        written = Written()
        written.use("ann", "google")
        assert written.found == []
        assert await written.written() == [("ann", "google")]

    async def test_many_uses_of_an_hour_are_written_once(self) -> None:
        written = Written()
        for _ in range(100):
            written.use("ann", "google")
        assert await written.written() == [("ann", "google")]

    async def test_each_connection_has_an_hour_of_its_own(self) -> None:
        written = Written()
        for user, provider in (("ann", "google"), ("ann", "github"), ("ben", "google")):
            written.use(user, provider)
        assert len(await written.written()) == 3

    async def test_after_an_hour_it_is_written_again(self) -> None:
        written = Written()
        written.use("ann", "google")
        written.clock.advance(WRITE_EVERY)
        written.use("ann", "google")
        assert len(await written.written()) == 2

    async def test_another_token_is_not_taken_for_the_connection_it_replaced(self) -> None:
        written = Written()
        for token in "aabb":
            written.use("ann", "google", token)
        assert len(await written.written()) == 2

    async def test_no_token_can_be_read_off_what_is_remembered(self) -> None:
        written = Written()
        written.use("ann", "google", "gho_canary")
        assert "canary" not in repr(vars(written.uses))

    async def test_what_is_remembered_for_that_is_bounded(self) -> None:
        written = Written()
        written.uses._noted.update({(f"u{number}", "google"): (0.0, 0) for number in range(10_000)})
        for user in ("ann", "ben"):
            written.use(user, "google")
        assert len(written.uses._noted) == 10_000
        assert await written.written() == [("ann", "google"), ("ben", "google")]

    async def test_no_use_is_noted_where_there_is_no_token(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        assert await manager.get_token("ann", "google", redis) is None
        assert manager._uses._noted == {}

    async def test_looking_at_connections_is_no_use(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")
        await manager.connections(redis, "ann")
        await manager.list_user_connections("ann", redis)
        await manager.has_token("ann", "google", redis)
        await manager.check(redis, "ann", "google")
        assert manager._uses._noted == {}


class TestTheEnd:
    async def test_of_a_manager_leaves_alone_a_redis_that_is_closed_with_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, client: tuple[Redis, Wire]
    ) -> None:
        manager._uses._delay = 0
        await connected(manager, fake, redis, "ann", "google")
        assert await manager.get_token("ann", "google", client[0])
        await manager.aclose()
        asked = client[1].round_trips
        await asyncio.sleep(0)
        await manager.aclose()
        assert client[1].round_trips == asked
        assert (await profile_of(manager, redis)).used_at == 0


def test_nothing_is_kept_of_event_loops_that_ended_before_their_uses_were_written() -> None:
    async def write(_: Subject) -> None:
        raise AssertionError("its loop has ended")

    uses = Uses(write, Tasks(), FakeClock(), delay=3600)

    async def use(user_id: str) -> None:
        uses.note(subject(NO_REDIS, user_id), "a")

    for user_id in ("ann", "ben", "carol"):
        asyncio.run(use(user_id))
    assert len(uses._queues) == 1


class TestACrowd:
    async def test_of_first_uses_is_written_whole_by_few_at_once(self) -> None:
        at_work: list[str] = []
        most, written = 0, []
        gate, all_begun = asyncio.Event(), asyncio.Event()

        async def write(used: Subject) -> None:
            nonlocal most
            at_work.append(used.user_id)
            most = max(most, len(at_work))
            if most == WRITERS:
                all_begun.set()
            await gate.wait()
            at_work.remove(used.user_id)
            written.append(used.user_id)

        tasks = Tasks()
        uses = Uses(write, tasks, FakeClock(), delay=0)
        people = [f"u{number}" for number in range(300)]
        for user_id in people:
            uses.note(subject(NO_REDIS, user_id), "a")
        async with asyncio.timeout(30):
            await all_begun.wait()
        gate.set()
        await tasks.drain()
        assert (sorted(written), most) == (sorted(people), WRITERS)
        assert uses._queues == {}

    async def test_is_written_on_after_one_that_could_not_be(self) -> None:
        written = []

        async def write(used: Subject) -> None:
            if used.user_id == "u1":
                raise StoreUnavailable("write a use")
            written.append(used.user_id)
            if len(written) == 2:
                both.set()

        both = asyncio.Event()
        tasks = Tasks()
        uses = Uses(write, tasks, FakeClock(), delay=0)
        for user_id in ("u0", "u1", "u2"):
            uses.note(subject(NO_REDIS, user_id), "a")
        async with asyncio.timeout(30):
            await both.wait()
        await tasks.drain()
        assert written == ["u0", "u2"]


class TestWhatIsWritten:
    async def test_the_time_stands_beside_the_tokens(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")
        before = await profile_of(manager, redis)
        await used(manager, redis)
        after = await profile_of(manager, redis)
        assert after.used_at > 0
        assert replace(after, used_at=0.0) == before

    async def test_the_first_use_of_a_day_is_an_event_and_the_others_are_not(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")
        await used(manager, redis)
        await used(manager, redis)
        assert await kinds(manager, redis) == ["used", "connected"]
        time_passes(manager, A_DAY)
        await used(manager, redis)
        assert await kinds(manager, redis) == ["used", "used", "connected"]

    async def test_within_an_hour_nothing_is_written_again_whichever_process_asks(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")
        await used(manager, redis)
        at = (await profile_of(manager, redis)).used_at
        time_passes(manager, WRITE_EVERY - 60)
        await used(manager, redis)
        assert (await profile_of(manager, redis)).used_at == at
        time_passes(manager, 60)
        await used(manager, redis)
        assert (await profile_of(manager, redis)).used_at >= at + WRITE_EVERY

    async def test_a_connection_made_anew_has_its_first_use_written(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")
        await used(manager, redis)
        await manager.delete_token(redis, "ann", "google")
        await connected(manager, fake, redis, "ann", "google")
        await used(manager, redis)
        assert (await profile_of(manager, redis)).used_at > 0

    async def test_a_reconnect_of_the_same_account_keeps_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")
        await used(manager, redis)
        before = await profile_of(manager, redis)
        await connected(manager, fake, redis, "ann", "google")
        after = await profile_of(manager, redis)
        assert after.connected_at > before.connected_at
        assert after.used_at == before.used_at > 0

    async def test_the_event_says_that_the_bot_did_and_with_which_account(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.account = {"sub": "1", "email": "ann@b.example"}
        await connected(manager, fake, redis, "ann", "google")
        await used(manager, redis)
        event = (await manager.activity(redis, "ann", kinds=["used"])).events[0]
        assert (event.provider, event.by, event.account) == ("google", "bot", "ann@b.example")

    async def test_ten_processes_make_one_event_of_a_day(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")
        await asyncio.gather(*(used(manager, redis) for _ in range(10)))
        assert await kinds(manager, redis) == ["used", "connected"]

    async def test_a_disconnect_meanwhile_wins_and_nothing_is_told(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")
        await manager.delete_token(redis, "ann", "google")
        await used(manager, redis)
        assert await profile_of(manager, redis) == Profile()
        assert "used" not in await kinds(manager, redis)

    async def test_tokens_with_nothing_beside_them_are_not_told_of_every_hour(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        """Those of the older system."""
        await manager.store_token(redis, "ann", granted(fake, "google", expires_at=4e9))
        for _ in range(3):
            await used(manager, redis)
        assert await kinds(manager, redis) == ["used"]
