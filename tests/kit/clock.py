"""A clock whose hands a test turns."""

from __future__ import annotations

from webui.oauth_manager.storage import Clock


class FakeClock(Clock):
    """It runs like any other, and is ahead as far as it has been turned."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        return super().now() + self._ahead

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds
