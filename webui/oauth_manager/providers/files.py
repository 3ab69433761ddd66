"""A provider's file: TOML, read by the schema; every fault is named, with its line.  No I/O."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from ..configuration import Malformed
from . import asked, kinds, schema

GROUPS = ("Sees", "Changes", "Acts", "Deletes")
_NEEDED = {"authorize_url", "token_url"}  # or the issuer alone, whose metadata name them
_SCOPE_FIELDS = frozenset({"can", "precisely", "group", "default"})
# "I do not have permission to: see this, not that" would be said of what is not so.
_LIMIT = re.compile(r"\b(not|only|without|never|except)\b")


@dataclass(frozen=True, order=True)
class Fault:
    """One fault of a file; ``line`` counts from 1, and is 1 for what is missing."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"


class FaultyFile(ValueError):
    """The faults of a file, in the order of its lines; no message repeats a value."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults))
        super().__init__("; ".join(map(str, self.faults)))


@dataclass(frozen=True)
class Entry:
    """One provider of the catalogue: fields of ``OAuthProvider``, and facts for its readers."""

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def read(name: str, text: str) -> Entry:
    """Read the file of the provider called ``name``.  Raises :class:`FaultyFile`."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"line (\d+)", str(error))
        line = int(where[1]) if where else text.count("\n") + 1
        said = re.sub(r"\s*\(at .*\)$|'[^']*'|\"[^\"]*\"", "", str(error))
        raise FaultyFile([Fault(line, f"is not TOML: {said}")]) from None
    found: dict[str, Any] = {}
    faults = [
        Fault(_line(text, *where), said) for where, said in _faults(table, found) if where or said
    ]
    if faults:
        raise FaultyFile(faults)
    facts = {key: value for key, value in found.items() if key in schema.FACTS}
    return Entry(name, _as_fields(found), facts)


def _faults(
    table: Mapping[str, Any], found: dict[str, Any]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each fault with the path of its key; what can be read goes into ``found``."""
    for key, value in table.items():
        row = schema.BY_NAME.get(key)
        if key == "scopes":
            yield from _scopes(value, found)
        elif row is None or key in schema.OF_OPERATORS:
            yield (key,), f"{_shown(key)} is no field of a provider's file{_nearest(key)}"
        else:
            try:
                found[key] = kinds.reader_of(row.kind)(value)
            except Malformed as fault:
                yield (key,), f"{key} {fault}"
    for key in sorted(_NEEDED):
        if key not in table and ("issuer" not in table or len(_NEEDED - table.keys()) == 1):
            yield (), f"{key} is missing"
    if ("ask" in found) == ("ask" in table):
        yield from _misplaced(found)
    yield from _elsewhere(found)
    for name in found.get("unconfirmed", ()):
        if name not in schema.BY_NAME:
            yield ("unconfirmed",), f"unconfirmed names what is no field{_nearest(name)}"


def _shown(key: str) -> str:
    return key if re.fullmatch("[a-z0-9_-]{1,40}", key) else "a key"


def _nearest(key: str) -> str:
    known = [name for name in schema.BY_NAME if name not in schema.OF_OPERATORS]
    near = get_close_matches(key, known, n=1, cutoff=0.6)
    return f"; {near[0]} is" if near else ""


def _misplaced(found: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the addresses in which a value of the person has no place that is safe."""
    addresses = {k: v for k, v in found.items() if k.endswith("_url")}
    for where, said in asked.faults(found.get("ask", ()), addresses):
        yield (where,), f"{where} {said}"


def _elsewhere(found: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the endpoints outside the vendor's ``domains``, if those are named."""
    domains = found.get("domains", ())
    for key in (
        "authorize_url",
        "token_url",
        "refresh_url",
        "par_url",
        "revoke_url",
        "account_url",
    ):
        hosts = asked.hosts(found.get("ask", ()), found.get(key, ""))
        outside = [h for h in hosts if not any(f".{h}".endswith(f".{one}") for one in domains)]
        if domains and outside:
            yield (key,), f"{key} is on none of the domains"


def _scopes(value: object, found: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    if not isinstance(value, Mapping):
        yield ("scopes",), "scopes must be a table: one line for each, with what it allows"
        return
    found["scopes"] = {}
    for scope, row in value.items():
        fault = _fault_of_scope(scope, row)
        if fault:
            yield ("scopes", scope), f"a scope {fault}"
        else:
            found["scopes"][scope] = row


def _fault_of_scope(scope: str, row: object) -> str:
    if not re.fullmatch(r"[!-~]{0,256}", scope):
        return "must be printable ASCII without blanks"
    if not isinstance(row, Mapping) or not row.keys() <= _SCOPE_FIELDS:
        return f"may have {', '.join(sorted(_SCOPE_FIELDS))}, and nothing else"
    can, precisely = row.get("can", ""), row.get("precisely", "x")
    for said in (can, precisely):
        if not isinstance(said, str) or not 0 < len(said) <= 200 or not said.isprintable():
            return "must say what it allows: can, one line of at most 200 characters"
        if said.endswith(".") or said[0].isupper():
            return 'must say what it allows so that it completes "the bot can"'
    if _LIMIT.search(can):
        return 'must be as true after "I do not have permission to"; name limits in precisely'
    if row.get("group") not in GROUPS:
        return f"must have a group: {', '.join(GROUPS)}"
    return "" if isinstance(row.get("default", False), bool) else "must have default = true"


def _as_fields(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of ``OAuthProvider``."""
    given = {k: v for k, v in found.items() if k not in schema.FACTS}
    scopes = given.pop("scopes", {})
    given["scopes"] = [scope for scope, row in scopes.items() if row.get("default")]
    given["scope_sentences"] = {
        scope: tuple(row[name] for name in ("can", "group", "precisely") if name in row)
        for scope, row in scopes.items()
    }
    words = dict(given.pop("words", {}))
    if gone := given.pop("gone", ()):  # the deployment's own words stand beside these
        words["gone"] = (*words.get("gone", ()), *gone)
    given |= {"words": words, "scope_contains": given.pop("contains", {})}
    if "scopes_unlisted" in given:
        given["scopes_unlisted"] = frozenset(given["scopes_unlisted"])
    return {schema.OTHER_NAMES.get(name, name): value for name, value in given.items()}


def _line(text: str, *path: str) -> int:
    """Return the line of a key, 1 if it is not found: the parser tells none."""
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines() if path else (), 1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            table = _names(f"[{header[1]}]")
            if table[: len(path)] == path:
                return number
        elif assigned := re.match(r"""\s*((?:"[^"]*"|'[^']*'|[\w.\-]+|\s)+?)\s*=""", line):
            names = (*table, *_names(f"{assigned[1]} = 0"))
            if names[: len(path)] == path:
                return number
    return 1


def _names(line: str) -> tuple[str, ...]:
    """Return the path of the one key in a line of TOML, unquoted."""
    try:
        value: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    names = []
    while isinstance(value, dict) and value:
        ((name, value),) = value.items()
        names.append(name)
    return tuple(names)
