"""The cookie that ties a proof to the browser that shows its code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webui.oauth_manager import LINK_CODE_TTL
from webui.site import site_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


# Longer than any proof: the browser that began one is told that it ran out.
KEPT_SECONDS = 6 * LINK_CODE_TTL


def _name(request: Request) -> str:
    return "__Host-proof" if site_of(request).settings.is_secure else "proof"


def kept_proof(request: Request) -> str:
    """The secret this browser was given, ``""`` if it was given none."""
    return request.cookies.get(_name(request), "")


def keep_proof(request: Request, response: Response, secret: str) -> None:
    """Give the browser a secret to keep; ``""`` takes it back."""
    response.set_cookie(
        _name(request),
        secret,
        max_age=KEPT_SECONDS if secret else 0,
        secure=site_of(request).settings.is_secure,
        httponly=True,
        samesite="lax",
    )
