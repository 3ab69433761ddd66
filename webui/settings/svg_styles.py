"""Styles inside an SVG: values that load nothing, declarations, and rules of a style sheet."""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Iterator

from webui.oauth_manager.values import Struct
from webui.settings.readers import Malformed, words

PROPERTIES = frozenset(
    words(
        "fill fill-opacity fill-rule stroke stroke-width stroke-opacity stroke-linecap "
        "stroke-linejoin stroke-miterlimit stroke-dasharray stroke-dashoffset opacity color "
        "display visibility clip-path clip-rule mask stop-color stop-opacity font-family "
        "font-size font-weight font-style font-stretch letter-spacing word-spacing text-anchor "
        "dominant-baseline baseline-shift paint-order shape-rendering text-rendering "
        "vector-effect overflow"
    )
)
"""Presentation attributes that may stay (SVG 2, section 6.6)."""

_LOCAL = re.compile(r"""url\(\s*(["']?)#(?P<name>[\w.:-]+)\1\s*\)""")
_WORD = string.ascii_letters + string.digits + "-_"
_CALLS = frozenset(words("matrix translate scale rotate skewx skewy rgb rgba hsl hsla"))
_SELECTOR = re.compile(r"[.#]?[A-Za-z_][\w-]*|\*")


def refused(found: str, cure: str) -> Malformed:
    """Make the fault of an SVG that has something that it may not have."""
    return Malformed(f"names an SVG with {found}; {cure}")


def checked(value: str) -> str:
    """Return a value that loads nothing; it may name a part of the same file.

    A backslash or a comment could hide a call from this check.
    """
    rest = _LOCAL.sub("", value)
    hides = any(sign in rest for sign in ("\\", "/*", "@"))
    if hides or any(call not in _CALLS for call in _calls(rest)):
        raise refused("a value that could load something", "write plain colours and numbers")
    return value


def _calls(value: str) -> Iterator[str]:
    """Yield the word before each opening parenthesis."""
    for before in value.split("(")[:-1]:
        before = before.rstrip()
        yield before[len(before.rstrip(_WORD)) :].lower()


def local_names(value: str) -> Iterator[str]:
    """Yield the ids that a value refers to."""
    return (found["name"] for found in _LOCAL.finditer(value))


def declarations(text: str) -> dict[str, str]:
    """Read what stands between braces, or in ``style``; every value is checked, and few stay."""
    said = {}
    for part in _without_comments(text).split(";"):
        name, _, value = part.partition(":")
        plain, mark, important = value.rpartition("!")
        if mark and important.strip().lower() == "important":
            value = plain
        name, value = name.strip().lower(), checked(value.strip())
        if name in PROPERTIES and value:
            said[name] = value
    return said


class Rule(Struct, frozen=True):
    """One simple selector (``*``, ``path``, ``.class`` or ``#id``) and what it says."""

    selector: str
    said: dict[str, str]

    @property
    def weight(self) -> int:
        """Return the specificity, as a number to sort by."""
        return {"*": 0, ".": 2, "#": 3}.get(self.selector[0], 1)

    def applies(self, name: str, own_id: str, classes: Collection[str]) -> bool:
        if self.selector[0] == ".":
            return self.selector[1:] in classes
        return self.selector in ("*", name) or self.selector == f"#{own_id}"


def rules(text: str) -> Iterator[Rule]:
    """Read a style sheet of simple selectors.  Raises :class:`Malformed` at any other."""
    for part in _without_comments(text).split("}"):
        selectors, brace, body = part.partition("{")
        if not brace and not selectors.strip():
            continue
        names = [name.strip() for name in selectors.split(",")]
        if not brace or not all(map(_SELECTOR.fullmatch, names)):
            raise refused(
                "a style sheet of more than simple rules", "save it with presentation attributes"
            )
        said = declarations(body)
        yield from (Rule(name, said) for name in names)


def _without_comments(text: str) -> str:
    """Cut comments out; an open one is left, and then refused."""
    kept, *rest = text.split("/*")
    for part in rest:
        _, end, after = part.partition("*/")
        if not end:
            return text
        kept += " " + after
    return kept
