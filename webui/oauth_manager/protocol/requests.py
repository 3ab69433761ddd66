"""Requests to providers, built without I/O: authorize, exchange, refresh, revoke, account."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus, urlencode

from ..providers.client_keys import TYPE
from ..providers.provider import OAuthProvider
from ..token_data import TokenData
from .reach import Reach


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """One request to a provider, complete.  Its repr shows the step alone.

    ``reach`` are the kinds of addresses that it may go to (:mod:`.reach`).
    """

    provider: str
    step: str
    method: str = field(repr=False)
    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    reach: Reach = ()


def new_secret() -> str:
    """Return 256 random bits, URL-safe (43 characters): states, link codes, verifiers."""
    return secrets.token_urlsafe(32)


def code_challenge(verifier: str) -> str:
    """Return the challenge of a verifier (RFC 7636 4.2, method S256)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def authorize_url(
    provider: OAuthProvider,
    redirect_uri: str,
    state: str,
    scopes: Iterable[str],
    challenge: str,
    *,
    is_adding: bool = False,
) -> str:
    """Build an authorization URL (RFC 6749 4.1.1, RFC 7636 4.3); no ``challenge`` omits PKCE."""
    params = authorize_params(provider, redirect_uri, state, scopes, challenge, is_adding=is_adding)
    return at_authorize(provider, params)


def at_authorize(provider: OAuthProvider, params: Mapping[str, str]) -> str:
    """Lead to the authorization endpoint with these parameters."""
    separator = "&" if "?" in provider.authorize_url else "?"
    return provider.authorize_url + separator + urlencode(params)


def authorize_params(
    provider: OAuthProvider,
    redirect_uri: str,
    state: str,
    scopes: Iterable[str],
    challenge: str,
    *,
    is_adding: bool = False,
) -> dict[str, str]:
    """Return the fields of an authorization request, wherever they travel.

    ``is_adding``: have the provider ask which account to use, if it has a parameter for that.
    """
    params = {
        **provider.extra_auth_params,
        **(provider.account_picker if is_adding else {}),
        provider.client_id_name: provider.client_id,
        "redirect_uri": redirect_uri,
        "response_type": "code",
        "state": state,
    }
    if scope := provider.scope_separator.join(scopes):
        params["scope"] = scope  # left out, the server's own default applies (RFC 6749 3.3)
    if challenge:
        params |= {"code_challenge": challenge, "code_challenge_method": "S256"}
    return {**params, **_of_resource(provider)}


def _of_resource(provider: OAuthProvider) -> dict[str, str]:
    """Name the resource that tokens are for (RFC 8707 2): the operator's, whatever others say."""
    return {"resource": provider.resource} if provider.resource else {}


def _basic(provider: OAuthProvider) -> str:
    """Build Basic credentials (RFC 6749 2.3.1): both halves are form-encoded, then joined."""
    pair = f"{quote_plus(provider.client_id)}:{quote_plus(provider.client_secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


def _headers(provider: OAuthProvider, access_token: str = "") -> dict[str, str]:
    """Build the header fields of every request, and the one that carries a token."""
    carrying = token_header(provider, access_token) if access_token else {}
    return {"Accept": "application/json", **own_headers(provider), **carrying}


def own_headers(provider: OAuthProvider) -> dict[str, str]:
    """Return the header fields that the provider wants in every request."""
    return {name: _filled(provider, value) for name, value in provider.headers.items()}


def token_header(provider: OAuthProvider, access_token: str) -> dict[str, str]:
    """Return the header field that carries a token."""
    name, _, value = provider.token_header.partition(":")
    return {name: value.strip().replace("{access_token}", access_token)}


def _filled(provider: OAuthProvider, text: str, *, is_address: bool = False) -> str:
    client_id = quote(provider.client_id, safe="") if is_address else provider.client_id
    return text.replace("{client_id}", client_id)


@dataclass(frozen=True, slots=True)
class Draft:
    """A request to be authorised and written; ``body`` is ``form``, ``json``, ``query`` or none."""

    step: str
    url: str
    fields: dict[str, str] = field(repr=False)
    body: str
    auth: str
    method: str = "POST"
    access_token: str = field(default="", repr=False)
    assertion: str = field(default="", repr=False)
    client_fields: tuple[str, ...] = ()  # names of those with client id and secret


def written(provider: OAuthProvider, draft: Draft) -> ProviderRequest:
    """Authorise in one way alone, and write the fields."""
    headers = _headers(provider, draft.access_token if draft.auth == "token" else "")
    fields, url = dict(draft.fields), _filled(provider, draft.url, is_address=True)
    id_name, secret_name = draft.client_fields or (provider.client_id_name, "client_secret")
    content = b""
    if draft.auth == "basic":
        headers["Authorization"] = _basic(provider)
    elif draft.auth in ("post", "public", "private_key_jwt"):
        fields[id_name] = provider.client_id
        if draft.auth == "private_key_jwt":
            fields |= {"client_assertion_type": TYPE, "client_assertion": draft.assertion}
        # A public client has no secret (RFC 6749 2.1).
        if draft.auth == "post" and provider.client_secret:
            fields[secret_name] = provider.client_secret
    if draft.body == "json":
        headers["Content-Type"] = "application/json"
        content = json.dumps(fields).encode()
    elif draft.body == "form":
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        content = urlencode(fields).encode()
    elif draft.body == "query":
        url += ("&" if "?" in url else "?") + urlencode(fields)
    reach = provider.reach_of(draft.url)
    return ProviderRequest(provider.name, draft.step, draft.method, url, headers, content, reach)


def client_auth(provider: OAuthProvider) -> str:
    """Return the way in which this client is authenticated: of :attr:`Draft.auth`."""
    return "public" if provider.token_auth == "none" else provider.token_auth


def _token_request(
    provider: OAuthProvider, step: str, url: str, fields: dict[str, str], assertion: str
) -> ProviderRequest:
    fields = {**provider.token_params, **fields, **_of_resource(provider)}
    auth, body = client_auth(provider), provider.token_body
    return written(provider, Draft(step, url, fields, body, auth, assertion=assertion))


def exchange_request(
    provider: OAuthProvider, redirect_uri: str, code: str, verifier: str, assertion: str = ""
) -> ProviderRequest:
    """Build the exchange of a code (RFC 6749 4.1.3 with RFC 7636 4.5).

    Here and below ``assertion`` is the signature of a client that has a key.
    """
    fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    if verifier:
        fields["code_verifier"] = verifier
    return _token_request(provider, "exchange", provider.token_url, fields, assertion)


def refresh_request(
    provider: OAuthProvider, token: TokenData, assertion: str = ""
) -> ProviderRequest:
    """Build a refresh (RFC 6749 6)."""
    fields = {"grant_type": "refresh_token", "refresh_token": token.refresh_token}
    if provider.scope_on_refresh and token.scopes:
        rules = provider.scope_rules
        unlisted = rules.keys(provider.scopes_unlisted)
        again = (scope for scope in provider.scopes if rules.key(scope) in unlisted)
        fields["scope"] = provider.scope_separator.join(rules.united(token.scopes, sorted(again)))
    url = provider.refresh_url or provider.token_url
    return _token_request(provider, "refresh", url, fields, assertion)


def revoke_request(
    provider: OAuthProvider, token: TokenData, assertion: str = ""
) -> ProviderRequest:
    """Build a revocation: RFC 7009 2.1, but for what the provider does in its own way."""
    is_client = provider.revoke_auth == "client"
    auth = client_auth(provider) if is_client else provider.revoke_auth
    is_refresh = bool(provider.revoke_token == "refresh" and token.refresh_token)
    fields = {provider.revoke_field: token.refresh_token if is_refresh else token.access_token}
    if provider.revoke_body == "form" and is_client:
        fields["token_type_hint"] = "refresh_token" if is_refresh else "access_token"
    return written(
        provider,
        Draft(
            "revoke",
            provider.revoke_url,
            {} if provider.revoke_body == "none" else fields,
            provider.revoke_body,
            auth,
            provider.revoke_method,
            token.access_token,
            assertion,
            provider.revoke_client_fields,
        ),
    )


def account_request(provider: OAuthProvider, access_token: str) -> ProviderRequest:
    """Build the request for the account (RFC 6750 2.1)."""
    headers, body = _headers(provider, access_token), provider.account_body.encode()
    if body:
        headers["Content-Type"] = "application/json"
    url, method = _filled(provider, provider.account_url, is_address=True), provider.account_method
    reach = provider.reach_of(provider.account_url)
    return ProviderRequest(provider.name, "account", method, url, headers, body, reach)


def permissions_request(provider: OAuthProvider, access_token: str) -> ProviderRequest:
    """Build the request for what an app's installations allow."""
    headers, url = _headers(provider, access_token), provider.permissions_url
    return ProviderRequest(provider.name, "permissions", "GET", url, headers)


_ONE_TIME = re.compile(r"[A-Za-z0-9_-]{20,128}")


def is_one_time_value(value: object) -> bool:
    """Return whether a code or state has the shape of ours; no other is ever looked up."""
    return isinstance(value, str) and _ONE_TIME.fullmatch(value) is not None
