"""``OAuthManager``: checks, then delegates.  Inherits ``LinkCodes`` and what that inherits.

It has the specification's names.  Methods check arguments by a ``Subject``, and call a flow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from . import configuration
from .clock import Clock
from .errors import OAuthAmbiguous, OAuthMisconfigured, OAuthUnavailable
from .flows import choice, connect, departure, offers, tokens
from .flows.composition import NOTHING
from .flows.link_codes import LinkCodes
from .flows.messages import Messages
from .flows.own_accounts import OwnAccounts
from .flows.people import People
from .flows.upkeep import Upkeep
from .journal import activity
from .journal.activity import Event
from .links.codes import Attempt
from .models import Connection
from .protocol import callback, requests
from .protocol.steps import Observer
from .protocol.transport import Transport
from .providers import PROVIDER_TEMPLATES, addresses, build_providers
from .storage.account_names import as_shown, checked_account
from .storage.calls import RedisClient
from .storage.keys import check_user_id
from .storage.sealer import Sealer
from .storage.switch_offers import SwitchOffer
from .token_data import TokenData
from .values import replace

_TRIES = 3


class OAuthManager(People, OwnAccounts, Upkeep, LinkCodes, Messages):
    """Per-user OAuth 2 tokens: connect, use, refresh, disconnect.

    ``encryption_key`` is one or more Fernet keys (text or bytes), newest first,
    separated by commas or white space.  ``providers_config`` maps a provider's
    name to ``OAuthProvider`` fields that override its template, or that make up
    a provider of the deployment's own.  ``strict`` refuses token records that
    do not name their user; ``outgoing_proxy`` is the address of an HTTP proxy that
    calls to providers go through; ``observer`` is called with each :class:`Step` as it
    ends; ``transport`` replaces the network and ``clock`` the time, for tests.

    Methods take an asyncio Redis client.  Each raises ``ValueError`` for an unknown
    provider or an impossible user id, and ``StoreUnavailable`` if Redis does not answer.

    ``account`` is the name of one of several accounts of the service, or its ``handle``
    (:attr:`Connection.handle`).  Without it a method is about the only one there has ever
    been, or the person's default; else it raises ``OAuthAmbiguous``.
    """

    def __init__(
        self,
        encryption_key: str | bytes = "",
        base_url: str = "",
        providers_config: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        strict: bool = False,
        outgoing_proxy: str = "",
        transport: Transport | None = None,
        clock: Clock | None = None,
        observer: Observer | None = None,
    ) -> None:
        transport = transport or Transport(proxy=outgoing_proxy)
        providers = build_providers(
            PROVIDER_TEMPLATES, providers_config or {}, is_out_there=transport.is_out_there
        )
        sealer = Sealer(encryption_key, strict=strict)
        base_url = configuration.checked_base_url(base_url)
        super().__init__(sealer, base_url, providers, transport, clock or Clock(), observer)

    # Starting a connection

    def get_authorize_url(
        self,
        provider: str,
        state: str,
        scopes: Iterable[str] | None = None,
        *,
        code_challenge: str = "",
        asked: Mapping[str, str] = NOTHING,
    ) -> str:
        """Return the provider's authorization address (RFC 6749 4.1.1).

        Pass ``code_challenge`` (RFC 7636 S256) if you hand the verifier to
        :meth:`exchange_code`; every flow this library starts does, unless the provider
        is set up without.  Raises ``OAuthMisconfigured`` if the provider is known by its
        issuer alone, and that has not been asked yet: ``servers.of`` asks.  Raises
        ``ValueNeeded`` if the address needs a value of the person that ``asked`` has not.
        """
        known = addresses.filled(self._provider(provider), asked)
        if not known.is_found:
            raise OAuthMisconfigured(provider, "connect", "not_found_yet")
        wanted = list(known.scopes if scopes is None else scopes)
        back = self.redirect_uri(provider)
        return requests.authorize_url(known, back, state, wanted, code_challenge)

    async def generate_connect_url(
        self,
        user_id: str,
        provider: str,
        redis: RedisClient,
        scopes: Iterable[str] | None = None,
        *,
        account: str | None = None,
    ) -> str:
        """Generate a ready-to-click authorization address for a person in chat.  One round trip.

        A person has at most three open links, of whichever kind: a newer one replaces
        the one for the same provider, or else the oldest, whose keys are deleted.  It is
        our landing page for requests that are pushed (they live for a minute), values of the
        person and remote MCP servers.  With ``account`` it connects the account of this
        name, again or for the first time.  Raises ``OAuthMisconfigured`` if it is not set up.
        """
        known = self._configured(provider)
        if not known.begins_here:  # its metadata may tell that it does
            known = await self.servers.of(redis, known)
        if known.begins_here or not addresses.are_whole(known):
            about: dict[str, Any] = {"scopes": scopes or (), "account": account}
            code = await self.create_link_code(redis, user_id, provider=provider, **about)
            return self.landing_url(code)
        bound = {"link_code": requests.new_secret(), "return_to": "done", "account": account}
        return await self._begin(redis, user_id, provider, scopes, lambda _: None, **bound)

    async def begin(
        self,
        redis: RedisClient,
        user_id: str,
        provider: str,
        *,
        browser: str,
        scopes: Iterable[str] | None = None,
        return_to: str = "list",
        account: str | None = None,
        is_adding: bool = False,
        also: Callable[[Any], object] = lambda _: None,
        asked: Mapping[str, str] = NOTHING,
    ) -> str:
        """Return the authorization address for a signed-in browser, bound to its session.

        Without ``scopes`` it asks for the provider's ``scopes_for`` the connection, which
        takes a look at it.  ``is_adding``: another account than those that are connected,
        to be called ``account`` if given.  ``also`` queues commands on the trip that stores
        the attempt.  Raises ``OAuthMisconfigured`` or ``OAuthUnavailable`` if the provider
        is asked in vain, ``ValueNeeded`` if its addresses need a value that ``asked`` has not.
        """
        values = addresses.filled(self._provider(provider), asked).asked
        if scopes is None and is_adding:
            scopes = self._provider(provider).scopes
        elif scopes is None:
            found = await self.servers.of(redis, self._provider(provider))
            try:
                known = await self.connection(redis, user_id, provider, account=account)
                scopes = found.scopes_for(known.profile)
            except OAuthAmbiguous:  # whichever comes back
                scopes = found.scopes
        bound = {"browser": browser, "return_to": return_to, "is_adding": is_adding}
        about = {"asked": values, **bound}
        return await self._begin(redis, user_id, provider, scopes, also, **about, account=account)

    async def _begin(
        self,
        redis: RedisClient,
        user_id: str,
        provider: str,
        scopes: Iterable[str] | None,
        also: Callable[[Any], object],
        account: str | None,
        **bound: Any,
    ) -> str:
        place, (provider, tilde, slot) = provider, provider.partition("~")
        if tilde and not account and not bound.get("is_adding"):
            account = f"~{slot}"
        self._configured(provider)
        subject = await self.servers.about(self._subject(redis, user_id, provider))
        known = subject.provider
        wanted = tuple(known.scopes if scopes is None else scopes)
        verifier = requests.new_secret() if known.pkce else ""
        bound |= {"account": checked_account(account), "place": place if tilde else ""}
        begun = {**bound, "begun_at": self.clock.now(), "server": known.identity}
        attempt = Attempt(subject.user_id, provider, verifier, wanted, **begun)
        way = self.links, self.stories, subject, attempt, self.redirect_uri(provider), also
        return await departure.leave(self._services, *way)

    # Finishing a connection

    async def exchange_code(
        self, provider: str, code: str, *, code_verifier: str = ""
    ) -> TokenData:
        """Trade an authorization code for tokens (RFC 6749 4.1.3); nothing is stored.

        Raises ``OAuthRefused``, ``OAuthMisconfigured`` or ``OAuthUnavailable``,
        each of which is a ``RuntimeError``.
        """
        known = self._provider(provider)
        token, _ = await self._services.client.exchange(
            known, self.redirect_uri(provider), code, code_verifier, known.scopes
        )
        return token

    def check_issuer(self, provider: str, issuer: str | None, *, is_error: bool = False) -> None:
        """Refuse a response of another issuer: see :func:`.callback.check_issuer`."""
        callback.check_issuer(self._provider(provider), issuer, is_error=is_error)

    async def complete(
        self,
        redis: RedisClient,
        attempt: Attempt,
        code: str,
        *,
        also: Callable[[Any], object] = lambda _: None,
    ) -> Connection | SwitchOffer | None:
        """Exchange and store for a person who has been proven; survives a cancelled caller.

        ``None`` if the person disconnected meanwhile.  A ``SwitchOffer``, to be
        answered by :meth:`switch` within five minutes, if they came back as another
        account, or may have, and whenever the attempt began in no browser
        (``generate_connect_url``) and brings another account than the connected one:
        anyone who saw the link may have signed in there.  Raises
        ``FlowRefused("unnamed")`` if they then cannot be asked by a name that nobody
        else can have, and ``FlowRefused("too_many")`` if they have as many accounts as
        they may.  An account that is connected already is renewed, whichever was asked for:
        the connection that is returned tells.  ``also`` queues commands on the first round
        trip's pipeline, which come before anything is asked of the provider.
        """
        self._configured(attempt.provider)
        subject = self._subject(redis, attempt.user_id, attempt.provider)
        back = self.redirect_uri(attempt.provider)
        work = connect.complete(self._services, subject, attempt, code, back, also)
        return await self._tasks.finish(work)

    async def switch_offer(
        self, redis: RedisClient, user_id: str, provider: str
    ) -> SwitchOffer | None:
        """Return the account that waits for the person's answer, if any.

        An offer not answered in time is given back to the provider meanwhile.
        """
        return await offers.peek(self._services, self._subject(redis, user_id, provider))

    async def switch(
        self,
        redis: RedisClient,
        user_id: str,
        provider: str,
        *,
        offer: str,
        use_new: bool,
        add: bool = False,
        name: str = "",
    ) -> Connection | SwitchOffer | None:
        """Answer the ``SwitchOffer`` of the id ``offer``: use the new account, or not.

        ``add``: put it beside the others, under ``name`` if given.  Raises
        ``FlowRefused("too_many")`` if there are as many as there may be.

        Runs to its end even if the caller is cancelled.  Returns the new connection, or
        ``None``: the old connection stays or was disconnected, or there was no choice
        any more.  Returns a newer offer, and changes nothing, if that one was replaced.
        """
        subject = self._subject(redis, user_id, provider)
        name = as_shown(name) if name else ""
        work = choice.answer(self._services, subject, offer, use_new=use_new, add=add, name=name)
        return await self._tasks.finish(work)

    # Tokens

    async def get_token(
        self,
        user_id: str,
        provider: str,
        redis: RedisClient | None,
        *,
        account: str | None = None,
    ) -> str | None:
        """Return an access token that works now, refreshed if need be.  One round trip if valid.

        ``None`` if ``redis`` is ``None``, nothing usable is stored, or access has
        ended.  Raises ``OAuthUnavailable`` or ``OAuthMisconfigured`` if a refresh is
        due, fails, and the old token is over as well; the record is kept.
        """
        token = await self.valid_token(redis, user_id, provider, account=account)
        return token.access_token if token else None

    async def valid_token(
        self,
        redis: RedisClient | None,
        user_id: str,
        provider: str,
        *,
        account: str | None = None,
        min_valid: float = 0.0,
    ) -> TokenData | None:
        """Return the token of :meth:`get_token` with scopes and expiry.

        One that lives for less than ``min_valid`` seconds more is renewed ahead, unless it
        was renewed just now; such renewals count like those of :meth:`renew`.
        """
        first = self._subject_or_none(redis, user_id, provider)
        if first is None:
            return None
        subject, token = await tokens.meant(self._services, first, account, min_valid)
        if token:
            self._uses.note(subject, token.access_token)
        return token

    async def token_and_connection(
        self,
        redis: RedisClient,
        user_id: str,
        provider: str,
        *,
        account: str | None = None,
        min_valid: float = 0.0,
    ) -> tuple[TokenData | None, Connection]:
        """Return the token of :meth:`valid_token` and the connection that it is of.

        One round trip if it is valid and nothing is to be chosen.  Raises
        ``OAuthUnavailable`` also if somebody connects anew again and again meanwhile.
        """
        place = redis, user_id, provider
        if live := await self._live(*place, account, min_valid):
            return live
        for _ in range(_TRIES):
            token = await self.valid_token(*place, account=account, min_valid=min_valid)
            connection = await self.connection(*place, account=account)
            if token is None or token.generation == connection.profile.generation:
                return token, connection
        raise OAuthUnavailable(provider, "use", "changed")

    async def renew(
        self,
        redis: RedisClient,
        user_id: str,
        provider: str,
        *,
        refused: str,
        account: str | None = None,
    ) -> str | None:
        """Return an access token in place of one that the provider's API has just refused (401).

        ``refused`` is that token: a newer one that another process stored comes first, and
        of any number of simultaneous callers one renews.  An API that refuses every token
        does not burn the grant: after ten renewals in ten minutes, then one an hour, the
        same token comes back, and so it does if nothing can be renewed and the provider
        does not confirm that access is over.  None if it is.  Raises like
        :meth:`get_token`.
        """
        subject = self._subject(redis, user_id, provider)
        token = await tokens.renewed(self._services, subject, account, refused)
        return token.access_token if token else None

    # The person's own timeline

    async def record(self, redis: RedisClient, user_id: str, event: Event) -> None:
        """Add an event to the person's timeline; a failure is only logged.

        One round trip, and one more for the name of one of several accounts.
        """
        provider, tilde, slot = event.provider.partition("~")
        event = replace(event, provider=provider, slot=slot or event.slot)
        if tilde:
            event = replace(event, name=await self._name_of(redis, user_id, provider, slot))
        await activity.note(self._storage, redis, check_user_id(user_id), event)
