"""Every state of a card: its tag, tone, note and buttons, as data.

``BASES`` are the states of stored connections, ``OUTCOMES`` what the last action adds (the keys
of notes), ``ACTIONS`` the buttons.  Keys are those of the catalogue (``card.{key}.title``).
"""

from __future__ import annotations

from typing import Literal

from webui.oauth_manager.values import Struct, replace

Tone = Literal["ok", "info", "warn", "bad", "neutral"]
Style = Literal["primary", "", "soft", "bare", "danger"]
Method = Literal["get", "post"]


class Base(Struct, frozen=True):
    """The part of a card that the stored connection alone decides.

    ``note`` is the tone of the sentences it says, ``""`` if it says none;
    ``permissions`` lists those to request or those allowed.
    """

    state: str
    tag: str
    tone: Tone
    actions: tuple[str, ...]
    note: Tone | Literal[""] = ""
    permissions: Literal["", "ask", "can"] = ""


class Outcome(Struct, frozen=True):
    """The part of a card that the last action adds, over the bases it can still be true of.

    ``state`` ``""`` and no ``actions`` keep the base's; so does ``tag`` ``""``, and any
    tag over a connection that works.  A line is under the facts and leaves the base's
    own note in place.  Over the bases of ``silent`` their note says more, and only the
    title and the live region report it.  An outcome that ``counts`` says how often it
    came in a row.
    """

    state: str
    tone: Tone
    over: frozenset[str]
    actions: tuple[str, ...] = ()
    tag: str = ""
    is_line: bool = False
    silent: frozenset[str] = frozenset()
    counts: bool = False


class Kind(Struct, frozen=True):
    """One button or link.

    ``path`` is the last step of its address, ``""`` for the provider's own page;
    the first of a card with the ``style`` ``must`` is primary if the person has to act;
    ``words`` names its label if that is not its own key, ``busy`` its label while it works.
    """

    path: str
    method: Method = "post"
    style: Style | Literal["must"] = ""
    intent: str = ""
    words: str = ""
    busy: str = ""


_CONNECTED = Base("connected", "connected", "ok", ("check", "disconnect"), permissions="can")
_TROUBLED = Base(
    "provider_trouble",
    "provider_trouble",
    "neutral",
    ("check", "reconnect", "disconnect"),
    "neutral",
    "can",
)
_RECONNECT = Base("reconnect", "reconnect", "bad", ("reconnect", "disconnect"), "bad")

BASES: dict[str, Base] = {
    "not_set_up": Base("not_set_up", "not_set_up", "neutral", (), "neutral"),
    "not_set_up_kept": Base(
        "not_set_up", "not_set_up", "neutral", ("disconnect",), "neutral", "can"
    ),
    "not_connected": Base(
        "not_connected", "not_connected", "neutral", ("connect",), permissions="ask"
    ),
    "connected": _CONNECTED,
    "connected_limited_by_choice": replace(_CONNECTED, actions=("check", "allow", "disconnect")),
    "renewing": replace(_CONNECTED, state="renewing"),
    "ending_soon": Base(
        "ending_soon", "ending_soon", "warn", ("renew", "disconnect"), "warn", "can"
    ),
    "reconnect": _RECONNECT,
    "reconnect_timed": _RECONNECT,
    "reconnect_refused": _RECONNECT,
    "reconnect_again": _RECONNECT,
    "reconnect_moved": _RECONNECT,
    "reconnect_blocked": _RECONNECT,
    "reconnect_verify": _RECONNECT,
    "limited": Base(
        "limited", "limited", "warn", ("allow", "keep_limited", "disconnect"), "warn", "can"
    ),
    "troubled": _TROUBLED,
    "troubled_refused": _TROUBLED,
    "troubled_rejected": _TROUBLED,
    "troubled_stuck": Base(
        "provider_trouble",
        "provider_trouble",
        "warn",
        ("reconnect", "check", "disconnect"),
        "warn",
        "can",
    ),
    "setup": replace(_TROUBLED, state="setup", tag="setup"),
    "unreadable": Base("unreadable", "unreadable", "bad", ("reconnect", "disconnect"), "bad"),
}
# States by the meaning of a refusal (``Meaning``); any other is plain "reconnect".
ENDINGS = {
    "again": "reconnect_again",
    "moved": "reconnect_moved",
    "admin": "reconnect_blocked",
    "other_account": "reconnect_blocked",
    "verify": "reconnect_verify",
}
# The same by the error code: RFC 6750 3.1 (refused when asked), and for records of a version
# that kept the code alone OpenID Connect Core 3.1.2.6 (wants the person again).
REASONS = {
    "invalid_token": "reconnect_refused",
    "interaction_required": "reconnect_again",
    "login_required": "reconnect_again",
    "consent_required": "reconnect_again",
}
WORKING = frozenset(
    {"connected", "connected_limited_by_choice", "renewing", "ending_soon", "limited"}
)
TROUBLED = frozenset(
    {"troubled", "troubled_refused", "troubled_rejected", "troubled_stuck", "setup"}
)
ENDED = frozenset(key for key, base in BASES.items() if base.state == "reconnect")
STORED = WORKING | TROUBLED | ENDED | {"not_set_up_kept", "unreadable"}
_GONE = frozenset({"not_set_up", "not_connected"})
_ANY = (STORED | _GONE) - {"not_set_up", "not_set_up_kept"}  # a service switched off says only that
_LIMITED = frozenset({"limited"})

_WAITING = Outcome(
    "waiting", "info", _ANY, ("check_again", "start_again", "cancel", "disconnect"), "waiting"
)
# Outcomes that are the matter with the card, and not beside it.
OPEN = frozenset({"waiting", "still_waiting", "needs_admin", "asked", "disconnect_failed"})
# States of what was connected a moment ago.
LEFT = frozenset({"disconnecting", "disconnected", "still_listed", "own_list"})
# A "disconnect" here is omitted if nothing is stored.  The way back to access is added if it
# is not here.
OUTCOMES: dict[str, Outcome] = {
    "waiting": _WAITING,
    "still_waiting": _WAITING,
    "connected": Outcome("", "ok", WORKING, silent=_LIMITED),
    "was_there": Outcome("", "info", WORKING),
    "switched": Outcome("", "ok", WORKING, silent=_LIMITED),
    "kept_old": Outcome("", "info", WORKING, silent=_LIMITED),
    "asked": Outcome("", "warn", _ANY, ("answer", "disconnect")),
    "not_answered": Outcome("attempt_over", "info", _ANY, ("start_again", "disconnect")),
    "not_you": Outcome("denied", "info", _ANY),
    "start_here": Outcome("attempt_over", "info", _ANY, ("start_again", "disconnect")),
    "disconnecting": Outcome("disconnecting", "info", _GONE, ("check_again",), "disconnecting"),
    "disconnected": Outcome("disconnected", "ok", _GONE, ("dismiss",)),
    "already_disconnected": Outcome("disconnected", "ok", _GONE, ("dismiss",)),
    "already_ended": Outcome("disconnected", "ok", _GONE, ("dismiss",)),
    "still_listed": Outcome("still_listed", "warn", _GONE, ("manage", "dismiss")),
    "ask_again": Outcome("still_listed", "warn", _GONE, ("ask_again", "manage", "dismiss")),
    "asked_again": Outcome(
        "still_listed", "warn", _GONE, ("ask_again", "manage", "dismiss"), counts=True
    ),
    "too_many_retries": Outcome("still_listed", "info", _GONE, ("manage", "dismiss")),
    "own_list": Outcome("own_list", "info", _GONE, ("manage_list", "done")),
    "disconnect_failed": Outcome("kept", "bad", STORED, ("retry_disconnect", "keep")),
    "denied": Outcome("denied", "info", _ANY),
    "failed": Outcome("failed", "bad", _ANY, ("try_again", "disconnect")),
    "too_many": Outcome("", "warn", _ANY),
    "attempt_over": Outcome("attempt_over", "info", _ANY, ("start_again", "disconnect")),
    "value_needed": Outcome("", "warn", _ANY),
    "needs_admin": Outcome("needs_admin", "info", _ANY, ("try_again", "cancel"), "needs_admin"),
    "verify": Outcome("verify", "info", _ANY, ("try_again", "disconnect")),
    "other_account": Outcome("other_account", "info", _ANY, ("try_again", "disconnect")),
    "other_browser": Outcome("other_browser", "info", _ANY, ("try_again", "disconnect")),
    "misconfigured": Outcome("misconfigured", "neutral", _ANY),
    "not_understood": Outcome("not_understood", "neutral", _ANY),
    "provider_trouble": Outcome("trouble", "neutral", _ANY, ("try_again", "disconnect")),
    "checked": Outcome("", "ok", WORKING, is_line=True, counts=True),
    "checked_trouble": Outcome("", "neutral", WORKING | {"troubled"}, is_line=True, counts=True),
    "checked_refused": Outcome(
        "", "neutral", WORKING | TROUBLED - {"setup"}, is_line=True, counts=True
    ),
    "checked_rejected": Outcome(
        "", "neutral", frozenset({"troubled_rejected"}), is_line=True, counts=True
    ),
    "checked_unchecked": Outcome("", "neutral", WORKING | TROUBLED, is_line=True, counts=True),
    "checked_misconfigured": Outcome("", "neutral", WORKING | {"setup"}, is_line=True, counts=True),
    "checked_ended": Outcome("", "bad", ENDED, silent=ENDED),
    "too_many_checks": Outcome("", "info", STORED, is_line=True),
    "kept_limited": Outcome("", "ok", WORKING, is_line=True),
}

ACTIONS: dict[str, Kind] = {
    "connect": Kind("connect", style="must", intent="connect"),
    "reconnect": Kind("connect", style="must", intent="reconnect"),
    "renew": Kind("connect", style="must", intent="reconnect"),
    "allow": Kind("connect", style="must", intent="widen"),
    "try_again": Kind("connect", style="must"),
    "start_again": Kind("connect", style="must"),
    "answer": Kind("switch", "get", style="must"),
    "check": Kind("check", busy="checking"),
    "add": Kind("connect", intent="add"),
    "install": Kind("install", "get"),
    "keep_limited": Kind("accept-limited", style="bare"),
    "cancel": Kind("cancel", style="bare"),
    "ask_again": Kind("revoke"),
    "disconnect": Kind("disconnect", "get"),
    "confirm": Kind("disconnect", style="danger", words="disconnect"),
    "retry_disconnect": Kind("disconnect", style="must", words="try_again"),
    "keep": Kind("keep", "get"),
    "check_again": Kind("look", "get"),
    "manage": Kind("", "get"),
    "manage_list": Kind("", "get"),
    "dismiss": Kind("dismiss"),
    "done": Kind("dismiss"),
}

# Classes and icons of the stylesheet: the line to a service in a state, by default that of
# the state it is in without an outcome; and an outcome's note.
LINES = {
    "connected": ("joined", "check"),
    "renewing": ("joined", "check"),
    "kept": ("joined", "check"),
    "limited": ("limited", "minus"),
    "ending_soon": ("ending", "clock"),
    "reconnect": ("broken", "cross"),
    "unreadable": ("broken", "cross"),
    "provider_trouble": ("paused", "pause"),
    "setup": ("paused", "pause"),
    "waiting": ("waiting", "more"),
    "needs_admin": ("waiting", "more"),
    "not_set_up": ("parted", ""),
    "not_connected": ("parted", ""),
}
NOTES: dict[Tone, tuple[str, str]] = {
    "ok": ("joined", "check"),
    "info": ("parted", "info"),
    "neutral": ("parted", "info"),
    "warn": ("limited", "alert"),
    "bad": ("broken", "alert"),
}
# Actions of an outcome that are beside its text, not among the first buttons.
AWAY = frozenset({"dismiss", "done"})
ELSEWHERE = frozenset({"manage", "manage_list"})
FOLDED = frozenset({"check", "install", "add", "disconnect"})
