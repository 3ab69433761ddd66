"""The state of each service for one person: its row, and the words to tell them."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from webui.cards import Screen, base_key, make_card
from webui.cards.accounts import parted
from webui.cards.states import BASES, ENDED, STORED, TROUBLED, WORKING, Tone
from webui.cards.timeline import Entry
from webui.oauth_manager import LINK_CODE_TTL, Connection, Event, OAuthProvider, Profile
from webui.oauth_manager.values import Struct, replace
from webui.support.history import history
from webui.support.identifiers import masked
from webui.text import words
from webui.text.labels import clean_label
from webui.text.permissions import PermissionGroup, permission_groups, sentences
from webui.text.times import when

# The line and the icon of each tone; the worst first.
_LINES: dict[Tone, tuple[str, str]] = {
    "bad": ("broken", "cross"),
    "warn": ("limited", "alert"),
    "neutral": ("paused", "pause"),
    "info": ("parted", "info"),
    "ok": ("joined", "check"),
}
_WORST_FIRST = list(_LINES)


class Problem(Struct, frozen=True):
    """A problem in plain words, with its start, and the provider's own code.

    ``brief`` is the same in a few words; ``staff`` what the staff person has to do, if anything.
    """

    text: str
    brief: str = ""
    since: float = 0.0
    code: str = ""
    trace: str = ""
    staff: str = ""


class Row(Struct, frozen=True):
    """One service.

    Times are epoch seconds, 0 if there is none.  ``line`` and ``sign`` draw the tone.
    ``ends_text`` is set if access has no end to name; ``missing`` are group and sentence,
    from ``permissions.sentences``, and ``lost`` what does not work without them.  ``last``
    is the last event of a service that is not connected, ``found`` the finding of the last
    check; ``tell`` words to pass on.
    """

    name: str
    mark: str
    label: str
    tag: str
    tone: Tone
    line: str
    sign: str
    account: str
    stored: bool
    connected: float = 0.0
    renewed: float = 0.0
    used: float = 0.0
    checked: float = 0.0
    found: str = ""
    ends: float = 0.0
    ends_text: str = ""
    granted: tuple[PermissionGroup, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
    lost: str = ""
    problem: Problem | None = None
    tell: Markup = Markup()
    last: Entry | None = None


class Verdict(Struct, frozen=True):
    """The first line of a person's page: how many problems, and which."""

    lead: str
    text: str
    line: str
    sign: str


def make_row(provider: OAuthProvider, connection: Connection, screen: Screen) -> Row:
    """Make the row of one service, in the words of its card."""
    key = base_key(provider, connection, screen.now)
    card = make_card(provider, connection, None, screen)
    profile, names = connection.profile, (screen.product, screen.bot)
    lives = key in WORKING or key in TROUBLED or key == "not_set_up_kept"
    missing = sentences(provider, connection.missing_scopes, *names, allowed=False)
    line, sign = _LINES[card.tone]
    return Row(
        name=provider.name,
        mark=card.mark,
        label=provider.label,
        tag=card.tag,
        tone=card.tone,
        line=line,
        sign=sign,
        account=masked(profile.account.label),
        stored=key in STORED,
        connected=profile.connected_at,
        renewed=profile.renewed_at,
        used=profile.used_at,
        checked=max(profile.checked_at, profile.failed_check_at),
        found=_found(profile),
        ends=0.0 if connection.has_refresh_token else connection.expires_at,
        ends_text=_no_end(connection) if lives else "",
        granted=permission_groups(provider, connection.scopes, *names) if lives else (),
        missing=missing,
        lost="; ".join(clean_label(feature) for feature in connection.lacking_features),
        problem=_problem(key, provider, connection, screen),
        tell=_tell(key, provider, connection, screen, "; ".join(said for _, said in missing)),
    )


def explained(row: Row, last: Event | None, provider: OAuthProvider, screen: Screen) -> Row:
    """Complete the row of a service that is not connected: its last event, what to tell them."""
    names = {"bot": screen.bot, "command": _command("connect", provider)}
    if last and last.kind == "link_made" and last.at + LINK_CODE_TTL <= screen.now:
        ended = when(last.at + LINK_CODE_TTL, is_local=False)
        tell = words.markup("support.tell_late", time=ended, **names)
    else:
        tell = words.markup("support.tell_connect", **names)
    known = {provider.name: provider}
    happened = history([last] if last else [], known, screen.product, screen.bot)
    return replace(row, tell=tell, last=next(iter(happened), None))


def problems(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that have a problem, the worst first."""
    found = [row for row in rows if row.problem]
    return sorted(found, key=lambda row: _WORST_FIRST.index(row.tone))


def verdict(rows: Sequence[Row]) -> Verdict:
    """Say in one line what is wrong with the services, the worst first."""
    wrong = problems(rows)
    if not wrong:
        key = "none" if any(row.stored for row in rows) else "nothing"
        return Verdict(
            words.text(f"support.verdict.{key}"), "", *_LINES["ok" if key == "none" else "info"]
        )
    lead = words.text(f"support.verdict.{'one' if len(wrong) == 1 else 'many'}", count=len(wrong))
    text = ", ".join(row.problem.brief for row in wrong if row.problem)
    return Verdict(lead, f"{text}.", wrong[0].line, "alert")


def _found(profile: Profile) -> str:
    """Say the result of the last check."""
    is_newer = profile.failed_check_at > profile.checked_at
    key = f"support.check.{profile.failed_check if is_newer else 'working'}"
    return words.CATALOGUE.get(key, "") if is_newer or profile.checked_at else ""


def _no_end(connection: Connection) -> str:
    if connection.has_refresh_token:
        return words.text("fact.renews")
    return "" if connection.expires_at > 0 else words.text("fact.endless")


def _problem(
    key: str, provider: OAuthProvider, connection: Connection, screen: Screen
) -> Problem | None:
    if f"support.problem.{key}" not in words.CATALOGUE:
        return None
    names = {"provider": provider.label, "product": screen.product}
    staff = f"support.staff.{key}"
    known = Problem(
        words.text(f"support.problem.{key}", **names),
        words.text(f"support.verdict.{BASES[key].state}", **names),
        staff=words.text(staff, **names) if staff in words.CATALOGUE else "",
    )
    profile = connection.profile
    if key in TROUBLED:
        return replace(known, since=profile.trouble_since, code=clean_label(profile.trouble_code))
    if key == "reconnect_timed":
        return replace(known, since=connection.expires_at)
    if key in ENDED:
        code, trace = clean_label(profile.problem), clean_label(profile.problem_trace)
        return replace(known, since=profile.problem_since, code=code, trace=trace)
    return known


def _tell(
    key: str, provider: OAuthProvider, connection: Connection, screen: Screen, missing: str
) -> Markup:
    """Say what to tell the person, in words to pass on, for each state that needs something."""
    if f"support.tell.{key}" not in words.CATALOGUE:
        return Markup()
    return words.markup(
        f"support.tell.{key}",
        provider=provider.label,
        product=screen.product,
        bot=screen.bot,
        missing=missing,
        time=when(connection.profile.trouble_since, is_local=False),
        command=_command("check" if key == "troubled_rejected" else "connect", provider),
    )


def _command(verb: str, provider: OAuthProvider) -> Markup:
    return Markup("<code>{} {}</code>").format(verb, parted(provider.name)[0])
