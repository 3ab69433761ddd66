"""The text of a TOML file: its table, and the lines of its keys, which the parser does not tell."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

# Words of the parser -> the cure, in the order in which they are looked for.
_CURES = (
    ("twice|overwrite|immutable|Duplicate", "each name and each [heading] may stand once"),
    ("Expected '=|Invalid statement", 'each field is written: name = "its value"'),
    ("key part|inline table", "what stands between { and } has to be on one line"),
    ("Unclosed array|table declaration", "what [ begins ends with ]"),
    ("Unescaped|hex value|scalar value", r"a \ in a text is written twice"),
    ("Unterminated string|Illegal character|Expected [\"']", "a text ends with the mark before it"),
    ("", 'a text stands between straight marks ("), one field on a line; true and false are small'),
)

# In each place it can go on in one way alone: a long line without = takes no time.
_KEY = re.compile(r"""((?:"[^"]*"|'[^']*'|[\w.\-\s])+)=""")


class NotToml(ValueError):
    """A text is not TOML; ``line`` counts from 1, and the message repeats nothing of it."""

    def __init__(self, line: int, said: str) -> None:
        self.line = line
        super().__init__(said)


def table_of(text: str) -> dict[str, Any]:
    """Parse a text.  Raises :class:`NotToml`."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"line (\d+)", str(error))
        line = int(where[1]) if where else text.count("\n") + 1
        cure = next(cure for words, cure in _CURES if re.search(words, str(error)))
        raise NotToml(line, f"is not TOML: {cure}") from None
    except ValueError:  # int() takes no more digits
        raise NotToml(1, "is not TOML: a number has too many digits") from None
    except RecursionError:
        raise NotToml(1, "is not TOML: lists and tables stand too deep in each other") from None


def line_of(text: str, *path: str) -> int:
    """Return the line of a key or, where it is not found, of what it is in; 1 of nothing."""
    places = list(_places(text)) if path else []
    for length in range(len(path), 0, -1):
        for line, names in places:
            if names[:length] == path[:length]:
                return line
    return 1


def _places(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield each line that has a heading or a key, with the path of it."""
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?([^\[\]]+)\]", line):
            table = _names(f"[{header[1]}]")
            yield number, table
        elif assigned := _KEY.match(line):
            yield number, (*table, *_names(f"{assigned[1]} = 0"))


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
