"""Signing in is done from chat; here is said how.  Signing out is done here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from webui.auth import HOME, SIGN_IN, safe_next
from webui.pages import render
from webui.site import site_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


async def front(request: Request) -> Response:
    """``GET /``."""
    session = await site_of(request).sessions.load(request)
    return RedirectResponse(HOME if session else SIGN_IN, 303)


async def sign_in(request: Request) -> Response:
    """``GET /signin``."""
    site = site_of(request)
    if await site.sessions.load(request):
        return RedirectResponse(safe_next(request.query_params.get("next")), 303)
    configured = site.manager.list_configured_providers()
    return render(request, "signin.html", service=configured[0] if configured else "")


async def sign_out(request: Request) -> Response:
    """``POST /signout``: every copy of the cookie is dead from here on."""
    await site_of(request).sessions.end(request)
    return RedirectResponse("/signed-out", 303, headers={"Clear-Site-Data": '"cache", "storage"'})


async def signed_out(request: Request) -> Response:
    """``GET /signed-out``."""
    return render(request, "signed_out.html")
