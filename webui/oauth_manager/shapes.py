"""Records out of JSON, checked: every field is of the type that its dataclass names.

A value in Redis may be damaged, of another version, or somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

YEAR_10000 = 253_402_300_800.0  # epoch seconds; the last moment that can be shown is before it
_MOST = 10**9


def shaped(kind: type[T], record: object, /, **given: Any) -> T:
    """Make a ``kind`` of a record; further fields of the record are ignored.

    ``given`` are fields that the record does not decide.  Raises ``TypeError`` if a
    field is of another type, or one without a default is missing.
    """
    if not isinstance(record, Mapping):
        raise TypeError("no record")
    held = {
        name: read(record[name])
        for name, read in _readers(kind)  # type: ignore[arg-type]
        if name in record and name not in given
    }
    return kind(**held, **given)


def text(value: object) -> str:
    """Check text that can be written: without lone surrogates."""
    if not isinstance(value, str):
        raise TypeError("no text")
    if value.isascii():  # most are, and it is known without a copy
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        raise TypeError("no text that can be written") from None
    return value


def texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise TypeError("no list")
    return tuple(map(text, value))


def seconds(value: object) -> float:
    """Check a moment or a length of time that can be counted with and shown."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value < YEAR_10000:  # type: ignore[operator]  # also refuses NaN
        raise TypeError("no time")
    return float(value)  # type: ignore[arg-type]


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MOST:
        raise TypeError("no number")
    return value


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


@cache
def _readers(kind: Any) -> tuple[tuple[str, Callable[[object], Any]], ...]:
    """List each field of a dataclass with the reader of its type."""
    return tuple(
        (field.name, _READERS.get(str(field.type), _decided_elsewhere)) for field in fields(kind)
    )


def _decided_elsewhere(value: object) -> Any:
    raise TypeError("no field that a record decides")


_READERS: dict[str, Callable[[object], Any]] = {
    "str": text,
    "float": seconds,
    "int": _whole,
    "bool": _switch,
    "tuple[str, ...]": texts,
}
