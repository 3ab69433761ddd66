"""Steps of OAuth as they end: each told to the log, and to one observer for metrics.

The observer is a function of a ``Step``.  It is called where the step ended, so it has to
be quick and must not raise.  A valid token that is only read is no step.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from ..clock import Clock
from ..errors import (
    Meaning,
    OAuthError,
    OAuthMisconfigured,
    OAuthUnavailable,
    RecordUnreadable,
    StoreUnavailable,
)

log = logging.getLogger(__name__)

Result = TypeVar("Result")

FAILURES = ("refused", "setup", "trouble", "unknown", "store", "unreadable")
OUTCOMES = {
    "connect": ("connected", "asked", "over", "denied", *FAILURES),
    "refresh": ("renewed", "ended", "over", "newer", *FAILURES),
    "check": (
        "working",
        "not_connected",
        "reconnect_needed",
        "provider_trouble",
        "refused",
        "rejected",
        "unchecked",
        "misconfigured",
        "store",
    ),
    "revoke": ("revoked", "unconfirmed", "unsupported"),
}
"""For each step that a person or a tool asks for: its classes of outcome."""

LOCK_OUTCOMES = ("got", "newer", "gave_up")
SAVED_BY = ("flight", "lock")


@dataclass(frozen=True, slots=True)
class Step:
    """The end of one step; no person and no secret is in it.

    ``kind`` is one of ``OUTCOMES``; or ``call``, one request to a provider, of which
    ``call`` says which (``exchange``, ``refresh``, ``revoke``, ``account``) and ``outcome``
    is ``answered``, ``refused`` (4xx), ``trouble`` (5xx and the like), ``cancelled``, or the
    code of the transport's failure; or ``lock``, a wait for another process's refresh (one of
    ``LOCK_OUTCOMES``); or ``saved``, a refresh that another one saved (``SAVED_BY``).
    """

    kind: str
    provider: str
    outcome: str
    seconds: float = 0.0
    call: str = ""


Observer = Callable[[Step], object]


class Steps:
    """The teller of steps, one for each manager."""

    def __init__(self, clock: Clock, observer: Observer | None = None) -> None:
        self._clock = clock
        self._observer = observer

    def now(self) -> float:
        """Return a moment, to tell a step's seconds from."""
        return self._clock.monotonic()

    def tell(self, kind: str, provider: str, outcome: str, since: float, call: str = "") -> None:
        """Tell the end of a step that began at ``since``, a moment of :meth:`now`."""
        seconds = max(self._clock.monotonic() - since, 0.0)
        if kind in OUTCOMES:
            ms = round(seconds * 1000, 1)
            facts = {"step": kind, "provider": provider, "outcome": outcome, "ms": ms}
            log.info("oauth", extra=facts)
        if self._observer is not None:
            self._observer(Step(kind, provider, outcome, seconds, call))

    async def told(
        self,
        kind: str,
        provider: str,
        work: Awaitable[Result],
        outcome: Callable[[Result], str],
    ) -> Result:
        """Wait for ``work`` and tell its outcome, or the class of its error."""
        since = self.now()
        try:
            result = await work
        except OAuthError as error:
            self.tell(kind, provider, failure_of(error), since)
            raise
        self.tell(kind, provider, outcome(result), since)
        return result

    def tell_answer(self, provider: str, outcome: str) -> None:
        """Tell of a callback with an error: ``outcome`` is its word for a card."""
        self.tell("connect", provider, _ANSWERS.get(outcome, "refused"), self.now())


# By Meaning.outcome.
_ANSWERS = {
    "denied": "denied",
    "misconfigured": "setup",
    "provider_trouble": "trouble",
    "not_understood": "unknown",
}


def failure_of(error: OAuthError) -> str:
    """Return the class of an error, one of ``FAILURES``."""
    if isinstance(error, StoreUnavailable):
        return "store"
    if isinstance(error, RecordUnreadable):
        return "unreadable"
    if isinstance(error, (OAuthMisconfigured, OAuthUnavailable)):
        if error.meaning is Meaning.UNKNOWN:
            return "unknown"
        return "setup" if isinstance(error, OAuthMisconfigured) else "trouble"
    return "refused"


def answer_class(status: int) -> str:
    """Return the class of an HTTP answer: ``answered``, ``refused`` or ``trouble``."""
    if status < 400:
        return "answered"
    return "trouble" if status >= 500 or status in (408, 425, 429) else "refused"
