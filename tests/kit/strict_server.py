"""A remote MCP server and its authorization server, as strict as their documents let them be.

One ASGI application under two hosts.  It knows RFC 6749, 7523, 7591, 7636, 8414, 8707, 9126,
9207, 9728 and Client ID Metadata Documents, and nothing of how this project reads them.
``spoiled`` and ``protected`` replace fields of its metadata, None leaves one out.
"""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.types import Receive, Scope, Send

Fields = dict[str, str]
Fetch = Callable[[str], Awaitable[Any]]


class Refused(Exception):
    """An error answer: status, code, and a reason for the test that fails."""

    def __init__(self, status: int, error: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.error = error
        self.reason = reason


async def _no_document(url: str) -> Any:
    raise KeyError(url)


@dataclass
class StrictServer:
    """``resource`` is "" for an authorization server without one; ``clients`` are registered.

    ``fetch`` reads the documents of clients, as the server's own HTTP client would.
    """

    issuer: str = "https://login.example"
    resource: str = ""
    methods: list[str] = field(default_factory=lambda: ["private_key_jwt", "none"])
    scopes: list[str] = field(default_factory=lambda: ["read", "write"])
    takes_documents: bool = True
    registers: bool = False
    pushes: bool = False
    names_issuer: bool = True
    found_by: str = "path"  # the protected resource's document: path, root, challenge or nowhere
    described_by: str = "oauth"  # the authorization server: oauth, openid or openid-behind
    redirects: bool = False  # every document has moved, it says
    challenges: bool = True  # a 401 names the document
    wants: str = ""  # the scopes that using it takes
    says_no_by: int = 403  # the status of a token with too few of them
    first_scope: str = ""  # of the challenge to somebody without a token
    document_at: str = ""  # what the challenge says, in place of the truth
    fetch: Fetch = _no_document
    clients: dict[str, dict[str, Any]] = field(default_factory=dict)
    spoiled: dict[str, Any] = field(default_factory=dict)
    protected: dict[str, Any] = field(default_factory=dict)
    secret_ends_at: int = 0
    registration: dict[str, Any] | None = None  # the answer, in place of a right one
    expires_in: int = 3600

    calls: Counter[str] = field(default_factory=Counter)
    forms: list[tuple[str, Fields]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    issued: set[str] = field(default_factory=set, repr=False)
    _codes: dict[str, Fields] = field(default_factory=dict, repr=False)
    _pushed: dict[str, Fields] = field(default_factory=dict, repr=False)
    _tokens: dict[str, Fields] = field(default_factory=dict, repr=False)
    _seen: set[str] = field(default_factory=set, repr=False)

    # Documents

    @property
    def metadata(self) -> dict[str, Any]:
        """RFC 8414, with what is spoiled."""
        said: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "revocation_endpoint": f"{self.issuer}/revoke",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": self.methods,
            "token_endpoint_auth_signing_alg_values_supported": ["ES256", "RS256"],
            "authorization_response_iss_parameter_supported": self.names_issuer,
            "client_id_metadata_document_supported": self.takes_documents,
            "registration_endpoint": f"{self.issuer}/register" if self.registers else None,
            "pushed_authorization_request_endpoint": f"{self.issuer}/par" if self.pushes else None,
        } | self.spoiled
        return {name: value for name, value in said.items() if value is not None}

    @property
    def protected_resource(self) -> dict[str, Any]:
        """RFC 9728, with what is spoiled."""
        said: dict[str, Any] = {
            "resource": self.resource,
            "authorization_servers": [self.issuer],
            "scopes_supported": self.scopes,
            "bearer_methods_supported": ["header"],
        } | self.protected
        return {name: value for name, value in said.items() if value is not None}

    @property
    def document_url(self) -> str:
        """Where the protected resource's document is."""
        parts = urlsplit(self.resource)
        known = "/.well-known/oauth-protected-resource"
        path = {"path": known + parts.path.rstrip("/"), "root": known}
        own = path.get(self.found_by, "/about/access")
        return f"{parts.scheme}://{parts.netloc}{own}"

    # The person's browser

    async def authorize(self, url: str) -> str:
        """The person allows it: the callback address.  Raises ``Refused``."""
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{self.issuer}/authorize", url
        query = dict(parse_qsl(parts.query, strict_parsing=True))
        if self.pushes:
            asked = self._pushed.pop(query.get("request_uri", ""), None)
            if asked is None or query.keys() != {"client_id", "request_uri"}:
                raise Refused(400, "invalid_request_uri", "not pushed before")
            if asked["client_id"] != query["client_id"]:
                raise Refused(400, "invalid_request", "pushed by another client")
        else:
            asked = query
        await self._check_request(asked)
        code = self._new("code")
        self._codes[code] = asked
        back = {"code": code, "state": asked["state"]}
        if self.names_issuer:
            back["iss"] = self.issuer
        return f"{asked['redirect_uri']}?{urlencode(back)}"

    async def _check_request(self, asked: Fields) -> None:
        client = await self._client(asked.get("client_id", ""))
        if asked.get("redirect_uri") not in client["redirect_uris"]:
            raise Refused(400, "invalid_request", "the redirect_uri is not the client's")
        if asked.get("response_type") != "code" or not asked.get("state"):
            raise Refused(400, "invalid_request", "response_type or state")
        if asked.get("code_challenge_method") != "S256" or len(asked["code_challenge"]) != 43:
            raise Refused(400, "invalid_request", "no S256 challenge")
        self._check_resource(asked)
        unknown = set(asked.get("scope", "").split()) - set(self.scopes)
        if unknown:
            raise Refused(400, "invalid_scope", f"{unknown}")

    def _check_resource(self, asked: Fields) -> None:
        if self.resource and asked.get("resource") != self.resource:
            raise Refused(400, "invalid_target", f"resource is {asked.get('resource')!r}")

    # Clients

    async def _client(self, client_id: str) -> dict[str, Any]:
        if client_id in self.clients:
            return self.clients[client_id]
        if not self.takes_documents or not client_id.startswith("https://"):
            raise Refused(400, "invalid_client", f"unknown client {client_id!r}")
        document = await self.fetch(client_id) or {}
        if document.get("client_id") != client_id:
            raise Refused(400, "invalid_client", "the document is another client's")
        if "client_secret" in document:
            raise Refused(400, "invalid_client", "a secret in public")
        return dict(document)

    async def _authenticated(self, form: Fields) -> str:
        """Check the client in the one way that it is registered for; return its id."""
        client_id = form.get("client_id", "")
        client = await self._client(client_id)
        method = client.get("token_endpoint_auth_method", "client_secret_basic")
        given = {name for name in ("client_secret", "client_assertion") if name in form}
        wanted = {
            "none": set(),
            "client_secret_post": {"client_secret"},
            "private_key_jwt": {"client_assertion"},
        }
        if method not in self.methods or given != wanted[method]:
            raise Refused(401, "invalid_client", f"{method}, and {given} given")
        if method == "client_secret_post" and form["client_secret"] != client["client_secret"]:
            raise Refused(401, "invalid_client", "the secret is wrong")
        if method == "private_key_jwt":
            await self._check_assertion(form, client_id, client)
        return client_id

    async def _check_assertion(self, form: Fields, client_id: str, client: dict[str, Any]) -> None:
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        if form.get("client_assertion_type") != kind:
            raise Refused(401, "invalid_client", "the type of the assertion")
        keys = client.get("jwks") or await self.fetch(client["jwks_uri"])
        if any({"d", "p", "q", "k"} & key.keys() for key in keys["keys"]):
            raise Refused(401, "invalid_client", "a private key in public")
        key_set = KeySet.import_key_set(keys)
        try:
            token = jwt.decode(form["client_assertion"], key_set, algorithms=["ES256", "RS256"])
        except (JoseError, ValueError):
            raise Refused(401, "invalid_client", "the signature") from None
        said = token.claims
        if said["iss"] != client_id or said["sub"] != client_id:
            raise Refused(401, "invalid_client", "of another client")
        if said["aud"] != self.issuer:
            raise Refused(401, "invalid_client", f"for {said['aud']!r}")
        if not 0 < said["exp"] - said["iat"] <= 300 or said["jti"] in self._seen:
            raise Refused(401, "invalid_client", "too long, or used before")
        self._seen.add(said["jti"])

    # Endpoints

    async def _token(self, form: Fields) -> dict[str, Any]:
        client_id = await self._authenticated(form)
        self._check_resource(form)
        if form.get("grant_type") == "refresh_token":
            old = self._tokens.pop(form.get("refresh_token", ""), None)
            if old is None or old["client_id"] != client_id:
                raise Refused(400, "invalid_grant", "the refresh token")
            return self._grant(old["scope"], client_id)
        asked = self._codes.pop(form.get("code", ""), None)
        if asked is None or asked["client_id"] != client_id:
            raise Refused(400, "invalid_grant", "the code")
        if form.get("redirect_uri") != asked["redirect_uri"]:
            raise Refused(400, "invalid_grant", "the redirect_uri")
        digest = sha256(form.get("code_verifier", "").encode()).digest()
        if urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            raise Refused(400, "invalid_grant", "the verifier")
        return self._grant(asked.get("scope", ""), client_id)

    def _grant(self, scope: str, client_id: str) -> dict[str, Any]:
        access, refresh = self._new("access"), self._new("refresh")
        self._tokens[access] = self._tokens[refresh] = {"scope": scope, "client_id": client_id}
        return {
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "Bearer",
            "expires_in": self.expires_in,
            "scope": scope,
        }

    async def _push(self, form: Fields) -> dict[str, Any]:
        client_id = await self._authenticated(form)
        asked = {name: value for name, value in form.items() if "assertion" not in name}
        asked.pop("client_secret", None)
        await self._check_request(asked)
        request_uri = f"urn:ietf:params:oauth:request_uri:{secrets.token_hex(8)}"
        self._pushed[request_uri] = {**asked, "client_id": client_id}
        return {"request_uri": request_uri, "expires_in": 60}

    def _register(self, document: dict[str, Any]) -> dict[str, Any]:
        if not document.get("redirect_uris") or "client_id" in document:
            raise Refused(400, "invalid_client_metadata", "redirect_uris")
        client = {**document, "client_id": f"registered-{secrets.token_hex(4)}"}
        if document.get("token_endpoint_auth_method") == "client_secret_post":
            client["client_secret"] = self._new("secret")
            client["client_secret_expires_at"] = self.secret_ends_at
        self.clients[client["client_id"]] = client
        return client

    def withdraw(self) -> None:
        """The person takes all access away."""
        self._tokens.clear()

    def _new(self, kind: str) -> str:
        value = f"{kind}-{secrets.token_hex(16)}"
        self.issued.add(value)
        return value

    # HTTP

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {k.decode().lower(): v.decode() for k, v in scope["headers"]}
        url = f"{scope['scheme']}://{headers.get('host', '')}{scope['path']}"
        extra: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json")]
        try:
            status, content = 200, await self._answer(scope["method"], url, headers, body)
        except Refused as refused:
            self.reasons.append(refused.reason)
            status, content = refused.status, {"error": refused.error}
            if refused.error in ("invalid_token", "insufficient_scope"):
                extra.append((b"www-authenticate", self._challenge(refused).encode()))
        if self.redirects and scope["method"] == "GET":
            status = 307
            extra.append((b"location", f"{self.issuer}/elsewhere".encode()))
        await send({"type": "http.response.start", "status": status, "headers": extra})
        await send({"type": "http.response.body", "body": json.dumps(content).encode()})

    def _challenge(self, refused: Refused) -> str:
        is_short = refused.error == "insufficient_scope"
        scope = refused.reason if is_short else self.first_scope
        said = {"error": refused.error, "scope": scope}
        if self.challenges:
            said["resource_metadata"] = self.document_at or self.document_url
        return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in said.items() if value)

    async def _answer(self, method: str, url: str, headers: Fields, body: bytes) -> Any:
        parts, own = urlsplit(url), urlsplit(self.issuer)
        host = f"{own.scheme}://{own.netloc}"
        places = {
            "oauth": f"{host}/.well-known/oauth-authorization-server{own.path}",
            "openid": f"{host}/.well-known/openid-configuration{own.path}",
            "openid-behind": f"{self.issuer}/.well-known/openid-configuration",
        }
        if url == places[self.described_by] and method == "GET":
            self.calls["metadata"] += 1
            return self.metadata
        is_there = self.resource and self.found_by != "nowhere"
        if is_there and url == self.document_url and method == "GET":
            self.calls["protected"] += 1
            return self.protected_resource
        if self.resource and url == self.resource:
            self.calls["resource"] += 1
            return self._use(headers.get("authorization", ""))
        step = parts.path.removeprefix(own.path + "/")
        self.calls[step] += 1
        if parts.netloc != own.netloc or method != "POST":
            raise Refused(404, "not_found", f"nothing at {url}")
        if step == "register" and self.registers:
            if self.registration is not None:
                return self.registration
            return self._register(json.loads(body))
        form = dict(parse_qsl(body.decode(), strict_parsing=True))
        self.forms.append((step, form))
        if step == "token":
            return await self._token(form)
        if step == "par" and self.pushes:
            return await self._push(form)
        if step == "revoke":
            await self._authenticated(form)
            self._tokens.pop(form.get("token", ""), None)
            return {}
        raise Refused(404, "not_found", f"nothing at {url}")

    def _use(self, authorization: str) -> Any:
        """The MCP server itself: it wants a token of its own."""
        token = self._tokens.get(authorization.removeprefix("Bearer "))
        if token is None:
            raise Refused(401, "invalid_token", "no token")
        if not set(self.wants.split()) <= set(token["scope"].split()):
            raise Refused(self.says_no_by, "insufficient_scope", self.wants)
        return {"jsonrpc": "2.0", "id": 1, "result": {}}
