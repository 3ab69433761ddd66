"""The authorize page of a stand-in: it checks the request, shows it, takes the person's answer."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from webui.oauth_manager.values import Struct

from .grants import Code
from .people import PEOPLE
from .standin import NO_STORE, Standin
from .standin_pages import cross_site, page

# A SHA-256 digest in base64url (RFC 7636, 4.2).
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


class Ask(Struct, frozen=True):
    """An authorization request that may be shown; ``query`` is as it came."""

    query: dict[str, str]
    scopes: list[str]


async def authorize(standin: Standin, request: Request) -> Response:
    """Serve the authorize address; some providers lead people on from here."""
    if not standin.habits.consent_path:
        return await show_consent(standin, request)
    path = standin.habits.consent_path.format(**request.path_params)
    return RedirectResponse(f"{standin.url}{path}?{request.url.query}", 302, NO_STORE)


async def show_consent(standin: Standin, request: Request) -> Response:
    ask = _read(standin, request)
    if isinstance(ask, Response):
        return ask
    habits = standin.habits
    target = urlsplit(standin.client.redirect_uri)
    origin = f"{target.scheme}://{target.netloc}"
    return page(
        "standin_authorize.html",
        form_target=origin,
        standin=standin,
        action=f"{request.url.path}?{request.url.query}",
        origin=origin,
        people=PEOPLE.values(),
        fixed=habits.fixed_scopes,
        scopes=[(scope, habits.sentences.get(scope, scope)) for scope in ask.scopes],
    )


async def decide(standin: Standin, request: Request) -> Response:
    """Take the person's answer: back to the application with a code, or with a refusal."""
    ask = _read(standin, request)
    if isinstance(ask, Response):
        return ask
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    person = PEOPLE.get(form.get("account", [""])[0])
    decision = form.get("decision", [""])[0]
    if cross_site(request) or person is None or decision not in {"allow", "deny"}:
        return page("standin_refused.html", 400, standin=standin, reason="form")
    if decision == "deny":
        return _back(standin, ask.query, {"error": "access_denied"})
    scopes = ask.scopes
    if standin.habits.fixed_scopes is not None:
        ticked = standin.habits.fixed_scopes | set(form.get("scope", ()))
        scopes = [scope for scope in scopes if scope in ticked]
    return _back(standin, ask.query, _allow(standin, ask, person.login, scopes))


def _allow(standin: Standin, ask: Ask, login: str, scopes: list[str]) -> dict[str, str]:
    habits, grants = standin.habits, standin.grants
    repeated = grants.of(habits.name, standin.client.client_id, login) is not None
    grant = grants.consent(habits.name, standin.client.client_id, login, scopes)
    if not ask.scopes or ask.query.get("include_granted_scopes") == "true":
        scopes = grant.scopes
    code = grants.new_code(
        Code(
            grant=grant.id,
            scopes=list(scopes),
            redirect_uri=ask.query["redirect_uri"],
            challenge=ask.query.get("code_challenge", ""),
            with_refresh=habits.gives_refresh_token(ask.query, repeated),
        )
    )
    extras = {
        "scope": " ".join(habits.listed(scopes)),
        "authuser": "0",
        "prompt": ask.query.get("prompt", "none"),
        "session_state": str(uuid4()),
    }
    extra = {name: extras[name] for name in habits.callback_extras}
    return {"code": code, **extra, **habits.callback_kept}


def _read(standin: Standin, request: Request) -> Ask | Response:
    """Read the request, or answer it at once.

    Nobody is led back to an address that the client has not registered (RFC 6749,
    4.1.2.1); the application gets every other fault.
    """
    pairs = request.query_params.multi_items()
    query = dict(pairs)
    if query.get(standin.habits.client_id_name) != standin.client.client_id:
        return page("standin_refused.html", 400, standin=standin, reason="client")
    if query.get("redirect_uri") != standin.client.redirect_uri:
        return page("standin_refused.html", 400, standin=standin, reason="redirect")
    if len(pairs) != len(query):
        return page("standin_refused.html", 400, standin=standin, reason="doubled")
    scopes = query.get("scope", "").replace(",", " ").split()
    error = _fault(standin, query, scopes)
    if error:
        return _back(standin, query, {"error": error})
    return Ask(query, list(dict.fromkeys(scopes)))


def _fault(standin: Standin, query: dict[str, str], scopes: list[str]) -> str:
    """Return the ``error`` that the application gets, or nothing."""
    if query.get("response_type") != "code":
        return "unsupported_response_type"
    if "code_challenge" in query or "code_challenge_method" in query:
        method = query.get("code_challenge_method")
        if method != "S256" or not _CHALLENGE.fullmatch(query.get("code_challenge", "")):
            return "invalid_request"
    if standin.habits.scope_required and not scopes:
        return "invalid_scope"
    return ""


def _back(standin: Standin, query: dict[str, str], answer: dict[str, Any]) -> Response:
    if "state" in query:
        answer = answer | {"state": query["state"]}
    if standin.habits.sends_issuer:
        answer = answer | {"iss": standin.url}
    joint = "&" if urlsplit(query["redirect_uri"]).query else "?"
    # 303: the answer of a form leads to a GET, whatever the browser sent.
    return RedirectResponse(f"{query['redirect_uri']}{joint}{urlencode(answer)}", 303, NO_STORE)
