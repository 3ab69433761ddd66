"""The API as an application of its own, beside the site: no cookies, no pages, no other origins."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from webui.api import bodies
from webui.api.call import Call
from webui.api.gate import Gate
from webui.api.notices import Newest
from webui.api.operations import OPERATIONS, PREFIX, Operation
from webui.api.problems import NOT_STORED, Problem, handle, of_status, problem_of
from webui.api.service_keys import ServiceKeys
from webui.api.tokens import Seen
from webui.metrics.recorder import Recorder
from webui.middleware.admission import Busy, Room
from webui.middleware.stack import guarded_for_machines
from webui.oauth_manager import OAuthError
from webui.oauth_manager.storage import Sealer
from webui.site import Site

SECONDS = 12.0  # for a call: a service may have to be asked
PLACES = 128  # calls at work at once; some of them wait for a service

log = logging.getLogger(__name__)


def create_api(site: Site, recorder: Recorder | None = None) -> ASGIApp:
    """Make the API behind its guards; it lives as long as the site, whose services it has.

    If it is off, there is nothing at any address.
    """
    room, operations = Room(PLACES), OPERATIONS if site.settings.api else ()
    routes = [_route(operation, room, recorder) for operation in operations]
    if operations:
        routes.append(Route(f"{PREFIX}/openapi.json", _describe))
    app = Starlette(
        routes=routes,
        exception_handlers={HTTPException: handle, Busy: handle, Exception: _unexpected},
    )
    app.router.redirect_slashes = False
    app.state.site = site
    app.state.sealer = Sealer(" ".join(site.settings.encryption_keys))
    app.state.gate = Gate(ServiceKeys(app.state.sealer, site.clock), site.redis)
    app.state.seen = Seen()
    app.state.newest = Newest(site)
    return guarded_for_machines(app, site.settings, _refuse, bodies.MAX_BYTES, recorder)


def _route(operation: Operation, room: Room, recorder: Recorder | None) -> Route:
    view = _view(operation, room, recorder)
    route = Route(PREFIX + operation.path, view, methods=[operation.method])
    if not operation.waits:
        room.admit(route, SECONDS)
    return route


def _view(
    operation: Operation, room: Room, recorder: Recorder | None
) -> Callable[[Request], Awaitable[Response]]:
    async def view(request: Request) -> Response:
        outcome = "failed"
        try:
            if operation.waits:
                async with room.place():
                    call = await _call(operation, request)
            else:
                call = await _call(operation, request)
            content = await operation.answer(call)
            outcome = "ok"
            return Response(msgspec.json.encode(content), 200, NOT_STORED, "application/json")
        except (Busy, Problem, OAuthError) as error:
            problem = problem_of(error)
            outcome = problem.code
            return problem.response()
        finally:
            facts = request.scope["state"].setdefault("facts", {})
            facts["outcome"] = outcome
            if recorder:
                recorder.api_call(operation.path, outcome)

    return view


async def _call(operation: Operation, request: Request) -> Call:
    """Return the call, once its key may make it and its members are understood."""
    key = await request.app.state.gate.admit(request, operation.right)
    if operation.method == "POST":
        content_type = request.headers.get("content-type", "")
        given = bodies.read_body(content_type, await request.body(), operation.members)
    else:
        given = bodies.read_query(request.query_params.multi_items(), operation.members)
    return Call(request, request.app.state.site, key, given)


async def _describe(request: Request) -> Response:
    """``GET /api/v1/openapi.json``: the API's description, which is no secret."""
    from webui.api.openapi import description

    site: Site = request.app.state.site
    at = "" if site.settings.api_port else site.settings.base_url
    shown = description(at, site.manager.providers)
    return JSONResponse(shown, headers=NOT_STORED)


async def _unexpected(_: Request, error: Exception) -> Response:
    log.error("an unexpected error", exc_info=error)
    return Problem("failed").response()


async def _refuse(_: Scope, status: int, __: str) -> Response:
    """Answer a request that no call may see."""
    return of_status(status).response()
