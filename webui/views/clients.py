"""Documents about this installation as a client, for providers' servers: ``/oauth/jwks.json``."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from webui.site import site_of

_FRESH = {"Cache-Control": "public, max-age=300"}


async def jwks(request: Request) -> Response:
    """``GET /oauth/jwks.json``: public keys of what this installation signs (RFC 7517 5)."""
    keys = await asyncio.to_thread(site_of(request).manager.public_keys)
    return JSONResponse({"keys": keys}, headers=_FRESH)
