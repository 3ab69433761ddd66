"""Metadata of the OpenID provider that people sign in with (OpenID Connect Discovery 1.0)."""

from __future__ import annotations

from webui.oauth_manager.protocol import metadata
from webui.oauth_manager.protocol.metadata import FRESH_SECONDS, ServerMetadata
from webui.oauth_manager.protocol.metadata_cache import Discovery
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.storage import Clock

NAME = "sign-on"  # in logs, in place of a provider's name


class IssuerMetadata:
    """The metadata of one issuer, asked for once an hour at most."""

    def __init__(self, issuer: str, transport: Transport, clock: Clock) -> None:
        self._issuer = issuer
        self._transport = transport
        self._cache = Discovery(clock, NAME)

    async def metadata(self) -> ServerMetadata:
        """Return the metadata.  Raises like :func:`metadata.find`."""
        return await self._cache.metadata(self._search)

    async def _search(self) -> tuple[ServerMetadata, float]:
        """Search where OpenID has them; without keys no id token could be checked."""
        urls = [metadata.document_url(self._issuer)]
        send = self._transport.send
        return await metadata.find(send, NAME, self._issuer, urls, ["jwks_uri"]), FRESH_SECONDS
