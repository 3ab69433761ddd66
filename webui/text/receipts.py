"""Receipts: one sentence about a disconnect that can be kept and sent on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from markupsafe import Markup

from webui.oauth_manager import Event, RevokeOutcome
from webui.oauth_manager.journal import receipt_code
from webui.oauth_manager.values import replace
from webui.text import words
from webui.text.labels import clean_label, isolated
from webui.text.times import when

Text = TypeVar("Text", bound=str)


def receipt(
    say: Callable[..., Text], event: Event, user_id: str, label: str, account: str, time: str
) -> Text:
    """Say what was disconnected, when, what the provider answered, and the code to quote.

    ``say`` is ``words.text`` or ``words.markup``.  ``event`` is the ``disconnected`` of
    ``user_id``, with a value of ``RevokeOutcome`` or ``asking`` as its detail.  ``label``
    is the provider's name, ``account`` that of the person there (``""`` if unknown) and
    ``time`` the event's in words, all ready to be shown.
    """
    key = f"receipt.{event.detail}"
    if key not in words.CATALOGUE:
        key = "receipt.unknown"
    what = say("receipt.account" if account else "receipt.plain", provider=label, account=account)
    code = receipt_code(user_id, event.place, event.at)
    return say(key, what=what, time=time, provider=label, ref=code)


def answered(events: Iterable[Event]) -> tuple[Event, ...]:
    """Give each disconnect the answer that its provider gave when asked once more.

    Events are newest first, as they are read.
    """
    confirmed: set[str] = set()
    found = []
    for event in events:
        if event.kind == "revoked":
            confirmed.add(event.place)
        elif event.kind == "disconnected" and event.place in confirmed:
            confirmed.remove(event.place)
            event = replace(event, detail=RevokeOutcome.REVOKED)
        found.append(event)
    return tuple(found)


def receipt_of(event: Event, user_id: str, label: str, *, is_local: bool = True) -> Markup:
    """Write the receipt of a person's event ``disconnected`` as HTML."""
    account = isolated(event.account) if clean_label(event.account) else Markup()
    time = when(event.at, "both", is_local=is_local)
    return receipt(words.markup, event, user_id, label, account, time)
