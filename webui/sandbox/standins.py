"""Four stand-in OAuth providers on one port, for the demo: GitHub, Google, Discord, Microsoft.

They have the checks and the habits of the real ones.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webui.oauth_manager import OAuthProvider
from webui.rendering.assets import icon
from webui.sandbox.quirks import HABITS

from . import github_app, notes
from .account import account
from .consent import authorize, decide, show_consent
from .described import Described, habits_of, routes_of
from .grants import Grants
from .pages import files
from .revocation import REVOCATIONS
from .standin import Client, Standin
from .standin_pages import index, remove_access, settings, switch_trouble
from .token_endpoint import token

MAX_BODY_BYTES = 64 * 1024


def create_standins(
    base_url: str,
    *,
    clients: Mapping[str, tuple[str, str, str]],
    token_lifetime: int = 120,
    state_file: Path | None = None,
    app_name: str = "Stargazer",
    clock: Callable[[], float] = time.time,
    described: Iterable[OAuthProvider] = (),
    has_app: bool = False,
) -> Starlette:
    """Create the application of all four below ``base_url``, an origin without a slash.

    Those ``described`` are there too, made of nothing but their data, and the MCP server of
    notes if ``clients`` names it.  ``clients`` has (client id, client secret, redirect URI) for
    each; with ``has_app`` GitHub's is a GitHub App.  ``token_lifetime`` is in seconds.  With
    ``state_file`` the grants survive a restart; raises ``ValueError`` if that file is not ours.
    """
    grants = Grants(state_file, clock)
    habits_of_all = HABITS | ({"github": github_app.HABITS} if has_app else {})
    standins = [
        Standin(
            habits=habits,
            client=Client(*clients[habits.name]),
            grants=grants,
            url=f"{base_url}/{habits.name}",
            token_lifetime=token_lifetime,
            app_name=app_name,
        )
        for habits in habits_of_all.values()
    ]
    others = [
        Described(
            habits=habits_of(provider),
            client=Client(*clients[provider.name]),
            grants=grants,
            url=f"{base_url}/{provider.name}",
            token_lifetime=token_lifetime,
            app_name=app_name,
            data=provider,
        )
        for provider in described
    ]
    if client := clients.get(notes.NAME):
        given = Client(*client), grants, token_lifetime, app_name
        others.append(notes.create_notes(base_url, *given))
    routes: list[BaseRoute] = [
        Route("/favicon.ico", icon),
        Route("/", partial(index, [*standins, *others])),
        Route("/standins", partial(index, [*standins, *others])),  # the guide has the other
        *files(),
    ]
    for standin in standins:
        routes += _routes(standin)
        if has_app and standin.habits.name == "github":
            routes += github_app.routes_of(standin)
    for other in others:
        routes += notes.routes_of(other) if isinstance(other, notes.Notes) else routes_of(other)
    app = Starlette(routes=routes, max_body_size=MAX_BODY_BYTES)
    app.router.redirect_slashes = False
    app.state.standins = {each.habits.name: each for each in (*standins, *others)}
    return app


def _routes(standin: Standin) -> list[BaseRoute]:
    habits = standin.habits

    def route(
        method: str, path: str, handler: Callable[[Standin, Request], Awaitable[Response]]
    ) -> BaseRoute:
        return Route(f"/{habits.name}{path}", partial(handler, standin), methods=[method])

    routes = [
        route("GET", habits.authorize_path, authorize),
        route("POST", habits.token_path, token),
        route("GET", habits.account_path, account),
        route("GET", "/settings", settings),
        route("POST", "/settings/remove", remove_access),
        route("POST", "/settings/trouble", switch_trouble),
        route("POST", habits.consent_path or habits.authorize_path, decide),
    ]
    if habits.consent_path:
        routes.append(route("GET", habits.consent_path, show_consent))
    routes += [
        route(method, path, handler) for method, path, handler in REVOCATIONS.get(habits.name, ())
    ]
    return routes


def endpoints(base_url: str) -> dict[str, dict[str, str]]:
    """Return, by provider, the settings that point the site at the stand-ins of ``base_url``.

    Keys are ``authorize_url``, ``token_url``, ``account_url``, and if the provider has
    them ``revoke_url`` and ``issuer``.  GitHub's ``revoke_url`` keeps its
    ``{client_id}``.
    """
    settings = {}
    for habits in HABITS.values():
        prefix = f"{base_url}/{habits.name}"
        settings[habits.name] = {
            "authorize_url": prefix + habits.authorize_path.replace("{tenant}", "common"),
            "token_url": prefix + habits.token_path.replace("{tenant}", "common"),
            "account_url": prefix + habits.account_path,
        }
        if habits.revoke_path:
            settings[habits.name]["revoke_url"] = prefix + habits.revoke_path
        if habits.sends_issuer:
            settings[habits.name]["issuer"] = prefix
    return settings


def manage_urls(base_url: str) -> dict[str, str]:
    """Return, by provider, the page where a person takes an app's access away."""
    return {name: f"{base_url}/{name}/settings" for name in HABITS}
