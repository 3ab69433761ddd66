"""Choice of the notes to show: the key for each result, which notes show, and for how long."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from webui.oauth_manager import LINK_CODE_TTL, Connection, Health, RevokeOutcome, Status
from webui.oauth_manager.storage import HELD_SECONDS, OFFER_SECONDS
from webui.oauth_manager.values import replace
from webui.sessions.note import CANCELLED, DELIVERED, NOTE_SECONDS, Note, is_cancelled

AFTER_DISCONNECT = {
    RevokeOutcome.REVOKED: "disconnected",
    RevokeOutcome.UNCONFIRMED: "still_listed",
    RevokeOutcome.UNSUPPORTED: "own_list",
    RevokeOutcome.NOTHING: "already_disconnected",
    RevokeOutcome.ENDED: "already_ended",
}
AFTER_ASKING_AGAIN = {**AFTER_DISCONNECT, RevokeOutcome.UNCONFIRMED: "asked_again"}
# The card of a service that is no longer connected says so itself.
AFTER_CHECK = {
    Health.WORKING: "checked",
    Health.RECONNECT_NEEDED: "checked_ended",
    Health.PROVIDER_TROUBLE: "checked_trouble",
    Health.REFUSED: "checked_refused",
    Health.REJECTED: "checked_rejected",
    Health.UNCHECKED: "checked_unchecked",
    Health.MISCONFIGURED: "checked_misconfigured",
}

WAITING_SECONDS = 120.0  # how long a page polls for news by itself
# Longer than a provider may take: the process that was asking it is gone.
DISCONNECTING_SECONDS = 30.0

# Until the person has looked at the provider, or until it is over.
_LASTING = {"still_listed", "ask_again", "asked_again", "own_list"}
_GOING_ON = {"waiting", "still_waiting", "disconnecting", "asked"}
# Of a disconnect that is on record.
RECEIPTED = frozenset({"disconnected", "already_ended", "too_many_retries"}) | _LASTING
_ENDED = RECEIPTED | {"disconnecting", "already_disconnected"}
_OF_NO_CARD = {CANCELLED, DELIVERED}
_CANCELLED_BY_HAND = {"waiting", "needs_admin"}


def unanswered(notes: Mapping[str, Note], now: float) -> list[str]:
    """List the services whose question was over lately, and may not have been answered."""
    over = ((name, now - note.until) for name, note in notes.items() if note.key == "asked")
    return [name for name, age in over if 0 <= age < OFFER_SECONDS]


def notes_to_show(notes: Mapping[str, Note], now: float) -> dict[str, Note]:
    """Return the notes to show ``now``, by service.

    The latest alone, those of disconnects, and those that go on or ask for something.
    """
    shown = {
        name: today
        for name, note in notes.items()
        if (today := _as_of(note, now))
        and not (note.key in _CANCELLED_BY_HAND and is_cancelled(notes, name, note.at))
        and note.key not in _OF_NO_CARD
    }
    latest = max((note.at for note in shown.values()), default=0.0)
    stay = _LASTING | _GOING_ON | RECEIPTED
    return {name: note for name, note in shown.items() if note.at == latest or note.key in stay}


def of_the_store(note: Note | None, connection: Connection) -> Note | None:
    """Return the note of a disconnect that is not confirmed, for any browser.

    ``note`` is that of this browser's session; a later attempt wins.
    """
    key = {"asking": "disconnecting", "unconfirmed": "ask_again"}.get(connection.ending)
    if key is None or (note and note.key not in ("disconnecting", "still_listed", "ask_again")):
        return note
    until = connection.ending_until
    return Note(key, at=until - HELD_SECONDS, until=until if key == "ask_again" else 0.0)


def ended_accounts(notes: Mapping[str, Note], known: Collection[Connection]) -> list[Connection]:
    """Return the accounts, each one of several, that ended so lately that their notes are shown.

    ``notes`` are by place.  Nothing is stored of such an account, and its card tells what came
    of the disconnect, unless it is connected again in another place.
    """
    ended = [place for place, note in notes.items() if "~" in place and note.key in _ENDED]
    accounts = [_ended(place, notes[place]) for place in ended]
    return [one for one in accounts if one.name and not _is_there(one, known)]


def _ended(place: str, note: Note) -> Connection:
    provider, _, slot = place.partition("~")
    return Connection(provider, Status.NOT_CONNECTED, name=note.account or slot, slot=slot)


def _is_there(account: Connection, known: Collection[Connection]) -> bool:
    """Tell whether its place is taken, or it has another one, or its service is none of ours."""
    own = [one for one in known if one.provider == account.provider]
    names = {told for one in own for told in (one.place, one.name, one.profile.account.label)}
    return not own or account.place in names or account.name in names


def newest(notes: Mapping[str, Note], now: float) -> str:
    """Return the service of the last action, while that is news; ``""`` if none.

    An earlier action is old news, even if it still shows on a card.
    """
    last = max(notes, key=lambda name: notes[name].at, default="")
    return last if last and now - notes[last].at < NOTE_SECONDS else ""


def _as_of(note: Note, now: float) -> Note | None:
    age = now - note.at
    match note.key:
        case "waiting" if age >= LINK_CODE_TTL:
            return None
        case "waiting" if age >= WAITING_SECONDS:
            return replace(note, key="still_waiting")
        case "disconnecting" if age >= DISCONNECTING_SECONDS:
            return replace(note, key="still_listed")
        case "asked" if note.until <= now:
            return replace(note, key="not_answered") if age < NOTE_SECONDS else None
        case "still_listed" if note.until > now:
            return replace(note, key="ask_again")
        case "asked_again" if note.until <= now:
            return replace(note, key="still_listed")
        case key:
            return note if age < NOTE_SECONDS or key in _LASTING else None
