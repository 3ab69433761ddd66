"""The way to ``/signin`` and back, for a request that only a signed-in person may make."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from webui.paths import HOME, SIGN_IN, SUPPORT, safe_next


async def ask_to_sign_in(request: Request, _: Exception) -> Response:
    """Handle :class:`webui.sessions.sessions.SignInNeeded`.

    After signing in the person is back on the same page; a form they had sent is not sent again.
    """
    path = request.scope["path"]
    if request.method not in ("GET", "HEAD") and not path.startswith(SUPPORT):
        path = HOME
    address = f"{SIGN_IN}?next={quote(safe_next(path), safe='/')}"
    if request.headers.get("hx-request") == "true":
        return Response(status_code=401, headers={"HX-Redirect": address})
    return RedirectResponse(address, status_code=303)
