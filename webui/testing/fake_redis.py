"""``FakeRedis``: enough of Redis that no limit is reached, and a plain error for the rest."""

from __future__ import annotations

from typing import Any, NoReturn


class FakeRedis:
    """It keeps nothing."""

    async def eval(self, *_: Any) -> int:
        """Count a try: it is always the first."""
        return 1

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotImplementedError(f"FakeConnections has no Redis, and this needs one: {name}")
