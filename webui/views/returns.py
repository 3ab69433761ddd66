"""``/connect/ended/{how}``: ends of a link or of a way back from a provider, unconnected.

The addresses that lead here hold a code or a state, so nothing is shown there.  These hold
neither, and stay true however often they are loaded.
"""

from __future__ import annotations

import re
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from webui.access.guesses import may_guess
from webui.oauth_manager.links import CODE_ALPHABET, CODE_LENGTH
from webui.oauth_manager.values import Struct
from webui.rendering.render import render, render_error
from webui.site import site_of
from webui.text import words
from webui.views.proof_cookie import when_over


class _Ending(Struct, frozen=True):
    """``key`` and ``ask`` are of the catalogue's ``ended``: the section, and the way on."""

    key: str
    status: int
    ask: str = "to_renew"


_ENDINGS = {
    "declined": _Ending("declined", 200, "after_all"),
    "denied": _Ending("denied", 200, "to_undo"),
    "dead": _Ending("dead", 410),
    "used": _Ending("dead", 410),
    "ran-out": _Ending("dead", 410),
    "not-yours": _Ending("not_yours", 403, "other_account"),
    "other-browser": _Ending("other_browser", 400, "go_on"),
    "over": _Ending("over", 400, "start_again"),
    "too-many": _Ending("over", 400, "start_again"),
}
_SIGNED_OUT = _Ending("not_yours_now", 403)  # by then nobody is signed in under another account
_OF_A_SERVICE = ("denied",)  # and the outcomes of connecting
# The way on after an outcome of connecting, by its name; "" if another link does not help.
_ASKS = {
    "needs_admin": "allowed",
    "verify": "verified",
    "other_account": "another",
    "other_browser": "usual",
    "provider_trouble": "later",
    "misconfigured": "",
    "not_understood": "",
}
_REFERENCE = re.compile(f"[{CODE_ALPHABET}]{{{CODE_LENGTH}}}")


def ended(how: str, ref: str = "", *, service: str = "") -> Response:
    """Lead to the page of that name; ``ref`` is the reference it shows.

    ``how`` may be an outcome of connecting, with the ``service`` that it is about.
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
    session = await site.sessions.load(request)
    if how == "unanswered":
        return render_error(request, 503, how, ref=ref)
    service = site.manager.providers.get(request.query_params.get("service", ""))
    ending = _ENDINGS.get(how) or _outcome(how)
    if ending is None or (service is None and (how in _OF_A_SERVICE or how not in _ENDINGS)):
        raise HTTPException(404)
    if how == "not-yours" and session is None:
        ending = _SIGNED_OUT
    at = when_over(request, how)
    command = f"connect {service.name}" if service else "connect"
    return render(
        request,
        "link_ended.html",
        ending.status,
        key=f"ended.{ending.key}",
        provider=service,
        reason=how.replace("-", "_") if at else "",
        at=at,
        command=command if ending.ask else "",
        ask=f"ended.{ending.ask}",
        ref=ref,
        signs_out=ending.key == "not_yours",
    )


def _outcome(how: str) -> _Ending | None:
    key = f"connecting.{how}"
    is_known = f"ended.{key}.title" in words.CATALOGUE
    return _Ending(key, 400, _ASKS.get(how, "again")) if is_known else None
