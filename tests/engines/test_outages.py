"""A real server that goes away at the moment of a renewal, for seconds or half a minute."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import fake_provider, granted, manager_for
from tests.kit.load import until
from tests.kit.redis_fleets import HERE, Member, free_ports
from tests.kit.redis_proxy import RedisProxy
from webui.oauth_manager import OAuthManager, StoreUnavailable, redis_from_url

pytestmark = pytest.mark.anyio

AWAY = (3.0, 9.0, 30.0)  # seconds
USERS = [f"u{n}" for n in range(5)]
KEPT = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")
BACK = 15.0  # seconds in which everything has to work again
REPLACING = b"unpack(ARGV[3]"  # in the script that replaces what was read

Process = tuple[OAuthManager, Redis]


@asynccontextmanager
async def server(folder: Path, port: int) -> AsyncIterator[tuple[Member, RedisProxy]]:
    """A server that keeps every write, and a way to it that may lose an answer."""
    socket = folder / "redis.sock"
    member = Member(port, folder, (*KEPT, "--unixsocket", str(socket)))
    await asyncio.to_thread(member.start)
    way = RedisProxy(folder / "way.sock", str(socket))
    await way.come()
    try:
        yield member, way
    finally:
        member.thaw()
        await way.go()
        member.kill()


async def tokens(process: Process) -> dict[str, Any]:
    """A token for everybody, or the error in its place."""
    manager, redis = process
    asked = [manager.get_token(user, "google", redis) for user in USERS]
    return dict(zip(USERS, await asyncio.gather(*asked, return_exceptions=True), strict=True))


async def renewed(
    fake: FakeProvider, process: Process, member: Member, how: str, way: RedisProxy
) -> None:
    """Ask for everybody's token; once the provider has rotated them the server goes away.

    With an answer to lose it is the server that goes away behind it, with the pair.
    """
    gate = fake.gate("token")
    asking = asyncio.create_task(tokens(process))
    await until(lambda: fake.calls["refresh"] == len(USERS))
    loses = bool(way.lost)
    if not loses:
        leave(member, how)
    gate.open()
    if loses:
        await until(lambda: not way.lost)
        leave(member, how)
    given = await asking
    assert all(fake.is_alive(token) for token in given.values()), given


def leave(member: Member, how: str) -> None:
    if how == "frozen":
        member.freeze()
    else:
        member.kill()


async def come_back(member: Member, how: str) -> None:
    if how == "frozen":
        member.thaw()
    else:
        await asyncio.to_thread(member.start)


async def goes_by(seconds: float, processes: list[Process]) -> None:
    """Let callers ask all the time; nobody is told anything that Redis has not said."""
    end = asyncio.get_running_loop().time() + seconds
    while (left := end - asyncio.get_running_loop().time()) > 0:
        for answers in await asyncio.gather(*map(tokens, processes)):
            assert {type(answer) for answer in answers.values()} == {StoreUnavailable}
        await asyncio.sleep(min(left, 0.3))


async def outage(folder: Path, port: int, how: str, seconds: float, *, loses: bool) -> None:
    fake = fake_provider()
    async with (
        server(folder, port) as (member, way),
        redis_from_url(way.url) as mine,
        redis_from_url(f"redis://{HERE}:{port}") as theirs,
    ):
        one, other = (manager_for(fake), mine), (manager_for(fake), theirs)
        for user in USERS:
            await one[0].store_token(mine, user, granted(fake, "google"))
        way.lost = [REPLACING] if loses else []
        await renewed(fake, one, member, how, way)
        await goes_by(seconds, [one, other])
        await come_back(member, how)
        async with asyncio.timeout(BACK):
            while True:
                both = [await tokens(process) for process in (other, one)]
                if not any(isinstance(t, Exception) for found in both for t in found.values()):
                    break
        assert both[0] == both[1]
        assert all(fake.is_alive(token) for token in both[0].values())
        assert fake.calls["refresh"] == len(USERS)
        for manager, _ in (one, other):
            await manager.aclose()


async def test_no_pair_is_lost_however_long_redis_is_away_and_whatever_it_had_written(
    tmp_path: Path,
) -> None:
    """All kinds at once: each has a server of its own."""
    kinds = list(product(("frozen", "killed"), AWAY, (False, True)))
    async with asyncio.TaskGroup() as group:
        for n, port in enumerate(free_ports(len(kinds))):
            how, seconds, loses = kinds[n]
            folder = tmp_path / f"{how}-{seconds:.0f}-{loses}"
            folder.mkdir()
            group.create_task(outage(folder, port, how, seconds, loses=loses))
