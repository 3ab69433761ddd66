"""Protected resources (RFC 9728): which authorization server a remote MCP server names.

The resource's address is the operator's; all that its document says is a stranger's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ..configuration import Malformed, endpoint, origin
from ..errors import OAuthMisconfigured, OAuthUnavailable
from ..values import Struct, replace
from . import metadata
from .answers import BUSY, Answer, read_json
from .metadata import STEP, Send, ServerMetadata
from .reach import Reach
from .requests import ProviderRequest

_KNOWN = "/.well-known/oauth-protected-resource"
# RFC 9110 11.2; a quoted text may hold what would be the next one outside.
_PARAMETER = re.compile(
    r'(?<![A-Za-z_-])([A-Za-z_-]{1,40})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))'
)
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")  # RFC 6749 3.3
_MOST_SCOPES = 50
_LASTING = "offline_access"
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"?')
_LONGEST_CHALLENGE = 8 * 1024  # characters


class ProtectedResource(Struct, frozen=True):
    """A resource as it describes itself: its authorization server, and the usual scopes."""

    issuer: str
    scopes: tuple[str, ...]
    reach: Reach  # of whatever it names


def document_urls(resource: str) -> tuple[str, ...]:
    """Return the places of the document: between host and path, then at the root (3.1)."""
    parts = urlsplit(resource)
    query = f"?{parts.query}" if parts.query else ""
    path = parts.path.removesuffix("/") if parts.path == "/" else parts.path
    between = f"{origin(resource)}{_KNOWN}{path}{query}"
    return tuple(dict.fromkeys([between, origin(resource) + _KNOWN]))


def challenge(header: str) -> dict[str, str]:
    """Return the parameters of a Bearer challenge (RFC 6750 3); empty if there is none."""
    header = header[:_LONGEST_CHALLENGE]
    unquoted = _QUOTED.sub(lambda text: "_" * len(text[0]), header)
    bearer = re.search(r"(?:^|,)\s*bearer(?=\s)", unquoted, re.IGNORECASE)
    if bearer is None:
        return {}
    said = header[bearer.end() :]
    found: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(said):
        found.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or plain)
    return found


def scopes_of(said: Iterable[object]) -> tuple[str, ...]:
    """Return the scopes of a list that a stranger made, as far as they are some (RFC 6749 3.3)."""
    usual = [one for one in said if isinstance(one, str) and _SCOPE.fullmatch(one)]
    return tuple(dict.fromkeys(usual))[:_MOST_SCOPES]


async def find(send: Send, name: str, resource: str) -> ServerMetadata:
    """Find the authorization server of a resource; its scopes are those that the resource names.

    With them goes ``offline_access`` if the server has it: some renew nothing without.
    Its metadata are read where RFC 8414 has them, then where OpenID does.  Raises
    ``OAuthUnavailable`` if nothing answers, ``OAuthMisconfigured`` if what answers is of
    another resource or issuer, or names what no secret may go to; its code names the field.
    """
    found = await _resource(send, name, resource)

    async def within(request: ProviderRequest) -> Answer:
        """Send, unless to a kind of address that the resource may not lead to."""
        if not set(request.reach) <= set(found.reach):
            raise OAuthUnavailable(name, STEP, "out_of_reach")
        return await send(request)

    openid, *between = metadata.document_urls(found.issuer)
    told = await metadata.find(within, name, found.issuer, (*between, openid))
    lasting = {_LASTING} & set(told.scopes) if found.scopes else set()
    scopes = dict.fromkeys([*found.scopes, *lasting])
    return replace(told, scopes=tuple(scopes), resource=resource)


async def _resource(send: Send, name: str, resource: str) -> ProtectedResource:
    """Find what the resource says of itself: where its challenge says, else where it is known."""
    answer, reach = await metadata.fetched(send, _first_contact(name, resource))
    said = challenge(answer.headers.get("www-authenticate", "")) if answer.status == 401 else {}
    urls = document_urls(resource)
    if "resource_metadata" in said:
        urls = (_checked(name, "resource_metadata", said["resource_metadata"]),)
    for url in urls:
        request = metadata.get_request(name, STEP, url)
        answer, there = await metadata.fetched(send, request, reach)
        fields = read_json(answer.body) if answer.status == 200 else None
        if fields is not None:
            return _read(name, resource, url, fields, said.get("scope", ""), there)
        if answer.status in BUSY or answer.status >= 500:
            break
    raise OAuthUnavailable(name, STEP, f"http_{answer.status}")


def _first_contact(name: str, resource: str) -> ProviderRequest:
    """Build the smallest request that a remote MCP server takes, without a token."""
    headers = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
    }
    body = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    return ProviderRequest(name, STEP, "POST", resource, headers, body)


def _read(
    name: str,
    resource: str,
    url: str,
    fields: Mapping[str, Any],
    wanted: str,
    reach: Reach,
) -> ProtectedResource:
    """Check a document (3.3).  Raises ``OAuthMisconfigured``."""
    own = [resource]
    if url == origin(resource) + _KNOWN:  # the one of the whole host
        own += [origin(resource), origin(resource) + "/"]
    if fields.get("resource") not in own:
        raise OAuthMisconfigured(name, STEP, "other_resource")
    servers = fields.get("authorization_servers")
    first = servers[0] if isinstance(servers, list) and servers else None
    named = _checked(name, "authorization_servers", first)
    if "?" in named:
        raise OAuthMisconfigured(name, STEP, "authorization_servers")
    listed = fields.get("scopes_supported")
    there = wanted.split() or (listed if isinstance(listed, list) else [])
    return ProtectedResource(named, scopes_of(there), reach)


def _checked(name: str, field: str, url: object) -> str:
    """Check an address that a stranger named: https; http on this machine, if it may go there."""
    try:
        return endpoint(url)
    except Malformed:
        raise OAuthMisconfigured(name, STEP, field) from None
