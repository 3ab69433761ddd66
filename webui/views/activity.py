"""Pages to read: ``/activity``, ``/help/permissions``, and for development ``/dev/cards``."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from webui.cards.timeline import began, days, timeline
from webui.rendering.render import render
from webui.site import site_of
from webui.text.permissions import glossary
from webui.views.card_responses import screen_of


async def activity(request: Request) -> Response:
    """``GET /activity``: the person's own timeline, newest first.  Two round trips."""
    site = site_of(request)
    session = await site.sessions.require(request)
    providers = site.manager.providers
    before, service = (request.query_params.get(name, "") for name in ("before", "service"))
    service = service if service in providers else ""
    page = await site.manager.activity(site.redis, session.user, before, provider=service)
    now = site.clock.now()
    names = site.settings.product_name, site.settings.bot_name
    entries = timeline(
        page.events, providers, *names, until=min(now, began(before) or now), whose=session.user
    )
    return render(
        request,
        "activity.html",
        days=days(entries, now),
        older=page.older,
        before=before,
        service=service,
        services=[(provider.name, provider.label) for provider in providers.values()],
    )


async def permissions(request: Request) -> Response:
    """``GET /help/permissions``: what the permissions of each service mean."""
    site = site_of(request)
    await site.sessions.load(request)  # for the header
    providers = [site.manager.providers[n] for n in site.manager.list_configured_providers()]
    names = site.settings.product_name, site.settings.bot_name
    return render(
        request,
        "permissions.html",
        glossaries=[glossary(provider, *names) for provider in providers],
    )


async def cards(request: Request) -> Response:
    """``GET /dev/cards``: every card in every state; only in the demo and in tests."""
    from webui.cards.gallery import gallery

    return render(request, "gallery.html", cards=list(gallery(screen_of(site_of(request), "list"))))
