"""The counts of the last days: how many connections there are, and were a week ago."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..storage import keys
from ..storage.calls import RedisClient, read_text, redis_call

Counts = Mapping[str, Mapping[str, int]]
"""Connections by provider and state, a word of :class:`Status`."""

_DAYS = 8  # that are kept: today, and seven before it
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Week:
    """The newest counts, and the oldest ones of the last week, from so many ``days`` before.

    ``at`` is the moment of the newest, in epoch seconds; without others ``days`` is 0.
    """

    at: float
    counts: Counts
    days: int = 0
    before: Counts = field(default_factory=dict)


async def remember(redis: RedisClient, counts: Counts, at: float) -> None:
    """Keep the counts as today's, for the caller, who alone counts.  Two round trips."""
    async with redis_call("keep the counts of the day"):
        kept = _read(await read_text(redis, keys.CENSUS_WEEK))
        today = int(at // _DAY)
        kept = {day: one for day, one in kept.items() if today - _DAYS < day < today}
        kept[today] = (at, counts)
        text = json.dumps({str(day): one for day, one in kept.items()})
        await redis.set(keys.CENSUS_WEEK, text, ex=_DAYS * _DAY)


async def week(redis: RedisClient, now: float) -> Week | None:
    """Return the counts of the last week; None if nobody has counted.  One round trip."""
    async with redis_call("read the counts of the week"):
        kept = _read(await read_text(redis, keys.CENSUS_WEEK))
    days = sorted(day for day in kept if int(now // _DAY) - _DAYS < day <= now // _DAY)
    if not days:
        return None
    (at, counts), (_, before) = kept[days[-1]], kept[days[0]]
    passed = days[-1] - days[0]
    return Week(at, counts, passed, before) if passed else Week(at, counts)


def _read(text: str) -> dict[int, tuple[float, Counts]]:
    """Read the days; a text that is damaged has none."""
    try:
        return {
            int(day): (float(at), _counts(counts)) for day, (at, counts) in json.loads(text).items()
        }
    except (AttributeError, RecursionError, TypeError, ValueError):
        return {}


def _counts(counts: Mapping[str, Mapping[str, int]]) -> Counts:
    return {
        str(provider): {str(state): int(number) for state, number in states.items()}
        for provider, states in counts.items()
    }
