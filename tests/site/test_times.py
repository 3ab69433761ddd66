"""Times as people read them: exact, or by their age."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.rendering.render import environment
from webui.text.times import ago, when

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOW = 1_791_018_840.0  # 3 October 2026, 09:14 UTC
EPOCHS = st.floats(min_value=0, max_value=4e9)


def _text(html: str) -> str:
    return re.sub(r"<[^>]+>", "", html)


def test_times_are_in_utc_until_the_script_knows_better() -> None:
    shown = 'datetime="2026-10-03T09:14:00Z"'
    assert when(NOW) == f'<time {shown} data-local="both">3 October 2026 at 09:14 UTC</time>'
    assert when(NOW, "date") == f'<time {shown} data-local="date">3 October 2026</time>'
    assert when(NOW, "day") == f'<time {shown} data-local="day">3 October</time>'
    assert when(NOW, "time") == f'<time {shown} data-local="time">09:14 UTC</time>'
    assert when(NOW, "time", is_local=False) == f"<time {shown}>09:14 UTC</time>"


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (0, "just now"),
        (MINUTE - 0.5, "just now"),
        (MINUTE, "1 minute ago"),
        (2 * MINUTE - 1, "1 minute ago"),
        (59 * MINUTE, "59 minutes ago"),
        (HOUR, "1 hour ago"),
        (2 * HOUR, "2 hours ago"),
        (DAY - 1, "23 hours ago"),
        (DAY, "1 day ago"),
        (7 * DAY - 1, "6 days ago"),
        (7 * DAY, "26 September"),
        (300 * DAY, "7 December 2025"),
    ],
)
def test_a_past_time_is_its_age_for_a_week_and_its_date_after_that(age: float, said: str) -> None:
    assert _text(ago(NOW - age, NOW)) == said


def test_the_exact_time_of_an_age_is_machine_readable_and_its_title() -> None:
    assert ago(NOW - 2 * HOUR, NOW) == (
        '<time datetime="2026-10-03T07:14:00Z" title="3 October 2026 at 07:14 UTC" data-title>'
        "2 hours ago</time>"
    )


def test_a_time_for_support_stays_in_utc() -> None:
    assert "data-" not in ago(NOW - 2 * HOUR, NOW, is_local=False)
    assert "data-" not in ago(NOW - 8 * DAY, NOW, is_local=False)
    assert 'data-local="day"' in ago(NOW - 8 * DAY, NOW)
    assert 'data-local="date"' in ago(NOW - 300 * DAY, NOW)


def test_a_time_to_come_has_no_age() -> None:
    assert _text(ago(NOW + 59, NOW)) == "just now"
    assert _text(ago(NOW + HOUR, NOW)) == "3 October"


@given(epoch=EPOCHS, now=EPOCHS)
def test_every_time_has_its_exact_one_beside_it(epoch: float, now: float) -> None:
    html = ago(epoch, now)
    assert f'title="{_text(when(epoch))}"' in html
    assert html.startswith(when(epoch).partition(" data-local")[0])


@given(age=st.floats(min_value=0, max_value=7 * DAY - 1))
def test_an_age_is_never_told_too_long(age: float) -> None:
    units = {"minute": MINUTE, "hour": HOUR, "day": DAY}
    told = re.fullmatch(r"(\d+) (\w+?)s? ago", _text(ago(NOW - age, NOW)))
    if told is None:
        assert age < MINUTE
        return
    length = units[told[2]]
    assert int(told[1]) * length <= age + 1e-6 < (int(told[1]) + 1) * length + 1e-5


def test_templates_write_ages_by_a_filter() -> None:
    page = environment().from_string("{{ at|ago(now) }}")
    assert page.render(at=NOW - MINUTE, now=NOW) == ago(NOW - MINUTE, NOW)
