"""``/connections/{provider}/disconnect``, ``revoke``, ``dismiss``: gone here at once."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from webui.cards import AFTER_ASKING_AGAIN, AFTER_DISCONNECT, Focus, Where, confirm_card
from webui.cards.accounts import shown_as
from webui.incident_codes import refer
from webui.oauth_manager import (
    Disconnected,
    Ending,
    OAuthProvider,
    RevokeOutcome,
    Status,
    StoreUnavailable,
)
from webui.oauth_manager.storage import TooOld
from webui.oauth_manager.storage.calls import is_refusal
from webui.oauth_manager.values import Struct, replace
from webui.rate_limits import TooMany
from webui.rendering.render import RETRY_SECONDS, render
from webui.sessions.note import DISMISSED, Note
from webui.sessions.sessions import Session
from webui.site import Site, form_of, provider_of, site_of
from webui.views.card_responses import answer, done, screen_of, where_of


class _Told(Struct, frozen=True):
    """The session with the note of the outcome; one that could not be stored is shown at once."""

    session: Session
    is_kept: bool = True


async def ask_disconnect(request: Request) -> Response:
    """``GET /connections/{provider}/disconnect``: the question, in the card or as a page."""
    site, provider = site_of(request), provider_of(request)
    session = await site.sessions.require(request)
    screen = screen_of(site, where_of(request.query_params))
    connection = await site.manager.connection(site.redis, session.user, provider.name)
    if connection.status is Status.NOT_CONNECTED:
        # Another tab was faster: show the current state instead of asking.
        return await answer(request, session, provider, screen.where, focus="result")
    card = confirm_card(shown_as(site.manager.providers, connection), connection, screen)
    return render(
        request,
        "disconnect.html",
        fragment="card_fragment.html",
        card=card,
        summary=None,
        announce="",
    )


async def disconnect(request: Request) -> Response:
    """``POST /connections/{provider}/disconnect``."""
    site, provider = site_of(request), provider_of(request)
    session = await _session(request)
    where = where_of(await form_of(request))
    work = site.manager.disconnect(site.redis, session.user, provider.name, by="web")
    try:
        told = await seen_through(site, session, provider.name, work)
    except (StoreUnavailable, TooOld):
        return await _not_disconnected(request, session, provider, where)
    return await _how_it_went(request, told, provider, where)


async def revoke(request: Request) -> Response:
    """``POST /connections/{provider}/revoke``: ask a provider that did not confirm once more."""
    site, provider = site_of(request), provider_of(request)
    session = await site.sessions.require(request)
    where = where_of(await form_of(request))
    try:
        await site.limiter.hit("revoke", session.user)
    except TooMany as limit:
        before = session.notes.get(provider.name)
        name = before.account if before else ""
        note = Note("too_many_retries", until=limit.retry_at, account=name)
        session = _with_note(site, session, provider.name, note)
        response = await answer(request, session, provider, where, focus="result", status=429)
        response.headers["Retry-After"] = str(limit.retry_after)
        return response
    work = site.manager.ask_again(site.redis, session.user, provider.name)
    told = await seen_through(site, session, provider.name, work, AFTER_ASKING_AGAIN)
    return await _how_it_went(request, told, provider, where)


async def dismiss(request: Request) -> Response:
    """``POST /connections/{provider}/dismiss``: dismiss a card's message."""
    site, provider = site_of(request), provider_of(request)
    session = await site.sessions.require(request)
    where = where_of(await form_of(request))
    await site.manager.drop_leftovers(site.redis, session.user, provider.name)
    session = await site.sessions.put_note(session, provider.name, Note(DISMISSED))
    return await done(request, session, provider, where, "t")


async def _session(request: Request) -> Session:
    """Load the session, even if Redis reads and does not write: the card can say so then."""
    sessions = site_of(request).sessions
    try:
        return await sessions.require(request)
    except StoreUnavailable as failure:
        session = await sessions.load(request, renew=False) if is_refusal(failure) else None
        if session is None:
            raise
        return session


async def seen_through(
    site: Site,
    session: Session,
    provider: str,
    work: Coroutine[Any, Any, Ending | None],
    notes: Mapping[RevokeOutcome, str] = AFTER_DISCONNECT,
) -> _Told:
    """Return the outcome so far, as one of ``notes``; the work survives a cancelled request.

    Raises ``StoreUnavailable`` if nothing was begun.
    """
    return await site.manager.finish(_begin(site, session, provider, work, notes))


async def _begin(
    site: Site,
    session: Session,
    provider: str,
    work: Coroutine[Any, Any, Ending | None],
    notes: Mapping[RevokeOutcome, str],
) -> _Told:
    ending = await work
    if ending is None:
        return await _nothing_to_ask(site, session, provider)
    result = await ending.within(site.manager.patience)
    if result is None:
        told = await _put(site, session, provider, Note("disconnecting", account=ending.name))
        site.manager.see_through(_follow(site, session, provider, ending, notes))
        return told
    return await _put(site, session, provider, _note(ending, result, notes))


async def _follow(
    site: Site,
    session: Session,
    provider: str,
    ending: Ending,
    notes: Mapping[RevokeOutcome, str],
) -> None:
    result = await ending.result
    known = await site.manager.connection(site.redis, session.user, provider)
    if known.status is Status.NOT_CONNECTED:  # else later events count
        await _put(site, session, provider, _note(ending, result, notes))


def _note(ending: Ending, result: Disconnected, notes: Mapping[RevokeOutcome, str]) -> Note:
    return Note(notes[result.at_provider], until=result.retry_until, account=ending.name)


async def _nothing_to_ask(site: Site, session: Session, provider: str) -> _Told:
    """Offer nothing more: the held tokens are gone, or the service is connected again."""
    note = session.notes.get(provider)
    if note is None or note.key not in ("still_listed", "asked_again"):
        return _Told(session)
    return await _put(site, session, provider, Note("still_listed", account=note.account))


async def _put(site: Site, session: Session, provider: str, note: Note) -> _Told:
    try:
        if note.key == "already_disconnected":
            # Pressed twice, the press that did it says what came of it.
            return _Told(await site.sessions.put_note_unless_told(session, provider, note))
        return _Told(await site.sessions.put_note(session, provider, note))
    except StoreUnavailable:
        return _Told(_with_note(site, session, provider, note), is_kept=False)


def _with_note(site: Site, session: Session, provider: str, note: Note) -> Session:
    """Add the note for this response alone."""
    note = replace(note, at=note.at or site.clock.now())
    return replace(session, notes={**session.notes, provider: note})


async def _how_it_went(
    request: Request, told: _Told, provider: OAuthProvider, where: Where
) -> Response:
    note = told.session.notes.get(provider.name)
    key = note.key if note else ""
    status = 202 if key == "disconnecting" else 200
    # If the same button is there again, the focus stays on it and the page speaks.
    is_the_same = key == "asked_again"
    focus: Focus = "" if is_the_same else "result"
    if not told.is_kept:
        return await answer(
            request, told.session, provider, where, focus=focus, status=status, speaks=is_the_same
        )
    return await done(
        request, told.session, provider, where, "n", focus=focus, status=status, speaks=is_the_same
    )


async def _not_disconnected(
    request: Request, session: Session, provider: OAuthProvider, where: Where
) -> Response:
    """Answer after Redis refused or went away: show only facts that can be read afterwards.

    Raises ``StoreUnavailable`` if nothing can be read, or nothing is connected.
    """
    site = site_of(request)
    known = await site.manager.connection(site.redis, session.user, provider.name)
    if known.status is Status.NOT_CONNECTED:
        raise StoreUnavailable("disconnect", "not_known")
    kind = "disconnect_failed"
    ref = await refer(request, kind, status=503, provider=provider.name, keep=False)
    session = _with_note(site, session, provider.name, Note(kind, ref=ref))
    response = await answer(request, session, provider, where, focus="result", status=503)
    response.headers["Retry-After"] = RETRY_SECONDS
    return response
