"""The overview for support staff: counts by service and state, and never a name."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from tests.kit.site_fixtures import Browser, Place, commands
from tests.kit.standings import signed_on, support_site
from tests.kit.support_fixtures import settle
from webui.oauth_manager.storage.calls import as_text

pytestmark = pytest.mark.anyio

PATH = "/support/overview"
DAY = 86_400


async def counted(place: Place) -> None:
    assert await place.bot.recent_census(place.redis)


def shown(text: str) -> str:
    return " ".join(text.split())


async def test_before_anybody_has_counted_it_says_so(redis_url: str, redis: Redis) -> None:
    async with support_site(redis_url, redis) as place:
        page = await (await signed_on(place)).get(PATH)
    assert "Nobody has counted yet." in page.text


async def test_counts_stand_by_service_and_state_and_name_nobody(
    redis_url: str, redis: Redis
) -> None:
    async with support_site(redis_url, redis) as place:
        await settle(place.bot, redis, "mona")
        await counted(place)
        staff = await signed_on(place)
        async with commands(redis) as asked:
            page = await staff.get(PATH)
    assert "mona" not in page.text
    assert "<dt>Connected</dt><dd>1</dd>" in page.text
    assert "<dt>Need reconnecting</dt><dd>1</dd>" in page.text
    assert "no change" not in page.text
    assert sum("census" in command for command in asked) == 1


async def test_a_change_is_told_with_the_days_it_took(redis_url: str, redis: Redis) -> None:
    async with support_site(redis_url, redis) as place:
        await settle(place.bot, redis, "mona")
        await counted(place)
        text = as_text(await redis.get("stargazer:oauth_census_week"))
        day = int(text[2 : text.index('"', 2)])
        older = text.replace(f'"{day}"', f'"{day - 7}"').replace('"connected": 1', '"connected": 3')
        await redis.set("stargazer:oauth_census_week", f"{older[:-1]}, {text[1:]}")
        page = await (await signed_on(place)).get(PATH)
    assert "2 fewer in 7 days" in page.text
    assert "no change in 7 days" in page.text


@pytest.mark.parametrize("who", ["nobody", "person"])
async def test_only_staff_see_it(place: Place, ann: Browser, who: str) -> None:
    browser = ann if who == "person" else await place.browser()
    answer = await browser.get(PATH)
    assert answer.status_code in (303, 403, 404)
    assert "counted" not in answer.text
