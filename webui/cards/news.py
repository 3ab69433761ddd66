"""Changes of cards since an open page of them was drawn."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from webui.cards.model import Card
from webui.oauth_manager.values import Struct


class News(Struct, frozen=True):
    """Cards to draw where they stand, those that are ``added``, and names of those ``gone``.

    A card comes or goes with one of several accounts of a service.
    """

    changed: tuple[Card, ...] = ()
    added: tuple[Card, ...] = ()
    gone: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.added or self.gone)


def news(cards: Sequence[Card], seen: Collection[str]) -> News:
    """Compare with what a page shows; ``seen`` is every ``Card.seen`` it sent."""
    shown = {mark.partition(".")[0] for mark in seen}
    services = {name.partition("~")[0] for name in shown}
    return News(
        tuple(card for card in cards if card.name in shown and card.seen not in seen),
        tuple(card for card in cards if card.name not in shown and _is_of(card, services)),
        tuple(sorted(shown.difference(card.name for card in cards))),
    )


def _is_of(card: Card, services: Collection[str]) -> bool:
    # One that was just disconnected has no group to come to.
    return card.name.partition("~")[0] in services and card.group != "just"
