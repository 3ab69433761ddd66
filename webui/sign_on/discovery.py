"""Metadata of an OpenID provider (OpenID Connect Discovery 1.0, RFC 8414)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from webui.oauth_manager import OAuthMisconfigured, OAuthUnavailable
from webui.oauth_manager.protocol import ProviderFailure
from webui.oauth_manager.protocol.answers import Answer, read_json
from webui.oauth_manager.protocol.requests import ProviderRequest
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.storage import Clock
from webui.settings.readers import Malformed, endpoint, is_loopback

NAME = "sign-on"  # in logs, in place of a provider's name
FRESH_SECONDS = 3600.0
PAUSE_SECONDS = 10.0  # after a failure; callers meanwhile get the same answer at once


@dataclass(frozen=True, slots=True)
class Metadata:
    """One provider's metadata; optional endpoints are ``""`` if it has none."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    end_session_endpoint: str
    auth_methods: frozenset[str]  # client authentication at the token endpoint
    sends_issuer: bool  # every authorization response carries iss (RFC 9207, 3)
    takes_claims: bool  # the claims parameter (OpenID Connect Core 5.5)


def document_url(issuer: str) -> str:
    """Return the document's URL (Discovery 4.1): after the issuer, without a slash at its end."""
    return issuer.removesuffix("/") + "/.well-known/openid-configuration"


def get_request(step: str, url: str) -> ProviderRequest:
    return ProviderRequest(NAME, step, "GET", url, {"Accept": "application/json"})


def read_metadata(issuer: str, answer: Answer) -> Metadata:
    """Read and check the document.

    Raises ``OAuthUnavailable`` if it is no document, ``OAuthMisconfigured`` if it is
    another issuer's or leads to addresses that no secret may go to.
    """
    fields = read_json(answer.body) if answer.status == 200 else None
    if fields is None:
        raise OAuthUnavailable(NAME, "discovery", f"http_{answer.status}")
    # Character by character, or one issuer could speak for another (4.3).
    if fields.get("issuer") != issuer:
        raise OAuthMisconfigured(NAME, "discovery", "other_issuer")
    addresses = {
        name: _address(issuer, fields, name)
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")
    }
    for name in ("userinfo_endpoint", "end_session_endpoint"):
        addresses[name] = _address(issuer, fields, name) if fields.get(name) else ""
    return Metadata(
        **addresses,
        auth_methods=_names(fields.get("token_endpoint_auth_methods_supported")),
        sends_issuer=fields.get("authorization_response_iss_parameter_supported") is True,
        takes_claims=fields.get("claims_parameter_supported") is True,
    )


def _address(issuer: str, fields: dict[str, Any], name: str) -> str:
    """Read an https address; http only on this machine, and only if the issuer is there too."""
    url = fields.get(name)
    try:
        checked = endpoint(url) if isinstance(url, str) else ""
    except Malformed:
        checked = ""
    is_local = urlsplit(issuer).scheme == "http" and is_loopback(urlsplit(issuer).hostname or "")
    if not checked or not (checked.startswith("https:") or is_local):
        raise OAuthMisconfigured(NAME, "discovery", name)
    return checked


def _names(methods: object) -> frozenset[str]:
    """Read the methods; without a list it is client_secret_basic (Discovery 3)."""
    if not isinstance(methods, list) or not methods:
        return frozenset({"client_secret_basic"})
    return frozenset(method for method in methods if isinstance(method, str))


class Discovery:
    """Cache of the metadata: one request an hour at most; trouble keeps the old metadata."""

    def __init__(self, issuer: str, transport: Transport, clock: Clock) -> None:
        self._issuer = issuer
        self._transport = transport
        self._clock = clock
        self._asking: asyncio.Task[None] | None = None
        self._known: Metadata | None = None
        self._failure: tuple[type[ProviderFailure], str] = OAuthUnavailable, ""
        self._until = 0.0

    async def metadata(self) -> Metadata:
        """Return the metadata.  Raises like :func:`read_metadata`."""
        if self._clock.monotonic() >= self._until:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())
            # Finished even if all waiters give up, or a slow provider would never be
            # known.
            await asyncio.shield(self._asking)
        if self._known is None:
            # A new one: an exception that is raised again and again gathers tracebacks.
            raise self._failure[0](NAME, "discovery", self._failure[1])
        return self._known

    async def _ask(self) -> None:
        seconds = PAUSE_SECONDS
        try:
            request = get_request("discovery", document_url(self._issuer))
            answer = await self._transport.send(request)
            self._known, seconds = read_metadata(self._issuer, answer), FRESH_SECONDS
        except OAuthUnavailable as failure:
            self._failure = OAuthUnavailable, failure.code
        except OAuthMisconfigured as failure:
            self._known, self._failure = None, (OAuthMisconfigured, failure.code)
        self._until = self._clock.monotonic() + seconds
