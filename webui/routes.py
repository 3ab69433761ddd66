"""Every URL of the site."""

from __future__ import annotations

from starlette.routing import Route

from webui import assets
from webui.views import callback, choices, connections, health, links, reading, signin


def _callback() -> Route:
    route = Route("/oauth/{provider}/callback", callback.callback)
    route.methods = {"GET"}  # a link scanner's HEAD must not burn a code
    return route


def routes() -> list[Route]:
    """GET and HEAD change nothing, but for the provider's callback."""
    post = ["POST"]
    return [
        Route("/", signin.front),
        Route("/signin", signin.sign_in),
        Route("/signout", signin.sign_out, methods=post),
        Route("/signed-out", signin.signed_out),
        Route("/connections", connections.show_list),
        Route("/connections/{provider}", connections.show_one),
        Route("/connections/{provider}/connect", connections.connect, methods=post),
        Route("/connections/{provider}/disconnect", connections.ask_disconnect),
        Route("/connections/{provider}/disconnect", connections.disconnect, methods=post),
        Route("/connections/{provider}/dismiss", connections.dismiss, methods=post),
        Route("/connections/{provider}/check", choices.check, methods=post),
        Route("/connections/{provider}/accept-limited", choices.accept_limited, methods=post),
        Route("/connections/{provider}/switch", choices.show_switch),
        Route("/connections/{provider}/switch", choices.choose, methods=post),
        Route("/activity", reading.activity),
        Route("/help/permissions", reading.permissions),
        Route("/oauth/status", health.status),
        Route("/oauth/{provider}/authorize", connections.show_one),
        _callback(),
        Route("/connect/proof", links.show_proof),
        Route("/connect/proof/continue", links.finish_proof, methods=post),
        Route("/connect/proof/decline", links.decline_proof, methods=post),
        Route("/connect/done/{provider}", links.done),
        Route("/connect/{code}", links.landing),
        Route("/connect/{code}/start", links.start, methods=post),
        Route("/connect/{code}/decline", links.decline, methods=post),
        Route("/static/{path:path}", assets.serve),
        Route("/healthz", health.healthz),
        Route("/readyz", health.readyz),
    ]


def development_routes() -> list[Route]:
    """For the demo and tests alone."""
    return [Route("/dev/cards", reading.cards)]
