"""Admission: a bounded number of requests at work, the rest in a fair queue, one deadline each.

Busy is not broken: who has waited too long is told to come back, and nothing was begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from webui.oauth_manager.storage import deadline

PAGE_SECONDS = 2.8  # for a page, of which Redis may use all
# For a request that asks a provider, which is slower than we are.
ASKING_SECONDS = 8.0
RETURN_SECONDS = 15.0  # for the way back from a provider, with two questions to it
WAIT_SECONDS = 1.5  # in the queue
REDIS_SECONDS = 1.0  # for one call
PLACES = 64  # requests at work at once; more would only take longer each


class Busy(Exception):
    """No place came free in time; nothing was begun."""


class Room:
    """Places for requests at work; those who wait get one in their order."""

    def __init__(self, places: int = PLACES, wait: float = WAIT_SECONDS) -> None:
        self._free = asyncio.Semaphore(places)
        self._wait = wait

    def admit(self, route: Route, seconds: float) -> None:
        """Let the route's requests in by their order, each with a deadline from its arrival on."""
        app = route.app

        async def admitted(scope: Scope, receive: Receive, send: Send) -> None:
            with deadline(seconds, redis=REDIS_SECONDS):
                async with self.place():
                    await app(scope, receive, send)

        route.app = admitted

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place for a piece of work.  Raises ``Busy``."""
        if self._free.locked():
            try:
                async with asyncio.timeout(self._wait):
                    await self._free.acquire()
            except TimeoutError:
                raise Busy from None
        else:  # most often, and a timer has its price
            await self._free.acquire()
        try:
            yield
        finally:
            self._free.release()
