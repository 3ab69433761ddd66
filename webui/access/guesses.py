"""Tries at links, states and proofs: their counters, and the people whom no limit locks out.

An address is shared, and other sites' pages and neighbours can use its limit up.  So a
request that another site's page loads from here is refused before anything is looked
up.  Beyond its address's limit, a known person, or a browser that a person was signed
in with, goes on until they have used up a limit of their own; and a person's own links
always open.  Nothing that a program can forge makes it known.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from itsdangerous import BadSignature, Signer
from starlette.requests import Request
from starlette.responses import Response

from webui.oauth_manager.values import Struct
from webui.rate_limits import TooMany
from webui.sessions.cookies import keep_cookie, kept_cookie
from webui.settings.settings import Settings
from webui.site import caller_of, site_of

COOKIE = "known"
KNOWN_SECONDS = 30 * 24 * 3600


class Guesser(Struct, frozen=True):
    """The counters of one request: its network's, and its own, ``""`` if it is new here.

    ``sent`` counts requests that another site's page makes a browser send without a
    press, beside and not in the network's count.
    """

    network: str
    sent: str
    own: str


async def may_guess(request: Request, *, owner: str = "") -> None:
    """Raise ``TooMany`` beyond the limit of tries, unless it is the person's own, ``owner``'s.

    One round trip; further ones beyond the limit.
    """
    site, who = site_of(request), await _guesser(request)
    limiter = site.limiter
    if owner and who.own == known_as(site.settings, owner)[0]:
        return
    try:
        await limiter.check("miss", who.network)
        if who.sent:
            await limiter.check("miss", who.sent)
    except TooMany:
        if not who.own:
            raise
        await limiter.check("miss", who.own)


async def count_try(request: Request, limit: str, *, own: str = "") -> None:
    """Count one try.  Raises ``TooMany``.

    ``own`` is the counter of a value that the request has shown to hold, beside the network's.
    """
    limiter, who = site_of(request).limiter, await _guesser(request)
    own = own or who.own
    has_own = bool(own) and await limiter.allows(limit, own)
    try:
        if who.sent:
            await limiter.check(limit, who.network)
        await limiter.hit(limit, who.sent or who.network)
    except TooMany:
        if not has_own:
            raise


def remember_browser(request: Request, response: Response, user: str) -> None:
    """Give the browser a cookie that shows that ``user`` was signed in with it."""
    settings = site_of(request).settings
    value = _signer(settings).sign(known_as(settings, user)[0]).decode("ascii")
    keep_cookie(settings, response, COOKIE, value, KNOWN_SECONDS)


async def _guesser(request: Request) -> Guesser:
    site, network = site_of(request), caller_of(request)
    session = await site.sessions.load(request)
    own = known_as(site.settings, session.user)[0] if session else _brought(request)
    by_other = request.headers.get("sec-fetch-site") in ("cross-site", "same-site")
    is_pressed = request.headers.get("sec-fetch-user") == "?1"
    return Guesser(network, f"{network} sent" if by_other and not is_pressed else "", own)


def _brought(request: Request) -> str:
    settings = site_of(request).settings
    try:
        value = kept_cookie(settings, request, COOKIE)
        return _signer(settings).unsign(value).decode("ascii")
    except (BadSignature, UnicodeError):
        return ""


def known_as(settings: Settings, user: str) -> list[str]:
    """Return names of the person, by each secret, that reveal nothing to a finder of the cookie."""
    message = f"webui.known\0{user}".encode()
    digests = (hmac.digest(s.encode(), message, hashlib.sha256) for s in settings.session_secrets)
    return [base64.urlsafe_b64encode(d).rstrip(b"=").decode("ascii") for d in digests]


def _signer(settings: Settings) -> Signer:
    return Signer(
        list(reversed(settings.session_secrets)),  # signs with the last and accepts all
        salt="webui.known",
        key_derivation="hmac",
        digest_method=hashlib.sha256,
    )
