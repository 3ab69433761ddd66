"""Metadata of an authorization server (RFC 8414, OpenID Connect Discovery 1.0): found, checked.

``find`` fetches and checks, ``moved`` compares with a pinned one.  What is found goes to a
store as ``asdict`` and comes back by :meth:`ServerMetadata.from_dict`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..configuration import Malformed, endpoint, is_loopback, origin
from ..errors import OAuthMisconfigured, OAuthUnavailable
from ..shapes import shaped
from ..values import replace
from .answers import BUSY, Answer, read_json
from .reach import KINDS, Reach, beside
from .registered import Registered
from .requests import ProviderRequest

FRESH_SECONDS = 3600.0
STEP = "discovery"

Send = Callable[[ProviderRequest], Awaitable[Answer]]
"""``Transport.send``, or the like."""

_NEEDED = ("authorization_endpoint", "token_endpoint")
_OTHER = (
    "revocation_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "end_session_endpoint",
    "registration_endpoint",
    "pushed_authorization_request_endpoint",
)


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """One server's metadata, checked; an address is ``""`` if it has none of the kind.

    Lists are as the server tells them, empty if it tells none: then ``auth_methods`` is
    ``client_secret_basic`` (RFC 8414, 2).  ``reach`` is for every request to these addresses.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    revocation_endpoint: str = ""
    userinfo_endpoint: str = ""
    jwks_uri: str = ""
    end_session_endpoint: str = ""
    registration_endpoint: str = ""
    pushed_authorization_request_endpoint: str = ""
    auth_methods: tuple[str, ...] = ()  # client authentication at the token endpoint
    auth_algorithms: tuple[str, ...] = ()  # of a JWT that authenticates there
    challenge_methods: tuple[str, ...] = ()  # of PKCE
    scopes: tuple[str, ...] = ()
    sends_issuer: bool = False  # every authorization response carries iss (RFC 9207, 3)
    takes_claims: bool = False  # the claims parameter (OpenID Connect Core 5.5)
    takes_client_documents: bool = False  # a client id may be the address of its metadata
    reach: tuple[str, ...] = ()
    resource: str = ""  # the protected resource that named it, if no operator did
    client: Registered | None = None  # ours, that it has registered on request

    @property
    def addresses(self) -> dict[str, str]:
        """Map the name of each address in it to that address."""
        named = {name: getattr(self, name) for name in (*_NEEDED, *_OTHER)}
        return {name: address for name, address in named.items() if address}

    @classmethod
    def from_dict(cls, record: object) -> ServerMetadata:
        """Inverse of ``asdict``.  Raises ``TypeError`` if a record is none."""
        client = record.get("client") if isinstance(record, Mapping) else None
        return shaped(cls, record, client=Registered.from_dict(client) if client else None)


def document_url(issuer: str) -> str:
    """Return the document's URL by OpenID (Discovery 4.1): after the issuer, without its slash."""
    return issuer.removesuffix("/") + "/.well-known/openid-configuration"


def document_urls(issuer: str) -> tuple[str, ...]:
    """Return every place of the document: OpenID's, then between host and path (RFC 8414, 3.1).

    OpenID's first: it names the address that tells whose account it is.
    """
    path = urlsplit(issuer).path.removesuffix("/")
    between = f"{origin(issuer)}/.well-known"
    kinds = ("oauth-authorization-server", "openid-configuration")
    return tuple(
        dict.fromkeys([document_url(issuer), *(f"{between}/{kind}{path}" for kind in kinds)])
    )


def get_request(name: str, step: str, url: str, reach: Reach = ()) -> ProviderRequest:
    """Build a request for a public document; ``name`` is the provider's, for the log."""
    return ProviderRequest(name, step, "GET", url, {"Accept": "application/json"}, reach=reach)


async def find(
    send: Send, name: str, issuer: str, urls: Iterable[str] = (), needed: Iterable[str] = _NEEDED
) -> ServerMetadata:
    """Fetch the metadata of an issuer that an operator names, and check it.

    ``urls`` are the places to look at, in order (``document_urls`` unless given), ``needed``
    the addresses that it has to have.  The first place with a document decides.  ``name`` is
    the provider's, for errors and the log.  A document from an address of one kind may
    lead to addresses :func:`.reach.beside` it.  Raises ``OAuthUnavailable`` if the server
    is in trouble or has no document, ``OAuthMisconfigured`` if that is another issuer's or
    leads to addresses that no secret may go to; its code names the field.
    """
    code = "http_404"
    for url in urls or document_urls(issuer):
        answer, reach = await fetched(send, get_request(name, STEP, url))
        fields = read_json(answer.body) if answer.status == 200 else None
        if fields is not None:
            return read(name, issuer, fields, reach, needed)
        is_in_trouble = answer.status in BUSY or answer.status >= 500
        if code == "http_404" or is_in_trouble:  # a place without anything tells the least
            code = "unusable_answer" if answer.status == 200 else f"http_{answer.status}"
        if is_in_trouble:
            break
    raise OAuthUnavailable(name, STEP, code)


async def fetched(
    send: Send, request: ProviderRequest, reach: Reach = KINDS
) -> tuple[Answer, Reach]:
    """Ask the furthest kind of address that there is; return what its answer may reach.

    Each kind of ``reach`` is tried alone: an address of this network, in a document from the
    internet whose name changes its mind, must not count as the operator's own.
    """
    for kind in reach:
        try:
            return await send(replace(request, reach=(kind,))), beside(kind)
        except OAuthUnavailable as failure:
            if failure.code != "out_of_reach":
                raise
    raise OAuthUnavailable(request.provider, STEP, "out_of_reach")


def read(
    name: str,
    issuer: str,
    fields: Mapping[str, Any],
    reach: Reach,
    needed: Iterable[str] = _NEEDED,
) -> ServerMetadata:
    """Check a document.  Raises ``OAuthMisconfigured``."""
    # Character by character, or one issuer could speak for another (RFC 8414, 3.3).
    if fields.get("issuer") != issuer:
        raise OAuthMisconfigured(name, STEP, "other_issuer")
    required = {*_NEEDED, *needed}
    addresses: dict[str, Any] = {
        each: _address(name, issuer, fields, each)
        for each in (*_NEEDED, *_OTHER)
        if fields.get(each) or each in required
    }
    methods = _names(fields, "token_endpoint_auth_methods_supported")
    return ServerMetadata(
        issuer,
        **addresses,
        auth_methods=methods or ("client_secret_basic",),
        auth_algorithms=_names(fields, "token_endpoint_auth_signing_alg_values_supported"),
        challenge_methods=_names(fields, "code_challenge_methods_supported"),
        scopes=_names(fields, "scopes_supported"),
        sends_issuer=fields.get("authorization_response_iss_parameter_supported") is True,
        takes_claims=fields.get("claims_parameter_supported") is True,
        takes_client_documents=fields.get("client_id_metadata_document_supported") is True,
        reach=reach,
    )


def _address(name: str, issuer: str, fields: Mapping[str, Any], field: str) -> str:
    """Read an https address; http only on this machine, and only if the issuer is there too."""
    url = fields.get(field)
    try:
        checked = endpoint(url) if isinstance(url, str) else ""
    except Malformed:
        checked = ""
    is_local = urlsplit(issuer).scheme == "http" and is_loopback(urlsplit(issuer).hostname or "")
    if not checked or not (checked.startswith("https:") or is_local):
        raise OAuthMisconfigured(name, STEP, field)
    return checked


def _names(fields: Mapping[str, Any], field: str) -> tuple[str, ...]:
    named = fields.get(field)
    if not isinstance(named, list):
        return ()
    return tuple(each[:200] for each in named[:100] if isinstance(each, str))


def moved(pinned: ServerMetadata, found: ServerMetadata) -> tuple[str, ...]:
    """Name the addresses that are not where a pinned document has them.

    Another token endpoint has moved; any other address only if it left the origins that
    the pinned document names: a server may add endpoints, and rename its pages.
    """
    known = {origin(address) for address in pinned.addresses.values()}
    left = [name for name, address in found.addresses.items() if origin(address) not in known]
    fixed = [n for n in ("issuer", "token_endpoint") if getattr(found, n) != getattr(pinned, n)]
    return tuple(dict.fromkeys([*fixed, *left]))
