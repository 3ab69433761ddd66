"""SVG files of the operator: written anew, from an allow-list.

What is harmless and not drawn (comments, metadata, an editor's own elements) is left out.  What
could run, load or move is refused, and so is what would be missing from the drawing.  Style
sheets become attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from webui.settings import svg_styles
from webui.settings.readers import Malformed
from webui.settings.svg_elements import NAMESPACE, Element, read
from webui.settings.svg_styles import Rule, refused

_MOST_DRAWN = 20_000  # elements, with those that others refer to as often as they do
_MOST_HOPS = 8  # from reference to reference
_MOST_TRIED = 500_000  # rules, for each element; a drawing has dozens
_LONGEST = 128 * 1024  # characters of the file that is served
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"


def cleaned(body: bytes) -> bytes:
    """Return the drawing alone.  Raises :class:`Malformed`, like every reader."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Malformed("names an SVG that is not in UTF-8; save it again in UTF-8") from None
    root, rules = read(text)
    if len(rules) * text.count("<") > _MOST_TRIED:
        raise _applied_too_often()
    _dress(root, sorted(rules, key=lambda rule: rule.weight))
    _frame(root)
    _Count(root)
    return _written(root).encode()


def _dress(element: Element, rules: list[Rule]) -> None:
    """Write what style sheets and ``style`` say as attributes, all through the tree."""
    classes = frozenset(element.attributes.pop("class", "").split())
    for rule in rules:
        if rule.applies(element.name, element.attributes.get("id", ""), classes):
            element.attributes |= rule.said
    element.attributes |= element.style
    element.inside = [child for child in element.inside if not _is_style(child)]
    for child in element.elements:
        _dress(child, rules)


def _applied_too_often() -> Malformed:
    return refused("styles that apply too often", "save it with attributes instead")


def _is_style(child: Element | str) -> bool:
    return isinstance(child, Element) and child.name == "style"


def _frame(root: Element) -> None:
    """Give the drawing a ``viewBox``, so that it fits into every tile."""
    sizes = [
        float(found[1])
        for name in ("width", "height")
        if (found := re.fullmatch(rf"\s*({_NUMBER})(?:px)?\s*", root.attributes.pop(name, "")))
    ]
    view = re.split(r"[\s,]+", root.attributes.get("viewBox", "").strip())
    if len(view) == 4 and all(re.fullmatch(_NUMBER, part) for part in view):
        sizes = [float(part) for part in view[2:]]
    elif len(sizes) == 2:
        root.attributes["viewBox"] = f"0 0 {sizes[0]:g} {sizes[1]:g}"
    if len(sizes) != 2 or not all(0 < size < 1e6 for size in sizes):
        raise Malformed(
            "names an SVG without a size; give its first element a viewBox, or width and height "
            "in pixels"
        )
    root.attributes.pop("x", "")
    root.attributes.pop("y", "")


class _Count:
    """A count of what is drawn: an element counts as often as something refers to it."""

    def __init__(self, root: Element) -> None:
        self._by_id: dict[str, Element] = {}
        self._left = _MOST_DRAWN
        self._name(root)
        self._draw(root, 0)

    def _name(self, element: Element) -> None:
        self._by_id.setdefault(element.attributes.get("id", ""), element)
        for child in element.elements:
            self._name(child)

    def _draw(self, element: Element, hops: int) -> None:
        self._left -= 1
        if self._left < 0 or hops > _MOST_HOPS:
            raise refused("parts that refer to each other too often", "expand its clones")
        for child in element.elements:
            self._draw(child, hops)
        for name in _references(element):
            if name in self._by_id:
                self._draw(self._by_id[name], hops + 1)


def _references(element: Element) -> Iterator[str]:
    for key, value in element.attributes.items():
        if key == "href":
            yield value[1:]
        elif "url(" in value:
            yield from svg_styles.local_names(value)


def _written(root: Element) -> str:
    parts: list[str] = []
    left = _LONGEST

    def write(element: Element) -> None:
        nonlocal left
        own = {"xmlns": NAMESPACE} if element is root else {}
        said = "".join(f" {k}={quoteattr(v)}" for k, v in (own | element.attributes).items())
        left -= len(said)
        if left < 0:
            raise _applied_too_often()
        parts.append(f"<{element.name}{said}>")
        for child in element.inside:
            if isinstance(child, str):
                parts.append(escape(child))
            else:
                write(child)
        parts.append(f"</{element.name}>")

    write(root)
    return "".join(parts)
