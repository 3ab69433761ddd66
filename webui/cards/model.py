"""What a card's template shows: frozen values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from webui.cards.states import Method, Style, Tone
    from webui.permissions import PermissionGroup

Where = Literal["list", "detail"]
Focus = Literal["", "result", "disconnect"]


@dataclass(frozen=True, slots=True)
class Note:
    """The outcome of the last action on a card: a key of ``OUTCOMES``, or ``unavailable``."""

    key: str
    ref: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Screen:
    """Where and when a card is shown; ``now`` in epoch seconds."""

    product: str
    bot: str
    now: float
    where: Where = "list"


@dataclass(frozen=True, slots=True)
class Fact:
    """A term with a text or, where ``at`` is set, a time (``style``: ``date`` or ``both``)."""

    term: str
    text: str = ""
    at: float = 0.0
    style: str = "both"


@dataclass(frozen=True, slots=True)
class Link:
    label: str
    url: str


@dataclass(frozen=True, slots=True)
class CardNote:
    """``items`` are permissions: group and sentence, as ``permissions.sentences`` gives them."""

    tone: Tone
    title: str
    sentences: tuple[str, ...] = ()
    items: tuple[tuple[str, str], ...] = ()
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Permissions:
    """``allowed``: what is granted, rather than what will be asked for."""

    summary: str
    groups: tuple[PermissionGroup, ...]
    allowed: bool


@dataclass(frozen=True, slots=True)
class Action:
    """A form (``post``) or a link (``get``).

    ``hx_url`` is ``""`` where htmx takes no part; ``suffix`` completes the
    accessible name; ``fields`` are hidden; ``starts`` marks a first connection.
    """

    id: str
    label: str
    method: Method
    url: str
    style: Style
    suffix: str = ""
    hx_url: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    starts: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """Everything the template shows.

    ``outcome`` is what a page's title starts with after an action; ``focus`` is
    the id of the element to focus, or ``""``.
    """

    state: str
    name: str
    label: str
    title: str
    where: Where
    stored: bool
    tag: str
    tone: Tone
    account: str
    note: CardNote | None
    body: tuple[str, ...]
    facts: tuple[Fact, ...]
    permissions: Permissions | None
    actions: tuple[Action, ...]
    outcome: str = ""
    focus: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """A sentence about all cards, then links to those that need attention."""

    text: str
    lead: str = ""
    attention: tuple[Link, ...] = ()
