"""Problems: every answer of the API that is no success, as RFC 9457 has it."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from webui.middleware.admission import Busy
from webui.oauth_manager import (
    OAuthAmbiguous,
    OAuthError,
    OAuthMisconfigured,
    OAuthUnavailable,
    StoreUnavailable,
)
from webui.rate_limits import TooMany

MEDIA_TYPE = "application/problem+json"
NOT_STORED = {"cache-control": "no-store"}
RETRY_SECONDS = 5

# Each code with its status and what it says.
CODES = {
    "invalid_request": (400, "The request is not as the API's description has it."),
    "invalid_key": (401, "There is no such key, or it is over."),
    "forbidden": (403, "This key may not do that."),
    "not_found": (404, "There is nothing at this address."),
    "method_not_allowed": (405, "This address is asked in another way."),
    "slow_request": (408, "The request did not arrive in time."),
    "ambiguous_account": (409, "Several accounts of the service are connected: name one."),
    "not_connected": (409, "The person has to connect the service, or connect it again."),
    "too_large": (413, "The body is larger than 16 kB."),
    "unsupported_media_type": (415, "The body has to be application/json."),
    "rate_limited": (429, "Too many calls. Wait as long as Retry-After says."),
    "failed": (500, "Something is broken here; the log of the site tells what."),
    "misconfigured": (502, "The service refuses the settings of this site."),
    "unavailable": (503, "Try again later; nothing is lost."),
}
_OF_STATUS = {status: code for code, (status, _) in CODES.items()}


class Problem(Exception):
    """The reason for another answer than a success; ``more`` are members beside the usual ones."""

    def __init__(self, code: str, detail: str = "", *, retry_after: int = 0, **more: Any) -> None:
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        self.more = more
        super().__init__(code)

    def response(self) -> Response:
        status, title = CODES[self.code]
        headers = dict(NOT_STORED)
        if self.retry_after:
            headers["retry-after"] = str(self.retry_after)
        if status == 401:
            headers["www-authenticate"] = "Bearer"
        content: dict[str, Any] = {"title": title, "status": status, "code": self.code}
        if self.detail:
            content["detail"] = self.detail
        return JSONResponse({**content, **self.more}, status, headers, media_type=MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """Return the problem that an error of the library or the site is."""
    match error:
        case Problem():
            return error
        case TooMany():
            return Problem("rate_limited", retry_after=error.retry_after)
        case Busy():
            return Problem("unavailable", "Too many requests are at work.", retry_after=1)
        case StoreUnavailable():
            return Problem("unavailable", "Redis does not answer.", retry_after=RETRY_SECONDS)
        case OAuthUnavailable():
            seconds = max(round(error.retry_after), RETRY_SECONDS)
            return Problem("unavailable", str(error), retry_after=min(seconds, 3600))
        case OAuthMisconfigured():
            return Problem("misconfigured", str(error))
        case OAuthAmbiguous():
            return Problem("ambiguous_account", accounts=error.accounts)
        case HTTPException():
            return of_status(error.status_code)
        case OAuthError():
            return Problem("unavailable", str(error), retry_after=RETRY_SECONDS)
    return Problem("failed")


def of_status(status: int) -> Problem:
    """Return the problem of a plain status."""
    return Problem(_OF_STATUS.get(status, "invalid_request"))


async def handle(_: Request, error: Exception) -> Response:
    """Answer an error with its problem."""
    return problem_of(error).response()
