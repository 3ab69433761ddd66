"""Every error is a page, or with htmx a fragment: what happened, and what to do next."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from webui.pages import render_error
from webui.references import new_reference

if TYPE_CHECKING:
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import Response

    from webui.limiting import TooMany

RETRY_SECONDS = "5"

log = logging.getLogger(__name__)


async def http_error(request: Request, error: Exception) -> Response:
    """Handles ``HTTPException``: its text is never shown, only its status is used."""
    http = cast("HTTPException", error)
    return render_error(request, http.status_code, headers=http.headers)


async def store_unavailable(request: Request, error: Exception) -> Response:
    """Handles ``StoreUnavailable``: Redis is away; nothing is guessed."""
    log.error("%s", error)
    return render_error(request, 503, headers={"Retry-After": RETRY_SECONDS})


async def too_many(request: Request, error: Exception) -> Response:
    """Handles ``TooMany``: 429 with the time from which it works again."""
    limit = cast("TooMany", error)
    headers = {"Retry-After": str(limit.retry_after)}
    return render_error(request, 429, retry_at=limit.retry_at, headers=headers)


async def unexpected(request: Request, error: Exception) -> Response:
    """Handles what nobody thought of; the reference finds the line in the log."""
    reference = new_reference()
    log.error("an unexpected error, reference %s", reference, exc_info=error)
    return render_error(request, 500, ref=reference)
