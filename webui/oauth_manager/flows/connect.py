"""Connecting: an authorization code becomes a stored connection, or a question."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..clock import deadline
from ..errors import FlowRefused, OAuthMisconfigured, OAuthUnavailable
from ..journal.activity import Event
from ..links.codes import Attempt
from ..models import Account, Connection, Profile
from ..protocol import answers, facts
from ..providers.provider import OAuthProvider
from ..storage import lookup
from ..storage.records import Stored
from ..storage.storage import Subject
from ..storage.switch_offers import SwitchOffer, new_offer
from ..token_data import TokenData, new_generation
from . import arrivals, offers
from .arrivals import Fresh
from .services import Services

_NOBODY = Account()


@dataclass(frozen=True, slots=True)
class _Back:
    """The result of an exchange; account and handle are empty if they are not known."""

    token: TokenData
    account: Account = _NOBODY
    handle: str = ""
    is_refused: bool = False  # by the account address
    kept: tuple[str, ...] = ()


async def complete(
    services: Services,
    subject: Subject,
    attempt: Attempt,
    code: str,
    redirect_uri: str,
    also: Callable[[Any], object],
) -> Connection | SwitchOffer | None:
    """Finish an attempt, and tell how it ended: see :func:`_complete`."""
    work = _complete(services, subject, attempt, code, redirect_uri, also)
    return await services.steps.told("connect", subject.provider.name, work, _outcome)


def _outcome(result: Connection | SwitchOffer | None) -> str:
    if isinstance(result, SwitchOffer):
        return "asked"
    return "connected" if result else "over"


async def _complete(
    services: Services,
    subject: Subject,
    attempt: Attempt,
    code: str,
    redirect_uri: str,
    also: Callable[[Any], object],
) -> Connection | SwitchOffer | None:
    """Finish an attempt whose person has been proven.  Two round trips.

    ``also`` queues more commands on the first.  ``None`` if a disconnect came in
    between; it wins.  A ``SwitchOffer`` if the person has to confirm first that they
    want this.  Raises like :meth:`ProviderClient.exchange`, ``FlowRefused`` if they
    cannot be asked, and ``StoreUnavailable`` after asking the provider to revoke the
    grant that could not be stored.
    """
    subject = await services.servers.about(subject)
    provider = subject.provider
    if attempt.server not in ("", provider.identity):
        raise FlowRefused("issuer", provider.name)  # its code is another server's
    before = await lookup.read_for_writing(services.storage, subject, also)
    back = await _back(services, subject, attempt, code, redirect_uri)
    earlier = before.facts
    account = provider.with_fuller_id(back.account, earlier.account)
    is_same = provider.is_same_account(earlier.account, account)
    if is_same and before.token and not back.token.refresh_token:
        # The answer omits it because the account is the very same.
        back.token.refresh_token = before.token.refresh_token
    now = services.storage.clock.now()
    profile = _fresh_profile(provider, attempt, back, account, earlier, now, is_same=is_same)
    if not is_same and (not attempt.is_bound or _is_unclear(before, account)):
        with deadline(math.inf):
            return await _ask(services, subject, attempt, before, back, profile)
    kind = "reconnected" if before.is_there else "connected"
    by = "chat" if attempt.return_to == "done" else "web"
    event = Event(kind, provider.name, by, now, account=account.label)
    fresh = Fresh(subject, back.token, profile, before, event)
    with deadline(math.inf):  # the provider has answered, and will not answer again
        return await arrivals.keep(services, fresh)


async def _back(
    services: Services, subject: Subject, attempt: Attempt, code: str, redirect_uri: str
) -> _Back:
    """Exchange the code, and find out its account.

    It is empty if the provider does not name it in a way we can read.
    """
    client, provider = services.client, subject.provider
    try:
        token, fields = await client.exchange(
            provider, redirect_uri, code, attempt.verifier, attempt.scopes
        )
    except OAuthMisconfigured as failure:
        await services.servers.refused(subject.redis, provider, failure)
        raise
    token.generation = new_generation()
    allowed = await client.permissions(provider, token)
    token.scopes = token.scopes if allowed is None else allowed
    kept = facts.kept(provider, fields, attempt.returned)
    if not provider.account_url:
        return _Back(token, kept=kept)
    try:
        answer = await client.account(provider, token)
    except OAuthUnavailable:
        return _Back(token, kept=kept)
    account = answers.read_account(provider, answer, fields)
    handle = answers.read_handle(provider, answer)
    is_refused = answers.refuses_token(provider, answer)
    return _Back(token, account, handle, is_refused, kept)


def _is_unclear(before: Stored, account: Account) -> bool:
    """Return whether another account may be connected, and a question could name one of both.

    An unreadable record is nobody's: its card says that reconnecting replaces it.
    """
    known = before.facts.account
    if known.id:
        return True
    if before.fault or not (known.label or account.id or account.label):
        return False
    return before.token is not None or bool(before.facts.problem)


async def _ask(
    services: Services,
    subject: Subject,
    attempt: Attempt,
    before: Stored,
    back: _Back,
    profile: Profile,
) -> SwitchOffer | None:
    """Put the new tokens aside as an offer; None if the person was erased meanwhile.

    Raises ``FlowRefused("unnamed")`` if the authorization began in no browser and
    has no name that the person could know as their own: a name that can be copied
    proves no owner.
    """
    earlier = before.facts
    offer = new_offer(
        services.storage,
        earlier.account,
        back.token,
        profile,
        is_replacing=bool(before.sealed.tokens or earlier.problem),
        handle="" if attempt.is_bound else back.handle,
        return_to=attempt.return_to,
    )
    if not attempt.is_bound and not back.handle:
        await offers.give_back(services, subject, offer)
        raise FlowRefused("unnamed", subject.provider.name)
    is_kept = await offers.put(services, subject, offer, before.read_at)
    return offer if is_kept else None


def _fresh_profile(
    provider: OAuthProvider,
    attempt: Attempt,
    back: _Back,
    account: Account,
    earlier: Profile,
    now: float,
    *,
    is_same: bool,
) -> Profile:
    """Build the profile of a connection that has just been made."""
    is_of_app = provider.is_of_app(can_renew=bool(back.token.refresh_token))
    goes_on = is_same or not (earlier.account.id or account.id)
    return Profile(
        account,
        connected_at=now,
        renewed_at=now,
        checked_at=now,
        requested_scopes=() if is_of_app else attempt.scopes,
        used_at=earlier.used_at if goes_on else 0.0,
        generation=back.token.generation,
        is_account_refused=back.is_refused,
        kept=back.kept,
    )
