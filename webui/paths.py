"""Paths of the site's own pages, and those that a person may be sent back to."""

from __future__ import annotations

import re

SIGN_IN = "/signin"
HOME = "/connections"
SUPPORT = "/support"

# The pages a person may be sent back to.  No percent sign, second slash or dot segment can occur,
# so a browser reads nothing in here as anything but a path of this site.
_LANDING = re.compile(
    r"/connections(/[a-z][a-z0-9_-]{0,31}(~[a-z0-9-]{0,32})?(/disconnect|/switch)?)?"
    r"|/oauth/[a-z][a-z0-9_-]{0,31}/authorize"
    r"|/activity"
    r"|/everything/disconnect"
    r"|/support(/overview|/people/(?=[A-Za-z0-9])[A-Za-z0-9@_=+~-]+(\.[A-Za-z0-9@_=+~-]+)*)?"
)
_LONGEST = 300  # characters
# Their addresses hold an authorization code; also if a surplus slash makes them unknown.
_CALLBACK = re.compile(r"(/oauth/[^/]+|/signin/sso)/callback")
_LANDING_PAGE = re.compile(r"/connect/[^/]+")  # its address holds a link's code


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


def hides_address(path: str) -> bool:
    """Return whether the page's address stays out of the ``Referer`` of what it loads.

    A sprite cannot say so for itself, unlike a stylesheet, and a proxy may log the header.
    """
    return is_callback(path) or _LANDING_PAGE.fullmatch(path) is not None


def card_address(where: str, provider: str, target: str = "t") -> str:
    """Return the page to go back to after an action, with the element that gets the focus."""
    page = f"/connections/{provider}" if where == "detail" else "/connections"
    return f"{page}#conn-{provider}-{target}"
