"""``/signin/sso``, its callback, ``/signin/ended/{how}``: signing in with an OpenID provider.

Every sign-in that must not go on ends on the same page, without a session.
"""

from __future__ import annotations

import logging

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from webui.access.guesses import count_try, may_guess, remember_browser
from webui.access.roles import STAFF_SECONDS, Staff, is_staff
from webui.fetch_metadata import turned_away
from webui.incident_codes import refer
from webui.oauth_manager import FlowRefused, StoreUnavailable
from webui.oauth_manager.protocol import ProviderFailure
from webui.oauth_manager.protocol.callback import read_authorization_response
from webui.oauth_manager.protocol.requests import is_one_time_value, new_secret
from webui.paths import SUPPORT, is_callback, safe_next
from webui.rate_limits import TooMany
from webui.rendering.render import hand_off, render
from webui.sessions.cookies import keep_cookie, kept_cookie
from webui.sign_on import (
    ATTEMPT_SECONDS,
    Attempt,
    Identity,
    IdTokenRefused,
    SignOn,
    is_away,
    take_attempt,
)
from webui.site import Site, form_of, site_of
from webui.views.returns import shown_reference, sign_in_ended

COOKIE = "signon"
_STATUS = {"signon": 400, "signon_refused": 403, "signon_old": 403, "signon_away": 503}

log = logging.getLogger(__name__)


async def start(request: Request) -> Response:
    """``POST /signin/sso``: off to the provider."""
    site = site_of(request)
    sign_on = _sign_on(site)
    await count_try(request, "start")
    form = await form_of(request)
    return_to = _return_to(sign_on, form.get("next"))
    # Kept over several starts, so that two tabs do not end each other's sign-in.
    kept = kept_cookie(site.settings, request, COOKIE)
    browser = kept if is_one_time_value(kept) else new_secret()
    max_age, again = 0, False
    if return_to.startswith(SUPPORT):
        max_age, again = STAFF_SECONDS, "again" in form or await _is_stale(request)
    try:
        url = await sign_on.begin(site.redis, browser, return_to, max_age=max_age, again=again)
    except StoreUnavailable:
        raise
    except ProviderFailure as failure:
        return await _failed(request, "signon_away", code=failure.code)
    response = hand_off(request, sign_on.provider, url, "/signin", text="text_signin")
    keep_cookie(site.settings, response, COOKIE, browser, ATTEMPT_SECONDS)
    return response


async def callback(request: Request) -> Response:
    """``GET /signin/sso/callback``: a session, or a 303 to a page that says what to do."""
    _sign_on(site_of(request))
    if no_visit := turned_away(request):
        return no_visit
    try:
        return await _come_back(request)
    except TooMany:
        return sign_in_ended("too-many")
    except StoreUnavailable as failure:
        log.error("%s", failure)
        kept = await refer(request, "503", status=503, keep=False)
        return sign_in_ended("signon_away", kept)


async def _come_back(request: Request) -> Response:
    site = site_of(request)
    sign_on = _sign_on(site)
    try:
        answer = read_authorization_response(request.scope["query_string"], sign_on.provider)
        attempt = await take_attempt(
            site.redis, answer.state, kept_cookie(site.settings, request, COOKIE)
        )
    except FlowRefused as refusal:
        if refusal.reason == "unknown":
            await count_try(request, "miss")
        return await _failed(request, "signon", code=refusal.reason)
    try:
        identity = await sign_on.finish(attempt, answer)
    except (FlowRefused, IdTokenRefused) as refusal:
        return await _failed(request, "signon", code=refusal.reason)
    except ProviderFailure as failure:
        key = "signon_away" if is_away(failure) else "signon"
        return await _failed(request, key, code=failure.code)
    return await _admit(request, attempt, identity)


async def _admit(request: Request, attempt: Attempt, identity: Identity) -> Response:
    """Start sessions for a person who may have them."""
    site = site_of(request)
    user = identity.user
    since = identity.signed_in_at
    settings, is_for_staff = site.settings, _sign_on(site).is_for_staff
    who = Staff(user, "sso")
    is_named = is_staff(settings, who, ())
    by_group = not is_named and is_staff(settings, who, identity.groups)
    has_role = is_named or by_group
    if refused := await _refused(request, attempt, identity, has_role=has_role):
        return refused
    if not is_for_staff:
        await site.sessions.start(request, user, via="sso", signed_in_at=since)
    if has_role:
        await site.staff_sessions.start(
            request,
            user,
            via="sso",
            signed_in_at=since,
            groups=[settings.support_group] if by_group else [],  # the others are not ours
            sealed_token=identity.sealed_token if by_group else "",
        )
    # The cookie stays until it runs out: another tab may be at the provider still.
    response = RedirectResponse(attempt.return_to, 303)
    remember_browser(request, response, f"staff {user}" if is_for_staff else user)
    return response


async def _refused(
    request: Request, attempt: Attempt, identity: Identity, *, has_role: bool
) -> Response | None:
    """Return the page for a person who may not open the page they want; None if they may."""
    site, user = site_of(request), identity.user
    wants_support = attempt.return_to.startswith(SUPPORT)
    if identity.trouble and not has_role and wants_support:
        return await _failed(request, "signon_away", code=identity.trouble, user=user)
    if not has_role and _sign_on(site).is_for_staff:
        return await _failed(request, "signon_refused", user=user)
    if has_role and wants_support and _is_old(site, identity.signed_in_at):
        return await _failed(request, "signon_old", again=attempt.return_to, user=user)
    return None


async def sign_out_there(request: Request) -> Response | None:
    """Redirect to the provider's own sign-out; ``None`` if it has none, or is in trouble."""
    sign_on = site_of(request).sign_on
    try:
        url = await sign_on.sign_out_url() if sign_on else ""
    except ProviderFailure as failure:
        log.warning("%s", failure)
        url = ""
    if not sign_on or not url:
        return None
    return hand_off(request, sign_on.provider, url, "/signed-out", text="text_signout")


def _sign_on(site: Site) -> SignOn:
    if site.sign_on is None:
        raise HTTPException(404)
    return site.sign_on


def _return_to(sign_on: SignOn, asked: object) -> str:
    """Return the page to go to; staff who are nothing else here have only one."""
    path = safe_next(asked if isinstance(asked, str) else None)
    return path if path.startswith(SUPPORT) or not sign_on.is_for_staff else SUPPORT


def _is_old(site: Site, signed_in_at: float) -> bool:
    return site.clock.now() - signed_in_at >= STAFF_SECONDS


async def _is_stale(request: Request) -> bool:
    """Return whether this browser's staff session is too old for the support pages."""
    site = site_of(request)
    session = await site.staff_sessions.load(request, renew=False)
    return session is not None and _is_old(site, session.signed_in_at)


async def _failed(
    request: Request, key: str, *, code: str = "", user: str = "", again: str = ""
) -> Response:
    """Show the page of a key of the catalogue's ``error``; only the reference tells the reason.

    ``again`` is the page to come back to after one more sign-in.  The callback's address
    holds a code and a state, so from there it leads to one of its own.
    """
    status, provider = _STATUS[key], _sign_on(site_of(request)).provider
    ref = await refer(request, key, status=status, provider=provider.name, code=code, user=user)
    if is_callback(request.scope["path"]):
        return sign_in_ended(key, ref, again)
    return _page(request, key, ref, again)


async def ended(request: Request) -> Response:
    """``GET /signin/ended/{how}``: how the way back from the provider ended, without a session."""
    _sign_on(site_of(request))
    how, again = request.path_params["how"], request.query_params.get("again", "")
    if how == "too-many":
        await may_guess(request)  # says until when, as long as the limit holds
        how = "signon"
    if how not in _STATUS:
        raise HTTPException(404)
    is_ours = again.startswith(SUPPORT) and safe_next(again) == again
    return _page(request, how, shown_reference(request), again if is_ours else "")


def _page(request: Request, key: str, ref: str, again: str) -> Response:
    label = _sign_on(site_of(request)).provider.label
    template, status = "signon_failed.html", _STATUS[key]
    return render(request, template, status, key=key, label=label, again=again, ref=ref)
