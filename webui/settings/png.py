"""PNG files of the operator: checked to the last byte, and only the picture kept.

The format is that of the W3C's PNG specification, third edition.  Texts, profiles, dates and
animations are left out.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from webui.settings.readers import Malformed

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_PIXELS = 512  # in each direction

_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
# By colour type: values to a pixel, and the depths of each in bits.
_COLOUR_TYPES = {
    0: (1, (1, 2, 4, 8, 16)),
    2: (3, (8, 16)),
    3: (1, (1, 2, 4, 8)),
    4: (2, (8, 16)),
    6: (4, (8, 16)),
}
# Adam7: first column and row, and the steps to the next.
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_DAMAGED = "names a PNG that is damaged; save it again"


def cleaned(body: bytes) -> bytes:
    """Return the file with its picture alone.  Raises :class:`Malformed`, like every reader."""
    chunks = [(kind, data) for kind, data in _chunks(body) if kind in _KEPT]
    kinds = [kind for kind, _ in chunks]
    # One of each but IDAT, in the one order; so all IDAT follow each other.
    order = [kind for kind in _KEPT for _ in range(kinds.count(kind))]
    once = all(kinds.count(kind) == 1 for kind in (b"IHDR", b"IEND"))
    optional = all(kinds.count(kind) <= 1 for kind in (b"PLTE", b"tRNS"))
    if kinds != order or not once or not optional or b"IDAT" not in kinds:
        raise Malformed(_DAMAGED)
    found = dict(chunks)
    rows = list(_rows(found[b"IHDR"], found.get(b"PLTE"), found.get(b"tRNS")))
    _check_picture(b"".join(data for kind, data in chunks if kind == b"IDAT"), rows)
    return SIGNATURE + b"".join(_written(kind, data) for kind, data in chunks)


def _chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at + 12 <= len(body):
        size, kind = struct.unpack_from(">I4s", body, at)
        data, crc = body[at + 8 : at + 8 + size], body[at + 8 + size : at + 12 + size]
        if len(crc) < 4 or struct.unpack(">I", crc)[0] != zlib.crc32(kind + data):
            raise Malformed(_DAMAGED)
        if kind not in _KEPT and not kind[0] & 0x20:  # critical, says its first letter
            raise Malformed("names a PNG with a part that is not known here; save it again")
        yield kind, data
        if kind == b"IEND":
            return
        at += 12 + size
    raise Malformed(_DAMAGED)


def _rows(header: bytes, palette: bytes | None, alpha: bytes | None) -> Iterator[tuple[int, int]]:
    """Yield (rows, bytes to a row) of every pass over the picture."""
    if len(header) != 13:
        raise Malformed(_DAMAGED)
    width, height, depth, colour_type, compression, method, interlaced = struct.unpack(
        ">IIBBBBB", header
    )
    channels, depths = _COLOUR_TYPES.get(colour_type, (0, ()))
    if depth not in depths or (compression, method) != (0, 0) or interlaced > 1:
        raise Malformed(_DAMAGED)
    _check_colours(colour_type, palette, alpha)
    if not (1 <= width <= MOST_PIXELS and 1 <= height <= MOST_PIXELS):
        raise Malformed(
            f"names a PNG of more than {MOST_PIXELS} by {MOST_PIXELS} pixels, or of none; scale "
            "it down"
        )
    for column, row, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, lines = -((column - width) // across), -((row - height) // down)
        if columns > 0 and lines > 0:
            yield lines, (columns * channels * depth + 7) // 8


def _check_colours(colour_type: int, palette: bytes | None, alpha: bytes | None) -> None:
    """See that there is a palette where one is needed, and no more alpha than colours."""
    if palette is None:
        fits = colour_type != 3
    else:
        fits = colour_type in (2, 3, 6) and len(palette) in range(3, 769, 3)
    most_alpha = {0: 2, 2: 6, 3: len(palette or b"") // 3}.get(colour_type, 0)
    if not fits or len(alpha or b"") > most_alpha:
        raise Malformed(_DAMAGED)


def _check_picture(packed: bytes, rows: list[tuple[int, int]]) -> None:
    """Unpack no more than the header announces, and see that every row begins with a filter."""
    announced = sum(lines * (size + 1) for lines, size in rows)
    unpacker = zlib.decompressobj()
    try:
        picture = unpacker.decompress(packed, announced + 1)
    except zlib.error:
        raise Malformed(_DAMAGED) from None
    at = 0
    for lines, size in rows:
        end = at + lines * (size + 1)
        if any(kind > 4 for kind in picture[at : end : size + 1]):
            raise Malformed(_DAMAGED)
        at = end
    if len(picture) != announced or not unpacker.eof:
        raise Malformed(_DAMAGED)


def _written(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
