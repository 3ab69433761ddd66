"""The cookies of this site: their names, and what a browser may do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webui.session_cookie import cookie_name
from webui.site import site_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def kept_cookie(request: Request, name: str) -> str:
    """What this browser was given under ``name``, ``""`` if nothing."""
    is_secure = site_of(request).settings.is_secure
    return request.cookies.get(cookie_name(name, is_secure=is_secure), "")


def keep_cookie(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    """Give the browser a value to keep."""
    is_secure = site_of(request).settings.is_secure
    response.set_cookie(
        cookie_name(name, is_secure=is_secure),
        value,
        max_age=seconds,
        secure=is_secure,
        httponly=True,
        samesite="lax",
    )


def forget_cookie(request: Request, response: Response, name: str) -> None:
    """Take back what the browser was given, if anything."""
    if kept_cookie(request, name):
        keep_cookie(request, response, name, "", 0)
