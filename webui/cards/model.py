"""The finished card, as its template reads it: frozen values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeVar

from webui.cards.questions import Question
from webui.cards.states import NOTES, Method, Style, Tone
from webui.oauth_manager.values import Struct
from webui.text.permissions import PermissionGroup

Where = Literal["list", "detail"]
Form = Literal["card", "row", "offer"]
"""Open and first, folded, or one line with the button Connect."""
Group = Literal["needs", "connected", "just", "more"]
Focus = Literal["", "result", "heading", "disconnect"]


class Screen(Struct, frozen=True):
    """The place and time a card is shown; ``now`` in epoch seconds."""

    product: str
    bot: str
    now: float
    where: Where = "list"


class Fact(Struct, frozen=True):
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


class Link(Struct, frozen=True):
    label: str
    url: str


class Action(Struct, frozen=True):
    """A form (``post``) or a link (``get``).

    ``hx_url`` is ``""`` if htmx takes no part; ``suffix`` completes the accessible
    name; ``busy`` replaces the label while it works; ``fields`` are hidden, ``questions``
    are for the person.  ``hint`` stands below it.
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
    questions: tuple[Question, ...] = ()
    hint: str = ""


class CardNote(Struct, frozen=True):
    """Sentences under a title: what is the matter with a card, or what came of an action.

    ``items`` are permissions: group and sentence, from ``permissions.sentences``.
    ``after`` is said below them.  ``message`` is for the person to send on;
    ``by_itself`` is said if the script runs and polls for news, ``by_hand`` if it does
    not.  ``quiet`` is for the record: when it was, and under which reference.
    ``actions`` belong to this outcome alone, ``elsewhere`` leads to the provider's own
    list, ``away`` dismisses it.
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
    quiet: str = ""
    actions: tuple[Action, ...] = ()
    elsewhere: Action | None = None
    away: Action | None = None

    @property
    def line(self) -> str:
        return NOTES[self.tone][0]

    @property
    def sign(self) -> str:
        return NOTES[self.tone][1]


class Line(Struct, frozen=True):
    """One sentence of a row, in the place of its last use."""

    tone: Tone
    text: str

    @property
    def drawn(self) -> str:
        return NOTES[self.tone][0]


class Permissions(Struct, frozen=True):
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


class Card(Struct, frozen=True):
    """One service on a page: everything that its template shows.

    ``form`` is how it is shown, in which ``group``; ``line`` and ``sign`` are how the
    connection is drawn (the stylesheet's classes and icons).  An open card says what is
    the matter, ``about``; its ``title`` is the first of it, else the service's name.
    ``status`` stands in a row for its last use, ``used``.
    ``actions`` are the first buttons, ``more`` those of the fold, ``begin`` an offer's own.

    ``mark`` names the drawing; ``outcome`` starts a page's title after an action, and
    ``news`` is read aloud; ``focus`` is the id of the element to focus, or ``""``.
    ``named`` is what the person calls one of several accounts.  ``fingerprint`` changes with
    the state, so that a page can poll for news; ``""`` for a question, which stays.  ``refused``
    is what was not done: ``name`` if an account is not called so, ``full`` if none is added.
    """

    state: str
    name: str
    label: str
    title: str
    mark: str
    where: Where
    form: Form
    group: Group
    stored: bool
    line: str
    sign: str
    tag: str
    tone: Tone
    account: str
    about: CardNote | None
    note: CardNote | None
    status: Line | None
    used: str
    purpose: str
    facts: tuple[Fact, ...]
    permissions: Permissions | None
    begin: Action | None = None
    actions: tuple[Action, ...] = ()
    more: tuple[Action, ...] = ()
    stops: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    outcome: str = ""
    news: str = ""
    focus: str = ""
    fingerprint: str = ""
    named: str = ""
    is_default: bool = False
    refused: str = ""

    @property
    def every_action(self) -> tuple[Action, ...]:
        """Return all buttons and links of the card, in the order of the page."""
        note = self.note or CardNote("info", "")
        some = (self.begin, *note.actions, note.elsewhere, note.away, *self.actions, *self.more)
        return tuple(action for action in some if action)

    @property
    def seen(self) -> str:
        """Return the page's own word for this card when it polls for news."""
        return self.fingerprint and f"{self.name}.{self.fingerprint}"

    @property
    def spoken(self) -> str:
        """Return the sentence for the live region."""
        return self.news or f"{self.label}: {self.tag}."


class Standing(Struct, frozen=True):
    """The part of a card that a summary of all tells."""

    name: str
    label: str
    state: str
    tone: Tone
    form: Form


T = TypeVar("T", bound="Card | Standing")


def worst_first(cards: Iterable[T]) -> list[T]:
    """Sort cards that need the person: what has ended before what is short of something."""
    return sorted(cards, key=lambda card: card.tone != "bad")


class Summary(Struct, frozen=True):
    """A sentence about all cards, or links to those that need the person: ``one`` or ``many``.

    ``leads`` is the first of these: it alone has a primary button.
    """

    text: str
    number: str = ""
    attention: tuple[Link, ...] = ()
    leads: str = ""
