"""Documents about this installation as a client, for providers' servers.

``/oauth/jwks.json`` and ``/oauth/{provider}/client.json``.
"""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from webui.oauth_manager import StoreUnavailable
from webui.oauth_manager.protocol import ProviderFailure
from webui.site import provider_of, site_of

_FRESH = {"Cache-Control": "public, max-age=300"}


async def jwks(request: Request) -> Response:
    """``GET /oauth/jwks.json``: public keys of what this installation signs (RFC 7517 5)."""
    keys = await asyncio.to_thread(site_of(request).manager.public_keys)
    return JSONResponse({"keys": keys}, headers=_FRESH)


async def document(request: Request) -> Response:
    """``GET /oauth/{provider}/client.json``: our metadata for that server, whose id this is."""
    site, provider = site_of(request), provider_of(request)
    name = f"{site.settings.product_name} ({provider.label})"
    try:
        said = await site.manager.client_document(site.redis, provider.name, name)
    except StoreUnavailable:
        raise
    except ProviderFailure:
        raise HTTPException(503) from None
    if said is None:
        raise HTTPException(404)
    return JSONResponse(said, headers=_FRESH)
