"""A provider as one of several accounts has it: with a place and a label of its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from copy import copy

from webui.oauth_manager import Connection, OAuthProvider

_MOST = 5_000
_made: OrderedDict[tuple[int, str, str], tuple[OAuthProvider, OAuthProvider]] = OrderedDict()


def of_account(provider: OAuthProvider, place: str, name: str) -> OAuthProvider:
    """Return a copy whose name is the place and whose label names the account, always the same."""
    key = id(provider), place, name
    known = _made.get(key)
    if known and known[0] is provider:
        return known[1]
    own = copy(provider)
    own.name = place
    own.label = f"{provider.label} ({name})" if name else provider.label
    _made[key] = provider, own
    if len(_made) > _MOST:
        _made.popitem(last=False)
    return own


def of_service(provider: OAuthProvider, name: str) -> OAuthProvider:
    """Return a copy of an account's that is called as the service is, without its ``name``."""
    own = copy(provider)
    own.label = provider.label.removesuffix(f" ({name})")
    return own


def parted(place: str) -> tuple[str, str]:
    """Return the provider's name and the account's handle of a place."""
    name, _, slot = place.partition("~")
    return name, f"~{slot}"


def shown_as(
    providers: Mapping[str, OAuthProvider],
    connection: Connection,
    name: str | None = None,
    place: str = "",
) -> OAuthProvider:
    """Return the provider for the card of a connection; the same if it is the only account.

    ``name`` and ``place`` stand for those of one of several, if others are to be shown.
    """
    provider = providers[connection.provider]
    if connection.place == provider.name:
        return provider
    shown = connection.name if name is None else name
    return of_account(provider, place or connection.place, shown)
