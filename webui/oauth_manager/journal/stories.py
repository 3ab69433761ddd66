"""Stories of links that the bot gave: what becomes of each, for the timeline and the bot.

Each has one outcome: connected, refused, failed, cancelled, or expired unused.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from ..errors import StoreUnavailable
from ..links.codes import Attempt
from ..storage import keys
from ..storage.account_names import slot_of
from ..storage.calls import Pipeline, RedisClient, redis_call
from ..storage.keys import check_user_id
from ..storage.link_index import LinkRequest
from ..storage.storage import Storage
from . import activity, notices
from . import due_notices as due
from .activity import Event
from .notices import LINK_SECONDS, NoticeKind

log = logging.getLogger(__name__)

_OPEN = NoticeKind.LINK_RAN_OUT  # due as long as the link has no other outcome


class Stories:
    """Writer of the outcomes of links: in the timeline, and as notices of the bot.

    Its events have happened, so a failure of what it awaits is only logged.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def made(self, pipe: Pipeline, user_id: str, provider: str) -> None:
        """Queue that a link was made; its person need not hear any more that access has ended."""
        event = Event("link_made", provider, "chat", self._storage.clock.now())
        activity.add(self._storage, pipe, check_user_id(user_id), event)
        due.drop(pipe, user_id, (NoticeKind.RECONNECT_NEEDED, provider))
        due.put(pipe, _OPEN, user_id, provider, LINK_SECONDS)

    def goes_on(self, pipe: Pipeline, attempt: Attempt) -> None:
        """Queue more time for a link that has led to the provider."""
        if attempt.return_to == "done" and not attempt.link_code:
            due.delay(pipe, _OPEN, attempt.user_id, attempt.provider, LINK_SECONDS)

    async def used(self, redis: RedisClient, request: LinkRequest) -> None:
        """Record that somebody used a link; who it is may not be proven yet."""
        async with self._event(redis, request, "link_used") as pipe:
            due.put(pipe, _OPEN, request.user_id, request.provider, LINK_SECONDS)

    async def signed_in(self, redis: RedisClient, user_id: str) -> None:
        """Record that a link to sign in has done so."""
        async with _writing(redis, "the end of a link") as pipe:
            due.drop(pipe, user_id, (_OPEN, ""))

    async def cancelled(self, redis: RedisClient, request: LinkRequest) -> None:
        """Record that somebody switched a link off."""
        async with self._event(redis, request, "link_cancelled") as pipe:
            user_id, provider = check_user_id(request.user_id), request.provider
            name = "" if slot_of(request.account) is not None else request.account
            kind = NoticeKind.LINK_CANCELLED
            notices.add(self._storage, pipe, kind, user_id, provider, name=name)
            due.drop(pipe, user_id, (_OPEN, provider))

    async def ended(self, redis: RedisClient, user_id: str, provider: str, outcome: str) -> None:
        """Record a failed attempt: ``denied``, or a word that ``notice_text`` knows."""
        kind = NoticeKind.DENIED if outcome == "denied" else NoticeKind.CONNECT_FAILED
        provider, _ = keys.split(provider)
        async with _writing(redis, f"the end of a link ({outcome})") as pipe:
            notices.add(self._storage, pipe, kind, check_user_id(user_id), provider, detail=outcome)
            due.drop(pipe, user_id, (_OPEN, provider))

    async def ended_if_open(
        self, redis: RedisClient, user_id: str, provider: str, outcome: str
    ) -> None:
        """Record a failed attempt if a link began it and has no outcome yet."""
        provider, _ = keys.split(provider)
        try:
            is_open = await due.waits(redis, _OPEN, user_id, provider)
        except StoreUnavailable:
            is_open = False  # then the bot says that it has run out
        if is_open:
            await self.ended(redis, user_id, provider, outcome)

    async def told_of_end(
        self, redis: RedisClient, user_id: str, provider: str, slot: str = ""
    ) -> None:
        """Drop the notice that access has ended: the bot has just answered so."""
        provider, own = keys.split(provider)
        place = keys.place(provider, slot or own)
        async with _writing(redis, "that an end was told") as pipe:
            due.drop(pipe, user_id, (NoticeKind.RECONNECT_NEEDED, place))

    async def switched_off(
        self, redis: RedisClient, user_id: str, providers: Iterable[str]
    ) -> None:
        """Record that every link of a person is over, with one notice."""
        async with _writing(redis, "the end of links") as pipe:
            due.drop(pipe, user_id, *((_OPEN, provider) for provider in providers))

    @asynccontextmanager
    async def _event(
        self, redis: RedisClient, request: LinkRequest, kind: str
    ) -> AsyncIterator[Any]:
        async with _writing(redis, f"an event ({kind})") as pipe:
            event = Event(kind, request.provider, "", self._storage.clock.now())
            activity.add(self._storage, pipe, check_user_id(request.user_id), event)
            yield pipe


@asynccontextmanager
async def _writing(redis: RedisClient, what: str) -> AsyncIterator[Any]:
    """Provide a pipeline for events that have happened anyway; a failure is only logged."""
    try:
        async with redis_call("write down what becomes of a link"):
            pipe = redis.pipeline(transaction=False)
            yield pipe
            await pipe.execute()
    except StoreUnavailable:
        log.error("%s could not be written", what)
