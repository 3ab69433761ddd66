"""A scriptable OpenID provider for tests: correct by default, wrong on request.

``OpenIDServer`` is an ASGI application for one issuer; :func:`beside` puts it
on a network together with another one.
"""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.kit.fake_answers import Answer, Gate, error_answer, json_answer
from tests.kit.fake_provider import _send
from tests.kit.fake_requests import Recorded, record
from webui.oauth_manager.storage import Clock

ISSUER = "https://login.example"
CLIENT_ID = "the stargazer"  # with what has to be encoded in a Basic header
CLIENT_SECRET = "canary:secret+of/the%operator"

Scripted = Answer | Callable[[Recorded], Answer]


def new_key(kid: str = "") -> ECKey:
    """A key for ES256; cheap, so that each test can have its own."""
    return ECKey.generate_key("P-256", {"kid": kid or secrets.token_hex(4), "use": "sig"})


def jwk_set(keys: Iterable[Key]) -> dict[str, Any]:
    return dict(KeySet(list(keys)).as_dict(private=False))


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Header and claims as a token carries them, without a signature."""
    parts = (json.dumps(part).encode() for part in (header, claims))
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@dataclass
class OpenIDServer:
    """``document``, ``claims`` and ``userinfo`` (over the claims) are merged over the right ones.

    ``None`` takes one away.
    ``sign`` makes an id token of its claims; ``answers`` has, by path, what is
    answered instead of the right thing.
    """

    issuer: str = ISSUER
    client_id: str = CLIENT_ID
    client_secret: str = field(default=CLIENT_SECRET, repr=False)
    sends_issuer: bool = True
    clock: Clock = field(default_factory=Clock)
    document: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=lambda: [new_key()], repr=False)
    sign: Callable[[dict[str, Any]], str] | None = None
    answers: dict[str, Scripted] = field(default_factory=dict)
    # path -> what holds its answers back
    gates: dict[str, Gate] = field(default_factory=dict)

    calls: Counter[str] = field(default_factory=Counter)
    asked: list[dict[str, str]] = field(default_factory=list, repr=False)
    exchanges: list[Recorded] = field(default_factory=list, repr=False)
    # Everything issued that must be seen nowhere.
    issued: set[str] = field(default_factory=set, repr=False)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)

    def metadata(self) -> dict[str, Any]:
        usual: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "end_session_endpoint": f"{self.issuer}/logout",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "authorization_response_iss_parameter_supported": self.sends_issuer,
        }
        return _merged(usual, self.document)

    def authorize(self, url: str) -> str:
        """Somebody signs in: the callback address for an authorize address."""
        asked = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
        assert url.startswith(f"{self.issuer}/authorize?")
        assert asked["client_id"] == self.client_id
        self.asked.append(asked)
        code = self._new("code")
        self._codes[code] = asked
        answer = {"code": code, "state": asked["state"]}
        if self.sends_issuer:
            answer["iss"] = self.issuer
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def id_token(self, asked: dict[str, str]) -> str:
        now = int(self.clock.now())
        usual: dict[str, Any] = {
            "iss": self.issuer,
            "sub": "carol",
            "aud": self.client_id,
            "exp": now + 300,
            "iat": now,
            "auth_time": now,
            "nonce": asked.get("nonce"),
            "groups": ["support"],
        }
        claims = _merged(usual, self.claims)
        token = self.sign(claims) if self.sign else self.signed(claims)
        self.issued.add(token)
        return token

    def signed(self, claims: dict[str, Any], key: Key | None = None, alg: str = "ES256") -> str:
        key = key or self.keys[0]
        return jwt.encode({"alg": alg, "kid": key.kid}, claims, key, algorithms=[alg])

    def respond(self, request: Recorded) -> Answer:
        match request.path:
            case "/.well-known/openid-configuration":
                return json_answer(self.metadata())
            case "/jwks":
                return json_answer(jwk_set(self.keys))
            case "/token":
                return self._exchange(request)
            case "/userinfo":
                return self._tell(request)
            case _:
                return Answer(404)

    def _exchange(self, request: Recorded) -> Answer:
        form = request.form
        given = request.client if self.client_secret else (form.get("client_id"), "")
        if given != (self.client_id, self.client_secret):
            return error_answer("invalid_client", 401)
        asked = self._codes.pop(form.get("code", ""), {})
        digest = sha256(form.get("code_verifier", "").encode()).digest()
        challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked.get("code_challenge") != challenge or (
            asked["redirect_uri"] != form.get("redirect_uri")
        ):
            return error_answer("invalid_grant")
        return json_answer(
            {
                "access_token": self._new("access"),
                "token_type": "Bearer",
                "id_token": self.id_token(asked),
            }
        )

    def _tell(self, request: Recorded) -> Answer:
        """OpenID Connect Core 5.3, for a token that was issued."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token.startswith("access-") or token not in self.issued:
            return error_answer("invalid_token", 401)
        usual = {"sub": "carol", "groups": ["support"]}
        return json_answer(_merged(_merged(usual, self.claims), self.userinfo))

    def _new(self, kind: str) -> str:
        value = f"{kind}-{secrets.token_hex(16)}"
        self.issued.add(value)
        return value

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = await record(scope, receive)
        self.calls[request.path] += 1
        if request.path == "/token":
            self.exchanges.append(request)
        scripted = self.answers.get(request.path, self.respond)
        if request.path in self.gates:
            await self.gates[request.path].wait()
        await _send(scripted if isinstance(scripted, Answer) else scripted(request), receive, send)


def _merged(usual: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (usual | changes).items() if value is not None}


def beside(server: OpenIDServer, others: ASGIApp) -> ASGIApp:
    """A network of two: the server under its own host, everything else at ``others``."""
    host = urlsplit(server.issuer).netloc.encode()

    async def network(scope: Scope, receive: Receive, send: Send) -> None:
        is_ours = dict(scope["headers"]).get(b"host") == host
        await (server if is_ours else others)(scope, receive, send)

    return network
