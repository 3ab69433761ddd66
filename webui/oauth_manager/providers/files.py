"""A provider's file: TOML, read by the schema; every fault is named, with its line.  No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from ..configuration import Malformed
from ..errors import Meaning
from . import asked, kinds, schema
from .toml_text import NotToml, line_of, table_of

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
        table = table_of(text.removeprefix("\ufeff"))
    except NotToml as error:
        raise FaultyFile([Fault(error.line, str(error))]) from None
    found: dict[str, Any] = {}
    faults = [
        Fault(line_of(text, *where), said) for where, said in _faults(table, found) if where or said
    ]
    if faults:
        raise FaultyFile(faults)
    facts = {key: value for key, value in found.items() if key in schema.FACTS}
    return Entry(name, _as_fields(found), facts)


Place = tuple[str, ...]
"""The path of a key: the names of its tables, and its own."""


def _faults(table: dict[str, Any], found: dict[str, Any]) -> Iterator[tuple[Place, str]]:
    """Yield each fault with the path of its key; what can be read goes into ``found``."""
    sunk = list(_sunk(table))
    for *tables, key in sunk:
        yield (*tables, key), f"{key} belongs above [{'.'.join(tables)}], with the other fields"
        inner = table
        for name in tables:
            inner = inner[name]
        del inner[key]
    yield from _of_fields(table, found)
    yield from _missing(table.keys() | {place[-1] for place in sunk})
    if not sunk and ("ask" in found) == ("ask" in table):
        yield from _misplaced(found)
    yield from _elsewhere(found)
    yield from _unreadable(found)


def _missing(present: Set[str]) -> Iterator[tuple[Place, str]]:
    for key in sorted(_NEEDED):
        if key not in present and ("issuer" not in present or len(_NEEDED - present) == 1):
            yield (), f"{key} is missing"


def _unreadable(found: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Yield what would be shown as it is written: a place that nothing fills, a field's name."""
    for key, place in (("purpose", "bot"), ("register", "callback")):
        if re.search(rf"\{{(?!{place}\}})", str(found.get(key, ""))):
            yield (key,), f"{key} may have {{{place}}} in it, and no other place"
    for name in found.get("unconfirmed", ()):
        if name not in schema.BY_NAME:
            yield ("unconfirmed",), f"unconfirmed names what is no field{_nearest(name)}"


def _sunk(table: Mapping[str, Any]) -> Iterator[Place]:
    """Yield the fields that stand below a heading, and so within its table."""
    scopes, asks = (
        value if isinstance(value, Mapping) else {} for value in map(table.get, ("scopes", "ask"))
    )
    own: dict[Place, Iterable[str]] = {
        ("scopes",): [name for name, row in scopes.items() if isinstance(row, Mapping)],
        ("words",): list(Meaning),
        ("contains",): scopes,
        **{("ask", name): asked.FIELDS for name in asks},
    }
    for place, names in own.items():
        rows: Any = table
        for name in place:
            rows = rows.get(name, {})
        for key in rows if isinstance(rows, Mapping) else ():
            if key in schema.BY_NAME and key not in names:
                yield (*place, key)


def _of_fields(table: Mapping[str, Any], found: dict[str, Any]) -> Iterator[tuple[Place, str]]:
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


def _shown(key: str) -> str:
    return key if re.fullmatch("[a-z0-9_-]{1,40}", key) else "a key"


def _nearest(key: str) -> str:
    known = [name for name in schema.BY_NAME if name not in schema.OF_OPERATORS]
    near = get_close_matches(key, known, n=1, cutoff=0.6)
    return f"; {near[0]} is" if near else ""


def _misplaced(found: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Yield the addresses in which a value of the person has no place that is safe."""
    addresses = {k: v for k, v in found.items() if k.endswith("_url")}
    for where, said in asked.faults(found.get("ask", ()), addresses, found.get("host", "")):
        yield (where,), f"{where} {said}"
    for where, text in addresses.items():
        if "{host}" in text and "{host}" not in addresses.get("token_url", "{host}"):
            yield (where,), f"{where} has a place for {{host}}, and token_url has none"


def _elsewhere(found: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
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


def _scopes(value: object, found: dict[str, Any]) -> Iterator[tuple[Place, str]]:
    if not isinstance(value, Mapping):
        yield ("scopes",), "scopes must be a table: one line for each, with what it allows"
        return
    found["scopes"] = {}
    for scope, row in value.items():
        faults = list(_faults_of_scope(scope, row))
        yield from ((("scopes", scope, key), f"a scope {said}") for key, said in faults)
        if not faults:
            found["scopes"][scope] = row


def _faults_of_scope(scope: str, row: object) -> Iterator[tuple[str, str]]:
    """Yield each fault with the key it is about, ``""`` for the scope itself."""
    if not re.fullmatch(r"[!-~]{0,256}", scope):
        yield "", "must be printable ASCII without blanks"
    if not isinstance(row, Mapping) or not row.keys() <= _SCOPE_FIELDS:
        yield "", f"may have {', '.join(sorted(_SCOPE_FIELDS))}, and nothing else"
        return
    for key, usual in (("can", ""), ("precisely", "x")):
        if fault := _fault_of_sentence(row.get(key, usual), is_limited=key == "precisely"):
            yield key, fault
    if row.get("group") not in GROUPS:
        yield "group", f"must have a group: {', '.join(GROUPS)}"
    if not isinstance(row.get("default", False), bool):
        yield "default", "must have default = true, without marks"


def _fault_of_sentence(said: object, *, is_limited: bool) -> str:
    if not isinstance(said, str) or not 0 < len(said) <= 200 or not said.isprintable():
        return "must say what it allows: can, one line of at most 200 characters"
    if said.endswith(".") or said[0].isupper():
        return 'must say what it allows so that it completes "the bot can": read your notes'
    if re.search(r"\{(?!(bot|product)\})", said):
        return "may have {bot} and {product} in it, and no other place"
    if not is_limited and _LIMIT.search(said):
        return 'must be as true after "I do not have permission to"; name limits in precisely'
    return ""


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
