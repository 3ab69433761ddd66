"""Pages for machines: ``/healthz``, ``/readyz`` and ``/oauth/status``."""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from webui.oauth_manager import StoreUnavailable
from webui.oauth_manager.storage import TROUBLE, Fit
from webui.rendering.render import RETRY_SECONDS
from webui.site import site_of

log = logging.getLogger(__name__)


async def healthz(_: Request) -> Response:
    """``GET /healthz``: the process answers."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> Response:
    """``GET /readyz``: Redis takes a read and a write, and our keys fit what it holds."""
    site = site_of(request)
    try:
        fit = await site.manager.ready(site.redis)
    except StoreUnavailable as failure:
        log.error("not ready: %s", failure)
    else:
        if fit in (Fit.FITS, Fit.NOTHING):
            return PlainTextResponse("ready\n")
        log.error("not ready: %s", TROUBLE[fit])
    return PlainTextResponse("not ready\n", 503, {"Retry-After": RETRY_SECONDS})


async def status(request: Request) -> Response:
    """``GET /oauth/status``: configured providers and the person's connections, as JSON."""
    site = site_of(request)
    session = await site.sessions.load(request)
    if session is None:
        return JSONResponse({"error": "not signed in"}, 401)
    return JSONResponse(
        {
            "configured": site.manager.list_configured_providers(),
            "connections": await site.manager.list_user_connections(session.user, site.redis),
        }
    )
