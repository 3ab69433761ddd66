"""The buttons and links of a card: which, where on it, with what address and label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from webui.cards.model import Action, Form
from webui.cards.parts import About
from webui.cards.questions import Question, questions
from webui.cards.states import (
    ACTIONS,
    AWAY,
    BASES,
    ELSEWHERE,
    FOLDED,
    STORED,
    TROUBLED,
    WORKING,
    Base,
    Kind,
    Outcome,
    Style,
)
from webui.oauth_manager.values import Struct, replace
from webui.text.labels import is_web_address


class Controls(Struct, frozen=True):
    """Buttons by their place: an offer's own, those of the note, the first, and the fold's.

    ``elsewhere`` is the link of the note to the provider's own list, ``away`` dismisses it.
    """

    begin: Action | None
    noted: tuple[Action, ...]
    elsewhere: Action | None
    away: Action | None
    first: tuple[Action, ...]
    folded: tuple[Action, ...]


def offered(base: Base, result: Outcome | None) -> tuple[str, ...]:
    """Return keys of the actions; the way back to access is always among them."""
    keys = (result and result.actions) or base.actions
    if any(_connects(key) for key in keys):
        return keys
    return (*keys, *(key for key in base.actions if _connects(key)))


def _connects(key: str) -> bool:
    return ACTIONS[key].path == "connect"


def controls(about: About, keys: Iterable[str], form: Form) -> Controls:
    """Put the actions ``keys`` in their places.

    An open card has all that there is to do in one row of buttons; elsewhere those that
    an outcome brings stand with its words.
    """
    base, keys = BASES[about.key].actions, tuple(_of_app(about, keys))
    near = [key for key in keys if key not in FOLDED | AWAY | ELSEWHERE]
    first, noted = _first_and_noted(base, near, form)
    begins = (key for key in keys if form == "offer" and _connects(key))
    folded: list[str] = [
        key for key in ("check", "install", "disconnect") if key in base or key in keys
    ]
    if about.screen.where == "detail" and about.key in WORKING | TROUBLED:
        folded.insert(-1, "add")
    return Controls(
        begin=_one(about, begins, "soft"),
        noted=actions(about, noted, ""),
        elsewhere=_one(about, (key for key in keys if key in ELSEWHERE)),
        away=_one(about, (key for key in keys if key in AWAY)),
        first=actions(about, first, "primary" if form == "card" else ""),
        folded=actions(about, folded, ""),
    )


def _of_app(about: About, keys: Iterable[str]) -> Iterator[str]:
    """Yield the actions, with an app's installation in place of asking for permissions."""
    is_app = about.provider.is_app
    for key in keys:
        yield "install" if is_app and key == "allow" else key
        if is_app and key == "check" and about.key in WORKING:
            yield "install"


def _first_and_noted(
    base: tuple[str, ...], near: list[str], form: Form
) -> tuple[list[str], list[str]]:
    """Divide the actions into those of the card and those of the note; one way back is enough."""
    if form == "card":
        return near, []
    noted = [key for key in near if key not in base]
    if form == "offer":
        return [], [key for key in noted if not _connects(key)]
    first = [key for key in base if key not in FOLDED]
    if any(_connects(key) for key in noted):
        first = [key for key in first if not _connects(key)]
    return first, noted


def _one(about: About, keys: Iterable[str], must: Style = "") -> Action | None:
    return next(iter(actions(about, keys, must)), None)


def actions(about: About, keys: Iterable[str], must: Style) -> tuple[Action, ...]:
    """Make the buttons; "disconnect" only if something is stored, a link only if it has an address.

    ``must`` is the style of the first that gives access: one is the thing to do.
    """
    made: list[Action] = []
    for key in keys:
        kind = ACTIONS[key]
        if key == "disconnect" and about.key not in STORED:
            continue
        action = _action(about, key, kind, must)
        must = "" if kind.style == "must" else must
        made += [action] if action.url else []
    return tuple(made)


def _action(about: About, key: str, kind: Kind, must: Style) -> Action:
    is_to_ask = kind.path == "connect" and bool(about.provider.ask)
    if is_to_ask and about.screen.where != "detail":  # its page has the room to ask
        kind = replace(kind, method="get")
        url, hx_url = f"/connections/{about.provider.name}", ""
    else:
        url, hx_url = _addresses(about, kind)
    if kind.intent == "add":
        hx_url = ""  # it leads to a page, also if there are too many
    label = about.say(f"action.{_words(about, key, kind)}")
    return Action(
        id=f"conn-{about.provider.name}-{key}",
        label=label,
        method=kind.method,
        url=url,
        style=must if kind.style == "must" else kind.style,
        suffix=about.provider.label if kind.path and about.provider.label not in label else "",
        busy=about.say(f"action.{kind.busy}") if kind.busy else "",
        hx_url=hx_url,
        fields=_fields(about, kind),
        questions=_questions(about) if is_to_ask and kind.method == "post" else (),
        hint=_hint(about) if kind.intent == "add" else "",
    )


def _hint(about: About) -> str:
    """Say what to do at a service that does not ask which account to use."""
    if about.provider.account_picker:
        return ""
    return about.provider.account_choice or about.say("action.add_hint")


def _questions(about: About) -> tuple[Question, ...]:
    """Return what the connection's address needs of the person, with what it has been."""
    known = about.connection.asked if about.connection else {}
    return questions(about.provider, known, f"conn-{about.provider.name}-ask")


def _words(about: About, key: str, kind: Kind) -> str:
    """Return the label's key: a connection that no longer works cannot be kept connected."""
    if key == "keep" and about.key not in WORKING | TROUBLED:
        return "not_now"
    return kind.words or key


def _addresses(about: About, kind: Kind) -> tuple[str, str]:
    """Return the address of the plain link or form, and that for htmx (``""``: none)."""
    card = f"/connections/{about.provider.name}"
    is_alone = about.screen.where == "detail"
    page = card if is_alone else "/connections"
    here = "?return=detail" if is_alone else ""
    match kind.path:
        case "" | "install":
            provider = about.provider
            address = provider.install_url if kind.path else provider.own_manage_url
            return (address if is_web_address(address) else ""), ""
        case "keep":
            back = f"{card}?from=confirm"
            return f"{page}#conn-{about.provider.name}-t", "" if is_alone else back
        case "switch":
            return f"{card}/switch", ""
        case "look":
            return page, f"{card}{here}"
        case "disconnect" if kind.method == "get":
            # Alone on its page the question is a page too: what stands around it would stay.
            return f"{card}/disconnect{here}", "" if is_alone else f"{card}/disconnect"
        case path:
            return f"{card}/{path}", f"{card}/{path}"


def _fields(about: About, kind: Kind) -> tuple[tuple[str, str], ...]:
    if kind.method == "get":
        return ()
    again = "add" if about.is_adding else "reconnect"
    intent = kind.intent or (again if about.key in STORED else "connect")
    where = ("return", about.screen.where)
    return (("intent", intent), where) if kind.path == "connect" else (where,)
