"""The provider's answer comes back through the browser.

Nothing is asked of the provider before the browser is proven to belong to the
person who asked: a session binds a token, a state or a link never does.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from webui.cards import Note
from webui.oauth_manager import (
    FlowRefused,
    OAuthMisconfigured,
    OAuthRefused,
    OAuthUnavailable,
    StoreUnavailable,
)
from webui.oauth_manager.callbacks import read_authorization_response
from webui.pages import render, render_error
from webui.references import new_reference
from webui.site import provider_of, site_of
from webui.views.connections import address

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from webui.cards import Where
    from webui.oauth_manager import Attempt
    from webui.oauth_manager.callbacks import AuthorizationResponse
    from webui.sessions import Session
    from webui.site import Site

log = logging.getLogger(__name__)


async def callback(request: Request) -> Response:
    """``GET /oauth/{provider}/callback``.

    At most five round trips, session included.  Ends in a 303 to an address
    without query, or in a page that says what to do.
    """
    site, provider = site_of(request), provider_of(request)
    try:
        answer = read_authorization_response(request.scope["query_string"])
    except FlowRefused:
        return render_error(request, 400, "attempt")
    session = await site.sessions.load(request)
    attempt = await site.manager.links.take_attempt(site.redis, answer.state)
    try:
        person, attempt = await _proven(site, session, attempt, provider.name)
        site.manager.check_issuer(provider.name, answer.issuer)
    except FlowRefused as refusal:
        log.warning("%s: callback refused: %s", provider.name, refusal.reason)
        return await _refused(request, session, provider.name, refusal.reason)
    note = await _finish(site, attempt, answer)
    person = await site.sessions.put_note(person, provider.name, note)
    if attempt.return_to == "done" and note.key == "connected":
        return RedirectResponse(f"/connect/done/{provider.name}", 303)
    where: Where = "detail" if attempt.return_to == "detail" else "list"
    return RedirectResponse(address(where, provider.name, "n"), 303)


async def _proven(
    site: Site, session: Session | None, attempt: Attempt | None, provider: str
) -> tuple[Session, Attempt]:
    """The session and the attempt, if the one may finish the other.  Raises ``FlowRefused``."""
    if attempt is None:
        raise FlowRefused("unknown", provider)
    if attempt.link_code:
        # Started in chat: its link is spent whatever comes of it.
        link = await site.manager.links.take(site.redis, attempt.link_code)
        if link is None or link.user_id != attempt.user_id:
            raise FlowRefused("unknown", provider)
    if attempt.provider != provider:
        raise FlowRefused("other_provider", provider)
    if session is None:
        raise FlowRefused("other_browser", provider)
    if session.user != attempt.user_id:
        raise FlowRefused("other_person", provider)
    if attempt.browser != session.binding and not attempt.link_code:
        raise FlowRefused("other_browser", provider)
    return session, attempt


async def _refused(
    request: Request, session: Session | None, provider: str, reason: str
) -> Response:
    """One answer for every reason but another person's link, so that nothing can be probed."""
    if reason == "other_person":
        return render(request, "link_not_yours.html", 403)
    if session is None:
        return render_error(request, 400, "attempt")
    await site_of(request).sessions.put_note(session, provider, Note("attempt_over"))
    return RedirectResponse(address("list", provider, "n"), 303)


async def _finish(site: Site, attempt: Attempt, answer: AuthorizationResponse) -> Note:
    """Exchange and store, or learn why not."""
    key = answer.outcome
    try:
        if not key:
            connection = await site.manager.complete(site.redis, attempt, answer.code)
            key = "connected" if connection else "already_disconnected"
    except StoreUnavailable:
        raise
    except OAuthRefused:
        key = "failed"
    except OAuthMisconfigured:
        key = "misconfigured"
    except OAuthUnavailable:
        key = "provider_trouble"
    if key in ("connected", "already_disconnected", "denied"):
        return Note(key)
    reference = new_reference()
    log.warning(
        "%s: connecting did not finish: %s (%s), reference %s",
        attempt.provider,
        key,
        answer.error or "no error in the callback",
        reference,
    )
    return Note(key, ref=reference)
