"""The two records of a connection, sealed and opened: its tokens and its profile."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ..errors import RecordUnreadable
from ..models import Profile
from ..token_data import TokenData
from .sealer import Sealer


@dataclass(frozen=True, slots=True)
class Stored:
    """The records of one connection as they were read; ``""`` if there is none.

    ``clock`` is Redis's less our monotonic one, in ms; ``aside`` the held tokens of a
    connection that ended (:class:`.held_tokens.Leftover`); ``older`` the tokens under
    the older system's key (:mod:`.older_keys`).
    """

    tokens: str = ""
    profile: str = ""
    clock: float = 0.0
    aside: str = ""
    older: str = ""

    @property
    def is_there(self) -> bool:
        """Return whether there is a connection, working or not."""
        return bool(self.tokens or self.profile)

    @property
    def is_older(self) -> bool:
        """Tell whether the tokens are those under the older system's key."""
        return bool(self.older) and self.tokens == self.older


class Records:
    """Sealer and opener of records; no I/O."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def open_tokens(self, user_id: str, provider: str, sealed: str) -> TokenData | None:
        """Open the tokens, ``None`` if there are none.  Raises ``RecordUnreadable``."""
        if not sealed:
            return None
        record = self._sealer.open("tokens", user_id, provider, sealed)
        try:
            token = TokenData.from_dict(record)
        except (ValueError, TypeError):
            raise RecordUnreadable("a field has no sensible reading") from None
        return token if token.access_token else None

    def open_profile(self, user_id: str, provider: str, sealed: str) -> Profile:
        """Open the profile; empty if it is absent or cannot be read."""
        try:
            record = self._sealer.open("connection", user_id, provider, sealed)
            return Profile.from_dict(record)
        except (RecordUnreadable, TypeError):
            return Profile()

    def facts(self, user_id: str, provider: str, stored: Stored) -> Profile:
        """Return the profile of the tokens that are stored; empty if it belongs to others."""
        profile = self.open_profile(user_id, provider, stored.profile)
        try:
            return profile.of(self.open_tokens(user_id, provider, stored.tokens))
        except RecordUnreadable:
            return profile

    def can_open(self, user_id: str, provider: str, sealed: str) -> bool:
        """Tell whether a profile is there and can be read; else it is kept as it is."""
        try:
            Profile.from_dict(self._sealer.open("connection", user_id, provider, sealed))
        except (RecordUnreadable, TypeError):
            return False
        return True

    def sealed_tokens(self, user_id: str, token: TokenData) -> str:
        return self._sealer.seal("tokens", user_id, token.provider, token.to_record())

    def sealed_profile(self, user_id: str, provider: str, profile: Profile) -> str:
        return self._sealer.seal("connection", user_id, provider, asdict(profile))
