"""``PRODUCT_COLOUR``: every colour that follows from the operator's one, in both schemes.

The rules are those of ``static/app.css``, in its block about ``oklch(from ...)``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from webui.settings.colours import at_lightness, contrast, lightness, luminance, mixed
from webui.settings.readers import Malformed

_STEP = 0.002  # of lightness, from one candidate to the next
_LABEL_TURNS = 0.179  # luminance: white stands out more below it, black above


@dataclass(frozen=True, slots=True)
class Scheme:
    """One colour scheme of the stylesheet: its tokens, and how an accent is fitted to them."""

    name: str
    tokens: Mapping[str, str] = field(compare=False)
    least_fill: float  # lightness of buttons
    over: float  # lightness that a button gains under the pointer
    ink: tuple[float, float]  # least and most lightness of links
    soft: float  # share of the accent in a tinted ground


LIGHT = Scheme(
    "light",
    {"canvas": "#F4F4F2", "surface": "#FFFFFF", "sunken": "#F2F2EF", "muted": "#4A515A"},
    least_fill=0.0,
    over=-0.06,
    ink=(0.0, 0.44),
    soft=0.11,
)
DARK = Scheme(
    "dark",
    {"canvas": "#0F1316", "surface": "#191E22", "sunken": "#121619", "muted": "#B0B8BF"},
    least_fill=0.74,
    over=0.06,
    ink=(0.8, 1.0),
    soft=0.16,
)
SCHEMES = (LIGHT, DARK)

# What is seen, its token, the tokens behind it, and the contrast that takes (WCAG 2.2, 1.4.3 and
# 1.4.11).
_NEEDS = (
    ("a link", "accent-ink", ("canvas", "surface", "sunken", "accent-soft"), 4.5),
    ("quiet text on the tint", "muted", ("accent-soft",), 4.5),
    ("the label of a button", "on-accent", ("accent-fill", "accent-over"), 4.5),
    ("the sign on the bot's tile", "on-brand", ("accent",), 4.5),
    ("a button on the page", "accent-fill", ("canvas", "surface"), 3.0),
)


def _label_on(colour: str) -> str:
    return "#FFFFFF" if luminance(colour) < _LABEL_TURNS else "#000000"


def tokens(accent: str, scheme: Scheme) -> dict[str, str]:
    """Return the tokens of the stylesheet that follow from the accent, as ``#RRGGBB``."""
    own = lightness(accent)
    fill = at_lightness(accent, max(own, scheme.least_fill))
    least, most = scheme.ink
    return {
        "accent": accent,
        "accent-fill": fill,
        "accent-over": at_lightness(fill, lightness(fill) + scheme.over),
        "accent-ink": at_lightness(accent, min(max(own, least), most)),
        "accent-soft": mixed(fill, scheme.tokens["surface"], scheme.soft),
        "on-accent": _label_on(fill),
        "on-brand": _label_on(accent),
    }


def shortfalls(accent: str) -> Iterator[tuple[str, str, float, float]]:
    """Yield what is hard to see: scheme, what it is, its contrast and the least contrast."""
    for scheme in SCHEMES:
        found = {**scheme.tokens, **tokens(accent, scheme)}
        for seen, token, behind, least in _NEEDS:
            ratio = min(contrast(found[token], found[ground]) for ground in behind)
            if ratio < least:
                yield scheme.name, seen, ratio, least


def nearest(accent: str) -> str:
    """Return the colour nearest in lightness that falls short in nothing."""
    own = lightness(accent)
    for step in count():
        for wanted in (own - step * _STEP, own + step * _STEP):
            colour = at_lightness(accent, wanted)
            if not any(shortfalls(colour)):
                return colour
    raise AssertionError  # black falls short in nothing


def product_colour(text: str) -> str:
    """Read the operator's colour.  Raises :class:`Malformed`, like every reader."""
    if not re.fullmatch("#[0-9A-Fa-f]{6}", text):
        raise Malformed("must be a # and six hexadecimal digits, like #0F5468")
    accent = text.upper()
    if short := [
        f"in the {scheme} scheme, {seen} would have a contrast of "
        f"{math.floor(ratio * 100) / 100:.2f} to 1 and needs {least:g}"
        for scheme, seen, ratio, least in shortfalls(accent)
    ]:
        raise Malformed(
            f"is too hard to see: {'; '.join(short)}. The nearest colour that would do is "
            f"{nearest(accent)}"
        )
    return accent


def stylesheet(accent: str) -> str:
    """Write the stylesheet that sets the tokens over those of ``app.css``."""
    light, dark = (
        "".join(f"  --{name}: {value};\n" for name, value in tokens(accent, scheme).items())
        for scheme in SCHEMES
    )
    return f":root {{\n{light}}}\n\n@media (prefers-color-scheme: dark) {{ :root {{\n{dark}}} }}\n"
