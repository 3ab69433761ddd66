"""A provider with the addresses and the habits that its own metadata tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ..errors import OAuthMisconfigured
from ..providers.openid import WANTED
from ..providers.provider import OAuthProvider
from ..values import replace
from . import client_identity, protected_resource
from .metadata import STEP, Send, ServerMetadata, find

S256 = "S256"  # the only method of PKCE that we use


async def ask(send: Send, provider: OAuthProvider) -> ServerMetadata:
    """Ask what the operator names, a remote MCP server or an issuer, for the metadata.

    Raises like :func:`.metadata.find`, and like :func:`at`.
    """
    if provider.resource:
        told = await protected_resource.find(send, provider.name, provider.resource)
    else:
        told = await find(send, provider.name, provider.issuer)
    at(provider, told)  # refused before anybody keeps it
    return told


def at(provider: OAuthProvider, metadata: ServerMetadata) -> OAuthProvider:
    """Return the provider with what its metadata decide (``to_find``).

    Raises ``OAuthMisconfigured`` if its token endpoint takes none of our ways to authenticate.
    """
    if provider.resource:
        return _at_resource(provider, metadata)
    methods = metadata.challenge_methods
    told: dict[str, Any] = {
        "account_url": metadata.userinfo_endpoint,
        # Many take it and do not tell (Entra); to those who do not, it is noise.
        "pkce": S256 in methods or not methods,
        "scopes": list(_scopes(provider, metadata)),
    }
    if "token_auth" in provider.to_find:
        told["token_auth"] = _token_auth(provider, metadata)
    return _told(provider, metadata, told)


def _told(
    provider: OAuthProvider, metadata: ServerMetadata, told: Mapping[str, Any], **settled: Any
) -> OAuthProvider:
    """Return the provider with what is told, as far as it has to be, and with what is settled."""
    told = {
        "authorize_url": metadata.authorization_endpoint,
        "token_url": metadata.token_endpoint,
        "revoke_url": metadata.revocation_endpoint,
        "par_url": metadata.pushed_authorization_request_endpoint,
        "iss_required": metadata.sends_issuer,
        **told,
    }
    decided = {name: value for name, value in told.items() if name in provider.to_find}
    addresses = tuple(metadata.addresses.values())
    return replace(provider, **{**decided, **settled}, reach=metadata.reach, found=addresses)


def _at_resource(provider: OAuthProvider, metadata: ServerMetadata) -> OAuthProvider:
    """Return a remote MCP server with the authorization server that it names.

    Raises ``OAuthMisconfigured`` if that promises no S256, or takes us in no safe way.
    """
    if S256 not in metadata.challenge_methods:
        raise OAuthMisconfigured(provider.name, STEP, "code_challenge_methods_supported")
    if "issuer" not in provider.to_find and metadata.issuer != provider.issuer:
        raise OAuthMisconfigured(provider.name, STEP, "other_issuer")
    way = client_identity.way_to(provider, metadata)
    auth = client_identity.token_auth(provider, metadata, way)
    settled: dict[str, Any] = {"pkce": True, "token_auth": auth}
    if way == "document":
        settled["client_id"] = client_identity.document_url(provider)
    elif way == "registration":
        client = metadata.client
        settled["client_id"] = client.client_id if client else ""
        settled["client_secret"] = client.client_secret if client else ""
        settled["token_auth"] = client.token_auth if client else auth
    told = {"issuer": metadata.issuer, "scopes": list(metadata.scopes)}
    return _told(provider, metadata, told, **settled)


def _token_auth(
    provider: OAuthProvider, metadata: ServerMetadata
) -> Literal["basic", "post", "private_key_jwt"]:
    if provider.client_key and "private_key_jwt" in metadata.auth_methods:
        return "private_key_jwt"
    if "client_secret_basic" in metadata.auth_methods:
        return "basic"
    if "client_secret_post" in metadata.auth_methods:
        return "post"
    raise OAuthMisconfigured(provider.name, STEP, "client_authentication")


def _scopes(provider: OAuthProvider, metadata: ServerMetadata) -> tuple[str, ...]:
    """Choose the usual scopes, as far as the server has them.

    Its userinfo endpoint answers nobody without the first (OpenID Connect Core 5.3).
    """
    there = metadata.scopes or (WANTED[:2] if metadata.userinfo_endpoint else ())
    usual = [scope for scope in WANTED if scope in there]
    return tuple(dict.fromkeys([*usual[:1], *(provider.scopes or usual)]))
