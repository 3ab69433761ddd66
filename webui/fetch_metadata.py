"""Facts that a browser states about a request (Fetch Metadata, Origin), and the methods served."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

SAFE_METHODS = ("GET", "HEAD")
METHODS = (*SAFE_METHODS, "POST")
# A browser's header for a speculative fetch, before the person opens the page.
_AHEAD = ("sec-purpose", "purpose", "x-moz")


def is_prefetch(headers: Headers) -> bool:
    """Return whether this is a speculative request, which must not consume one-time values."""
    return any("prefetch" in headers.get(name, "").lower() for name in _AHEAD)


def is_visit(headers: Headers) -> bool:
    """Return whether a browser opens a page: no picture, script or frame of another page."""
    mode = headers.get("sec-fetch-mode", "navigate")
    return mode == "navigate" and headers.get("sec-fetch-dest", "document") == "document"


def turned_away(request: Request) -> Response | None:
    """Return the answer to a request that no person makes, before it costs a look-up; else None."""
    if is_prefetch(request.headers):
        return Response(status_code=503, headers={"Retry-After": "1"})
    return None if is_visit(request.headers) else Response(status_code=403)


def is_same_origin(headers: Headers, origin: str) -> bool:
    """Return whether a request that changes something was made by a page of ours.

    ``Sec-Fetch-Site`` decides if the browser sends it (pages cannot forge it), else
    ``Origin``; if both are there they must agree.  Beside ``same-origin`` the Origin
    ``null`` of a page without referrer is no disagreement; alone it is refused.
    """
    sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
    if sites:
        return sites == ["same-origin"] and origins in ([], [origin], ["null"])
    return origins == [origin]


def says_where_from(headers: Headers) -> bool:
    """Return whether the browser says anything about the page that made a request."""
    return "sec-fetch-site" in headers or headers.getlist("origin") not in ([], ["null"])
