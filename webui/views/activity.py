"""Pages to read: ``/activity``, ``/help/permissions``, and for development ``/dev/cards``."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from webui.cards.timeline import timeline
from webui.rendering.render import render
from webui.site import site_of
from webui.text.permissions import glossary
from webui.views.card_responses import screen_of


async def activity(request: Request) -> Response:
    """``GET /activity``: the person's own timeline, newest first.  Two round trips."""
    site = site_of(request)
    session = await site.sessions.require(request)
    before = request.query_params.get("before", "")
    page = await site.manager.activity(site.redis, session.user, before)
    names = site.settings.product_name, site.settings.bot_name
    entries = timeline(page.events, site.manager.providers, *names)
    return render(request, "activity.html", entries=entries, older=page.older, before=before)


async def permissions(request: Request) -> Response:
    """``GET /help/permissions``: what the permissions of each service mean."""
    site = site_of(request)
    await site.sessions.load(request)  # for the header
    providers = [site.manager.providers[n] for n in site.manager.list_configured_providers()]
    names = site.settings.product_name, site.settings.bot_name
    return render(
        request,
        "permissions.html",
        glossaries=[glossary(p, *names) for p in providers if p.scope_sentences or p.scope_texts],
    )


async def cards(request: Request) -> Response:
    """``GET /dev/cards``: every card in every state; only in the demo and in tests."""
    from webui.cards.gallery import gallery

    return render(request, "gallery.html", cards=list(gallery(screen_of(site_of(request), "list"))))
