"""The finished card, as its template reads it: frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from webui.cards.states import Method, Style, Tone
from webui.text.permissions import PermissionGroup

Where = Literal["list", "detail"]
Focus = Literal["", "result", "heading", "disconnect"]


@dataclass(frozen=True, slots=True)
class Screen:
    """The place and time a card is shown; ``now`` in epoch seconds."""

    product: str
    bot: str
    now: float
    where: Where = "list"


@dataclass(frozen=True, slots=True)
class Fact:
    """A term with a text or, if ``at`` is set, a time (``style``: ``date`` or ``both``).

    ``detail`` follows either after a colon.  A quiet one is no reason to swap the
    card under somebody's eyes.
    """

    term: str
    text: str = ""
    at: float = 0.0
    style: str = "both"
    is_quiet: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    label: str
    url: str


@dataclass(frozen=True, slots=True)
class CardNote:
    """A note; ``items`` are permissions: group and sentence, from ``permissions.sentences``.

    ``after`` is said below them.  ``message`` is for the person to send on;
    ``by_itself`` is said if the script runs and polls for news, ``by_hand`` if it does
    not.
    """

    tone: Tone
    title: str
    sentences: tuple[str, ...] = ()
    items: tuple[tuple[str, str], ...] = ()
    after: str = ""
    link: Link | None = None
    message: str = ""
    by_itself: str = ""
    by_hand: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence under the facts."""

    tone: Tone
    text: str


@dataclass(frozen=True, slots=True)
class Permissions:
    """Granted or requested permissions, by group.

    ``left_off`` are permissions the person chose to do without, and ``lost`` says what
    does not work because of it; ``not_needed`` are those left off that nothing needs.
    ``unasked`` are those granted without being requested, beside the groups.
    """

    summary: str
    groups: tuple[PermissionGroup, ...]
    left_off: tuple[tuple[str, str], ...] = ()
    lost: str = ""
    not_needed: tuple[tuple[str, str], ...] = ()
    unasked: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """A form (``post``) or a link (``get``).

    ``hx_url`` is ``""`` if htmx takes no part; ``suffix`` completes the accessible
    name; ``busy`` replaces the label while it works; ``fields`` are hidden; ``starts``
    marks a first connection.
    """

    id: str
    label: str
    method: Method
    url: str
    style: Style
    suffix: str = ""
    busy: str = ""
    hx_url: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    starts: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """A card: everything that its template shows.

    ``mark`` names the drawing; ``outcome`` starts a page's title after an action, and
    ``news`` is read aloud; ``focus`` is the id of the element to focus, or ``""``.
    ``fingerprint`` changes with the state, so that a page can poll for news; ``""`` for
    a question, which nothing takes away while the person reads it.
    """

    state: str
    name: str
    label: str
    title: str
    mark: str
    where: Where
    stored: bool
    tag: str
    tone: Tone
    account: str
    note: CardNote | None
    line: Line | None
    body: tuple[str, ...]
    facts: tuple[Fact, ...]
    permissions: Permissions | None
    actions: tuple[Action, ...]
    outcome: str = ""
    news: str = ""
    focus: str = ""
    fingerprint: str = ""

    @property
    def seen(self) -> str:
        """Return the page's own word for this card when it polls for news."""
        return self.fingerprint and f"{self.name}.{self.fingerprint}"

    @property
    def spoken(self) -> str:
        """Return the sentence for the live region."""
        return self.news or f"{self.label}: {self.tag}."


@dataclass(frozen=True, slots=True)
class Standing:
    """The part of a card that a summary of all tells."""

    name: str
    label: str
    state: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Summary:
    """A sentence about all cards, then links to those that need attention."""

    text: str
    lead: str = ""
    attention: tuple[Link, ...] = ()
