"""Addresses of one connection: the person's values filled in, and tokens kept to their server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..configuration import origin
from ..token_data import TokenData
from ..values import replace
from .asked import ValueNeeded, domain_of
from .provider import OAuthProvider


def values_of(pairs: Iterable[str]) -> dict[str, str]:
    """Map names to values, of ``name=value``."""
    return dict(one.partition("=")[::2] for one in pairs)


def are_whole(provider: OAuthProvider) -> bool:
    """Return whether its addresses are known and whole, so that requests can be made of them."""
    return provider.is_found and (not provider.ask or bool(provider.asked))


def filled(provider: OAuthProvider, given: Mapping[str, str]) -> OAuthProvider:
    """Return the provider at the addresses that a person's values lead to.

    Raises ``ValueNeeded`` if one is missing or not such a value.
    """
    if not provider.ask or provider.asked:
        return provider
    named = {k: v for k, v in vars(provider).items() if k.endswith("_url") and v}
    values: list[str] = []
    whole: dict[str, Any] = {**named, "api_hosts": "\n".join(provider.api_hosts)}
    for one in provider.ask:
        domain = domain_of(one.name, named.values())
        value = one.read(provider.name, given.get(one.name, ""), domain)
        values.append(f"{one.name}={value}")
        place, text = f"{{{one.name}}}", one.fill(value)
        whole = {k: v.replace(place, text) for k, v in whole.items()}
    whole["api_hosts"] = tuple(whole["api_hosts"].split())
    return replace(provider, **whole, asked=tuple(values))


def at(provider: OAuthProvider, token: TokenData) -> OAuthProvider:
    """Return the provider at the addresses of a token, as far as it has them."""
    try:
        return filled(provider, values_of(token.asked))
    except ValueNeeded:
        return provider


def has_issued(provider: OAuthProvider, token: TokenData) -> bool:
    """Return whether tokens are this server's: of the same issuer, at the same address.

    If the vendor's one server has another address now, its tokens are the same.  Records
    of older versions name the server alone, or nothing.
    """
    known = at(provider, token)
    if not are_whole(known) or (token.issuer and known.issuer not in ("", token.issuer)):
        return False
    if token.server in ("", known.server):
        return True
    is_there = not known.resource and origin(token.server) == origin(known.token_url)
    return is_there and (known.is_vendors or token.server == origin(token.server))


def own_id(provider: OAuthProvider, account_id: str) -> str:
    """Return the id of an account, which another issuer or shop may have given to another."""
    whose = [provider.issuer] if provider.to_find else list(provider.asked)
    return "#".join([*whose, account_id]) if account_id else ""
