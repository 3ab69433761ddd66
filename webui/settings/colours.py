"""Colours: from ``#RRGGBB`` to OKLCH and back, mixtures, contrast.

Pure.  OKLab and its matrices are Björn Ottosson's, as in CSS Color 4, section 9; luminance
and contrast are those of WCAG 2.2.
"""

from __future__ import annotations

Triple = tuple[float, float, float]

_TO_LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
_FROM_LAB = (
    (1.0, 0.3963377774, 0.2158037573),
    (1.0, -0.1055613458, -0.0638541728),
    (1.0, -0.0894841775, -1.2914855480),
)
_FROM_LMS = (
    (4.0767416621, -3.3077115913, 0.2309699292),
    (-1.2684380046, 2.6097574011, -0.3413193965),
    (-0.0041960863, -0.7034186147, 1.7076147010),
)
_GAMUT_EDGE = 1e-4  # how far outside a linear value still rounds to the edge
_HALVINGS = 16  # of the chroma, until the gamut holds it


def _times(matrix: tuple[Triple, ...], vector: Triple) -> Triple:
    first, second, third = (
        row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2] for row in matrix
    )
    return first, second, third


def linear(colour: str) -> Triple:
    """Return red, green and blue of ``#RRGGBB`` as amounts of light, 0 to 1."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return red, green, blue


def _written(light: Triple) -> str:
    def written(part: float) -> str:
        part = min(max(part, 0.0), 1.0)
        encoded = part * 12.92 if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055
        return f"{round(encoded * 255):02X}"

    return "#" + "".join(map(written, light))


def oklab(colour: str) -> Triple:
    """Return lightness, from 0 to 1, and the two axes of colour."""
    long, medium, short = _times(_TO_LMS, linear(colour))
    return _times(_TO_LAB, (long ** (1 / 3), medium ** (1 / 3), short ** (1 / 3)))


def _from_oklab(lab: Triple) -> Triple:
    long, medium, short = _times(_FROM_LAB, lab)
    return _times(_FROM_LMS, (long**3, medium**3, short**3))


def lightness(colour: str) -> float:
    """Return the L of OKLCH, from 0 to 1."""
    return oklab(colour)[0]


def _fits(lab: Triple) -> bool:
    return all(-_GAMUT_EDGE <= part <= 1 + _GAMUT_EDGE for part in _from_oklab(lab))


def at_lightness(colour: str, wanted: float) -> str:
    """Return the colour at another lightness: same hue, same chroma as far as sRGB has it."""
    wanted = min(max(wanted, 0.0), 1.0)
    own, a, b = oklab(colour)
    if abs(own - wanted) < 1e-9:
        return colour
    if _fits((wanted, a, b)):
        return _written(_from_oklab((wanted, a, b)))
    least, most = 0.0, 1.0
    for _ in range(_HALVINGS):
        share = (least + most) / 2
        if _fits((wanted, a * share, b * share)):
            least = share
        else:
            most = share
    return _written(_from_oklab((wanted, a * least, b * least)))


def mixed(colour: str, ground: str, share: float) -> str:
    """Mix so much of the colour into the ground, in OKLab."""
    light, a, b = (
        share * one + (1 - share) * other
        for one, other in zip(oklab(colour), oklab(ground), strict=True)
    )
    return _written(_from_oklab((light, a, b)))


def luminance(colour: str) -> float:
    """Return the relative luminance, 0 to 1."""
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio, 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)
