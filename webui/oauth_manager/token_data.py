"""``TokenData``: one person's tokens at one provider, opened."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .shapes import YEAR_10000, text
from .values import replace

REFRESH_BUFFER_SECONDS = 60


def new_generation() -> str:
    """Make an id that distinguishes one authorization of a connection from the one before."""
    return secrets.token_hex(4)


@dataclass(slots=True)
class TokenData:
    """One person's tokens at one provider, opened.

    ``expires_at`` is in epoch seconds, ``0`` meaning "does not expire"; ``scopes`` are
    those the provider granted.  ``issued_at`` (epoch seconds, ``0`` if unknown) only
    tells how long the token lives altogether, and ``client_id`` (``""`` if unknown)
    which client of ours it was issued to; ``server`` (``""`` if unknown) is the token
    endpoint that issued it (:attr:`OAuthProvider.server`), ``issuer`` that server's, if it
    is known, and ``asked`` the person's values in its address (``name=value``).
    ``generation`` is the same in every token of one authorization, and in its profile
    (:attr:`Profile.generation`); ``""`` in records of older versions.  ``has_others`` marks
    the first account of a service beside which the person has had further ones
    (:mod:`.storage.account_names`).
    """

    access_token: str
    refresh_token: str = ""
    expires_at: float = 0.0
    scopes: list[str] = field(default_factory=list)
    token_type: str = "Bearer"
    provider: str = ""
    issued_at: float = field(default=0.0, compare=False)
    client_id: str = field(default="", compare=False)
    server: str = field(default="", compare=False)
    generation: str = field(default="", compare=False)
    has_others: bool = field(default=False, compare=False)
    issuer: str = field(default="", compare=False)
    asked: tuple[str, ...] = field(default=(), compare=False)

    @property
    def is_expired(self) -> bool:
        """Return whether it is time to refresh, by this machine's clock: see :meth:`is_due`."""
        return self.is_due(time.time())

    def is_due(self, now: float, min_valid: float = 0.0) -> bool:
        """Return whether it is time to refresh: within ``REFRESH_BUFFER_SECONDS`` of the end.

        ``min_valid`` widens that, as far as a token just issued is not due.  A token that
        lives less than twice as long is refreshed half-way: otherwise every use of it
        would refresh it once more.
        """
        buffer: float = REFRESH_BUFFER_SECONDS
        wanted = min_valid
        if 0 < self.issued_at < self.expires_at:
            life = self.expires_at - self.issued_at
            buffer = min(buffer, life / 2)
            wanted = min(wanted, life - buffer)
        return self.expires_at > 0 and now >= self.expires_at - max(buffer, wanted)

    def is_over(self, now: float) -> bool:
        """Return whether the access token has truly ended, buffer or not."""
        return self.expires_at > 0 and now >= self.expires_at

    def is_pair(self, other: TokenData | None) -> bool:
        """Return whether both are the same tokens; what they allow may be learnt in between."""
        return other is not None and replace(other, scopes=self.scopes) == self

    def to_record(self) -> dict[str, Any]:
        """Return the whole record: :meth:`to_dict`, and the fields that only we need."""
        more = {
            name: getattr(self, name) for name in ("issued_at", "client_id", "server", "generation")
        }
        if self.issuer:
            more["issuer"] = self.issuer
        if self.asked:
            more["asked"] = list(self.asked)
        mark = {"has_others": True} if self.has_others else {}
        return {**self.to_dict(), **more, **mark}

    def to_dict(self) -> dict[str, Any]:
        """Return the six specified fields, JSON-compatible."""
        return {
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "expires_at": self.expires_at,
            "scopes": list(self.scopes),
            "token_type": self.token_type,
            "provider": self.provider,
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> TokenData:
        """Inverse of :meth:`to_dict` and :meth:`to_record`; a missing field takes its default.

        Raises ``ValueError`` or ``TypeError`` if a field has no sensible reading.
        """
        if not isinstance(d, (dict, Mapping)):  # a dict is told at a tenth of the cost
            raise TypeError("no record")
        scopes = d.get("scopes") or []
        made = cls(
            access_token=d.get("access_token") or "",
            refresh_token=d.get("refresh_token") or "",
            expires_at=_epoch(d.get("expires_at")),
            scopes=scopes.split() if isinstance(scopes, str) else list(map(str, scopes)),
            token_type=str(d.get("token_type") or "Bearer"),
            provider=str(d.get("provider") or ""),
            issued_at=_epoch(d.get("issued_at")),
            client_id=str(d.get("client_id") or ""),
            server=str(d.get("server") or ""),
            generation=str(d.get("generation") or ""),
            has_others=d.get("has_others") is True,
            issuer=str(d.get("issuer") or ""),
            asked=tuple(map(str, d.get("asked") or ())),
        )
        made._check_texts()
        return made

    def _check_texts(self) -> None:
        """Raise ``TypeError`` unless each is text that can be written; together they cost less."""
        named = self.token_type, self.provider, self.client_id, self.server, self.generation
        secrets_of, more = (self.access_token, self.refresh_token), (self.issuer, *self.asked)
        text("".join((*secrets_of, *named, *more, *self.scopes)))

    def __repr__(self) -> str:
        return (
            f"TokenData(provider={self.provider!r}, scopes={self.scopes!r}, "
            f"expires_at={self.expires_at!r}, access_token=***)"
        )


def _epoch(value: Any) -> float:
    """Read epoch seconds from a number or its text; ``0.0`` from nothing."""
    try:
        seconds = float(value or 0.0)
    except OverflowError:
        seconds = math.inf
    if not abs(seconds) < YEAR_10000:  # also true of NaN
        raise ValueError("not a time")
    return seconds
