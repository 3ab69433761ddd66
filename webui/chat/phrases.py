"""Times, names, permissions and the state of a connection, as the bot says them in chat."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from webui.oauth_manager import Connection, OAuthProvider, Status
from webui.text import words
from webui.text.labels import clean_label
from webui.text.permissions import permission_groups
from webui.text.times import MINUTE, WEEK, largest_unit

MOST_PERMISSIONS = 5  # of one message; chat services cut long ones off
_LAST_MOMENT = 253_402_300_799.0  # the end of the year 9999; a provider may claim any number


def say(key: str, **values: object) -> str:
    return words.text(f"chat.{key}", **values)


def split_link(text: str) -> tuple[str, str]:
    """Split a text into the text without its link, and the link, ``""`` if there is none."""
    rest, _, last = text.rpartition("\n")
    is_link = last.startswith(("https://", "http://"))
    return (rest, last) if is_link else (text, "")


def for_model(text: str) -> str:
    """Return the text as a model may read it; its link goes to the person by another way."""
    rest, url = split_link(text)
    return f"{rest} {say('model')}" if url else text


def span(seconds: float) -> str:
    """Say a length of time in its largest unit, rounded down, at least a minute: "2 hours".

    A chat knows no zone, so a clock's time would be somebody else's.
    """
    unit, count = largest_unit(seconds)
    return say(f"{unit}s", count=count) if count > 1 else say(unit)


def moment(epoch: float, now: float) -> str:
    """Say a past or future time: "2 hours ago", "in 3 days", and from a week on the date."""
    away = epoch - now
    if abs(away) >= WEEK:
        day = datetime.fromtimestamp(min(max(epoch, 0.0), _LAST_MOMENT), UTC)
        return say("on", date=f"{day.day} {day:%B %Y}")
    if -MINUTE < away <= 0:
        return say("lately")
    return say("in" if away > 0 else "ago", span=span(abs(away)))


def account_name(label: str) -> str:
    """Return the cleaned label; one that runs from right to left is isolated."""
    shown = clean_label(label)
    turns = any(unicodedata.bidirectional(character) in ("R", "AL") for character in shown)
    return f"\u2068{shown}\u2069" if turns else shown


def abilities(provider: OAuthProvider, scopes: Iterable[str], *, allowed: bool = True) -> str:
    """List the permissions of scopes, strongest first, for use in a sentence; ``""`` for none."""
    groups = permission_groups(provider, scopes, "me", "me", strongest_first=True, allowed=allowed)
    found = [
        f"“{clean_label(sentence)}”" if group.name == "Unknown" else sentence
        for group in groups
        for sentence in group.sentences
    ]
    shown = "; ".join(found[:MOST_PERMISSIONS])
    rest = len(found) - MOST_PERMISSIONS
    return say("and_more", shown=shown, count=rest) if rest > 0 else shown


def lost(connection: Connection) -> str:
    """Say what does not work without the missing permissions, ``""`` if all does."""
    features = connection.lacking_features
    if not features:
        return ""
    shown = ", ".join(account_name(name) for name in features[:MOST_PERMISSIONS])
    rest = len(features) - MOST_PERMISSIONS
    if rest > 0:
        shown = words.text("feature.more", shown=shown, count=rest)
    return words.text("feature.lost", features=shown)


def names_of(provider: OAuthProvider, name: str) -> dict[str, str]:
    """Return the words for a service, or for the account of it that the person calls ``name``.

    ``provider`` is for a sentence, ``name`` for what the person sends to the bot.
    """
    if not name:
        return {"provider": provider.label, "name": provider.name}
    return {
        "provider": say("account", provider=provider.label, account=account_name(name)),
        "name": say("as", name=provider.name, account=name),
    }


def named(key: str, provider: OAuthProvider, label: str, name: str = "") -> str:
    """Say a sentence with the account's label, or its other form if that is not known.

    ``name`` is what the person calls it, ``""`` if they have one account.
    """
    shown = account_name(label)
    key = key if shown else f"{key}_unknown"
    return words.text(key, account=shown, **names_of(provider, name))


def standing(provider: OAuthProvider, connection: Connection) -> str:
    """Describe a connection in one line for a list."""
    names = names_of(provider, connection.name)
    if connection.status is Status.NOT_CONNECTED and not provider.is_configured:
        return say("not_set_up", **names)
    if connection.status is not Status.CONNECTED:
        return say(connection.status.value, **names)
    line = [named("chat.connected", provider, connection.profile.account.label, connection.name)]
    if connection.profile.trouble:
        line.append(trouble(provider, connection))
    is_of_app = provider.is_of_app(can_renew=connection.has_refresh_token)
    if is_of_app and not connection.scopes:
        line.append(say("uninstalled"))
    elif connection.lacking_scopes:
        line.append(say("limited", **names))
    return " ".join(line)


def trouble(provider: OAuthProvider, connection: Connection) -> str:
    """Say why a connection that is kept does not work just now."""
    profile = connection.profile
    key = "stuck" if profile.is_stuck else profile.trouble
    key = {"provider": "trouble", "setup": "misconfigured"}.get(key, key or "refused")
    return say(key, **names_of(provider, connection.name))


def details(provider: OAuthProvider, connection: Connection, now: float) -> str:
    """Describe one connection with all its details."""
    facts = {
        Status.CONNECTED: _what_it_allows,
        Status.RECONNECT_NEEDED: _why_it_ended,
    }.get(connection.status)
    more = tuple(facts(provider, connection, now)) if facts else ()
    if connection.ending:
        more = (say(f"ending_{connection.ending}", provider=provider.label),)
    return " ".join([standing(provider, connection), *more])


def _what_it_allows(provider: OAuthProvider, connection: Connection, now: float) -> Iterator[str]:
    if since := connection.profile.connected_at:
        yield say("since", when=moment(since, now))
    if can := abilities(provider, connection.scopes):
        yield say("can", can=can)
    if connection.missing_scopes:
        yield say("cannot", cannot=abilities(provider, connection.missing_scopes, allowed=False))
    if not_working := lost(connection):
        yield not_working
    if connection.expires_at and not connection.has_refresh_token:
        yield say("ends", when=moment(connection.expires_at, now))


def _why_it_ended(provider: OAuthProvider, connection: Connection, now: float) -> Iterator[str]:
    if since := connection.profile.problem_since:
        yield say("ended", provider=provider.label, when=moment(since, now))
    elif connection.expires_at:
        yield say("ran_out", when=moment(connection.expires_at, now))
