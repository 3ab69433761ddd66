"""Readers of a provider's fields, by kind: from text or from TOML's own types to the value to use.

Each raises :class:`Malformed` with the end of a sentence that begins with the field's name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from .. import configuration
from ..configuration import Malformed
from ..errors import Meaning
from . import asked, client_keys, texts, wire_kinds

NEVER = -1
"""The ``lifetime`` of tokens that never end, whatever the answer says."""

_MEANINGS = {str(meaning) for meaning in Meaning}


def addresses(value: object) -> tuple[str, ...]:
    """Read addresses of documents."""
    return tuple(configuration.endpoint(one) for one in texts.texts(value))


def day(value: object) -> str:
    """Read a date, which TOML writes without quotation marks."""
    if not isinstance(value, date):
        raise Malformed("must be a date: 2026-11-27")
    return f"{value:%Y-%m-%d}"


def switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("1", "on", "true", "yes"):
        return True
    if isinstance(value, str) and value.lower() in ("0", "off", "false", "no"):
        return False
    raise Malformed("must be on or off")


def separator(value: object) -> str:
    """Read a separator by name: the environment cannot tell a blank from nothing."""
    named = {"space": " ", "comma": ","}.get(str(value).lower(), value)
    if not isinstance(named, str) or len(named) != 1 or not " " <= named <= "~":
        raise Malformed("must be space, comma or one character")
    return named


def lifetime(value: object) -> int:
    """Read a length of time in seconds, or ``never``."""
    if value == "never" or value == NEVER:
        return NEVER
    digits = str(value)
    if isinstance(value, bool) or not re.fullmatch("[1-9][0-9]{0,8}", digits):
        raise Malformed("must be seconds, or never")
    return int(digits)


def count(value: object) -> int:
    digits = str(value)
    if isinstance(value, bool) or not re.fullmatch("[1-9]|1[0-9]|20", digits):
        raise Malformed("must be a number from 1 to 20")
    return int(digits)


def duration(value: object) -> float:
    """Read a time like 90d, 24h, 15m or 10s as seconds; a number counts seconds."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number and 0 <= float(str(value)) < math.inf:
        return float(str(value))
    found = re.fullmatch(r"([0-9]{1,6}) ?([dhms])", str(value).lower())
    if not found or not int(found[1]):
        raise Malformed("must be a time like 90d, 24h, 15m or 10s")
    return float(int(found[1]) * {"d": 86_400, "h": 3600, "m": 60, "s": 1}[found[2]])


def client_key(value: object) -> str:
    """Check a private key, and leave it as it is."""
    text = configuration.text_of(value)
    client_keys.read_key(text)
    return text


def meanings(value: object) -> dict[str, tuple[str, ...]]:
    """Read words of a provider by what they mean."""
    if not isinstance(value, Mapping) or not value.keys() <= _MEANINGS:
        raise Malformed(f"must be a table of {', '.join(sorted(_MEANINGS))}")
    return {meaning: texts.words(said) for meaning, said in value.items()}


def contents(value: object) -> dict[str, tuple[str, ...]]:
    """Read scopes with the scopes inside each."""
    if not isinstance(value, Mapping):
        raise Malformed("must be a table of scopes")
    try:
        return {scope: texts.words(inner) for scope, inner in value.items()}
    except Malformed:
        raise Malformed("must give a list of scopes for each") from None


def one_of(*choices: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        found = [choice for choice in choices if choice.lower() == str(value).lower()]
        if not found:
            raise Malformed(f"must be one of: {', '.join(choices)}")
        return found[0]

    return read


_READERS: dict[str, Callable[[object], Any]] = {
    "addresses": addresses,
    "ask": asked.read,
    "client_key": client_key,
    "contents": contents,
    "count": count,
    "day": day,
    "duration": duration,
    "endpoint": wire_kinds.endpoint,
    "headers": wire_kinds.headers,
    "host": wire_kinds.host,
    "hosts": wire_kinds.hosts,
    "issuer": configuration.issuer,
    "json": wire_kinds.json_text,
    "keep": wire_kinds.keep,
    "lifetime": lifetime,
    "line": texts.line,
    "logo": texts.line,  # the site reads the file
    "meanings": meanings,
    "name": wire_kinds.name,
    "pair": wire_kinds.pair,
    "parameters": wire_kinds.parameters,
    "path": wire_kinds.path,
    "phrases": texts.phrases,
    "sentence": texts.sentence,
    "separator": separator,
    "steps": texts.texts,
    "switch": switch,
    "token_header": wire_kinds.token_header,
    "words": texts.words,
}


def reader_of(kind: str) -> Callable[[object], Any]:
    """Return the reader of a kind.  Raises ``KeyError``."""
    head, *choices = kind.split()
    return one_of(*choices) if head == "choice" else _READERS[head]
