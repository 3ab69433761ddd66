"""Times as HTML: in UTC, for the script to turn into the person's own zone."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup

_STYLES = {
    "date": "{0.day} {0:%B %Y}",
    "time": "{0:%H:%M} UTC",
    "second": "{0:%H:%M:%S} UTC",
    "both": "{0.day} {0:%B %Y} at {0:%H:%M} UTC",
}


def when(epoch: float, style: str = "both", *, is_local: bool = True) -> Markup:
    """Write a ``<time>`` in UTC; the script turns it into the person's own zone if ``is_local``.

    ``style`` is ``date``, ``time``, ``second`` (a time to the second) or ``both``.
    """
    moment = datetime.fromtimestamp(epoch, UTC)
    own = Markup(' data-local="{}"').format(style) if is_local else ""
    return Markup('<time datetime="{}"{}>{}</time>').format(
        f"{moment:%Y-%m-%dT%H:%M:%SZ}", own, _STYLES[style].format(moment)
    )
