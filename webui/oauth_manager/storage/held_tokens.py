"""Tokens that are no connection any more, sealed aside for at most an hour.

They are stored before anything is removed, so that a killed process leaves behind the
tokens to ask the provider with.  Nothing else reads them.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..errors import RecordUnreadable
from ..shapes import shaped
from ..token_data import TokenData
from . import keys, scripts
from .calls import Commands, Pipeline, RedisClient, redis_call
from .sealer import Sealer

HELD_SECONDS = 3600
# Longest time of asking a provider, in seconds; after that the asking process is gone.
ASKING_SECONDS = 12.0

ASKING = "asking"  # it is being asked to end the access
UNCONFIRMED = "unconfirmed"  # it was asked and did not confirm
ENDED = "ended"  # it ended the access itself


@dataclass(frozen=True, slots=True)
class Leftover:
    """Tokens to ask the provider with, kept ``until`` then; times in epoch seconds.

    ``state`` is ``ASKING`` since ``asked_at``, ``UNCONFIRMED`` or ``ENDED``; ``by`` is
    who disconnected, ``at`` when.  ``sealed`` is the record as it was read or written.
    """

    token: TokenData = field(repr=False)
    until: float
    state: str = UNCONFIRMED
    asked_at: float = 0.0
    by: str = ""
    at: float = 0.0
    account: str = ""
    sealed: str = field(default="", repr=False, compare=False)

    @property
    def is_interrupted(self) -> bool:
        """Return whether the asking process stopped before it could write the answer down."""
        return self.state == ASKING and not 0 <= time.time() - self.asked_at < ASKING_SECONDS


class Leftovers:
    """Held tokens: at most one for each person and provider."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def sealed(self, user_id: str, left: Leftover) -> Leftover:
        """Return the same with its sealed record, for :meth:`put` and the like."""
        payload = {name: value for name, value in asdict(left).items() if name != "sealed"}
        payload["token"] = left.token.to_record()
        return replace(
            left, sealed=self._sealer.seal("revoke", user_id, left.token.provider, payload)
        )

    def open(self, user_id: str, provider: str, sealed: str) -> Leftover | None:
        """Open a record; None if there is none, or its time has passed."""
        if not sealed:
            return None
        try:
            record = self._sealer.open("revoke", user_id, provider, sealed)
            token = TokenData.from_dict(record["token"])
            left = shaped(Leftover, record, token=token, sealed=sealed)
        except (RecordUnreadable, KeyError, TypeError, ValueError):
            return None
        return left if left.until > time.time() else None

    def put(self, pipe: Commands, user_id: str, left: Leftover) -> Any:
        """Queue it on a pipeline, or on a client: then await what is returned."""
        return pipe.set(keys.revoke(user_id, left.token.provider), left.sealed, px=_life(left))

    def drop(self, pipe: Commands, user_id: str, provider: str) -> Any:
        """Forget any; ``pipe`` is a pipeline or a client, as for :meth:`put`."""
        return pipe.delete(keys.revoke(user_id, provider))

    def forget(self, pipe: Pipeline, user_id: str, left: Leftover) -> Any:
        """Forget this one, unless another has taken its place."""
        key = keys.revoke(user_id, left.token.provider)
        return pipe.eval(scripts.DELETE_IF_SAME, 1, key, left.sealed)

    def exchange(self, pipe: Commands, user_id: str, before: Leftover, after: Leftover) -> Any:
        """Replace one by another, if it still is there: 1 if it was."""
        key = keys.revoke(user_id, before.token.provider)
        return pipe.eval(scripts.REPLACE, 1, key, before.sealed, after.sealed, _life(after))

    async def claim(self, redis: RedisClient, user_id: str, left: Leftover) -> Leftover | None:
        """Claim the asking: of any number of callers at once, one gets it."""
        asking = self.sealed(user_id, replace(left, state=ASKING, asked_at=time.time()))
        async with redis_call("ask once more with what is left of a connection"):
            is_ours = int(await self.exchange(redis, user_id, left, asking)) == 1
        return asking if is_ours else None


def _life(left: Leftover) -> int:
    return max(int((left.until - time.time()) * 1000), 1)
