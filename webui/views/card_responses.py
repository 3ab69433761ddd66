"""Cards of one person, and responses with them: for the views that change a card."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from webui.cards import (
    RECEIPTED,
    Card,
    Focus,
    Screen,
    Standing,
    Where,
    card_of,
    ended_accounts,
    newest,
    notes_to_show,
    of_the_store,
    standing,
    summarize,
    unanswered,
)
from webui.cards.accounts import shown_as
from webui.cards.timeline import Entry, timeline
from webui.oauth_manager import Connection, OAuthProvider, Status
from webui.oauth_manager.values import Struct, replace
from webui.paths import HOME, card_address
from webui.rendering.render import is_htmx, render_card
from webui.sessions.note import Note
from webui.sessions.sessions import Session
from webui.site import Site, site_of
from webui.text.receipts import answered, receipt_of

NEWEST = 5  # events on a service's own page


def where_of(values: Mapping[str, object]) -> Where:
    return "detail" if values.get("return") == "detail" else "list"


def screen_of(site: Site, where: Where) -> Screen:
    return Screen(site.settings.product_name, site.settings.bot_name, site.clock.now(), where)


class _Place(Struct, frozen=True):
    """A card's place on a page: all that the card is made of."""

    provider: OAuthProvider
    connection: Connection
    note: Note | None
    is_news: bool

    def card(self, screen: Screen, focus: Focus = "") -> Card:
        about = self.provider, self.connection, self.note, screen
        return card_of(*about, focus, is_news=self.is_news)

    def standing(self, screen: Screen) -> Standing:
        return standing(self.provider, self.connection, self.note, screen)


async def cards_of(site: Site, session: Session, screen: Screen) -> list[Card]:
    """Return every card worth showing, in the order of their names.  One round trip."""
    return [place.card(screen) for place in await _places(site, session, screen)]


async def _places(site: Site, session: Session, screen: Screen, always: str = "") -> list[_Place]:
    """Find the cards worth showing, in the order of their names.  One round trip.

    A service that is not set up is hidden from people unless they are connected to it;
    ``always`` is shown all the same.
    """
    places = []
    for name in unanswered(session.notes, screen.now):
        # A look finds unanswered offers, and has them ended at the provider.
        site.manager.see_through(site.manager.switch_offer(site.redis, session.user, name))
    shown, last = notes_to_show(session.notes, screen.now), newest(session.notes, screen.now)
    known = await site.manager.connections(site.redis, session.user)
    known = [*known, *ended_accounts(shown, known)]
    notes = {c.place: note for c in known if (note := of_the_store(shown.get(c.place), c))}
    notes = await _with_receipts(site, session.user, notes)
    for connection in known:
        provider = shown_as(site.manager.providers, connection)
        is_known = provider.is_configured or connection.status is not Status.NOT_CONNECTED
        if is_known or provider.name == always:
            note = notes.get(provider.name)
            places.append(_Place(provider, connection, note, provider.name == last))
    return sorted(places, key=lambda place: place.provider.label.lower())


async def _with_receipts(site: Site, user: str, notes: dict[str, Note]) -> dict[str, Note]:
    """Add its receipt to each note of a disconnect.  One round trip if there is any."""
    wanted = {name for name, note in notes.items() if note.key in RECEIPTED}
    if not wanted:
        return notes
    found: dict[str, Note] = {}
    for event in answered((await site.manager.activity(site.redis, user)).events):
        base = event.provider
        name = next((n for n in (f"{base}~{event.slot}", base) if n in wanted), "")
        if event.kind == "disconnected" and name in wanted - found.keys():
            label = site.manager.providers[base].label
            found[name] = replace(notes[name], receipt=receipt_of(event, user, label))
    return notes | found


def to_list(request: Request) -> Response:
    """Lead from a card that a page still shows to those that there are now."""
    if is_htmx(request):
        return Response(status_code=409, headers={"HX-Redirect": HOME})
    return RedirectResponse(HOME, 303)


async def answer(
    request: Request,
    session: Session,
    provider: OAuthProvider,
    where: Where,
    *,
    focus: Focus = "",
    status: int = 200,
    speaks: bool = False,
    said: str = "",
    refused: str = "",
    named: str = "",
) -> Response:
    """Answer with one card: the fragment for htmx, else its page, with the last events.

    ``speaks`` announces its state, for cases in which the focus does not move; ``said`` is
    announced instead.  ``refused`` as the card has it, and ``named`` what was typed then.
    """
    site = site_of(request)
    screen = screen_of(site, where if is_htmx(request) else "detail")
    places = await _places(site, session, screen, provider.name)
    own = next((place for place in places if place.provider.name == provider.name), None)
    if own is None:  # it has gone, or is one of several now
        return to_list(request)
    card = own.card(screen, focus if is_htmx(request) else "")
    return render_card(
        request,
        replace(card, refused=refused, named=named or card.named) if refused else card,
        summarize([place.standing(screen) for place in places], screen),
        page="connection.html",
        status=status,
        announce=card.spoken if speaks else said,
        entries=() if is_htmx(request) else await _newest(site, session, provider),
        now=site.clock.now(),
    )


async def _newest(site: Site, session: Session, provider: OAuthProvider) -> tuple[Entry, ...]:
    """Read the last events of one service.  One round trip, unless the timeline is long.

    Several may be one line, so more are read than are shown.
    """
    page = await site.manager.activity(
        site.redis, session.user, provider=provider.name, size=4 * NEWEST
    )
    names = site.settings.product_name, site.settings.bot_name
    now = site.clock.now()
    about = page.events, site.manager.providers, *names
    return timeline(*about, until=now, whose=session.user)[:NEWEST]


async def done(
    request: Request,
    session: Session,
    provider: OAuthProvider,
    where: Where,
    target: str,
    *,
    focus: Focus = "result",
    status: int = 200,
    speaks: bool = False,
) -> Response:
    """Answer an action: the card for htmx, else a redirect to the page it was on."""
    if is_htmx(request):
        return await answer(
            request, session, provider, where, focus=focus, status=status, speaks=speaks
        )
    return RedirectResponse(card_address(where, provider.name, target), 303)
