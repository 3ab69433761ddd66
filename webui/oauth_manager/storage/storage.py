"""``Storage``, the means to keep anything; ``Subject``, one connection: person and provider."""

from __future__ import annotations

from dataclasses import dataclass

from ..clock import Clock
from ..providers.provider import OAuthProvider
from . import keys
from .calls import RedisClient
from .keys import UserId
from .sealer import Sealer


@dataclass(frozen=True, slots=True)
class Storage:
    """The seal of every record, and the clock of its times."""

    sealer: Sealer
    clock: Clock


@dataclass(frozen=True, slots=True)
class Subject:
    """One person's connection with one provider, in one Redis.

    The manager makes it of its callers' arguments, once they are checked.
    """

    redis: RedisClient
    user_id: UserId
    provider: OAuthProvider

    @property
    def record_keys(self) -> tuple[str, str]:
        """Return the keys of the tokens and of the profile."""
        place = self.user_id, self.provider.name
        return keys.tokens(*place), keys.connection(*place)
