"""A process that is killed while it adds, renames or ends one of several accounts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.account_provider import AccountProvider, added, came_back
from tests.kit.library import (
    BASE_URL,
    KEY,
    impatient,
    manager_for,
    providers_config,
    time_passes,
)
from tests.kit.redis_wire import Wire
from webui.oauth_manager import OAuthAmbiguous, OAuthError, OAuthManager
from webui.oauth_manager.flows.look import look
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.storage.account_names import FRESH_SECONDS

pytestmark = pytest.mark.anyio

STEPS = range(14)  # writes to Redis that the process lives to make; more than there are

Act = Callable[[OAuthManager, Redis], Awaitable[object]]


class _Network(httpx.ASGITransport):
    def __init__(self, fake: AccountProvider, wire: Wire) -> None:
        super().__init__(fake)
        self._wire = wire

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._wire.is_down:
            raise httpx.ConnectError("this process was killed")
        return await super().handle_async_request(request)


@pytest.fixture
def fake() -> AccountProvider:
    return AccountProvider()


@pytest.fixture
def manager(fake: AccountProvider) -> OAuthManager:
    return manager_for(fake)


async def killed_after(
    steps: int, fake: AccountProvider, client: tuple[Redis, Wire], act: Act
) -> None:
    """A process acts, and lives to write so often."""
    redis, wire = client
    transport = Transport(_Network(fake, wire))
    manager = impatient(OAuthManager(KEY, BASE_URL, providers_config(fake), transport=transport))
    wire.is_down, wire.dies_after = steps == 0, steps
    with suppress(OAuthError, AssertionError):
        await act(manager, redis)
    await manager.aclose()


async def names_of(manager: OAuthManager, redis: Redis) -> list[str | None]:
    rows = await manager.list_user_connections("ann", redis)
    return [row["account"] for row in rows if row["provider"] == "github"]


async def assert_agreement(
    manager: OAuthManager, fake: AccountProvider, redis: Redis
) -> list[str | None]:
    """Page, list and tokens tell of the same accounts; return their names."""
    rows = await manager.list_user_connections("ann", redis)
    shown = [row for row in await manager.connections(redis, "ann") if row.has_tokens]
    assert [(row["account"], row["label"]) for row in rows] == [
        (row.name.lower() or None, row.profile.account.label) for row in shown
    ]
    for row in rows:
        if row["account"]:
            token = await manager.get_token("ann", "github", redis, account=row["account"])
            assert fake.whose(token) == row["label"]
    names = [row["account"] for row in rows]
    if len(names) > 1:
        with pytest.raises(OAuthAmbiguous) as caught:
            await manager.get_token("ann", "github", redis)
        assert caught.value.accounts == names
    return names


async def settled(manager: OAuthManager, fake: AccountProvider, redis: Redis) -> list[str | None]:
    """The same before and after the list was mended; nothing is listed that is not there."""
    before = await assert_agreement(manager, fake, redis)
    time_passes(manager, FRESH_SECONDS + 3700)
    await manager.connections(redis, "ann")
    await manager._tasks.drain()
    assert await assert_agreement(manager, fake, redis) == before
    await manager._tasks.drain()
    seen = await look(manager._storage, manager._subject(redis, "ann", "github"))
    assert {one.slot for one in seen.names.accounts} <= set(seen.live)
    token = seen.stored[""].token
    assert token is None or token.has_others is (seen.names.is_several or len(seen.live) > 1)
    return before


class TestAdding:
    @pytest.mark.parametrize("steps", STEPS)
    async def test_page_list_and_tokens_agree(
        self,
        manager: OAuthManager,
        fake: AccountProvider,
        redis: Redis,
        client: tuple[Redis, Wire],
        steps: int,
    ) -> None:
        fake.expires_in = 10**8
        await added(manager, fake, redis, "mona", is_adding=False)

        async def act(other: OAuthManager, wired: Redis) -> None:
            await came_back(other, fake, wired, "hubert", account="Work", is_adding=True)

        await killed_after(steps, fake, client, act)
        names = await settled(manager, fake, redis)
        assert names in ([None], ["mona"], ["mona", "work"])
        if len(names) == 1:
            assert fake.whose(await manager.get_token("ann", "github", redis)) == "mona"
        again = await added(manager, fake, redis, "hubert", account="Work")
        assert again.name == "Work"
        assert await names_of(manager, redis) == ["mona", "work"]

    async def test_it_takes_fewer_writes_than_are_tried(
        self,
        manager: OAuthManager,
        fake: AccountProvider,
        redis: Redis,
        client: tuple[Redis, Wire],
    ) -> None:
        await added(manager, fake, redis, "mona", is_adding=False)
        client[1].sent.clear()
        await added(manager, fake, client[0], "hubert", account="Work")
        assert client[1].round_trips < STEPS[-1]


@pytest.fixture
async def two(manager: OAuthManager, fake: AccountProvider, redis: Redis) -> OAuthManager:
    fake.expires_in = 10**8
    await added(manager, fake, redis, "mona", is_adding=False)
    await added(manager, fake, redis, "hubert", account="Work")
    return manager


@pytest.mark.parametrize("steps", range(6))
async def test_a_rename_has_happened_or_not(
    two: OAuthManager,
    fake: AccountProvider,
    redis: Redis,
    client: tuple[Redis, Wire],
    steps: int,
) -> None:
    await killed_after(
        steps, fake, client, lambda m, r: m.rename_account(r, "ann", "github", "work", "Office")
    )
    assert await settled(two, fake, redis) in (["mona", "work"], ["mona", "office"])


@pytest.mark.parametrize(
    ("steps", "gone"), [(steps, ("mona", "work")[steps % 2]) for steps in range(10)]
)
async def test_a_disconnect_of_one_leaves_the_other(
    two: OAuthManager,
    fake: AccountProvider,
    redis: Redis,
    client: tuple[Redis, Wire],
    steps: int,
    gone: str,
) -> None:
    left = {"mona": "work", "work": "mona"}[gone]
    await killed_after(
        steps, fake, client, lambda m, r: m.delete_token(r, "ann", "github", account=gone)
    )
    names = await settled(two, fake, redis)
    assert names in (["mona", "work"], [left])
    with pytest.raises(OAuthAmbiguous):
        await two.get_token("ann", "github", redis)
