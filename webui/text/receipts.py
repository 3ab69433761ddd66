"""Receipts: one sentence about a disconnect that can be kept and sent on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from markupsafe import Markup

from webui.oauth_manager import Event, RevokeOutcome
from webui.oauth_manager.journal import receipt_code
from webui.text import words
from webui.text.labels import clean_label, isolated
from webui.text.times import when

Text = TypeVar("Text", bound=str)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A disconnect of ``user_id`` at ``at`` (epoch seconds).

    ``label`` is the provider's name to show.  ``outcome`` is the detail of its event: a
    value of ``RevokeOutcome``, or ``asking``.
    """

    user_id: str
    provider: str
    label: str
    at: float
    outcome: str

    def sentence(self, say: Callable[..., Text], account: str, time: str) -> Text:
        """Say what was disconnected, when, what the provider answered, and the code to quote.

        ``say`` is ``words.text`` or ``words.markup``; ``account`` is ready to be shown,
        ``""`` if unknown, and ``time`` is ``at`` in words.
        """
        key = f"receipt.{self.outcome}"
        if key not in words.CATALOGUE:
            key = "receipt.unknown"
        what = say(
            "receipt.account" if account else "receipt.plain", provider=self.label, account=account
        )
        code = receipt_code(self.user_id, self.provider, self.at)
        return say(key, what=what, time=time, provider=self.label, ref=code)


def answered(events: Iterable[Event]) -> tuple[Event, ...]:
    """Give each disconnect the answer that its provider gave when asked once more.

    Events are newest first, as they are read.
    """
    confirmed: set[str] = set()
    found = []
    for event in events:
        if event.kind == "revoked":
            confirmed.add(event.provider)
        elif event.kind == "disconnected" and event.provider in confirmed:
            confirmed.remove(event.provider)
            event = replace(event, detail=RevokeOutcome.REVOKED)
        found.append(event)
    return tuple(found)


def receipt_of(event: Event, user_id: str, label: str, *, is_local: bool = True) -> Markup:
    """Write the receipt of a person's event ``disconnected`` as HTML."""
    about = Receipt(user_id, event.provider, label, event.at, event.detail)
    account = isolated(event.account) if clean_label(event.account) else Markup()
    return about.sentence(words.markup, account, when(event.at, "both", is_local=is_local))
