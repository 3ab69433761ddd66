"""``/connect/ended/{how}``: how the way back from a provider ended, if nothing was connected.

The callback's address holds an authorization code and a state, so nothing is shown
there. These hold neither, and stay true however often they are loaded.
"""

from __future__ import annotations

import re
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from webui.access.guesses import may_guess
from webui.oauth_manager.links import CODE_ALPHABET, CODE_LENGTH
from webui.rendering.render import render, render_error
from webui.site import site_of
from webui.text import words

# Pages with a template of their own: template and status.
_PAGES = {
    "declined": ("link_declined.html", 200),
    "not-yours": ("link_not_yours.html", 403),
    "other-browser": ("link_other_browser.html", 400),
}
# The others: a section of the catalogue's ``error``, and the status.
_ERRORS = {
    "over": ("attempt", 400),
    "too-many": ("attempt", 400),
    "unanswered": ("unanswered", 503),
}
_REFERENCE = re.compile(f"[{CODE_ALPHABET}]{{{CODE_LENGTH}}}")


def ended(how: str, ref: str = "", *, service: str = "") -> Response:
    """Lead to the page of that name; ``ref`` is the reference it shows.

    With a ``service`` it is about that, and ``how`` is an outcome of connecting.
    """
    return _to(f"/connect/ended/{how}", service=service, ref=ref)


def sign_in_ended(how: str, ref: str = "", again: str = "") -> Response:
    """Lead to such a page for signing in: ``how`` is a key of the catalogue's ``error``."""
    return _to(f"/signin/ended/{how}", again=again, ref=ref)


def _to(path: str, **told: str) -> Response:
    query = urlencode({name: value for name, value in told.items() if value})
    return RedirectResponse(path + (f"?{query}" if query else ""), 303)


def shown_reference(request: Request) -> str:
    """Return the reference in the address, ``""`` if it has not the form of one."""
    ref = request.query_params.get("ref", "")
    return ref if _REFERENCE.fullmatch(ref) else ""


async def show(request: Request) -> Response:
    """``GET /connect/ended/{how}``."""
    site, how = site_of(request), request.path_params["how"]
    ref = shown_reference(request)
    if how == "too-many":
        await may_guess(request)  # says until when, as long as the limit holds
    await site.sessions.load(request)  # for the header
    if how in _PAGES:
        template, status = _PAGES[how]
        return render(request, template, status, ref=ref)
    if how in _ERRORS:
        key, status = _ERRORS[how]
        return render_error(request, status, key, ref=ref)
    service = site.manager.providers.get(request.query_params.get("service", ""))
    key = f"connecting.{how}"
    if service is None or f"error.{key}.title" not in words.CATALOGUE:
        raise HTTPException(404)
    return render_error(request, 400, key, ref=ref, label=service.label)
