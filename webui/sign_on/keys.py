"""The provider's public keys: fetched on demand, and again when it has new ones."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from webui.oauth_manager import OAuthUnavailable
from webui.oauth_manager.protocol.metadata import get_request
from webui.oauth_manager.protocol.reach import Reach
from webui.oauth_manager.protocol.requests import ProviderRequest
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.storage import Clock

from .discovery import NAME
from .identity import KeyUnknown

if TYPE_CHECKING:
    from .id_token import PublicKeys

FRESH_SECONDS = 3600.0
PAUSE_SECONDS = 60.0  # between two fetches, however many tokens name an unknown key
TROUBLE_SECONDS = 10.0  # after a failure; callers meanwhile get the same answer at once


class Keys:
    """One provider's key set."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        # joserfc is slow to import: only a site that somebody signs on to waits for it.
        from .id_token import read_id_token, read_keys

        self._read_id_token = read_id_token
        self._read_keys = read_keys
        self._transport = transport
        self._clock = clock
        self._asking = asyncio.Lock()
        self._known: PublicKeys | None = None
        self._asked_at = 0.0
        self._trouble = ""
        self._trouble_until = 0.0

    async def verify(
        self,
        token: str,
        jwks_uri: str,
        *,
        issuer: str,
        client_id: str,
        nonce: str,
        reach: Reach = (),
    ) -> dict[str, Any]:
        """Return an id token's claims; fetch newer keys if need be, within ``reach``.

        Raises what :func:`.id_token.read_id_token` does, and ``OAuthUnavailable`` if the
        provider gives no keys.
        """
        read = partial(self._read_id_token, token, issuer=issuer, client_id=client_id, nonce=nonce)
        ask = get_request(NAME, "keys", jwks_uri, reach)
        try:
            return read(await self._keys(ask, FRESH_SECONDS), now=self._clock.now())
        except KeyUnknown:
            return read(await self._keys(ask, PAUSE_SECONDS), now=self._clock.now())

    async def _keys(self, ask: ProviderRequest, fresh: float) -> PublicKeys:
        """Return the keys as they were at most ``fresh`` seconds ago."""
        async with self._asking:
            if self._known is not None and self._clock.monotonic() < self._asked_at + fresh:
                return self._known
            if self._clock.monotonic() < self._trouble_until:
                raise OAuthUnavailable(NAME, "keys", self._trouble)
            try:
                self._known = await self._fetch(ask)
            except OAuthUnavailable as failure:
                self._trouble = failure.code
                self._trouble_until = self._clock.monotonic() + TROUBLE_SECONDS
                raise
            self._asked_at = self._clock.monotonic()
            return self._known

    async def _fetch(self, ask: ProviderRequest) -> PublicKeys:
        answer = await self._transport.send(ask)
        keys = self._read_keys(answer.body) if answer.status == 200 else None
        if keys is None:
            raise OAuthUnavailable(NAME, "keys", f"http_{answer.status}")
        return keys
