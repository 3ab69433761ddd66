"""The person that an id token signs in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from webui.oauth_manager import OAuthError
from webui.text.names import read_group, read_user_id

LEEWAY = 60  # seconds that two clocks may be apart


class IdTokenRefused(OAuthError):
    """An id token that proves nothing; ``reason`` is a word of ours, for the log."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"id token refused: {reason}")


class KeyUnknown(IdTokenRefused):
    """Signed with a key that the key set does not have; a newer one may."""

    def __init__(self) -> None:
        super().__init__("unknown_key")


@dataclass(frozen=True, slots=True)
class Identity:
    """A person; ``signed_in_at`` (epoch seconds) is when they last proved who they are there.

    With ``sealed_token``, if it is not ``""``, the provider can be asked again whether
    they are in support; ``trouble`` is why it could not be asked now.
    """

    user: str
    groups: tuple[str, ...]
    signed_in_at: float
    sealed_token: str = field(default="", repr=False)
    trouble: str = ""


def claims_request(**wanted: Iterable[str]) -> str:
    """Return the ``claims`` parameter (Core 5.5): paths for ``id_token`` and ``userinfo``.

    Without it a provider may put the claims of a scope into one of the two only (5.4).
    ``""`` if nothing but ``sub`` is wanted.
    """
    wishes = {place: _names(paths) for place, paths in wanted.items()}
    wishes = {place: names for place, names in wishes.items() if names}
    return json.dumps(wishes) if wishes else ""


def _names(paths: Iterable[str]) -> dict[str, None]:
    # A name that is an address is no path, whatever dots it has.
    names = {path if "/" in path else path.partition(".")[0] for path in paths} - {"sub"}
    return dict.fromkeys(sorted(names))


def read_identity(
    claims: Mapping[str, Any], user_claim: str, groups_claim: str, now: float
) -> Identity:
    """Read a person from claims verified ``now``.

    A claim's name may be a path (``realm_access.roles``).  Raises ``IdTokenRefused`` if
    the user's claim holds no user id.
    """
    try:
        user = read_user_id(_at(claims, user_claim))
    except ValueError:
        raise IdTokenRefused("user_claim") from None
    return Identity(user, read_groups(claims, groups_claim), _signed_in_at(claims, now))


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """Return the value at a name, or else at a dotted path; claims' names may have dots."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def has_groups(claims: Mapping[str, Any], path: str) -> bool:
    """Return whether the claim is there; null and the empty string are no claim (Core 5.3.2)."""
    return _at(claims, path) not in (None, "")


def read_groups(claims: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """Read one name, or a list of them; any other value is nobody's group."""
    value = _at(claims, path)
    return tuple(filter(_is_group, value if isinstance(value, list) else [value]))


def _is_group(name: object) -> bool:
    try:
        return isinstance(name, str) and bool(read_group(name))
    except ValueError:
        return False


def _signed_in_at(claims: Mapping[str, Any], now: float) -> float:
    """Return ``auth_time``, which says more than that a session there still lives; else now."""
    told = claims.get("auth_time")
    if told is None:
        return now
    is_number = isinstance(told, (int, float)) and not isinstance(told, bool)
    if not is_number or not 0 <= told <= now + LEEWAY:  # also refuses NaN
        raise IdTokenRefused("auth_time")
    return min(max(float(told), 1.0), now)  # of a session, 0 means now
