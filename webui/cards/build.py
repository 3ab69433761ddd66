"""From a connection and the outcome of the last action to a card."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from webui import words
from webui.cards import parts
from webui.cards.model import Card, Link, Summary
from webui.cards.states import BASES, OUTCOMES, STORED
from webui.labels import clean_label, isolated
from webui.oauth_manager.models import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webui.cards.model import Focus, Note, Screen
    from webui.oauth_manager.models import Connection
    from webui.oauth_manager.provider import OAuthProvider


def base_key(provider: OAuthProvider, connection: Connection | None, now: float) -> str:
    """The key of ``BASES`` for what is stored; ``now`` in epoch seconds."""
    status = connection.status if connection else Status.NOT_CONNECTED
    if connection is None or status is Status.NOT_CONNECTED:
        return "S1" if provider.is_configured else "S0"
    if not provider.is_configured:
        return "S0_kept"
    if status is Status.UNREADABLE:
        return "unreadable"
    if status is Status.RECONNECT_NEEDED:
        return "S7"
    is_over = 0 < connection.expires_at <= now
    if is_over and not connection.has_refresh_token:
        return "S7_timed"
    if connection.missing_scopes:
        return "S8"
    return "S5" if is_over else "S4"


def make_card(
    provider: OAuthProvider,
    connection: Connection | None,
    note: Note | None,
    screen: Screen,
    focus: Focus = "",
) -> Card:
    """The card of one service.

    A note that is no longer true of this connection is left out.  ``focus`` is
    for a fragment that a person asked for: ``result`` is the note or else the
    heading, ``disconnect`` the button of that name.
    """
    key = base_key(provider, connection, screen.now)
    if note and note.key == "unavailable":
        key, note = "unavailable", None
    base = BASES[key]
    result = OUTCOMES.get(note.key) if note else None
    if result and key not in result.over:
        result = None
    about = parts.About(key, provider, connection, screen)
    keys = (result and result.actions) or base.actions
    card = Card(
        state=(result and result.state) or base.state,
        name=provider.name,
        label=provider.label,
        title=provider.label,
        where=screen.where,
        stored=key in STORED,
        tag=words.text(f"tag.{base.tag}"),
        tone=base.tone,
        account=clean_label(connection.profile.account.label) if connection else "",
        note=parts.outcome_note(about, note, result) if note and result else parts.note(about),
        body=parts.body(about, keys),
        facts=parts.facts(about),
        permissions=parts.permissions(about, keys),
        actions=parts.actions(about, keys),
        outcome=words.text(f"outcome.{note.key}", **about.names) if note and result else "",
    )
    return replace(card, focus=_focus(card, focus))


def _focus(card: Card, focus: Focus) -> str:
    match focus:
        case "":
            return ""
        case "result":
            return f"conn-{card.name}-{'n' if card.note else 't'}"
        case "disconnect":
            wanted = f"conn-{card.name}-disconnect"
            has_it = any(action.id == wanted for action in card.actions)
            return wanted if has_it else f"conn-{card.name}-t"


def confirm_card(provider: OAuthProvider, connection: Connection | None, screen: Screen) -> Card:
    """The card in state S10: the question, what stops, what stays, and two buttons."""
    key = base_key(provider, connection, screen.now)
    about = parts.About(key, provider, connection, screen)
    card = make_card(provider, connection, None, screen)
    if key in ("S7", "S7_timed", "unreadable"):
        stops = "unreadable" if key == "unreadable" else "gone"
    else:
        stops = "asks" if provider.can_revoke and provider.is_configured else "own_list"
    account = isolated(card.account) if card.account else about.say("card.S10.your_account")
    return replace(
        card,
        state="S10",
        title=about.say("card.S10.title"),
        note=None,
        body=(
            words.markup(f"card.S10.{stops}", account=account, **about.names),
            about.say("card.S10.stays"),
        ),
        facts=(),
        permissions=None,
        actions=parts.actions(about, ("keep", "confirm")),
        focus=f"conn-{provider.name}-t",
    )


def summarize(cards: Iterable[Card], screen: Screen) -> Summary:
    """How many are connected, and which need attention; notes do not count."""
    cards = tuple(cards)
    connected = sum(card.tone == "ok" for card in cards)
    troubled = tuple(
        Link(card.label, f"#conn-{card.name}-t") for card in cards if card.tone in ("bad", "warn")
    )
    if connected or troubled:
        kind = "attention_one" if len(troubled) == 1 else "attention_many"
        return Summary(
            words.text("list.connected", count=connected) if connected else "",
            words.text(f"list.{kind}", count=len(troubled)) if troubled else "",
            troubled,
        )
    if any(card.state == "unavailable" for card in cards):
        return Summary(words.text("list.unavailable"))
    return Summary(words.text(f"list.none_{'connected' if cards else 'set_up'}", bot=screen.bot))
