"""Every state of a card, from made-up connections: for development, and for the tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from webui.cards.build import confirm_card, make_card
from webui.cards.model import Card, Screen
from webui.cards.parts import DAY
from webui.oauth_manager import (
    PROVIDER_TEMPLATES,
    Account,
    Connection,
    OAuthProvider,
    Profile,
    Status,
    TokenData,
)
from webui.oauth_manager.providers import build_providers
from webui.oauth_manager.storage import describe
from webui.oauth_manager.values import Struct, replace
from webui.sessions.note import Note

NOW = 1_791_018_840.0  # 3 October 2026 at 09:14 UTC

_CLIENT = {"client_id": "an-id", "client_secret": "a-secret"}
OFF = build_providers(PROVIDER_TEMPLATES, {})
ON = build_providers(
    PROVIDER_TEMPLATES,
    {
        **dict.fromkeys(PROVIDER_TEMPLATES, _CLIENT),
        "wiki": {
            **_CLIENT,
            "authorize_url": "https://wiki.example/authorize",
            "token_url": "https://wiki.example/token",
            "scopes": ["wiki.read"],
        },
    },
)
# Addresses that no check of the settings would accept: still, no page may link there.
_HOSTILE = "javascript:alert(1)"
ON["wiki"] = replace(ON["wiki"], manage_url=_HOSTILE, status_url=_HOSTILE)
_TOPICS = ("calendar.events", "gmail.send", "drive.file", "tasks", "contacts")
_SCOPES = {topic: f"https://www.googleapis.com/auth/{topic}" for topic in _TOPICS}
APP = replace(
    ON["github"],
    client_id="Iv23demo",
    install_url="https://github.com/apps/stella/installations/new",
)
"""A GitHub App: its permissions belong to an installation."""
BUSY = replace(
    ON["google"],
    scopes=["openid", "email", *_SCOPES.values()],
    features={
        "meeting reminders": (_SCOPES["calendar.events"],),
        "mail": ("openid", _SCOPES["gmail.send"]),
        "notes in Drive": (_SCOPES["drive.file"],),
        "to-do lists": (_SCOPES["tasks"],),
        "birthdays": (_SCOPES["contacts"],),
    },
)
"""A Google that is used for much."""
_GIVEN_UP = (_SCOPES["calendar.events"],)


def connection(
    name: str,
    status: Status = Status.CONNECTED,
    label: str = "octocat",
    profile: dict[str, Any] | None = None,
    **more: Any,
) -> Connection:
    """Make a connection of 40 days ago as ``label``, used an hour ago, but for given fields."""
    if status is Status.NOT_CONNECTED:
        return Connection(name, status)
    usual = {"connected_at": NOW - 40 * DAY, "renewed_at": NOW - 7200, "used_at": NOW - 3600}
    kept = Profile(Account("1", label), **{**usual, **(profile or {})})
    return Connection(name, status, profile=kept, **more)


def granted(*topics: str, **profile: Any) -> Connection:
    """Make a connection to ``BUSY`` with these of its topics alone."""
    scopes = ["openid", *(_SCOPES[topic] for topic in topics)]
    token = TokenData("-", refresh_token="-", scopes=scopes, provider="google")
    asked = {"requested_scopes": tuple(BUSY.scopes), **profile}
    return describe(BUSY, token, connection("google", profile=asked).profile, NOW)


class Case(Struct, frozen=True):
    """A connection with an outcome, and the state it must show."""

    state: str
    provider: OAuthProvider
    connection: Connection | None
    note: Note | None = None


def _free(state: str, name: str, note: Note | None = None) -> Case:
    return Case(state, ON[name], connection(name, Status.NOT_CONNECTED), note)


def _held(state: str, name: str, note: Note | None = None, **more: Any) -> Case:
    return Case(state, ON[name], connection(name, **more), note)


def _ended(problem: str = "invalid_grant", kind: str = "gone") -> dict[str, Any]:
    profile = {"problem": problem, "problem_since": NOW - DAY, "problem_kind": kind}
    return {"status": Status.RECONNECT_NEEDED, "profile": profile}


def _troubled(trouble: str, **more: Any) -> dict[str, Any]:
    return {**RENEWING, "profile": {"trouble": trouble, "trouble_since": NOW - 1800, **more}}


RENEWING: dict[str, Any] = {"has_refresh_token": True, "scopes": ("openid", "email")}
_STUCK = _troubled("refused", refused_since=NOW - 7200, refused_at=NOW - 60)
_LIMITED: dict[str, Any] = {**RENEWING, "missing_scopes": ("email", "odd:one")}
_ACCEPTED: dict[str, Any] = {
    **_LIMITED,
    "scopes": ("openid",),
    "profile": {"accepted_missing": ("email", "odd:one")},
}

CASES: dict[str, Case] = {
    "off": Case("not_set_up", OFF["github"], connection("github", Status.NOT_CONNECTED)),
    "switched off": Case("not_set_up", OFF["github"], connection("github", scopes=("repo",))),
    "free": _free("not_connected", "discord"),
    "never looked up": Case("not_connected", ON["microsoft"], None),
    "waiting": _free("waiting", "github", Note("waiting")),
    "still waiting": _free("waiting", "github", Note("still_waiting")),
    "waiting, connected": _held("waiting", "google", Note("waiting", at=NOW), **RENEWING),
    "waiting, ended": _held("waiting", "microsoft", Note("waiting", at=NOW), **_ended()),
    "endless": _held(
        "connected", "github", scopes=("repo", "read:user", "delete_repo", "user:follow", "odd:one")
    ),
    "nothing asked": _held("connected", "github"),
    "renewing": _held("connected", "google", expires_at=NOW + 60, **RENEWING),
    "never used": _held("connected", "google", profile={"used_at": 0.0}, **RENEWING),
    "more than asked": _held(
        "connected", "github", scopes=("read:user", "gist"), unasked_scopes=("gist",)
    ),
    "limited by choice": _held("connected", "google", **_ACCEPTED),
    "kept limited": _held("connected", "google", Note("kept_limited"), **_ACCEPTED),
    "expired, renews": _held("renewing", "google", expires_at=NOW - 60, **RENEWING),
    "ends today": _held("ending_soon", "google", expires_at=NOW + 3600),
    "ends tomorrow": _held("ending_soon", "google", expires_at=NOW + 1.5 * DAY),
    "ends soon": _held("ending_soon", "discord", expires_at=NOW + 6.1 * DAY, scopes=("identify",)),
    "timed": _held("connected", "discord", expires_at=NOW + 8 * DAY),
    "expired, does not": _held(
        "reconnect", "google", status=Status.RECONNECT_NEEDED, expires_at=NOW - 60, has_tokens=True
    ),
    "ended": _held("reconnect", "microsoft", **_ended()),
    "refused": _held("reconnect", "github", **_ended("invalid_token")),
    "wants consent": _held("reconnect", "microsoft", **_ended("consent_required")),
    "wants it again": _held("reconnect", "microsoft", **_ended("invalid_grant 50076", "again")),
    "registered anew": _held("reconnect", "google", **_ended("unauthorized_client", "moved")),
    "not allowed any more": _held(
        "reconnect", "microsoft", **_ended("invalid_grant 53003", "admin")
    ),
    "wants verifying": _held("reconnect", "github", **_ended("unverified_user_email", "verify")),
    "limited": _held("limited", "google", **_LIMITED),
    "app installed nowhere": Case("connected", APP, connection("github", has_refresh_token=True)),
    "app with permissions": Case(
        "connected",
        APP,
        connection("github", has_refresh_token=True, scopes=("contents:write", "metadata:read")),
    ),
    "provider trouble": _held("provider_trouble", "google", **_troubled("provider")),
    "refuses": _held(
        "provider_trouble", "google", **_troubled("refused", refused_since=NOW - 1800)
    ),
    "rejects": _held("provider_trouble", "github", **_troubled("rejected")),
    "has refused for long": _held("provider_trouble", "google", **_STUCK),
    "set-up trouble": _held("setup", "google", **_troubled("setup")),
    "unreadable": _held("unreadable", "discord", status=Status.UNREADABLE, label=""),
    "connected": _held("connected", "github", Note("connected"), scopes=("repo",)),
    "asked": _free("not_connected", "github", Note("asked", until=NOW + 300)),
    "asked, connected": _held("connected", "google", Note("asked", until=NOW + 300), **RENEWING),
    "asked and not answered": _free("attempt_over", "github", Note("not_answered")),
    "asked and not theirs": _free("denied", "github", Note("not_you")),
    "not theirs, connected": _held("denied", "google", Note("not_you"), **RENEWING),
    "whose is not known": _free("attempt_over", "github", Note("start_here")),
    "disconnecting": _free("disconnecting", "github", Note("disconnecting")),
    "disconnected": _free("disconnected", "github", Note("disconnected")),
    "already": _free("disconnected", "github", Note("already_disconnected")),
    "ended before": _free("disconnected", "github", Note("already_ended")),
    "still listed": _free("still_listed", "discord", Note("still_listed")),
    "no link there": _free("still_listed", "wiki", Note("still_listed")),
    "to be asked again": _free("still_listed", "google", Note("ask_again", until=NOW + 3600)),
    "asked again": _free(
        "still_listed", "google", Note("asked_again", at=NOW, until=NOW + 3600, times=2)
    ),
    "asked too often": _free("still_listed", "google", Note("too_many_retries", until=NOW + 600)),
    "own list": _free("own_list", "microsoft", Note("own_list")),
    "kept": _held("kept", "github", Note("disconnect_failed", ref="K4T9WX")),
    "denied": _free("denied", "github", Note("denied")),
    "denied again": _held("denied", "github", Note("denied"), **_ended()),
    "failed": _free("failed", "github", Note("failed", ref="K4T9WX")),
    "failed again": _held("failed", "github", Note("failed"), **_ended()),
    "too many accounts": _held("connected", "github", Note("too_many", is_adding=True)),
    "attempt over": _free("attempt_over", "github", Note("attempt_over")),
    "value needed": _free("not_connected", "github", Note("value_needed")),
    "needs an administrator": _free("needs_admin", "microsoft", Note("needs_admin")),
    "needs an administrator again": _held(
        "needs_admin", "microsoft", Note("needs_admin"), **_ended()
    ),
    "was there": _held("connected", "google", Note("was_there"), **RENEWING),
    "switched": _held("connected", "google", Note("switched"), **RENEWING),
    "kept the old": _held("connected", "google", Note("kept_old"), **RENEWING),
    "misconfigured": _free("misconfigured", "github", Note("misconfigured")),
    "not understood": _free("not_understood", "github", Note("not_understood", ref="K4T9WX")),
    "verify first": _free("verify", "github", Note("verify", ref="K4T9WX")),
    "another account": _free("other_account", "google", Note("other_account")),
    "another browser": _held("other_browser", "google", Note("other_browser"), **_ended()),
    "trouble": _free("trouble", "github", Note("provider_trouble")),
    "no status page": _free("trouble", "wiki", Note("provider_trouble")),
    "checked": _held("connected", "google", Note("checked", at=NOW), **RENEWING),
    "checked, limited": _held("limited", "google", Note("checked", at=NOW), **_LIMITED),
    "checked, refused": _held(
        "provider_trouble", "google", Note("checked_refused", at=NOW), **_STUCK
    ),
    "checked, rejected": _held(
        "provider_trouble", "github", Note("checked_rejected", at=NOW), **_troubled("rejected")
    ),
    "checked, nobody to ask": _held(
        "connected", "wiki", Note("checked_unchecked", at=NOW), **RENEWING
    ),
    "checked, trouble": _held(
        "provider_trouble", "google", Note("checked_trouble", at=NOW), **_troubled("provider")
    ),
    "checked, set-up": _held(
        "setup", "google", Note("checked_misconfigured", at=NOW), **_troubled("setup")
    ),
    "checked twice": _held("connected", "google", Note("checked", at=NOW, times=2), **RENEWING),
    "checked, ended": _held("reconnect", "google", Note("checked_ended"), **_ended()),
    "connected, limited": _held("limited", "google", Note("connected"), **_LIMITED),
    "switched, limited": _held("limited", "google", Note("switched"), **_LIMITED),
    "not disconnected, ended": _held("kept", "google", Note("disconnect_failed"), **_ended()),
    "too many checks": _held(
        "connected", "google", Note("too_many_checks", until=NOW + 600), **RENEWING
    ),
    "own provider": _held("connected", "wiki", scopes=("wiki.read",)),
    "one feature lacks": Case("limited", BUSY, granted("calendar.events", *_TOPICS[2:])),
    "many features lack": Case("limited", BUSY, granted("tasks")),
    "feature not asked for": Case("limited", BUSY, granted(requested_scopes=("openid",))),
    "no feature lacks": Case("connected", BUSY, granted(*_TOPICS)),
    "feature given up": Case("connected", BUSY, granted(*_TOPICS[1:], accepted_missing=_GIVEN_UP)),
    "features stopped": Case("reconnect", BUSY, connection("google", **_ended())),
}
ASKED = ("endless", "ended", "unreadable", "own provider")
"""The cases whose question (asking) reads differently."""


def gallery(screen: Screen) -> Iterator[tuple[str, Card]]:
    """Yield every card with its name, each under an id of its own."""
    screen = replace(screen, now=NOW)
    for number, (name, case) in enumerate(CASES.items()):
        own = replace(case.provider, name=f"{case.provider.name}-{number}")
        mark = case.provider.name
        yield name, replace(make_card(own, case.connection, case.note, screen), mark=mark)
        if name in ASKED:
            own = replace(own, name=f"{own.name}-asked")
            asked = confirm_card(own, case.connection, screen)
            yield f"{name}, disconnect?", replace(asked, mark=mark)
