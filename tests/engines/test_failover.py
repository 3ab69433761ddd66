"""A primary that dies, and slots that move, while people connect and tools fetch tokens."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import fake_provider, granted, tokens_key
from tests.kit.redis_fleets import SLOTS, Fleet, Member, cluster_fleet, sentinel_fleet
from tests.kit.site_fixtures import Place, handed_off, site_at
from webui.oauth_manager import OAuthManager, StoreUnavailable, redis_from_url

pytestmark = pytest.mark.anyio

PEOPLE = 50
TASKS = 200
HOLDERS = 20  # people whose tokens the tasks fetch
PATIENCE = 40.0  # seconds in which everything has to work again
LONG = 86400.0


@dataclass
class Load:
    """People who connect, and tools that fetch tokens, whatever happens to Redis meanwhile."""

    place: Place
    redis: Redis
    fake: FakeProvider
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    are_connected: asyncio.Event = field(default_factory=asyncio.Event)

    async def hold(self) -> None:
        """Give each holder a token."""
        for n in range(HOLDERS):
            token = granted(self.fake, "google", expires_at=self.place.clock.now() + 1800)
            await self.place.bot.store_token(self.redis, f"holder-{n}", token)

    async def run(self, harm: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run everything beside the harm, until all people are connected."""
        await self.hold()
        managers = [self.place.bot, self.place.site.manager]
        async with asyncio.timeout(PATIENCE * 2), asyncio.TaskGroup() as group:
            for n in range(TASKS):
                group.create_task(self.fetch(managers[n % 2], f"holder-{n % HOLDERS}"))
            people = [group.create_task(self.connect(f"person-{n}")) for n in range(PEOPLE)]
            await asyncio.sleep(0.2)
            self.place.clock.advance(3600)  # every holder's token is over now
            await group.create_task(harm())
            await asyncio.wait(people)
            self.are_connected.set()
        await self.place.settled()

    async def connect(self, user: str) -> None:
        """Come from chat and press Connect; and again after a page that says to try again."""
        async with asyncio.timeout(PATIENCE):
            while not await self._went_through(user):  # noqa: ASYNC110
                await asyncio.sleep(1.0)  # who is faster meets the limits on guesses

    async def _went_through(self, user: str) -> bool:
        try:
            browser = await self.place.signed_in(user)
        except (StoreUnavailable, AssertionError, KeyError):
            self.outcomes["no way in"] += 1
            return False
        page = await browser.post("/connections/google/connect")
        if page.status_code != 200 or 'http-equiv="refresh"' not in page.text:
            self.outcomes[f"start {page.status_code}"] += 1
            return False
        answer = await browser.get(self.fake.authorize(handed_off(page)))
        self.outcomes[f"callback {answer.status_code}"] += 1
        shown = await browser.get("/connections")
        return shown.status_code == 200 and 'data-state="connected"' in shown.text

    async def fetch(self, manager: OAuthManager, user: str) -> None:
        """Fetch tokens until all people are connected: each works at the provider."""
        while not self.are_connected.is_set():
            try:
                token = await manager.get_token(user, "google", self.redis)
            except StoreUnavailable:
                self.outcomes["no store"] += 1
            else:
                self.outcomes["token"] += 1
                if token is None or not self.fake.is_alive(token):
                    self.wrong.append(f"{user}: {'dead' if token else 'none'}")
            await asyncio.sleep(0.05)

    async def all_is_well(self) -> None:
        """No answer was wrong, each grant lives, and everybody has the tokens of the last one."""
        assert self.wrong == []
        names = [f"holder-{n}" for n in range(HOLDERS)] + [f"person-{n}" for n in range(PEOPLE)]
        for user in names:
            token = await self.place.bot.get_token(user, "google", self.redis)
            assert token, user
            assert self.fake.is_alive(token), user
        sent = Counter(r.form.get("refresh_token", "") for r in self.fake.requests)
        del sent[""]
        assert sent.most_common(1)[0][1] == 1


@pytest.fixture
def watched() -> Iterator[Fleet]:
    with sentinel_fleet() as fleet:
        yield fleet


@pytest.fixture
def cluster() -> Iterator[Fleet]:
    with cluster_fleet(replicas=3) as fleet:
        yield fleet


async def under_load(fleet: Fleet, harm: Callable[[], Coroutine[Any, Any, None]]) -> Counter[str]:
    fake = fake_provider()
    async with redis_from_url(fleet.url) as redis, site_at(fleet.url, redis, fake) as place:
        load = Load(place, redis, fake)
        await load.run(harm)
        await load.all_is_well()
    return load.outcomes


async def killed(member: Member) -> None:
    await asyncio.to_thread(member.kill)


async def test_nothing_is_wrong_when_sentinels_promote_a_replica(watched: Fleet) -> None:
    (primary,) = watched.primaries()
    outcomes = await under_load(watched, lambda: killed(primary))
    assert outcomes["no store"] > 0


async def test_nothing_is_wrong_when_a_primary_hangs(watched: Fleet) -> None:
    (primary,) = watched.primaries()

    async def harm() -> None:
        primary.freeze()

    try:
        await under_load(watched, harm)
    finally:
        primary.thaw()


async def test_nothing_is_wrong_when_a_cluster_promotes_a_replica(cluster: Fleet) -> None:
    victim = cluster.owner(key_slot(tokens_key("holder-0", "google").encode()))
    outcomes = await under_load(cluster, lambda: killed(victim))
    assert outcomes["no store"] > 0


async def test_nothing_is_wrong_when_slots_move(cluster: Fleet) -> None:
    busy = [key_slot(tokens_key(f"holder-{n}", "google").encode()) for n in range(HOLDERS)]
    slots = [*busy, *range(0, SLOTS, SLOTS // 40)]

    async def harm() -> None:
        for slot in slots:
            source = await asyncio.to_thread(cluster.owner, slot)
            target = next(one for one in cluster.primaries() if one.port != source.port)
            await asyncio.to_thread(cluster.move, slot, target, halfway=True)
            await asyncio.sleep(0.02)  # commands meet keys here and there
            await asyncio.to_thread(cluster.finish_move, slot, source, target)

    await under_load(cluster, harm)
