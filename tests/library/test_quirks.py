"""Ways of providers that are data: each changes the request or the reading, and nothing else."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from tests.kit.every import every
from webui.oauth_manager import OAuthMisconfigured, OAuthProvider, OAuthRefused, TokenData
from webui.oauth_manager.protocol import facts
from webui.oauth_manager.protocol.answers import Answer, read_account, read_profile, refuses_token
from webui.oauth_manager.protocol.callback import read_authorization_response
from webui.oauth_manager.protocol.requests import (
    ProviderRequest,
    account_request,
    authorize_url,
    exchange_request,
    refresh_request,
    revoke_request,
)
from webui.oauth_manager.protocol.token_answers import read_token_answer, token_data
from webui.oauth_manager.providers import build_providers
from webui.oauth_manager.values import replace

PLAIN = OAuthProvider(
    "acme",
    "https://acme.example/authorize",
    "https://acme.example/token",
    "an id",
    "a secret",
    revoke_url="https://acme.example/revoke",
    account_url="https://acme.example/me",
)
TOKEN = TokenData("access", "refresh")
BASIC = "Basic YW4raWQ6YStzZWNyZXQ="


def made(**more: Any) -> OAuthProvider:
    """The same with other ways; what a style of revocation decided is decided anew."""
    styled = dict.fromkeys(
        ("revoke_method", "revoke_auth", "revoke_body", "revoke_token", "revoke_field"), ""
    )
    return replace(PLAIN, **{**styled, **more})


def form(request: ProviderRequest) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True))


def answered(content: object, status: int = 200) -> Answer:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Answer(status, {}, body)


def tokens(provider: OAuthProvider, content: object, step: str = "exchange") -> TokenData:
    fields = read_token_answer(provider, step, answered(content))
    return token_data(provider, fields, now=1000.0, scopes=["asked"])


class TestRequests:
    def test_a_client_says_who_it_is_in_one_way_alone(self) -> None:
        body = {"client_id": "an id", "client_secret": "a secret"}
        for auth, header, fields in (
            ("post", None, body),
            ("basic", BASIC, {}),
            ("none", None, {"client_id": "an id"}),
        ):
            request = refresh_request(made(token_auth=auth), TOKEN)
            assert request.headers.get("Authorization") == header
            told = {k: v for k, v in form(request).items() if k.startswith("client")}
            assert told == fields

    def test_the_name_of_the_client_id_is_another_everywhere(self) -> None:
        provider = made(client_id_name="client_key")
        url = authorize_url(provider, "https://b.example/cb", "s", [], "")
        assert parse_qs(urlsplit(url).query)["client_key"] == ["an id"]
        for request in (refresh_request(provider, TOKEN), revoke_request(provider, TOKEN)):
            assert form(request)["client_key"] == "an id"
            assert "client_id" not in form(request)

    def test_the_fields_of_a_token_request_go_as_json_with_those_that_are_fixed(self) -> None:
        provider = made(token_body="json", token_auth="basic", token_params={"expiring": "1"})
        request = exchange_request(provider, "https://b.example/cb", "code", "verifier")
        assert request.headers["Content-Type"] == "application/json"
        assert json.loads(request.body) == {
            "expiring": "1",
            "grant_type": "authorization_code",
            "code": "code",
            "redirect_uri": "https://b.example/cb",
            "code_verifier": "verifier",
        }

    def test_header_fields_go_with_every_request(self) -> None:
        provider = made(headers={"User-Agent": "web:{client_id}:1"})
        requests = (
            exchange_request(provider, "https://b.example/cb", "code", ""),
            refresh_request(provider, TOKEN),
            revoke_request(provider, TOKEN),
            account_request(provider, "access"),
        )
        assert {request.headers["User-Agent"] for request in requests} == {"web:an id:1"}

    def test_renewal_has_an_address_of_its_own(self) -> None:
        provider = made(refresh_url="https://acme.example/renew")
        assert refresh_request(provider, TOKEN).url == "https://acme.example/renew"
        request = exchange_request(provider, "https://b.example/cb", "code", "")
        assert request.url == "https://acme.example/token"

    def test_the_account_is_asked_as_the_provider_wants_it(self) -> None:
        provider = made(
            account_method="POST", account_body="null", token_header="X-Token: {access_token}"
        )
        request = account_request(provider, "access")
        assert (request.method, request.body) == ("POST", b"null")
        assert request.headers["X-Token"] == "access"
        assert request.headers["Content-Type"] == "application/json"
        assert "Authorization" not in request.headers

    @every(
        ("ways", "method", "authorization", "body"),
        [
            (
                {},
                "POST",
                None,
                "token=refresh&token_type_hint=refresh_token&client_id=an+id&client_secret=a+secret",
            ),
            ({"revoke_style": "bare"}, "POST", None, "token=refresh"),
            ({"revoke_style": "delete"}, "DELETE", BASIC, '{"access_token": "access"}'),
            (
                {"revoke_auth": "basic", "revoke_body": "json"},
                "POST",
                BASIC,
                '{"token": "refresh"}',
            ),
            (
                {"revoke_auth": "token", "revoke_body": "none", "revoke_method": "DELETE"},
                "DELETE",
                "Bearer access",
                "",
            ),
            (
                {"revoke_auth": "public", "revoke_token": "access"},
                "POST",
                None,
                "token=access&client_id=an+id",
            ),
            ({"revoke_auth": "none", "revoke_token": "access"}, "POST", None, "token=access"),
        ],
    )
    def test_revocation_is_asked_as_the_provider_wants_it(
        self, ways: dict[str, Any], method: str, authorization: str | None, body: str
    ) -> None:
        request = revoke_request(made(**ways), TOKEN)
        assert request.method == method
        assert request.headers.get("Authorization") == authorization
        assert request.body.decode() == body

    def test_the_client_has_other_names_in_revocation_and_nowhere_else(self) -> None:
        names = ("clientId", "clientSecret")
        provider = made(revoke_body="json", revoke_field="accessToken", revoke_client_fields=names)
        request = revoke_request(provider, replace(TOKEN, refresh_token=""))
        sent = {"accessToken": "access", "clientId": "an id", "clientSecret": "a secret"}
        assert json.loads(request.body) == sent
        assert form(refresh_request(provider, TOKEN)).keys() >= {"client_id", "client_secret"}

    def test_its_names_there_are_read_as_text_too_and_belong_to_the_way_of_revocation(self) -> None:
        own = {"revoke_url": "https://miro.com/r", "revoke_client_fields": "id key"}
        assert build_providers({}, {"miro": own})["miro"].revoke_client_fields == ("id", "key")
        other = build_providers({}, {"miro": {"revoke_style": "rfc7009"}})["miro"]
        assert other.revoke_client_fields == ()
        with pytest.raises(ValueError, match="revoke_client_fields must be the names of two"):
            build_providers({}, {"miro": own | {"revoke_client_fields": "id"}})

    def test_revocation_by_the_query_has_no_body(self) -> None:
        provider = made(revoke_body="query", revoke_auth="none", revoke_field="access_token")
        request = revoke_request(provider, replace(TOKEN, refresh_token=""))
        assert request.url == "https://acme.example/revoke?access_token=access"
        assert request.body == b""


class TestTokenAnswers:
    def test_tokens_lie_elsewhere_and_nothing_of_anothers_is_taken(self) -> None:
        provider = made(token_path="authed_user", token_types=("user",))
        inner = {"access_token": "mine", "token_type": "user", "scope": "a,b"}
        outer = {"access_token": "the-bots", "refresh_token": "the-bots", "expires_in": 60}
        found = tokens(provider, {"ok": True, **outer, "authed_user": inner})
        assert (found.access_token, found.refresh_token, found.expires_at) == ("mine", "", 0.0)
        assert found.scopes == ["a", "b"]

    def test_tokens_at_the_top_are_taken_where_the_other_place_is_empty(self) -> None:
        provider = made(token_path="authed_user", token_types=("user",))
        renewed = {"ok": True, "access_token": "mine", "token_type": "user"}
        assert tokens(provider, renewed, "refresh").access_token == "mine"

    def test_scopes_are_read_there_even_where_the_tokens_lie_at_the_top(self) -> None:
        provider = made(token_path="authed_user", token_types=("user",))
        outer = {"ok": True, "access_token": "mine", "token_type": "user"}
        found = tokens(provider, {**outer, "authed_user": {"id": "U1", "scope": "a,b"}})
        assert (found.access_token, found.scopes) == ("mine", ["a", "b"])

    def test_a_type_that_is_not_named_is_refused(self) -> None:
        with pytest.raises(OAuthMisconfigured, match="unknown_token_type"):
            tokens(PLAIN, {"access_token": "x", "token_type": "user"})

    def test_an_error_in_an_answer_with_status_200_is_one(self) -> None:
        with pytest.raises(OAuthRefused):
            tokens(made(gone=("over",)), {"ok": False, "error": "over"}, "refresh")

    @every(
        ("lifetime", "told", "expires_at"),
        [
            (0, {}, 0.0),
            (7200, {}, 8200.0),
            (7200, {"expires_in": 60}, 1060.0),
            (-1, {"expires_in": 60}, 0.0),
        ],
    )
    def test_a_token_lasts_as_the_provider_has_it(
        self, lifetime: int, told: dict[str, int], expires_at: float
    ) -> None:
        content = {"access_token": "x", "refresh_token": "y", **told}
        assert tokens(made(lifetime=lifetime), content).expires_at == expires_at

    def test_where_nothing_is_renewed_a_refresh_token_is_not_kept(self) -> None:
        content = {"access_token": "x", "refresh_token": "y"}
        assert tokens(made(refresh="none"), content).refresh_token == ""

    def test_scopes_may_stand_under_scopes(self) -> None:
        assert tokens(PLAIN, {"access_token": "x", "scopes": "a b"}).scopes == ["a", "b"]

    def test_tokens_and_what_was_allowed_may_stand_in_a_list(self) -> None:
        said = {"data": [{"access_token": "x", "permissions": "a,b"}]}
        found = tokens(made(token_path="data.0"), said)
        assert (found.access_token, found.scopes) == ("x", ["a", "b"])


class TestAccounts:
    def test_a_path_reaches_into_a_list_and_two_paths_make_one_id(self) -> None:
        listed = made(account_id_field="0.id", account_label_field="0.name")
        account = read_account(listed, answered([{"id": 7, "name": "Ann"}]), {})
        assert (account.id, account.label) == ("7", "Ann")
        both = made(account_id_field="team_id/user_id")
        assert read_account(both, answered({"team_id": "T", "user_id": "U"}), {}).id == "T/U"
        assert read_account(both, answered({"user_id": "U"}), {}).id == ""

    @every(
        ("answer", "is_over"),
        [
            (answered({"id": 400, "name": "over"}), False),
            (answered({"ok": False, "error": "over"}), True),
            (answered({"message": "no", "error": 400}, 400), True),
            (answered(b"over", 403), True),
            (answered(b"something else", 403), False),
            (answered({"error": "over"}, 503), False),
            (answered({"errors": [{"message": "over"}], "data": None}), True),
            (answered({"errors": [{"message": "over"}], "data": {"id": 1}}), False),
        ],
    )
    def test_words_for_access_that_is_over_count_in_failures_alone(
        self, answer: Answer, is_over: bool
    ) -> None:
        assert refuses_token(made(gone=("over", "400")), answer) is is_over

    @every(("code", "id_read"), [("ok", "7"), ("access_token_invalid", "")])
    def test_an_error_whose_code_is_ok_is_none(self, code: str, id_read: str) -> None:
        inner = made(account_id_field="data.id", account_label_field="data.name")
        content = {"data": {"id": 7, "name": "Ann"}, "error": {"code": code, "message": ""}}
        assert read_account(inner, answered(content), {}).id == id_read

    def test_an_error_of_graphql_names_nobody(self) -> None:
        graphql = made(account_id_field="data.me.id", account_label_field="data.me.name")
        refused = answered({"errors": [{"message": "not you"}], "data": None})
        assert read_profile(graphql, refused) is None
        assert read_account(graphql, refused, {}).id == ""


class TestFactsThatAreKept:
    def test_scalars_of_the_answer_and_parameters_of_the_callback_are(self) -> None:
        provider = made(keep=("team.id", "callback.realmId", "team", "count", "access_token_2"))
        query = b"state=ssssssssssssssssssssssssssss&code=c&realmId=42&other=1"
        response = read_authorization_response(query, provider)
        assert response.returned == ("realmId=42",)
        fields = {"access_token": "secret", "access_token_2": "secret", "team": {"id": "T=1"}}
        kept = facts.kept(provider, {**fields, "count": 3}, response.returned)
        assert kept == ("team.id=T=1", "count=3", "realmId=42")

    def test_none_is_kept_unless_it_is_named(self) -> None:
        assert facts.kept(PLAIN, {"team": {"id": "T"}}, ()) == ()
