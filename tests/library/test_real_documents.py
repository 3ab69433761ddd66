"""Discovery documents of servers that people really have: the fields that a client reads.

As each of them publishes it at its issuer, with example hosts where the host is the operator's.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from tests.kit.library import BASE_URL, KEY, impatient
from webui.oauth_manager import OAuthManager, OAuthMisconfigured, OAuthProvider
from webui.oauth_manager.protocol.metadata import document_url
from webui.oauth_manager.protocol.transport import Transport

pytestmark = pytest.mark.anyio

_SECRETS = ["client_secret_post", "client_secret_basic"]
_USUAL = ["openid", "profile", "email", "offline_access"]
_TENANT = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555"


def document(
    issuer: str, authorize: str, token: str, userinfo: str, revoke: str = "", **more: Any
) -> dict[str, Any]:
    """Addresses that begin with a slash are at the issuer's host."""
    host = "{0.scheme}://{0.netloc}".format(urlsplit(issuer))

    def whole(address: str) -> str:
        return host + address if address.startswith("/") else address

    said = {
        "issuer": issuer,
        "authorization_endpoint": whole(authorize),
        "token_endpoint": whole(token),
        "userinfo_endpoint": whole(userinfo),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        **more,
    }
    return said | ({"revocation_endpoint": whole(revoke)} if revoke else {})


_REALM = "/realms/acme/protocol/openid-connect"
DOCUMENTS = {
    "google": document(
        "https://accounts.google.com",
        "/o/oauth2/v2/auth",
        "https://oauth2.googleapis.com/token",
        "https://openidconnect.googleapis.com/v1/userinfo",
        "https://oauth2.googleapis.com/revoke",
        scopes_supported=["openid", "email", "profile"],
        token_endpoint_auth_methods_supported=_SECRETS,
        code_challenge_methods_supported=["plain", "S256"],
    ),
    # It tells nothing of PKCE, which it takes, and has no revocation.
    "entra": document(
        f"{_TENANT}/v2.0",
        f"{_TENANT}/oauth2/v2.0/authorize",
        f"{_TENANT}/oauth2/v2.0/token",
        "https://graph.microsoft.com/oidc/userinfo",
        scopes_supported=_USUAL,
        token_endpoint_auth_methods_supported=[*_SECRETS, "private_key_jwt"],
        request_uri_parameter_supported=False,
    ),
    "okta": document(
        "https://acme.okta.com/oauth2/default",
        "/oauth2/default/v1/authorize",
        "/oauth2/default/v1/token",
        "/oauth2/default/v1/userinfo",
        "/oauth2/default/v1/revoke",
        scopes_supported=[*_USUAL, "address", "phone", "device_sso"],
        token_endpoint_auth_methods_supported=[
            *_SECRETS,
            "client_secret_jwt",
            "private_key_jwt",
            "none",
        ],
        code_challenge_methods_supported=["S256"],
        registration_endpoint="https://acme.okta.com/oauth2/v1/clients",
    ),
    # Its issuer ends with a slash.
    "auth0": document(
        "https://acme.eu.auth0.com/",
        "/authorize",
        "/oauth/token",
        "/userinfo",
        "/oauth/revoke",
        scopes_supported=["openid", "profile", "offline_access", "name", "email", "picture"],
        token_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post"],
        code_challenge_methods_supported=["S256", "plain"],
        registration_endpoint="https://acme.eu.auth0.com/oidc/register",
    ),
    "gitlab": document(
        "https://gitlab.com",
        "/oauth/authorize",
        "/oauth/token",
        "/oauth/userinfo",
        "/oauth/revoke",
        scopes_supported=["api", "read_api", "read_user", "openid", "profile", "email"],
        token_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post"],
        code_challenge_methods_supported=["plain", "S256"],
    ),
    "keycloak": document(
        "https://id.example/realms/acme",
        f"{_REALM}/auth",
        f"{_REALM}/token",
        f"{_REALM}/userinfo",
        f"{_REALM}/revoke",
        scopes_supported=[*_USUAL, "web-origins", "roles", "microprofile-jwt", "acr"],
        token_endpoint_auth_methods_supported=[
            "private_key_jwt",
            "client_secret_basic",
            "client_secret_post",
            "tls_client_auth",
            "client_secret_jwt",
        ],
        token_endpoint_auth_signing_alg_values_supported=["PS384", "RS384", "EdDSA", "ES256"],
        code_challenge_methods_supported=["plain", "S256"],
        pushed_authorization_request_endpoint=f"https://id.example{_REALM}/ext/par/request",
        require_pushed_authorization_requests=False,
        authorization_response_iss_parameter_supported=True,
        mtls_endpoint_aliases={"token_endpoint": f"https://mtls.example{_REALM}/token"},
    ),
    "zitadel": document(
        "https://acme.zitadel.cloud",
        "/oauth/v2/authorize",
        "/oauth/v2/token",
        "/oidc/v1/userinfo",
        "/oauth/v2/revoke",
        scopes_supported=["openid", "profile", "email", "phone", "address", "offline_access"],
        token_endpoint_auth_methods_supported=[
            "none",
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
        ],
        token_endpoint_auth_signing_alg_values_supported=["RS256"],
        code_challenge_methods_supported=["S256"],
    ),
    # Its issuer is one application's, with a slash at its end; the addresses are everybody's.
    "authentik": document(
        "https://auth.example/application/o/stargazer/",
        "/application/o/authorize/",
        "/application/o/token/",
        "/application/o/userinfo/",
        "/application/o/revoke/",
        scopes_supported=["openid", "groups", "email", "profile"],
        token_endpoint_auth_methods_supported=_SECRETS,
        code_challenge_methods_supported=["plain", "S256"],
    ),
    "hydra": document(
        "https://acme.projects.oryapis.com",
        "/oauth2/auth",
        "/oauth2/token",
        "/userinfo",
        "/oauth2/revoke",
        scopes_supported=["offline_access", "offline", "openid"],
        token_endpoint_auth_methods_supported=[
            "client_secret_post",
            "client_secret_basic",
            "private_key_jwt",
            "none",
        ],
        code_challenge_methods_supported=["plain", "S256"],
    ),
}


async def found(redis: Redis, said: dict[str, Any], issuer: str = "") -> OAuthProvider:
    """The provider of an issuer, at which that document lies as OpenID has it."""
    issuer = issuer or said["issuer"]

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        is_there = str(request.url) == document_url(issuer)
        await JSONResponse(said, 200 if is_there else 404)(scope, receive, send)

    given = {"acme": {"issuer": issuer, "client_id": "stargazer", "client_secret": "hush"}}
    transport = Transport(httpx.ASGITransport(server))
    manager = impatient(OAuthManager(KEY, BASE_URL, given, transport=transport))
    return await manager.servers.of(redis, manager.providers["acme"])


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_each_is_taken_as_it_is(redis: Redis, name: str) -> None:
    said = DOCUMENTS[name]
    provider = await found(redis, said)
    assert provider.authorize_url == said["authorization_endpoint"]
    assert provider.token_url == said["token_endpoint"]
    assert provider.account_url == said["userinfo_endpoint"]
    assert provider.revoke_url == said.get("revocation_endpoint", "")
    assert provider.par_url == said.get("pushed_authorization_request_endpoint", "")
    assert provider.iss_required is (name == "keycloak")
    assert provider.pkce
    assert provider.token_auth == "basic"
    assert set(provider.scopes) <= set(said["scopes_supported"])
    assert "openid" in provider.scopes


@pytest.mark.parametrize("name", ["auth0", "authentik", "okta"])
async def test_an_issuer_is_its_own_to_the_last_character(redis: Redis, name: str) -> None:
    said = DOCUMENTS[name]
    bare = said["issuer"].removesuffix("/")
    other = bare if bare != said["issuer"] else f"{bare}/"
    with pytest.raises(OAuthMisconfigured) as raised:
        await found(redis, said, other)
    assert raised.value.code == "other_issuer"


async def test_a_document_for_every_tenant_names_none_and_is_refused(redis: Redis) -> None:
    """Entra's ``common``: its issuer has a place for the tenant, so nobody could compare it."""
    said = {**DOCUMENTS["entra"], "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"}
    with pytest.raises(OAuthMisconfigured) as raised:
        await found(redis, said, "https://login.microsoftonline.com/common/v2.0")
    assert raised.value.code == "other_issuer"
