"""The counts of the last days: kept by day, for a week, whatever stands in their place."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from tests.kit.every import every
from webui.oauth_manager import Week
from webui.oauth_manager.flows.census_week import remember, week
from webui.oauth_manager.storage import keys

pytestmark = pytest.mark.anyio

DAY = 86_400
NOON = 20_000.5 * DAY


def counts(number: int) -> dict[str, dict[str, int]]:
    return {"github": {"connected": number}}


async def test_without_counts_there_is_no_week(redis: Redis) -> None:
    assert await week(redis, NOON) is None


async def test_the_first_counts_have_nothing_before_them(redis: Redis) -> None:
    await remember(redis, counts(1), NOON)
    assert await week(redis, NOON + 60) == Week(NOON, counts(1))


async def test_the_last_counts_of_a_day_are_those_of_the_day(redis: Redis) -> None:
    await remember(redis, counts(1), NOON)
    await remember(redis, counts(2), NOON + 60)
    assert await week(redis, NOON + 90) == Week(NOON + 60, counts(2))


async def test_the_newest_counts_are_compared_with_those_of_a_week_ago(redis: Redis) -> None:
    for day in range(20):
        await remember(redis, counts(day), NOON + day * DAY)
    last = NOON + 19 * DAY
    assert await week(redis, last) == Week(last, counts(19), 7, counts(12))
    assert 0 < await redis.ttl(keys.CENSUS_WEEK) <= 8 * DAY


async def test_days_on_which_nobody_counted_are_left_out(redis: Redis) -> None:
    await remember(redis, counts(1), NOON)
    await remember(redis, counts(5), NOON + 3 * DAY)
    assert await week(redis, NOON + 3 * DAY) == Week(NOON + 3 * DAY, counts(5), 3, counts(1))


async def test_counts_of_more_than_a_week_ago_are_none(redis: Redis) -> None:
    await remember(redis, counts(1), NOON)
    assert await week(redis, NOON + 8 * DAY) is None


@every(
    "damaged",
    [
        "",
        "junk",
        "5",
        "[]",
        "{}",
        '{"x": 1}',
        '{"20000": []}',
        '{"20000": [1, {"a": 5}]}',
        "[" * 9999,
    ],
)
async def test_damaged_counts_are_none_and_are_replaced(redis: Redis, damaged: str) -> None:
    await redis.set(keys.CENSUS_WEEK, damaged)
    assert await week(redis, NOON) is None
    await remember(redis, counts(1), NOON)
    assert await week(redis, NOON) == Week(NOON, counts(1))
