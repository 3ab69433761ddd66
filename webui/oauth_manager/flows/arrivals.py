"""Fresh connections: stored over the old one, and reported, unless a disconnect came first."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from ..connection import describe
from ..errors import StoreUnavailable
from ..journal import outbox
from ..journal.activity import Event
from ..journal.outbox import Queued
from ..models import Connection, Profile
from ..protocol.transport import DEADLINE_WHILE_WAITING
from ..storage import lookup, store
from ..storage.records import Stored
from ..storage.storage import Storage, Subject
from ..token_data import TokenData
from ..values import Struct, replace
from . import offers
from .services import Services

PAUSE = 0.25  # seconds between two tries


class Fresh(Struct, frozen=True):
    """A connection to store, in place of the one ``before``."""

    subject: Subject
    token: TokenData
    profile: Profile
    before: Stored
    event: Event


async def keep(services: Services, fresh: Fresh) -> Connection | None:
    """Store the connection; ``None`` if a disconnect came in between, which wins.

    Raises ``StoreUnavailable``, after asking the provider to revoke the grant that
    could not be stored.
    """
    provider = fresh.subject.provider
    try:
        is_kept = await _save_in_time(services, fresh)
    except StoreUnavailable:
        if not fresh.before.sealed.tokens:
            await services.client.revoke(provider, fresh.token, DEADLINE_WHILE_WAITING)
        raise
    if not is_kept:
        await services.client.revoke(provider, fresh.token, DEADLINE_WHILE_WAITING)
        return None
    return describe(provider, fresh.token, fresh.profile, services.storage.clock.now())


async def _save_in_time(services: Services, fresh: Fresh) -> bool:
    """Save, and retry while the person waits and Redis does not answer."""
    storage, clock = services.storage, services.storage.clock
    accounts = fresh.profile.account, fresh.before.profile.account
    ends_in = 0.0 if fresh.token.refresh_token else fresh.token.expires_at - clock.now()
    story = outbox.connected(storage, fresh.subject, fresh.event, *accounts, ends_in)
    give_up = clock.monotonic() + services.patience
    while True:
        try:
            return await _save_over_an_end(services, fresh, story)
        except StoreUnavailable:
            if clock.monotonic() >= give_up:
                raise
        await asyncio.sleep(PAUSE)
        with suppress(StoreUnavailable):
            now = await lookup.read_for_writing(storage, fresh.subject)
            before = replace(fresh.before, clock_ahead=now.clock_ahead)
            fresh = replace(fresh, before=before)
            await story.find()


async def _save_over_an_end(services: Services, fresh: Fresh, story: Queued) -> bool:
    """Save; if the old tokens went meanwhile, tell an ended grant from a disconnect.

    A disconnect takes both records and wins; a grant that ended leaves its reason
    behind, and the person is just mending it.
    """
    if await _save(services, fresh, story):
        return True
    now = await lookup.read_for_writing(services.storage, fresh.subject)
    if now.sealed.tokens or not now.profile.problem:
        return False
    return await _save(services, replace(fresh, before=now), story)


async def _save(services: Services, fresh: Fresh, story: Queued) -> bool:
    try:
        is_kept = await _write(services.storage, fresh, story)
    finally:
        # The offer is over: the person has connected something since, or tried to.
        offers.drop(services, fresh.subject, story.offer)
        story.offer = None
    if not is_kept:
        await story.withdraw()
    return is_kept


async def _write(storage: Storage, fresh: Fresh, story: Queued) -> bool:
    record = fresh.subject, fresh.token, fresh.profile, fresh.before, story
    try:
        return await store.connect(storage, *record)
    except StoreUnavailable:
        if await _is_written(storage, fresh):
            # And reported: only the answer was lost.
            is_kept = await store.stays(storage, fresh.subject, fresh.before)
            if not is_kept:
                await story.find()
            return is_kept
        await story.find()
        try:
            return await store.connect(storage, *record)
        except StoreUnavailable:
            if story.is_told:  # too late to be stored, and reported all the same
                await story.withdraw(stays=True)
            raise


async def _is_written(storage: Storage, fresh: Fresh) -> bool:
    now = await lookup.read_one(storage, fresh.subject)
    return (now.token, now.profile) == (fresh.token, fresh.profile)
