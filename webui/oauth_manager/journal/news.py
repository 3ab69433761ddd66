"""News: whether a notice still tells how things are."""

from __future__ import annotations

from ..models import Connection, Status
from .notices import ANSWER_SECONDS, Notice, NoticeKind

_STALE_SECONDS = 86400  # after which nobody waits for news of a link any more

_TELLS = {
    NoticeKind.CONNECTED: Status.CONNECTED,
    NoticeKind.DISCONNECTED: Status.NOT_CONNECTED,
    NoticeKind.SUPPORT_DISCONNECTED: Status.NOT_CONNECTED,
    NoticeKind.RECONNECT_NEEDED: Status.RECONNECT_NEEDED,
}


def is_news(
    notice: Notice, connection: Connection | None, now: float, *, is_configured: bool
) -> bool:
    """Return whether a notice is still news at ``now`` (epoch seconds), for this connection.

    If it has moved on, another notice or an answer in chat has reported that; nothing
    reports access that ran out by itself, or a record that cannot be read.  A fresh
    notice is always sent: it is written before the change it reports.
    """
    age = now - notice.at
    if notice.kind is NoticeKind.LINK_RAN_OUT:
        return is_configured and age < _STALE_SECONDS
    if notice.kind is NoticeKind.ENDS_SOON:
        return is_configured and connection is not None and connection.ends_soon(now)
    told = _TELLS.get(notice.kind)
    if told is None or connection is None:
        return True
    if notice.kind is NoticeKind.RECONNECT_NEEDED:
        return connection.status is told
    if age < ANSWER_SECONDS:
        return True
    if notice.kind is not NoticeKind.CONNECTED:
        return connection.status is told
    if connection.status is told:
        return connection.profile.connected_at <= notice.at
    return connection.status is not Status.NOT_CONNECTED and not connection.profile.problem
