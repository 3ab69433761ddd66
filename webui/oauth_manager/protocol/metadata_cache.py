"""Cache of one issuer's metadata, in one process and event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from ..clock import Clock
from ..errors import OAuthMisconfigured, OAuthUnavailable, ProviderFailure, StoreUnavailable
from .metadata import STEP, ServerMetadata

PAUSE_SECONDS = 10.0  # after a failure; callers meanwhile get the same answer at once
# Each request has a deadline, and a search is up to eight of them.
SEARCH_SECONDS = 20.0

Search = Callable[[], Awaitable[tuple[ServerMetadata, float]]]
"""A search for metadata: they, and for how many seconds they are fresh."""


class Discovery:
    """Cache of one issuer's metadata: one search at a time; trouble keeps the old metadata."""

    def __init__(self, clock: Clock, name: str, patience: float = SEARCH_SECONDS) -> None:
        self._name = name
        self._patience = patience
        self._clock = clock
        self._asking: asyncio.Task[None] | None = None
        self._known: ServerMetadata | None = None
        self._failure: Callable[[], ProviderFailure] = partial(OAuthUnavailable, name, STEP)
        self._until = 0.0

    async def metadata(self, search: Search) -> ServerMetadata:
        """Return the metadata, by ``search`` if they are not fresh.

        Raises like :func:`find`, and ``StoreUnavailable`` if the search did.
        """
        if self._clock.monotonic() >= self._until:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask(search))
            # Finished even if all waiters give up, or a slow provider would never be
            # known.
            await asyncio.shield(self._asking)
        if self._known is None:
            # A new one: an exception that is raised again and again gathers frames.
            raise self._failure()
        return self._known

    async def _ask(self, search: Search) -> None:
        seconds = PAUSE_SECONDS
        try:
            async with asyncio.timeout(self._patience):
                self._known, seconds = await search()
        except StoreUnavailable as failure:
            self._failure = partial(StoreUnavailable, failure.step, failure.code)
            # Nothing is known of the server itself, so the next one looks again.
            seconds = PAUSE_SECONDS if self._known else 0.0
        except TimeoutError:
            self._failure = partial(OAuthUnavailable, self._name, STEP, "timeout")
        except OAuthUnavailable as failure:
            self._failure = partial(OAuthUnavailable, self._name, STEP, failure.code)
        except OAuthMisconfigured as failure:
            self._known = None
            self._failure = partial(OAuthMisconfigured, self._name, STEP, failure.code)
        self._until = self._clock.monotonic() + seconds
