"""Links that the bot gave, and what came of each: the person hears of it.

Each has one end: connected, refused, failed, cancelled, or run out with nobody there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from ..errors import StoreUnavailable
from ..links.codes import Attempt
from ..storage.calls import Pipeline, RedisClient, redis_call
from ..storage.link_index import LinkRequest
from . import due_notices as due
from .activity import Activity, Event
from .notices import LINK_SECONDS, NoticeKind, Notices

log = logging.getLogger(__name__)

_OPEN = NoticeKind.LINK_RAN_OUT  # due as long as nothing else has come of the link


class Stories:
    """Writes down what becomes of links: in the timeline, and for the bot to say.

    What it tells has happened, so where it awaits, a failure only goes to the log.
    """

    def __init__(self, notices: Notices, activity: Activity) -> None:
        self._notices = notices
        self._activity = activity

    def made(self, pipe: Pipeline, user_id: str, provider: str) -> None:
        """Queue that a link was made; who gets one need not be told that access has ended."""
        event = Event("link_made", provider, "chat", time.time())
        self._activity.add(pipe, user_id, event)
        due.drop(pipe, user_id, (NoticeKind.RECONNECT_NEEDED, provider))
        due.put(pipe, _OPEN, user_id, provider, LINK_SECONDS)

    def goes_on(self, pipe: Pipeline, attempt: Attempt) -> None:
        """Queue more time for a link that has led on to the provider."""
        if attempt.return_to == "done" and not attempt.link_code:
            due.delay(pipe, _OPEN, attempt.user_id, attempt.provider, LINK_SECONDS)

    async def used(self, redis: RedisClient, request: LinkRequest) -> None:
        """Somebody went on with a link; who it is may have to be proven yet."""
        async with self._event(redis, request, "link_used") as pipe:
            due.put(pipe, _OPEN, request.user_id, request.provider, LINK_SECONDS)

    async def signed_in(self, redis: RedisClient, user_id: str) -> None:
        """A link to sign in has done so."""
        async with _writing(redis, "the end of a link") as pipe:
            due.drop(pipe, user_id, (_OPEN, ""))

    async def cancelled(self, redis: RedisClient, request: LinkRequest) -> None:
        """Somebody switched a link off."""
        async with self._event(redis, request, "link_cancelled") as pipe:
            user_id, provider = request.user_id, request.provider
            self._notices.add(pipe, NoticeKind.LINK_CANCELLED, user_id, provider)
            due.drop(pipe, user_id, (_OPEN, provider))

    async def ended(self, redis: RedisClient, user_id: str, provider: str, outcome: str) -> None:
        """Nothing came of an attempt: ``denied``, or a word that ``notice_text`` knows."""
        kind = NoticeKind.DENIED if outcome == "denied" else NoticeKind.CONNECT_FAILED
        async with _writing(redis, f"the end of a link ({outcome})") as pipe:
            self._notices.add(pipe, kind, user_id, provider, detail=outcome)
            due.drop(pipe, user_id, (_OPEN, provider))

    async def ended_if_open(
        self, redis: RedisClient, user_id: str, provider: str, outcome: str
    ) -> None:
        """As :meth:`ended`, if a link was the beginning and has no end yet."""
        try:
            is_open = await due.waits(redis, _OPEN, user_id, provider)
        except StoreUnavailable:
            is_open = False  # then the person is told that it has run out
        if is_open:
            await self.ended(redis, user_id, provider, outcome)

    async def told_of_end(self, redis: RedisClient, user_id: str, provider: str) -> None:
        """The bot has just answered that access has ended, and says so no second time."""
        async with _writing(redis, "that an end was told") as pipe:
            due.drop(pipe, user_id, (NoticeKind.RECONNECT_NEEDED, provider))

    async def switched_off(
        self, redis: RedisClient, user_id: str, providers: Iterable[str]
    ) -> None:
        """Every link of a person is over, and that is told in one."""
        async with _writing(redis, "the end of links") as pipe:
            due.drop(pipe, user_id, *((_OPEN, provider) for provider in providers))

    @asynccontextmanager
    async def _event(
        self, redis: RedisClient, request: LinkRequest, kind: str
    ) -> AsyncIterator[Any]:
        async with _writing(redis, f"an event ({kind})") as pipe:
            event = Event(kind, request.provider, "", time.time())
            self._activity.add(pipe, request.user_id, event)
            yield pipe


@asynccontextmanager
async def _writing(redis: RedisClient, what: str) -> AsyncIterator[Any]:
    """A pipeline for what has happened anyway."""
    try:
        async with redis_call("write down what becomes of a link"):
            pipe = redis.pipeline(transaction=False)
            yield pipe
            await pipe.execute()
    except StoreUnavailable:
        log.error("%s could not be written", what)
