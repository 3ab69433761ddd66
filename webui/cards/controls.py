"""The buttons and links of a card: which, in what order, with what address and label."""

from __future__ import annotations

from collections.abc import Iterable

from webui.cards.model import Action
from webui.cards.parts import About
from webui.cards.states import ACTIONS, STORED, TROUBLED, WORKING, Base, Kind, Outcome, Style, Tone
from webui.text.labels import is_web_address


def offered(base: Base, result: Outcome | None) -> tuple[str, ...]:
    """Return keys of the actions; the way back to access is always among them."""
    keys = (result and result.actions) or base.actions
    if any(ACTIONS[key].path == "connect" for key in keys):
        return keys
    return (*keys, *(key for key in base.actions if ACTIONS[key].path == "connect"))


def actions(about: About, keys: Iterable[str], tone: Tone) -> tuple[Action, ...]:
    """Make the buttons; "disconnect" only if something is stored, a link only if it has an address.

    ``tone`` is that of the card's tag.
    """
    made = (
        _action(about, key, ACTIONS[key], tone)
        for key in keys
        if key != "disconnect" or about.key in STORED
    )
    return tuple(action for action in made if action.url)


def _action(about: About, key: str, kind: Kind, tone: Tone) -> Action:
    url, hx_url = _addresses(about, kind)
    label = about.say(f"action.{_words(about, key, kind)}")
    return Action(
        id=f"conn-{about.provider.name}-{key}",
        label=label,
        method=kind.method,
        url=url,
        style=_style(kind, tone),
        suffix=about.provider.label if kind.path and about.provider.label not in label else "",
        busy=about.say(f"action.{kind.busy}") if kind.busy else "",
        hx_url=hx_url,
        fields=_fields(about, kind),
        starts=key == "connect",
    )


def _words(about: About, key: str, kind: Kind) -> str:
    """Return the label's key: a connection that no longer works cannot be kept connected."""
    if key == "keep" and about.key not in WORKING | TROUBLED:
        return "not_now"
    return kind.words or key


def _style(kind: Kind, tone: Tone) -> Style:
    if kind.style != "must":
        return kind.style
    return "primary" if tone in ("bad", "warn") else "secondary"


def _addresses(about: About, kind: Kind) -> tuple[str, str]:
    """Return the address of the plain link or form, and that for htmx (``""``: none)."""
    card = f"/connections/{about.provider.name}"
    page = card if about.screen.where == "detail" else "/connections"
    here = "?return=detail" if about.screen.where == "detail" else ""
    match kind.path:
        case "":
            address = about.provider.own_manage_url
            return (address if is_web_address(address) else ""), ""
        case "keep":
            back = f"{card}?from=confirm{here.replace('?', '&')}"
            return f"{page}#conn-{about.provider.name}-t", back
        case "switch":
            return f"{card}/switch", ""
        case "look":
            return page, f"{card}{here}"
        case "disconnect" if kind.method == "get":
            return f"{card}/disconnect{here}", f"{card}/disconnect{here}"
        case path:
            return f"{card}/{path}", f"{card}/{path}"


def _fields(about: About, kind: Kind) -> tuple[tuple[str, str], ...]:
    if kind.method == "get":
        return ()
    intent = kind.intent or ("reconnect" if about.key in STORED else "connect")
    where = ("return", about.screen.where)
    return (("intent", intent), where) if kind.path == "connect" else (where,)
