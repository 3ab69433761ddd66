"""Disconnecting: always locally, at the provider if it cooperates.

The order is such that a process may be killed between any two steps: the tokens to
ask the provider with are put aside first, the person's timeline and the bot's
notice come before the removal, and the tokens stay aside until the provider has
answered.  The next reader finds them (:func:`resume`).
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass

from ..errors import OAuthMisconfigured, StoreUnavailable
from ..journal import outbox
from ..journal.activity import Event
from ..journal.outbox import Queued
from ..models import Account, Disconnected, RevokeOutcome
from ..storage import canary, held_tokens, lookup, store, switch_offers
from ..storage.calls import is_full, redis_call
from ..storage.held_tokens import ASKING, ENDED, HELD_SECONDS, HeldTokens
from ..storage.records import Stored
from ..storage.storage import Storage, Subject
from ..storage.store import Written
from ..storage.switch_offers import SwitchOffer
from ..token_data import TokenData
from . import accounts, offers, revocation
from .revocation import Ending
from .services import Services

log = logging.getLogger(__name__)


@dataclass
class _Removal:
    """One try to remove a connection here.

    ``held`` are the tokens to ask the provider with, ``had_tokens`` whether there were
    any, and ``problem`` why access had ended before.  It ``is_ours`` if nobody else
    was faster; ``is_something`` if there was a connection, working or not.
    """

    subject: Subject
    stored: Stored
    account: Account
    story: Queued
    held: HeldTokens | None = None
    offer: SwitchOffer | None = None  # another account that waited for the person's choice
    had_tokens: bool = False
    problem: str = ""
    is_something: bool = False
    is_ours: bool = True


async def disconnect(services: Services, subject: Subject, by: str) -> Ending:
    """Remove the connection here; the returned ending still waits for the provider.

    Raises ``StoreUnavailable``, and ``TooOld`` if a newer version wrote it, which alone can
    ask the provider; then the provider was not asked.
    """
    offer = None  # that an earlier try has taken; whose it is can be told once all is removed
    while True:
        try:
            removal = await _remove(services, subject, by)
            subject = removal.subject
        except (OAuthMisconfigured, StoreUnavailable):
            offers.drop(services, subject, offer)
            raise
        offer = removal.offer = removal.offer or offer
        if removal.is_ours:
            work = _end(services, removal)
            event = removal.story.event
            at = event.at if removal.is_something else 0.0
            told = event.name, subject.slot
            return Ending(removal.account, services.tasks.run(work), at, *told)


async def _remove(services: Services, subject: Subject, by: str) -> _Removal:
    storage = services.storage
    stored = await lookup.read_one(storage, subject)
    meant = await accounts.settled(services, subject, stored)
    if meant is not subject:
        subject, stored = meant, await lookup.read_one(storage, meant)
    canary.require_age(subject.provider.name, "disconnect", is_newer=stored.is_newer)
    now, about = storage.clock.now(), {"account": stored.facts.account.label}
    about |= stored.named(subject)
    event = Event("disconnected", subject.provider.name, by, now, ASKING, **about)
    removal = _removal(storage, subject, stored, event)
    if not stored.is_there:
        removal.offer = await _other_account(storage, subject)
        return removal
    try:
        if stored.token:
            await _put_aside(storage, removal, stored.token)
        await _take_away(removal)
    except StoreUnavailable:
        # As far as we know nothing was removed, so no process resumes it.
        await removal.story.withdraw(removal.held)
        offers.drop(services, subject, removal.story.offer)
        raise
    return removal


def _removal(storage: Storage, subject: Subject, stored: Stored, event: Event) -> _Removal:
    account = stored.facts.account
    return _Removal(
        subject,
        stored,
        account,
        outbox.disconnected(storage, subject, event, account),
        had_tokens=bool(stored.sealed.tokens),
        problem=stored.profile.problem,
        is_something=stored.is_there,
    )


async def _other_account(storage: Storage, subject: Subject) -> SwitchOffer | None:
    try:
        return await switch_offers.take(storage, subject)
    except StoreUnavailable:
        log.warning("%s: another account was left to run out", subject.provider.name)
        return None


async def _put_aside(storage: Storage, removal: _Removal, token: TokenData) -> None:
    """Put the tokens to ask the provider with aside, before anything is removed."""
    subject, event = removal.subject, removal.story.event
    until, asked = event.at + HELD_SECONDS, event.at
    held = HeldTokens(token, until, ASKING, asked, event.by, event.at, event.account, event.name)
    held = removal.held = held_tokens.sealed(storage, subject, held)
    try:
        async with redis_call("put aside what a disconnect is asked with"):
            await held_tokens.put(storage, subject.redis, subject, held)
    except StoreUnavailable as failure:
        if not is_full(failure):
            raise
        # A server without room still removes; only its own crash would go unnoticed.
        log.warning("%s: nothing could be put aside for a disconnect", subject.provider.name)


async def _take_away(removal: _Removal) -> None:
    """Remove the records and report it; not ours if the tokens changed meanwhile."""
    subject, story = removal.subject, removal.story
    write = story.storage, subject, removal.stored, story
    try:
        written, profile = await store.remove(*write)
    except StoreUnavailable:
        # Only the answer may be lost: then it was reported.
        story.is_told = True
        written, _ = await store.remove(*write)
        removal.offer, removal.is_ours = story.offer, written is not Written.CHANGED
        with suppress(StoreUnavailable):
            await story.find()
        return
    removal.offer = story.offer
    if written is Written.DONE:
        return
    if written is Written.GONE and profile:  # there was no access any more, only its profile
        removal.had_tokens, removal.problem = False, profile.problem
        return
    # Another process removed everything and reported it, or stored other tokens.
    await story.withdraw(removal.held)
    removal.held, removal.stored = None, Stored()
    removal.is_ours = written is Written.GONE
    removal.is_something = removal.had_tokens = False
    removal.problem = ""


async def _end(services: Services, removal: _Removal) -> Disconnected:
    subject, held = removal.subject, removal.held
    token = None
    if removal.had_tokens:
        outcome, token = await revocation.ask(services, subject, held.token if held else None)
    else:
        outcome = RevokeOutcome.ENDED if removal.problem else RevokeOutcome.NOTHING
        held = held or removal.stored.held
        if held and held.state == ENDED:
            # In case it was not over after all.
            await revocation.ask(services, subject, held.token)
    if removal.offer:
        await offers.give_back(services, subject, removal.offer)
    if not removal.is_something:
        return Disconnected(subject.provider.name, outcome, removal.account)
    until = await revocation.settle(services, subject, removal.story, outcome, held, token)
    return Disconnected(subject.provider.name, outcome, removal.account, until)


def resume(services: Services, subject: Subject, stored: Stored) -> None:
    """Finish in the background the disconnect that a dead process has begun.

    ``stored`` is what a reader has found.  Of any number of readers, one goes on.
    """
    held = stored.held
    if held and held.is_interrupted(services.storage.clock.now()) and _is_of(stored, held):
        services.tasks.run(_resume(services, subject, stored, held))


def _is_of(stored: Stored, held: HeldTokens) -> bool:
    """Return whether the stored tokens are those to remove, not newer ones."""
    if stored.fault:
        return False
    if stored.token is None:
        return not stored.profile.problem
    return stored.token.access_token == held.token.access_token


async def _resume(services: Services, subject: Subject, stored: Stored, held: HeldTokens) -> None:
    storage, name = services.storage, subject.provider.name
    about = {"account": held.account, "name": held.name, "slot": subject.slot}
    event = Event("disconnected", name, held.by, held.at, ASKING, **about)
    try:
        claimed = await held_tokens.claim(storage, subject, held)
        if claimed is None:
            return
        removal = _removal(storage, subject, stored, event)
        removal.held = claimed
        await removal.story.find()
        if stored.is_there:
            await _take_away(removal)
            offers.drop(services, subject, removal.offer)
            if not (removal.is_ours and removal.is_something):
                return  # another process did it, and asks the provider itself
        log.info("%s: going on with a disconnect that was interrupted", name)
        outcome, token = await revocation.ask(services, subject, claimed.token)
        await revocation.settle(services, subject, removal.story, outcome, claimed, token)
    except StoreUnavailable:
        log.warning("%s: an interrupted disconnect waits for the next look", name)
