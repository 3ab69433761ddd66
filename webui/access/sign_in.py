"""The signed-in person, and the way back after signing in."""

from __future__ import annotations

import re
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from webui.sessions.sessions import Session, Sessions

SIGN_IN = "/signin"
HOME = "/connections"
SUPPORT = "/support"

# The pages a person may be sent back to.  No percent sign, second slash or dot segment can occur,
# so a browser reads nothing in here as anything but a path of this site.
_LANDING = re.compile(
    r"/connections(/[a-z][a-z0-9_-]{0,31}(/disconnect|/switch)?)?"
    r"|/oauth/[a-z][a-z0-9_-]{0,31}/authorize"
    r"|/activity"
    r"|/support(/people/(?=[A-Za-z0-9])[A-Za-z0-9@_=+~-]+(\.[A-Za-z0-9@_=+~-]+)*)?"
)
_LONGEST = 300  # characters
# Their addresses hold an authorization code; also if a surplus slash makes them unknown.
_CALLBACK = re.compile(r"(/oauth/[^/]+|/signin/sso)/callback")


class SignInNeeded(Exception):
    """Raised by :func:`require_session`; :func:`ask_to_sign_in` answers it."""


async def require_session(request: Request, sessions: Sessions) -> Session:
    """Return the browser's session.  Raises ``SignInNeeded``, ``StoreUnavailable``."""
    session = await sessions.load(request)
    if session is None:
        raise SignInNeeded
    return session


async def ask_to_sign_in(request: Request, _: Exception) -> Response:
    """Handle :class:`SignInNeeded`.

    After signing in the person is back on the same page; a form they had sent is not sent again.
    """
    path = request.scope["path"]
    if request.method not in ("GET", "HEAD") and not path.startswith(SUPPORT):
        path = HOME
    address = f"{SIGN_IN}?next={quote(safe_next(path), safe='/')}"
    if request.headers.get("hx-request") == "true":
        return Response(status_code=401, headers={"HX-Redirect": address})
    return RedirectResponse(address, status_code=303)


def safe_next(path: str | None) -> str:
    """Return ``path`` if it is one of the pages to come back to, else the home page.

    A support page of a person whose id has other than plain letters becomes the first one.
    """
    if path and len(path) <= _LONGEST and _LANDING.fullmatch(path):
        return path
    return SUPPORT if path and path.startswith(f"{SUPPORT}/people/") else HOME


def is_callback(path: str) -> bool:
    """Return whether the address may hold a code, which not even our own pages may see."""
    return _CALLBACK.match(path) is not None
