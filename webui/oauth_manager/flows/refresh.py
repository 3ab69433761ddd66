"""One refresh for a connection, however many tasks, processes and machines ask for it.

Single flight in the process, a lock between processes.
"""

from __future__ import annotations

import asyncio
import logging
import random

from ..clock import seconds_left
from ..errors import OAuthMisconfigured, OAuthRefused, OAuthUnavailable, StoreUnavailable
from ..journal import outbox
from ..journal.activity import Event
from ..models import Profile
from ..protocol.transport import DEADLINE
from ..storage import held_tokens, keys, lookup, records, store
from ..storage import renewal_limit as renewals
from ..storage.held_tokens import ENDED, HELD_SECONDS, HeldTokens
from ..storage.lock import GRACE, Hold, Lock
from ..storage.records import Stored
from ..storage.storage import Subject
from ..storage.store import Written
from ..token_data import TokenData
from ..values import Struct
from . import troubles
from .flight import Flight, kept
from .services import Services

log = logging.getLogger(__name__)

_LOOK = 0.02  # seconds between two looks at a lock that another process holds,
_QUICK = 0.5  # for so many seconds, in which most providers have answered; then ever longer

# Seconds for one caller, whoever has the lock meanwhile: a call to the provider, and what
# goes before and after it.  The work goes on without the caller.
CALLER_SECONDS = DEADLINE + 1.0
# Seconds a waiter stays: the holder may die, and its successor needs its own call.
_PATIENCE = keys.LOCK_TTL + GRACE + DEADLINE + 2.0


async def refreshed(
    services: Services, subject: Subject, due: TokenData, *, is_refused: bool = False
) -> TokenData | None:
    """Return the tokens that replaced ``due``, by our refresh or another process's.

    ``is_refused``: they are not due by the clock, but an API refused them; such
    calls are limited, and beyond the limit ``due`` itself is returned.  Waiters
    take the result, however short it lives, and also while it cannot be stored yet.
    ``None`` means that access is over or was disconnected.  The work goes on when
    the caller is cancelled: a rotated pair must reach the store.  Raises
    ``OAuthUnavailable``, ``OAuthMisconfigured`` or ``RecordUnreadable``.
    """
    place = asyncio.get_running_loop(), subject.user_id, subject.place
    route = (*place, due.access_token, due.refresh_token, is_refused)
    flight = services.flights.get(route)
    if flight is None:
        flight = services.flights[route] = Flight(subject, due, is_refused)
        work = services.tasks.run(_across_processes(services, flight))
        work.add_done_callback(flight.land)
        work.add_done_callback(lambda _: services.flights.pop(route, None))
    else:
        services.steps.tell("saved", subject.provider.name, "flight", services.steps.now())
    try:
        async with asyncio.timeout(seconds_left(CALLER_SECONDS)):
            return await flight.outcome()
    except TimeoutError:
        raise OAuthUnavailable(subject.provider.name, "refresh", "timeout") from None


async def _across_processes(services: Services, flight: Flight) -> TokenData | None:
    # First: a server that takes its time to tell its addresses may outlast the lock.
    flight.subject = await services.servers.about_if_known(flight.subject)
    subject, clock = flight.subject, services.storage.clock
    lock = Lock(services.storage, subject)
    begun = clock.monotonic()
    pause = _LOOK
    has_waited = False

    def tell(outcome: str) -> None:
        if has_waited:
            services.steps.tell("lock", subject.provider.name, outcome, begun)

    while True:
        hold = await lock.acquire()
        if hold.answer == "got":
            tell("got")
            return await _holding(services, flight, lock, hold)
        stored = records.opened(services.storage, subject, hold.sealed)
        token = stored.require_token()
        if not flight.due.is_pair(token):
            tell("newer")
            services.steps.tell("saved", subject.provider.name, "lock", begun)
            return token
        waited = clock.monotonic() - begun
        if hold.answer == "pausing" or waited > _PATIENCE:
            tell("gave_up")
            raise troubles.waiting(subject.provider, stored.profile)
        has_waited = True
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
        if waited > _QUICK:
            pause = min(pause * 1.5, 0.25)


async def _holding(services: Services, flight: Flight, lock: Lock, hold: Hold) -> TokenData | None:
    """Refresh, unless another did before we had the lock; release it in any case."""
    subject = flight.subject
    retry_after, failures_now = 0.0, 0
    try:
        stored = records.opened(services.storage, subject, hold.sealed)
        token = stored.require_token()
        if not flight.due.is_pair(token):
            services.steps.tell("saved", subject.provider.name, "lock", services.steps.now())
            return token
        if flight.is_refused and not await renewals.allows(subject):
            return token
        work = _refresh(services, flight, stored)
        renewed = await services.steps.told("refresh", subject.provider.name, work, _outcome)
        return renewed.token
    except StoreUnavailable:
        raise  # no fault of the provider's, so no pause for others
    except OAuthUnavailable as error:
        failures_now, retry_after = hold.failures + 1, error.retry_after
        raise
    finally:
        try:
            await lock.release(failures=failures_now, retry_after=retry_after)
        except StoreUnavailable:
            log.warning("%s: a lock was left to run out", subject.provider.name)


class _Renewal(Struct, frozen=True):
    """The result of one refresh: tokens that work now, if any, and the class of its outcome."""

    token: TokenData | None
    outcome: str


def _outcome(renewal: _Renewal) -> str:
    return renewal.outcome


async def _refresh(services: Services, flight: Flight, stored: Stored) -> _Renewal:
    storage, client = services.storage, services.client
    subject = flight.subject
    try:
        provider = subject.provider
        if not provider.is_found:  # what went wrong then is told at once
            provider = await services.servers.of(subject.redis, provider)
        fresh = await client.refresh(provider, flight.due)
    except OAuthRefused as refusal:
        newer = await ended(services, subject, stored, refusal)
        return _Renewal(newer, "newer" if newer else "ended")
    except (OAuthMisconfigured, OAuthUnavailable) as failure:
        await services.servers.refused(subject.redis, subject.provider, failure)
        await troubles.note(storage, subject, stored, failure)
        raise
    outcome = await kept(storage, flight, stored, fresh)
    if outcome is Written.DONE:
        return _Renewal(fresh, "renewed")
    if outcome is Written.GONE:
        # Disconnected meanwhile, which wins: the pair just issued must not outlive it.
        await client.revoke(provider, fresh)
        return _Renewal(None, "over")
    return _Renewal(await lookup.read_token(storage, subject), "newer")


async def ended(
    services: Services, subject: Subject, stored: Stored, refusal: OAuthRefused
) -> TokenData | None:
    """Record that the provider calls the grant over, unless the record moved on.

    Returns the tokens that replaced ``stored``, if any.
    """
    storage, now = services.storage, services.storage.clock.now()
    name, code = subject.provider.name, refusal.code
    over = stored.require_token()
    if over is None:
        return None

    def mark(profile: Profile) -> Profile:
        return profile.with_problem(code, refusal.meaning, refusal.trace, now)

    label, named = stored.facts.account.label, stored.named(subject)
    event = Event("access_ended", name, "provider", now, code, label, **named)
    held = HeldTokens(over, now + HELD_SECONDS, ENDED, at=now, account=label)
    held = held_tokens.sealed(storage, subject, held)
    while True:
        story = outbox.ended(storage, subject, event, held)
        if await store.end(storage, subject, mark, stored, story):
            log.warning("%s: access has ended: %s", name, code)
            return None
        await story.withdraw(held)
        stored = await lookup.read_one(storage, subject)
        replacement = stored.require_token()
        if not over.is_pair(replacement):
            return replacement
