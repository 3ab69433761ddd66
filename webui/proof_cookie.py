"""The cookie that ties a proof to the browser that shows its code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from webui.oauth_manager import LINK_CODE_TTL
from webui.site import site_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from webui.oauth_manager import LinkRequest
    from webui.oauth_manager.proofs import Parked


# Longer than any proof: the browser that began one is told that it ran out.
KEPT_SECONDS = 6 * LINK_CODE_TTL


def _name(request: Request) -> str:
    return "__Host-proof" if site_of(request).settings.is_secure else "proof"


def kept_proof(request: Request) -> str:
    """The secret this browser was given, ``""`` if it was given none."""
    return request.cookies.get(_name(request), "")


async def begin_proof(
    request: Request, link: LinkRequest, parked: Parked | None = None
) -> Response:
    """Start a proof, give this browser its secret, and show it the code."""
    site = site_of(request)
    response = RedirectResponse("/connect/proof", 303)
    keep_proof(request, response, await site.manager.proofs.start(site.redis, link, parked))
    return response


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
