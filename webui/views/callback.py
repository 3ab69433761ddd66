"""``/oauth/{provider}/callback``: a provider's answer, which comes back through the browser.

Nothing is asked of the provider before the browser is proven to belong to the
person who asked: a session binds a token, a state or a link never does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from webui.access.guesses import count_try
from webui.cards.accounts import parted
from webui.fetch_metadata import turned_away
from webui.incident_codes import refer
from webui.oauth_manager import (
    Attempt,
    FlowRefused,
    LinkRequest,
    OAuthProvider,
    StoreUnavailable,
    SwitchOffer,
)
from webui.oauth_manager.links import Parked
from webui.oauth_manager.protocol import ProviderFailure
from webui.oauth_manager.protocol.callback import (
    AuthorizationResponse,
    check_issuer,
    read_authorization_response,
)
from webui.oauth_manager.storage import state_of
from webui.oauth_manager.storage.calls import Pipeline
from webui.oauth_manager.values import replace
from webui.paths import card_address
from webui.rate_limits import TooMany
from webui.sessions.delivered import delivered, remembered
from webui.sessions.note import DISMISSED, Note, is_cancelled
from webui.sessions.sessions import Session
from webui.site import Site, provider_of, site_of
from webui.views.proof_cookie import begin_proof, kept_proof
from webui.views.returns import ended
from webui.views.unconnected import End, card_of, noted

log = logging.getLogger(__name__)

# Reasons to refuse an attempt, and the bot's notice of each if a link was the beginning.
_ENDS_A_LINK = {"other_browser": "elsewhere", "cancelled": "cancelled", "issuer": "failed"}
_PAUSE = 0.05  # seconds between two looks at another request's progress
_PATIENCE = 15.0  # seconds; longer than a provider may take


async def callback(request: Request) -> Response:
    """``GET /oauth/{provider}/callback``.

    At most four round trips beyond the session's.  Always ends in a 303 to an address
    without query: this one holds a code and a state.
    """
    provider = provider_of(request)
    if no_visit := turned_away(request):
        return no_visit
    try:
        return await _come_back(request, provider)
    except TooMany:
        return ended("too-many")
    except StoreUnavailable as failure:
        log.error("%s", failure)
        kept = await refer(request, "503", status=503, provider=provider.name, keep=False)
        return ended("unanswered", kept)


async def _come_back(request: Request, provider: OAuthProvider) -> Response:
    site = site_of(request)
    try:
        answer = read_authorization_response(request.scope["query_string"], provider)
    except FlowRefused:
        return ended("over")
    session = await site.sessions.load(request)
    binding = session.binding if session else ""
    attempt = await site.manager.links.take_attempt(site.redis, answer.state, binding)
    try:
        taken = await _belongs(site, session, attempt, provider.name)
        await _check_issuer(site, provider, answer)
    except FlowRefused as refusal:
        if refusal.reason == "unknown" and (again := await _again(request, provider, answer)):
            return again
        log.warning("%s: callback refused: %s", provider.name, refusal.reason)
        await _tell(request, attempt, refusal.reason)
        return await _refused(request, session, attempt, answer, refusal)
    if not taken.is_bound and answer.error:
        return await _not_allowed(request, taken, answer)
    taken = replace(taken, returned=answer.returned)
    if session is None:
        return await _park(request, taken, answer)
    return await finish(request, session, taken, answer)


async def _check_issuer(site: Site, provider: OAuthProvider, answer: AuthorizationResponse) -> None:
    """Compare the answer's issuer with that of the provider's metadata.  Raises ``FlowRefused``.

    A code of a server that nobody knows now, and that is pinned nowhere, goes no further: not
    even into a proof, after which the server may be known again.
    """
    known = await site.manager.servers.at_return(site.redis, provider)
    if known:
        check_issuer(known, answer.issuer, is_error=bool(answer.error))
    elif not answer.error:
        raise FlowRefused("issuer", provider.name)


async def _belongs(
    site: Site, session: Session | None, attempt: Attempt | None, provider: str
) -> Attempt:
    """Return the attempt, if this browser may go on with it.  Raises ``FlowRefused``."""
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
    if session and is_cancelled(session.notes, attempt.card, attempt.begun_at):
        raise FlowRefused("cancelled", provider)
    return attempt


async def _tell(request: Request, attempt: Attempt | None, reason: str) -> None:
    """Have the bot say that it ends here, if a link was the beginning.

    An attempt of another browser goes on in its own: a preview that fetches the address
    says nothing about a person, and costs nothing.
    """
    outcome = _ENDS_A_LINK.get(reason)
    is_person = reason != "other_browser" or request.headers.get("sec-fetch-mode") == "navigate"
    if attempt and outcome and is_person:
        site, who = site_of(request), (attempt.user_id, attempt.provider)
        await site.manager.stories.ended_if_open(site.redis, *who, outcome)


async def _again(
    request: Request, provider: OAuthProvider, answer: AuthorizationResponse
) -> Response | None:
    """Repeat the outcome for the browser that delivered the same answer before; else None.

    The first may be under way still: a browser shows the response to the last.
    """
    site, name = site_of(request), provider.name
    session = await site.sessions.load(request)
    if session is None:
        is_ours = await _is_parked_here(request, answer)
        return RedirectResponse("/connect/proof", 303) if is_ours else None
    notes, clock = session.notes, site.clock
    first = delivered(notes, name, answer.state, clock.now())
    give_up = clock.monotonic() + (_PATIENCE if first else _PAUSE)
    while not (first and first.is_done) and clock.monotonic() < give_up:
        await asyncio.sleep(_PAUSE)
        notes = await site.sessions.notes_now(session)
        found = delivered(notes, name, answer.state, clock.now())
        if first is None and found:
            give_up += _PATIENCE  # it came at the same moment
        first = found or first
    place = _last_told(notes, name)
    return _told(place, first.return_to, notes.get(place)) if first else None


def _last_told(notes: Mapping[str, Note], provider: str) -> str:
    """Return the place of the service whose card was told of an outcome last."""
    told = [place for place in notes if parted(place)[0] == provider]
    told = [place for place in told if notes[place].key != DISMISSED]
    return max(told, key=lambda place: notes[place].at, default=provider)


async def _is_parked_here(request: Request, answer: AuthorizationResponse) -> bool:
    """Tell whether this browser's own proof holds the code of that answer."""
    site = site_of(request)
    proof = await site.manager.proofs.peek(site.redis, kept_proof(request))
    parked = proof.parked.attempt if proof and proof.parked else None
    return parked is not None and state_of(parked.link_code) == answer.state


async def _refused(
    request: Request,
    session: Session | None,
    attempt: Attempt | None,
    answer: AuthorizationResponse,
    refusal: FlowRefused,
) -> Response:
    """Give one answer for every reason but another person's link, so that nothing can be probed.

    A card reports only attempts of this browser: any other may be somebody else's doing.
    """
    reason, provider = refusal.reason, refusal.provider
    if reason == "unknown":
        await count_try(request, "miss")
    if reason == "other_person":
        return ended("not-yours")
    if reason == "other_browser":
        return ended("other-browser")
    if session is None or attempt is None or not attempt.is_bound:
        return ended("over")
    note = Note(refusal.outcome, is_adding=attempt.is_adding)
    if reason == "issuer":
        ref = await refer(request, note.key, provider=provider, code="other_issuer")
        note = replace(note, ref=ref)
    site, state = site_of(request), answer.state
    now = site.clock.now()
    done = remembered(session.notes, provider, state, "list", now=now, is_done=True)
    card = attempt.card if attempt.provider == provider else provider
    await site.sessions.put_notes(session, {card: note, **done})
    return RedirectResponse(card_address("list", card, "n"), 303)


async def _not_allowed(
    request: Request, attempt: Attempt, answer: AuthorizationResponse
) -> Response:
    """End an attempt by a link that began in no browser, after an error instead of a code."""
    site, provider = site_of(request), attempt.provider
    log.warning("%s: connecting did not finish: %s", provider, answer.error)
    site.manager.steps.tell_answer(provider, answer.outcome)
    if answer.outcome == "denied":
        link = LinkRequest(attempt.user_id, provider, attempt.scopes)
        await site.manager.link_cancelled(site.redis, link)
        return ended("denied", service=provider)
    outcome = answer.outcome
    await site.manager.stories.ended(site.redis, attempt.user_id, provider, outcome)
    kind = f"connecting.{outcome}"
    ref = await refer(request, kind, status=400, provider=provider, code=answer.error)
    return ended(outcome, ref, service=provider)


async def _park(request: Request, attempt: Attempt, answer: AuthorizationResponse) -> Response:
    """Park the code, unexchanged, for the proof: a link from chat, and nobody signed in."""
    site = site_of(request)
    link = LinkRequest(attempt.user_id, attempt.provider, attempt.scopes)
    await site.manager.link_used(site.redis, link)
    return await begin_proof(request, link, Parked(attempt, answer.code))


async def finish(
    request: Request, session: Session, attempt: Attempt, answer: AuthorizationResponse
) -> Response:
    """Exchange and store for the proven person, and go to the page with the outcome.

    The work and its note survive a cancelled request: then the page that follows shows it.
    """
    site = site_of(request)
    work = _finish(request, session, attempt, answer)
    try:
        note, place = await site.manager.finish(work)
    except asyncio.CancelledError:
        if task := asyncio.current_task():
            task.uncancel()
        note, place = None, attempt.card
    return _told(place, attempt.return_to, note)


async def _finish(
    request: Request, session: Session, attempt: Attempt, answer: AuthorizationResponse
) -> tuple[Note | None, str]:
    site, provider = site_of(request), attempt.provider
    state = answer.state or state_of(attempt.link_code)  # it was used up when it was parked

    def kept(*, is_done: bool) -> dict[str, Note]:
        now, back = site.clock.now(), attempt.return_to
        return remembered(session.notes, provider, state, back, now=now, is_done=is_done)

    def also(pipe: Pipeline) -> None:
        site.sessions.queue_notes(pipe, session, kept(is_done=False))

    note, place = await _outcome(request, attempt, answer, also)
    # Where another card tells of it, the one that it began at waits no longer.
    over = {attempt.card: Note(DISMISSED)} if attempt.card in session.notes else {}
    await site.sessions.put_notes(session, {**over, place: note, **kept(is_done=True)})
    return note, place


def _told(provider: str, return_to: str, note: Note | None) -> Response:
    """Return the page with the outcome; ``note`` is None if that is not known yet."""
    if note and note.key == "asked":
        return RedirectResponse(f"/connections/{provider}/switch", 303)
    if note and note.key in ("connected", "was_there") and return_to == "done":
        return RedirectResponse(f"/connect/done/{provider}", 303)
    if note and note.key == "denied" and return_to == "done":
        return ended("denied", service=provider)
    return RedirectResponse(card_address(return_to, provider, "n"), 303)


async def _outcome(
    request: Request,
    attempt: Attempt,
    answer: AuthorizationResponse,
    also: Callable[[Any], object],
) -> tuple[Note, str]:
    """Return the outcome, and whose card tells it.

    It is ``asked`` if the person has to say first whose account it is.
    """
    site, place = site_of(request), attempt.card
    key = answer.outcome
    error = answer.error
    trace = ""
    if key:
        site.manager.steps.tell_answer(attempt.provider, key)
    try:
        if not key:
            result = await site.manager.complete(site.redis, attempt, answer.code, also=also)
            if isinstance(result, SwitchOffer):
                place, _ = await card_of(site, attempt)
                return Note("asked", until=result.until), place
            place = result.place if result else place
            key = "already_disconnected"
            if result:
                key = "was_there" if result.was_there else "connected"
    except StoreUnavailable:
        raise
    except FlowRefused as refusal:
        key = refusal.outcome
    except ProviderFailure as failure:
        key = failure.outcome
        error = failure.code
        trace = failure.trace
    if key in ("connected", "was_there", "already_disconnected"):
        return Note(key), place
    by = "chat" if attempt.return_to == "done" else "web"
    place, is_adding = await card_of(site, attempt)
    about = attempt.provider if is_adding else place
    end = End(attempt.user_id, about, by, key, error, trace)
    return replace(await noted(request, end), is_adding=is_adding), place
