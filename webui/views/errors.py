"""Errors as pages, or for htmx as fragments: what happened, and what to do next.

One on our side shows a reference by which support finds it (``webui.incident_codes``).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from webui.access.roles import RoleUnknown
from webui.incident_codes import refer
from webui.oauth_manager import StoreUnavailable
from webui.paths import SUPPORT
from webui.rate_limits import TooMany
from webui.rendering.render import error_key, render_error
from webui.sign_on import SignOn
from webui.site import site_of
from webui.views.card_responses import to_list
from webui.views.returns import ended, sign_in_ended

log = logging.getLogger(__name__)


async def error_page(
    request: Request,
    status: int,
    key: str = "",
    *,
    provider: str = "",
    code: str = "",
    retry_at: float = 0.0,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> Response:
    """Render an error, for the person who asks; one on our side has a reference.

    ``code`` is the provider's error code.  Works without Redis.
    """
    user, is_up = "", True
    try:
        session = await site_of(request).sessions.load(request, renew=False)
        user = session.user if session else ""
    except StoreUnavailable:
        is_up = False
    kind = key or error_key(status)
    ref = ""
    if status >= 500:
        about = {"provider": provider, "code": code, "user": user}
        ref = await refer(request, kind, status=status, keep=is_up, **about)
    context |= {"ref": ref, "retry_at": retry_at, "signed_in": bool(user)}
    return render_error(request, status, kind, headers=headers, **context)


async def http_error(request: Request, error: Exception) -> Response:
    """Handle ``HTTPException``: its text is never shown, only its status is used."""
    http = cast("HTTPException", error)
    status, headers = http.status_code, http.headers
    if status == 405 and request.scope["path"].startswith(SUPPORT):
        status, headers = 404, None  # like for an unknown address
    return await error_page(request, status, headers=headers)


async def store_unavailable(request: Request, error: Exception) -> Response:
    """Handle ``StoreUnavailable`` and ``WrongKey`` without guesses or calls to Redis."""
    ref = await refer(request, "503", status=503, keep=False)
    log.error("%s, reference %s", error, ref or "none")
    return render_error(request, 503, ref=ref)


async def role_unknown(request: Request, error: Exception) -> Response:
    """Handle ``RoleUnknown``: without an answer of the sign-on's provider nothing is shown."""
    provider = cast("SignOn", site_of(request).sign_on).provider
    return await error_page(
        request,
        503,
        "signon_role",
        provider=provider.name,
        code=cast("RoleUnknown", error).code,
        label=provider.label,
    )


async def too_many(request: Request, error: Exception) -> Response:
    """Handle ``TooMany``: 429 with the time from which it works again."""
    limit = cast("TooMany", error)
    headers = {"Retry-After": str(limit.retry_after)}
    return await error_page(request, 429, retry_at=limit.retry_at, headers=headers)


async def ambiguous(request: Request, _: Exception) -> Response:
    """Handle ``OAuthAmbiguous``: an older page shows one account where there are several now."""
    return to_list(request)


async def busy(request: Request, error: Exception) -> Response:
    """Handle ``Busy``: nothing was begun, and Redis is not asked for it."""
    return _elsewhere(request) or render_error(request, 503, "busy")


def interrupted(request: Request) -> Response:
    """Answer a request that was cut short, without Redis: there may be no time for it."""
    return _elsewhere(request) or render_error(request, 503)


def _elsewhere(request: Request, ref: str = "") -> Response | None:
    """Redirect to a page of its own if the address holds a code and a state; else None."""
    path = str(request.scope["path"])
    if not path.endswith("/callback"):
        return None
    if path.startswith("/oauth/"):
        return ended("unanswered", ref)
    return sign_in_ended("signon_away", ref)


async def unexpected(request: Request, error: Exception) -> Response:
    """Handle an unexpected error; the reference finds the line in the log."""
    ref = await refer(request, "500", status=500)
    log.error("an unexpected error, reference %s", ref or "none", exc_info=error)
    return _elsewhere(request, ref) or render_error(request, 500, ref=ref)
