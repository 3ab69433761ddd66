"""Metadata of the OpenID provider that people sign in with (OpenID Connect Discovery 1.0)."""

from __future__ import annotations

from webui.oauth_manager.protocol.metadata import Discovery, document_url
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.storage import Clock

NAME = "sign-on"  # in logs, in place of a provider's name


def discovery(issuer: str, transport: Transport, clock: Clock) -> Discovery:
    """Return the cache of its metadata: with keys, or no id token could be checked."""
    return Discovery(transport.send, clock, NAME, issuer, [document_url(issuer)], ["jwks_uri"])
