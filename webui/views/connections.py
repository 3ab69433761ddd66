"""The connections page: its cards, and the buttons on them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from webui.auth import require_session
from webui.cards import Note, Screen, confirm_card, make_card, summarize
from webui.oauth_manager import RevokeOutcome, Status
from webui.pages import hand_off, is_htmx, render, render_card
from webui.site import form_of, provider_of, site_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from webui.cards import Card, Focus, Where
    from webui.oauth_manager import OAuthProvider
    from webui.sessions import Session
    from webui.site import Site

NOTE_SECONDS = 15 * 60  # how long an outcome stays on its card

LASTING = ("still_listed", "own_list")  # until the person has looked at the provider

OUTCOME_NOTES = {
    RevokeOutcome.REVOKED: "disconnected",
    RevokeOutcome.UNCONFIRMED: "still_listed",
    RevokeOutcome.UNSUPPORTED: "own_list",
    RevokeOutcome.NOTHING: "already_disconnected",
}


def _where(values: Mapping[str, object]) -> Where:
    return "detail" if values.get("return") == "detail" else "list"


def screen_of(site: Site, where: Where) -> Screen:
    return Screen(site.settings.product_name, site.settings.bot_name, time.time(), where)


def address(where: Where, provider: str, target: str = "t") -> str:
    """The page to go back to after an action, with the element that gets the focus."""
    page = f"/connections/{provider}" if where == "detail" else "/connections"
    return f"{page}#conn-{provider}-{target}"


def _notes(session: Session, now: float) -> dict[str, Note]:
    """The outcomes still worth saying: the latest, and those that ask for something."""
    fresh = {name: note for name, note in session.notes.items() if now - note.at < NOTE_SECONDS}
    latest = max((note.at for note in fresh.values()), default=0.0)
    return {n: note for n, note in fresh.items() if note.at == latest or note.key in LASTING}


async def _cards(
    site: Site, session: Session, screen: Screen, always: str = "", focus: Focus = ""
) -> dict[str, Card]:
    """Every card worth showing, by provider, in the order of their names.  One round trip.

    What is not set up is of no interest to people unless they are connected to
    it; ``always`` is shown all the same, and gets the focus.
    """
    cards = {}
    notes = _notes(session, screen.now)
    for connection in await site.manager.connections(session.user, site.redis):
        provider = site.manager.providers[connection.provider]
        is_known = provider.is_configured or connection.status is not Status.NOT_CONNECTED
        if is_known or provider.name == always:
            note = notes.get(provider.name)
            own_focus = focus if provider.name == always else ""
            cards[provider.name] = make_card(provider, connection, note, screen, own_focus)
    return dict(sorted(cards.items(), key=lambda item: item[1].label.lower()))


async def show_list(request: Request) -> Response:
    """``GET /connections``.  Two round trips, session included."""
    site = site_of(request)
    session = await require_session(request, site.sessions)
    screen = screen_of(site, "list")
    cards = (await _cards(site, session, screen)).values()
    return render(request, "connections.html", cards=list(cards), summary=summarize(cards, screen))


async def _answer(
    request: Request,
    session: Session,
    provider: OAuthProvider,
    where: Where,
    *,
    focus: Focus = "",
    status: int = 200,
) -> Response:
    """One card: the fragment with htmx, its page without."""
    site = site_of(request)
    screen = screen_of(site, where if is_htmx(request) else "detail")
    cards = await _cards(site, session, screen, provider.name, focus if is_htmx(request) else "")
    return render_card(
        request,
        cards[provider.name],
        summarize(cards.values(), screen),
        page="connection.html",
        status=status,
    )


async def show_one(request: Request) -> Response:
    """``GET /connections/{provider}``, and ``GET /oauth/{provider}/authorize`` from elsewhere."""
    provider = provider_of(request)
    session = await require_session(request, site_of(request).sessions)
    focus: Focus = "disconnect" if request.query_params.get("from") == "confirm" else ""
    where = _where(request.query_params) if is_htmx(request) else "detail"
    return await _answer(request, session, provider, where, focus=focus)


async def connect(request: Request) -> Response:
    """``POST /connections/{provider}/connect``: leave for the provider."""
    site, provider = site_of(request), provider_of(request)
    session = await require_session(request, site.sessions)
    await site.limiter.hit("connect", session.user)
    form = await form_of(request)
    where = _where(form)
    if not provider.is_configured:
        return await _answer(request, session, provider, where, focus="result", status=409)
    scopes = list(provider.scopes)
    if form.get("intent") in ("reconnect", "widen"):
        # A tool may have asked for more than the default; do not lose it on the way.
        known = await site.manager.connection(session.user, provider.name, site.redis)
        scopes = list(dict.fromkeys([*scopes, *known.profile.requested_scopes]))
    url = await site.manager.begin(
        site.redis,
        session.user,
        provider.name,
        browser=session.binding,
        scopes=scopes,
        return_to=where,
    )
    return hand_off(request, provider, url, cancel_url=address(where, provider.name))


async def ask_disconnect(request: Request) -> Response:
    """``GET /connections/{provider}/disconnect``: the question, in the card or as a page."""
    site, provider = site_of(request), provider_of(request)
    session = await require_session(request, site.sessions)
    screen = screen_of(site, _where(request.query_params))
    connection = await site.manager.connection(session.user, provider.name, site.redis)
    if connection.status is Status.NOT_CONNECTED:
        # Another tab was faster: show how things stand instead of asking.
        return await _answer(request, session, provider, screen.where, focus="result")
    card = confirm_card(provider, connection, screen)
    return render(
        request, "disconnect.html", fragment="card.html", card=card, summary=None, announce=""
    )


async def disconnect(request: Request) -> Response:
    """``POST /connections/{provider}/disconnect``."""
    site, provider = site_of(request), provider_of(request)
    session = await require_session(request, site.sessions)
    where = _where(await form_of(request))
    result = await site.manager.delete_token(site.redis, session.user, provider.name, by="web")
    note = Note(OUTCOME_NOTES[result.at_provider])
    session = await site.sessions.put_note(session, provider.name, note)
    return await _done(request, session, provider, where, "n")


async def dismiss(request: Request) -> Response:
    """``POST /connections/{provider}/dismiss``: the person has read what a note says."""
    site, provider = site_of(request), provider_of(request)
    session = await require_session(request, site.sessions)
    where = _where(await form_of(request))
    session = await site.sessions.drop_note(session, provider.name)
    return await _done(request, session, provider, where, "t")


async def _done(
    request: Request, session: Session, provider: OAuthProvider, where: Where, target: str
) -> Response:
    if is_htmx(request):
        return await _answer(request, session, provider, where, focus="result")
    return RedirectResponse(address(where, provider.name, target), 303)
