"""Two cookies of a link from chat: the proof this browser shows, and the link it used."""

from __future__ import annotations

import hashlib

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from webui.oauth_manager import LINK_CODE_TTL, LinkRequest
from webui.oauth_manager.links import Parked
from webui.sessions.cookies import forget_cookie, keep_cookie, kept_cookie
from webui.site import site_of

# Longer than any proof: the browser that began one can say that it ran out.
KEPT_SECONDS = 6 * LINK_CODE_TTL


def kept_proof(request: Request) -> str:
    """Return this browser's secret, ``""`` if it has none."""
    return kept_cookie(site_of(request).settings, request, "proof")


async def begin_proof(
    request: Request, link: LinkRequest, parked: Parked | None = None
) -> Response:
    """Start a proof, give this browser its secret, and show it the code."""
    site = site_of(request)
    response = RedirectResponse("/connect/proof", 303)
    secret = await site.manager.proofs.start(site.redis, link, parked)
    await site.limiter.allows("start", proof_counter(secret))
    keep_proof(request, response, secret)
    forget_cookie(site.settings, request, response, "link")
    return response


def proof_counter(secret: str) -> str:
    """Return the counter of a proof's own steps."""
    return f"proof {_digest(secret)}"


def keep_proof(request: Request, response: Response, secret: str) -> None:
    """Give the browser a secret to keep."""
    keep_cookie(site_of(request).settings, response, "proof", secret, KEPT_SECONDS)


def keep_link(request: Request, response: Response, code: str) -> None:
    """Remember that this browser has used a link, and when."""
    site = site_of(request)
    value = f"{_digest(code)}.{site.clock.now():.0f}"
    keep_cookie(site.settings, response, "link", value, KEPT_SECONDS)


def what_became_of(request: Request, code: str = "") -> str:
    """Return how a link, or without ``code`` its proof, is over: a name of ``/connect/ended``.

    ``used`` or ``ran-out`` to the browser that used it last; ``dead`` to every other.
    """
    digest, used = _kept_link(request)
    if code:
        return "used" if used and digest == _digest(code) else "dead"
    has_run_out = used and when_over(request, "ran-out") <= site_of(request).clock.now()
    return "ran-out" if has_run_out else "dead"


def when_over(request: Request, how: str) -> float:
    """Return since when this browser's last link is ``used`` or ``ran-out`` (epoch seconds).

    0 for every other end, and to a browser that has used none lately.
    """
    _, used = _kept_link(request)
    lasts = {"used": 0, "ran-out": LINK_CODE_TTL}.get(how)
    return used + lasts if used and lasts is not None else 0.0


def _kept_link(request: Request) -> tuple[str, int]:
    """Return the digest of the code, and when it was used, 0 for never (epoch seconds)."""
    site = site_of(request)
    digest, _, used = kept_cookie(site.settings, request, "link").partition(".")
    is_time = used.isascii() and used.isdigit() and len(used) == len(str(int(site.clock.now())))
    return digest, int(used) if is_time else 0


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()[:32]
