"""``/connections``, the page of one service, and its buttons ``connect`` and ``cancel``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from webui.cards import (
    FILTER_ABOVE,
    Card,
    Focus,
    News,
    Screen,
    grouped,
    matching,
    news,
    summarize,
    to_start_with,
)
from webui.cards.accounts import parted
from webui.cards.questions import answers
from webui.oauth_manager import OAuthProvider, Status, StoreUnavailable, ValueNeeded
from webui.oauth_manager.protocol import ProviderFailure
from webui.oauth_manager.storage import TooOld, WrongKey
from webui.rendering.render import hand_off, is_htmx, render, render_changes
from webui.sessions.note import CANCELLED, Note, cancellation
from webui.sessions.sessions import Session
from webui.site import Site, form_of, provider_of, site_of
from webui.views.card_responses import NEWEST, answer, cards_of, done, screen_of, where_of
from webui.views.unconnected import not_begun


async def show_list(request: Request) -> Response:
    """``GET /connections``.  Two round trips, session included.

    One more with nothing connected, and while a receipt is shown.

    For htmx with the cards ``seen`` on a page: 204, or the cards that changed.
    """
    site = site_of(request)
    session = await site.sessions.require(request)
    screen = screen_of(site, where_of(request.query_params))
    cards = await cards_of(site, session, screen)
    seen = request.query_params.getlist("seen")
    if is_htmx(request) and seen:
        return _news(request, cards, seen, screen)
    find = request.query_params.get("find", "").strip()[:80]
    shown = matching(cards, find) if find else cards
    first = None if find else await _first(site, session, cards)
    return render(
        request,
        "connections.html",
        cards=shown,
        groups=grouped(card for card in shown if card is not first),
        first=first,
        summary=summarize(cards, screen),
        find=find,
        can_find=bool(find) or len(cards) > FILTER_ABOVE,
        has_stored=any(card.stored for card in cards),
    )


def _news(
    request: Request, cards: Sequence[Card], seen: Collection[str], screen: Screen
) -> Response:
    """Answer a page's poll; its title begins with the last outcome, or the one service's name."""
    since = news(cards, seen)
    if screen.where == "detail":  # the card of another account has no place there
        since = News(since.changed)
        subject = next((card.outcome or card.label for card in since.changed), "")
    else:
        subject = next((card.outcome for card in cards if card.outcome), "")
    return render_changes(request, since, summarize(cards, screen), subject)


async def _first(site: Site, session: Session, cards: Sequence[Card]) -> Card | None:
    """Return the service to begin with: the one that the bot made a link for last, if it can be.

    None if something is connected; else one round trip.
    """
    first = to_start_with(cards, "")
    if first is None:
        return None
    page = await site.manager.activity(site.redis, session.user, size=NEWEST)
    made = (event.provider for event in page.events if event.kind in ("link_made", "link_used"))
    return to_start_with(cards, next((name for name in made if name), ""))


async def show_one(request: Request) -> Response:
    """``GET /connections/{provider}``, and ``GET /oauth/{provider}/authorize`` from elsewhere."""
    provider = provider_of(request)
    session = await site_of(request).sessions.require(request)
    focus: Focus = "disconnect" if request.query_params.get("from") == "confirm" else ""
    where = where_of(request.query_params) if is_htmx(request) else "detail"
    return await answer(request, session, provider, where, focus=focus, speaks=not focus)


async def connect(request: Request) -> Response:
    """``POST /connections/{provider}/connect``: leave for the provider.  Three round trips.

    The try is counted with the look at the connection, and judged before anything is stored.
    """
    site, provider = site_of(request), provider_of(request)
    session = await site.sessions.require(request)
    who = session.user, provider.name
    count = partial(site.limiter.queue, name="connect", who=session.user)
    known, tries = await site.manager.connection_beside(site.redis, *who, also=count)
    await site.limiter.judge("connect", session.user, tries)
    form = await form_of(request)
    where = where_of(form)
    if not provider.is_configured:
        return await answer(request, session, provider, where, focus="result", status=409)
    is_adding = form.get("intent") == "add"
    waiting = Note("waiting", is_adding=is_adding)
    if is_adding and await _is_full(site, session, provider):
        return await answer(request, session, provider, "detail", status=409, refused="full")
    asked = provider.scopes if is_adding else provider.scopes_for(known.profile)
    try:
        url = await site.manager.begin(
            site.redis,
            *who,
            browser=session.binding,
            scopes=asked,
            return_to=where,
            is_adding=is_adding,
            also=lambda pipe: site.sessions.queue_note(pipe, session, provider.name, waiting),
            asked=answers(form, known.asked),
        )
    except ValueNeeded:
        note = Note("value_needed")
        session = await site.sessions.put_note(session, provider.name, note)
        return await done(request, session, provider, where, "n")
    except (StoreUnavailable, TooOld, WrongKey):
        raise
    except ProviderFailure as failure:
        about = request, session, provider.name, "web", failure
        session = await not_begun(*about, is_adding=is_adding)
        return await done(request, session, provider, where, "n")
    return hand_off(request, provider, url, where=where)


async def _is_full(site: Site, session: Session, provider: OAuthProvider) -> bool:
    """Tell whether the person has as many accounts of the service as they may.  One round trip."""
    name, _ = parted(provider.name)
    known = await site.manager.connections(site.redis, session.user)
    there = [c for c in known if c.provider == name and c.status is not Status.NOT_CONNECTED]
    return len(there) >= provider.max_accounts


async def cancel(request: Request) -> Response:
    """``POST /connections/{provider}/cancel``: ends the attempts of this session.

    They are over even if the person goes on at the provider all the same.
    """
    site, provider = site_of(request), provider_of(request)
    session = await site.sessions.require(request)
    where = where_of(await form_of(request))
    name = cancellation(provider.name)
    session = await site.sessions.put_note(session, name, Note(CANCELLED))
    stories = site.manager.stories
    await stories.ended_if_open(site.redis, session.user, provider.name, "cancelled")
    return await done(request, session, provider, where, "t", focus="heading")
