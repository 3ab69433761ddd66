"""The whole journey, and ``webui check``, on a real Cluster and on a set of Sentinels.

These are the ones short enough for every run; ``make test-engines`` runs everything else there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.kit.checkup_desk import Desk
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import (
    connected,
    fake_provider,
    manager_for,
    opened,
    providers_config,
    time_passes,
)
from tests.kit.redis_fleets import Fleet, cluster_fleet, sentinel_fleet
from tests.kit.site_fixtures import free_port, serving, site_at, site_environment
from webui.oauth_manager import redis_from_url

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=["cluster", "sentinel"])
def fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    with cluster_fleet() if request.param == "cluster" else sentinel_fleet() as made:
        yield made


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with serve(FakeProvider()) as url:
        yield Desk(url)


async def test_a_person_goes_the_whole_way_and_support_sees_it(fleet: Fleet) -> None:
    fake = fake_provider()
    async with redis_from_url(fleet.url) as redis:
        await redis.flushall()
        async with site_at(fleet.url, redis, fake, support_users=("carol",)) as place:
            ann = await place.signed_in("ann")
            answer = await place.connect(ann, "google")
            assert answer.headers["location"].startswith("/connections")
            assert await ann.state_of("google") == "connected"
            first = await place.bot.get_token("ann", "google", redis)
            place.clock.advance(3600)
            second = await place.bot.get_token("ann", "google", redis)
            assert first
            assert second
            assert (first != second, fake.calls["refresh"]) == (True, 1)
            await ann.post("/connections/google/check")
            assert "Google" in (await ann.get("/activity")).text
            carol = await place.signed_in("carol")
            found = await carol.get("/support/people/ann?reason=ticket+4411")
            assert (found.status_code, "Google" in found.text) == (200, True)
            notices = place.bot.notices(redis, "bot-1")
            assert (await anext(aiter(notices))).user_id == "ann"
            await ann.post("/connections/google/disconnect")
            await place.settled()
            assert await ann.state_of("google") in ("", "disconnected", "not_connected")
            assert await place.bot.get_token("ann", "google", redis) is None
            found_nothing = await place.bot.reseal(redis)
            assert found_nothing.left == {}


def test_the_site_is_served_and_ready(fleet: Fleet, tmp_path: Path) -> None:
    fake = fake_provider()
    base_url = f"http://127.0.0.1:{free_port()}"
    with serve(fake) as provider:
        environment = site_environment(base_url, fleet.url, providers_config(fake, provider))
        with serving(environment, tmp_path) as site:
            assert httpx.get(f"{base_url}/readyz", trust_env=False).status_code == 200
            warned: list[Any] = []
            for _ in range(200):  # it comes once the site listens
                warned = [one for one in site.events() if "no persistence" in one["event"]]
                if warned:
                    break
                time.sleep(0.05)
            assert len(warned) == 1
            assert site.stop()["event"] == "stopped"


async def test_the_check_finds_every_server_and_what_it_may_lose(fleet: Fleet, desk: Desk) -> None:
    is_well, said = await desk.check(fleet.url)
    assert is_well, said
    primaries = len(fleet.primaries())
    named = "a Cluster of 3 primaries" if primaries == 3 else "a primary with 1 replica, watched by"
    assert named in said
    assert said.count("Redis: reached, ") == len(fleet.servers)
    assert said.count("It has no persistence") == len(fleet.servers)
    assert "Keys: " in said


async def test_the_check_reads_the_policy_of_every_server(fleet: Fleet, desk: Desk) -> None:
    last = fleet.servers[-1]
    last.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        told = await desk.fault(fleet.url)
    finally:
        last.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert told.startswith("maxmemory-policy is allkeys-lru")


async def test_the_address_of_another_kind_is_told(fleet: Fleet, desk: Desk) -> None:
    member = fleet.servers[0].port
    is_cluster = not fleet.sentinels
    other = "sentinel" if is_cluster else "cluster"
    place = f"redis+{other}://127.0.0.1:{member}" + ("/people" if is_cluster else "")
    assert ("no Sentinel" if is_cluster else "no node of a Cluster") in await desk.fault(place)


async def test_hosts_that_are_away_are_warnings_as_long_as_one_answers(
    fleet: Fleet, desk: Desk
) -> None:
    kind, _, rest = fleet.url.partition("://")
    nobody = f"127.0.0.1:{free_port()}"
    is_well, said = await desk.check(f"{kind}://{nobody},{rest}")
    assert is_well, said
    assert "WARNING: Of the hosts in REDIS_URL, number 1: Nothing listens there" in said
    alone = f"{kind}://{nobody}" + ("/people" if fleet.sentinels else "")
    assert (await desk.fault(alone)).startswith("Nothing listens there")


async def test_a_name_that_no_sentinel_knows_is_told(fleet: Fleet, desk: Desk) -> None:
    if fleet.sentinels:
        told = await desk.fault(fleet.url.replace("/people/", "/nobody/"))
        assert told.startswith("The Sentinels watch no primary of that name")


async def test_tokens_wait_for_a_replica_if_that_is_asked_for(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    has_replica = len(fleet.primaries()) < len(fleet.servers)
    fake = fake_provider()
    manager = manager_for(fake)
    async with redis_from_url(fleet.url, 1) as redis:
        await redis.flushall()
        await connected(manager, fake, redis, "ann", "google")
        token = await opened(manager, redis, "ann", "google")
        assert token
        await manager.store_token(redis, "ann", token)
        time_passes(manager, 3600)
        assert await manager.get_token("ann", "google", redis) not in (None, token.access_token)
    await manager.aclose()
    told = [r for r in caplog.records if "fewer replicas than 1 confirmed" in r.getMessage()]
    assert len(told) == (0 if has_replica else 3)
