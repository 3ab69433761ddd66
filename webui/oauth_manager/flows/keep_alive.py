"""Keep-alive: renewals of what nobody uses, before the provider ends it for that.

One pass at a time over all processes; the next one goes on where a killed one was.  A renewal is
the one of :mod:`.refresh`: of any number that ask at once, one is sent.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import (
    Meaning,
    OAuthMisconfigured,
    OAuthUnavailable,
    ProviderFailure,
    RecordUnreadable,
    StoreUnavailable,
)
from ..providers.provider import OAuthProvider
from ..storage import key_pages, keys, lookup
from ..storage.calls import RedisClient
from ..storage.keep_alive_turn import TURN_SECONDS, Turn
from ..storage.key_pages import Bookmark, TurnLost
from ..storage.records import Stored
from ..storage.storage import Subject
from . import refresh
from .services import Services

log = logging.getLogger(__name__)

PER_MINUTE = 60  # renewals of one provider
_PART = 3  # of the provider's limit: from a third on it is renewed
_FAILURES = 3  # of the provider, in a row, after which it is left alone until the next pass
_SPREAD = 0.5  # of the time between two passes of the site, over which one is spread
_NAP = TURN_SECONDS / 3  # seconds, the longest sleep between two signs of life


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """The outcome of a pass.

    ``renewed`` live on; ``ended`` were ended by the provider before, and say so from now on;
    ``failed`` and ``put_off`` are for the next pass, which comes to the latter first;
    ``young`` are not idle for long enough.
    """

    renewed: int = 0
    ended: int = 0
    failed: int = 0
    put_off: int = 0
    young: int = 0


async def run(
    services: Services,
    redis: RedisClient,
    providers: Mapping[str, OAuthProvider],
    *,
    per_minute: int = PER_MINUTE,
    every: float = 0.0,
) -> KeepAlive | None:
    """Make a pass; ``None`` if another process has one under way.

    With ``every`` (seconds) passes begin that far apart, whichever process makes them, and
    each is spread over half of it; ``None`` if it is not time yet.  Raises
    ``StoreUnavailable``; the next pass goes on from there.
    """
    turn = Turn(redis, services.storage.clock)
    if not await turn.begin():
        return None
    try:
        if every and await turn.seconds_since() < every * (1 - _SPREAD):
            return None
        work = _Pass(services, redis, providers, turn, per_minute, every)
        return await work.run()
    finally:
        await turn.end()


class _Pass:
    def __init__(
        self,
        services: Services,
        redis: RedisClient,
        providers: Mapping[str, OAuthProvider],
        turn: Turn,
        per_minute: int,
        every: float,
    ) -> None:
        self._services = services
        self._redis = redis
        self._providers = {
            name: one for name, one in providers.items() if one.idle_limit and one.is_configured
        }
        self._turn = turn
        self._per_minute = per_minute
        self._every = every
        self._counts: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()  # in a row, by provider

    async def run(self) -> KeepAlive:
        bookmark = Bookmark(self._redis, keys.KEEP_ALIVE, "pass")
        places = await bookmark.read()
        pattern = keys.RECORD_PATTERNS["tokens"]
        try:
            total = await self._count(pattern, places) if self._every else 0
            async for page in key_pages.pages(self._redis, pattern, places):
                await self._visit(page.keys)
                await bookmark.put(page)
                await self._sleep(self._every * _SPREAD * len(page.keys) / max(total, 1))
        except TurnLost:
            return KeepAlive(**self._counts)
        await bookmark.remove()
        await self._turn.note_end()
        return KeepAlive(**self._counts)

    async def _count(self, pattern: str, places: Mapping[str, int]) -> int:
        """Count the keys from these places on, and keep the turn.  Raises ``TurnLost``."""
        total = 0
        async for page in key_pages.pages(self._redis, pattern, places):
            total += len(page.keys)
            await self._sleep(0)
        return total

    async def _visit(self, page: Sequence[bytes]) -> None:
        subjects: dict[tuple[str, str], Subject] = {}
        for key in page:
            name = key.decode("utf-8", "replace")
            owner = keys.parse_record(name) or keys.parse_older_record(name)
            provider, slot = keys.split(owner[1]) if owner else ("", "")
            if owner and provider in self._providers:
                known = self._providers[provider]
                subjects[owner] = Subject(self._redis, owner[0], known, slot)
        if not subjects:
            return
        found = await lookup.read(self._services.storage, list(subjects.values()))
        for subject, stored in zip(subjects.values(), found, strict=True):
            if stored.token is None or not stored.token.refresh_token:
                continue
            if self._is_young(subject.provider, stored):
                self._counts["young"] += 1
            else:
                self._counts[await self._renewed(subject, stored)] += 1

    def _is_young(self, provider: OAuthProvider, stored: Stored) -> bool:
        """Tell whether it was renewed within a third of the provider's limit."""
        token, facts = stored.token, stored.facts
        issued_at = token.issued_at if token else 0.0
        last = max(issued_at, facts.renewed_at, facts.connected_at)
        return self._services.storage.clock.now() - last < provider.idle_limit / _PART

    async def _renewed(self, subject: Subject, stored: Stored) -> str:
        """Renew one; return the word of what came of it."""
        name = subject.provider.name
        if self._failures[name] >= _FAILURES or not await self._may_ask(name):
            return "put_off"
        try:
            token = stored.require_token()
            fresh = token and await refresh.refreshed(self._services, subject, token)
        except StoreUnavailable:
            raise
        except RecordUnreadable:
            return "failed"
        except (OAuthMisconfigured, OAuthUnavailable) as failure:
            self._note(failure)
            if isinstance(failure, OAuthUnavailable) and failure.retry_after:
                await self._turn.pause(name, failure.retry_after)
            return "failed"
        self._failures[name] = 0
        return "renewed" if fresh else "ended"

    def _note(self, failure: ProviderFailure) -> None:
        """Count what the next person would meet too: an unknown word may be about one grant."""
        if failure.meaning is Meaning.SETUP:  # the same for everybody: the log has it
            self._failures[failure.provider] = _FAILURES
        elif failure.meaning is not Meaning.UNKNOWN:
            self._failures[failure.provider] += 1

    async def _may_ask(self, provider: str) -> bool:
        """Wait for the provider's next minute; ``False`` if it asked for a longer pause."""
        while wait := await self._turn.wait_for(provider, self._per_minute):
            if wait > TURN_SECONDS:
                return False
            await self._sleep(wait)
        await self._sleep(0)
        return True

    async def _sleep(self, seconds: float) -> None:
        """Sleep for about so long, and keep the turn.  Raises ``TurnLost``."""
        left = seconds * random.uniform(0.8, 1.2)  # noqa: S311
        while True:
            await self._turn.keep()
            if left <= 0:
                return
            await asyncio.sleep(min(left, _NAP))
            left -= _NAP


async def for_ever(
    services: Services,
    redis: RedisClient,
    providers: Mapping[str, OAuthProvider],
    every: float,
) -> None:
    """Make a pass each ``every`` seconds, at whichever process comes first; log its counts."""
    while True:
        await asyncio.sleep(min(every, 3600.0) * random.uniform(0.1, 0.3))  # noqa: S311
        try:
            done = await run(services, redis, providers, every=every)
        except StoreUnavailable as failure:
            log.warning("a keep-alive pass stopped: %s", failure)
            continue
        if done:
            log.info(
                "keep-alive: %d renewed, %d ended, %d failed, %d put off, %d not idle",
                done.renewed,
                done.ended,
                done.failed,
                done.put_off,
                done.young,
            )
