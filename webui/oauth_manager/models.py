"""The nouns of the library: what is stored, and what is shown of it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

REFRESH_BUFFER_SECONDS = 60
STUCK_SECONDS = 3600.0  # of refusals in unknown words, after which connecting again is offered
_YEAR_10000 = 253_402_300_800.0


@dataclass(slots=True)
class TokenData:
    """One person's tokens at one provider, opened.

    ``expires_at`` is in epoch seconds, ``0`` meaning "does not expire";
    ``scopes`` are those the provider granted.  ``issued_at`` (epoch seconds,
    ``0`` where unknown) only tells how long the token lives altogether, and
    ``client_id`` (``""`` where unknown) which client of ours it was issued to.
    """

    access_token: str
    refresh_token: str = ""
    expires_at: float = 0.0
    scopes: list[str] = field(default_factory=list)
    token_type: str = "Bearer"
    provider: str = ""
    issued_at: float = field(default=0.0, compare=False)
    client_id: str = field(default="", compare=False)

    @property
    def is_expired(self) -> bool:
        """Whether it is time to refresh: within ``REFRESH_BUFFER_SECONDS`` of the end.

        A token that lives less than twice as long is refreshed half-way:
        otherwise every use of it would refresh it once more.
        """
        buffer: float = REFRESH_BUFFER_SECONDS
        if 0 < self.issued_at < self.expires_at:
            buffer = min(buffer, (self.expires_at - self.issued_at) / 2)
        return self.expires_at > 0 and time.time() >= self.expires_at - buffer

    @property
    def is_over(self) -> bool:
        """Whether the access token has truly ended, buffer or not."""
        return self.expires_at > 0 and time.time() >= self.expires_at

    def to_record(self) -> dict[str, Any]:
        """Everything that is stored: :meth:`to_dict`, and what only we need to know."""
        return {**self.to_dict(), "issued_at": self.issued_at, "client_id": self.client_id}

    def to_dict(self) -> dict[str, Any]:
        """The six specified fields, JSON-compatible."""
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
        """Inverse of :meth:`to_dict` and :meth:`to_record`; what is missing takes its default.

        Raises ``ValueError`` or ``TypeError`` where a field has no sensible reading.
        """
        access_token, refresh_token = d.get("access_token") or "", d.get("refresh_token") or ""
        if not isinstance(access_token, str) or not isinstance(refresh_token, str):
            raise TypeError("a token is text")
        scopes = d.get("scopes") or []
        if isinstance(scopes, str):
            scopes = scopes.split()
        return cls(
            access_token=access_token,
            refresh_token=refresh_token,
            expires_at=_epoch(d.get("expires_at")),
            scopes=[str(scope) for scope in scopes],
            token_type=str(d.get("token_type") or "Bearer"),
            provider=str(d.get("provider") or ""),
            issued_at=_epoch(d.get("issued_at")),
            client_id=str(d.get("client_id") or ""),
        )

    def __repr__(self) -> str:
        return (
            f"TokenData(provider={self.provider!r}, scopes={self.scopes!r}, "
            f"expires_at={self.expires_at!r}, access_token=***)"
        )


def _epoch(value: Any) -> float:
    """Epoch seconds from a number or its text; ``0.0`` from nothing."""
    try:
        seconds = float(value or 0.0)
    except OverflowError:
        seconds = math.inf
    if not seconds < _YEAR_10000:  # also true of NaN
        raise ValueError("not a time")
    return seconds


class Status(StrEnum):
    """Where a connection stands, as far as the store alone can tell."""

    NOT_CONNECTED = "not_connected"
    CONNECTED = "connected"
    RECONNECT_NEEDED = "reconnect_needed"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Account:
    """Who the person is at the provider: an immutable id, and a name to show."""

    id: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """What is kept of a connection beside its tokens.  Holds no secret.

    Times are epoch seconds, ``0`` meaning "never" or "not known".  ``problem`` is the
    provider's error code when access is gone, ``""`` while all is well; ``problem_trace``
    is the provider's own trace id of that error, if it gave one, and ``problem_kind`` what
    it means (``Meaning``).  ``accepted_missing`` are scopes the person chose to do without;
    ``trouble`` is ``provider``, ``refused`` (in words that nobody here knows) or ``setup``
    while the last refresh or check failed through no known fault of the grant, and
    ``trouble_code`` the error code of that failure.  ``refused_since`` and ``refused_at``
    are the first and the last such refusal since it last worked.  ``checked_at`` is the
    last check that went well, ``failed_check_at`` that found ``failed_check`` (``Health``).
    """

    account: Account = Account()
    connected_at: float = 0.0
    renewed_at: float = 0.0
    checked_at: float = 0.0
    requested_scopes: tuple[str, ...] = ()
    problem: str = ""
    problem_since: float = 0.0
    used_at: float = 0.0
    accepted_missing: tuple[str, ...] = ()
    trouble: str = ""
    trouble_since: float = 0.0
    problem_trace: str = ""
    trouble_code: str = ""
    problem_kind: str = ""
    refused_since: float = 0.0
    refused_at: float = 0.0
    failed_check_at: float = 0.0
    failed_check: str = ""

    @property
    def is_stuck(self) -> bool:
        """Whether renewing has been refused, in unknown words, again and again for an hour."""
        return self.refused_at - self.refused_since >= STUCK_SECONDS

    def with_problem(self, code: str, kind: str, trace: str, now: float) -> Profile:
        """The same, now that access is gone."""
        return replace(
            self.without_trouble(),
            problem=code,
            problem_kind=str(kind),
            problem_trace=trace,
            problem_since=now,
        )

    def with_trouble(self, trouble: str, code: str, now: float) -> Profile:
        """The same, now that it failed; trouble of one kind keeps its beginning."""
        since = self.trouble_since if self.trouble == trouble else now
        noted = replace(self, trouble=trouble, trouble_since=since, trouble_code=code)
        if trouble != "refused":
            return noted
        return replace(noted, refused_since=self.refused_since or now, refused_at=now)

    def without_trouble(self) -> Profile:
        """The same, now that it has been working."""
        return replace(
            self,
            trouble="",
            trouble_since=0.0,
            trouble_code="",
            refused_since=0.0,
            refused_at=0.0,
        )

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Profile:
        """Inverse of ``asdict``; fields that are missing take their defaults.

        Raises ``KeyError`` or ``TypeError`` where a record is no profile.
        """
        known = {name: record[name] for name in cls.__slots__ if name in record}
        known["account"] = Account(**record["account"])
        for name in ("requested_scopes", "accepted_missing"):
            known[name] = tuple(known.get(name, ()))
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Connection:
    """One person's standing with one provider, for display.  Holds no secret."""

    provider: str
    status: Status
    scopes: tuple[str, ...] = ()
    expires_at: float = 0.0
    has_refresh_token: bool = False
    profile: Profile = Profile()
    has_tokens: bool = False  # stored, valid or not
    # Asked for or needed by a feature, and not granted; empty unless connected.
    missing_scopes: tuple[str, ...] = ()
    # Those of them that no feature needs; empty where the provider's features are not known.
    unneeded_scopes: tuple[str, ...] = ()
    lacking_features: tuple[str, ...] = ()  # what does not work, as the provider names it
    unasked_scopes: tuple[str, ...] = ()  # granted beyond what was asked for
    # While a disconnect is not confirmed: "asking" or "unconfirmed", and the last moment
    # (epoch seconds) at which the provider can be asked again.
    ending: str = ""
    ending_until: float = 0.0

    @property
    def lacking_scopes(self) -> tuple[str, ...]:
        """What is missing and needed; all that is missing, where nobody said what is needed."""
        return tuple(scope for scope in self.missing_scopes if scope not in self.unneeded_scopes)

    @property
    def is_limited(self) -> bool:
        """Whether something needed was left off that the person has not chosen to do without."""
        return not set(self.lacking_scopes) <= set(self.profile.accepted_missing)


class RevokeOutcome(StrEnum):
    """What the provider did when a connection was disconnected."""

    REVOKED = "revoked"  # it confirmed
    UNCONFIRMED = "unconfirmed"  # it was asked and did not confirm
    UNSUPPORTED = "unsupported"  # it has no way to ask (Microsoft)
    ENDED = "ended"  # it had ended the access before; what was left here is gone
    NOTHING = "nothing"  # there was no connection to end


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The truth about a disconnect: the local copy is gone; ``at_provider`` says the rest.

    ``retry_until`` (epoch seconds) is how long the provider can be asked again, ``0``
    where it cannot.
    """

    provider: str
    at_provider: RevokeOutcome
    account: Account = Account()
    retry_until: float = 0.0
