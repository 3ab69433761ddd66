"""Notices, events and index entries written along with a change, on the same round trips."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import StoreUnavailable
from ..models import Account
from ..storage import keys
from ..storage.calls import Pipeline, RedisClient, as_text, redis_call
from ..storage.held_tokens import Leftover
from ..storage.storage import Storage
from . import due_notices as due
from .activity import Activity, Event
from .notices import NoticeKind, Notices

log = logging.getLogger(__name__)


@dataclass
class Queued:
    """Places in a stream that were queued on a pipeline, and their ids once it was executed."""

    event_at: int = -1
    notice_at: int = -1
    event_id: str = ""
    notice_id: str = ""

    def answered(self, answers: Sequence[Any]) -> None:
        """Take the ids out of the pipeline's answers."""
        if self.event_at >= 0:
            self.event_id = as_text(answers[self.event_at])
        if self.notice_at >= 0:
            self.notice_id = as_text(answers[self.notice_at])


class Outbox:
    """Writer of the bot's notice, the timeline, the index of accounts, and leftover tokens."""

    def __init__(self, storage: Storage, notices: Notices, activity: Activity) -> None:
        self._accounts = storage.accounts
        self._leftovers = storage.held
        self._notices = notices
        self._activity = activity

    def _tell(self, pipe: Pipeline, user_id: str, event: Event, kind: NoticeKind | None) -> Queued:
        """Queue both, the notice first: an event that exists has been sent to the bot."""
        told = Queued()
        if kind:
            told.notice_at = len(pipe)
            self._notices.add(pipe, kind, user_id, event.provider, event.account)
        told.event_at = len(pipe)
        self._activity.add(pipe, user_id, event)
        return told

    def connected(
        self, pipe: Pipeline, user_id: str, event: Event, account: Account, before: Account
    ) -> Queued:
        """Queue the records that follow a connection as ``account``."""
        name = event.provider
        self._accounts.add(pipe, user_id, name, account, before)
        done = (NoticeKind.LINK_RAN_OUT, name), (NoticeKind.RECONNECT_NEEDED, name)
        due.drop(pipe, user_id, *done)
        # Asking again would end the new grant along with the old one.
        self._leftovers.drop(pipe, user_id, name)
        return self._tell(pipe, user_id, event, NoticeKind.CONNECTED)

    def ended(self, pipe: Pipeline, user_id: str, event: Event, left: Leftover) -> Queued:
        """Queue the records that precede the end of a grant; its tokens are kept aside."""
        self._leftovers.put(pipe, user_id, left)
        return self._tell(pipe, user_id, event, NoticeKind.RECONNECT_NEEDED)

    def disconnected(self, pipe: Pipeline, user_id: str, event: Event) -> Queued:
        """Queue the records that precede a disconnect."""
        return self._tell(pipe, user_id, event, _disconnected(event))

    async def find(self, redis: RedisClient, user_id: str, event: Event) -> str:
        """Return the id of an event that has been written, ``""`` if it has not."""
        return await self._activity.find(redis, user_id, event)

    def unlist(self, pipe: Pipeline, user_id: str, provider: str, account: Account) -> None:
        """Queue the removal from the index of accounts; twice does no harm."""
        self._accounts.remove(pipe, user_id, provider, account)

    async def withdraw(
        self,
        redis: RedisClient,
        user_id: str,
        told: Queued,
        account: tuple[str, Account] | None = None,
        left: Leftover | None = None,
    ) -> None:
        """Take back the records of a change that did not happen after all.

        ``account`` is the provider's name and the account that is not connected.  A
        failure is only logged.
        """
        try:
            async with redis_call("take back what was told"):
                pipe = redis.pipeline(transaction=False)
                if told.event_id:
                    pipe.xdel(keys.events(user_id), told.event_id)
                if told.notice_id:
                    pipe.xdel(keys.NOTICES, told.notice_id)
                if account:
                    self._accounts.remove(pipe, user_id, *account)
                if left:
                    self._leftovers.forget(pipe, user_id, left)
                await pipe.execute()
        except StoreUnavailable:
            log.error("what was told of a connection could not be taken back")

    async def answered(
        self,
        redis: RedisClient,
        user_id: str,
        told: Queued | None,
        event: Event | None,
        left: Leftover | None,
        kept: Leftover | None,
    ) -> bool:
        """Write down a provider's answer to a disconnect; return whether ``kept`` is kept.

        The event replaces the one that was ``told`` before the provider was asked;
        ``kept`` replaces ``left``, and nothing does if it is None.  It has happened, so
        a failure is only logged.
        """
        try:
            async with redis_call("write down how a disconnect went"):
                pipe = redis.pipeline(transaction=False)
                if event:
                    self._activity.add(pipe, user_id, event)
                if told and told.event_id:
                    pipe.xdel(keys.events(user_id), told.event_id)
                if event and told is None and (kind := _disconnected(event)):
                    self._notices.add(pipe, kind, user_id, event.provider, event.account)
                if left and kept:
                    self._leftovers.exchange(pipe, user_id, left, kept)
                elif left:
                    self._leftovers.forget(pipe, user_id, left)
                outcomes = await pipe.execute()
        except StoreUnavailable:
            log.error("the answer to a disconnect could not be written down")
            return False
        return bool(left and kept and int(outcomes[-1]) == 1)


def _disconnected(event: Event) -> NoticeKind | None:
    """Return the notice of a disconnect; none in chat, where the bot has just answered."""
    if event.by == "chat":
        return None
    is_support = event.by == "support"
    return NoticeKind.SUPPORT_DISCONNECTED if is_support else NoticeKind.DISCONNECTED
