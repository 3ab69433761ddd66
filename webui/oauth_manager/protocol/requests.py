"""Requests to providers, built without I/O: authorize, exchange, refresh, revoke, account."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus, urlencode

from ..providers.provider import OAuthProvider
from ..token_data import TokenData


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """One request to a provider, complete.  Its repr shows the step alone."""

    provider: str
    step: str
    method: str = field(repr=False)
    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


def new_secret() -> str:
    """Return 256 random bits, URL-safe (43 characters): states, link codes, verifiers."""
    return secrets.token_urlsafe(32)


def code_challenge(verifier: str) -> str:
    """Return the challenge of a verifier (RFC 7636 4.2, method S256)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def authorize_url(
    provider: OAuthProvider, redirect_uri: str, state: str, scopes: Iterable[str], challenge: str
) -> str:
    """Build an authorization URL (RFC 6749 4.1.1, RFC 7636 4.3); no ``challenge`` omits PKCE."""
    params = {
        **provider.extra_auth_params,
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri,
        "response_type": "code",
        "state": state,
    }
    if scope := provider.scope_separator.join(scopes):
        params["scope"] = scope  # left out, the server's own default applies (RFC 6749 3.3)
    if challenge:
        params |= {"code_challenge": challenge, "code_challenge_method": "S256"}
    separator = "&" if "?" in provider.authorize_url else "?"
    return provider.authorize_url + separator + urlencode(params)


def _basic(provider: OAuthProvider) -> str:
    """Build Basic credentials (RFC 6749 2.3.1): both halves are form-encoded, then joined."""
    pair = f"{quote_plus(provider.client_id)}:{quote_plus(provider.client_secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


def _form_request(
    provider: OAuthProvider, step: str, url: str, form: dict[str, str], *, authenticate: bool = True
) -> ProviderRequest:
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    if authenticate and provider.token_auth == "basic":
        headers["Authorization"] = _basic(provider)
    elif authenticate:
        form["client_id"] = provider.client_id
        if provider.client_secret:  # a public client has none (RFC 6749 2.1)
            form["client_secret"] = provider.client_secret
    return ProviderRequest(provider.name, step, "POST", url, headers, urlencode(form).encode())


def exchange_request(
    provider: OAuthProvider, redirect_uri: str, code: str, verifier: str
) -> ProviderRequest:
    """Build the exchange of a code (RFC 6749 4.1.3 with RFC 7636 4.5)."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    if verifier:
        form["code_verifier"] = verifier
    return _form_request(provider, "exchange", provider.token_url, form)


def refresh_request(provider: OAuthProvider, token: TokenData) -> ProviderRequest:
    """Build a refresh (RFC 6749 6)."""
    form = {"grant_type": "refresh_token", "refresh_token": token.refresh_token}
    if provider.scope_on_refresh and token.scopes:
        rules = provider.scope_rules
        unlisted = rules.keys(provider.scopes_unlisted)
        again = (scope for scope in provider.scopes if rules.key(scope) in unlisted)
        form["scope"] = provider.scope_separator.join(rules.united(token.scopes, sorted(again)))
    return _form_request(provider, "refresh", provider.token_url, form)


def revoke_request(provider: OAuthProvider, token: TokenData) -> ProviderRequest:
    """Build a revocation (RFC 7009 2.1), or the provider's own (``OAuthProvider.revoke_style``)."""
    url = provider.revoke_url.replace("{client_id}", quote(provider.client_id, safe=""))
    if provider.revoke_style == "delete":
        return ProviderRequest(
            provider.name,
            "revoke",
            "DELETE",
            url,
            {
                "Accept": "application/json",
                "Content-Type": "application/json",
                "Authorization": _basic(provider),
            },
            json.dumps({"access_token": token.access_token}).encode(),
        )
    hint = "refresh_token" if token.refresh_token else "access_token"
    form = {"token": token.refresh_token or token.access_token}
    if provider.revoke_style == "rfc7009":
        form["token_type_hint"] = hint
    return _form_request(
        provider, "revoke", url, form, authenticate=provider.revoke_style == "rfc7009"
    )


def account_request(provider: OAuthProvider, access_token: str) -> ProviderRequest:
    """Build the request for the account (RFC 6750 2.1)."""
    headers = {"Accept": "application/json", "Authorization": f"Bearer {access_token}"}
    return ProviderRequest(provider.name, "account", "GET", provider.account_url, headers)


_ONE_TIME = re.compile(r"[A-Za-z0-9_-]{20,128}")


def is_one_time_value(value: object) -> bool:
    """Return whether a code or state has the shape of ours; no other is ever looked up."""
    return isinstance(value, str) and _ONE_TIME.fullmatch(value) is not None
