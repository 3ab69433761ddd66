"""Entries of the catalogue that comes with the package; a file is read when it is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from . import files, github, microsoft
from .files import Entry
from .provider import AccountReader, PermissionsReader

FOLDER = Path(__file__).parent / "catalogue"
BUILT_IN = ("discord", "github", "google", "microsoft")
"""Providers that every installation offers, without EXTRA_PROVIDERS."""

# The functions of providers: what no data says.
_FUNCTIONS: dict[str, dict[str, AccountReader | PermissionsReader]] = {
    "github": {"read_permissions": github.read_permissions},
    "microsoft": {"read_account": microsoft.read_account},
}


@cache
def names() -> tuple[str, ...]:
    """List the names of the catalogue, in alphabetical order."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


@cache
def entry(name: str) -> Entry | None:
    """Read an entry of the catalogue; None if there is none of that name."""
    if not re.fullmatch("[a-z][a-z0-9_-]{0,31}", name):
        return None
    try:
        text = (FOLDER / f"{name}.toml").read_text("utf-8")
    except FileNotFoundError:
        return None
    found = files.read(name, text)
    return Entry(name, {**found.fields, **_FUNCTIONS.get(name, {})}, found.facts)


def template(name: str) -> Mapping[str, Any]:
    """Return the fields of ``OAuthProvider`` that the catalogue has for a name, if any."""
    found = entry(name)
    return found.fields if found else MappingProxyType({})


def nearest(name: str) -> list[str]:
    """Return the names of the catalogue that are most like another, at most three."""
    return get_close_matches(name, names(), n=3, cutoff=0.7)


class Templates(Mapping[str, Mapping[str, Any]]):
    """The built-in providers' fields by name; each file is read when it is looked at."""

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        if name not in BUILT_IN:
            raise KeyError(name)
        return template(name)

    def __iter__(self) -> Iterator[str]:
        return iter(BUILT_IN)

    def __len__(self) -> int:
        return len(BUILT_IN)
