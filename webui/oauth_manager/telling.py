"""What is written beside the records when a connection comes or goes, on the same round trips."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from . import keys
from .accounts import Accounts
from .activity import Activity, Event
from .errors import StoreUnavailable
from .leftovers import Leftover, Leftovers
from .models import Account
from .notices import NoticeKind, Notices
from .redis_io import redis_call

log = logging.getLogger(__name__)


class Telling:
    """The bot's notice, the timeline, the index of accounts, and what is left of an old grant."""

    def __init__(
        self, notices: Notices, activity: Activity, accounts: Accounts, leftovers: Leftovers
    ) -> None:
        self._notices = notices
        self._activity = activity
        self._accounts = accounts
        self._leftovers = leftovers

    def connected(
        self, pipe: Any, user_id: str, event: Event, account: Account, before: Account
    ) -> None:
        """Queue what a connection as ``account`` is followed by: the event first, the notice last.

        :meth:`not_connected` goes by that order.
        """
        name = event.provider
        self._activity.add(pipe, user_id, event)
        self._accounts.add(pipe, user_id, name, account, before)
        # Asking again would end the new grant along with the old one.
        self._leftovers.drop(pipe, user_id, name)
        self._notices.add(pipe, NoticeKind.CONNECTED, user_id, name, account.label)

    async def not_connected(
        self, redis: Any, user_id: str, provider: str, account: Account, answers: Sequence[Any]
    ) -> None:
        """Take back what :meth:`connected` told, by the ``answers`` to what it queued.

        A failure only goes to the log.
        """
        try:
            async with redis_call("take back what was told of a connection"):
                pipe = redis.pipeline(transaction=False)
                pipe.xdel(keys.events(user_id), answers[0])
                pipe.xdel(keys.NOTICES, answers[-1])
                self._accounts.remove(pipe, user_id, provider, account)
                await pipe.execute()
        except StoreUnavailable:
            log.error("%s: what was told of a connection could not be withdrawn", provider)

    def removed(self, pipe: Any, user_id: str, provider: str, account: Account) -> None:
        """Queue what goes along with the records."""
        self._accounts.remove(pipe, user_id, provider, account)

    async def disconnected(
        self, redis: Any, user_id: str, event: Event, left: Leftover | None
    ) -> bool:
        """Tell of it, and keep what is left; it has happened, so a failure only goes to the log.

        Whether all of it was written.
        """
        is_support = event.by == "support"
        kind = NoticeKind.SUPPORT_DISCONNECTED if is_support else NoticeKind.DISCONNECTED
        try:
            async with redis_call("tell of a disconnect"):
                pipe = redis.pipeline(transaction=False)
                if event.by != "chat":  # where the person has just been answered
                    self._notices.add(pipe, kind, user_id, event.provider, event.account)
                self._activity.add(pipe, user_id, event)
                if left:
                    self._leftovers.add(pipe, user_id, left)
                else:
                    self._leftovers.drop(pipe, user_id, event.provider)
                await pipe.execute()
        except StoreUnavailable:
            log.error("%s: a disconnect could not be told", event.provider)
            return False
        return True
