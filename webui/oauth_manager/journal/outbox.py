"""The story of a change: its notice, event and index entry, written on its round trips."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import StoreUnavailable
from ..models import Account
from ..storage import account_index, held_tokens, keys, switch_offers
from ..storage.calls import Pipeline, as_text, redis_call, text_of
from ..storage.held_tokens import HeldTokens
from ..storage.storage import Storage, Subject
from ..storage.switch_offers import SwitchOffer
from ..values import replace
from . import activity, notices
from . import due_notices as due
from .activity import Event
from .notices import NoticeKind

log = logging.getLogger(__name__)

Queue = Callable[[Pipeline], object]


def _nothing(_: Pipeline) -> None: ...


@dataclass
class Queued:
    """The story of one change, and all else that is written on its round trip.

    The story is the bot's notice and the event in the person's timeline.  It is queued
    unless it ``is_told`` already; ``more`` are commands that may be repeated.  ``undo``
    takes those back if nothing is connected, and ``restore`` if the connection before
    stays.  Once the pipeline is answered, ``offer`` is the account that waited for the
    person's choice, and is over with the change.
    """

    storage: Storage
    subject: Subject
    event: Event
    notice: NoticeKind | None
    more: Queue = _nothing
    undo: Queue = _nothing
    restore: Queue = _nothing
    takes_offer: bool = True
    is_told: bool = False
    event_entry: str = ""
    notice_id: str = ""
    offer: SwitchOffer | None = None
    _places: dict[str, int] = field(default_factory=dict)

    def queue(self, pipe: Pipeline) -> None:
        """Queue everything, the notice first: an event that exists has been sent to the bot."""
        self._places.clear()
        if not self.is_told:
            if self.notice:
                self._places["notice"] = len(pipe)
                _notify(self.storage, pipe, self.subject, self.event, self.notice)
            self._places["event"] = len(pipe)
            activity.add(self.storage, pipe, self.subject.user_id, self.event)
        self.more(pipe)
        if self.takes_offer:
            self._places["offer"] = len(pipe)
            switch_offers.queue_take(pipe, self.subject)

    def answered(self, answers: Sequence[Any]) -> None:
        """Read the answers to what was queued, out of those of the whole pipeline."""
        if "event" in self._places:
            self.event_entry = as_text(answers[self._places["event"]])
            self.is_told = bool(self.event_entry)
        if "notice" in self._places:
            self.notice_id = as_text(answers[self._places["notice"]])
        if "offer" in self._places:
            value = text_of(answers[self._places["offer"]])
            # A try before this one may have taken it.
            self.offer = switch_offers.opened(self.storage, self.subject, value) or self.offer

    async def find(self) -> None:
        """Look whether it was told, if the answer was lost or its process died.

        Raises ``StoreUnavailable``.
        """
        where = self.subject.redis, self.subject.user_id
        self.event_entry = await activity.find(self.storage, *where, self.event)
        self.is_told = bool(self.event_entry)

    async def withdraw(self, held: HeldTokens | None = None, *, stays: bool = False) -> None:
        """Take it back, for a change that did not happen after all, and forget ``held``.

        ``stays``: the connection before does.  A failure is only logged; else it can be
        told again.
        """
        try:
            async with redis_call("take back what was told"):
                pipe = self.subject.redis.pipeline(transaction=False)
                if self.event_entry:
                    activity.remove(pipe, self.subject.user_id, self.event_entry)
                if self.notice_id:
                    pipe.xdel(keys.NOTICES, self.notice_id)
                (self.restore if stays else self.undo)(pipe)
                if held:
                    held_tokens.forget(pipe, self.subject, held)
                await pipe.execute()
        except StoreUnavailable:
            log.error("what was told of a connection could not be taken back")
            return
        self.event_entry = self.notice_id = ""
        self.is_told = False

    async def settle(self, outcome: str, held: HeldTokens | None, kept: HeldTokens | None) -> bool:
        """Write down how it went at the provider, in place of the event told before it was asked.

        ``held`` and ``kept`` as in :func:`record_answer`, which is what it returns.
        """
        event = replace(self.event, detail=outcome)
        notice = None if self.is_told or self.notice_id else self.notice
        place = self.storage, self.subject
        return await record_answer(*place, event, held, kept, notice, self.event_entry)


def connected(
    storage: Storage,
    subject: Subject,
    event: Event,
    account: Account,
    before: Account,
    ends_in: float = 0.0,
) -> Queued:
    """Return the story of a connection as ``account``, in place of ``before``.

    ``ends_in`` (seconds) is the life of access that nothing renews, ``0`` if it has no end.
    """

    def more(pipe: Pipeline) -> None:
        account_index.add(storage, pipe, subject, account, before)
        over = (
            (NoticeKind.LINK_RAN_OUT, subject.provider.name),
            (NoticeKind.RECONNECT_NEEDED, subject.place),
            (NoticeKind.ENDS_SOON, subject.place),
        )
        due.drop(pipe, subject.user_id, *over)
        if ends_in > notices.AHEAD_SECONDS:
            wait = ends_in - notices.AHEAD_SECONDS
            due.put(pipe, NoticeKind.ENDS_SOON, subject.user_id, subject.place, wait)
        # Asking again would end the new grant along with the old one.
        held_tokens.drop(pipe, subject)

    def undo(pipe: Pipeline) -> None:
        account_index.remove(storage, pipe, subject, account)

    def restore(pipe: Pipeline) -> None:
        account_index.add(storage, pipe, subject, before, account)

    return Queued(storage, subject, event, NoticeKind.CONNECTED, more, undo, restore)


def ended(storage: Storage, subject: Subject, event: Event, held: HeldTokens) -> Queued:
    """Return the story of a grant that is over; its tokens are kept aside."""

    def more(pipe: Pipeline) -> None:
        held_tokens.put(storage, pipe, subject, held)

    kind = NoticeKind.RECONNECT_NEEDED
    return Queued(storage, subject, event, kind, more, takes_offer=False)


def disconnected(storage: Storage, subject: Subject, event: Event, account: Account) -> Queued:
    """Return the story of a disconnect; none of it in chat, where the bot has just answered."""

    def more(pipe: Pipeline) -> None:
        account_index.remove(storage, pipe, subject, account)
        due.drop(pipe, subject.user_id, (NoticeKind.ENDS_SOON, subject.place))

    is_support = event.by == "support"
    kind = NoticeKind.SUPPORT_DISCONNECTED if is_support else NoticeKind.DISCONNECTED
    return Queued(storage, subject, event, None if event.by == "chat" else kind, more)


async def record_answer(
    storage: Storage,
    subject: Subject,
    event: Event | None,
    held: HeldTokens | None,
    kept: HeldTokens | None,
    notice: NoticeKind | None = None,
    replaces: str = "",
) -> bool:
    """Write down a provider's answer to a disconnect; return whether ``kept`` is kept.

    The event replaces the one of the entry ``replaces``; ``kept`` replaces ``held``, and
    nothing does if it is None.  It has happened, so a failure is only logged.
    """
    try:
        async with redis_call("write down how a disconnect went"):
            pipe = subject.redis.pipeline(transaction=False)
            if event:
                activity.add(storage, pipe, subject.user_id, event, replaces)
            elif replaces:
                activity.remove(pipe, subject.user_id, replaces)
            if event and notice:
                _notify(storage, pipe, subject, event, notice)
            if held and kept:
                held_tokens.exchange(storage, pipe, subject, held, kept)
            elif held:
                held_tokens.forget(pipe, subject, held)
            outcomes = await pipe.execute()
    except StoreUnavailable:
        log.error("the answer to a disconnect could not be written down")
        return False
    return bool(held and kept and int(outcomes[-1]) == 1)


def _notify(
    storage: Storage, pipe: Pipeline, subject: Subject, event: Event, kind: NoticeKind
) -> None:
    user_id, provider = subject.user_id, subject.provider.name
    about = {"name": event.name, "slot": subject.slot}
    if event.detail == activity.WAS_THERE:
        about["detail"] = event.detail
    notices.add(storage, pipe, kind, user_id, provider, event.account, **about)
