"""Servers of the providers that are found by their issuers: asked for, pinned, and kept to."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from ..errors import (
    OAuthMisconfigured,
    OAuthUnavailable,
    ProviderFailure,
    StoreUnavailable,
)
from ..protocol import found, metadata
from ..protocol.metadata import FRESH_SECONDS, Send, ServerMetadata
from ..protocol.metadata_cache import PAUSE_SECONDS, Discovery
from ..providers.provider import OAuthProvider
from ..storage import server_pins
from ..storage.calls import RedisClient
from ..storage.server_pins import Pin
from ..storage.storage import Storage, Subject
from ..values import replace
from . import registrations

log = logging.getLogger(__name__)

_TRIES = 3


# RFC 6749 5.2; the second is said by some of a client that is not registered any more.
_UNKNOWN_CLIENT = ("invalid_client", "unauthorized_client")


def _is_about(pinned: ServerMetadata, provider: OAuthProvider) -> bool:
    """Return whether metadata were found by what the operator names now."""
    is_free = "issuer" in provider.to_find
    return pinned.resource == provider.resource and (is_free or pinned.issuer == provider.issuer)


@dataclass(frozen=True, slots=True)
class Move:
    """Addresses of one server: name, the pinned one, the one that waits for the operator's word."""

    provider: str
    addresses: tuple[tuple[str, str, str], ...]


def _move(name: str, pin: Pin | None) -> Move | None:
    if pin is None or pin.waiting is None:
        return None
    old, new = pin.metadata.addresses, pin.waiting.addresses
    names = dict.fromkeys((*old, *new))
    pairs = ((name, old.get(name, ""), new.get(name, "")) for name in names)
    return Move(name, tuple(pair for pair in pairs if pair[1] != pair[2]))


class Servers:
    """The providers' servers; of others than those by issuer all is known already.

    What is found goes into ``providers`` too, where all look providers up.
    """

    def __init__(self, storage: Storage, send: Send, providers: dict[str, OAuthProvider]) -> None:
        self._storage = storage
        self._send = send
        self._providers = providers
        self._caches: dict[tuple[asyncio.AbstractEventLoop, str], Discovery] = {}
        self._used: dict[str, ServerMetadata] = {}

    async def of(self, redis: RedisClient, provider: OAuthProvider) -> OAuthProvider:
        """Return the provider with its server's addresses, found if need be.

        Raises ``OAuthUnavailable``, ``OAuthMisconfigured`` or ``StoreUnavailable``.
        """
        if not provider.to_find:
            return provider
        loop, name = asyncio.get_running_loop(), provider.name
        for place in [each for each in self._caches if each[0].is_closed()]:
            del self._caches[place]
        cache = self._caches.setdefault((loop, name), Discovery(self._storage.clock, name))
        known = await cache.metadata(partial(self._search, redis, provider))
        if self._used.get(name) != known:
            self._providers[name], self._used[name] = found.at(provider, known), known
        return self._providers[name]

    async def pinned(self, redis: RedisClient, provider: OAuthProvider) -> OAuthProvider | None:
        """Return the provider as it is pinned, and ask nobody; None if it is not.

        Raises ``OAuthMisconfigured`` or ``StoreUnavailable``.
        """
        pin = await server_pins.read(self._storage, redis, provider.name)
        is_ours = pin is not None and _is_about(pin.metadata, provider)
        return found.at(provider, pin.metadata) if pin and is_ours else None

    async def refused(
        self, redis: RedisClient, provider: OAuthProvider, failure: ProviderFailure
    ) -> None:
        """Forget a client that its server has registered on request, if it knows it no more.

        The next who starts has it registered again.  Raises ``StoreUnavailable``.
        """
        if provider.own is None or failure.code not in _UNKNOWN_CLIENT:
            return
        await registrations.forget(self._storage, redis, provider)
        self._caches.pop((asyncio.get_running_loop(), provider.name), None)

    async def about(self, subject: Subject) -> Subject:
        """Return the subject with its provider's addresses.  Raises like :meth:`of`."""
        provider = await self.of(subject.redis, subject.provider)
        return subject if provider is subject.provider else replace(subject, provider=provider)

    async def about_if_known(self, subject: Subject) -> Subject:
        """Return the same, or without addresses if they cannot be found now.

        Raises ``StoreUnavailable``.
        """
        try:
            return await self.about(subject)
        except StoreUnavailable:
            raise
        except ProviderFailure as failure:
            log.warning("%s: %s failed: %s", failure.provider, failure.step, failure.code)
            return subject

    async def at_return(self, redis: RedisClient, provider: OAuthProvider) -> OAuthProvider | None:
        """Return the provider as somebody's answer is to be read: found, or as it is pinned.

        None if it can be had in neither way.  Raises ``StoreUnavailable``.
        """
        try:
            return await self.of(redis, provider)
        except StoreUnavailable:
            raise
        except ProviderFailure as failure:
            log.warning("%s: %s failed: %s", failure.provider, failure.step, failure.code)
        with suppress(OAuthMisconfigured):
            return await self.pinned(redis, provider)
        return None

    async def _search(
        self, redis: RedisClient, provider: OAuthProvider
    ) -> tuple[ServerMetadata, float]:
        """Return the pinned metadata, and for how many seconds they count as fresh.

        A server that is in trouble or tells lies changes nothing of what is pinned.
        """
        told, fresh = await self._known(redis, provider)
        return await registrations.with_client(
            self._storage, self._send, redis, provider, told
        ), fresh

    async def _known(
        self, redis: RedisClient, provider: OAuthProvider
    ) -> tuple[ServerMetadata, float]:
        name, now = provider.name, self._storage.clock.now()
        pin = await server_pins.read(self._storage, redis, name)
        if pin and not _is_about(pin.metadata, provider):  # the operator has another one now
            return await self._pinned(redis, name, pin, await self._asked(provider, pin))
        if pin and 0 <= now - pin.checked_at < FRESH_SECONDS:
            return pin.metadata, FRESH_SECONDS
        try:
            told = await self._asked(provider, pin)
        except (OAuthUnavailable, OAuthMisconfigured) as failure:
            if pin is None:
                raise
            log.error("%s: %s; its pinned addresses stay in use", name, failure.code)
            return pin.metadata, PAUSE_SECONDS
        if pin and (moves := metadata.moved(pin.metadata, told)):
            log.error(
                "%s: %s moved, and nothing goes there before an operator accepts it: "
                "webui providers accept %s",
                name,
                " and ".join(moves),
                name,
            )
            kept = replace(pin, checked_at=now, waiting=told)
            await server_pins.put(self._storage, redis, name, kept)
            return pin.metadata, FRESH_SECONDS
        return await self._pinned(redis, name, pin, told)

    async def _asked(self, provider: OAuthProvider, pin: Pin | None) -> ServerMetadata:
        told = await found.ask(self._send, provider)
        if pin and pin.metadata.issuer == told.issuer:
            return replace(told, client=pin.metadata.client)  # no document tells of it
        return told

    async def _pinned(
        self, redis: RedisClient, name: str, before: Pin | None, told: ServerMetadata
    ) -> tuple[ServerMetadata, float]:
        """Pin what a server tells; the pin of another process, if that was first."""
        pin = Pin(told, self._storage.clock.now(), sealed=before.sealed if before else "")
        if await server_pins.put(self._storage, redis, name, pin):
            return told, FRESH_SECONDS
        other = await server_pins.read(self._storage, redis, name)
        if other is None or other.metadata.issuer != told.issuer:
            raise OAuthUnavailable(name, metadata.STEP, "pinned_elsewhere")
        return other.metadata, FRESH_SECONDS

    async def waiting(self, redis: RedisClient, name: str) -> Move | None:
        """Return the addresses that wait for the operator's word, None if none do.

        Raises ``ValueError`` for an unknown provider.
        """
        if name not in self._providers:
            raise ValueError("unknown provider")
        return _move(name, await server_pins.read(self._storage, redis, name))

    async def accept(self, redis: RedisClient, move: Move) -> bool:
        """Use the addresses that wait from now on; False if they are not those of ``move``."""
        for _ in range(_TRIES):
            pin = await server_pins.read(self._storage, redis, move.provider)
            if pin is None or pin.waiting is None or _move(move.provider, pin) != move:
                return False
            accepted = Pin(pin.waiting, self._storage.clock.now(), sealed=pin.sealed)
            if await server_pins.put(self._storage, redis, move.provider, accepted):
                return True
        return False
