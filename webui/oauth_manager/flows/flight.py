"""One refresh under way: it stores its pair, however long that takes, and answers its waiters."""

from __future__ import annotations

import asyncio
import logging

from ..errors import StoreUnavailable
from ..storage import lookup, updates
from ..storage.records import Stored
from ..storage.storage import Storage, Subject
from ..storage.store import Written
from ..token_data import TokenData
from ..values import replace

log = logging.getLogger(__name__)

# One person's tokens at one provider, requested because they are due or because an API
# refused them; in one event loop.
Route = tuple[asyncio.AbstractEventLoop, str, str, str, str, bool]

# Seconds for one try to store a renewed pair, and the longest pause between two: together
# less than ``lock.GRACE``, so that Redis has the pair before anybody takes the lock over.
_TRY = 1.0
_LONGEST_PAUSE = 0.5


class Flight:
    """A refresh of ``due`` in this process; made inside the event loop that waits for it.

    ``is_refused``: an API refused the token, which is not due by the clock.
    """

    def __init__(self, subject: Subject, due: TokenData, is_refused: bool) -> None:
        self.subject = subject
        self.due = due
        self.is_refused = is_refused
        self._outcome: asyncio.Future[TokenData | None] = asyncio.get_running_loop().create_future()

    async def outcome(self) -> TokenData | None:
        """Return its result, or raise its error.  Cancelling a caller harms no other."""
        return await asyncio.shield(self._outcome)

    @property
    def is_given(self) -> bool:
        """Return whether the waiters have been answered, by :meth:`give` or :meth:`land`."""
        return self._outcome.done()

    def give(self, fresh: TokenData) -> None:
        """Answer the waiters while the pair cannot be stored yet.

        Later callers get the same answer: they have just read in Redis that ``due`` is
        still stored, so nobody has disconnected or reconnected since.
        """
        if not self._outcome.done():
            self._outcome.set_result(fresh)

    def land(self, work: asyncio.Task[TokenData | None]) -> None:
        """Answer the waiters with the outcome of the work."""
        if self._outcome.done():
            return
        if work.cancelled():
            self._outcome.cancel()
        elif failure := work.exception():
            self._outcome.set_exception(failure)
            self._outcome.exception()  # seen here, in case nobody waits any more
        else:
            self._outcome.set_result(work.result())


async def kept(storage: Storage, flight: Flight, stored: Stored, fresh: TokenData) -> Written:
    """Store the renewed pair, however long that takes: nobody else has it."""
    pause = 0.05
    name = flight.subject.provider.name
    try:
        while True:
            try:
                return await _keep(storage, flight, stored, fresh)
            except StoreUnavailable as failure:
                if not flight.is_given:
                    log.warning(
                        "%s: a renewed token is not stored yet (%s); we go on trying",
                        name,
                        failure.code,
                    )
                flight.give(fresh)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
    except asyncio.CancelledError:
        log.error(
            "%s: a renewed token of %r could not be stored before the end and is lost; "
            "the person may have to reconnect",
            name,
            flight.subject.user_id,
        )
        raise


async def _keep(storage: Storage, flight: Flight, stored: Stored, fresh: TokenData) -> Written:
    subject = flight.subject
    while True:
        profile = stored.profile.of(flight.due).without_trouble()
        profile = replace(profile, renewed_at=storage.clock.now())
        if stored.token:  # somebody may have marked it meanwhile
            fresh = replace(fresh, has_others=stored.token.has_others)
        outcome = await updates.renew(storage, subject, fresh, profile, stored, deadline=_TRY)
        if outcome is not Written.CHANGED:
            return outcome
        # Resealed meanwhile, or replaced?  Only the latter is somebody else's pair.
        stored = await lookup.read_one(storage, subject)
        now = stored.require_token()
        if now == fresh:
            return Written.DONE  # by a try whose answer was lost, and resealed since
        if not flight.due.is_pair(now):
            return Written.CHANGED
