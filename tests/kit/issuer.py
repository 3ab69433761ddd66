"""An authorization server that is found by its issuer: metadata in front of the fake provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.types import Receive, Scope, Send

from tests.kit.clock import FakeClock
from tests.kit.fake_answers import Answer, json_answer
from tests.kit.fake_provider import FakeProvider, _send
from tests.kit.library import BASE_URL, KEY, impatient
from webui.oauth_manager import OAuthManager
from webui.oauth_manager.protocol.transport import Transport

ISSUER = "https://id.example"
NAME = "acme"


def new_fake(issuer: str = ISSUER) -> FakeProvider:
    account = {"sub": "42", "preferred_username": "mona", "name": "Mona"}
    return FakeProvider(issuers={"": issuer}, account=account)


@dataclass
class Issuer:
    """``document`` is merged over the right metadata, None takes a field away.

    ``answer`` stands in the place of the document; ``asked`` counts the requests for it.
    """

    issuer: str = ISSUER
    fake: FakeProvider = field(default_factory=new_fake)
    document: dict[str, Any] = field(default_factory=dict)
    answer: Answer | None = None
    asked: int = 0

    def metadata(self) -> dict[str, Any]:
        right = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "revocation_endpoint": f"{self.issuer}/revoke",
            "userinfo_endpoint": f"{self.issuer}/account",
            "jwks_uri": f"{self.issuer}/jwks",
            "scopes_supported": ["openid", "email", "profile", "offline_access"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        return {k: v for k, v in {**right, **self.document}.items() if v is not None}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "/.well-known/" in scope["path"]:
            self.asked += 1
            is_right = scope["path"].endswith("/.well-known/openid-configuration")
            answer = self.answer or (json_answer(self.metadata()) if is_right else Answer(404))
            await _send(answer, receive, send)
            return
        await self.fake(scope, receive, send)


def manager_of(
    server: Issuer, *, clock: FakeClock | None = None, key: str = KEY, **settings: Any
) -> OAuthManager:
    """A process that knows the issuer, a client id and a secret, and nothing else."""
    fake = server.fake
    client = {"client_id": fake.client_id, "client_secret": fake.client_secret}
    return impatient(
        OAuthManager(
            key,
            BASE_URL,
            {NAME: {"issuer": server.issuer, **client, **settings}},
            transport=Transport(httpx.ASGITransport(server)),
            clock=clock or FakeClock(),
        )
    )
