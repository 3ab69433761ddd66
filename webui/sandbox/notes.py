"""A remote MCP server that keeps notes, and its authorization server: set up by one address.

Nobody has registered a client here: a client's id is the address of its metadata document, and
it signs for itself (RFC 7523).  A note takes a permission that nobody is asked for at first.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from webui.oauth_manager import OAuthProvider

from . import described
from .consent import authorize, decide
from .described import Described, habits_of
from .grants import Grants, Token
from .people import PEOPLE
from .standin import NO_STORE, Client, Handler, Refused, api, read_form
from .standin_pages import page, remove_access, settings, switch_trouble

NAME = "notes-mcp"
READ = "notes:read"
WRITE = "notes:write"
_SENTENCES = {READ: "read your notes", WRITE: "write notes for you"}
_DOCUMENT_SECONDS = 5.0
_LONGEST_ASSERTION = 600  # seconds
_JWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ALGORITHMS = ["ES256", "ES384", "ES512", "RS256"]
_TOOLS = {"whoami": READ, "write_note": WRITE}
"""Tool -> the permission that it takes."""


@dataclass(kw_only=True)
class Notes(Described):
    """The server; ``written`` are notes by person, ``spent`` ids of assertions that were taken."""

    written: dict[str, int] = field(default_factory=dict)
    spent: set[str] = field(default_factory=set)

    @property
    def resource(self) -> str:
        """Return the address of the MCP server, which is all that an operator knows."""
        return f"{self.url}/mcp"


def settings_at(base_url: str) -> dict[str, dict[str, Any]]:
    """Return the settings of a site that uses the server below ``base_url``."""
    url = f"{base_url}/{NAME}"
    settings = {"resource": f"{url}/mcp", "manage_url": f"{url}/settings"}
    return {NAME: {**settings, "scope_texts": _SENTENCES}}


def create_notes(
    base_url: str, client: Client, grants: Grants, token_lifetime: int, app_name: str
) -> Notes:
    """Create the server below ``base_url``, for the client whose document it may read."""
    url = f"{base_url}/{NAME}"
    data = OAuthProvider(
        name=NAME,
        authorize_url=f"{url}/authorize",
        token_url=f"{url}/token",
        revoke_url=f"{url}/revoke",
        scopes=[READ],
        token_auth="private_key_jwt",
    )
    habits = replace(
        habits_of(data),
        sends_issuer=True,
        sentences={k: v.capitalize() for k, v in _SENTENCES.items()},
    )
    return Notes(
        habits=habits,
        client=client,
        grants=grants,
        url=url,
        token_lifetime=token_lifetime,
        app_name=app_name,
        data=data,
    )


def routes_of(notes: Notes) -> list[BaseRoute]:
    """List its addresses; two documents lie where the specifications have them."""

    def route(method: str, path: str, handler: Callable[..., Awaitable[Response]]) -> BaseRoute:
        return Route(path, partial(handler, notes), methods=[method])

    own, known = f"/{NAME}", "/.well-known"
    return [
        route("GET", f"{known}/oauth-protected-resource{own}/mcp", _describe_resource),
        route("GET", f"{known}/oauth-authorization-server{own}", _describe),
        route("GET", f"{own}/authorize", _authorize),
        route("POST", f"{own}/authorize", decide),
        route("POST", f"{own}/token", _token),
        route("POST", f"{own}/revoke", _revoke),
        route("POST", f"{own}/mcp", _use),
        route("GET", f"{own}/settings", settings),
        route("POST", f"{own}/settings/remove", remove_access),
        route("POST", f"{own}/settings/trouble", switch_trouble),
    ]


def _api(handler: Callable[[Notes, Request], Awaitable[Response]]) -> Handler:
    return api(cast(Handler, handler))


@_api
async def _describe_resource(notes: Notes, _: Request) -> Response:
    """Serve the metadata of the MCP server (RFC 9728, 2)."""
    said = {"resource": notes.resource, "authorization_servers": [notes.url]}
    return JSONResponse({**said, "scopes_supported": [READ], "resource_name": "Notes"})


@_api
async def _describe(notes: Notes, _: Request) -> Response:
    """Serve the metadata of the authorization server (RFC 8414, 2)."""
    return JSONResponse(
        {
            "issuer": notes.url,
            "authorization_endpoint": f"{notes.url}/authorize",
            "token_endpoint": f"{notes.url}/token",
            "revocation_endpoint": f"{notes.url}/revoke",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": _ALGORITHMS,
            "authorization_response_iss_parameter_supported": True,
            "client_id_metadata_document_supported": True,
            "scopes_supported": [READ, WRITE],
        }
    )


async def _authorize(notes: Notes, request: Request) -> Response:
    """Serve the authorize page to a client whose document says that it may be answered there."""
    query = request.query_params
    if query.get("client_id") == notes.client.client_id:
        said = await _fetched(notes.client.client_id)
        if said.get("client_id") != notes.client.client_id:
            return page("standin_refused.html", 400, standin=notes, reason="client")
        if query.get("redirect_uri") not in said.get("redirect_uris", ()):
            return page("standin_refused.html", 400, standin=notes, reason="redirect")
    if query.get("resource") != notes.resource:
        return page("standin_refused.html", 400, standin=notes, reason="resource")
    return await authorize(notes, request)


async def _fetched(url: str) -> Mapping[str, Any]:
    """Read a document of the client; empty if it cannot be had."""
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=_DOCUMENT_SECONDS) as http:
            answer = await http.get(url)
        found = answer.json() if answer.status_code == 200 else {}
    except (httpx.HTTPError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


async def _check_client(notes: Notes, form: Mapping[str, str]) -> None:
    """Check that the client has signed for itself, here and once.  Raises ``Refused``."""
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    own = notes.client.client_id
    said = await _fetched(own) if form.get("client_id") == own else {}
    keys = await _fetched(str(said.get("jwks_uri", "")))
    try:
        signed = form.get("client_assertion", "")
        key_set = KeySet.import_key_set({"keys": list(keys.get("keys", ()))})
        claims = jwt.decode(signed, key_set, algorithms=_ALGORITHMS).claims
    except (JoseError, ValueError, TypeError, KeyError):
        raise Refused("client", "The client's signature is wrong.") from None
    right = {"iss": own, "sub": own, "aud": notes.url}
    left = claims.get("exp", 0) - time.time()
    is_right = {k: claims.get(k) for k in right} == right and 0 < left < _LONGEST_ASSERTION
    if form.get("client_assertion_type") != _JWT or not is_right or claims["jti"] in notes.spent:
        raise Refused("client", "The client has signed for somebody else, or before.")
    notes.spent.add(claims["jti"])


@_api
async def _token(notes: Notes, request: Request) -> Response:
    form = await read_form(request)
    await _check_client(notes, form)
    if form.get("resource") != notes.resource:
        raise Refused("request", "The resource is another one.")
    return JSONResponse(described.issued(notes, form), 200, NO_STORE)


@_api
async def _revoke(notes: Notes, request: Request) -> Response:
    form = await read_form(request)
    await _check_client(notes, form)
    if found := notes.own_token(form.get("token", "")):
        notes.grants.end_grant(found.grant)
    return JSONResponse({}, 200, NO_STORE)


# The MCP server


@_api
async def _use(notes: Notes, request: Request) -> Response:
    """Answer one JSON-RPC request of a client that has a token for this server."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    token = notes.own_token(value) if scheme.lower() == "bearer" else None
    if token is None or token.kind != "access":
        return _challenge(notes, 401, "invalid_token", READ)
    try:
        asked = dict(await request.json())
        method, given = asked.get("method"), dict(asked.get("params") or {})
    except (ValueError, TypeError):
        raise Refused("request", "The body must be JSON-RPC.") from None
    tool = given.get("name", "") if method == "tools/call" else ""
    needed = _TOOLS.get(tool, READ)
    if needed not in token.scopes:
        return _challenge(notes, 403, "insufficient_scope", needed)
    answer: dict[str, Any] = {"jsonrpc": "2.0", "id": asked.get("id")}
    if method == "tools/call" and tool in _TOOLS:
        answer["result"] = {"content": [{"type": "text", "text": _text(notes, token, tool)}]}
    elif method == "tools/list":
        empty = {"type": "object"}
        answer["result"] = {"tools": [{"name": one, "inputSchema": empty} for one in _TOOLS]}
    else:
        answer["error"] = {"code": -32601, "message": "This server has tools alone."}
    return JSONResponse(answer, 200, NO_STORE)


def _challenge(notes: Notes, status: int, error: str, scope: str) -> Response:
    about = notes.url.replace(f"/{NAME}", f"/.well-known/oauth-protected-resource/{NAME}/mcp")
    said = f'Bearer error="{error}", scope="{scope}", resource_metadata="{about}"'
    return JSONResponse({"error": error}, status, {**NO_STORE, "WWW-Authenticate": said})


def _text(notes: Notes, token: Token, tool: str) -> str:
    """Carry out a tool; return what it says."""
    login = notes.grants.grants[token.grant].login
    if tool == "write_note":
        notes.written[login] = notes.written.get(login, 0) + 1
    count = notes.written.get(login, 0)
    return f"{PEOPLE[login].name}, with {count} {'note' if count == 1 else 'notes'}"
