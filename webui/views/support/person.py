"""``/support/people/{user_id}``, ``preview``: a person's services, events and own page.

Looking writes its audit record and nothing else: no refresh, no question to one of
their providers, no session's life, no counter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import repeat
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from webui.access.roles import Staff, require_staff
from webui.cards import Card, Screen, grouped, make_card, summarize
from webui.cards.accounts import shown_as
from webui.cards.timeline import days
from webui.oauth_manager import Connection, OAuthProvider, OpenLink, Status
from webui.oauth_manager.values import replace
from webui.rendering.render import render
from webui.site import Site, site_of
from webui.support.history import KINDS, STEPS, history
from webui.support.identifiers import masked, spelled, staff_place
from webui.support.paths import person_path, user_id_in, with_query
from webui.support.rows import Row, explained, make_row, problems, verdict
from webui.text import words
from webui.text.labels import label_of
from webui.views.card_responses import screen_of
from webui.views.support.gate import field_of, may_look, reason_fault, record_look, was_asked_here


async def person(request: Request) -> Response:
    """``GET /support/people/{user_id}``: their services, and the events."""
    staff = await require_staff(request)
    site, user_id = site_of(request), person_of(request)
    providers, reason = site.manager.providers, field_of(request.query_params, "reason")
    if reason_fault(reason) or not was_asked_here(request):
        return ask_for_reason(request, staff, user_id)
    await may_look(request, staff)
    connections = await _worth_showing(site, user_id)
    links = await site.manager.open_links(site.redis, user_id)
    screen = screen_of(site, "list")
    happened = await _timeline(site, user_id, request.query_params, screen)
    known = bool(happened["days"]) or await is_known(site, user_id, connections, links)
    rows = await _rows(site, user_id, connections, screen) if known else []
    await _record(request, staff, "viewed", user_id, reason, known)
    return render(
        request,
        "support_person.html",
        **about(staff, user_id, reason, site.clock.now()),
        **happened,
        is_known=known,
        verdict=verdict(rows),
        wrong=problems(rows),
        fine=[row for row in rows if row.stored and not row.problem],
        free=[row for row in rows if not row.stored],
        links=[_shown(link, providers) for link in links],
    )


def _shown(link: OpenLink, providers: Mapping[str, OAuthProvider]) -> tuple[str, str, str, float]:
    return link.provider, label_of(link.provider, providers), link.state, link.expires_at


async def _rows(
    site: Site, user_id: str, connections: Collection[Connection], screen: Screen
) -> list[Row]:
    """Build a row for each service; one that is not connected has its last event."""
    shown = [as_staff_see(site, user_id, c) for c in connections]
    services = {provider.name: provider for provider in shown}
    rows = list(map(make_row, shown, connections, repeat(screen)))
    if all(row.stored for row in rows):
        return rows
    page = await site.manager.activity(site.redis, user_id, kinds=STEPS)
    last = {event.provider: event for event in reversed(page.events)}
    for row in rows:
        if page.older and not row.stored and row.name not in last:
            own = await site.manager.activity(site.redis, user_id, provider=row.name, kinds=STEPS)
            last.update((event.provider, event) for event in own.events[:1])
    return [
        row if row.stored else explained(row, last.get(row.name), services[row.name], screen)
        for row in rows
    ]


async def _timeline(
    site: Site, user_id: str, fields: Mapping[str, str], screen: Screen
) -> dict[str, Any]:
    """Build a page of events, filtered as asked, with links to the next ones."""
    reason, before, service, kind = (
        field_of(fields, name) for name in ("reason", "before", "service", "kind")
    )
    providers = site.manager.providers
    page = await site.manager.activity(
        site.redis,
        user_id,
        before,
        provider=service if service in providers else "",
        kinds=KINDS.get(kind, ()),
    )
    path, here = person_path(user_id), {"reason": reason, "service": service, "kind": kind}
    return {
        "days": days(
            history(page.events, providers, screen.product, screen.bot, user_id), screen.now
        ),
        "older": with_query(path, **here, before=page.older) if page.older else "",
        "newest": with_query(path, **here) if before else "",
        "services": [(provider.name, provider.label) for provider in providers.values()],
        "kinds": list(KINDS),
        "service": service,
        "kind": kind,
    }


async def preview(request: Request) -> Response:
    """``GET /support/people/{user_id}/preview``: a picture of the person's own page."""
    staff = await require_staff(request)
    site, user_id = site_of(request), person_of(request)
    reason = field_of(request.query_params, "reason")
    if reason_fault(reason) or not was_asked_here(request):
        return ask_for_reason(request, staff, user_id, "/preview")
    await may_look(request, staff)
    connections = await _worth_showing(site, user_id)
    known = await is_known(site, user_id, connections)
    await _record(request, staff, "previewed", user_id, reason, known)
    screen = screen_of(site, "list")
    cards = [make_card(as_staff_see(site, user_id, c), c, None, screen) for c in connections]
    return render(
        request,
        "support_preview.html",
        **about(staff, user_id, reason, site.clock.now()),
        groups=grouped(picture(card) for card in cards),
        summary=summarize(cards, screen),
    )


def person_of(request: Request) -> str:
    """Return the user id in the path.  Raises 404 if there is none."""
    try:
        return user_id_in(request.path_params["user_id"])
    except ValueError:
        raise HTTPException(404) from None


def about(staff: Staff, user_id: str, reason: str, now: float) -> dict[str, Any]:
    """Build the values that every page about a person shows."""
    path = person_path(user_id)
    return {
        "staff": spelled(staff.id),
        "now": now,
        "person": spelled(user_id),
        "path": path,
        "reason": reason,
        "back": with_query(path, reason=reason),
    }


def ask_for_reason(request: Request, staff: Staff, user_id: str, page: str = "") -> Response:
    """Ask for a reason at the same address; until then nothing is looked up."""
    reason = field_of(request.query_params, "reason")
    fault = reason_fault(reason) if "reason" in request.query_params else ""
    return render(
        request,
        "support_reason.html",
        422 if fault else 200,
        **about(staff, user_id, reason, site_of(request).clock.now()),
        action=person_path(user_id) + page,
        fault=words.text(f"support.fault.{fault}") if fault else "",
    )


def as_staff_see(site: Site, user_id: str, connection: Connection) -> OAuthProvider:
    """Return the connection's provider; the name of one of several accounts is masked."""
    place = staff_place(connection.place, user_id, site.settings.session_secrets[0])
    return shown_as(site.manager.providers, connection, masked(connection.name), place)


def picture(card: Card) -> Card:
    """Return the card as support staff may see it: for the template's ``picture``."""
    return replace(card, account=masked(card.account), fingerprint="", focus="")


async def is_known(
    site: Site,
    user_id: str,
    connections: Iterable[Connection],
    links: Collection[OpenLink] | None = None,
) -> bool:
    """Return whether anything is stored under the id; it reads on while nothing is found."""
    if links or any(c.status is not Status.NOT_CONNECTED for c in connections):
        return True
    if links is None and await site.manager.open_links(site.redis, user_id):
        return True
    return bool((await site.manager.activity(site.redis, user_id)).events)


async def _record(
    request: Request, staff: Staff, action: str, user_id: str, reason: str, known: bool
) -> None:
    """Put a look at a person on record, before it is shown.

    A look at an unknown id is a search: a copy for the person would make somebody of it.
    """
    action, result = (action, "shown") if known else ("searched", "nothing stored")
    await record_look(request, staff, action, whom=user_id, reason=reason, result=result)


async def _worth_showing(site: Site, user_id: str) -> list[Connection]:
    """List the connections that the person's own page has a card for, in its order."""
    providers = site.manager.providers
    found = [
        connection
        for connection in await site.manager.connections(site.redis, user_id, resume=False)
        if providers[connection.provider].is_configured
        or connection.status is not Status.NOT_CONNECTED
    ]
    return sorted(found, key=lambda connection: providers[connection.provider].label.lower())
