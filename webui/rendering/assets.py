"""The static files: read once, compressed once, addressed by their contents; and packed pages."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from webui.oauth_manager.values import Struct

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
# One coding with its weight (RFC 9110, sections 12.4.2 and 12.5.3).
_CODING = re.compile(
    r"(?P<name>[!#$%&'*+.^_`|~0-9a-z-]+)"
    r"([ \t]*;[ \t]*q=(?P<q>0(\.[0-9]{0,3})?|1(\.0{0,3})?))?"
)
_HASHED = re.compile(r"(?P<stem>.+)\.(?P<digest>[0-9a-f]{12})(?P<suffix>\.[a-z]+)")


class Asset(Struct, frozen=True):
    body: bytes
    gzipped: bytes
    media_type: str
    digest: str

    def url(self, name: str) -> str:
        """Return ``/static/app.{hash}.css`` for ``app.css``."""
        stem, dot, suffix = name.rpartition(".")
        return f"/static/{stem}.{self.digest}{dot}{suffix}"


def asset(body: bytes, media_type: str) -> Asset:
    """Make a static file of its bytes."""
    digest = hashlib.sha256(body).hexdigest()[:12]
    return Asset(body, gzip.compress(body, mtime=0), media_type, digest)


def folder(name: str) -> Path:
    """Find ``templates`` or ``static``: inside an installed package, beside it in the sources."""
    package = Path(__file__).parents[1]
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


@cache
def load() -> dict[str, Asset]:
    """Load every servable file under ``static``, by its path there."""
    root = folder("static")
    found = {}
    for path in sorted(root.rglob("*")):
        if media_type := _MEDIA_TYPES.get(path.suffix):
            found[path.relative_to(root).as_posix()] = asset(path.read_bytes(), media_type)
    return found


def static_url(name: str) -> str:
    """Return the address of a file under ``static``.  Raises ``KeyError`` if unknown."""
    return load()[name].url(name)


def mark_url(provider: str) -> str:
    """Return the address of a provider's mark, ``""`` if there is none."""
    name = f"marks/{provider}.svg"
    return static_url(name) if name in load() else ""


def takes_gzip(accepted: Iterable[str]) -> bool:
    """Return whether gzip is acceptable and no less preferred than the plain file.

    ``accepted`` are the lines of Accept-Encoding.  Without any, or with malformed ones,
    nothing is sent that the client has to decode.
    """
    weights: dict[str, float] = {}
    for part in ",".join(accepted).lower().split(","):
        if found := _CODING.fullmatch(part.strip(" \t")):
            name, weight = found["name"].removeprefix("x-"), float(found["q"] or 1)
            weights[name] = min(weight, weights.get(name, 1.0))
    others = weights.get("*", 0.0)
    packed, plain = weights.get("gzip", others), weights.get("identity", others)
    return packed > 0 and packed >= plain


def compress(request: Request, response: Response) -> None:
    """Compress a finished page, if the browser takes that."""
    response.headers.add_vary_header("Accept-Encoding")
    if takes_gzip(request.headers.getlist("accept-encoding")):
        # The first level: the next ones take twice as long, and spare a tenth.
        response.body = gzip.compress(bytes(response.body), compresslevel=1, mtime=0)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Content-Length"] = str(len(response.body))


async def serve(request: Request) -> Response:
    """Serve ``/static/{path:path}`` from the files under ``static`` alone."""
    return answer(request, load())


def answer(request: Request, files: Mapping[str, Asset]) -> Response:
    """Answer with one of the files: cached for ever under the right hash, else checked each time.

    A page from before a deployment asks for the older hash and gets today's file.
    """
    path = request.path_params["path"]
    match = _HASHED.fullmatch(path)
    name = match["stem"] + match["suffix"] if match else path
    asset = files.get(name)
    if asset is None:
        raise HTTPException(404)
    is_current = match is not None and match["digest"] == asset.digest
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if is_current else "no-cache",
        "Vary": "Accept-Encoding",
    }
    if takes_gzip(request.headers.getlist("accept-encoding")):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.gzipped, media_type=asset.media_type, headers=headers)
    return Response(asset.body, media_type=asset.media_type, headers=headers)


async def icon(_: Request) -> Response:
    """Serve ``/favicon.ico``, which browsers request beside a response that is no page of ours."""
    return answer_icon(load()["favicon.svg"])


def answer_icon(asset: Asset) -> Response:
    """Answer with an icon, to keep for a day."""
    headers = {"Cache-Control": "public, max-age=86400"}
    return Response(asset.body, media_type=asset.media_type, headers=headers)
