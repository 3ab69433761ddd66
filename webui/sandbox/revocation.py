"""The three ways of revocation at the providers."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .grants import Token
from .standin import NO_STORE, Handler, Standin, api, basic_credentials, read_form


@api
async def revoke_bare(standin: Standin, request: Request) -> Response:
    """Serve Google's way: the token alone, no client; ends the whole grant."""
    found = standin.own_token((await read_form(request)).get("token", ""))
    if found is None:
        return standin.answer(request, 400, {"error": "invalid_token"})
    standin.grants.end_grant(found.grant)
    return standin.answer(request, 200, {})


@api
async def revoke_authenticated(standin: Standin, request: Request) -> Response:
    """Serve Discord's way (RFC 7009): any token ends the authorization; unknown ones are fine."""
    form = await read_form(request)
    standin.authenticate(request, form)
    found = standin.own_token(form.get("token", ""))
    if found is not None:
        standin.grants.end_grant(found.grant)
    return standin.answer(request, 200, {})


@api
async def delete_grant(standin: Standin, request: Request) -> Response:
    """Serve GitHub's way: HTTP Basic and a token that is still valid; ends everything."""
    found = await _deletable(standin, request)
    if isinstance(found, Response):
        return found
    standin.grants.end_grant(found.grant)
    return Response(status_code=204, headers=NO_STORE)


@api
async def delete_token(standin: Standin, request: Request) -> Response:
    """Serve the same for one token; the application stays on the person's list."""
    found = await _deletable(standin, request)
    if isinstance(found, Response):
        return found
    standin.grants.drop([found])
    return Response(status_code=204, headers=NO_STORE)


async def _deletable(standin: Standin, request: Request) -> Token | Response:
    right = standin.client.client_id, standin.client.client_secret
    if basic_credentials(request) != right or request.path_params["client_id"] != right[0]:
        return JSONResponse({"message": "Requires authentication"}, 401, NO_STORE)
    try:
        value = json.loads(await request.body())["access_token"]
    except (ValueError, TypeError, KeyError):
        return JSONResponse({"message": "Validation Failed"}, 422, NO_STORE)
    found = standin.own_token(value) if isinstance(value, str) else None
    if found is None or found.kind != "access":
        return JSONResponse({"message": "Not Found"}, 404, NO_STORE)
    return found


REVOCATIONS: dict[str, tuple[tuple[str, str, Handler], ...]] = {
    "github": (
        ("DELETE", "/applications/{client_id}/grant", delete_grant),
        ("DELETE", "/applications/{client_id}/token", delete_token),
    ),
    "google": (("POST", "/revoke", revoke_bare),),
    "discord": (("POST", "/api/oauth2/token/revoke", revoke_authenticated),),
}
"""Provider -> method, path and handler; Microsoft offers none."""
