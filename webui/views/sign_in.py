"""``/``, ``/signin``, ``/signout``, ``/signed-out``: ways in, explained; and signing out."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from webui.access.roles import Nobody, Role, SignedOut, Staff, TooOld, role_of
from webui.paths import HOME, SIGN_IN, SUPPORT, safe_next
from webui.rendering.render import render
from webui.sessions.cookies import forget_cookie
from webui.sessions.proxied import proxied_person
from webui.site import site_of
from webui.views.sign_on import COOKIE, sign_out_there


async def front(request: Request) -> Response:
    """``GET /``."""
    session = await site_of(request).sessions.load(request)
    return RedirectResponse(HOME if session else SIGN_IN, 303)


async def sign_in(request: Request) -> Response:
    """``GET /signin``: how to sign in; a signed-in person goes on to the page to come back to.

    Staff whose sign-in is too old for support pages, or over, read that instead.
    """
    site = site_of(request)
    landing = safe_next(request.query_params.get("next"))
    is_signed_in = await site.sessions.load(request) is not None
    role: Role = Nobody()
    if landing.startswith(SUPPORT):
        role = await role_of(request)
        # Staff may be signed in as somebody else here, and still sign on as themselves.
        is_signed_in = isinstance(role, Staff) or (is_signed_in and not site.sign_on)
    if is_signed_in and not isinstance(role, TooOld | SignedOut):
        return RedirectResponse(landing, 303)
    return render(
        request,
        "signin.html",
        sign_on=site.sign_on.provider if site.sign_on else None,
        is_for_staff=bool(site.sign_on and site.sign_on.is_for_staff),
        next=landing,
        wants_support=landing.startswith(SUPPORT),
        is_stale=isinstance(role, TooOld),
        is_over=isinstance(role, SignedOut),
    )


async def sign_out(request: Request) -> Response:
    """``POST /signout``: every copy of both cookies is dead from here on."""
    return await signed_out_response(request)


async def signed_out_response(request: Request, *ended: str) -> Response:
    """End both sessions of this browser, and go to the page that says so.

    ``ended`` are the ``via`` of those that have ended already.
    """
    site = site_of(request)
    both = site.sessions, site.staff_sessions
    vias = [*ended, *[await sessions.end(request) for sessions in both]]
    response = await sign_out_there(request) if "sso" in vias else None
    response = response or RedirectResponse("/signed-out", 303)
    # Sign-ins that are under way end with the session.
    forget_cookie(site.settings, request, response, COOKIE)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


async def signed_out(request: Request) -> Response:
    """``GET /signed-out``.

    WebKit keeps the page that was left, over plain http even one with ``no-store``,
    unless the page that replaces it forbids that itself.
    """
    response = render(request, "signed_out.html", is_proxied=proxied_person(request) is not None)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response
