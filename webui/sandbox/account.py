"""The account request of a stand-in: the person of an access token."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .people import PEOPLE, Person, openid_claims
from .standin import NO_STORE, Standin, api

Answer = tuple[int, dict[str, Any], dict[str, str]]
"""Status, JSON and headers."""


def github_account(person: Person, scopes: list[str], expires_at: str) -> Answer:
    body = {"id": person.number, "login": person.login, "name": person.name, "type": "User"}
    return 200, body, {"X-OAuth-Scopes": ", ".join(scopes)}


def google_account(person: Person, scopes: list[str], expires_at: str) -> Answer:
    if "openid" not in scopes:
        return 403, {"error": "insufficient_scope"}, {}
    body: dict[str, Any] = openid_claims(person)
    if any(scope.endswith("email") for scope in scopes):
        body |= {"email": person.email, "email_verified": True}
    if any(scope.endswith("profile") for scope in scopes):
        body |= {"name": person.name}
    return 200, body, {}


def discord_account(person: Person, scopes: list[str], expires_at: str) -> Answer:
    body: dict[str, Any] = {"scopes": scopes, "expires": expires_at}
    if "identify" in scopes:
        body["user"] = {"id": str(person.number * 10**12), "username": person.login}
    return 200, body, {}


def microsoft_account(person: Person, scopes: list[str], expires_at: str) -> Answer:
    if not any(scope.endswith("User.Read") for scope in scopes):
        return 403, {"error": {"code": "Authorization_RequestDenied"}}, {}
    body = {
        "id": person.object_id,
        "userPrincipalName": person.email,
        "displayName": person.name,
    }
    return 200, body, {}


ACCOUNTS = {
    "github": github_account,
    "google": google_account,
    "discord": discord_account,
    "microsoft": microsoft_account,
}

REFUSALS: dict[str, dict[str, Any]] = {
    "github": {"message": "Bad credentials", "status": "401"},
    "google": {"error": "invalid_request", "error_description": "Invalid Credentials"},
    "discord": {"message": "401: Unauthorized", "code": 0},
    "microsoft": {"error": {"code": "InvalidAuthenticationToken"}},
}
"""Provider -> the JSON of its 401 for a token that is missing, unknown or out of date."""


@api
async def account(standin: Standin, request: Request) -> Response:
    name = standin.habits.name
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    found = standin.own_token(value) if scheme.lower() == "bearer" else None
    if found is None or found.kind != "access":
        headers = NO_STORE | {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return JSONResponse(REFUSALS[name], 401, headers)
    person = PEOPLE[standin.grants.grants[found.grant].login]
    expires = datetime.fromtimestamp(found.expires_at, UTC).isoformat()
    scopes = standin.habits.listed(found.scopes)
    status, body, headers = ACCOUNTS[name](person, scopes, expires)
    return JSONResponse(body, status, NO_STORE | headers)
