"""Memory of finished cards: what makes the same card makes it once.

A card is known by everything that it is made of, the moment by what it changes on a card
alone.  No secret goes in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from webui.cards.build import base_key, make_card
from webui.cards.model import Card, Focus, Screen
from webui.cards.parts import days_left
from webui.cards.states import WORKING
from webui.oauth_manager import Connection, OAuthProvider
from webui.oauth_manager.values import replace
from webui.sessions.note import Note
from webui.text import words
from webui.text.times import age, when

MOST = 5_000  # cards; one takes about 6 kB with its HTML, so all of them 30 MB

# The notes with a sentence that tells the time: keys are ``card.{note}.{part}``.
_TELL_THE_TIME = frozenset(
    key.split(".")[1] for key, said in words.CATALOGUE.items() if "{now}" in said
)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A card that is wanted.  The provider is known by its identity, and changes never."""

    provider: OAuthProvider = field(compare=False)
    provider_id: int
    connection: Connection
    note: Note | None
    screen: Screen = field(compare=False)
    place: tuple[str, str, str, Focus]
    moment: tuple[str, int, str, tuple[str, int] | None]
    is_news: bool


def card_of(
    provider: OAuthProvider,
    connection: Connection,
    note: Note | None,
    screen: Screen,
    focus: Focus = "",
    *,
    is_news: bool = True,
) -> Card:
    """Return the card of :func:`.build.make_card`, the same object while nothing changes.

    Unless it ``is_news``, the outcome is neither in the page's title nor read aloud.
    """
    key = base_key(provider, connection, screen.now)
    days = days_left(connection, screen.now) if key == "ending_soon" else 0
    time = when(screen.now, "second") if note and note.key in _TELL_THE_TIME else ""
    place = (screen.product, screen.bot, screen.where, focus)
    used = age(connection.profile.used_at, screen.now) if key in WORKING else None
    moment = (key, days, time, used)
    return _made(_Wanted(provider, id(provider), connection, note, screen, place, moment, is_news))


@lru_cache(maxsize=MOST)
def _made(wanted: _Wanted) -> Card:
    about = wanted.provider, wanted.connection, wanted.note, wanted.screen
    card = make_card(*about, wanted.place[-1])
    return card if wanted.is_news else replace(card, outcome="", news="")
