"""The benchmarks run, and judge what they measure.  No time is asserted: a machine may be busy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bench.__main__ import ALL
from bench.disconnects import other_process
from bench.limits import LIMITS, MARGIN
from bench.people import populate
from bench.report import Report, Size
from tests.kit.fake_provider import FakeProvider
from webui.oauth_manager import OAuthManager

pytestmark = pytest.mark.anyio

BENCH = Path(__file__).parents[2] / "bench"
COUNTED = {name for name, limit in LIMITS.items() if not limit.at_most}


class Noted(Report):
    """Keeps the names of what was judged."""

    def __init__(self) -> None:
        super().__init__()
        self.judged: list[str] = []

    def judge(self, name: str, figures: object, floors: object = ()) -> None:
        self.judged.append(name)
        super().judge(name, figures, floors)  # type: ignore[arg-type]


@pytest.mark.parametrize("benchmark", list(ALL))
async def test_a_benchmark_runs_and_judges_by_the_table_alone(
    benchmark: str, redis: Redis, redis_url: str
) -> None:
    report = Noted()
    await ALL[benchmark](redis_url, Size(rounds=1, divisor=100), report)
    assert report.judged
    assert set(report.beyond).isdisjoint(COUNTED)


async def test_the_process_beside_the_disconnects_tells_a_token_from_none(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, redis_url: str
) -> None:
    (person,) = await populate(manager, fake, redis, 1)
    async with other_process(redis_url) as other:
        assert await other.has_token(person, "watch")
        assert await other.has_token(person)
        await manager.delete_token(redis, person, "google")
        assert not await other.has_token(person)


def test_every_limit_is_judged_by_some_benchmark() -> None:
    sources = "".join(path.read_text() for path in BENCH.glob("*.py") if path.stem != "limits")
    made = re.compile(
        r"(get_token|list_user_connections), \d+ callers?|storm, 64 callers, \d.*|a call .*"
        r"|(get_token|list_user_connections|page), 100,000 people"
    )
    assert [
        name for name in LIMITS if not made.fullmatch(name) and f'"{name}"' not in sources
    ] == []


@pytest.mark.parametrize(
    ("ratios", "status"),
    [([1.0], 0), ([2.2 * MARGIN - 0.01], 0), ([2.2 * MARGIN + 0.01], 1), ([1, 1, 1, 9, 9], 0)],
)
def test_a_run_fails_if_a_median_is_beyond_limit_and_margin(
    ratios: list[float], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report()
    report.judge("refresh, uncontended", ratios, [1.0] * len(ratios))
    assert report.end() == status
    assert ("refresh, uncontended" in capsys.readouterr().err) is bool(status)


def test_one_failure_is_beyond_a_limit_of_none() -> None:
    report = Report()
    report.judge("get_token, 20,000 at once: failed", [0.0])
    assert report.beyond == []
    report.judge("get_token, 20,000 at once: failed", [1.0])
    assert report.beyond == ["get_token, 20,000 at once: failed"]
