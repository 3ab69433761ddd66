"""The token endpoint of a stand-in."""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from webui.sandbox.quirks import HUNDRED_EIGHTY_DAYS

from .grants import Token
from .people import PEOPLE
from .standin import Refused, Standin, api, read_form


@api
async def token(standin: Standin, request: Request) -> Response:
    """Serve ``authorization_code`` and ``refresh_token`` (RFC 6749, 4.1.3 and 6)."""
    form = await read_form(request)
    standin.authenticate(request, form)
    # GitHub takes a request without grant_type for the exchange of a code.
    kind = form.get("grant_type", "authorization_code" if standin.habits.answers_form else "")
    if kind == "authorization_code":
        body = _exchange(standin, form)
    elif kind == "refresh_token":
        body = _refresh(standin, form)
    else:
        raise Refused("grant_type", "This grant type is not offered.")
    standin.grants.save()
    return standin.answer(request, 200, body)


def _exchange(standin: Standin, form: dict[str, str]) -> dict[str, Any]:
    code = standin.grants.take_code(form.get("code", ""), standin.habits.name)
    if code is None:
        raise Refused("code", "The code is unknown, used or too old.")
    if form.get("redirect_uri") != code.redirect_uri:
        raise Refused("redirect", "The redirect_uri is not the one of the authorization.")
    if not fits_challenge(form.get("code_verifier", ""), code.challenge):
        raise Refused("verifier", "The code_verifier does not fit the code_challenge.")
    family = secrets.token_hex(8)
    body = _access(standin, code.grant, family, code.scopes)
    if code.with_refresh:
        body["refresh_token"] = new_refresh_token(standin, code.grant, family, code.scopes)
    return body | _id_token(standin, code.grant, code.scopes)


def _refresh(standin: Standin, form: dict[str, str]) -> dict[str, Any]:
    grants, habits = standin.grants, standin.habits
    old = standin.own_token(form.get("refresh_token", ""))
    if old is None or old.kind != "refresh":
        raise Refused("refresh", "The refresh token is unknown or has ended.")
    if old.spent:
        grants.end_family(old.family)
        raise Refused("refresh", "The refresh token was used before; all its successors end.")
    scopes = form.get("scope", "").replace(",", " ").split() or old.scopes
    if not set(habits.listed(scopes)) <= set(habits.listed(old.scopes)):
        raise Refused("refresh", "More was asked than had been granted.")
    if habits.refresh_ends_access:
        family = [t for t in grants.tokens.values() if t.family == old.family]
        grants.drop([t for t in family if t.kind == "access"])
    body = _access(standin, old.grant, old.family, scopes)
    if habits.refresh != "keep":
        body["refresh_token"] = new_refresh_token(standin, old.grant, old.family, old.scopes)
    if habits.refresh == "rotate":
        grants.spend(old)
    return body | _id_token(standin, old.grant, scopes)


def fits_challenge(verifier: str, challenge: str) -> bool:
    """Compare a verifier with its challenge, either of which may be empty.

    A verifier without a challenge means that somebody took the challenge out on the way
    (RFC 9700, 4.8.2).
    """
    return (_s256(verifier) if verifier else "") == challenge


def _s256(verifier: str) -> str:
    digest = sha256(verifier.encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _access(standin: Standin, grant: str, family: str, scopes: list[str]) -> dict[str, Any]:
    habits, grants = standin.habits, standin.grants
    expires_at = grants.clock() + standin.token_lifetime
    value = habits.access_prefix + secrets.token_urlsafe(habits.access_bytes)
    grants.add(value, Token("access", grant, family, scopes, expires_at))
    return {
        "access_token": value,
        "token_type": habits.token_type,
        "expires_in": standin.token_lifetime,
        "scope": habits.scope_separator.join(habits.listed(scopes)),
        **habits.token_extras,
    }


def new_refresh_token(standin: Standin, grant: str, family: str, scopes: list[str]) -> str:
    expires_at = standin.grants.clock() + HUNDRED_EIGHTY_DAYS
    value = standin.habits.refresh_prefix + secrets.token_urlsafe(40)
    return standin.grants.add(value, Token("refresh", grant, family, scopes, expires_at))


def _id_token(standin: Standin, grant_id: str, scopes: list[str]) -> dict[str, str]:
    if standin.habits.claims is None or "openid" not in scopes:
        return {}
    person = PEOPLE[standin.grants.grants[grant_id].login]
    now = int(standin.grants.clock())
    claims: dict[str, Any] = {
        "iss": standin.url,
        "aud": standin.client.client_id,
        "iat": now,
        "exp": now + 3600,
        **standin.habits.claims(person),
    }
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    encoded = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return {"id_token": ".".join([*encoded, ""])}
