"""The Redis traffic of every path that the benchmark prints, and the memory of a person."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from bench import memory, paths
from bench.browser import Browser, site
from bench.meter import metered
from tests.kit.account_provider import AccountProvider, added
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import BASE_URL, manager_for
from tests.kit.site_fixtures import running
from webui.oauth_manager import OAuthManager
from webui.redis_client import connect

pytestmark = pytest.mark.anyio


async def test_round_trips_and_commands_of_every_path_are_as_expected(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, redis_url: str
) -> None:
    async with metered(redis_url) as meter:
        assert await paths.costs(meter, fake, manager) == paths.EXPECTED


async def test_the_page_of_five_accounts_of_a_service_makes_the_round_trips_of_one(
    redis: Redis, redis_url: str
) -> None:
    fake, counted = AccountProvider(), []
    manager = manager_for(fake)
    async with metered(redis_url) as meter:
        app = site(meter.url, fake)
        async with running(app), connect(meter.url) as wired:
            for number in (1, 5):
                person = f"with-{number}"
                for account in ("mona", "hubert", "ada", "grace", "linus")[:number]:
                    await added(manager, fake, redis, account, user_id=person)
                browser = Browser(app, BASE_URL)
                await browser.sign_in(manager, wired, person)
                await browser.get("/connections")  # the next finds what it showed
                turns, _, (status, page) = await meter.count(browser.get("/connections"))
                assert status == 200
                assert page.count('data-state="connected"') == number
                counted.append(turns)
    assert counted == [2, 2]


async def test_a_person_takes_little_more_of_redis_than_their_tokens(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    held = await memory.held(redis, fake, manager)
    assert min(held.values()) > 0
    assert sum(held.values()) <= 1.9 * held[memory.FLOOR]
