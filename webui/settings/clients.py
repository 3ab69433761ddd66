"""Clients at providers, as the settings have them: id, secret and key, which go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from webui.settings.sources import Given
from webui.settings.table import variable

_PAIR = "client id and client secret go together"


def half_a_client(
    provider: str, given: Mapping[str, Given], read: Mapping[str, Any], known: Mapping[str, Any]
) -> Iterator[str]:
    """Yield faults of client id, secret and key: an id needs one of both."""
    if _is_public(provider, read, known) and variable(provider, "CLIENT_ID") in given:
        return
    client_id, secret, key = (
        variable(provider, name) for name in ("CLIENT_ID", "CLIENT_SECRET", "CLIENT_KEY")
    )
    if secret in given and key in given:
        yield f"{secret} and {key} are given; give one of them alone."
    if client_id not in given and (secret in given or key in given):
        yield f"{client_id} is missing: {_PAIR}."
    if client_id in given and not (secret in given or key in given):
        yield f"{secret} is missing: {_PAIR}."


def _is_public(provider: str, read: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    usual = known.get("token_auth", "post")
    older = read.get(variable(provider, "TOKEN_AUTH"), usual)
    return bool(read.get(variable(provider, "CLIENT_AUTH"), older) == "none")
