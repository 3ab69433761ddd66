"""Logos for tests: small SVG and PNG files, good and hostile."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

SVG = 'xmlns="http://www.w3.org/2000/svg"'
XLINK = 'xmlns:xlink="http://www.w3.org/1999/xlink"'
DRAWING = f'<svg {SVG} viewBox="0 0 32 32"><circle cx="16" cy="16" r="15" fill="#5B2A86"/></svg>'
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def svg(inside: str, root: str = 'viewBox="0 0 32 32"') -> bytes:
    """A drawing with this inside."""
    return f"<svg {SVG} {XLINK} {root}>{inside}</svg>".encode()


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + crc


def header(
    width: int = 4, height: int = 3, depth: int = 8, kind: int = 6, *, interlaced: int = 0
) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced))


def picture(data: bytes) -> bytes:
    return chunk(b"IDAT", zlib.compress(data))


def png(*chunks: bytes) -> bytes:
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND")


def plain_png(width: int = 4, height: int = 3, beside: Iterable[bytes] = ()) -> bytes:
    """An opaque violet rectangle, with more chunks after its header."""
    row = b"\0" + b"\x5b\x2a\x86\xff" * width
    return png(header(width, height), *beside, picture(row * height))
