"""The account at Microsoft, which no path describes: its id is two ids, one of them in a token."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from ..models import Account


def _tenant(id_token: object) -> str:
    """Read the ``tid`` claim of an id token that came straight from the token endpoint.

    Its signature is not checked: OpenID Connect Core 3.1.3.7 point 6 allows the TLS
    connection to the issuer instead, and the claim grants nothing.
    """
    try:
        payload = str(id_token).split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        tenant = claims["tid"]
    except (IndexError, KeyError, TypeError, ValueError, RecursionError):
        return ""
    return tenant if isinstance(tenant, str) else ""


def read_account(profile: Mapping[str, Any], token_answer: Mapping[str, Any]) -> Account:
    """Read an account: its id is tenant plus object id; addresses and names can change hands."""
    object_id = profile.get("id")
    label = profile.get("userPrincipalName") or profile.get("displayName")
    tenant = _tenant(token_answer.get("id_token"))
    return Account(
        id="/".join(filter(None, (tenant, object_id))) if isinstance(object_id, str) else "",
        label=label if isinstance(label, str) else "",
    )
