"""Faults that Redis answers with: a sentence and a cure each.

Pure; no sentence quotes Redis or the address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from redis import exceptions

from webui.commands.check.wire_faults import UNREACHED, Told
from webui.oauth_manager.storage import PREFIX

PERCENT = (
    "Percent-encode what is special in them: % is %25, # is %23, / is %2F, ? is %3F, @ is %40."
)

# By the beginning of Redis's own words, without the code that redis-py takes off.
_ANSWERS: dict[str, Told] = {
    "READONLY": (
        "It is a read-only replica: nothing can be stored.",
        "Name the primary in REDIS_URL.",
    ),
    "OOM": (
        "It is full: maxmemory is reached, and it refuses to store anything.",
        "Give it more memory (`maxmemory`), or move other data away.",
    ),
    "LOADING": (
        "It is still loading its data.",
        "Wait until it has, and check again.",
    ),
    "BUSY": (
        "It is busy with somebody's script.",
        "Wait, or end the script with `SCRIPT KILL`.",
    ),
    "MISCONF": (
        "It refuses to store anything since it cannot save to its disk.",
        "See its log and its disk: space, and the rights on its folder.",
    ),
    "NOREPLICAS": (
        "It refuses to store anything since too few replicas follow it.",
        "Bring them back, or lower `min-replicas-to-write`.",
    ),
    "MASTERDOWN": (
        "It is a replica that has lost its primary.",
        "Name the primary in REDIS_URL.",
    ),
    "CLUSTERDOWN": (
        "It is one node of a cluster, and the cluster is down.",
        "Bring the cluster back; `CLUSTER INFO` says what is missing.",
    ),
    "MOVED": (
        "It is one node of a cluster.",
        "Write redis+cluster:// instead of redis:// in REDIS_URL.",
    ),
    "DENIED": (
        "It is in protected mode and takes no connections from another machine.",
        "Set a password for it, and name that in REDIS_URL.",
    ),
}
_ANSWERS["ASK"] = _ANSWERS["CROSSSLOT"] = _ANSWERS["MOVED"]
_CLASSES: dict[type[Exception], str] = {
    exceptions.ReadOnlyError: "READONLY",
    exceptions.OutOfMemoryError: "OOM",
    exceptions.BusyLoadingError: "LOADING",
    exceptions.MasterDownError: "MASTERDOWN",
    exceptions.ClusterDownError: "CLUSTERDOWN",
    exceptions.MovedError: "MOVED",
    exceptions.AskError: "ASK",
    exceptions.ClusterCrossSlotError: "CROSSSLOT",
}
SENTINEL: Told = (
    "It is a Sentinel, which stores nothing.",
    "Write REDIS_URL=redis+sentinel://host:26379/NAME/0, with the name of the primary it watches.",
)
CLUSTER: Told = (
    "It is one node of a cluster, which holds only a part of the keys.",
    "Write redis+cluster:// instead of redis:// in REDIS_URL.",
)
_NO_PASSWORD: Told = (
    "It wants a password, and REDIS_URL has none.",
    "Write redis://:PASSWORD@host:port/0, or redis://USER:PASSWORD@host:port/0.",
)
_NEEDLESS_PASSWORD: Told = (
    "REDIS_URL has a password, and the server has none.",
    "Take it out of REDIS_URL, or set `requirepass` at the server.",
)
_WRONG_PASSWORD: Told = (
    "It refuses the user name or the password.",
    f"Correct both in REDIS_URL (without a user name it is `default`). {PERCENT}",
)
_DATABASE: Told = (
    "It has no database of that number.",
    "Correct the number at the end of REDIS_URL, or leave it out; `databases` says how many are.",
)


_UNKNOWN_COMMAND = re.compile("unknown (?:sub)?command ['`]?([A-Za-z]{1,20})")
_NO_ROOM: Told = (
    "It has no room for another client: `maxclients` is reached.",
    "Raise `maxclients`, or end connections that nobody uses.",
)
_WORDS = {
    "DB index": _DATABASE,
    "SELECT is not allowed": CLUSTER,
    "Invalid Database": _DATABASE,
    "max number of clients": _NO_ROOM,
}
UNKNOWN: Told = (
    "It refused a command in a way that is not known here.",
    "See its log, and whether it is a Redis 7 or Valkey 8, or newer.",
)


_KINDS: dict[tuple[type[Exception], ...], Told] = {
    (exceptions.TimeoutError, TimeoutError): UNREACHED["silent"],
    (exceptions.InvalidResponse,): UNREACHED["not_redis"],
    (exceptions.ConnectionError, OSError): UNREACHED["closed"],
}


def told_of(error: Exception, *, has_password: bool) -> Told:
    """Return the fault and the cure, by redis-py's exception."""
    text = str(error)
    if isinstance(error, exceptions.NoPermissionError):
        return _forbidden([error])
    if isinstance(error, exceptions.AuthenticationError):
        return _about_password(text, has_password=has_password)
    for kind, code in _CLASSES.items():
        if isinstance(error, kind):
            return _ANSWERS[code]
    if found := _ANSWERS.get(text.split(" ", 1)[0].strip("-")):
        return found
    if _UNKNOWN_COMMAND.match(text):
        return _unknown([error])
    for words, told in _WORDS.items():
        if words in text:
            return told
    return next((told for kinds, told in _KINDS.items() if isinstance(error, kinds)), UNKNOWN)


def _about_password(text: str, *, has_password: bool) -> Told:
    if "without any password configured" in text or "no password is set" in text:
        return _NEEDLESS_PASSWORD
    return _WRONG_PASSWORD if has_password else _NO_PASSWORD


def all_told_of(errors: Iterable[Exception]) -> list[Told]:
    """List each fault once; forbidden or unknown commands are named together."""
    forbidden = []
    unknown = []
    others = []
    for error in errors:
        if isinstance(error, exceptions.NoPermissionError):
            forbidden.append(error)
        elif _UNKNOWN_COMMAND.match(str(error)):
            unknown.append(error)
        else:
            others.append(told_of(error, has_password=True))
    first = [_forbidden(forbidden)] if forbidden else []
    first += [_unknown(unknown)] if unknown else []
    return [*first, *dict.fromkeys(others)]


def _forbidden(errors: Iterable[Exception]) -> Told:
    commands = _named(r".*'([A-Za-z|-]{1,40})' (?:sub)?command", errors)
    if not commands:
        return (
            "Its user may not touch the keys of this site.",
            f"Allow them: `ACL SETUSER <user> ~{PREFIX}*`.",
        )
    shown = ", ".join(command.upper().replace("|", " ") for command in commands)
    rules = " ".join(f"+{command.lower()}" for command in commands)
    return (
        f"Its user may not use {shown}.",
        f"Allow that: `ACL SETUSER <user> {rules}`; docs/operating.md has a whole rule.",
    )


def _unknown(errors: Iterable[Exception]) -> Told:
    commands = [command.upper() for command in _named(_UNKNOWN_COMMAND, errors)]
    if {"GET", "SET", "DEL"} <= set(commands):
        return SENTINEL
    shown = ", ".join(commands)
    return (
        f"It does not know {shown}.",
        "Use Redis 7 or newer, or Valkey 8 or newer; if commands were renamed, take that back.",
    )


def _named(pattern: str | re.Pattern[str], errors: Iterable[Exception]) -> list[str]:
    found = (re.match(pattern, str(error)) for error in errors)
    return list(dict.fromkeys(match[1] for match in found if match))
