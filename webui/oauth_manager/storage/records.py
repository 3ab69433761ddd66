"""The records of a connection, sealed and opened: its tokens, its profile, its held tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import RecordNewer, RecordUnreadable
from ..models import Profile
from ..token_data import TokenData
from ..values import Struct, replace
from . import account_names, held_tokens
from .account_names import Names
from .held_tokens import HeldTokens
from .storage import Storage, Subject

_FACTS = frozenset(fact.name for fact in fields(Profile))


class Sealed(Struct, frozen=True):
    """The records of one connection as they were read; ``""`` if there is none.

    ``held`` are the held tokens of a connection that ended, ``older`` the tokens under
    the older system's key (:mod:`.older_keys`), ``names`` the list of accounts of the service.
    """

    tokens: str = ""
    profile: str = ""
    held: str = ""
    older: str = ""
    names: str = ""


_NOTHING = Sealed()


@dataclass(frozen=True, slots=True)
class Stored:
    """The records of one connection, opened, with their seals for compare-and-set.

    ``profile`` is empty if there is none, or if it cannot be read (``is_profiled``).
    ``fault`` is the reason if there are tokens that cannot be read, or if either record
    ``is_newer`` than this program.  ``clock_ahead`` is Redis's clock less our monotonic
    one, and ``read_at`` the moment of reading by it, in ms.  ``names`` are the accounts of the
    service, ``None`` if they have no list, or if it was not asked for.
    """

    sealed: Sealed = _NOTHING
    token: TokenData | None = None
    profile: Profile = field(default_factory=Profile)
    held: HeldTokens | None = None
    fault: str = ""
    is_profiled: bool = False
    is_newer: bool = False
    clock_ahead: float = 0.0
    read_at: float = 0.0
    names: Names | None = None

    @property
    def is_there(self) -> bool:
        """Return whether there is a connection, working or not."""
        return bool(self.sealed.tokens or self.sealed.profile)

    @property
    def is_older(self) -> bool:
        """Tell whether the tokens are those under the older system's key."""
        return bool(self.sealed.older) and self.sealed.tokens == self.sealed.older

    def named(self, subject: Subject) -> dict[str, str]:
        """Return the fields of an event that tell the account from others of the service."""
        name = self.names.shown(subject.slot) if self.names else ""
        return {field: value for field, value in (("name", name), ("slot", subject.slot)) if value}

    @property
    def facts(self) -> Profile:
        """Return the profile of the tokens that are stored; empty if it belongs to others."""
        return self.profile.of(self.token)

    def require_token(self) -> TokenData | None:
        """Return the tokens, ``None`` if there are none.  Raises ``RecordUnreadable``."""
        if self.fault:
            raise RecordUnreadable(self.fault)
        return self.token


def opened(storage: Storage, subject: Subject, sealed: Sealed) -> Stored:
    """Open all records of one connection; none of them raises."""
    token, profile = None, None
    fault, is_newer = "", False
    try:
        token = open_token(storage, subject, sealed.tokens)
    except RecordUnreadable as error:
        fault, is_newer = error.reason, isinstance(error, RecordNewer)
    try:
        profile = _readable_profile(storage, subject, sealed.profile)
    except RecordNewer as error:
        fault, is_newer = error.reason, True
    held = held_tokens.opened(storage, subject, sealed.held)
    is_profiled = profile is not None
    found = Stored(sealed, token, profile or Profile(), held, fault, is_profiled, is_newer)
    if not sealed.names:
        return found
    return replace(found, names=account_names.read_names(storage, subject, sealed.names))


def open_token(storage: Storage, subject: Subject, sealed: str) -> TokenData | None:
    """Open the tokens, ``None`` if there are none.  Raises ``RecordUnreadable``."""
    if not sealed:
        return None
    record = storage.sealer.open("tokens", subject.user_id, subject.place, sealed)
    try:
        token = TokenData.from_dict(record)
    except (ValueError, TypeError):
        raise RecordUnreadable("a field has no sensible reading") from None
    token.provider = subject.provider.name  # the older system left it empty
    return token if token.access_token else None


def open_profile(storage: Storage, subject: Subject, sealed: str) -> Profile:
    """Open the profile; empty if it is absent or cannot be read."""
    try:
        return _readable_profile(storage, subject, sealed) or Profile()
    except RecordNewer:
        return Profile()


def _readable_profile(storage: Storage, subject: Subject, sealed: str) -> Profile | None:
    """Open the profile; None if it is absent or cannot be read.  Raises ``RecordNewer``."""
    try:
        record = storage.sealer.open("connection", subject.user_id, subject.place, sealed)
        return Profile.from_dict(record)
    except RecordNewer:
        raise
    except (RecordUnreadable, TypeError):
        return None


def seal_token(storage: Storage, subject: Subject, token: TokenData) -> str:
    return storage.sealer.seal("tokens", subject.user_id, subject.place, token.to_record())


def seal_profile(storage: Storage, subject: Subject, profile: Profile) -> str:
    facts = without_empty(asdict(profile))
    return storage.sealer.seal("connection", subject.user_id, subject.place, facts)


def without_empty(record: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the facts that say nothing: a missing one reads as empty."""
    return {name: value for name, value in record.items() if value or name not in _FACTS}
