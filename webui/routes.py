"""Every URL of the site."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import chain

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webui.middleware.admission import (
    ASKING_SECONDS,
    PAGE_SECONDS,
    RETURN_SECONDS,
    Room,
)
from webui.rendering import brand
from webui.views import (
    account_menu,
    activity,
    callback,
    choices,
    clients,
    connections,
    disconnect,
    health,
    links,
    measurements,
    own_data,
    returns,
    sign_in,
    sign_on,
)
from webui.views.support import actions as support_actions
from webui.views.support import overview as support_overview
from webui.views.support import person as support_person
from webui.views.support import search as support

# Without Redis, or for a machine that asks whether we live: these never queue.
_AT_ONCE = {"/healthz", "/metrics", "/readyz", "/static/{path:path}", "/favicon.ico"}
# These ask a provider; the deadline of each, in seconds.
_ASKING = {
    "/signin/sso/callback": RETURN_SECONDS,
    "/connections/{provider}/connect": ASKING_SECONDS,
    "/connect/{code}/start": ASKING_SECONDS,
    "/oauth/{provider}/callback": RETURN_SECONDS,
    "/connect/proof/continue": RETURN_SECONDS,
    "/connections/{provider}/switch": RETURN_SECONDS,
    "/connections/{provider}/check": ASKING_SECONDS,
    "/connections/{provider}/disconnect": ASKING_SECONDS,
    "/connections/{provider}/revoke": ASKING_SECONDS,
    "/everything/disconnect": ASKING_SECONDS,
    "/everything/erase": ASKING_SECONDS,
    "/signin/sso": ASKING_SECONDS,
    "/support/people/{user_id}/check": ASKING_SECONDS,
    "/support/people/{user_id}/disconnect": ASKING_SECONDS,
}


def _callback(path: str, view: Callable[[Request], Awaitable[Response]]) -> Route:
    route = Route(path, view)
    route.methods = {"GET"}  # a link scanner's HEAD must not burn a code
    return route


def _for_person(act: str) -> list[Route]:
    """List the routes of support's actions for a person: asked first, then done."""
    path = f"/support/people/{{user_id}}/{act}"
    do = Route(path, support_actions.doing(act), methods=["POST"])
    return [Route(path, support_actions.asking(act)), do]


def routes() -> list[Route]:
    """List all routes; GET and HEAD change nothing, except the two callbacks.

    Who asks a provider waits for it in a room of their own, and keeps nobody from a page.
    """
    pages, asking = Room(), Room()
    for route in (found := _listed()):
        if route.path in _ASKING and route.methods != {"GET", "HEAD"}:
            asking.admit(route, _ASKING[route.path])
        elif route.path not in _AT_ONCE:
            pages.admit(route, PAGE_SECONDS)
    return found


def _listed() -> list[Route]:
    post = ["POST"]
    return [
        Route("/", sign_in.front),
        Route("/signin", sign_in.sign_in),
        Route("/signin/sso", sign_on.start, methods=post),
        _callback("/signin/sso/callback", sign_on.callback),
        Route("/signin/ended/{how}", sign_on.ended),
        Route("/signout", sign_in.sign_out, methods=post),
        Route("/signout/everywhere", account_menu.sign_out, methods=post),
        Route("/signed-out", sign_in.signed_out),
        Route("/connections", connections.show_list),
        Route("/connections/{provider}", connections.show_one),
        Route("/connections/{provider}/connect", connections.connect, methods=post),
        Route("/connections/{provider}/cancel", connections.cancel, methods=post),
        Route("/connections/{provider}/disconnect", disconnect.ask_disconnect),
        Route("/connections/{provider}/disconnect", disconnect.disconnect, methods=post),
        Route("/connections/{provider}/revoke", disconnect.revoke, methods=post),
        Route("/connections/{provider}/dismiss", disconnect.dismiss, methods=post),
        *_of_choices(),
        Route("/everything/disconnect", account_menu.ask_disconnect),
        Route("/everything/disconnect", account_menu.disconnect, methods=post),
        Route("/everything/data", own_data.download),
        Route("/everything/erase", own_data.ask_erase),
        Route("/everything/erase", own_data.erase, methods=post),
        Route("/activity", activity.activity),
        Route("/help/permissions", activity.permissions),
        Route("/oauth/status", health.status),
        *_of_clients(),
        Route("/oauth/{provider}/authorize", connections.show_one),
        _callback("/oauth/{provider}/callback", callback.callback),
        *_of_links(),
        Route("/support", support.search),
        Route("/support/overview", support_overview.overview),
        Route("/support/people/{user_id}", support_person.person),
        Route("/support/people/{user_id}/preview", support_person.preview),
        *chain.from_iterable(map(_for_person, support_actions.ACTS)),
        Route("/static/{path:path}", brand.serve),
        Route("/favicon.ico", brand.icon),
        Route("/healthz", health.healthz),
        Route("/readyz", health.readyz),
        Route("/metrics", measurements.metrics),
    ]


def _of_choices() -> list[Route]:
    """List the routes of what a person decides about a connection."""
    post = ["POST"]
    return [
        Route("/connections/{provider}/check", choices.check, methods=post),
        Route("/connections/{provider}/accept-limited", choices.accept_limited, methods=post),
        Route("/connections/{provider}/rename", choices.rename, methods=post),
        Route("/connections/{provider}/default", choices.use_by_default, methods=post),
        Route("/connections/{provider}/switch", choices.show_switch),
        Route("/connections/{provider}/switch", choices.choose, methods=post),
    ]


def _of_clients() -> list[Route]:
    """List the routes by which providers' servers know us."""
    return [
        Route("/oauth/jwks.json", clients.jwks),
        Route("/oauth/{provider}/client.json", clients.document),
    ]


def _of_links() -> list[Route]:
    """List the routes of links from chat."""
    post = ["POST"]
    return [
        Route("/connect/proof", links.show_proof),
        Route("/connect/proof/continue", links.back_to_proof),
        Route("/connect/proof/continue", links.finish_proof, methods=post),
        Route("/connect/proof/decline", links.decline_proof, methods=post),
        Route("/connect/done/{provider}", links.done),
        Route("/connect/ended/{how}", returns.show),
        Route("/connect/{code}", links.landing),
        Route("/connect/{code}/start", links.start, methods=post),
        Route("/connect/{code}/decline", links.decline, methods=post),
    ]


def development_routes() -> list[Route]:
    """List routes for the demo and tests alone."""
    return [Route("/dev/cards", activity.cards)]
