"""The way on from an error: the fate of the request, and the button that helps.

Links to pages of this site alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.routing import Match

from webui.fetch_metadata import SAFE_METHODS
from webui.oauth_manager.values import Struct
from webui.site import site_of

# Errors whose address may well answer later; sections of the catalogue's ``error``.
_PASSING = ("408", "429", "500", "503", "service", "signon_role")
# The effect of a POST that failed halfway, by the last step of its address.
_FATES = {
    "check": "unchanged",
    "connect": "kept",
    "everywhere": "signed_in",
    "preview": "unchanged",
    "signout": "signed_in",
    "sso": "unchanged",
}


class WayOn(Struct, frozen=True):
    """A button: its words in the catalogue's ``error``, and its address; ``""`` is the same one."""

    words: str
    url: str


def fate(request: Request, key: str) -> str:
    """Return the fate of a failed request: a word of the catalogue's ``error``.

    A GET ends no connection, but a callback may have made one by then; the fate of most
    POSTs is unknown.
    """
    if key not in ("500", "503"):
        return ""
    if request.method in SAFE_METHODS:
        return "kept" if key == "503" else "unchanged"
    return _FATES.get(request.scope["path"].rpartition("/")[2], "unknown")


def way_on(request: Request, key: str) -> WayOn:
    """Choose the same address once more, the page whose button was pressed, or the home page."""
    if key == "404":
        return WayOn("to_connections", "/connections")
    if request.method not in SAFE_METHODS:
        return WayOn("back", _page_with_button(request))
    if key in _PASSING:
        return WayOn("again", "")
    return WayOn("to_connections", "/connections")


def _page_with_button(request: Request) -> str:
    """Find the page that sent a form, by the browser; else the nearest one above its address."""
    return next(url for url in _candidates(request) if _is_page(request, url))


def _candidates(request: Request) -> Iterator[str]:
    if referer := request.headers.get("referer"):
        own = site_of(request).settings.base_url + "/"
        # A page that hides its address gives the site's alone.
        if referer.startswith(own) and referer != own:
            yield "/" + referer.removeprefix(own)
    path = quote(request.scope["path"], safe="/@+=~")
    while path.strip("/"):
        yield path
        path = path.rpartition("/")[0]
    yield "/"


def _is_page(request: Request, url: str) -> bool:
    """Return whether the address shows a page and consumes nothing."""
    if url == "/":
        return True
    path = unquote(url.partition("?")[0])
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    is_shown = any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
    return is_shown and not path.endswith("/callback")
