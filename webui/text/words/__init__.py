"""Every sentence a person reads, in one catalogue: screens, chat texts and tests share it.

The sentences are in ``en.toml``, keyed ``screen.state.part`` (``card.reconnect.title``),
with ``{placeholders}`` for values.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, str):
            yield prefix + name, value
        else:
            yield from _flatten(value, f"{prefix}{name}.")


CATALOGUE: dict[str, str] = dict(
    _flatten(tomllib.loads(Path(__file__).with_name("en.toml").read_text("utf-8")))
)


def text(key: str, **values: object) -> str:
    """Return the sentence as plain text.  Raises ``KeyError`` for an unknown key or no value."""
    return CATALOGUE[key].format_map(values)


def markup(key: str, **values: object) -> Markup:
    """Return the sentence as HTML: everything is escaped but values that are ``Markup`` already.

    Raises ``KeyError`` like :func:`text`.
    """
    sentence = _escaped(CATALOGUE[key])
    safe = {name: escape(value) for name, value in values.items()}
    return Markup(str.format_map(sentence, safe))  # noqa: S704 -- both are escaped


# A sentence holds plain {names}, without formats: so a value may be escaped before it is put in.
_escaped = lru_cache(maxsize=4096)(escape)
