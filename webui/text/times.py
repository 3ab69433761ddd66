"""Times as HTML: in UTC, for the script to turn into the person's own zone."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from markupsafe import Markup

from webui.text import words

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_WEEK = 7 * _DAY
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
    title = f' title="{exact(epoch, "both")}"' + (" data-title" if is_local else "")
    if -_MINUTE < now - epoch < _WEEK:
        return _element(epoch, title, _age(max(0, now - epoch)))
    same_year = _utc(epoch).year == _utc(now).year
    style = "day" if same_year else "date"
    own = f' data-local="{style}"' if is_local else ""
    return _element(epoch, title + own, exact(epoch, style))


def _age(seconds: float) -> str:
    if seconds < _MINUTE:
        return words.text("ago.now")
    unit, length = next(
        (unit, length)
        for unit, length in (("day", _DAY), ("hour", _HOUR), ("minute", _MINUTE))
        if seconds >= length
    )
    count = int(seconds // length)
    return words.text(f"ago.{unit}" if count == 1 else f"ago.{unit}s", count=count)


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
