"""A stand-in for any provider of the catalogue, made of nothing but its data.

It takes requests in the one way that the data say, and answers in the shapes that they say:
that proves the format, and not that the data are right.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from webui.oauth_manager import OAuthProvider
from webui.oauth_manager.providers import build_providers, template
from webui.oauth_manager.values import replace
from webui.sandbox.quirks import Habits

from .consent import authorize, decide
from .grants import Code, Token
from .people import PEOPLE, Person
from .standin import NO_STORE, Handler, Refused, Standin, api, basic_credentials
from .standin_pages import remove_access, settings, switch_trouble
from .token_endpoint import fits_challenge, new_refresh_token

KEPT = "kept-by-{path}"
"""What the stand-in says at each path that the data keep."""

Fields = Mapping[str, str]


@dataclass(kw_only=True)
class Described(Standin):
    """A stand-in and the data that it is made of; its addresses are below ``url``."""

    data: OAuthProvider


def _api(handler: Callable[[Described, Request], Awaitable[Response]]) -> Handler:
    return api(cast(Handler, handler))


def habits_of(provider: OAuthProvider) -> Habits:
    """Return the ways of the authorize page, as the data have them."""
    kept = (path.removeprefix("callback.") for path in provider.keep if path[:9] == "callback.")
    return Habits(
        name=provider.name,
        label=provider.label,
        authorize_path="/authorize",
        token_path="/token",
        account_path="/account",
        revoke_path="/revoke" if provider.revoke_url else "",
        scope_separator=provider.scope_separator,
        scope_required=False,
        client_id_name=provider.client_id_name,
        callback_kept={name: KEPT.format(path=name) for name in kept},
        sentences={scope: said[0] for scope, said in provider.scope_sentences.items()},
        sends_issuer=provider.iss_required,
        gives_refresh_token=lambda _, __: provider.refresh == "standard",
    )


def endpoints_of(provider: OAuthProvider, url: str) -> dict[str, str]:
    """Return the settings that point a site at the stand-in below ``url``."""
    found = {"authorize_url": f"{url}/authorize", "token_url": f"{url}/token"}
    for name in ("refresh", "account", "revoke"):
        if getattr(provider, f"{name}_url"):
            found[f"{name}_url"] = f"{url}/{name}"
    return {**found, "manage_url": f"{url}/settings"}


def address_of(provider: OAuthProvider, base_url: str) -> str:
    """Return the address of its stand-in, with a place for the value that people are asked for.

    That is part of a host's name, as at the vendor: all names below ``.localhost`` are this
    machine, for browsers too (RFC 6761, section 6.3).
    """
    if not provider.ask:
        return f"{base_url}/{provider.name}"
    (one,) = provider.ask
    parts = urlsplit(base_url)
    before = f"api.{{{one.name}}}" if one.choices else f"{{{one.name}}}."
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{before}{provider.name}.localhost{port}/{provider.name}"


def _is_by_issuer(name: str) -> bool:
    """Tell whether it is people's own, and names its addresses itself, as OpenID has it."""
    fields = template(name)
    return "{host}" in fields.get("token_url", "") and "openid" in fields["scope_sentences"]


def as_found(provider: OAuthProvider, base_url: str) -> OAuthProvider:
    """Return the provider with what its own metadata will say of it, if those are to be found."""
    if not provider.to_find:
        return provider
    url = f"{base_url}/{provider.name}"
    return replace(
        provider,
        authorize_url=f"{url}/authorize",
        token_url=f"{url}/token",
        revoke_url=f"{url}/revoke",
        account_url=f"{url}/account",
        account_id_field="sub",
        account_label_field="preferred_username",
        iss_required=True,
    )


def catalogue_config(
    names: Iterable[str], secret: str, base_url: str = ""
) -> dict[str, dict[str, Any]]:
    """Return settings by name, with the addresses of stand-ins below ``base_url`` if it is given.

    ``secret`` is what the client secrets are made of.  Raises ``ValueError`` on a name that
    the catalogue does not have.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        client_secret = sha256(f"{secret} {name}".encode()).hexdigest()
        config = {"client_id": f"demo-{name}", "client_secret": client_secret}
        found[name] = config
        if base_url and _is_by_issuer(name):
            url = f"{base_url}/{name}"
            found[name] |= {"issuer": url, "manage_url": f"{url}/settings"}
            continue
        if "{host}" in template(name).get("token_url", ""):
            config["host"] = "demo.example"
        provider = build_providers({}, {name: config})[name]
        if base_url:
            address = address_of(provider, base_url)
            found[name] |= endpoints_of(provider, address)
            found[name]["api_hosts"] = (urlsplit(address).netloc,)
        if base_url and provider.ask:
            found[name]["ask"] = provider.ask
    return found


def routes_of(standin: Described) -> list[BaseRoute]:
    """List the addresses of one such stand-in."""
    data = standin.data

    def route(
        method: str, path: str, handler: Callable[..., Awaitable[Response]], name: str = ""
    ) -> BaseRoute:
        given = (standin, name) if name else (standin,)
        return Route(f"/{standin.habits.name}{path}", partial(handler, *given), methods=[method])

    routes = [
        route("GET", "/authorize", authorize),
        route("POST", "/authorize", decide),
        route("POST", "/token", _token),
        route(data.account_method, "/account", _account),
        route("GET", "/settings", settings),
        route("POST", "/settings/remove", remove_access),
        route("POST", "/settings/trouble", switch_trouble),
    ]
    if data.to_find:
        routes.append(route("GET", "/.well-known/openid-configuration", _metadata))
    if data.refresh_url:
        routes.append(route("POST", "/refresh", _token))
    if data.revoke_url:
        routes.append(route(data.revoke_method, "/revoke", _revoke))
    return routes


# Requests, as strictly as the data say


async def _fields(request: Request, body: str) -> Fields:
    content, kind = await request.body(), request.headers.get("content-type", "")
    if body == "json" and kind == "application/json":
        found = json.loads(content)
        return found if isinstance(found, dict) else {}
    if body == "form" and kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(content.decode(), keep_blank_values=True))
    if body in ("query", "none") and not content:
        return dict(request.query_params) if body == "query" else {}
    raise Refused("request", f"The fields must be in {body}.")


def _check_headers(standin: Described, request: Request) -> None:
    for name, value in standin.data.headers.items():
        if request.headers.get(name) != value.replace("{client_id}", standin.client.client_id):
            raise Refused("request", f"{name} is missing.")


def _check_client(
    standin: Described, request: Request, fields: Fields, auth: str, names: tuple[str, ...] = ()
) -> None:
    """Check the client in the one way that is right.  Raises ``Refused``."""
    right, basic = standin.client[:2], basic_credentials(request)
    id_name, secret_name = names or (standin.data.client_id_name, "client_secret")
    in_body = (fields.get(id_name), fields.get(secret_name))
    ways = {
        "post": (None, right),
        "basic": (right, (None, None)),
        "public": (None, (right[0], None)),
        "none": (None, (None, None)),
    }
    if (basic, in_body) != ways[auth]:
        raise Refused("client", "The client is unknown, or says who it is in another way.")


def _token_of(standin: Described, request: Request) -> Token | None:
    """Find the live access token of the header that it travels in."""
    name, _, value = standin.data.token_header.partition(":")
    before, after = value.strip().split("{access_token}")
    given = request.headers.get(name, "")
    is_whole = given.startswith(before) and given.endswith(after)
    return standin.own_token(given[len(before) :]) if is_whole else None


# Answers, in the shapes that the data say


def put(content: Any, path: str, value: object) -> Any:
    """Return the content with a value at a path; numbers in it make lists."""
    head, _, rest = path.partition(".")
    if head.isdecimal():
        return [put(None, rest, value) if rest else value]
    inner = put((content or {}).get(head), rest, value) if rest else value
    return {**(content or {}), head: inner}


def profile_of(provider: OAuthProvider, person: Person) -> Any:
    """Return the person's account in the shape of the data."""
    content: Any = {}
    texts = {
        provider.account_handle_field: person.login,
        provider.account_label_field: person.name,
        **dict.fromkeys(provider.account_id_field.split("/"), str(person.number)),
    }
    for path, said in texts.items():
        content = _merged(content, put(None, path, said)) if path else content
    return content


def _merged(one: Any, other: Any) -> Any:
    if isinstance(one, list) and isinstance(other, list):
        return [_merged(one[0], other[0])]
    if isinstance(one, dict) and isinstance(other, dict):
        return {**one, **{k: _merged(one[k], v) if k in one else v for k, v in other.items()}}
    return other or one


def _refusal(standin: Described, status: int, general: str) -> Response:
    """Say that access is over: in the provider's own words, if the data have any."""
    words = (*standin.data.words.get("gone", ()), *standin.data.gone)
    body = {"message": words[0]} if words else {"error": general}
    return JSONResponse(body, 403 if words else status, NO_STORE)


@_api
async def _metadata(standin: Described, _: Request) -> Response:
    """Serve the metadata of a provider that is known by its issuer (OpenID Discovery 1.0, 3)."""
    data = standin.data
    return JSONResponse(
        {
            "issuer": standin.url,
            "authorization_endpoint": data.authorize_url,
            "token_endpoint": data.token_url,
            "userinfo_endpoint": data.account_url,
            "revocation_endpoint": data.revoke_url,
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": list(data.scope_sentences),
            "token_endpoint_auth_methods_supported": [f"client_secret_{data.token_auth}"],
            "authorization_response_iss_parameter_supported": True,
        }
    )


@_api
async def _token(standin: Described, request: Request) -> Response:
    data = standin.data
    fields = await _fields(request, data.token_body)
    _check_headers(standin, request)
    auth = "public" if data.token_auth == "none" else data.token_auth
    _check_client(standin, request, fields, auth)
    if not data.token_params.items() <= fields.items():
        raise Refused("request", "A field is missing.")
    is_renewal = fields.get("grant_type") == "refresh_token"
    if is_renewal is not request.url.path.endswith("/refresh") and data.refresh_url:
        raise Refused("grant_type", "This grant type has another address.")
    try:
        body = issued(standin, fields)
    except Refused as refused:
        if refused.cause != "refresh":
            raise
        return _refusal(standin, 400, "invalid_grant")
    if not is_renewal:
        for path in data.keep:
            if not path.startswith("callback."):
                body = _merged(body, put(None, path, KEPT.format(path=path)))
        if data.token_path:
            body = {"ok": True, **_without_tokens(body), **put(None, data.token_path, body)}
    return JSONResponse(body, 200, NO_STORE)


def issued(standin: Described, fields: Fields) -> dict[str, Any]:
    """Issue tokens for a code or for a refresh token, either of which serves once.

    Raises ``Refused``.
    """
    if fields.get("grant_type") == "refresh_token":
        old = standin.own_token(fields.get("refresh_token", ""))
        if old is None or old.kind != "refresh" or old.spent:
            raise Refused("refresh", "The refresh token is unknown, used or has ended.")
        standin.grants.spend(old)
        body = _issued(standin, old.grant, old.scopes, with_refresh=True)
    else:
        code = _code(standin, fields)
        body = _issued(standin, code.grant, code.scopes, with_refresh=code.with_refresh)
    standin.grants.save()
    return body


def _without_tokens(body: Mapping[str, Any]) -> dict[str, Any]:
    ours = {"access_token", "refresh_token", "expires_in", "scope", "token_type"}
    return {name: value for name, value in body.items() if name not in ours}


def _code(standin: Described, fields: Fields) -> Code:
    code = standin.grants.take_code(fields.get("code", ""), standin.habits.name)
    if fields.get("grant_type") != "authorization_code" or code is None:
        raise Refused("code", "The code is unknown, used or too old.")
    if fields.get("redirect_uri") != code.redirect_uri:
        raise Refused("redirect", "The redirect_uri is not the one of the authorization.")
    if bool(code.challenge) is not standin.data.pkce:
        raise Refused("verifier", "A challenge is expected, or none.")
    if not fits_challenge(fields.get("code_verifier", ""), code.challenge):
        raise Refused("verifier", "The code_verifier does not fit the code_challenge.")
    return code


def _issued(
    standin: Described, grant: str, scopes: list[str], *, with_refresh: bool
) -> dict[str, Any]:
    data, family = standin.data, secrets.token_hex(8)
    value = secrets.token_urlsafe(24)
    expires_at = standin.grants.clock() + standin.token_lifetime
    standin.grants.add(value, Token("access", grant, family, scopes, expires_at))
    body: dict[str, Any] = {"access_token": value, "scope": data.scope_separator.join(scopes)}
    body["token_type"] = data.token_types[0] if data.token_types else "bearer"
    if not data.lifetime:
        body["expires_in"] = standin.token_lifetime
    if with_refresh:
        body["refresh_token"] = new_refresh_token(standin, grant, family, scopes)
    return body


@_api
async def _account(standin: Described, request: Request) -> Response:
    _check_headers(standin, request)
    if (await request.body()).decode() != standin.data.account_body:
        raise Refused("request", "The body is another one.")
    found = _token_of(standin, request)
    if found is None or found.kind != "access":
        return _refusal(standin, 401, "invalid_token")
    person = PEOPLE[standin.grants.grants[found.grant].login]
    return JSONResponse(profile_of(standin.data, person), 200, NO_STORE)


@_api
async def _revoke(standin: Described, request: Request) -> Response:
    data = standin.data
    fields = await _fields(request, data.revoke_body)
    _check_headers(standin, request)
    if data.revoke_auth == "token":
        found = _token_of(standin, request)
    else:
        usual = "public" if data.token_auth == "none" else data.token_auth
        auth = usual if data.revoke_auth == "client" else data.revoke_auth
        _check_client(standin, request, fields, auth, data.revoke_client_fields)
        found = standin.own_token(fields.get(data.revoke_field, ""))
        if found is not None and data.revoke_token == "access" and found.kind != "access":
            found = None
    if found is None:
        return JSONResponse({"error": "invalid_token"}, 400, NO_STORE)
    standin.grants.end_grant(found.grant)
    return JSONResponse({}, 200, NO_STORE)
