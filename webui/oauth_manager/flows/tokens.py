"""Use of stored records: a token that works, or a description of the connection.

Unreadable records are reported and left alone.
"""

from __future__ import annotations

import logging

from ..connection import describe
from ..errors import (
    Meaning,
    OAuthMisconfigured,
    OAuthUnavailable,
    RecordUnreadable,
    StoreUnavailable,
)
from ..journal import activity
from ..journal.activity import Event
from ..models import Connection, Status
from ..storage import lookup, updates
from ..storage import renewal_limit as renewals
from ..storage.held_tokens import ENDED
from ..storage.records import Stored
from ..storage.storage import Storage, Subject
from ..token_data import TokenData
from ..values import replace
from . import accounts, check, refresh
from .check import Health
from .last_used import WRITE_EVERY
from .services import Services

log = logging.getLogger(__name__)

_TRIES = 3


async def meant(
    services: Services, subject: Subject, account: str | None, min_valid: float = 0.0
) -> tuple[Subject, TokenData | None]:
    """Return the connection that is meant, and tokens of it like :func:`valid`.

    Raises ``OAuthAmbiguous`` if that is unclear.
    """
    try:
        subject, token = await accounts.meant(services, subject, account)
    except RecordUnreadable as error:
        _report(subject, error.reason)
        return subject, None
    return subject, await _valid(services, subject, token, min_valid)


async def valid(services: Services, subject: Subject, min_valid: float = 0.0) -> TokenData | None:
    """Return tokens that work now, refreshed if need be; ``None`` if there are none.

    A refresh that fails is raised only if the old token is over as well.
    """
    try:
        token = await lookup.read_token(services.storage, subject)
    except RecordUnreadable as error:
        _report(subject, error.reason)
        return None
    return await _valid(services, subject, token, min_valid)


async def _valid(
    services: Services, subject: Subject, token: TokenData | None, min_valid: float
) -> TokenData | None:
    now = services.storage.clock.now()
    try:
        if token is None:
            return None
        is_due = token.is_due(now)
        if not is_due and not token.is_due(now, min_valid):
            return token
        if not token.refresh_token:
            return None if token.is_over(now) else token
        try:
            return await refresh.refreshed(services, subject, token, is_refused=not is_due)
        except (OAuthUnavailable, OAuthMisconfigured):
            if token.is_over(services.storage.clock.now()):
                raise
            return token
    except RecordUnreadable as error:
        _report(subject, error.reason)
        return None


async def renewed(
    services: Services, subject: Subject, account: str | None, refused: str
) -> TokenData | None:
    """Return tokens to replace ``refused``, an access token that an API did not take.

    A newer one that another process renewed comes first.  If renewing is not
    possible the account address is asked; a token that it does not confirm to be
    over, and one renewed too often lately, comes back as it is.
    """
    try:
        subject, token = await accounts.meant(services, subject, account)
    except RecordUnreadable as error:
        _report(subject, error.reason)
        return None
    if token is None or token.access_token != refused:
        return await valid(services, subject)
    if token.refresh_token:
        return await refresh.refreshed(services, subject, token, is_refused=True)
    if await renewals.allows(subject):
        await _found(services, subject, token)
    return await valid(services, subject)


async def health(services: Services, subject: Subject) -> Health:
    """Return whether the connection works at the provider.

    Raises ``StoreUnavailable``, and ``OAuthAmbiguous`` if it is unclear which one is meant.
    """
    asked = subject

    async def work() -> Health:
        nonlocal asked
        token = None
        try:
            asked, token = await accounts.found(services, subject)
        except RecordUnreadable as error:
            _report(subject, error.reason)
        return await _found(services, asked, token)

    found = await services.steps.told("check", subject.provider.name, work(), str)
    if found not in (Health.WORKING, Health.NOT_CONNECTED):
        await _note_check(services.storage, asked, found)
    return found


async def _note_check(storage: Storage, subject: Subject, found: Health) -> None:
    """Keep the result of a failed check; for display, so a write failure is ignored."""
    try:
        stored = await lookup.read_one(storage, subject)
        now = storage.clock.now()
        noted = replace(stored.facts, failed_check_at=now, failed_check=found.value)
        await updates.update_profile(storage, subject, noted, stored)
    except StoreUnavailable:
        log.warning("%s: how a check went could not be noted", subject.provider.name)


async def _found(services: Services, subject: Subject, token: TokenData | None) -> Health:
    try:
        if await _valid(services, subject, token, 0.0) is not None:
            found = await check.check(services, subject)
            if found is not Health.RECONNECT_NEEDED:
                return found
        # Access has ended, or the person disconnected meanwhile: the records say
        # which.
        stored = await lookup.read_one(services.storage, subject)
        status = shown(services.storage, subject, stored).status
    except OAuthMisconfigured:
        return Health.MISCONFIGURED
    except StoreUnavailable:
        raise
    except OAuthUnavailable as failure:
        is_refusal = failure.meaning is Meaning.UNKNOWN
        return Health.REFUSED if is_refusal else Health.PROVIDER_TROUBLE
    except RecordUnreadable:
        return Health.RECONNECT_NEEDED
    is_absent = status is Status.NOT_CONNECTED
    return Health.NOT_CONNECTED if is_absent else Health.RECONNECT_NEEDED


async def used(services: Services, subject: Subject) -> None:
    """Record that the connection was used just now, once an hour.

    The first use of a day is an event.
    """
    storage, now = services.storage, services.storage.clock.now()
    stored = await lookup.read_one(storage, subject)
    profile = stored.facts
    if 0 <= now - profile.used_at < WRITE_EVERY:
        return
    if profile.is_account_unasked:
        profile = await check.learned(services, subject, stored)
    fresh = replace(profile, used_at=now)
    is_written = await updates.update_profile(storage, subject, fresh, stored)
    if is_written and stored.sealed.tokens and now // 86400 != profile.used_at // 86400:
        about = {"account": profile.account.label, **stored.named(subject)}
        event = Event("used", subject.provider.name, "bot", now, **about)
        await activity.note(storage, subject.redis, subject.user_id, event)


async def accept_missing(services: Services, subject: Subject) -> bool:
    """Accept the missing permissions for the person; ``False`` if that changes nothing."""
    storage = services.storage
    for _ in range(_TRIES):  # a check or a use may be writing its time just now
        stored = await lookup.read_one(storage, subject)
        meant = await accounts.settled(services, subject, stored)
        if meant is not subject:
            return await accept_missing(services, meant)
        known = shown(storage, subject, stored)
        if not known.is_limited:
            return False
        before = (s for s in known.profile.accepted_missing if s in known.missing_scopes)
        accepted = tuple(dict.fromkeys([*known.lacking_scopes, *before]))
        profile = replace(known.profile, accepted_missing=accepted)
        if await updates.update_profile(storage, subject, profile, stored):
            return True
    return False


def shown(storage: Storage, subject: Subject, stored: Stored) -> Connection:
    """Describe a connection by its records alone."""
    if stored.fault:
        _report(subject, stored.fault)
        return Connection(subject.provider.name, Status.UNREADABLE, profile=stored.profile)
    known = describe(subject.provider, stored.token, stored.facts, storage.clock.now())
    held = stored.held
    if stored.is_there or held is None or held.state == ENDED:
        return known
    return replace(known, ending=held.state, ending_until=held.until)


def _report(subject: Subject, reason: str) -> None:
    log.error("%s tokens of %r cannot be read: %s", subject.provider.name, subject.user_id, reason)
