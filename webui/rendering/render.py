"""Responses from templates: a page, or a marked fragment for htmx.

Templates find ``product``, ``bot`` and ``host`` of the settings, the addresses of the
operator's own look, and ``signed_in``, in every context.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from webui.cards import Card, News, Summary, Where
from webui.oauth_manager import OAuthProvider
from webui.paths import hides_address
from webui.rendering import assets
from webui.rendering.brand import brand_of
from webui.rendering.card_pages import drawn_by, grouped_by, kept_by
from webui.rendering.constants import Templates
from webui.rendering.ways_on import fate, way_on
from webui.sessions.sessions import loaded_session
from webui.site import site_of
from webui.text import words
from webui.text.labels import initials, is_web_address, isolated
from webui.text.times import ago, when

RETRY_SECONDS = "5"  # Retry-After of every 503


@pass_context
def _say(context: Context, key: str, **values: object) -> Markup:
    product, bot = context["product"], context["bot"]
    if not values:
        return _said(key, product, bot)
    return words.markup(key, product=product, bot=bot, **values)


@lru_cache(maxsize=4096)
def _said(key: str, product: str, bot: str) -> Markup:
    return words.markup(key, product=product, bot=bot)


@cache
def environment() -> Environment:
    """Build the environment; templates compile once a process; an undefined name is an error."""
    made = Templates(
        loader=FileSystemLoader(assets.folder("templates")),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(when=when, ago=ago, isolated=isolated, initials=initials)
    made.filters.update(netloc=lambda url: urlsplit(url).netloc)
    made.globals.update(t=_say, static=assets.static_url)
    made.globals.update(drawn=drawn_by(made), all_groups=grouped_by(made), kept=kept_by(made))
    return made


def is_htmx(request: Request) -> bool:
    return request.headers.get("HX-Request") == "true"


def _shared(request: Request) -> dict[str, Any]:
    settings = site_of(request).settings
    brand = brand_of(settings)
    return {
        "product": settings.product_name,
        "bot": settings.bot_name,
        "chat_url": settings.chat_url,
        "host": settings.host,
        "accent_url": brand.look.accent_url,
        "look": brand.look,
        "icon_url": brand.icon_url,
        "icon_type": brand.icon.media_type,
        "signed_in": loaded_session(request) is not None,
        "hides_address": hides_address(request.scope["path"]),
    }


def render(
    request: Request,
    template: str,
    status: int = 200,
    *,
    fragment: str = "",
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> HTMLResponse:
    """Render the page, or ``fragment`` instead if htmx asked and one is given.

    Only a response with ``X-Fragment`` is ever swapped into a page.
    """
    is_fragment = bool(fragment) and is_htmx(request)
    body = environment().get_template(fragment if is_fragment else template)
    shared = _shared(request)
    html = body.render({**shared, "is_fragment": is_fragment, **context})
    if is_fragment:
        return HTMLResponse(html, status, {"X-Fragment": "1", **(headers or {})})
    response = HTMLResponse(html, status, headers)
    if not shared["hides_address"]:  # its text holds a code too: the length must tell nothing
        assets.compress(request, response)
    return response


def render_card(
    request: Request,
    card: Card,
    summary: Summary,
    *,
    page: str,
    status: int = 200,
    announce: str = "",
    **context: Any,
) -> HTMLResponse:
    """Render one card: for htmx alone (with the summary and announcement), else its ``page``."""
    return render(
        request,
        page,
        status,
        fragment="card_fragment.html",
        card=card,
        summary=summary,
        announce=announce,
        **context,
    )


def render_changes(request: Request, news: News, summary: Summary, subject: str) -> Response:
    """Answer a page's poll: the cards that are no longer as it shows them, or 204.

    Each is swapped in place, comes to its group or is taken away; the focus stays where it is.
    ``subject`` starts the page's title now.
    """
    if not news:
        return Response(status_code=204)
    return render(
        request,
        "changes.html",
        fragment="changes.html",
        news=news,
        summary=summary,
        subject=subject,
    )


def error_key(status: int) -> str:
    """Return the section of the catalogue's ``error`` for a status.

    405 looks like 404 to people; an unknown one reads like 400 or 500.
    """
    key = {405: "404"}.get(status, str(status))
    if f"error.{key}.title" in words.CATALOGUE:
        return key
    return "500" if status >= 500 else "400"


def render_error(
    request: Request,
    status: int,
    key: str = "",
    *,
    ref: str = "",
    retry_at: float = 0.0,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> HTMLResponse:
    """Render an error as a page, or for htmx in the page's alert; views call ``error_page``.

    ``key`` is a section of the catalogue's ``error``, by default the status's.
    """
    key = key or error_key(status)
    later = {"Retry-After": RETRY_SECONDS} if status == 503 else {}
    retarget = {"HX-Retarget": "#page-alert", "HX-Reswap": "innerHTML"}
    return render(
        request,
        "error.html",
        status,
        fragment="alert.html",
        headers={**later, **(headers or {}), **(retarget if is_htmx(request) else {})},
        key=key,
        ref=ref,
        retry_at=math.ceil(retry_at / 60) * 60,  # shown to the minute, and never too early
        fate=fate(request, key),
        way_on=way_on(request, key),
        is_ours=status >= 500,
        **context,
    )


def hand_off(
    request: Request,
    provider: OAuthProvider,
    url: str,
    cancel_url: str = "",
    *,
    text: str = "text",
    where: Where = "list",
) -> Response:
    """Leave for the provider: ``HX-Redirect``, or a page that moves on by itself.

    Without ``cancel_url`` its button cancels connecting, and leads back to ``where`` it
    began.  ``text`` is the sentence of the catalogue's ``handoff`` that names the
    purpose.  The policy ``form-action 'self'`` would stop a redirect.  Raises
    ``ValueError`` if ``url`` is not a web address.
    """
    if not is_web_address(url):
        raise ValueError("not a web address")
    if is_htmx(request):
        return HTMLResponse(headers={"HX-Redirect": url, "X-Fragment": "1"})
    return render(
        request,
        "handoff.html",
        provider=provider,
        url=url,
        cancel_url=cancel_url,
        text=text,
        where=where,
    )
