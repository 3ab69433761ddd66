"""The states of a card as data.  Keys are those of the catalogue (``card.{key}.title``)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Tone = Literal["ok", "info", "warn", "bad", "neutral"]
Style = Literal["primary", "secondary", "danger"]
Method = Literal["get", "post"]


@dataclass(frozen=True, slots=True)
class Base:
    """What the stored connection alone makes of a card.

    ``note`` is the tone of the sentences it says, ``""`` where it says none;
    ``permissions`` lists what will be asked for or what is allowed.
    """

    state: str
    tag: str
    tone: Tone
    actions: tuple[str, ...]
    note: Tone | Literal[""] = ""
    permissions: Literal["", "ask", "can"] = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the last action adds to a card, over the bases it can still be true of.

    ``state`` ``""`` and no ``actions`` keep the base's; so does ``tag`` ``""``,
    and any tag over a connection that works.  A line stands under the facts and
    leaves the base's own note where it is.  Over what it is ``silent`` the
    base's note says more, and only the title and the live region tell of it.
    An outcome that ``counts`` says how often it came in a row.
    """

    state: str
    tone: Tone
    over: frozenset[str]
    actions: tuple[str, ...] = ()
    tag: str = ""
    is_line: bool = False
    silent: frozenset[str] = frozenset()
    counts: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One button or link.

    ``path`` is the last step of its address, ``""`` for the provider's own page;
    ``style`` ``must`` is primary where the person has to act, else secondary;
    ``words`` names its label where that is not its own key, ``busy`` what it
    says while it works.
    """

    path: str
    method: Method = "post"
    style: Style | Literal["must"] = "secondary"
    intent: str = ""
    words: str = ""
    busy: str = ""


_CONNECTED = Base("S4", "S4", "ok", ("check", "disconnect"), permissions="can")
_TROUBLED = Base("S9", "S9", "neutral", ("check", "reconnect", "disconnect"), "neutral", "can")
_RECONNECT = Base("S7", "S7", "bad", ("reconnect", "disconnect"), "bad")

BASES: dict[str, Base] = {
    "S0": Base("S0", "S0", "neutral", (), "neutral"),
    "S0_kept": Base("S0", "S0", "neutral", ("disconnect",), "neutral", "can"),
    "S1": Base("S1", "S1", "neutral", ("connect",), permissions="ask"),
    "S4": _CONNECTED,
    "S4_kept": replace(_CONNECTED, actions=("check", "allow", "disconnect")),
    "S5": replace(_CONNECTED, state="S5"),
    "S6": Base("S6", "S6", "warn", ("renew", "disconnect"), "warn", "can"),
    "S7": _RECONNECT,
    "S7_timed": _RECONNECT,
    "S7_refused": _RECONNECT,
    "S7_again": _RECONNECT,
    "S7_moved": _RECONNECT,
    "S7_blocked": _RECONNECT,
    "S7_verify": _RECONNECT,
    "S8": Base("S8", "S8", "warn", ("allow", "keep_limited", "disconnect"), "warn", "can"),
    "S9": _TROUBLED,
    "S9_refused": _TROUBLED,
    "S9_rejected": _TROUBLED,
    "S9_stuck": Base("S9", "S9", "warn", ("reconnect", "check", "disconnect"), "warn", "can"),
    "setup": replace(_TROUBLED, state="setup", tag="setup"),
    "unreadable": Base("unreadable", "unreadable", "bad", ("reconnect", "disconnect"), "bad"),
}
# What a refusal says about why access is over (``Meaning``); any other is plain "S7".
ENDINGS = {
    "again": "S7_again",
    "moved": "S7_moved",
    "admin": "S7_blocked",
    "other_account": "S7_blocked",
    "verify": "S7_verify",
}
# The same by the error code: RFC 6750 3.1 (refused when asked), and for records of a version
# that kept the code alone OpenID Connect Core 3.1.2.6 (wants the person again).
REASONS = {
    "invalid_token": "S7_refused",
    "interaction_required": "S7_again",
    "login_required": "S7_again",
    "consent_required": "S7_again",
}
WORKING = frozenset({"S4", "S4_kept", "S5", "S6", "S8"})
TROUBLED = frozenset({"S9", "S9_refused", "S9_rejected", "S9_stuck", "setup"})
ENDED = frozenset(key for key, base in BASES.items() if base.state == "S7")
STORED = WORKING | TROUBLED | ENDED | {"S0_kept", "unreadable"}
_GONE = frozenset({"S0", "S1"})
_ANY = (STORED | _GONE) - {"S0", "S0_kept"}  # what is switched off says that alone
_LIMITED = frozenset({"S8"})
_REJECTED = frozenset({"S9_rejected"})

_WAITING = Outcome("S3", "info", _ANY, ("check_again", "start_again", "cancel", "disconnect"), "S3")
# A "disconnect" here is left out where nothing is stored.  What leads back to access is added
# where it does not stand here.
OUTCOMES: dict[str, Outcome] = {
    "waiting": _WAITING,
    "still_waiting": _WAITING,
    "connected": Outcome("", "ok", WORKING, silent=_LIMITED),
    "switched": Outcome("", "ok", WORKING, silent=_LIMITED),
    "kept_old": Outcome("", "info", WORKING, silent=_LIMITED),
    "asked": Outcome("", "warn", _ANY, ("answer", "disconnect")),
    "not_answered": Outcome("S17", "info", _ANY, ("start_again", "disconnect")),
    "not_you": Outcome("S15", "info", _ANY),
    "start_here": Outcome("S17", "info", _ANY, ("start_again", "disconnect")),
    "disconnecting": Outcome("S11", "info", _GONE, ("check_again",), "S11"),
    "disconnected": Outcome("S12", "ok", _GONE),
    "already_disconnected": Outcome("S12", "ok", _GONE),
    "already_ended": Outcome("S12", "ok", _GONE),
    "still_listed": Outcome("S13", "warn", _GONE, ("manage", "dismiss")),
    "ask_again": Outcome("S13", "warn", _GONE, ("ask_again", "manage", "dismiss")),
    "asked_again": Outcome("S13", "warn", _GONE, ("ask_again", "manage", "dismiss"), counts=True),
    "too_many_retries": Outcome("S13", "info", _GONE, ("manage", "dismiss")),
    "own_list": Outcome("S13b", "info", _GONE, ("manage_list", "done")),
    "disconnect_failed": Outcome("S14", "bad", STORED, ("keep", "retry_disconnect")),
    "denied": Outcome("S15", "info", _ANY),
    "failed": Outcome("S16", "bad", _ANY, ("try_again", "disconnect")),
    "attempt_over": Outcome("S17", "info", _ANY, ("start_again", "disconnect")),
    "needs_admin": Outcome("S18", "info", _ANY, ("try_again", "cancel"), "S18"),
    "verify": Outcome("verify", "info", _ANY, ("try_again", "disconnect")),
    "other_account": Outcome("other_account", "info", _ANY, ("try_again", "disconnect")),
    "other_browser": Outcome("other_browser", "info", _ANY, ("try_again", "disconnect")),
    "misconfigured": Outcome("misconfigured", "neutral", _ANY),
    "not_understood": Outcome("not_understood", "neutral", _ANY),
    "provider_trouble": Outcome("trouble", "neutral", _ANY, ("try_again", "disconnect")),
    "checked": Outcome("", "ok", WORKING, is_line=True, counts=True),
    "checked_trouble": Outcome("", "neutral", WORKING | {"S9"}, is_line=True, counts=True),
    "checked_refused": Outcome(
        "", "neutral", WORKING | TROUBLED - {"setup"}, is_line=True, counts=True
    ),
    "checked_rejected": Outcome(
        "", "neutral", frozenset({"S9_rejected"}), is_line=True, counts=True
    ),
    "checked_unchecked": Outcome("", "neutral", WORKING | TROUBLED, is_line=True, counts=True),
    "checked_misconfigured": Outcome("", "neutral", WORKING | {"setup"}, is_line=True, counts=True),
    "checked_ended": Outcome("", "bad", ENDED, silent=ENDED),
    "too_many_checks": Outcome("", "info", STORED, is_line=True),
    "kept_limited": Outcome("", "ok", WORKING, is_line=True),
}

ACTIONS: dict[str, Kind] = {
    "connect": Kind("connect", intent="connect"),
    "reconnect": Kind("connect", style="must", intent="reconnect"),
    "renew": Kind("connect", style="must", intent="reconnect"),
    "allow": Kind("connect", style="must", intent="widen"),
    "try_again": Kind("connect", style="must"),
    "start_again": Kind("connect", style="must"),
    "answer": Kind("switch", "get"),
    "check": Kind("check", busy="checking"),
    "keep_limited": Kind("accept-limited"),
    "cancel": Kind("cancel"),
    "ask_again": Kind("revoke"),
    "disconnect": Kind("disconnect", "get"),
    "confirm": Kind("disconnect", style="danger", words="disconnect"),
    "retry_disconnect": Kind("disconnect", words="try_again"),
    "keep": Kind("keep", "get"),
    "check_again": Kind("look", "get"),
    "manage": Kind("", "get"),
    "manage_list": Kind("", "get"),
    "dismiss": Kind("dismiss"),
    "done": Kind("dismiss"),
}
