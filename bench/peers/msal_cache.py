"""MSAL with a ``SerializableTokenCache`` for each person, kept in Redis, as for a web application.

Its documentation has it read the cache, make an application around it, and ask that one silently.
The discovery of the tenant is answered here, and kept in the ``http_cache`` that it offers.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from msal import ConfidentialClientApplication, SerializableTokenCache
from redis import Redis

_CLIENT = "11111111-1111-1111-1111-111111111111"
_TENANT = "22222222-2222-2222-2222-222222222222"
_AUTHORITY = f"https://login.microsoftonline.com/{_TENANT}"
_SCOPES = ["User.Read"]
_KEY = "msal:alice"
_http_cache: dict[str, Any] = {}


class _Discovery:
    """The network of MSAL, which asks for nothing but this document."""

    status_code = 200
    headers: Mapping[str, str] = MappingProxyType({})
    text = json.dumps(
        {
            "issuer": f"{_AUTHORITY}/v2.0",
            "authorization_endpoint": f"{_AUTHORITY}/oauth2/v2.0/authorize",
            "token_endpoint": f"{_AUTHORITY}/oauth2/v2.0/token",
        }
    )

    def get(self, _: str, **__: Any) -> _Discovery:
        return self

    def raise_for_status(self) -> None:
        pass


def reader(redis_url: str, token: str) -> Callable[[], str]:
    redis = Redis.from_url(redis_url)
    redis.set(_KEY, _filled(token).serialize())

    def read() -> str:
        cache = SerializableTokenCache()
        cache.deserialize(redis.get(_KEY))
        app = ConfidentialClientApplication(
            _CLIENT,
            client_credential="client-secret",
            authority=_AUTHORITY,
            token_cache=cache,
            http_client=_Discovery(),
            http_cache=_http_cache,
        )
        result = app.acquire_token_silent(_SCOPES, account=app.get_accounts()[0])
        if cache.has_state_changed:
            redis.set(_KEY, cache.serialize())
        return str(result["access_token"])

    return read


def _filled(token: str) -> SerializableTokenCache:
    """Return the cache of a person who has just signed in."""
    claims = {"oid": "alice", "tid": _TENANT, "sub": "alice", "preferred_username": "alice"}
    answer = {
        "access_token": token,
        "refresh_token": "r" * 1100,
        "expires_in": 3600,
        "token_type": "Bearer",
        "scope": " ".join(_SCOPES),
        "client_info": _encoded({"uid": "alice", "utid": _TENANT}),
        "id_token": f"{_encoded({'alg': 'none'})}.{_encoded(claims)}.",
    }
    cache = SerializableTokenCache()
    cache.add(
        {
            "client_id": _CLIENT,
            "scope": _SCOPES,
            "token_endpoint": f"{_AUTHORITY}/oauth2/v2.0/token",
            "response": answer,
        }
    )
    return cache


def _encoded(value: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
