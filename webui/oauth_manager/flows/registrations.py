"""Registrations on request (RFC 7591): sealed beside the server's pin, renewed when refused."""

from __future__ import annotations

import logging

from ..errors import OAuthUnavailable
from ..protocol import client_identity, metadata
from ..protocol.metadata import Send, ServerMetadata
from ..providers.provider import OAuthProvider
from ..storage import server_pins
from ..storage.calls import RedisClient
from ..storage.storage import Storage
from ..values import replace

log = logging.getLogger(__name__)

_TRIES = 3


def _lacks_client(storage: Storage, provider: OAuthProvider, told: ServerMetadata) -> bool:
    if not provider.own or client_identity.way_to(provider, told) != "registration":
        return False
    back = client_identity.redirect_uri(provider.own, provider.name)
    return not (told.client and told.client.is_good(back, storage.clock.now()))


async def with_client(
    storage: Storage,
    send: Send,
    redis: RedisClient,
    provider: OAuthProvider,
    told: ServerMetadata,
) -> ServerMetadata:
    """Return the metadata with the client that the server registers for us, if there is no other.

    It is the client of another process, if that was first.  Raises ``OAuthMisconfigured``,
    ``OAuthUnavailable`` or ``StoreUnavailable``.
    """
    name, own = provider.name, provider.own
    if own is None or not _lacks_client(storage, provider, told):
        return told
    auth = client_identity.token_auth(provider, told, "registration")
    said = client_identity.document(replace(provider, token_auth=auth), own, own.host)
    answer = await send(client_identity.registration_request(provider, told, said))
    client = client_identity.read_registration(provider, said, answer)
    for _ in range(_TRIES):
        pin = await server_pins.read(storage, redis, name)
        if pin is None or pin.metadata.issuer != told.issuer:
            break
        if not _lacks_client(storage, provider, pin.metadata):
            return pin.metadata
        made = replace(pin, metadata=replace(pin.metadata, client=client))
        if await server_pins.put(storage, redis, name, made):
            return made.metadata
    raise OAuthUnavailable(name, metadata.STEP, "pinned_elsewhere")


async def forget(storage: Storage, redis: RedisClient, provider: OAuthProvider) -> None:
    """Forget the client that a server knows no more.  Raises ``StoreUnavailable``."""
    pin = await server_pins.read(storage, redis, provider.name)
    client = pin.metadata.client if pin else None
    if pin and client and client.client_id == provider.client_id:
        log.warning("%s: its server has forgotten the client it registered", provider.name)
        without = replace(pin, metadata=replace(pin.metadata, client=None))
        await server_pins.put(storage, redis, provider.name, without)
