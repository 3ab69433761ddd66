"""Revocation: requests to end a grant, their answers, and retries."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from ..errors import OAuthError, OAuthRefused
from ..journal import outbox
from ..journal.activity import Event
from ..journal.outbox import Queued
from ..models import Account, Disconnected, RevokeOutcome
from ..protocol.transport import DEADLINE
from ..storage import held_tokens, lookup
from ..storage.held_tokens import ASKING, ENDED, UNCONFIRMED, HeldTokens
from ..storage.storage import Storage, Subject
from ..token_data import TokenData
from ..values import replace
from . import accounts
from .services import Services
from .tasks import within

log = logging.getLogger(__name__)

Asked = tuple[RevokeOutcome, TokenData | None]
"""The provider's answer, and the tokens to ask again with if it did not confirm."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A connection that is gone here since ``at``, while its provider is asked to end it.

    ``name`` told it from others of the service, and ``slot`` still does.
    """

    account: Account
    result: asyncio.Task[Disconnected]
    at: float = 0.0
    name: str = ""
    slot: str = ""

    async def within(self, seconds: float) -> Disconnected | None:
        """Return the outcome; ``None`` if the provider takes longer; the request goes on."""
        return await within(self.result, seconds)


async def ask(services: Services, subject: Subject, token: TokenData | None) -> Asked:
    """Ask the provider, within ``DEADLINE`` seconds in all, if it can be asked."""
    name, work = subject.provider.name, _ask(services, subject, token)
    return await services.steps.told("revoke", name, work, lambda asked: asked[0].value)


async def _ask(services: Services, subject: Subject, token: TokenData | None) -> Asked:
    provider = (await services.servers.about_if_known(subject)).provider
    if not provider.can_revoke:
        return RevokeOutcome.UNSUPPORTED, None
    if token is None or not provider.is_configured:
        return RevokeOutcome.UNCONFIRMED, None
    clock, client = services.storage.clock, services.client
    give_up = clock.monotonic() + DEADLINE
    is_over = token.is_over(clock.now())
    if provider.revokes_by_access_token and is_over and token.refresh_token:
        # Only a token that still works can end this kind of grant.
        try:
            token = await client.refresh(provider, token)
        except OAuthRefused:
            return RevokeOutcome.UNCONFIRMED, None
        except OAuthError:
            return RevokeOutcome.UNCONFIRMED, token
    rest = max(give_up - clock.monotonic(), 0.1)
    confirmed = await client.revoke(provider, token, rest)
    log.info("%s: disconnected; provider confirmed: %s", provider.name, confirmed)
    return (RevokeOutcome.REVOKED, None) if confirmed else (RevokeOutcome.UNCONFIRMED, token)


async def settle(
    services: Services,
    subject: Subject,
    story: Queued,
    outcome: RevokeOutcome,
    held: HeldTokens | None,
    token: TokenData | None,
) -> float:
    """Record the provider's answer; return until when ``token`` can ask again."""
    kept = _kept(services.storage, subject, held, token)
    is_kept = await story.settle(outcome.value, held, kept)
    return kept.until if kept and is_kept else 0.0


async def ask_again(services: Services, subject: Subject) -> Ending | None:
    """Ask with the held tokens; ``None`` if there are none, or something is connected."""
    stored = await lookup.read_one(services.storage, subject)
    meant = await accounts.settled(services, subject, stored)
    if meant is not subject:
        subject, stored = meant, await lookup.read_one(services.storage, meant)
    held = stored.held
    if stored.is_there or held is None or held.state == ENDED:
        return None
    if held.state == ASKING and not held.is_interrupted(services.storage.clock.now()):
        return None  # another process is asking
    claimed = await held_tokens.claim(services.storage, subject, held)
    if claimed is None:
        return None
    work = _end_again(services, subject, claimed)
    return Ending(Account(), services.tasks.run(work), name=claimed.name, slot=subject.slot)


async def _end_again(services: Services, subject: Subject, held: HeldTokens) -> Disconnected:
    """Ask because the person wants to; the first outcome is on record."""
    outcome, token = await ask(services, subject, held.token)
    is_revoked = outcome is RevokeOutcome.REVOKED
    event = (
        Event(
            "revoked",
            subject.provider.name,
            "web",
            services.storage.clock.now(),
            name=held.name,
            slot=subject.slot,
        )
        if is_revoked
        else None
    )
    kept = _kept(services.storage, subject, held, token)
    is_kept = await outbox.record_answer(services.storage, subject, event, held, kept)
    until = kept.until if kept and is_kept else 0.0
    return Disconnected(subject.provider.name, outcome, retry_until=until)


def _kept(
    storage: Storage, subject: Subject, held: HeldTokens | None, token: TokenData | None
) -> HeldTokens | None:
    if held is None or token is None:
        return None
    return held_tokens.sealed(storage, subject, replace(held, token=token, state=UNCONFIRMED))
