"""Tokens that are removed here while the provider may still list us: aside, for one more try.

Nothing reads them but the try itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from . import keys
from .errors import RecordUnreadable
from .models import TokenData
from .redis_io import as_text, redis_call
from .sealing import Sealer

KEPT_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Leftover:
    """What the provider can be asked with once more, ``until`` then (epoch seconds)."""

    token: TokenData = field(repr=False)
    until: float


class Leftovers:
    """At most one for each person and provider, sealed."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def add(self, pipe: Any, user_id: str, left: Leftover) -> Any:
        """Queue it on a pipeline, or on a client: then await what is returned."""
        payload = {"token": left.token.to_dict(), "until": left.until}
        sealed = self._sealer.seal("revoke", user_id, left.token.provider, payload)
        seconds = max(round(left.until - time.time()), 1)
        return pipe.set(keys.revoke(user_id, left.token.provider), sealed, ex=seconds)

    def drop(self, pipe: Any, user_id: str, provider: str) -> Any:
        """Forget it; a pipeline or a client, as for :meth:`add`."""
        return pipe.delete(keys.revoke(user_id, provider))

    async def take(self, redis: Any, user_id: str, provider: str) -> Leftover | None:
        """Consume it: of two tries at once one asks."""
        async with redis_call("take what is left of a connection"):
            sealed = as_text(await redis.getdel(keys.revoke(user_id, provider)))
        try:
            record = self._sealer.open("revoke", user_id, provider, sealed)
            left = Leftover(TokenData.from_dict(record["token"]), float(record["until"]))
        except (RecordUnreadable, KeyError, TypeError, ValueError):
            return None
        return left if left.until > time.time() else None
