"""``Registered``: a client that a server has registered on request (RFC 7591)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..shapes import shaped


@dataclass(frozen=True, slots=True)
class Registered:
    """A client for one callback address of ours; ``token_auth`` is a provider's ``CLIENT_AUTH``.

    ``ends_at`` (epoch seconds) is the end of its secret, 0 if it has none.
    """

    client_id: str
    redirect_uri: str
    token_auth: str
    client_secret: str = field(default="", repr=False)
    ends_at: float = 0.0

    @classmethod
    def from_dict(cls, record: object) -> Registered:
        """Inverse of ``asdict``.  Raises ``TypeError`` if a record is none."""
        return shaped(cls, record)

    def is_good(self, redirect_uri: str, now: float) -> bool:
        """Return whether it is for this callback address, and its secret has not ended."""
        return self.redirect_uri == redirect_uri and not 0 < self.ends_at <= now
