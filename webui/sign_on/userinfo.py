"""Current claims of a person: the provider's UserInfo endpoint (OpenID Connect Core 5.3).

Those to be asked about again, staff alone, have the access token for it in their session, sealed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from webui.oauth_manager import (
    OAuthMisconfigured,
    OAuthRefused,
    OAuthUnavailable,
    RecordUnreadable,
)
from webui.oauth_manager.protocol.answers import Answer, read_json
from webui.oauth_manager.protocol.metadata import get_request
from webui.oauth_manager.protocol.reach import Reach
from webui.oauth_manager.protocol.requests import ProviderRequest
from webui.oauth_manager.protocol.transport import DEADLINE_WHILE_WAITING, Transport
from webui.oauth_manager.storage import Sealer
from webui.oauth_manager.values import replace
from webui.settings.settings import Settings

from .discovery import NAME, IssuerMetadata
from .identity import IdTokenRefused

STEP = "userinfo"
_KIND = "staff"  # the kind of sealed record


class UserInfo:
    """The claims of the person of an access token.

    Methods that ask raise ``OAuthRefused`` if the token is no longer valid,
    ``IdTokenRefused`` if the answer is about somebody else, and ``OAuthUnavailable`` or
    ``OAuthMisconfigured`` if it is of no use.
    """

    def __init__(self, settings: Settings, discovery: IssuerMetadata, transport: Transport) -> None:
        self._issuer = settings.oidc_issuer  # no other one ever gets the token
        self._sealer = Sealer(" ".join(settings.encryption_keys))
        self._discovery = discovery
        self._transport = transport

    async def claims(self, access_token: str, subject: str) -> Mapping[str, Any]:
        """Return the claims, while a person still waits; ``subject`` is the id token's ``sub``."""
        answer = None
        try:
            async with asyncio.timeout(DEADLINE_WHILE_WAITING):
                metadata = await self._discovery.metadata()
                if url := metadata.userinfo_endpoint:
                    request = userinfo_request(url, access_token, metadata.reach)
                    answer = await self._transport.send(request)
        except TimeoutError:
            raise OAuthUnavailable(NAME, STEP, "timeout") from None
        if answer is None:
            raise OAuthRefused(NAME, STEP, "no_endpoint")
        return read_userinfo(answer, subject)

    def seal(self, user: str, access_token: str, subject: str) -> str:
        """Seal a token to ask again with, for this person and this provider alone."""
        payload = {"access_token": access_token, "sub": subject}
        return self._sealer.seal(_KIND, user, self._issuer, payload)

    async def claims_again(self, user: str, sealed: str) -> Mapping[str, Any]:
        """Return :meth:`claims` again; an unreadable seal is a token that is no longer valid."""
        try:
            kept = self._sealer.open(_KIND, user, self._issuer, sealed)
        except RecordUnreadable:
            raise OAuthRefused(NAME, STEP, "unreadable") from None
        return await self.claims(kept["access_token"], kept["sub"])


def userinfo_request(url: str, access_token: str, reach: Reach = ()) -> ProviderRequest:
    """Build the request (OpenID Connect Core 5.3.1, RFC 6750 2.1)."""
    request = get_request(NAME, STEP, url, reach)
    authorization = {"Authorization": f"Bearer {access_token}"}
    return replace(request, headers=request.headers | authorization)


def read_userinfo(answer: Answer, subject: str) -> dict[str, Any]:
    """Read claims of ``subject`` alone (Core 5.3.2).  Raises like :class:`UserInfo`."""
    if answer.status in (401, 403):
        raise OAuthRefused(NAME, STEP, f"http_{answer.status}")
    if answer.status != 200:
        raise OAuthUnavailable(NAME, STEP, f"http_{answer.status}")
    if answer.headers.get("content-type", "").lower().startswith("application/jwt"):
        raise OAuthMisconfigured(NAME, STEP, "signed")
    claims = read_json(answer.body)
    if claims is None or "sub" not in claims:
        raise OAuthUnavailable(NAME, STEP, "unusable_answer")
    if claims["sub"] != subject:
        raise IdTokenRefused("userinfo_sub")
    return claims
