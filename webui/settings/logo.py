"""Logos, the operator's own and those of providers: files, read once and made harmless."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from webui.settings import png, svg
from webui.settings.readers import Malformed

_MOST = {"svg": 64 * 1024, "png": 128 * 1024}  # bytes


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture fit to be served, and its kind: ``svg`` or ``png``."""

    kind: str
    body: bytes = field(repr=False)


def read_logo(path: str) -> Logo:
    """Read the logo.  Raises :class:`Malformed`, like every reader; it never repeats the path."""
    body = _read(Path(path))
    if body.startswith(png.SIGNATURE):
        kind, clean = "png", png.cleaned
    elif body.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        kind, clean = "svg", svg.cleaned
    else:
        raise Malformed("names a file that is neither an SVG nor a PNG; save the logo as one")
    if len(body) > _MOST[kind]:
        raise Malformed(
            f"names a file that is too large; {kind.upper()} may have {_MOST[kind] // 1024} kB"
        )
    return Logo(kind, clean(body))


def _read(path: Path) -> bytes:
    try:
        is_file = path.is_file()  # a device or a pipe could keep us for ever
        with path.open("rb") if is_file else BytesIO() as file:
            body = file.read(max(_MOST.values()) + 1)
    except OSError:
        raise Malformed("names a file that cannot be read; check its rights") from None
    if not is_file:
        raise Malformed("names no file; give the path of an SVG or PNG on this machine")
    return body
