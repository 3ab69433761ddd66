"""The clock of one application: the library and the site ask it, and tests turn its hands."""

from __future__ import annotations

import time


class Clock:
    """Two ways to measure time.  Redis's own clock decides what several processes agree on."""

    def now(self) -> float:
        """Return the wall time in epoch seconds, for what is stored and shown."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back, for deadlines and pauses."""
        return time.monotonic()
