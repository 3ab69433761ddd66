"""A provider that is found by its issuer: what its metadata decide, and OpenID Connect's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..models import Account

TO_FIND = frozenset(
    {
        "account_url",
        "authorize_url",
        "iss_required",
        "par_url",
        "pkce",
        "revoke_url",
        "scopes",
        "token_auth",
        "token_url",
    }
)
"""Fields that the metadata decide, each unless the deployment does."""

# OpenID Connect Core 5.4 and 11.
SCOPES = {
    "openid": ("recognise you as the same account next time", "Sees"),
    "profile": ("see your name", "Sees"),
    "email": ("see your e-mail address", "Sees"),
    "offline_access": (
        "keep working while you are away",
        "Acts",
        "keep working while you are away (adds no other access)",
    ),
}
WANTED = ("openid", "profile", "offline_access")
"""The scopes to ask for if a deployment names none: as many as the server has."""

_NAMES = ("preferred_username", "name", "email")


def read_account(claims: Mapping[str, Any], _: Mapping[str, Any]) -> Account:
    """Read an account from the claims of its userinfo endpoint (OpenID Connect Core 5.1)."""
    label = next((text for name in _NAMES if isinstance(text := claims.get(name), str)), "")
    subject = claims.get("sub")
    return Account(id=subject if isinstance(subject, str) else "", label=label)


def template(*, has_own_account: bool) -> dict[str, Any]:
    """Return the fields of a provider of which only the issuer is known.

    ``has_own_account``: the deployment says itself where and how to read an account.
    """
    fields: dict[str, Any] = {"authorize_url": "", "token_url": "", "scope_sentences": SCOPES}
    return fields if has_own_account else {**fields, "read_account": read_account}
