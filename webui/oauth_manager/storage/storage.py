"""``Storage``, the means to keep anything; ``Subject``, one connection of a person."""

from __future__ import annotations

from ..clock import Clock
from ..providers.provider import OAuthProvider
from ..values import Struct, replace
from . import keys
from .calls import RedisClient
from .keys import UserId
from .sealer import Sealer


class Storage(Struct, frozen=True):
    """The seal of every record, and the clock of its times."""

    sealer: Sealer
    clock: Clock


class Subject(Struct, frozen=True):
    """One person's connection with one provider, in one Redis.

    The manager makes it of its callers' arguments, once they are checked.  ``slot`` is the
    immutable part of its keys that tells one of several accounts from the others, ``""`` of
    the first.  ``is_any``: no account was named, so it is the only one or the person's
    default, as the records tell (:mod:`..flows.accounts`).
    """

    redis: RedisClient
    user_id: UserId
    provider: OAuthProvider
    slot: str = ""
    is_any: bool = False

    def at(self, slot: str) -> Subject:
        """Return the same person's connection with another account."""
        return replace(self, slot=slot, is_any=False)

    @property
    def place(self) -> str:
        """Return the last part of its keys: the provider's name, and the slot if there is one."""
        return keys.place(self.provider.name, self.slot)

    @property
    def record_keys(self) -> tuple[str, str]:
        """Return the keys of the tokens and of the profile."""
        place = self.user_id, self.place
        return keys.tokens(*place), keys.connection(*place)
