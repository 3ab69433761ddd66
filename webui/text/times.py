"""Times as HTML: in UTC, for the script to turn into the person's own zone."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from markupsafe import Markup

from webui.text import words

_UNITS = {"day": 86_400, "hour": 3600, "minute": 60}  # seconds
MINUTE = _UNITS["minute"]
WEEK = 7 * _UNITS["day"]
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_STYLES = {
    "day": "{day}",
    "date": "{day} {year}",
    "clock": "{minute}",
    "time": "{minute} UTC",
    "second": "{minute}:{second:02} UTC",
    "both": "{day} {year} at {minute} UTC",
}


@lru_cache(maxsize=4096)
def when(epoch: float, style: str = "both", *, is_local: bool = True) -> Markup:
    """Write a ``<time>`` in UTC; the script turns it into the person's own zone if ``is_local``.

    ``style`` is ``day`` (without its year), ``date``, ``clock`` (a time without its
    zone, which the page tells), ``time``, ``second`` (a time to the second) or ``both``.
    """
    own = f' data-local="{style}"' if is_local else ""
    return _element(epoch, own, exact(epoch, style))


def ago(epoch: float, now: float, *, is_local: bool = True) -> Markup:
    """Write a past time by its age for a week, then by its date; the exact one is its title.

    A date of the year of ``now`` has no year.  A time that is still to come, which clocks that
    differ may bring, is "just now" for a minute, and its date after that.  The script turns
    date and title into the person's own zone if ``is_local``.
    """
    return _aged(epoch, *age(epoch, now), is_local)


def age(epoch: float, now: float) -> tuple[str, int]:
    """Return all that :func:`ago` makes of ``now``: a unit and how many, or a style and 0."""
    if not -MINUTE < now - epoch < WEEK:
        same_year = _utc(epoch).year == _utc(now).year
        return "day" if same_year else "date", 0
    unit, count = largest_unit(now - epoch)
    return (unit, count) if count > 0 else ("now", 1)


def largest_unit(seconds: float) -> tuple[str, int]:
    """Return the largest unit of a length of time, at least the minute, and how many whole ones."""
    unit = next((unit for unit in _UNITS if seconds >= _UNITS[unit]), "minute")
    return unit, int(seconds // _UNITS[unit])


@lru_cache(maxsize=4096)
def _aged(epoch: float, unit: str, count: int, is_local: bool) -> Markup:
    title = f' title="{exact(epoch, "both")}"' + (" data-title" if is_local else "")
    if count:
        key = f"ago.{unit}" if count == 1 else f"ago.{unit}s"
        return _element(epoch, title, words.text(key, count=count))
    own = f' data-local="{unit}"' if is_local else ""
    return _element(epoch, title + own, exact(epoch, unit))


def _utc(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


def exact(epoch: float, style: str = "both") -> str:
    """Write a time in UTC as plain text; ``style`` as for :func:`when`."""
    at = _utc(epoch)
    return _STYLES[style].format(
        day=f"{at.day} {_MONTHS[at.month - 1]}",
        year=at.year,
        minute=f"{at.hour:02}:{at.minute:02}",
        second=at.second,
    )


def _element(epoch: float, more: str, text: str) -> Markup:
    html = f'<time datetime="{_utc(epoch):%Y-%m-%dT%H:%M:%SZ}"{more}>{text}</time>'
    return Markup(html)  # noqa: S704 -- made of numbers and our own words
