"""Links that newer ones replace: their keys go, however many are asked for."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import BUILT_IN, callback_query, keys_at, manager_for
from tests.kit.redis_wire import Wire
from webui.oauth_manager import LinkRequest, OAuthManager
from webui.oauth_manager.links.proofs import MAX_OPEN as MAX_PROOFS
from webui.oauth_manager.storage.link_index import MAX_OPEN, state_of

pytestmark = pytest.mark.anyio


async def left(redis: Redis) -> list[str]:
    """The names of all links and states there are."""
    return [*await keys_at(redis, "oauth_link:*"), *await keys_at(redis, "oauth_state:*")]


async def state(manager: OAuthManager, redis: Redis, provider: str = "github") -> str:
    url = await manager.generate_connect_url("u1", provider, redis)
    return callback_query(url)["state"]


class TestALinkThatIsReplaced:
    async def test_leaves_neither_link_nor_state(self, manager: OAuthManager, redis: Redis) -> None:
        first = await state(manager, redis)
        before = await left(redis)
        second = await state(manager, redis)
        assert first != second
        assert len(before) == len(await left(redis)) == 2
        assert set(before).isdisjoint(await left(redis))
        assert await manager.links.take_attempt(redis, first) is None
        assert await manager.links.take_attempt(redis, second)

    @pytest.mark.parametrize("older", ["landing", "provider"])
    @pytest.mark.parametrize("newer", ["landing", "provider"])
    async def test_of_either_kind_by_either_kind(
        self, manager: OAuthManager, redis: Redis, older: str, newer: str
    ) -> None:
        for kind in (older, newer, older, newer):
            if kind == "landing":
                await manager.create_link_code(redis, "u1", provider="github")
            else:
                await state(manager, redis)
        assert len(await left(redis)) == (1 if newer == "landing" else 2)

    async def test_was_given_by_another_process(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        other = manager_for(fake)
        for _ in range(3):
            await state(manager, redis)
            await state(other, redis)
        assert len(await left(redis)) == 2

    async def test_had_to_give_way_to_those_for_other_services(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        for provider in BUILT_IN:
            await state(manager, redis, provider)
        assert len(BUILT_IN) > MAX_OPEN
        assert len(await left(redis)) == 2 * MAX_OPEN

    async def test_costs_no_second_round_trip_in_the_process_that_gave_it(
        self, manager: OAuthManager, client: tuple[Redis, Wire]
    ) -> None:
        for number in range(1, 6):
            await manager.generate_connect_url("u1", "github", client[0])
            assert client[1].round_trips == number

    async def test_by_two_thousand_leaves_a_handful(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        for number in range(2000):
            await manager.generate_connect_url("u1", BUILT_IN[number % 4], redis)
        assert len(await left(redis)) <= 2 * MAX_OPEN

    async def test_by_another_persons_stays(self, manager: OAuthManager, redis: Redis) -> None:
        first = await state(manager, redis)
        await manager.generate_connect_url("u2", "github", redis)
        assert len(await left(redis)) == 4
        assert await manager.links.take_attempt(redis, first)

    async def test_is_resolved_no_more_and_the_newer_one_once(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        old = await manager.create_link_code(redis, "u1", provider="github")
        new = await manager.create_link_code(redis, "u1", provider="github")
        assert await manager.resolve_link_code(redis, old) is None
        assert await manager.resolve_link_code(redis, new) == "u1"
        assert await manager.resolve_link_code(redis, new) is None

    async def test_after_it_was_used_takes_nothing_of_the_newer_one(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        first = await state(manager, redis)
        attempt = await manager.links.take_attempt(redis, first)
        assert attempt
        assert await manager.links.spend(redis, attempt)
        second = await state(manager, redis)
        attempt = await manager.links.take_attempt(redis, second)
        assert attempt
        assert await manager.links.spend(redis, attempt)

    async def test_is_not_known_by_its_state(self) -> None:
        """The address of a link is all there is to see; nothing leads from it to the code."""
        code = "c" * 43
        assert len(state_of(code)) == 43
        assert code not in state_of(code)
        assert state_of(code) != state_of("d" * 43)


async def test_links_that_are_switched_off_leave_neither_link_nor_state(
    manager: OAuthManager, redis: Redis
) -> None:
    await state(manager, redis)
    await manager.create_link_code(redis, "u1", provider="google")
    await manager.proofs.start(redis, LinkRequest("u1", "discord"))
    assert await manager.cancel_links(redis, "u1") == 3
    assert await left(redis) == []
    assert await keys_at(redis, "oauth_pending:*") == []


async def test_a_proof_that_gives_way_leaves_nothing(manager: OAuthManager, redis: Redis) -> None:
    secrets = [
        await manager.proofs.start(redis, LinkRequest("u1", "github"))
        for _ in range(MAX_PROOFS + 3)
    ]
    assert len(await keys_at(redis, "oauth_pending:*")) == MAX_PROOFS
    alive = [bool(await manager.proofs.peek(redis, secret)) for secret in secrets]
    assert alive.count(True) == MAX_PROOFS
    assert alive[-1]
