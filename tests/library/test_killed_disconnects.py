"""A process that is killed while it disconnects leaves nothing half done for good."""

from __future__ import annotations

import time
from contextlib import suppress

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import Answer
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    BASE_URL,
    KEY,
    began,
    connected,
    fake_provider,
    keys_at,
    manager_for,
    providers_config,
    revoke_key,
    time_passes,
)
from tests.kit.redis_wire import Wire
from webui.oauth_manager import (
    ActivityPage,
    Connection,
    Event,
    OAuthError,
    OAuthManager,
    RevokeOutcome,
    Status,
    SwitchOffer,
)
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.storage.held_tokens import ASKING_SECONDS

pytestmark = pytest.mark.anyio

STEPS = range(8)  # writes to Redis that the process lives to make; more than there are


class _Network(httpx.ASGITransport):
    """The way to the provider, for a process that dies with its wire to Redis."""

    def __init__(self, fake: FakeProvider, wire: Wire) -> None:
        super().__init__(fake)
        self._wire = wire

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._wire.is_down:
            raise httpx.ConnectError("this process was killed")
        return await super().handle_async_request(request)


async def killed_after(
    steps: int, fake: FakeProvider, client: tuple[Redis, Wire], name: str
) -> None:
    """A process disconnects, and lives to write so often."""
    redis, wire = client
    transport = Transport(_Network(fake, wire))
    manager = OAuthManager(KEY, BASE_URL, providers_config(fake), transport=transport)
    wire.is_down, wire.dies_after = steps == 0, steps
    with suppress(OAuthError):
        await manager.delete_token(redis, "u1", name)
    await manager.aclose()


async def an_account_waits(manager: OAuthManager, fake: FakeProvider, redis: Redis) -> None:
    """One account is connected, and another one waits for the person's choice."""
    fake.account = {"sub": "1", "email": "old@b.example"}
    await connected(manager, fake, redis, "u1", "google")
    fake.account = {"sub": "2", "email": "new@b.example"}
    offer = await manager.complete(redis, *await began(manager, fake, redis, "u1", "google"))
    assert isinstance(offer, SwitchOffer)


def refreshes_first(other: OAuthManager, redis: Redis, wire: Wire) -> None:
    """Another process refreshes, once, just before the tokens are put aside."""

    async def refreshed() -> None:
        token = await other.get_token("u1", "google", redis)
        assert token is not None
        await other.renew(redis, "u1", "google", refused=token)

    put_aside = b"SET\r\n$%d\r\n%s" % (len(name := revoke_key("u1", "google")), name.encode())
    wire.ahead = {put_aside: refreshed}


async def looked(manager: OAuthManager, redis: Redis, name: str) -> Connection:
    """Look: the state that is found, once everything it set going is done."""
    await manager.connections(redis, "u1")
    await manager.aclose()
    return await manager.connection(redis, "u1", name)


async def events(manager: OAuthManager, redis: Redis) -> list[Event]:
    page: ActivityPage = await manager.activity(redis, "u1")
    return [event for event in page.events if event.kind in ("disconnected", "revoked")]


async def notices(redis: Redis) -> int:
    """Count the notices, that of connecting left out."""
    return int(await redis.xlen("stargazer:oauth_notices")) - 1


@pytest.mark.parametrize("name", ["google", "github", "microsoft"])
@pytest.mark.parametrize("steps", STEPS)
async def test_the_next_look_finds_it_connected_or_finishes_it_and_never_half(
    steps: int, name: str, redis: Redis, client: tuple[Redis, Wire]
) -> None:
    fake = fake_provider()
    manager, next_one = manager_for(fake), manager_for(fake)
    await connected(manager, fake, redis, "u1", name)
    await killed_after(steps, fake, client, name)
    time_passes(next_one, ASKING_SECONDS)
    known = await looked(next_one, redis, name)
    token = await next_one.get_token("u1", name, redis)
    if known.status is Status.CONNECTED:
        assert steps < 3  # reading, and putting aside
        assert fake.is_alive(str(token))
        assert await events(next_one, redis) == []
        assert await notices(redis) == 0
        return
    assert (known.status, known.ending, token) == (Status.NOT_CONNECTED, "", None)
    told = await events(next_one, redis)
    revocable = name != "microsoft"
    outcome = RevokeOutcome.REVOKED if revocable else RevokeOutcome.UNSUPPORTED
    assert [(event.kind, event.detail) for event in told] == [("disconnected", outcome)]
    assert await notices(redis) == 1
    assert not await keys_at(redis, "oauth_[tcr][oe][knv]*:u1:*")
    if revocable:
        assert not any(fake.is_alive(secret) for secret in fake.issued)


@pytest.mark.parametrize("arrived", range(1, 8))
async def test_one_killed_between_two_commands_of_the_removal_is_finished_and_told_once(
    arrived: int, redis: Redis, client: tuple[Redis, Wire]
) -> None:
    fake = fake_provider()
    next_one = manager_for(fake)
    await connected(next_one, fake, redis, "u1", "google")
    client[1].torn = {b"oauth_switch:u1:google": arrived}
    await killed_after(99, fake, client, "google")
    time_passes(next_one, ASKING_SECONDS)
    await looked(next_one, redis, "google")
    assert (await looked(next_one, redis, "google")).status is Status.NOT_CONNECTED
    assert [(e.kind, e.detail) for e in await events(next_one, redis)] == [
        ("disconnected", RevokeOutcome.REVOKED)
    ]
    # A bot is told at least once: of a notice without its event nobody knows.
    assert await notices(redis) == (2 if arrived == 1 else 1)
    assert not any(fake.is_alive(secret) for secret in fake.issued)


@pytest.mark.parametrize("answer", [Answer(503), Answer(200, {}, b"<html>")])
async def test_an_interrupted_one_that_is_not_confirmed_can_be_asked_again(
    answer: Answer, redis: Redis, client: tuple[Redis, Wire]
) -> None:
    fake = fake_provider()
    manager, next_one = manager_for(fake), manager_for(fake)
    await connected(manager, fake, redis, "u1", "google")
    await killed_after(3, fake, client, "google")
    time_passes(next_one, ASKING_SECONDS)
    assert (await next_one.connection(redis, "u1", "google", resume=False)).ending == "asking"
    fake.script("revoke", answer)
    known = await looked(next_one, redis, "google")
    assert known.ending == "unconfirmed"
    assert known.ending_until > time.time() + 3000
    ending = await next_one.ask_again(redis, "u1", "google")
    assert ending is not None
    assert (await ending.result).at_provider is RevokeOutcome.REVOKED
    assert [e.kind for e in await events(next_one, redis)] == ["revoked", "disconnected"]


async def test_one_of_many_who_look_at_once_finishes_it(
    redis: Redis, client: tuple[Redis, Wire]
) -> None:
    fake = fake_provider()
    manager = manager_for(fake)
    await connected(manager, fake, redis, "u1", "google")
    await killed_after(3, fake, client, "google")
    asked = fake.calls["revoke"]
    managers = [manager_for(fake) for _ in range(5)]
    time_passes(managers[0], ASKING_SECONDS)
    for one in managers:
        await one.connections(redis, "u1")
    for one in managers:
        await one.aclose()
    assert fake.calls["revoke"] == asked + 1


async def test_one_that_the_person_repeats_while_another_finishes_it_is_told_once(
    redis: Redis, client: tuple[Redis, Wire]
) -> None:
    fake = fake_provider()
    manager, reader, other = manager_for(fake), manager_for(fake), manager_for(fake)
    await connected(manager, fake, redis, "u1", "google")
    await killed_after(2, fake, client, "google")
    client[1].is_down, client[1].dies_after = False, None

    async def repeated() -> None:
        await other.delete_token(redis, "u1", "google")

    client[1].ahead = {b"oauth_switch:u1:google": repeated}
    time_passes(reader, ASKING_SECONDS)
    assert (await looked(reader, client[0], "google")).status is Status.NOT_CONNECTED
    assert [(e.kind, e.detail) for e in await events(other, redis)] == [
        ("disconnected", RevokeOutcome.REVOKED)
    ]
    assert await notices(redis) == 1
    assert fake.calls["revoke"] == 1


async def test_a_look_while_the_provider_is_being_asked_leaves_it_to_whoever_asks(
    redis: Redis,
) -> None:
    fake = fake_provider()
    manager, other = manager_for(fake), manager_for(fake)
    await connected(manager, fake, redis, "u1", "google")
    gate = fake.gate("revoke")
    ending = await manager.disconnect(redis, "u1", "google", by="web")
    await gate.reached()
    assert (await looked(other, redis, "google")).ending == "asking"
    assert await other.ask_again(redis, "u1", "google") is None
    gate.open()
    assert (await ending.result).at_provider is RevokeOutcome.REVOKED
    assert fake.calls["revoke"] == 1


@pytest.mark.parametrize("seconds", [-2.0, 2.0])
async def test_a_look_by_a_clock_that_is_a_little_off_leaves_it_to_whoever_asks(
    seconds: float, redis: Redis
) -> None:
    fake = fake_provider()
    manager, other = manager_for(fake), manager_for(fake)
    await connected(manager, fake, redis, "u1", "google")
    gate = fake.gate("revoke")
    ending = await manager.disconnect(redis, "u1", "google", by="web")
    await gate.reached()
    time_passes(other, seconds)
    assert (await looked(other, redis, "google")).ending == "asking"
    gate.open()
    await ending.result
    assert fake.calls["revoke"] == 1
    assert len(await events(manager, redis)) == 1


@pytest.mark.parametrize("arrived", range(1, 8))
async def test_one_whose_wire_breaks_between_two_commands_of_the_removal_is_told_once(
    arrived: int, redis: Redis, client: tuple[Redis, Wire]
) -> None:
    fake = fake_provider()
    manager = manager_for(fake)
    await connected(manager, fake, redis, "u1", "google")

    async def mended() -> None:
        client[1].is_down = False

    client[1].torn = {b"oauth_switch:u1:google": arrived}
    client[1].ahead = {b"HELLO": mended, b"SETINFO": mended}
    await manager.delete_token(client[0], "u1", "google")
    assert [(e.kind, e.detail) for e in await events(manager, redis)] == [
        ("disconnected", RevokeOutcome.REVOKED)
    ]
    # A bot is told at least once: of a notice without its event nobody knows.
    assert await notices(redis) == (2 if arrived == 1 else 1)


async def test_one_that_is_finished_by_another_gives_the_account_back_that_waited(
    redis: Redis, client: tuple[Redis, Wire]
) -> None:
    fake = fake_provider()
    manager, next_one = manager_for(fake), manager_for(fake)
    await an_account_waits(manager, fake, redis)
    await killed_after(2, fake, client, "google")
    time_passes(next_one, ASKING_SECONDS)
    assert (await looked(next_one, redis, "google")).status is Status.NOT_CONNECTED
    assert not any(fake.is_alive(secret) for secret in fake.issued)


async def test_a_look_without_leave_to_go_on_changes_nothing(
    redis: Redis, client: tuple[Redis, Wire]
) -> None:
    fake = fake_provider()
    manager, other = manager_for(fake), manager_for(fake)
    await connected(manager, fake, redis, "u1", "google")
    await killed_after(3, fake, client, "google")
    asked = fake.calls["revoke"]
    time_passes(other, ASKING_SECONDS)
    await other.connections(redis, "u1", resume=False)
    await other.connection(redis, "u1", "google", resume=False)
    await other.aclose()
    assert fake.calls["revoke"] == asked


async def test_a_new_connection_is_not_ended_by_what_an_old_disconnect_left(
    redis: Redis, client: tuple[Redis, Wire]
) -> None:
    fake = fake_provider()
    manager, other = manager_for(fake), manager_for(fake)
    await connected(manager, fake, redis, "u1", "google")
    await killed_after(3, fake, client, "google")
    time_passes(other, ASKING_SECONDS)
    await connected(other, fake, redis, "u1", "google")
    await other._tasks.drain()  # the look before connecting has gone on with the disconnect
    asked = fake.calls["revoke"]
    assert (await looked(other, redis, "google")).status is Status.CONNECTED
    assert fake.calls["revoke"] == asked
    assert fake.is_alive(str(await other.get_token("u1", "google", redis)))


async def test_a_refresh_between_reading_and_removing_does_not_save_the_connection(
    redis: Redis, client: tuple[Redis, Wire]
) -> None:
    """The pair that was removed is put aside to ask with, not the one before."""
    fake = fake_provider()
    manager, other = manager_for(fake), manager_for(fake)
    await connected(manager, fake, redis, "u1", "google")
    refreshes_first(other, redis, client[1])
    assert (
        await manager.delete_token(client[0], "u1", "google")
    ).at_provider is RevokeOutcome.REVOKED
    assert fake.calls["refresh"] == 1
    assert not any(fake.is_alive(secret) for secret in fake.issued)
    assert await notices(redis) == 1
    assert len(await events(other, redis)) == 1


async def test_a_refresh_between_reading_and_removing_does_not_save_the_account_that_waited(
    redis: Redis, client: tuple[Redis, Wire]
) -> None:
    fake = fake_provider()
    manager, other = manager_for(fake), manager_for(fake)
    await an_account_waits(manager, fake, redis)
    refreshes_first(other, redis, client[1])
    await manager.delete_token(client[0], "u1", "google")
    await manager.aclose()
    assert not any(fake.is_alive(secret) for secret in fake.issued)
