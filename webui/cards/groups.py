"""The groups of a page of cards: what needs the person, what is connected, what can be."""

from __future__ import annotations

from collections.abc import Iterable

from webui.cards.model import Card, Group, worst_first
from webui.oauth_manager.values import Struct

FILTER_ABOVE = 8  # services

# In the order of the page, with their titles in the section ``list`` of the catalogue.
_TITLES: dict[Group, str] = {
    "needs": "needs",
    "just": "just",
    "connected": "group_connected",
    "more": "more",
}


class CardGroup(Struct, frozen=True):
    """One group; without ``cards`` it is hidden."""

    name: Group
    words: str
    cards: tuple[Card, ...]


def grouped(cards: Iterable[Card]) -> tuple[CardGroup, ...]:
    """Sort cards into all groups, in the order given; what needs the person, the worst first."""
    found: dict[Group, list[Card]] = {name: [] for name in _TITLES}
    for card in cards:
        found[card.group].append(card)
    found["needs"] = worst_first(found["needs"])
    return tuple(CardGroup(name, _TITLES[name], tuple(found[name])) for name in _TITLES)


def to_start_with(cards: Iterable[Card], asked_for: str) -> Card | None:
    """Return the service to begin with, if nothing is connected and one can be.

    ``asked_for`` is the service the bot asked for last, ``""`` if none.
    """
    cards = tuple(cards)
    free = [card for card in cards if card.group == "more" and card.begin]
    if len(free) < sum(card.state != "not_set_up" for card in cards):
        return None
    return next((card for card in free if card.name == asked_for), next(iter(free), None))


def matching(cards: Iterable[Card], text: str) -> list[Card]:
    """Return the cards with ``text`` in their service's name or their account's."""
    wanted = text.casefold()
    return [c for c in cards if wanted in c.label.casefold() or wanted in c.account.casefold()]
