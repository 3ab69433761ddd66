"""The provider's answer comes back through the browser.

Nothing is asked of the provider before the browser is proven to belong to the
person who asked: a session binds a token, a state or a link never does.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from webui.cards import Note, is_cancelled
from webui.guessing import count_try, turned_away
from webui.oauth_manager import (
    Event,
    FlowRefused,
    LinkRequest,
    OAuthMisconfigured,
    OAuthRefused,
    OAuthUnavailable,
    StoreUnavailable,
    SwitchOffer,
)
from webui.oauth_manager.callbacks import read_authorization_response
from webui.oauth_manager.proofs import Parked
from webui.pages import render
from webui.proof_cookie import begin_proof
from webui.references import refer
from webui.site import provider_of, site_of
from webui.views.board import address
from webui.views.errors import error_page, link_failure

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from webui.cards import Where
    from webui.oauth_manager import Attempt
    from webui.oauth_manager.callbacks import AuthorizationResponse
    from webui.sessions import Session
    from webui.site import Site

log = logging.getLogger(__name__)

# Reasons to refuse an attempt, and what the bot says of it where a link was the beginning.
_ENDS_A_LINK = {"other_browser": "elsewhere", "cancelled": "cancelled", "issuer": "failed"}


async def callback(request: Request) -> Response:
    """``GET /oauth/{provider}/callback``.

    At most four round trips beyond the session's.  Ends in a 303 to an address
    without query, or in a page that says what to do.
    """
    site, provider = site_of(request), provider_of(request)
    if no_visit := turned_away(request):
        return no_visit
    try:
        answer = read_authorization_response(request.scope["query_string"], provider)
    except FlowRefused:
        return await error_page(request, 400, "attempt", provider=provider.name)
    session = await site.sessions.load(request)
    binding = session.binding if session else ""
    attempt = await site.manager.links.take_attempt(site.redis, answer.state, binding)
    try:
        attempt = await _belongs(site, session, attempt, provider.name)
        site.manager.check_issuer(provider.name, answer.issuer, is_error=bool(answer.error))
    except FlowRefused as refusal:
        log.warning("%s: callback refused: %s", provider.name, refusal.reason)
        await _tell(request, attempt, refusal.reason)
        return await _refused(request, session, provider.name, refusal.reason)
    if session is None:
        return await _park(request, attempt, answer)
    return await finish(request, session, attempt, answer)


async def _belongs(
    site: Site, session: Session | None, attempt: Attempt | None, provider: str
) -> Attempt:
    """The attempt, if this browser may go on with it.  Raises ``FlowRefused``."""
    if attempt is None:
        raise FlowRefused("unknown", provider)
    if attempt.link_code and not await site.manager.links.spend(site.redis, attempt):
        raise FlowRefused("unknown", provider)
    if attempt.provider != provider:
        raise FlowRefused("other_provider", provider)
    if attempt.link_code and session and session.user != attempt.user_id:
        await site.manager.link_cancelled(site.redis, LinkRequest(attempt.user_id, provider))
        raise FlowRefused("other_person", provider)
    if not attempt.link_code and (session is None or attempt.browser != session.binding):
        raise FlowRefused("other_browser", provider)
    if session and is_cancelled(session.notes, provider, attempt.begun_at):
        raise FlowRefused("cancelled", provider)
    return attempt


async def _tell(request: Request, attempt: Attempt | None, reason: str) -> None:
    """Have the bot say that it ends here, if a link was the beginning.

    An attempt of another browser goes on in its own: a preview that fetches the
    address says nothing of a person, and costs nothing.
    """
    outcome = _ENDS_A_LINK.get(reason)
    is_person = reason != "other_browser" or request.headers.get("sec-fetch-mode") == "navigate"
    if attempt and outcome and is_person:
        site, who = site_of(request), (attempt.user_id, attempt.provider)
        await site.manager.stories.ended_if_open(site.redis, *who, outcome)


async def _refused(
    request: Request, session: Session | None, provider: str, reason: str
) -> Response:
    """One answer for every reason but another person's link, so that nothing can be probed."""
    if reason == "unknown":
        await count_try(request, "miss")
    if reason == "other_person":
        return await link_failure(request, "not_yours", provider)
    if session is None and reason == "other_browser":
        return await link_failure(request, "other_browser", provider)
    if session is None:
        return await error_page(request, 400, "attempt", provider=provider)
    note = Note("attempt_over")
    if reason == "issuer":
        ref = await refer(request, "failed", provider=provider, code="other_issuer")
        note = Note("failed", ref=ref)
    await site_of(request).sessions.put_note(session, provider, note)
    return RedirectResponse(address("list", provider, "n"), 303)


async def _park(request: Request, attempt: Attempt, answer: AuthorizationResponse) -> Response:
    """A link from chat, and nobody signed in: the code waits, unexchanged, for the proof."""
    site = site_of(request)
    link = LinkRequest(attempt.user_id, attempt.provider, attempt.scopes)
    if answer.error:
        log.warning("%s: connecting did not finish: %s", attempt.provider, answer.error)
    if answer.outcome == "denied":
        await site.manager.link_cancelled(site.redis, link)
        return render(request, "link_declined.html")
    if answer.error:
        return await _failed_for_nobody(request, attempt, answer)
    await site.manager.link_used(site.redis, link)
    return await begin_proof(request, link, Parked(attempt, answer.code))


async def _failed_for_nobody(
    request: Request, attempt: Attempt, answer: AuthorizationResponse
) -> Response:
    """Say on a page of its own what went wrong: nobody is signed in who has a card."""
    site, provider = site_of(request), site_of(request).manager.providers[attempt.provider]
    key = answer.outcome
    await site.manager.stories.ended(site.redis, attempt.user_id, provider.name, key)
    return await error_page(
        request,
        400,
        f"connecting.{key}",
        provider=provider.name,
        code=answer.error,
        label=provider.label,
    )


async def finish(
    request: Request, session: Session, attempt: Attempt, answer: AuthorizationResponse
) -> Response:
    """Exchange and store for the proven person, and go where the outcome is told."""
    site, provider = site_of(request), attempt.provider
    note = await _outcome(request, attempt, answer)
    session = await site.sessions.put_note(session, provider, note)
    if note.key == "asked":
        return RedirectResponse(f"/connections/{provider}/switch", 303)
    if attempt.return_to == "done" and note.key == "connected":
        return RedirectResponse(f"/connect/done/{provider}", 303)
    where: Where = "detail" if attempt.return_to == "detail" else "list"
    return RedirectResponse(address(where, provider, "n"), 303)


async def _outcome(request: Request, attempt: Attempt, answer: AuthorizationResponse) -> Note:
    """How it went; ``asked`` where the person has to say first whose account it is."""
    site, key, error, trace = site_of(request), answer.outcome, answer.error, ""
    try:
        if not key:
            result = await site.manager.complete(site.redis, attempt, answer.code)
            if isinstance(result, SwitchOffer):
                return Note("asked", until=result.until)
            key = "connected" if result else "already_disconnected"
    except StoreUnavailable:
        raise
    except FlowRefused:
        key = "start_here"
    except (OAuthRefused, OAuthMisconfigured, OAuthUnavailable) as failure:
        key, error, trace = failure.meaning.outcome, failure.code, failure.trace
    if key in ("connected", "already_disconnected"):
        return Note(key)
    by = "chat" if attempt.return_to == "done" else "web"
    kind = "denied" if key == "denied" else "connect_failed"
    event = Event(kind, attempt.provider, by, time.time(), detail=key)
    await site.manager.record(site.redis, attempt.user_id, event)
    if by == "chat":
        owner = attempt.user_id
        await site.manager.stories.ended(site.redis, owner, attempt.provider, key)
    if key in ("denied", "start_here"):
        return Note(key)
    ref = await refer(request, key, provider=attempt.provider, code=error, trace=trace)
    return Note(key, ref=ref)
