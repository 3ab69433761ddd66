"""The cookies of this site: their names and attributes."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from webui.sessions.signed_cookie import cookie_name
from webui.settings.settings import Settings


def kept_cookie(settings: Settings, request: Request, name: str) -> str:
    """Return this browser's value under ``name``, ``""`` if none."""
    return request.cookies.get(cookie_name(name, is_secure=settings.is_secure), "")


def keep_cookie(
    settings: Settings, response: Response, name: str, value: str, seconds: int
) -> None:
    """Give the browser a value to keep."""
    response.set_cookie(
        cookie_name(name, is_secure=settings.is_secure),
        value,
        max_age=seconds,
        secure=settings.is_secure,
        httponly=True,
        samesite="lax",
    )


def forget_cookie(settings: Settings, request: Request, response: Response, name: str) -> None:
    """Delete the browser's cookie, if it has one."""
    if kept_cookie(settings, request, name):
        keep_cookie(settings, response, name, "", 0)
