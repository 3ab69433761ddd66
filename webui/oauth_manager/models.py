"""``Connection``, ``Profile``, ``Account``, ``Status``, ``Disconnected``: the library's nouns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from .shapes import shaped
from .token_data import TokenData
from .values import replace

SOON = 7 * 86_400.0  # seconds before its end from which a person is asked to renew
STUCK_SECONDS = 3600.0  # of refusals in unknown words, after which connecting again is offered


class Status(StrEnum):
    """The state of a connection, as far as the store alone can tell."""

    NOT_CONNECTED = "not_connected"
    CONNECTED = "connected"
    RECONNECT_NEEDED = "reconnect_needed"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Account:
    """The person's account at the provider: an immutable id, and a name to show."""

    id: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """The facts of a connection beside its tokens.  Holds no secret.

    Times are epoch seconds, ``0`` meaning "never" or "not known".  ``problem`` is the
    provider's error code when access is gone, ``""`` while all is well; ``problem_trace``
    is the provider's own trace id of that error, if it gave one, and ``problem_kind`` its
    meaning (``Meaning``).  ``accepted_missing`` are scopes the person chose to do without;
    ``trouble`` is ``provider``, ``refused`` (with an unknown error), ``rejected`` (a check
    by the account address, once) or ``setup`` while the last refresh or check failed
    through no known fault of the grant, and ``trouble_code`` the error code of that
    failure.  ``refused_since`` and ``refused_at`` are the first and the last refusal in
    unknown words since it last worked.  ``checked_at`` is the last check that went well,
    ``failed_check_at`` that of one that found ``failed_check`` (``Health``).
    ``generation`` is that of the tokens it belongs to (:attr:`TokenData.generation`).
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
    generation: str = ""
    is_account_refused: bool = False  # by its address, with a token that had just been issued
    asked: tuple[str, ...] = ()  # "name=value" of the person's values in its addresses
    kept: tuple[str, ...] = ()  # "path=value" of facts beside the tokens (a provider's KEEP)

    def of(self, token: TokenData | None) -> Profile:
        """Return the same, unless it belongs to another authorization: then an empty one."""
        if token is None or token.generation == self.generation:
            return self
        return Profile(generation=token.generation)

    @property
    def is_account_unasked(self) -> bool:
        """Return whether nobody has asked for its account yet: an older system connected it."""
        return not self.connected_at and not self.account.id

    @property
    def is_stuck(self) -> bool:
        """Tell whether renewing was refused in unknown words, repeatedly over an hour."""
        return self.trouble != "setup" and self.refused_at - self.refused_since >= STUCK_SECONDS

    def with_problem(self, code: str, kind: str, trace: str, now: float) -> Profile:
        """Return the same, now that access is gone."""
        return replace(
            self.without_trouble(),
            problem=code,
            problem_kind=str(kind),
            problem_trace=trace,
            problem_since=now,
        )

    def with_trouble(self, trouble: str, code: str, now: float) -> Profile:
        """Return the same, now that it failed; trouble of one kind keeps its beginning."""
        since = self.trouble_since if self.trouble == trouble else now
        noted = replace(self, trouble=trouble, trouble_since=since, trouble_code=code)
        if trouble != "refused":
            return noted
        return replace(noted, refused_since=self.refused_since or now, refused_at=now)

    def without_trouble(self) -> Profile:
        """Return the same, now that it has been working."""
        return replace(
            self,
            trouble="",
            trouble_since=0.0,
            trouble_code="",
            refused_since=0.0,
            refused_at=0.0,
        )

    @classmethod
    def from_dict(cls, record: object) -> Profile:
        """Inverse of ``asdict``; fields that are missing take their defaults.

        Raises ``TypeError`` if a record is no profile.
        """
        account = record.get("account") if isinstance(record, Mapping) else None
        return shaped(cls, record, account=shaped(Account, account))


@dataclass(frozen=True, slots=True)
class Connection:
    """One person's connection with one account at a provider, for display.  Holds no secret."""

    provider: str
    status: Status
    scopes: tuple[str, ...] = ()
    expires_at: float = 0.0
    has_refresh_token: bool = False
    profile: Profile = Profile()
    has_tokens: bool = False  # stored, valid or not
    # Requested, or needed by a feature, and not granted; empty unless connected.
    missing_scopes: tuple[str, ...] = ()
    # Those of them that no feature needs; empty if the provider's features are not known.
    unneeded_scopes: tuple[str, ...] = ()
    lacking_features: tuple[str, ...] = ()  # features that do not work
    unasked_scopes: tuple[str, ...] = ()  # granted without being requested
    # While a disconnect is not confirmed: "asking" or "unconfirmed", and the last moment
    # (epoch seconds) at which the provider can be asked again.
    ending: str = ""
    ending_until: float = 0.0
    # One of several accounts of the service: what the person calls it, and its slot, which
    # never changes (``""`` of the first).
    name: str = ""
    slot: str = ""
    is_default: bool = False  # the one that is meant where none is named
    was_there: bool = False  # it was to be added just now, and was connected already

    @property
    def handle(self) -> str:
        """Return what names it for ever where an account is asked for, whatever its name."""
        return f"~{self.slot}"

    @property
    def place(self) -> str:
        """Return what stands for its provider where methods ask for one, and means this one."""
        return f"{self.provider}{self.handle}" if self.name or self.slot else self.provider

    @property
    def lacking_scopes(self) -> tuple[str, ...]:
        """Return the missing scopes that are needed; all missing ones if that is unknown."""
        return tuple(scope for scope in self.missing_scopes if scope not in self.unneeded_scopes)

    @property
    def asked(self) -> dict[str, str]:
        """Map the name of each value of the person in the provider's addresses to it: ``shop``."""
        return dict(one.partition("=")[::2] for one in self.profile.asked)

    @property
    def extra(self) -> dict[str, str]:
        """Map the path of each fact that the provider's data keep to its value: ``team.id``."""
        return dict(fact.partition("=")[::2] for fact in self.profile.kept)

    def ends_soon(self, now: float) -> bool:
        """Tell whether access ends within a week of ``now`` (epoch seconds), for good."""
        is_for_good = self.status is Status.CONNECTED and not self.has_refresh_token
        return is_for_good and 0 < self.expires_at < now + SOON

    @property
    def is_limited(self) -> bool:
        """Return whether a needed scope is missing that the person has not chosen to do without."""
        return not set(self.lacking_scopes) <= set(self.profile.accepted_missing)


class RevokeOutcome(StrEnum):
    """The provider's reaction to a disconnect."""

    REVOKED = "revoked"  # it confirmed
    UNCONFIRMED = "unconfirmed"  # it was asked and did not confirm
    UNSUPPORTED = "unsupported"  # it has no way to ask (Microsoft)
    ENDED = "ended"  # it had ended the access before; the rest here is deleted
    NOTHING = "nothing"  # there was no connection to end


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The truth about a disconnect: the local copy is gone; ``at_provider`` says the rest.

    ``retry_until`` (epoch seconds) is how long the provider can be asked again, ``0`` if it cannot.
    """

    provider: str
    at_provider: RevokeOutcome
    account: Account = Account()
    retry_until: float = 0.0
