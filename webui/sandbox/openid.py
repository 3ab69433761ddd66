"""The demo's OpenID provider: the person chosen on its page signs in, without a password.

It keeps no session of its own, so it asks each time, and has nothing to sign
out of.  A page of its own takes Carol's role from her, and gives it back.
"""

from __future__ import annotations

import secrets
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from webui.sandbox.standin import NO_STORE, Refused, basic_credentials, read_form
from webui.sandbox.standin_pages import cross_site, page

PATH = "/signon"
SUPPORT_GROUP = "support"
PEOPLE = {"carol": ("Carol", (SUPPORT_GROUP,)), "dave": ("Dave", ())}
"""Id -> name and groups."""

_TEMPLATE = "standin_signon.html"
_CODE_SECONDS = 60
_TOKEN_SECONDS = 1800  # as long as a sign-in opens the support pages
_ALGORITHM = "ES256"


@dataclass(frozen=True)
class _Code:
    person: str
    query: dict[str, str] = field(repr=False)
    expires_at: float  # epoch seconds


class SignOnStandin:
    """The provider below ``origin``; ``site`` is the one application it knows."""

    def __init__(self, origin: str, site: str) -> None:
        self.issuer = origin + PATH
        # Not kept for the next start: both ends start together.
        self._client = "demo-sign-on", secrets.token_urlsafe(30)
        self._redirect_uri = f"{site}/signin/sso/callback"
        self._signed_out = f"{site}/signed-out"
        self._key = ECKey.generate_key("P-256", {"use": "sig"}, auto_kid=True)
        self._codes: dict[str, _Code] = {}
        self._tokens: dict[str, str] = {}  # access token -> person
        self._groups = {person: groups for person, (_, groups) in PEOPLE.items()}

    def settings(self) -> dict[str, str]:
        """Return the site's settings for this provider."""
        return {
            "oidc_issuer": self.issuer,
            "oidc_client_id": self._client[0],
            "oidc_client_secret": self._client[1],
            "oidc_label": "the stand-in",
            "support_group": SUPPORT_GROUP,
        }

    def routes(self) -> list[Route]:
        post = ["POST"]
        return [
            Route(f"{PATH}/.well-known/openid-configuration", self._describe),
            Route(f"{PATH}/jwks", self._show_keys),
            Route(f"{PATH}/authorize", self._ask),
            Route(f"{PATH}/authorize", self._decide, methods=post),
            Route(f"{PATH}/token", self._exchange, methods=post),
            Route(f"{PATH}/userinfo", self._tell),
            Route(f"{PATH}/logout", self._sign_out),
            Route(f"{PATH}/people", self._show_people),
            Route(f"{PATH}/people", self._change_role, methods=post),
        ]

    async def _describe(self, _: Request) -> Response:
        """Serve the metadata (OpenID Connect Discovery 1.0, 3)."""
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "end_session_endpoint": f"{self.issuer}/logout",
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [_ALGORITHM],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                "code_challenge_methods_supported": ["S256"],
                "scopes_supported": ["openid"],
                "claims_supported": ["sub", "groups", "auth_time"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def _show_keys(self, _: Request) -> Response:
        return JSONResponse(KeySet([self._key]).as_dict(private=False))

    async def _ask(self, request: Request) -> Response:
        """Ask who signs in."""
        query = self._read(request)
        if query is None:
            return _refused()
        if error := _fault(query):
            return self._back(query, {"error": error})
        target = urlsplit(self._redirect_uri)
        return page(
            _TEMPLATE,
            form_target=f"{target.scheme}://{target.netloc}",
            action=f"{PATH}/authorize?{request.url.query}",
            people={person: name for person, (name, _) in PEOPLE.items()},
        )

    async def _decide(self, request: Request) -> Response:
        query = self._read(request)
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        person = form.get("person", [""])[0]
        if query is None or _fault(query) or cross_site(request):
            return _refused()
        if person not in PEOPLE:
            return self._back(query, {"error": "access_denied"})
        now = time.time()
        self._codes = {code: kept for code, kept in self._codes.items() if kept.expires_at > now}
        code = secrets.token_urlsafe(20)
        self._codes[code] = _Code(person, query, now + _CODE_SECONDS)
        return self._back(query, {"code": code})

    async def _exchange(self, request: Request) -> Response:
        try:
            return JSONResponse(self._token(request, await read_form(request)), 200, NO_STORE)
        except Refused as refused:
            error = {"client": "invalid_client", "code": "invalid_grant"}.get(refused.cause)
            status = 401 if refused.cause == "client" else 400
            return JSONResponse({"error": error or "invalid_request"}, status, NO_STORE)

    def _token(self, request: Request, form: dict[str, str]) -> dict[str, Any]:
        given = basic_credentials(request) or ("", "")
        if not secrets.compare_digest(repr(given).encode(), repr(self._client).encode()):
            raise Refused("client", "The client is unknown or its secret is wrong.")
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or code.expires_at <= time.time():
            raise Refused("code", "The code is unknown, used or too old.")
        digest = sha256(form.get("code_verifier", "").encode()).digest()
        challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (code.query["code_challenge"], self._redirect_uri) != (
            challenge,
            form.get("redirect_uri"),
        ):
            raise Refused("code", "The code was made for another request.")
        token = secrets.token_urlsafe(24)
        self._tokens[token] = code.person
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": _TOKEN_SECONDS,
            "id_token": self._id_token(code),
        }

    def _id_token(self, code: _Code) -> str:
        now = int(time.time())
        name, _ = PEOPLE[code.person]
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": code.person,
            "aud": self._client[0],
            "iat": now,
            "exp": now + _TOKEN_SECONDS,
            "auth_time": now,
            "name": name,
            "groups": self._groups[code.person],
        }
        if "nonce" in code.query:
            claims["nonce"] = code.query["nonce"]
        header = {"alg": _ALGORITHM, "kid": self._key.kid}
        return jwt.encode(header, claims, self._key)

    async def _tell(self, request: Request) -> Response:
        """Serve userinfo (OpenID Connect Core 5.3); a token is valid until the demo ends."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        person = self._tokens.get(token) if scheme == "Bearer" else None
        if person is None:
            headers = NO_STORE | {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            return JSONResponse({"error": "invalid_token"}, 401, headers)
        claims = {"sub": person, "name": PEOPLE[person][0], "groups": self._groups[person]}
        return JSONResponse(claims, 200, NO_STORE)

    async def _show_people(self, _: Request) -> Response:
        return page("standin_roles.html", action=f"{PATH}/people", has_role=self._groups["carol"])

    async def _change_role(self, request: Request) -> Response:
        if cross_site(request):
            return _refused()
        self._groups["carol"] = () if self._groups["carol"] else (SUPPORT_GROUP,)
        return RedirectResponse(f"{PATH}/people", 303, NO_STORE)

    async def _sign_out(self, request: Request) -> Response:
        """Lead back after a sign-out, if the address is registered (RP-Initiated Logout 1.0, 3)."""
        query = request.query_params
        asked = query.get("client_id"), query.get("post_logout_redirect_uri")
        if asked != (self._client[0], self._signed_out):
            return _refused()
        return RedirectResponse(self._signed_out, 303, NO_STORE)

    def _read(self, request: Request) -> dict[str, str] | None:
        """Read the request; ``None`` if nobody may be led back (RFC 6749, 4.1.2.1)."""
        pairs = request.query_params.multi_items()
        query = dict(pairs)
        asked = query.get("client_id"), query.get("redirect_uri")
        known = self._client[0], self._redirect_uri
        return query if asked == known and len(query) == len(pairs) else None

    def _back(self, query: dict[str, str], answer: dict[str, str]) -> Response:
        state = {"state": query["state"]} if "state" in query else {}
        address = f"{self._redirect_uri}?{urlencode(answer | state | {'iss': self.issuer})}"
        return RedirectResponse(address, 303, NO_STORE)


def _fault(query: dict[str, str]) -> str:
    """Return the ``error`` that the application gets, or nothing."""
    if query.get("response_type") != "code":
        return "unsupported_response_type"
    if "openid" not in query.get("scope", "").split():
        return "invalid_scope"
    if query.get("code_challenge_method") != "S256" or not query.get("code_challenge"):
        return "invalid_request"
    return "login_required" if query.get("prompt") == "none" else ""


def _refused() -> Response:
    return page(_TEMPLATE, 400, people={})
