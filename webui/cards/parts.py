"""The texts of a card: its title, note, news, facts and permissions.

``keys`` are the keys of the actions that the card offers.
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

from webui.cards import features
from webui.cards.accounts import parted
from webui.cards.model import CardNote, Fact, Line, Link, Permissions, Screen
from webui.cards.states import ACTIONS, BASES, ENDED, STORED, TROUBLED, WORKING, Outcome
from webui.oauth_manager import Connection, OAuthProvider
from webui.oauth_manager.providers import template
from webui.oauth_manager.values import Struct, replace
from webui.sessions.note import Note
from webui.text import words
from webui.text.labels import is_web_address, isolated
from webui.text.permissions import permission_groups, sentences
from webui.text.times import when

DAY = 86_400.0
# OpenID Connect Core 5.4 and 11: nobody connects a service for these.
_OF_SIGNING_IN = frozenset({"openid", "offline_access"})


class About(Struct, frozen=True):
    """The facts of one card; ``key`` is one of ``BASES``, ``is_adding`` that of its note."""

    key: str
    provider: OAuthProvider
    connection: Connection | None
    screen: Screen
    is_adding: bool = False

    @property
    def names(self) -> dict[str, str]:
        return {
            "provider": self.provider.label,
            "product": self.screen.product,
            "bot": self.screen.bot,
        }

    @property
    def is_uninstalled(self) -> bool:
        """Return whether an app is connected and, as far as is known, installed nowhere."""
        known = self.connection
        if known is None or self.key not in WORKING or known.scopes:
            return False
        return self.provider.is_of_app(can_renew=known.has_refresh_token)

    def say(self, key: str, **values: str) -> str:
        return words.text(key, **self.names, **values)

    def say_if_any(self, *keys: str, **values: str) -> tuple[str, ...]:
        """Return those of the sentences that the catalogue has."""
        return tuple(self.say(key, **values) for key in keys if key in words.CATALOGUE)

    def say_or_nothing(self, key: str) -> str:
        return "".join(self.say_if_any(key))

    def say_of(self, key: str, note: Note) -> Markup:
        """Say a sentence about an outcome, with its times in it; HTML."""
        times = {
            "at": when(note.at, "time"),
            "time": when(note.until, "time"),
            "now": when(self.screen.now, "second"),
        }
        return words.markup(key, **times, **self.names)

    def link_if_any(self, key: str, url: str) -> Link | None:
        """Make a link to another site, if there is a sentence for it and an address."""
        said = self.say_if_any(key) if is_web_address(url) else ()
        return Link(said[0], url) if said else None


def matter(about: About) -> CardNote | None:
    """Say what the stored connection alone has to tell, if anything."""
    tone = BASES[about.key].note
    if about.is_uninstalled:
        return _uninstalled(about)
    if not tone:
        return None
    limited = about.connection if about.key == "limited" else None
    lacking = limited.lacking_scopes if limited else ()
    return CardNote(
        tone,
        _title(about),
        _text(about),
        items=sentences(
            about.provider, lacking, about.screen.product, about.screen.bot, allowed=False
        ),
        after=features.lost(limited, about.screen.where) if limited else "",
        link=about.link_if_any(f"card.{about.key}.status", about.provider.status_url),
        quiet=_stopped(about) if about.key in ENDED else "",
    )


def _uninstalled(about: About) -> CardNote:
    """Say that an app may do nothing yet, and where it is installed."""
    link = about.link_if_any("card.uninstalled.status", about.provider.install_url)
    text = about.say_if_any("card.uninstalled.text")
    return CardNote("info", about.say("card.uninstalled.title"), text, link=link)


def _title(about: About) -> str:
    if about.key == "ending_soon":
        return _ends(about)
    if about.key == "limited" and about.connection:
        if _is_new(about.connection):
            return about.say("card.limited.not_asked")
        count = len(about.connection.lacking_scopes)
        return about.say(f"card.limited.{'one' if count == 1 else 'many'}", count=str(count))
    return about.say(f"card.{about.key}.title")


def _text(about: About) -> tuple[str, ...]:
    if about.key == "ending_soon":
        end = about.connection.expires_at if about.connection else 0.0
        moment = when(end, "date" if days_left(about.connection, about.screen.now) else "both")
        return (words.markup("card.ending_soon.text", time=moment, **about.names),)
    return about.say_if_any(f"card.{about.key}.text")


def _stopped(about: About) -> str:
    """Say since when it has not worked, and what the bot did with it."""
    connection = about.connection
    if connection is None:
        return ""
    is_timed = about.key == "reconnect_timed"
    since = connection.expires_at if is_timed else connection.profile.problem_since
    if since <= 0:
        return ""
    what = features.stopped(about.provider, connection, about.screen.where)
    key = "card.stopped_features" if what else "card.stopped"
    return words.markup(key, time=when(since, "date"), features=what)


def _is_new(limited: Connection) -> bool:
    """Return whether no missing permission was ever requested: the bot has learnt more since."""
    asked = limited.profile.requested_scopes
    return bool(asked) and set(asked).isdisjoint(limited.lacking_scopes)


def _ends(about: About) -> str:
    days = days_left(about.connection, about.screen.now)
    key = {0: "today", 1: "one"}.get(days, "many")
    return about.say(f"card.ending_soon.{key}", count=str(days))


def days_left(connection: Connection | None, now: float) -> int:
    """Count the whole days from ``now`` (epoch seconds) until access ends."""
    return int(((connection.expires_at if connection else 0.0) - now) // DAY)


def title(about: About, note: Note) -> str:
    """Say an outcome for the beginning of a page's title."""
    limited = f"outcome.{note.key}_limited"
    is_limited = about.key == "limited" and limited in words.CATALOGUE
    return about.say(limited if is_limited else f"outcome.{note.key}")


def news(about: About, note: Note, outcome: Outcome) -> Markup:
    """Say an outcome aloud."""
    key = f"spoken.{note.key}"
    known = key in words.CATALOGUE
    said = about.say_of(key, note) if known else escape(f"{title(about, note)}.")
    return _counted(said, note, outcome)


def _counted(said: Markup, note: Note, outcome: Outcome) -> Markup:
    """Add how often the same came in a row: else a retry would change nothing on the page."""
    if not outcome.counts or note.times == 1:
        return said
    return words.markup("card.times", said=said, count=note.times)


def line(about: About, note: Note, outcome: Outcome) -> Line:
    """Make the line that the last action puts in the place of the last use."""
    said = about.say_of(f"card.{note.key}.title", note)
    return Line(outcome.tone, _counted(said, note, outcome))


def outcome_note(about: About, note: Note, outcome: Outcome) -> CardNote:
    """Make the note that the last action calls for, without its buttons."""
    prefix = f"card.{note.key}"
    said = about.say_if_any(f"{prefix}.kept") if about.key in STORED else ()
    keys = (f"{prefix}.text", f"{prefix}.as_of")
    said += tuple(about.say_of(key, note) for key in keys if key in words.CATALOGUE)
    provider = about.provider
    if provider.manage_label and provider.manage_url == provider.own_manage_url:
        # The link leads to a list, not to our entry in it: say where to look.
        said += about.say_if_any(f"{prefix}.look", manage=provider.manage_label)
    message, quiet = about.say_or_nothing(f"{prefix}.message"), note.receipt
    if note.ref:
        own = about.say_if_any(f"{prefix}.ref", ref=note.ref)
        ref = own or (about.say("card.ref", ref=note.ref),)
        if message:  # the text leads to the message
            quiet = ref[0]
        else:
            said += ref
    return CardNote(
        outcome.tone,
        _counted(about.say_of(f"{prefix}.title", note), note, outcome),
        said,
        link=about.link_if_any(f"{prefix}.status", provider.status_url),
        quiet=quiet,
        message=message,
        by_itself=about.say_or_nothing(f"{prefix}.by_itself"),
        by_hand=about.say_or_nothing(f"{prefix}.by_hand"),
    )


def purpose(about: About) -> str:
    """Say what connecting is good for.

    The operator's words, else the bot's features, else what it would be allowed.
    """
    if about.connection is not None and about.key in STORED:
        return ""
    provider = about.provider
    own = provider.purpose.replace("{bot}", about.screen.bot)
    # The catalogue's purpose, which no operator has written, says less than the permissions.
    if own and provider.purpose != template(parted(provider.name)[0]).get("purpose"):
        return own
    if provider.features:
        return words.markup("offer.features", features=features.named(tuple(provider.features)))
    names = about.screen.product, about.screen.bot
    scopes = [scope for scope in provider.scopes if scope not in _OF_SIGNING_IN]
    asked = [s for g, s in sentences(provider, scopes, *names, allowed=True) if g != "Unknown"]
    if not asked:
        return own
    key = "offer.one" if len(asked) == 1 else "offer.more"
    return about.say(key, permission=asked[0])


def stops(about: About) -> tuple[str, ...]:
    """List what stops with a disconnect: the bot's features, or its work, and the last use."""
    found: list[str] = []
    if about.connection:
        working = features.working(about.provider, about.connection)
        found = [isolated(name) for name in working]
    said = found or [about.say("card.asking.work")]
    if about.connection and (used := about.connection.profile.used_at) > 0:
        said[-1] = words.markup("card.asking.last_used", what=said[-1], time=when(used, "both"))
    return tuple(said)


def facts(about: About) -> tuple[Fact, ...]:
    """List dates worth knowing; what is normal needs no fact."""
    connection = about.connection
    if connection is None or about.key not in STORED:
        return ()
    profile = connection.profile
    style = "both" if about.screen.where == "detail" else "date"
    found = [Fact(words.text("fact.connected"), at=profile.connected_at, style=style)]
    if about.key in TROUBLED:
        worked = max(profile.renewed_at, profile.checked_at)
        found.append(Fact(words.text("fact.worked"), at=worked, is_quiet=True))
        found.append(Fact(words.text("fact.trouble"), at=profile.trouble_since))
    elif about.key in WORKING | ENDED:
        found.append(_used(connection))
    if about.key in WORKING and not connection.has_refresh_token:
        found.append(Fact(words.text("fact.until"), at=connection.expires_at))
    return tuple(fact for fact in found if fact.text or fact.at > 0)


def _used(connection: Connection) -> Fact:
    used = connection.profile.used_at
    text = "" if used > 0 else words.text("fact.unused")
    return Fact(words.text("fact.used"), text, used, is_quiet=True)


def _asks(keys: Iterable[str]) -> bool:
    return any(ACTIONS[key].path == "connect" for key in keys)


def permissions(about: About, keys: Iterable[str]) -> Permissions | None:
    kind = BASES[about.key].permissions
    if not kind or (kind == "ask" and not _asks(keys)):
        return None
    known = about.connection if kind == "can" else None
    scopes: Iterable[str] = about.provider.scopes
    if known:
        scopes = [scope for scope in known.scopes if scope not in known.unasked_scopes]
    names = about.screen.product, about.screen.bot
    groups = permission_groups(about.provider, scopes, *names, strongest_first=kind == "ask")
    nothing = Permissions(about.say(f"detail.{kind}"), ())
    shown = replace(nothing, groups=groups)
    if known:
        shown = _with_the_rest(shown, about, known)
    return shown if shown != nothing else None


def _with_the_rest(shown: Permissions, about: About, connection: Connection) -> Permissions:
    """Add permissions that were left off, what that costs, and those that came unrequested.

    It does not repeat a limited card's note.
    """
    names = about.screen.product, about.screen.bot
    accepted = connection.profile.accepted_missing
    told = connection.lacking_scopes if about.key == "limited" else ()
    chosen = [s for s in connection.missing_scopes if s in accepted and s not in told]
    others = [s for s in connection.unneeded_scopes if s not in accepted]
    lost = "" if connection.is_limited else features.lost(connection, about.screen.where)
    return replace(
        shown,
        left_off=sentences(about.provider, chosen, *names, allowed=False),
        lost=lost,
        not_needed=sentences(about.provider, others, *names, allowed=False),
        unasked=sentences(about.provider, connection.unasked_scopes, *names, allowed=True),
    )
