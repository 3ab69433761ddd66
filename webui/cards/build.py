"""``make_card``: from a connection and the outcome of the last action to a card."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from webui.cards import parts
from webui.cards.accounts import of_service, parted
from webui.cards.controls import Controls, actions, controls, offered
from webui.cards.model import (
    Card,
    CardNote,
    Focus,
    Form,
    Group,
    Line,
    Link,
    Screen,
    Standing,
    Summary,
    worst_first,
)
from webui.cards.states import (
    BASES,
    ENDED,
    ENDINGS,
    LEFT,
    LINES,
    OPEN,
    OUTCOMES,
    REASONS,
    STORED,
    WORKING,
    Outcome,
    Tone,
)
from webui.oauth_manager import Connection, OAuthProvider, Profile, Status
from webui.oauth_manager.values import Struct, replace
from webui.sessions.note import Note
from webui.text import words
from webui.text.labels import clean_label
from webui.text.times import ago

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
    return _troubled_key(connection.profile) or _working_key(provider, connection, now)


def _ending_key(profile: Profile) -> str:
    return ENDINGS.get(profile.problem_kind) or REASONS.get(profile.problem, "reconnect")


def _troubled_key(profile: Profile) -> str:
    if profile.is_stuck:
        return "troubled_stuck"
    return _TROUBLES.get(profile.trouble, "")


def _working_key(provider: OAuthProvider, connection: Connection, now: float) -> str:
    is_of_app = provider.is_of_app(can_renew=connection.has_refresh_token)
    if connection.is_limited and not (is_of_app and not connection.scopes):
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
    shown = _resolve(key, note, connection)
    is_adding = shown.note is not None and shown.note.is_adding
    about = parts.About(key, provider, connection, screen, is_adding)
    placed = controls(about, shown.actions, shown.form)
    card = _without_outcome(about, shown, placed)
    if shown.note and shown.outcome:
        card = _with_outcome(card, about, shown.note, shown.outcome, placed)
    return replace(card, focus=_focus(card, focus))


def _without_outcome(about: parts.About, shown: _Shown, placed: Controls) -> Card:
    """Make the card of what is stored, drawn as the outcome makes it, without its words."""
    provider, connection = about.provider, about.connection
    told = shown.note.key if shown.note else ""
    matter = parts.matter(about)
    line, sign = LINES.get(shown.state) or LINES[BASES[about.key].state]
    return Card(
        state=shown.state,
        name=provider.name,
        label=provider.label,
        title=matter.title if matter and shown.form == "card" else provider.label,
        mark=parted(provider.name)[0],
        where=about.screen.where,
        form=shown.form,
        group=_group(shown),
        stored=about.key in STORED,
        line=line,
        sign="ask" if told == "asked" else sign,
        tag=words.text(f"tag.{shown.tag}"),
        tone=shown.tone,
        account=_account(connection) if connection else "",
        about=matter,
        note=None,
        status=Line(shown.tone, matter.title) if matter and shown.form == "row" else None,
        used=_used(connection, about.screen.now) if connection and about.key in WORKING else "",
        purpose=parts.purpose(about),
        facts=parts.facts(about),
        permissions=parts.permissions(about, shown.actions),
        begin=placed.begin,
        actions=placed.first,
        more=placed.folded,
        fingerprint=_fingerprint(about, told),
        **_own_name(about),
    )


def _own_name(about: parts.About) -> dict[str, Any]:
    """Return what one of several accounts is called, and if it is the default; nothing of none."""
    known = about.connection
    if known is None or about.key not in STORED:
        return {}
    return {"named": known.name, "is_default": known.is_default}


def _account(connection: Connection) -> str:
    """Name the account, and the shop or the region that it is of."""
    return " \u00b7 ".join(filter(None, map(clean_label, _names(connection))))


def _names(connection: Connection) -> Iterator[str]:
    yield connection.profile.account.label
    yield from connection.asked.values()


def _used(connection: Connection, now: float) -> str:
    """Say how long ago it was used."""
    at = connection.profile.used_at
    if at <= 0:
        return words.text("row.unused")
    return words.markup("row.used", time=ago(at, now))


def standing(
    provider: OAuthProvider, connection: Connection, note: Note | None, screen: Screen
) -> Standing:
    """Tell what :func:`summarize` wants of the same card, without making it."""
    shown = _resolve(base_key(provider, connection, screen.now), note, connection)
    return Standing(provider.name, provider.label, shown.state, shown.tone, shown.form)


class _Shown(Struct, frozen=True):
    """The stored state and the last outcome, resolved into one; no ``note``, no ``outcome``."""

    state: str
    tag: str
    tone: Tone
    form: Form
    actions: tuple[str, ...]
    note: Note | None = None
    outcome: Outcome | None = None


def _resolve(key: str, note: Note | None, connection: Connection | None) -> _Shown:
    """Lay an outcome over a base, if it can still be true of it."""
    base = BASES[key]
    form: Form = "card" if base.tone in ("bad", "warn") else "row" if key in STORED else "offer"
    outcome = OUTCOMES.get(note.key) if note else None
    if note is None or outcome is None or key not in outcome.over or _is_answered(note, connection):
        return _Shown(base.state, base.tag, base.tone, form, offered(base, None))
    tagged = outcome if outcome.tag and key not in WORKING else base
    actions = offered(base, outcome)
    form = "card" if note.key in OPEN else form
    state = outcome.state or base.state
    return _Shown(state, tagged.tag, tagged.tone, form, actions, note, outcome)


def _group(shown: _Shown) -> Group:
    if shown.form == "card":
        return "needs"
    if shown.form == "row":
        return "connected"
    return "just" if shown.state in LEFT else "more"


def _with_outcome(
    card: Card, about: parts.About, note: Note, outcome: Outcome, placed: Controls
) -> Card:
    """Return the card with the last action's outcome, in its title, its news and its text."""
    if about.is_adding and about.connection:
        about = replace(about, provider=of_service(about.provider, about.connection.name))
    card = replace(card, outcome=parts.title(about, note), news=parts.news(about, note, outcome))
    if about.key in outcome.silent:
        return card
    if outcome.is_line:
        return replace(card, status=parts.line(about, note, outcome))
    told = replace(
        parts.outcome_note(about, note, outcome),
        actions=placed.noted,
        elsewhere=placed.elsewhere,
        away=placed.away,
    )
    if note.key in OPEN:
        return replace(card, title=told.title, about=told)
    return replace(card, note=told)


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
    account = _account(known) if known else ""
    named = (known.name, known.is_default) if known and known.name else ()
    standing = repr((about.key, account, scopes, parts.matter(about), told, going_on, *named))
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
            has_it = any(action.id == wanted for action in card.every_action)
            return wanted if has_it else f"conn-{card.name}-t"


def confirm_card(provider: OAuthProvider, connection: Connection | None, screen: Screen) -> Card:
    """Make the card that asks: the question, what stops, what stays, and two buttons."""
    key = base_key(provider, connection, screen.now)
    about = parts.About(key, provider, connection, screen)
    card = make_card(provider, connection, None, screen)
    is_over = key in ENDED or key == "unreadable"
    if is_over:
        asks = "unreadable" if key == "unreadable" else "gone"
    else:
        asks = "asks" if provider.can_revoke and provider.is_configured else "own_list"
    title = about.say("card.asking.title")
    said = about.say(f"card.asking.{asks}"), about.say("card.asking.again")
    return replace(
        card,
        state="asking",
        form="card",
        title=title,
        sign="ask",
        about=CardNote(card.tone, title, said),
        note=None,
        status=None,
        facts=(),
        permissions=None,
        begin=None,
        actions=actions(about, ("keep", "confirm"), ""),
        more=(),
        stops=() if is_over else parts.stops(about),
        stays=(about.say("card.asking.account"), about.say("card.asking.others")),
        focus=f"conn-{provider.name}-t",
        fingerprint="",
    )


def summarize(cards: Iterable[Card | Standing], screen: Screen) -> Summary:
    """Summarize how many are connected, and which need the person; other notes do not count."""
    cards = tuple(cards)
    connected = sum(card.form == "row" and card.state != "not_set_up" for card in cards)
    needing = worst_first(card for card in cards if card.form == "card")
    if needing:
        links = tuple(Link(card.label, f"#conn-{card.name}-t") for card in needing)
        return Summary("", "one" if len(needing) == 1 else "many", links, needing[0].name)
    if connected:
        return Summary(words.text("list.connected", count=connected))
    return Summary(words.text(f"list.none_{'connected' if cards else 'set_up'}", bot=screen.bot))
