"""GitHub's stand-in as it treats a GitHub App: an installation has the permissions, no token.

An installation is kept as a grant of its own, beside that of the person's tokens.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from webui.sandbox.quirks import GITHUB

from .people import PEOPLE
from .standin import NO_STORE, Standin, api
from .standin_pages import cross_site, page

NAME = "github-app"
PERMISSIONS = {
    "metadata:read": "See the names of repositories",
    "contents:read": "Read code",
    "issues:write": "Read and write issues",
    "pull_requests:write": "Open and merge pull requests",
}
HABITS = replace(GITHUB, scope_answers=dict.fromkeys(GITHUB.sentences, ""))
_INSTALL = f"/{GITHUB.name}/apps/stargazer/installations/new"
_LIST = f"/{GITHUB.name}/user/installations"


def settings_at(base_url: str) -> dict[str, Any]:
    """Return the settings that make a site's GitHub that of an app."""
    return {
        "install_url": base_url + _INSTALL,
        "permissions_url": base_url + _LIST,
        "features": {},
    }


def routes_of(standin: Standin) -> list[BaseRoute]:
    """List the addresses that only apps have."""

    def route(method: str, path: str, handler: Callable[..., Awaitable[Response]]) -> BaseRoute:
        return Route(path, partial(handler, standin), methods=[method])

    return [
        route("GET", _INSTALL, _show),
        route("POST", _INSTALL, _install),
        route("GET", _LIST, _list),
    ]


def _allowed(standin: Standin, login: str) -> list[str]:
    grant = standin.grants.of(NAME, standin.client.client_id, login)
    return grant.scopes if grant else []


async def _show(standin: Standin, _: Request) -> Response:
    site = urlsplit(standin.client.redirect_uri)
    return page(
        "standin_install.html",
        standin=standin,
        action=_INSTALL,
        permissions=PERMISSIONS,
        people=[(person, _allowed(standin, person.login)) for person in PEOPLE.values()],
        back=f"{site.scheme}://{site.netloc}/connections",
    )


async def _install(standin: Standin, request: Request) -> Response:
    """Install the app for an account with what is ticked, or uninstall it if nothing is."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    login = form.get("account", [""])[0]
    if cross_site(request) or login not in PEOPLE:
        return page("standin_refused.html", 400, standin=standin, reason="form")
    chosen = [one for one in PERMISSIONS if one in form.get("permission", ())]
    grants, own = standin.grants, standin.client.client_id
    if earlier := grants.of(NAME, own, login):
        grants.end_grant(earlier.id)
    if chosen:
        grants.consent(NAME, own, login, chosen)
    return RedirectResponse(_INSTALL, 303, NO_STORE)


@api
async def _list(standin: Standin, request: Request) -> Response:
    """Serve the installations that the person of a token can use."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    token = standin.own_token(value) if scheme.lower() in ("bearer", "token") else None
    if token is None or token.kind != "access":
        return JSONResponse({"message": "Bad credentials"}, 401, NO_STORE)
    allowed = _allowed(standin, standin.grants.grants[token.grant].login)
    found = [{"id": 1, "permissions": dict(one.split(":") for one in allowed)}] if allowed else []
    return JSONResponse({"total_count": len(found), "installations": found}, 200, NO_STORE)
