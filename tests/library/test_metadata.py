"""Metadata of an authorization server: where it is looked for, and what is not believed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest

from tests.kit.every import every
from webui.oauth_manager import OAuthMisconfigured, OAuthUnavailable
from webui.oauth_manager.protocol.answers import Answer
from webui.oauth_manager.protocol.metadata import ServerMetadata, document_urls, find, moved
from webui.oauth_manager.protocol.reach import admits
from webui.oauth_manager.protocol.requests import ProviderRequest
from webui.oauth_manager.values import replace

pytestmark = pytest.mark.anyio

ISSUER = "https://id.example/realms/main"
OPENID = f"{ISSUER}/.well-known/openid-configuration"
OAUTH = "https://id.example/.well-known/oauth-authorization-server/realms/main"
INSERTED = "https://id.example/.well-known/openid-configuration/realms/main"

# As Keycloak answers (its "OpenID Connect endpoints"), shortened.
KEYCLOAK: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/protocol/openid-connect/auth",
    "token_endpoint": f"{ISSUER}/protocol/openid-connect/token",
    "introspection_endpoint": f"{ISSUER}/protocol/openid-connect/token/introspect",
    "userinfo_endpoint": f"{ISSUER}/protocol/openid-connect/userinfo",
    "end_session_endpoint": f"{ISSUER}/protocol/openid-connect/logout",
    "jwks_uri": f"{ISSUER}/protocol/openid-connect/certs",
    "revocation_endpoint": f"{ISSUER}/protocol/openid-connect/revoke",
    "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_basic"],
    "token_endpoint_auth_signing_alg_values_supported": ["PS256", "ES256"],
    "code_challenge_methods_supported": ["plain", "S256"],
    "scopes_supported": ["openid", "offline_access"],
    "claims_parameter_supported": True,
    "authorization_response_iss_parameter_supported": True,
    "mtls_endpoint_aliases": {"token_endpoint": "https://mtls.example/token"},
}


class Web:
    """Documents by address, each from an address of one kind; what was asked, in order."""

    def __init__(self, pages: Mapping[str, object], kind: str = "public") -> None:
        self.pages = pages
        self.kind = kind
        self.asked: list[str] = []

    async def send(self, request: ProviderRequest) -> Answer:
        if not request.reach or self.kind not in request.reach:
            raise OAuthUnavailable("acme", request.step, "out_of_reach")
        self.asked.append(request.url)
        page = self.pages.get(request.url, 404)
        return Answer(page, {}, b"") if isinstance(page, int) else answer_of(page)


def answer_of(page: object) -> Answer:
    return Answer(200, {}, page if isinstance(page, bytes) else json.dumps(page).encode())


async def found(web: Web) -> ServerMetadata:
    return await find(web.send, "acme", ISSUER)


async def code_of(web: Web) -> str:
    with pytest.raises((OAuthMisconfigured, OAuthUnavailable)) as caught:
        await found(web)
    return caught.value.code


class TestDocument:
    def test_is_looked_for_at_every_place_that_the_specifications_name(self) -> None:
        assert document_urls(ISSUER) == (OPENID, OAUTH, INSERTED)
        assert document_urls("https://id.example/") == (
            "https://id.example/.well-known/openid-configuration",
            "https://id.example/.well-known/oauth-authorization-server",
        )

    @pytest.mark.parametrize("place", [OPENID, OAUTH, INSERTED])
    async def test_is_found_at_any_of_them(self, place: str) -> None:
        web = Web({OPENID: b"<html>", OAUTH: 302, place: KEYCLOAK})
        metadata = await found(web)
        assert metadata.token_endpoint == f"{ISSUER}/protocol/openid-connect/token"
        assert metadata.revocation_endpoint == f"{ISSUER}/protocol/openid-connect/revoke"
        assert metadata.auth_methods == ("private_key_jwt", "client_secret_basic")
        assert metadata.auth_algorithms == ("PS256", "ES256")
        assert metadata.challenge_methods == ("plain", "S256")
        assert metadata.sends_issuer
        assert web.asked[-1] == place

    async def test_that_is_nowhere_is_told(self) -> None:
        web = Web({})
        assert await code_of(web) == "http_404"
        assert web.asked == [OPENID, OAUTH, INSERTED]

    @pytest.mark.parametrize(
        ("page", "code"), [(302, "http_302"), (401, "http_401"), (b"<html>", "unusable_answer")]
    )
    async def test_that_is_no_document_at_one_place_tells_more_than_the_others_without_any(
        self, page: int | bytes, code: str
    ) -> None:
        assert await code_of(Web({OPENID: page})) == code
        assert await code_of(Web({INSERTED: page})) == code

    @pytest.mark.parametrize("status", [429, 500, 503])
    async def test_of_a_server_in_trouble_is_not_looked_for_elsewhere(self, status: int) -> None:
        web = Web({OPENID: status, OAUTH: KEYCLOAK})
        assert await code_of(web) == f"http_{status}"
        assert web.asked == [OPENID]

    async def test_without_methods_means_basic(self) -> None:
        page = {k: v for k, v in KEYCLOAK.items() if "auth_methods" not in k}
        assert (await found(Web({OPENID: page}))).auth_methods == ("client_secret_basic",)

    async def test_comes_back_from_a_store_as_it_was(self) -> None:
        metadata = await found(Web({OPENID: KEYCLOAK}))
        assert ServerMetadata.from_dict(json.loads(json.dumps(asdict(metadata)))) == metadata

    @every("kind", ["public", "private", "loopback"])
    async def test_leads_no_nearer_than_where_it_is_from(self, kind: str) -> None:
        reach = (await found(Web({OPENID: KEYCLOAK}, kind))).reach
        assert admits(reach, "93.184.216.34")
        assert admits(reach, "10.0.0.1") == (kind != "public")
        assert admits(reach, "127.0.0.1") == (kind == "loopback")
        assert not admits(reach, "169.254.169.254")

    async def test_from_a_link_local_address_is_none(self) -> None:
        assert await code_of(Web({OPENID: KEYCLOAK}, "nowhere")) == "out_of_reach"


class TestLie:
    @pytest.mark.parametrize(
        "issuer", ["https://id.example/realms/other", ISSUER + "/", ISSUER.upper(), None, [ISSUER]]
    )
    async def test_of_another_issuer_is_not_believed_nor_another_place_asked(
        self, issuer: object
    ) -> None:
        web = Web({OPENID: KEYCLOAK | {"issuer": issuer}, OAUTH: KEYCLOAK})
        assert await code_of(web) == "other_issuer"
        assert web.asked == [OPENID]

    @every(
        "field",
        [
            "authorization_endpoint",
            "token_endpoint",
            "revocation_endpoint",
            "userinfo_endpoint",
            "jwks_uri",
            "registration_endpoint",
            "pushed_authorization_request_endpoint",
        ],
    )
    @every(
        "url",
        [
            "http://id.example/x",
            "http://127.0.0.1/x",
            "https://user@id.example/x",
            "https://id.example/x#y",
            "https://0x7f.1/x",
            "//id.example/x",
            "javascript:alert(1)",
            5,
            ["https://id.example/x"],
        ],
    )
    async def test_about_an_address_where_no_secret_may_go_is_refused(
        self, field: str, url: object
    ) -> None:
        assert await code_of(Web({OPENID: KEYCLOAK | {field: url}})) == field

    @pytest.mark.parametrize("field", ["authorization_endpoint", "token_endpoint"])
    async def test_without_an_address_that_is_needed_is_refused(self, field: str) -> None:
        page = {k: v for k, v in KEYCLOAK.items() if k != field}
        assert await code_of(Web({OPENID: page})) == field

    async def test_in_lists_does_no_harm(self) -> None:
        page = KEYCLOAK | {
            "code_challenge_methods_supported": "S256",
            "token_endpoint_auth_methods_supported": [5, None, {}],
            "scopes_supported": ["x" * 5000] * 500,
        }
        metadata = await found(Web({OPENID: page}))
        assert metadata.challenge_methods == ()
        assert metadata.auth_methods == ("client_secret_basic",)
        assert len(metadata.scopes) == 100


class TestMove:
    async def test_of_the_token_endpoint_is_told_also_on_the_same_server(self) -> None:
        pinned = await found(Web({OPENID: KEYCLOAK}))
        assert moved(pinned, pinned) == ()
        assert moved(pinned, replace(pinned, token_endpoint=f"{ISSUER}/token2")) == (
            "token_endpoint",
        )

    async def test_of_any_address_to_another_server_is_told(self) -> None:
        pinned = await found(Web({OPENID: KEYCLOAK}))
        for name in pinned.addresses:
            record = asdict(pinned) | {name: "https://evil.example/x"}
            elsewhere = ServerMetadata.from_dict(record)
            assert moved(pinned, elsewhere) == (name,)

    async def test_within_the_servers_that_are_known_is_none(self) -> None:
        pinned = await found(Web({OPENID: KEYCLOAK}))
        page = {"registration_endpoint": f"{ISSUER}/new", "userinfo_endpoint": f"{ISSUER}/me"}
        assert moved(pinned, await found(Web({OPENID: KEYCLOAK | page}))) == ()
