"""For machines: is the process up, does Redis answer, what is connected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, PlainTextResponse

from webui.oauth_manager.redis_io import redis_call
from webui.site import site_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


async def healthz(_: Request) -> Response:
    """``GET /healthz``: the process answers."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> Response:
    """``GET /readyz``: Redis answers too.  Raises ``StoreUnavailable``."""
    async with redis_call("ping"):
        await site_of(request).redis.ping()
    return PlainTextResponse("ready\n")


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
