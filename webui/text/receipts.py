"""Receipts: one sentence about a disconnect that can be kept and sent on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from webui.oauth_manager import RevokeOutcome
from webui.oauth_manager.journal import receipt_code
from webui.text import words

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
            key = f"receipt.{RevokeOutcome.ENDED}"
        what = say(
            "receipt.account" if account else "receipt.plain", provider=self.label, account=account
        )
        code = receipt_code(self.user_id, self.provider, self.at)
        return say(key, what=what, time=time, provider=self.label, ref=code)
