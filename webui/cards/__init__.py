"""The card of one service, in every state: pure functions over frozen values."""

from __future__ import annotations

from webui.cards.build import base_key, confirm_card, make_card, standing, summarize
from webui.cards.groups import FILTER_ABOVE, CardGroup, grouped, matching, to_start_with
from webui.cards.memory import MOST, card_of
from webui.cards.model import (
    Action,
    Card,
    CardNote,
    Fact,
    Focus,
    Line,
    Link,
    Permissions,
    Screen,
    Standing,
    Summary,
    Where,
)
from webui.cards.news import News, news
from webui.cards.notes import (
    AFTER_ASKING_AGAIN,
    AFTER_CHECK,
    AFTER_DISCONNECT,
    RECEIPTED,
    ended_accounts,
    newest,
    notes_to_show,
    of_the_store,
    unanswered,
)

__all__ = [
    "AFTER_ASKING_AGAIN",
    "AFTER_CHECK",
    "AFTER_DISCONNECT",
    "FILTER_ABOVE",
    "MOST",
    "RECEIPTED",
    "Action",
    "Card",
    "CardGroup",
    "CardNote",
    "Fact",
    "Focus",
    "Line",
    "Link",
    "News",
    "Permissions",
    "Screen",
    "Standing",
    "Summary",
    "Where",
    "base_key",
    "card_of",
    "confirm_card",
    "ended_accounts",
    "grouped",
    "make_card",
    "matching",
    "newest",
    "news",
    "notes_to_show",
    "of_the_store",
    "standing",
    "summarize",
    "to_start_with",
    "unanswered",
]
