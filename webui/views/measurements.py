"""``GET /metrics``: what was counted, for Prometheus, with the operator's bearer token."""

from __future__ import annotations

import asyncio
import hmac

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from webui.site import site_of


async def metrics(request: Request) -> Response:
    """``GET /metrics``: a page that is not there unless ``METRICS_TOKEN`` is set."""
    token = site_of(request).settings.metrics_token
    if not token:
        raise HTTPException(404)
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    is_right = hmac.compare_digest(given.strip().encode(), token.encode())
    if scheme.lower() != "bearer" or not is_right:
        return Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})
    from webui.metrics.prometheus import CONTENT_TYPE_LATEST, text

    return Response(await asyncio.to_thread(text), media_type=CONTENT_TYPE_LATEST)
