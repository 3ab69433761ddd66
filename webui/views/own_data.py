"""``/everything/data`` and ``/everything/erase``: what is held about a person, taken or erased."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from webui.access.guesses import COOKIE as KNOWN_COOKIE
from webui.cards import confirm_card
from webui.fetch_metadata import is_prefetch
from webui.oauth_manager import Erasure, OAuthError
from webui.people_data import export
from webui.people_data.erasure import erase as erase_person
from webui.people_data.erasure import take_up
from webui.rendering.render import RETRY_SECONDS, render
from webui.sessions.cookies import forget_cookie
from webui.sessions.proxied import proxied_person
from webui.site import Site, site_of
from webui.text.labels import is_web_address, label_of
from webui.views.account_menu import connected
from webui.views.card_responses import screen_of
from webui.views.sign_on import COOKIE as SIGN_ON_COOKIE

_FILE = "my-data.json"

log = logging.getLogger(__name__)


async def download(request: Request) -> Response:
    """``GET /everything/data``: what is held about the person as a file, without tokens."""
    site = site_of(request)
    session = await site.sessions.require(request)
    if is_prefetch(request.headers):
        return Response(status_code=503, headers={"Retry-After": "1"})
    await site.limiter.hit("export", session.user)
    document = await export.collect(site.manager, site.redis, session.user)
    return Response(
        export.as_text(document),
        media_type="application/json",
        headers={
            "Content-Disposition": f'attachment; filename="{_FILE}"',
            "Cache-Control": "no-store",
        },
    )


async def ask_erase(request: Request) -> Response:
    """``GET /everything/erase``: one question that lists what goes, and what stays."""
    site = site_of(request)
    session = await site.sessions.require(request)
    providers, screen = site.manager.providers, screen_of(site, "list")
    found = await connected(site, session)
    listed = [confirm_card(providers[c.provider], c, screen) for c in found]
    return render(request, "erase.html", listed=listed)


async def erase(request: Request) -> Response:
    """``POST /everything/erase``: providers asked, everything removed, signed out everywhere."""
    site = site_of(request)
    session = await site.sessions.require(request)
    await site.limiter.hit("erase", session.user)
    work = site.manager.see_through(_erase(site, session.user))
    done, _ = await asyncio.wait({work}, timeout=site.manager.patience)
    erased, state = None, "goes_on"
    try:
        if done:
            erased, state = work.result(), "done"
    except OAuthError:
        state = "stopped"
    return await _answer(request, erased, state)


async def _erase(site: Site, user: str) -> Erasure:
    place = site.settings, site.manager, site.redis
    try:
        erased = await erase_person(*place, user, "page")
    except OAuthError as failure:
        log.warning("an erasure stopped, and is tried again: %s", failure)
        raise
    site.manager.see_through(take_up(*place))
    return erased


async def _answer(request: Request, erased: Erasure | None, state: str) -> Response:
    """Say what came of it; this browser keeps nothing that names the person."""
    site = site_of(request)
    if state != "stopped":
        for sessions in (site.sessions, site.staff_sessions):
            await sessions.end(request)
    status = {"done": 200, "goes_on": 202, "stopped": 503}[state]
    response = render(
        request,
        "erased.html",
        status,
        state=state,
        answers=list(_answers(site, erased)) if erased else [],
        is_proxied=proxied_person(request) is not None,
    )
    if state == "stopped":
        response.headers["Retry-After"] = RETRY_SECONDS
        return response
    for cookie in (KNOWN_COOKIE, SIGN_ON_COOKIE):
        forget_cookie(site.settings, request, response, cookie)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


def _answers(site: Site, erased: Erasure) -> Iterator[dict[str, object]]:
    """Yield each service with its answer, and where the person ends the access if it did not."""
    for grant in erased.grants:
        known = site.manager.providers.get(grant.provider)
        page = known.own_manage_url if known and known.client_id and not grant.is_over else ""
        yield {
            "name": grant.provider,
            "label": label_of(grant.provider, site.manager.providers),
            "account": grant.account,
            "answer": grant.answer.value,
            "is_over": grant.is_over,
            "page": page if is_web_address(page) else "",
        }
