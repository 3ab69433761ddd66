"""``Note``: the outcome of an action, kept in the session until the card has shown it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """The outcome of the last action on a card: a key of ``OUTCOMES``, or one of ``WORDLESS``.

    ``until``, in epoch seconds, is when something works again, or how long it does;
    ``times`` is how often the same outcome came in a row.  ``account`` names one of several
    that has ended: no record does any more.  ``receipt`` is HTML for the record, found when
    the note is shown, and never stored.  ``is_adding``: it is about another account than the
    card's, which was to be added.
    """

    key: str
    ref: str = ""
    at: float = 0.0
    until: float = 0.0
    times: int = 1
    account: str = ""
    receipt: str = ""
    is_adding: bool = False

    def record(self) -> dict[str, object]:
        """Return what is stored: what a person with one account never has is left out."""
        return {k: v for k, v in asdict(self).items() if v or k not in ("account", "is_adding")}


# Keys that are none of ``OUTCOMES``: they change what counts, and no card has words for them.
DISMISSED = "dismissed"  # in place of the outcome that the person has put away
CANCELLED = "cancelled"  # named by :func:`cancellation`: attempts begun earlier are over
DELIVERED = "delivered"  # of :mod:`.delivered`: answers that this browser has brought
WORDLESS = frozenset({DISMISSED, CANCELLED, DELIVERED})

NOTE_SECONDS = 15 * 60  # how long an outcome stays on its card


def cancellation(provider: str) -> str:
    """Return the name of a session's note that connecting was cancelled; no service's name."""
    return f"cancelled:{provider}"


def is_cancelled(notes: Mapping[str, Note], provider: str, begun_at: float) -> bool:
    """Return whether an attempt begun then (epoch seconds) has been cancelled since."""
    cancelled = notes.get(cancellation(provider))
    return cancelled is not None and begun_at <= cancelled.at
