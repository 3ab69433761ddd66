"""The parts of an SVG that may stay, read without entities."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from webui.settings import svg_styles
from webui.settings.readers import Malformed, words
from webui.settings.svg_styles import PROPERTIES, Rule, checked, refused

NAMESPACE = "http://www.w3.org/2000/svg"

_XHTML = "http://www.w3.org/1999/xhtml"
_DRAWN = frozenset(
    words(
        "svg g defs symbol use path rect circle ellipse line polyline polygon text tspan "
        "linearGradient radialGradient stop clipPath mask pattern style"
    )
)
_LOOKS = frozenset({"filter", "foreignObject", "image", "marker", "switch", "textPath"})
_NOT_DRAWN = frozenset({"color-profile", "desc", "metadata", "title", "view"})
_ATTRIBUTES = PROPERTIES | frozenset(
    words(
        "class id x y width height viewBox preserveAspectRatio d points cx cy r rx ry fx fy fr "
        "x1 y1 x2 y2 dx dy rotate textLength lengthAdjust transform pathLength offset "
        "gradientUnits gradientTransform spreadMethod clipPathUnits maskUnits maskContentUnits "
        "patternUnits patternContentUnits patternTransform"
    )
)
_DEEPEST = 40


@dataclass(slots=True, eq=False)
class Element:
    """An element that is drawn, or shapes what is drawn."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    style: dict[str, str] = field(default_factory=dict)  # of its own, over every rule
    inside: list[Element | str] = field(default_factory=list)

    @property
    def elements(self) -> Iterator[Element]:
        return (child for child in self.inside if isinstance(child, Element))


def read(text: str) -> tuple[Element, list[Rule]]:
    """Read a whole file.  Raises :class:`Malformed` at anything that might run or load."""
    reader = _Reader()
    try:
        reader.parser.Parse(text, True)
    except Malformed as fault:
        raise Malformed(f"{fault} (line {reader.parser.CurrentLineNumber} of it)") from None
    except expat.ExpatError as error:
        raise Malformed(
            f"names a file that is not well-formed XML (line {error.lineno}); save it again"
        ) from None
    assert reader.root is not None  # noqa: S101 -- no document is well-formed without one
    return reader.root, reader.rules


class _Reader:
    """A reader of what the parser tells: a tree of what may stay, and the style sheets."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self.rules: list[Rule] = []
        self._open: list[Element] = []
        self._passed_over = 0  # depth inside something that is left out
        self.parser = expat.ParserCreate("utf-8", " ")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def _doctype(self, *_: object) -> None:
        raise refused("a DOCTYPE", "take that line out")

    def _start(self, told: str, attributes: dict[str, str]) -> None:
        namespace, _, name = told.rpartition(" ")
        if self.root is None and (namespace, name) != (NAMESPACE, "svg"):
            raise Malformed(f'names a file that does not begin with <svg xmlns="{NAMESPACE}">')
        if self._passed_over or self._is_left_out(namespace, name):
            self._passed_over += 1
            return
        if len(self._open) >= _DEEPEST:
            raise refused(f"elements more than {_DEEPEST} deep in each other", "ungroup them")
        element = Element(name)
        for key, value in attributes.items():
            _take(element, key, value)
        if self._open:
            self._open[-1].inside.append(element)
        else:
            self.root = element
        self._open.append(element)

    def _is_left_out(self, namespace: str, name: str) -> bool:
        if namespace == NAMESPACE and name in _DRAWN:
            return False
        is_foreign = namespace not in (NAMESPACE, _XHTML) and name.lower() != "script"
        if name in _NOT_DRAWN or is_foreign:
            return True
        said = f"<{name}>" if re.fullmatch("[A-Za-z-]{1,30}", name) else "an element"
        cure = "turn it into paths, or give a PNG" if name in _LOOKS else "take it out"
        raise refused(f"{said}, which no logo may have", cure)

    def _end(self, _: str) -> None:
        if self._passed_over:
            self._passed_over -= 1
            return
        element = self._open.pop()
        if element.name == "style":
            said = "".join(part for part in element.inside if isinstance(part, str))
            self.rules += svg_styles.rules(said)

    def _text(self, text: str) -> None:
        if (
            self._open
            and not self._passed_over
            and self._open[-1].name in ("text", "tspan", "style")
        ):
            self._open[-1].inside.append(text)


def _take(element: Element, key: str, value: str) -> None:
    """Add one attribute, if it may stay."""
    _, _, name = key.rpartition(" ")
    if key.lower().startswith("on"):
        raise refused("an event attribute (on...)", "take it out")
    if key == "media" and element.name == "style":
        raise refused("a style sheet for some media alone", "save it with presentation attributes")
    if name == "href":  # its own, or that of XLink
        if not re.fullmatch(r"#[\w.:-]+", value.strip()):
            raise refused("a link to something outside it", "put that into the drawing itself")
        element.attributes["href"] = value.strip()
    elif key == "style":
        element.style = svg_styles.declarations(value)
    elif key in _ATTRIBUTES:
        element.attributes[key] = checked(value)
