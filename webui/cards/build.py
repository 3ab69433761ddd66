"""``make_card``: from a connection and the outcome of the last action to a card."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from webui.cards import controls, parts
from webui.cards.model import Card, Focus, Link, Screen, Standing, Summary
from webui.cards.states import (
    BASES,
    ENDED,
    ENDINGS,
    OUTCOMES,
    REASONS,
    STORED,
    WORKING,
    Outcome,
    Tone,
)
from webui.oauth_manager import Connection, OAuthProvider, Profile, Status
from webui.sessions.note import Note
from webui.text import words
from webui.text.labels import clean_label, isolated

_TROUBLES = {
    "provider": "troubled",
    "refused": "troubled_refused",
    "rejected": "troubled_rejected",
    "setup": "setup",
}


def base_key(provider: OAuthProvider, connection: Connection | None, now: float) -> str:
    """Return the key of ``BASES`` for the stored connection; ``now`` in epoch seconds."""
    status = connection.status if connection else Status.NOT_CONNECTED
    if connection is None or status is Status.NOT_CONNECTED:
        return "not_connected" if provider.is_configured else "not_set_up"
    if not provider.is_configured:
        return "not_set_up_kept"
    if status is Status.UNREADABLE:
        return "unreadable"
    if not connection.has_refresh_token and 0 < connection.expires_at <= now:
        return "reconnect_timed"
    if status is Status.RECONNECT_NEEDED:
        return _ending_key(connection.profile)
    return _troubled_key(connection.profile) or _working_key(connection, now)


def _ending_key(profile: Profile) -> str:
    return ENDINGS.get(profile.problem_kind) or REASONS.get(profile.problem, "reconnect")


def _troubled_key(profile: Profile) -> str:
    if profile.is_stuck:
        return "troubled_stuck"
    return _TROUBLES.get(profile.trouble, "")


def _working_key(connection: Connection, now: float) -> str:
    if connection.is_limited:
        return "limited"
    if connection.ends_soon(now):
        return "ending_soon"
    if connection.lacking_scopes:
        return "connected_limited_by_choice"
    return "renewing" if 0 < connection.expires_at <= now else "connected"


def make_card(
    provider: OAuthProvider,
    connection: Connection | None,
    note: Note | None,
    screen: Screen,
    focus: Focus = "",
) -> Card:
    """Make the card of one service.

    A note that is no longer true of this connection is left out.  ``focus`` is
    for a fragment that a person asked for: ``result`` is the note or else the
    heading, ``heading`` always that, ``disconnect`` the button of that name.
    """
    key = base_key(provider, connection, screen.now)
    about = parts.About(key, provider, connection, screen)
    shown = _resolve(key, note, connection)
    card = Card(
        state=shown.state,
        name=provider.name,
        label=provider.label,
        title=provider.label,
        mark=provider.name,
        where=screen.where,
        stored=key in STORED,
        tag=words.text(f"tag.{shown.tag}"),
        tone=shown.tone,
        account=clean_label(connection.profile.account.label) if connection else "",
        note=parts.note(about),
        line=None,
        body=parts.body(about, shown.actions),
        facts=parts.facts(about),
        permissions=parts.permissions(about, shown.actions),
        actions=controls.actions(about, shown.actions, shown.tone),
        fingerprint=_fingerprint(about, shown.note.key if shown.note else ""),
    )
    if shown.note and shown.outcome:
        card = _with_outcome(card, about, shown.note, shown.outcome)
    return replace(card, focus=_focus(card, focus))


def standing(
    provider: OAuthProvider, connection: Connection, note: Note | None, screen: Screen
) -> Standing:
    """Tell what :func:`summarize` wants of the same card, without making it."""
    shown = _resolve(base_key(provider, connection, screen.now), note, connection)
    return Standing(provider.name, provider.label, shown.state, shown.tone)


@dataclass(frozen=True, slots=True)
class _Shown:
    """The stored state and the last outcome, resolved into one; no ``note``, no ``outcome``."""

    state: str
    tag: str
    tone: Tone
    actions: tuple[str, ...]
    note: Note | None = None
    outcome: Outcome | None = None


def _resolve(key: str, note: Note | None, connection: Connection | None) -> _Shown:
    """Lay an outcome over a base, if it can still be true of it."""
    base = BASES[key]
    outcome = OUTCOMES.get(note.key) if note else None
    if note is None or outcome is None or key not in outcome.over or _is_answered(note, connection):
        return _Shown(base.state, base.tag, base.tone, controls.offered(base, None))
    tagged = outcome if outcome.tag and key not in WORKING else base
    actions = controls.offered(base, outcome)
    return _Shown(outcome.state or base.state, tagged.tag, tagged.tone, actions, note, outcome)


def _with_outcome(card: Card, about: parts.About, note: Note, outcome: Outcome) -> Card:
    """Return the card with the last action's outcome, in its title, its news and its text."""
    card = replace(card, outcome=parts.title(about, note), news=parts.news(about, note, outcome))
    if about.key in outcome.silent:
        return card
    if outcome.is_line:
        return replace(card, line=parts.line(about, note, outcome))
    return replace(card, note=parts.outcome_note(about, note, outcome))


def _is_answered(note: Note, connection: Connection | None) -> bool:
    """Return whether the awaited outcome has come, in whichever browser."""
    is_waiting = note.key in ("waiting", "still_waiting")
    return is_waiting and connection is not None and connection.profile.connected_at > note.at


def _fingerprint(about: parts.About, outcome: str) -> str:
    """Return twelve hex digits, the same in every process and on every page.

    The outcome of an action is news only to the page of its button, unless it is still going on.
    """
    about = replace(about, screen=replace(about.screen, where="list"))
    known = about.connection
    scopes = (known.scopes, known.missing_scopes) if known else ()
    told = [fact for fact in parts.facts(about) if not fact.is_quiet]
    goes_on = outcome == "asked" or (
        outcome and OUTCOMES[outcome].state in ("waiting", "disconnecting")
    )
    going_on = outcome if goes_on else ""
    account = known.profile.account.label if known else ""
    standing = repr((about.key, account, scopes, parts.note(about), told, going_on))
    return hashlib.blake2s(standing.encode(errors="replace"), digest_size=6).hexdigest()


def _focus(card: Card, focus: Focus) -> str:
    match focus:
        case "":
            return ""
        case "result":
            return f"conn-{card.name}-{'n' if card.note else 't'}"
        case "heading":
            return f"conn-{card.name}-t"
        case "disconnect":
            wanted = f"conn-{card.name}-disconnect"
            has_it = any(action.id == wanted for action in card.actions)
            return wanted if has_it else f"conn-{card.name}-t"


def confirm_card(provider: OAuthProvider, connection: Connection | None, screen: Screen) -> Card:
    """Make the card that asks: the question, what stops, what stays, and two buttons."""
    key = base_key(provider, connection, screen.now)
    about = parts.About(key, provider, connection, screen)
    card = make_card(provider, connection, None, screen)
    if key in ENDED or key == "unreadable":
        stops = "unreadable" if key == "unreadable" else "gone"
    else:
        stops = "asks" if provider.can_revoke and provider.is_configured else "own_list"
    account = isolated(card.account) if card.account else about.say("card.asking.your_account")
    return replace(
        card,
        state="asking",
        title=about.say("card.asking.title"),
        note=None,
        body=(
            words.markup(f"card.asking.{stops}", account=account, **about.names),
            about.say("card.asking.stays"),
        ),
        facts=(),
        permissions=None,
        actions=controls.actions(about, ("keep", "confirm"), card.tone),
        focus=f"conn-{provider.name}-t",
        fingerprint="",
    )


def changed(cards: Iterable[Card], seen: Collection[str]) -> list[Card]:
    """Return the cards that a page shows differently; ``seen`` is every ``Card.seen`` it sent."""
    shown = {mark.partition(".")[0] for mark in seen}
    return [card for card in cards if card.name in shown and card.seen not in seen]


def summarize(cards: Iterable[Card | Standing], screen: Screen) -> Summary:
    """Summarize how many are connected, and which need attention; notes do not count."""
    cards = tuple(cards)
    connected = sum(
        card.tone == "ok" or card.state in ("provider_trouble", "setup") for card in cards
    )
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
    return Summary(words.text(f"list.none_{'connected' if cards else 'set_up'}", bot=screen.bot))
