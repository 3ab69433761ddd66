"""The identity of this installation at a server where no operator has registered it.  No I/O.

A Client ID Metadata Document if the server takes one: the client id is its address.  Dynamic
registration (RFC 7591) if there is nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import OAuthMisconfigured, OAuthUnavailable
from ..providers.client_keys import OwnClient
from ..providers.provider import OAuthProvider
from .answers import BUSY, Answer, plain_word, read_json
from .metadata import STEP, ServerMetadata
from .reach import LOOPBACK
from .registered import Registered
from .requests import ProviderRequest

_METHODS = {
    "private_key_jwt": "private_key_jwt",
    "basic": "client_secret_basic",
    "post": "client_secret_post",
    "none": "none",
}
_BY_SECRET = ("basic", "post")
_TEXT = re.compile(r"[ -~]{1,1024}")  # RFC 6749, appendix A


def way_to(provider: OAuthProvider, metadata: ServerMetadata) -> str:
    """Choose who we are: ``operator`` (registered by hand), ``document`` or ``registration``.

    A server on this machine can read our document without TLS.  Raises
    ``OAuthMisconfigured`` if there is no way.
    """
    if provider.own is None:
        return "operator"
    is_readable = provider.own.site_url.startswith("https:") or LOOPBACK in metadata.reach
    takes_ours = metadata.takes_client_documents and is_readable
    if takes_ours and not _fault_of_auth(provider, metadata, "document"):
        return "document"
    if metadata.registration_endpoint:
        return "registration"
    if takes_ours:
        return "document"
    raise OAuthMisconfigured(provider.name, STEP, "client_id_metadata_document_supported")


def document_url(provider: OAuthProvider) -> str:
    """Return the address of our metadata document for a server, which is our client id there."""
    return f"{provider.own.site_url}/oauth/{provider.name}/client.json" if provider.own else ""


def token_auth(provider: OAuthProvider, metadata: ServerMetadata, way: str) -> Any:
    """Choose the client authentication; raises ``OAuthMisconfigured`` if none is safe."""
    if _is_decided(provider) and provider.own is None:
        return provider.token_auth
    if fault := _fault_of_auth(provider, metadata, way):
        raise OAuthMisconfigured(provider.name, STEP, fault)
    proofs = _ways(provider, metadata, way)
    return next((ours for ours in proofs if _METHODS[ours] in metadata.auth_methods), "none")


def _is_decided(provider: OAuthProvider) -> bool:
    return "token_auth" not in provider.to_find


def _fault_of_auth(provider: OAuthProvider, metadata: ServerMetadata, way: str) -> str:
    """Return the code of what keeps us from every safe client authentication; ``""`` if none does.

    A public client whose answers do not name their issuer could be led to hand one
    server's code to another (RFC 9207 1): that takes the operator's word.
    """
    offered = metadata.auth_methods
    if any(_METHODS[ours] in offered for ours in _ways(provider, metadata, way)):
        return ""
    if "none" not in offered or provider.client_secret:
        return "client_authentication"
    is_allowed = metadata.sends_issuer or _is_decided(provider)
    return "" if is_allowed else "issuer_not_announced"


def _ways(provider: OAuthProvider, metadata: ServerMetadata, way: str) -> Iterator[str]:
    """Yield the ways in which we can prove who we are, the safest first."""
    if _signs(provider, metadata.auth_algorithms):
        yield "private_key_jwt"
    if way == "registration":
        # The MCP project's own servers want the client's id in the body, beside Basic too.
        yield from ("post", "basic")
    elif way == "operator" and provider.client_secret:
        yield from ("basic", "post")


def _signs(provider: OAuthProvider, algorithms: tuple[str, ...]) -> bool:
    own = provider.own.key if provider.own else None
    key = provider.signing_key if provider.client_key else own
    return key is not None and (not algorithms or key.algorithm in algorithms)


def redirect_uri(own: OwnClient, name: str) -> str:
    """Return the callback address of one provider alone."""
    return f"{own.site_url}/oauth/{name}/callback"


def document(provider: OAuthProvider, own: OwnClient, name: str) -> dict[str, Any]:
    """Return the metadata of this client (RFC 7591 2), for one server and one callback alone.

    One document for several servers would let one of them redeem another's code.
    """
    method = _METHODS[provider.token_auth]
    said: dict[str, Any] = {
        "client_name": name,
        "client_uri": own.site_url,
        "redirect_uris": [redirect_uri(own, provider.name)],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
    }
    if provider.token_auth == "private_key_jwt":
        said["jwks_uri"] = f"{own.site_url}/oauth/jwks.json"
        said["token_endpoint_auth_signing_alg"] = provider.signing_key.algorithm
    return said


def registration_request(
    provider: OAuthProvider, metadata: ServerMetadata, said: Mapping[str, Any]
) -> ProviderRequest:
    """Build a registration (RFC 7591 3.1)."""
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    url, body = metadata.registration_endpoint, json.dumps(said).encode()
    return ProviderRequest(
        provider.name, "register", "POST", url, headers, body, reach=metadata.reach
    )


def read_registration(
    provider: OAuthProvider, said: Mapping[str, Any], answer: Answer
) -> Registered:
    """Read what a server has registered (3.2.1).

    Raises ``OAuthMisconfigured`` if it registered something else than was asked, or refused;
    ``OAuthUnavailable`` in trouble.
    """
    fields = read_json(answer.body)
    if answer.status in BUSY or answer.status >= 500 or fields is None:
        raise OAuthUnavailable(provider.name, "register", f"http_{answer.status}")
    if not 200 <= answer.status < 300 or fields.get("error"):
        code = plain_word(fields.get("error")) or f"http_{answer.status}"
        raise OAuthMisconfigured(provider.name, "register", code)
    if fault := _fault(said, fields):
        raise OAuthMisconfigured(provider.name, "register", fault)
    (back,) = said["redirect_uris"]
    auth = _auth_of(said, fields)
    secret = fields["client_secret"] if auth in _BY_SECRET else ""
    ends = fields.get("client_secret_expires_at", 0)
    ends_at = float(ends) if isinstance(ends, int) and 0 < ends < 2**40 else 0.0
    return Registered(fields["client_id"], back, auth, secret, ends_at)


def _fault(said: Mapping[str, Any], fields: Mapping[str, Any]) -> str:
    """Name the field of a registration that is not as it was asked for, ``""`` if all are."""
    if not _is_text(fields.get("client_id")):
        return "client_id"
    if fields.get("redirect_uris", said["redirect_uris"]) != said["redirect_uris"]:
        return "redirect_uris"
    auth = _auth_of(said, fields)
    asked = said["token_endpoint_auth_method"]
    if _METHODS.get(auth) != asked and not (auth in _BY_SECRET and asked.startswith("client_s")):
        return "token_endpoint_auth_method"
    if auth in _BY_SECRET and not _is_text(fields.get("client_secret")):
        return "client_secret"
    return ""


def _auth_of(said: Mapping[str, Any], fields: Mapping[str, Any]) -> str:
    method = fields.get("token_endpoint_auth_method", said["token_endpoint_auth_method"])
    return next((ours for ours, theirs in _METHODS.items() if theirs == method), "")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and _TEXT.fullmatch(value) is not None
