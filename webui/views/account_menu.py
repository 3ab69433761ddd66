"""The account menu, ``/everything/disconnect`` and ``/signout/everywhere``: all at once."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from webui.cards import AFTER_DISCONNECT, confirm_card
from webui.cards.accounts import shown_as
from webui.incident_codes import refer
from webui.oauth_manager import Connection, Status, StoreUnavailable
from webui.oauth_manager.storage import TooOld
from webui.paths import HOME
from webui.rendering.render import render
from webui.sessions.note import Note
from webui.sessions.sessions import Session
from webui.site import Site, site_of
from webui.views.card_responses import screen_of
from webui.views.disconnect import seen_through
from webui.views.sign_in import signed_out_response


async def ask_disconnect(request: Request) -> Response:
    """``GET /everything/disconnect``: one question that lists every connection, and what stops."""
    site = site_of(request)
    session = await site.sessions.require(request)
    connections = await connected(site, session)
    if not connections:
        return RedirectResponse(HOME, 303)
    providers, screen = site.manager.providers, screen_of(site, "list")
    listed = [confirm_card(shown_as(providers, c), c, screen) for c in connections]
    return render(request, "everything.html", listed=listed)


async def disconnect(request: Request) -> Response:
    """``POST /everything/disconnect``: all at once; each card then says what its service answered.

    One that fails keeps nobody from the others.
    """
    site = site_of(request)
    session = await site.sessions.require(request)
    connections = await connected(site, session)
    await asyncio.gather(*(_disconnect(request, site, session, c) for c in connections))
    return RedirectResponse(HOME, 303)


async def sign_out(request: Request) -> Response:
    """``POST /signout/everywhere``: every browser of this person, this one included."""
    site = site_of(request)
    session = await site.sessions.require(request)
    staff = await site.staff_sessions.load(request, renew=False)
    await site.sessions.end_all(session.user)
    return await signed_out_response(request, *(each.via for each in (session, staff) if each))


async def connected(site: Site, session: Session) -> list[Connection]:
    """Find what is stored, in the order of the page.  One round trip."""
    found = await site.manager.connections(site.redis, session.user)
    there = [c for c in found if c.status is not Status.NOT_CONNECTED]
    return sorted(there, key=lambda c: site.manager.providers[c.provider].label.lower())


async def _disconnect(request: Request, site: Site, session: Session, known: Connection) -> None:
    name = known.place
    work = site.manager.disconnect(site.redis, session.user, name, by="web")
    try:
        await seen_through(site, session, name, work, AFTER_DISCONNECT)
    except (StoreUnavailable, TooOld):
        ref = await refer(request, "disconnect_failed", provider=name)
        await site.sessions.put_note(session, name, Note("disconnect_failed", ref=ref))
