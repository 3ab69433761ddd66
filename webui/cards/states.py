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

    ``state`` ``""`` and no ``actions`` keep the base's.
    """

    state: str
    tone: Tone
    over: frozenset[str]
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One button or link.

    ``path`` is the last step of its address, ``""`` for the provider's own page;
    ``style`` ``must`` is primary where the person has to act, else secondary;
    ``words`` names its label where that is not its own key.
    """

    path: str
    method: Method = "post"
    style: Style | Literal["must"] = "secondary"
    intent: str = ""
    words: str = ""


_CONNECTED = Base("S4", "S4", "ok", ("disconnect",), permissions="can")
_RECONNECT = Base("S7", "S7", "bad", ("reconnect", "disconnect"), "bad")

BASES: dict[str, Base] = {
    "S0": Base("S0", "S0", "neutral", (), "neutral"),
    "S0_kept": Base("S0", "S0", "neutral", ("disconnect",), "neutral", "can"),
    "S1": Base("S1", "S1", "neutral", ("connect",), permissions="ask"),
    "S4": _CONNECTED,
    "S5": replace(_CONNECTED, state="S5"),
    "S7": _RECONNECT,
    "S7_timed": _RECONNECT,
    "S8": Base("S8", "S8", "warn", ("allow", "disconnect"), "warn", "can"),
    "unreadable": Base("unreadable", "unreadable", "bad", ("reconnect", "disconnect"), "bad"),
    "unavailable": Base("unavailable", "unavailable", "neutral", ("check_again",), "neutral"),
}
WORKING = frozenset({"S4", "S5", "S8"})
STORED = WORKING | {"S0_kept", "S7", "S7_timed", "unreadable"}
_GONE = frozenset({"S0", "S1"})
_ANY = STORED | _GONE

# A "disconnect" here is left out where nothing is stored.
OUTCOMES: dict[str, Outcome] = {
    "connected": Outcome("", "ok", WORKING - {"S8"}),
    "disconnected": Outcome("S12", "ok", _GONE),
    "already_disconnected": Outcome("S12", "ok", _GONE),
    "still_listed": Outcome("S13", "warn", _GONE, ("manage", "dismiss")),
    "own_list": Outcome("S13b", "info", _GONE, ("manage_list", "done")),
    "disconnect_failed": Outcome("S14", "bad", STORED, ("keep", "retry_disconnect")),
    "denied": Outcome("S15", "info", _ANY),
    "failed": Outcome("S16", "bad", _ANY, ("try_again", "disconnect")),
    "attempt_over": Outcome("S17", "info", _ANY, ("start_again", "disconnect")),
    "misconfigured": Outcome("misconfigured", "neutral", _ANY),
    "provider_trouble": Outcome("trouble", "neutral", _ANY, ("try_again", "disconnect")),
}

ACTIONS: dict[str, Kind] = {
    "connect": Kind("connect", intent="connect"),
    "reconnect": Kind("connect", style="must", intent="reconnect"),
    "allow": Kind("connect", style="must", intent="widen"),
    "try_again": Kind("connect", style="must"),
    "start_again": Kind("connect", style="must"),
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
