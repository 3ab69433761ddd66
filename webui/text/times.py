"""Times as HTML: in UTC, for the script to turn into the person's own zone."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from markupsafe import Markup

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
    "date": "{day}",
    "time": "{minute} UTC",
    "second": "{minute}:{second:02} UTC",
    "both": "{day} at {minute} UTC",
}


@lru_cache(maxsize=4096)
def when(epoch: float, style: str = "both", *, is_local: bool = True) -> Markup:
    """Write a ``<time>`` in UTC; the script turns it into the person's own zone if ``is_local``.

    ``style`` is ``date``, ``time``, ``second`` (a time to the second) or ``both``.
    """
    at = datetime.fromtimestamp(epoch, UTC)
    text = _STYLES[style].format(
        day=f"{at.day} {_MONTHS[at.month - 1]} {at.year}",
        minute=f"{at.hour:02}:{at.minute:02}",
        second=at.second,
    )
    own = f' data-local="{style}"' if is_local else ""
    html = f'<time datetime="{at:%Y-%m-%dT%H:%M:%SZ}"{own}>{text}</time>'
    return Markup(html)  # noqa: S704 -- made of numbers and our own words
