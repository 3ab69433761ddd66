"""The stand-ins' pages: their headers, the list of grants, and the list of stand-ins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from .pages import TEMPLATES
from .standin import NO_STORE, Standin

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action {}"
)


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


TEMPLATES.filters["day"] = _day


def page(template: str, status: int = 200, *, form_target: str = "", **values: Any) -> Response:
    """Send one page.  ``form_target`` is the foreign origin that its form may lead to.

    Chromium applies ``form-action`` to the target of an answered form's redirect.
    """
    html = TEMPLATES.get_template(template).render(values)
    headers = NO_STORE | {
        "Content-Security-Policy": _POLICY.format(f"'self' {form_target}".strip()),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return HTMLResponse(html, status, headers)


def cross_site(request: Request) -> bool:
    """Return whether a browser says that another site's page sent this form."""
    return request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}


async def index(standins: Sequence[Standin], request: Request) -> Response:
    return page("standin_index.html", standins=standins)


async def settings(standin: Standin, request: Request) -> Response:
    """Show the account holder's view: which application may do what, and an end to it."""
    grants = standin.grants.given_at(standin.habits.name)
    return page("standin_settings.html", standin=standin, grants=grants)


async def remove_access(standin: Standin, request: Request) -> Response:
    form = await _form(request)
    if form is None:
        return page("standin_refused.html", 400, standin=standin, reason="form")
    grant = standin.grants.grants.get(form.get("grant", ""))
    if grant is not None and grant.provider == standin.habits.name:
        standin.grants.end_grant(grant.id)
    return RedirectResponse(f"{standin.url}/settings", 303, NO_STORE)


async def switch_trouble(standin: Standin, request: Request) -> Response:
    form = await _form(request)
    if form is None:
        return page("standin_refused.html", 400, standin=standin, reason="form")
    standin.in_trouble = form.get("trouble") == "on"
    return RedirectResponse(f"{standin.url}/settings", 303, NO_STORE)


async def _form(request: Request) -> dict[str, str] | None:
    """Read the form's fields; ``None`` if another site sent it."""
    if cross_site(request):
        return None
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    return {name: values[0] for name, values in fields.items()}
