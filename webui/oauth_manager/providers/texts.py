"""Readers of texts: one line, words between blanks, phrases between commas."""

from __future__ import annotations

import re

from ..configuration import Malformed


def text(value: object) -> str:
    """Read one line of text."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > 2000:
        raise Malformed("must be one line of text")
    return value


def line(value: object) -> str:
    """Read a name to show."""
    if len(text(value)) > 64:
        raise Malformed("must be one line of at most 64 characters")
    return text(value)


def sentence(value: object) -> str:
    """Read a sentence to show."""
    if len(text(value)) > 200:
        raise Malformed("must be one line of at most 200 characters")
    return text(value)


def words(value: object) -> tuple[str, ...]:
    """Read words: a list, or text with blanks or commas between them."""
    if isinstance(value, str):
        return tuple(filter(None, re.split(r"[\s,]+", value)))
    return texts(value)


def phrases(value: object) -> tuple[str, ...]:
    """Read texts and numbers: a list, or text with commas between them."""
    if isinstance(value, str):
        return tuple(filter(None, (part.strip() for part in value.split(","))))
    if isinstance(value, (list, tuple)):
        value = [str(one) if type(one) is int else one for one in value]
    return texts(value)


def texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
        raise Malformed("must be a list of texts, between [ and ]")
    return tuple(map(text, value))
