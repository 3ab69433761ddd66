"""``Composition``: makes the services of the manager, and checks callers' arguments."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from ..clock import Clock
from ..errors import OAuthMisconfigured, StoreUnavailable
from ..journal.audit import Audit
from ..journal.stories import Stories
from ..links.codes import Links
from ..links.proofs import Proofs
from ..protocol import client_identity
from ..protocol.client import ProviderClient
from ..protocol.steps import Observer, Steps
from ..protocol.transport import DEADLINE_WHILE_WAITING, Transport
from ..providers.client_keys import derive_key
from ..providers.provider import OAuthProvider
from ..storage import canary, keys, renewal_limit, rotation
from ..storage.calls import RedisClient
from ..storage.keys import check_user_id
from ..storage.resealer import Resealer
from ..storage.rotation import Rotation, Told, Visit
from ..storage.sealer import Sealer
from ..storage.storage import Storage, Subject
from . import keep_alive, tokens
from .census import Census, count, recent
from .census_week import Week, week
from .last_used import Uses
from .memory import Memory, Several
from .servers import Servers
from .services import SIGNING, Services, name_ourselves
from .tasks import DRAIN_SECONDS, Result

NOTHING: Mapping[str, str] = MappingProxyType({})  # no values of the person


class Composition:
    """The services, each made once and handed what it needs."""

    def __init__(
        self,
        sealer: Sealer,
        base_url: str,
        providers: dict[str, OAuthProvider],
        transport: Transport,
        clock: Clock,
        observer: Observer | None = None,
    ) -> None:
        self.base_url = base_url
        self.clock = clock
        self.providers = providers
        name_ourselves(sealer, base_url, providers)
        self.patience = DEADLINE_WHILE_WAITING  # seconds that a disconnect waits for a provider
        self._transport = transport
        self._sealer = sealer
        self._fernet = sealer.fernet
        self._storage = Storage(sealer, clock)
        self.steps = Steps(clock, observer)
        client = ProviderClient(transport, clock, self.steps)
        self.servers = Servers(self._storage, transport.send, providers)
        page = f"{base_url}/connections"
        self._services = Services(self._storage, client, self.steps, self.servers, page_url=page)
        self._tasks = self._services.tasks
        self._uses = Uses(partial(tokens.used, self._services), self._tasks, clock)
        self._memory, self._several = Memory(), Several()
        self.links = Links(self._storage)
        self.proofs = Proofs(self._storage)
        self.stories = Stories(self._storage)
        self.audit = Audit(clock)

    def __repr__(self) -> str:
        name, providers = type(self).__name__, sorted(self.providers)
        return f"{name}(base_url={self.base_url!r}, providers={providers!r})"

    @property
    def transport(self) -> Transport:
        """Return the way to providers, for clients of their APIs."""
        return self._transport

    def is_provider_configured(self, provider: str) -> bool:
        """Return whether the provider is known and has a client id and a client secret."""
        known = self.providers.get(provider)
        return known is not None and known.is_configured

    def list_configured_providers(self) -> list[str]:
        """List the names of providers with complete credentials, in alphabetical order."""
        return [name for name in self.providers if self.is_provider_configured(name)]

    def redirect_uri(self, provider: str) -> str:
        """Return the callback address to register with the provider."""
        return f"{self.base_url}/oauth/{provider}/callback"

    def public_keys(self) -> list[dict[str, str]]:
        """List the public halves of the keys that sign for this installation (RFC 7517 4)."""
        known = self.providers.values()
        keys = [one.signing_key for one in known if one.is_configured and one.client_key]
        if any(one.own for one in known):
            # With an older key too: a process that knows no newer one may still sign.
            keys += [derive_key(key, SIGNING) for key in self._sealer.fernet_keys]
        return list({key.name: key.public for key in keys}.values())

    async def client_document(
        self, redis: RedisClient, provider: str, name: str
    ) -> dict[str, Any] | None:
        """Return our Client ID Metadata Document for one server, None if it knows us otherwise.

        Also None before anybody has left for that server: reading it asks nobody.  ``name``
        is shown to people there.  Raises ``OAuthMisconfigured`` if its pin cannot be used.
        """
        own = self._provider(provider).own
        known = await self.servers.pinned(redis, self._provider(provider)) if own else None
        if own is None or known is None:
            return None
        address = client_identity.document_url(known)
        if known.client_id != address:
            return None
        return {"client_id": address, **client_identity.document(known, own, name)}

    async def may_ask_for_more(self, redis: RedisClient, user_id: str, provider: str) -> bool:
        """Count a try to get more scopes that an API wants; return whether it may be made."""
        return await renewal_limit.allows(self._subject(redis, user_id, provider))

    def _provider(self, name: str) -> OAuthProvider:
        """Return the provider of a name, or of a connection's ``place``."""
        try:
            return self.providers[keys.split(name)[0]]
        except (AttributeError, KeyError, TypeError):  # not quoted: it may come from anywhere
            raise ValueError("unknown provider") from None

    def _subject(self, redis: RedisClient, user_id: str, provider: str) -> Subject:
        """Return what a flow is about, once all three arguments are valid."""
        known = self._provider(provider)
        checked = check_user_id(user_id)
        self._need(redis)
        return Subject(redis, checked, known, keys.split(provider)[1])

    def _subject_or_none(
        self, redis: RedisClient | None, user_id: str, provider: str
    ) -> Subject | None:
        """Return None without Redis, as the specification has it, once the rest is valid."""
        if redis is not None:
            return self._subject(redis, user_id, provider)
        self._provider(provider)
        check_user_id(user_id)
        return None

    def _configured(self, name: str) -> OAuthProvider:
        provider = self._provider(name)
        if not provider.is_configured:
            raise OAuthMisconfigured(name, "connect", "not_set_up")
        return provider

    def _need(self, redis: RedisClient) -> None:
        if redis is None:
            raise StoreUnavailable("reach Redis", "no_client")

    # Housekeeping

    async def ready(self, redis: RedisClient) -> canary.Fit:
        """Check, within a second, that Redis takes reads and writes and our keys open its canary.

        One round trip; more only as long as nothing is stored.  Raises ``StoreUnavailable``.
        """
        self._need(redis)
        return await canary.ready(redis, self._sealer)

    async def settle(self, redis: RedisClient) -> canary.Fit:
        """Check at a start that our keys fit the records; an empty Redis gets the canary.

        Raises ``StoreUnavailable``.
        """
        self._need(redis)
        return await canary.settle(redis, self._sealer, canary.START_SECONDS)

    async def reseal(
        self,
        redis: RedisClient,
        *,
        writes: bool = True,
        told: Told | None = None,
        visits: Sequence[Visit] = (),
    ) -> Rotation:
        """Seal every record with the newest key, or only find those that nobody can read.

        ``told`` is called with the number of keys done, and of all.  ``visits`` are workers
        in place of this process, each the ``visit`` of a :meth:`resealer`.
        """
        self._need(redis)
        work = rotation.Work(visits, told, writes)
        return await rotation.reseal(self._storage, redis, self.providers, work)

    async def keep_alive(
        self,
        redis: RedisClient,
        *,
        per_minute: int = keep_alive.PER_MINUTE,
        every: float = 0.0,
    ) -> keep_alive.KeepAlive | None:
        """Renew what has been idle for a third of its provider's limit.  Walks all keys.

        At most ``per_minute`` of a provider.  ``None`` if another process has a pass under way;
        with ``every`` (seconds), which spreads the pass over that time, also if the last one
        is not that long ago.  Raises ``StoreUnavailable``.
        """
        self._need(redis)
        return await keep_alive.run(
            self._services, redis, self.providers, per_minute=per_minute, every=every
        )

    async def keep_alive_for_ever(self, redis: RedisClient, every: float) -> None:
        """Make such a pass each ``every`` seconds, until cancelled."""
        await keep_alive.for_ever(self._services, redis, self.providers, every)

    def resealer(self, redis: RedisClient) -> Resealer:
        """Return a worker of a rotation, for another process than the one that leads it."""
        return Resealer(self._storage, redis, self.providers)

    async def census(self, redis: RedisClient) -> Census:
        """Count people, connections, open links and unread notices.  Walks all keys."""
        self._need(redis)
        return await count(self._storage, redis, self.providers)

    async def recent_census(self, redis: RedisClient) -> Census | None:
        """Return counts that all processes share and take turns to make; None before the first."""
        self._need(redis)
        return await recent(self._storage, redis, self.providers)

    async def week(self, redis: RedisClient) -> Week | None:
        """Return how connections changed in a week, as :meth:`recent_census` counted them."""
        self._need(redis)
        return await week(redis, self._storage.clock.now())

    def see_through(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Start work that survives the cancellation of its caller; :meth:`aclose` waits for it."""
        return self._tasks.run(work)

    async def finish(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Wait for such work; if its caller is cancelled, it goes on alone."""
        return await self._tasks.finish(work)

    async def aclose(self, *, grace: float = DRAIN_SECONDS) -> None:
        """Let the work under way finish, then close this event loop's HTTP client.

        Work not done after ``grace`` seconds is given up; the log says what is lost.
        """
        self._uses.drop()
        await self._tasks.drain(grace)
        await self._transport.aclose()
