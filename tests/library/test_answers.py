"""Answers of providers, judged by their content: the corpus of everything that may come back."""

from __future__ import annotations

import base64
import json
import math
import re
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.every import every
from tests.kit.fake_answers import Answer as Scripted
from tests.kit.fake_answers import json_answer
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import BASE_URL, began, fake_provider, granted, manager_for, soon
from webui.oauth_manager import (
    Account,
    Meaning,
    OAuthError,
    OAuthManager,
    OAuthMisconfigured,
    OAuthProvider,
    OAuthRefused,
    OAuthUnavailable,
)
from webui.oauth_manager.protocol import token_answers
from webui.oauth_manager.protocol.answers import Answer, read_account, read_json
from webui.oauth_manager.protocol.token_answers import (
    LONGEST_LIFETIME,
    UNREADABLE_LIFETIME,
    expires_at,
    read_token_answer,
)
from webui.oauth_manager.values import replace

PLAIN = OAuthProvider("plain", "https://p.example/authorize", "https://p.example/token")
NOW = 1_800_000_000.0
token_data = partial(token_answers.token_data, now=NOW)
GOOD = b'{"access_token":"canary-token","token_type":"Bearer"}'


def answer(body: bytes | str | object, status: int = 200, **headers: str) -> Answer:
    if isinstance(body, str):
        body = body.encode()
    return Answer(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def judge(body: bytes | str | object, status: int = 200) -> dict[str, Any]:
    return read_token_answer(PLAIN, "exchange", answer(body, status))


# Answers with status 200 that are no success all the same.
BODIES: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n",
    "html": b"<!doctype html><h1>canary-token</h1>",
    "form": b"access_token=canary-token&token_type=bearer",
    "null": b"null",
    "true": b"true",
    "number": b"5",
    "string": b'"canary-token"',
    "array": b"[" + GOOD + b"]",
    "object without token": b'{"token_type":"Bearer"}',
    "doubled name": b'{"access_token":"canary-token","access_token":"other"}',
    "doubled name inside": b'{"access_token":"canary-token","x":{"a":1,"a":2}}',
    "brackets": b"[" * 100_000,
    "nested objects": b'{"a":' * 100_000,
    "cut off": GOOD[:-4],
    "two documents": GOOD + GOOD,
    "trailing rubbish": GOOD + b"\0",
    "utf-16": GOOD.decode().encode("utf-16"),
    "latin-1": '{"access_token":"canary-tokené"}'.encode("latin-1"),
    "endless digits": b'{"access_token":' + b"9" * 5000 + b"}",
    "single quotes": b"{'access_token':'canary-token'}",
}
TOKENS: dict[str, object] = {
    "empty": "",
    "null": None,
    "false": False,
    "number": 12345,
    "list": ["canary-token"],
    "object": {"value": "canary-token"},
    "blank inside": "canary token",
    "leading blank": " canary-token",
    "line break": "canary-token\r\nX-Evil: 1",
    "lone line feed": "canary-token\n",
    "tab": "canary\ttoken",
    "NUL": "canary\0token",
    "DEL": "canary\x7ftoken",
    "beyond ASCII": "canary-tokén",
    "lone surrogate": "canary\ud800",
    "a megabyte": "x" * 1_000_000,
    "one over the limit": "x" * 16_385,
}
ERRORS: list[tuple[str, type[OAuthError]]] = [
    ("invalid_grant", OAuthRefused),
    ("bad_refresh_token", OAuthRefused),
    ("bad_verification_code", OAuthRefused),
    ("interaction_required", OAuthRefused),
    ("consent_required", OAuthRefused),
    ("invalid_client", OAuthMisconfigured),
    ("unauthorized_client", OAuthMisconfigured),
    ("incorrect_client_credentials", OAuthMisconfigured),
    ("redirect_uri_mismatch", OAuthMisconfigured),
    ("invalid_scope", OAuthMisconfigured),
    ("deleted_client", OAuthMisconfigured),
    ("disabled_client", OAuthMisconfigured),
    ("server_error", OAuthUnavailable),
    ("temporarily_unavailable", OAuthUnavailable),
    ("unverified_user_email", OAuthRefused),
    ("something_new", OAuthMisconfigured),
]


class TestWhatIsNoSuccess:
    @every("body", BODIES)
    @every("status", [200, 400, 500])
    def test_a_body_that_is_no_token_answer_is_trouble_and_is_not_quoted(
        self, body: bytes, status: int
    ) -> None:
        with pytest.raises((OAuthUnavailable, OAuthMisconfigured)) as caught:
            judge(body, status)
        objects = (BODIES["object without token"], BODIES["endless digits"])
        is_object = body in objects and status < 500
        assert isinstance(caught.value, OAuthMisconfigured) is is_object
        assert "canary" not in f"{caught.value!r} {caught.value}"
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None

    @every("token", TOKENS)
    def test_an_access_token_that_is_no_bounded_printable_ascii_is_refused(
        self, token: object
    ) -> None:
        with pytest.raises(OAuthMisconfigured) as caught:
            judge({"access_token": token})
        assert caught.value.code == "no_usable_access_token"
        assert "canary" not in str(caught.value)

    @every(
        "token",
        dict(
            zip(
                [k for k in TOKENS if k not in ("empty", "null")],
                [v for k, v in TOKENS.items() if k not in ("empty", "null")],
                strict=True,
            )
        ),
    )
    def test_a_refresh_token_that_is_no_bounded_printable_ascii_is_refused(
        self, token: object
    ) -> None:
        with pytest.raises(OAuthMisconfigured):
            judge({"access_token": "a", "refresh_token": token})

    @pytest.mark.parametrize("token", ["", None])
    def test_an_empty_refresh_token_is_an_omitted_one(self, token: object) -> None:
        fields = judge({"access_token": "a", "refresh_token": token})
        assert token_data(PLAIN, fields, scopes=[], refresh_token="kept").refresh_token == "kept"

    @every("token_type", ["mac", "DPoP", 5, 0, True, [], {}, "Bearer "])
    def test_a_token_of_a_type_we_cannot_use_is_refused(self, token_type: object) -> None:
        with pytest.raises(OAuthMisconfigured):
            judge({"access_token": "a", "token_type": token_type})

    @every("token_type", ["Bearer", "bearer", "BEARER", None, ""])
    def test_bearer_in_any_case_is_stored_as_bearer(self, token_type: object) -> None:
        fields = judge({"access_token": "a", "token_type": token_type})
        assert token_data(PLAIN, fields, scopes=[]).token_type == "Bearer"

    def test_a_missing_token_type_is_taken_for_bearer(self) -> None:
        assert token_data(PLAIN, judge({"access_token": "a"}), scopes=[]).token_type == "Bearer"

    @every("status", [301, 302, 307, 308, 408, 425, 429, 500, 503])
    def test_a_token_beside_a_status_of_trouble_or_of_elsewhere_is_trouble(
        self, status: int
    ) -> None:
        with pytest.raises(OAuthUnavailable):
            judge(GOOD, status)

    @every("status", [400, 401, 403, 404])
    def test_a_token_beside_a_refusing_status_is_no_success(self, status: int) -> None:
        with pytest.raises(OAuthMisconfigured) as caught:
            judge(GOOD, status)
        assert caught.value.code == f"http_{status}"

    def test_a_token_of_16_kilobytes_is_taken(self) -> None:
        assert judge({"access_token": "x" * 16_384})


RENEWED = {"access_token": "canary-new", "refresh_token": "canary-next", "token_type": "bearer"}


def renew(body: object, status: int = 200, **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_token_answer(PLAIN, "refresh", answer(body, status, **named))


class TestTheWrapping:
    @every("step", ["exchange", "refresh"])
    @every("status", [200, 201, 202, 203, 206])
    def test_a_token_with_any_status_of_success_is_success(self, step: str, status: int) -> None:
        assert read_token_answer(PLAIN, step, answer(RENEWED, status)) == RENEWED

    @every("status", [200, 201])
    @every("said", [{"error": "invalid_grant"}, {"ok": False, "error": "x"}])
    def test_an_error_beside_a_token_is_no_success_whatever_the_status(
        self, said: dict[str, Any], status: int
    ) -> None:
        with pytest.raises(OAuthError):
            renew({**RENEWED, **said}, status)

    def test_ok_false_alone_is_an_error(self) -> None:
        with pytest.raises(OAuthMisconfigured):
            judge({**RENEWED, "ok": False})

    def test_a_byte_order_mark_and_a_foreign_content_type_are_passed_over(self) -> None:
        body = b"\xef\xbb\xbf" + json.dumps(RENEWED).encode()
        assert read_token_answer(PLAIN, "exchange", Answer(200, {}, body)) == RENEWED
        assert renew(json.dumps(RENEWED), content_type="text/html") == RENEWED

    @every(
        "wrapped",
        [
            {"data": RENEWED},
            {"ok": True, "token": RENEWED, "user": {"id": 1}},
            [RENEWED],
            [{"data": RENEWED}],
            urlencode(RENEWED),
            json.dumps(RENEWED | {"name": "caf\xe9"}, ensure_ascii=False).encode("latin-1"),
        ],
    )
    def test_a_renewed_pair_is_found_in_what_is_around_it(self, wrapped: object) -> None:
        found = renew(wrapped)
        assert {name: found[name] for name in RENEWED} == RENEWED

    @every(
        "wrapped",
        [
            [RENEWED, RENEWED],
            urlencode(RENEWED) + "&access_token=canary",
            urlencode({**RENEWED, "access_token": "canary token"}),
            urlencode({**RENEWED, "error": "something_new"}),
            {"bot": RENEWED, "user": RENEWED},
            {"data": {**RENEWED, "token_type": "mac"}},
            {"data": {**RENEWED, "access_token": "canary\r\nX: 1"}},
            {"ok": False, "data": RENEWED},
            {"error": "something_new", "data": RENEWED},
        ],
    )
    def test_what_is_ambiguous_or_unusable_inside_is_refused(self, wrapped: object) -> None:
        with pytest.raises((OAuthMisconfigured, OAuthUnavailable)) as caught:
            renew(wrapped)
        assert "canary" not in str(caught.value)

    def test_a_first_token_is_not_looked_for_inside(self) -> None:
        for wrapped in ({"ok": True, "authed_user": RENEWED}, {"data": RENEWED}):
            with pytest.raises(OAuthMisconfigured) as caught:
                judge(wrapped)
            assert caught.value.code == "no_usable_access_token"

    @every("unusable", ["a b", 5, "x" * 16_385, "tok\r\nen"])
    def test_an_unusable_refresh_token_does_not_cost_the_renewed_access_token(
        self, unusable: object
    ) -> None:
        fields = renew({"access_token": "a", "refresh_token": unusable})
        assert token_data(PLAIN, fields, scopes=[], refresh_token="old").refresh_token == "old"


class TestWordsForTheEnd:
    """A refresh token that is refused for good, in whatever words."""

    @every(
        "body",
        [
            {"error": "invalid_grant"},
            {"error": "INVALID_GRANT"},
            {"error": "invalid_token"},
            {"code": 40104, "msg": "refresh token expired"},
            {"error": "invalid_request", "error_description": "Invalid refresh token"},
            {"error": {"code": "invalid_grant", "message": "x"}},
            {"error": {"type": "OAuthException", "message": "The refresh token is expired."}},
            {"errors": [{"errorType": "invalid_grant", "message": "x"}], "success": False},
            [{"error": "invalid_grant"}],
            {"status": 400, "message": "Invalid refresh token"},
            {"status": "BAD_REFRESH_TOKEN", "message": "missing or unknown"},
            {"message": "The refresh token passed is incorrect or expired."},
            {"message": "refresh_token has been revoked"},
            {"code": "EXPIRED_REFRESH_TOKEN"},
            "Refresh token is invalid",
        ],
    )
    @every("status", [200, 400, 401, 403])
    def test_known_words_end_it_at_once(self, body: object, status: int) -> None:
        with pytest.raises(OAuthRefused) as caught:
            renew(body, status)
        assert caught.value.meaning is Meaning.GONE
        assert re.fullmatch(r"[a-zA-Z_]+", caught.value.code)

    @every(
        "body",
        [
            {"error": 400, "message": "Bad Request"},
            {"code": 190, "message": "no"},
            {"error": {"type": "OAuthException", "code": 1}, "retry_after": 19},
            {"errors": [{"resource": "Application", "field": "client_id", "code": "invalid"}]},
            {"message": "Refresh token is invalid or the client secret is wrong"},
            {"message": "refresh token expired: check the client_id parameter"},
            {"errmsg": "invalid credential, access_token is invalid or not latest, rid: 6f"},
            {"message": "The access token has expired"},
            {"message": "client assertion token expired"},
            {"message": "The OAuth client was not found: token revoked"},
            {"errcode": 40125, "errmsg": "invalid appsecret, refresh_token is invalid"},
            {"message": "Your session token has expired"},
            {"message": "The refresh token is not expired"},
            {"message": "access token revoked or not given"},
            {"error": "invalid_request"},
            {"error": "something_new"},
            {"message": "Missing refresh token parameter"},
            {"message": "no"},
            ["no"],
            "",
            "no",
            "<html>refused</html>",
            None,
        ],
    )
    def test_unknown_words_are_a_refusal_that_may_end(self, body: object) -> None:
        with pytest.raises(OAuthUnavailable) as caught:
            renew(body, 400)
        assert caught.value.meaning is Meaning.UNKNOWN
        assert "refused" not in caught.value.code

    @every(
        ("body", "code"),
        [
            ({"ok": False, "error": "token_revoked"}, "token_revoked"),
            ({"ok": False, "error": "token_expired"}, "token_expired"),
            ({"ok": False, "error": "account_inactive"}, "account_inactive"),
            ({"ok": False, "error": "invalid_refresh_token"}, "invalid_refresh_token"),
            ({"error": {"type": "OAuthException", "code": 190, "error_subcode": 463}}, "190"),
            ({"error": "invalidRefreshToken"}, "invalidRefreshToken"),
            ({"error": {"code": "InvalidGrant"}}, "InvalidGrant"),
            ({"code": "invalid-grant"}, "invalid-grant"),
            ({"code": "refreshTokenExpired"}, "dead_refresh_token"),
            ({"code": "REFRESH_TOKEN_REVOKED"}, "dead_refresh_token"),
            ({"code": "tokenRevoked"}, "tokenRevoked"),
            ({"errcode": 40030, "errmsg": "invalid refresh_token, rid: 65f0a1b2-1c"}, None),
            ({"errcode": 42002, "errmsg": "refresh_token expired, rid: 65f0"}, None),
            ({"message": "The refresh token is expired"}, None),
            ({"message": "refresh token was revoked by its owner"}, None),
            ({"message": "missing or invalid refresh token"}, None),
            ({"message": "refresh token is invalid or was issued to another client"}, None),
            ({"message": "Token has been revoked."}, None),
            ({"message": "token revoked"}, None),
            ({"errors": [{"code": 89, "message": "Invalid or expired token."}]}, None),
            (
                {"error_description": "The authorization grant or refresh token is invalid, old"},
                None,
            ),
            (
                {
                    "errors": [
                        {"resource": "RefreshToken", "field": "refresh_token", "code": "invalid"}
                    ]
                },
                None,
            ),
        ],
    )
    @every("status", [200, 400, 401])
    def test_the_words_of_popular_providers_end_it_at_once(
        self, body: object, code: str | None, status: int
    ) -> None:
        with pytest.raises(OAuthRefused) as caught:
            renew(body, status)
        assert caught.value.meaning is Meaning.GONE
        assert caught.value.code.startswith(code or "dead_refresh_token")

    @every("error", ["invalid_client", "invalidClient", "INVALID-CLIENT", "unauthorizedClient"])
    def test_a_refused_client_ends_nothing_whatever_is_said_beside_it(self, error: str) -> None:
        for said in ("token revoked", "refresh token is invalid", "invalid_refresh_token"):
            with pytest.raises(OAuthMisconfigured) as caught:
                renew({"error": error, "message": said}, 401)
            assert caught.value.meaning is Meaning.SETUP

    @every("status", [302, 408, 425, 429, 500, 502, 503])
    def test_a_server_in_trouble_refuses_nothing(self, status: int) -> None:
        for body in ({"error": "invalid_grant"}, {"message": "Invalid refresh token"}):
            with pytest.raises(OAuthUnavailable) as caught:
                renew(body, status)
            assert caught.value.meaning is Meaning.TROUBLE

    @every("body", [{"error": "teapot"}, {"x": ["teapot"]}, "teapot"])
    @every("general", ["unauthorized_client", "something_new"])
    def test_a_providers_own_word_goes_before_everybodys(self, body: object, general: str) -> None:
        provider = replace(PLAIN, words={"gone": ("teapot",)})
        body = {"error": general, **body} if isinstance(body, dict) else body
        said = answer(body if not isinstance(body, dict) else {**body, "detail": "teapot"}, 403)
        with pytest.raises(OAuthRefused):
            read_token_answer(provider, "refresh", said)

    def test_a_word_in_a_good_answer_ends_nothing(self) -> None:
        provider = replace(PLAIN, words={"gone": ("400", "bearer")})
        good = answer({**RENEWED, "code": 400})
        assert read_token_answer(provider, "refresh", good)["access_token"] == "canary-new"

    @every("error", ["unauthorized_client", "invalid_client", "invalid_grant", "something_new"])
    def test_a_refusal_of_another_clients_token_is_about_that(self, error: str) -> None:
        provider = replace(PLAIN, client_id="new")
        with pytest.raises(OAuthRefused) as caught:
            read_token_answer(provider, "refresh", answer({"error": error}, 400), issued_to="old")
        assert (caught.value.meaning, caught.value.code) == (Meaning.MOVED, error)

    @pytest.mark.parametrize("issued_to", ["", "new"])
    def test_a_refusal_of_our_own_or_of_nobody_knows_whose_is_the_operators(
        self, issued_to: str
    ) -> None:
        provider = replace(PLAIN, client_id="new")
        said = answer({"error": "unauthorized_client"}, 400)
        with pytest.raises(OAuthMisconfigured):
            read_token_answer(provider, "refresh", said, issued_to=issued_to)

    def test_trouble_with_another_clients_token_is_trouble(self) -> None:
        provider = replace(PLAIN, client_id="new")
        for said in (answer({"error": "invalid_grant"}, 503), answer({"error": "slow_down"}, 400)):
            with pytest.raises(OAuthUnavailable):
                read_token_answer(provider, "refresh", said, issued_to="old")


class TestWordsAtTheExchange:
    """A code that is refused, in words of no specification."""

    @every(
        ("body", "meaning"),
        [
            ({"ok": False, "error": "invalid_code"}, Meaning.GONE),
            ({"ok": False, "error": "code_already_used"}, Meaning.GONE),
            ({"status": "BAD_AUTH_CODE", "message": "missing or unknown auth code"}, Meaning.GONE),
            ({"status": 400, "message": "Invalid authorization code"}, Meaning.GONE),
            (
                {
                    "error": "invalid_request",
                    "error_description": "Value passed for the authorization code was invalid.",
                },
                Meaning.GONE,
            ),
            ({"message": "appid/redirect uri is another. Or authorization code expired"}, "gone"),
            ({"error": "bad_authorization_code"}, Meaning.GONE),
            (
                {"errors": [{"resource": "AuthorizationCode", "field": "code", "code": "invalid"}]},
                Meaning.GONE,
            ),
            ({"error": "incorrect_application_credentials"}, Meaning.SETUP),
            ({"ok": False, "error": "bad_redirect_uri"}, Meaning.SETUP),
            ({"status": 400, "message": "redirect_uri does not match registered URI"}, "setup"),
            ({"message": "The redirection URI is another"}, Meaning.SETUP),
            ({"status": 403, "message": "invalid client secret"}, Meaning.SETUP),
            ({"code": "invalid_access_token", "message": "Client secret is invalid"}, "setup"),
            ({"error": "invalid_request"}, Meaning.SETUP),
            ({"error": "invalid_request", "error_description": "no such field"}, Meaning.SETUP),
            ({"message": "Missing authorization code parameter"}, Meaning.UNKNOWN),
            ({"message": "The code has gone for a walk"}, Meaning.UNKNOWN),
        ],
    )
    def test_tell_a_code_that_is_over_from_a_wrong_set_up(self, body: object, meaning: str) -> None:
        with pytest.raises((OAuthRefused, OAuthMisconfigured)) as caught:
            judge(body, 400)
        assert caught.value.meaning == meaning

    @every("body", [{"message": "Unauthorized", "error": 401}, {"error": "access_denied"}, {}])
    def test_401_means_a_client_that_is_not_who_it_says(self, body: object) -> None:
        with pytest.raises(OAuthMisconfigured) as caught:
            judge(body, 401)
        assert caught.value.meaning is Meaning.SETUP

    def test_a_wrong_secret_told_in_a_sentence_is_the_operators_when_renewing_too(self) -> None:
        with pytest.raises(OAuthMisconfigured):
            renew({"status": 403, "message": "invalid client secret"}, 403)


class TestThreeKindsOfFailure:
    @every(("code", "kind"), ERRORS)
    @every("status", [200, 400, 401, 403])
    def test_the_error_code_decides_whatever_the_status(
        self, code: str, kind: type[OAuthError], status: int
    ) -> None:
        with pytest.raises(OAuthError) as caught:
            judge({"error": code, "error_description": "canary"}, status)
        assert type(caught.value) is kind
        assert "canary" not in str(caught.value)

    @every("status", [429, 500, 502, 503, 504])
    @every("code", ["invalid_grant", "invalid_client"])
    def test_a_server_in_trouble_is_not_believed_about_a_grant(
        self, status: int, code: str
    ) -> None:
        with pytest.raises(OAuthUnavailable):
            judge({"error": code}, status)

    def test_an_error_beside_a_token_is_an_error(self) -> None:
        with pytest.raises(OAuthRefused):
            judge({"access_token": "a", "error": "invalid_grant"})

    @every("code", ["<script>", "x" * 65, "a b", "a\nb", "\ud800", ["?"], {"a": 1}, True])
    def test_a_strange_error_is_not_understood_and_is_not_quoted(self, code: object) -> None:
        with pytest.raises(OAuthMisconfigured) as caught:
            judge({"error": code})
        assert caught.value.code == "unknown_error"
        assert caught.value.meaning is Meaning.UNKNOWN

    @pytest.mark.parametrize("shape", [5, {"code": 5}, {"type": "5", "message": "x"}])
    def test_a_number_or_an_object_is_named_by_its_code(self, shape: object) -> None:
        with pytest.raises(OAuthMisconfigured) as caught:
            judge({"error": shape}, 400)
        assert caught.value.code == "5"

    def test_the_trace_of_microsoft_is_kept_for_support(self) -> None:
        with pytest.raises(OAuthRefused) as caught:
            judge({"error": "invalid_grant", "trace_id": "0a1b-2c3d", "error_codes": [70000]})
        assert caught.value.trace == "0a1b-2c3d"

    @every(
        ("value", "seconds"),
        [
            ("5", 5.0),
            ("0", 0.0),
            ("-5", 0.0),
            ("", 0.0),
            ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0),
            ("1e9", 0.0),
            ("9" * 5000, 0.0),
            ("٣", 0.0),
        ],
    )
    def test_retry_after_is_a_bounded_number_of_seconds_or_nothing(
        self, value: str, seconds: float
    ) -> None:
        with pytest.raises(OAuthUnavailable) as caught:
            read_token_answer(PLAIN, "refresh", Answer(429, {"retry-after": value}, b""))
        assert caught.value.retry_after == seconds

    @pytest.mark.parametrize("kind", [OAuthUnavailable, OAuthMisconfigured, OAuthRefused])
    def test_all_are_one_tree_and_runtime_errors(self, kind: type[Exception]) -> None:
        assert issubclass(kind, OAuthError)
        assert issubclass(kind, RuntimeError)


class TestExpiry:
    @every(
        ("expires_in", "lifetime"),
        [
            (3600, 3600),
            (3600.5, 3600.5),
            ("3600", 3600),
            ("3600.5", 3600.5),
            (" 3600 ", 3600),
            ("+60", 60),
            (0, 0),
            ("0", 0),
            (-5, 0),
            ("-5", 0),
            (1, 1),
            (20 * 365 * 86400, 20 * 365 * 86400),
            (2**31 - 1, 2**31 - 1),
            ("2147483647", 2**31 - 1),
            (LONGEST_LIFETIME + 1, LONGEST_LIFETIME),
            (2**53 - 1, LONGEST_LIFETIME),
            (2**63 - 1, LONGEST_LIFETIME),
            (str(2**63 - 1), LONGEST_LIFETIME),
            (2**64, LONGEST_LIFETIME),
            (2**65, LONGEST_LIFETIME),
            (10**400, LONGEST_LIFETIME),
            ("9" * 5000, LONGEST_LIFETIME),
            (1e20, LONGEST_LIFETIME),
            (1e308, LONGEST_LIFETIME),
            (math.inf, LONGEST_LIFETIME),
            (-math.inf, 0),
            (-(10**400), 0),
        ],
    )
    def test_a_number_is_taken_however_it_is_written(
        self, expires_in: object, lifetime: float
    ) -> None:
        assert expires_at(expires_in, NOW) == NOW + lifetime

    @every(
        "expires_in",
        [
            True,
            False,
            "abc",
            "",
            "١٢",
            "0x10",
            "1_000",
            "1e3",
            [],
            [3600],
            {},
            math.nan,
            "NaN",
            "Infinity",
        ],
    )
    def test_nonsense_is_neither_now_nor_for_ever(self, expires_in: object) -> None:
        assert expires_at(expires_in, NOW) == NOW + UNREADABLE_LIFETIME

    @pytest.mark.parametrize("can_renew", [True, False])
    def test_silence_means_no_end(self, can_renew: bool) -> None:
        assert expires_at(None, NOW, can_renew=can_renew) == 0.0

    @every("expires_in", [0, 0.0, "0", -1, "-1"])
    def test_no_lifetime_means_no_end_where_nothing_could_renew_the_token(
        self, expires_in: object
    ) -> None:
        fields = {"access_token": "a", "expires_in": expires_in}
        assert token_data(PLAIN, fields, scopes=[]).expires_at == 0.0
        renewed = token_data(PLAIN, fields, scopes=[], refresh_token="r")
        assert renewed.expires_at == NOW

    @every(
        "written",
        [
            "NaN",
            "Infinity",
            "1e999",
            "1e20",
            "9" * 5000,
            "true",
            "[]",
            '"x"',
        ],
    )
    def test_a_lifetime_is_judged_alike_after_json_has_read_it(self, written: str) -> None:
        fields = judge(f'{{"access_token":"a","expires_in":{written}}}')
        assert 0 < token_data(PLAIN, fields, scopes=[]).expires_at - NOW <= LONGEST_LIFETIME

    @settings(deadline=None)
    @given(
        st.one_of(
            st.integers(),
            st.floats(),
            st.text(),
            st.booleans(),
            st.from_regex(r"\s*[+-]?\d{1,30}(\.\d{0,12})?\s*"),
            st.lists(st.integers(), max_size=2),
            st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
        )
    )
    def test_no_shape_crashes_or_lasts_for_ever(self, expires_in: object) -> None:
        assert NOW <= expires_at(expires_in, NOW) <= NOW + LONGEST_LIFETIME
        assert expires_at(expires_in, NOW, can_renew=False) in (
            0.0,
            expires_at(expires_in, NOW),
        )


class TestScopes:
    @every(
        ("said", "granted_scopes"),
        [
            ("a b", ["a", "b"]),
            ("a,b", ["a", "b"]),
            ("a, b", ["a", "b"]),
            (" b  a ", ["b", "a"]),
            ("a a", ["a"]),
            (["a", "b"], ["a", "b"]),
            (["a", 5, None, "b"], ["a", "b"]),
            ("", []),
            ("a\u2028b <b>x</b>", ["a", "b", "<b>x</b>"]),
            ("é a", ["a"]),
        ],
    )
    def test_they_come_in_many_shapes(self, said: object, granted_scopes: list[str]) -> None:
        fields = judge({"access_token": "a", "scope": said})
        assert token_data(PLAIN, fields, scopes=["asked"]).scopes == granted_scopes

    @every("said", [None, 5, True, {"a": 1}])
    def test_where_nothing_usable_is_said_the_ones_asked_for_stand(self, said: object) -> None:
        fields = judge({"access_token": "a", "scope": said})
        assert token_data(PLAIN, fields, scopes=["asked"]).scopes == ["asked"]

    @settings(deadline=None)
    @given(st.one_of(st.text(), st.lists(st.one_of(st.text(), st.integers(), st.none()))))
    def test_what_is_kept_is_bounded_printable_and_without_doubles(self, said: object) -> None:
        kept = token_data(PLAIN, {"access_token": "a", "scope": said}, scopes=[]).scopes
        assert len(kept) == len(set(kept)) <= 200
        assert all(scope.isascii() and scope.isprintable() and " " not in scope for scope in kept)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = ["access_token", "refresh_token", "token_type", "expires_in", "scope", "error", "trace_id"]


class TestAnything:
    @settings(deadline=None)
    @given(st.binary(max_size=200))
    def test_no_bytes_crash_the_reader(self, body: bytes) -> None:
        assert read_json(body) is None or isinstance(read_json(body), dict)

    @settings(deadline=None)
    @given(
        st.dictionaries(st.sampled_from(FIELDS), st.one_of(st.sampled_from(["a", "Bearer"]), JSON)),
        st.sampled_from([200, 200, 200, 400, 401, 429, 500]),
    )
    def test_any_object_is_a_usable_token_or_an_oauth_error(
        self, fields: dict[str, Any], status: int
    ) -> None:
        try:
            token = token_data(PLAIN, judge(fields, status), scopes=["asked"])
        except OAuthError:
            return
        assert token.access_token.isascii()
        assert token.access_token.isprintable()
        assert token.expires_at >= 0
        assert math.isfinite(token.expires_at)
        json.dumps(token.to_dict(), allow_nan=False)

    @settings(deadline=None)
    @given(JSON, JSON)
    def test_any_account_answer_gives_an_account_perhaps_an_empty_one(
        self, profile: Any, token_answer: Any
    ) -> None:
        for provider in OAuthManager("", BASE_URL).providers.values():
            account = read_account(
                provider,
                answer(profile),
                {"id_token": token_answer} if token_answer is not None else {},
            )
            assert isinstance(account.id, str)
            assert account.label.isprintable() or account.label
            assert len(account.label) <= 300


def id_token(claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{body}.sig"


class TestAccounts:
    @every(
        ("provider", "profile", "account"),
        [
            ("github", {"id": 583231, "login": "octocat"}, Account("583231", "octocat")),
            ("google", {"sub": "110", "email": "a@b.example"}, Account("110", "a@b.example")),
            ("discord", {"user": {"id": "80", "username": "nelly"}}, Account("80", "nelly")),
            (
                "microsoft",
                {"id": "oid", "userPrincipalName": "a@b.example", "displayName": "A"},
                Account("oid", "a@b.example"),
            ),
            ("microsoft", {"id": "oid", "displayName": "A"}, Account("oid", "A")),
        ],
    )
    def test_each_provider_says_it_in_its_own_way(
        self, provider: str, profile: object, account: Account
    ) -> None:
        known = OAuthManager("", BASE_URL).providers[provider]
        assert read_account(known, answer(profile), {}) == account

    def test_at_microsoft_the_tenant_is_part_of_the_identity(self) -> None:
        known = OAuthManager("", BASE_URL).providers["microsoft"]
        token_answer = {"id_token": id_token({"tid": "t1"})}
        assert read_account(known, answer({"id": "oid"}), token_answer).id == "t1/oid"

    @every(
        "broken",
        [
            "",
            "x",
            "a.b",
            "a.!!!.c",
            "a.é.c",
            5,
            None,
            [],
            id_token([]),
            id_token({}),
            id_token({"tid": 5}),
        ],
    )
    def test_a_broken_id_token_leaves_the_object_id(self, broken: object) -> None:
        known = OAuthManager("", BASE_URL).providers["microsoft"]
        assert read_account(known, answer({"id": "oid"}), {"id_token": broken}).id == "oid"

    @every(
        "profile",
        [
            "not json",
            [],
            {},
            {"id": None, "login": None},
            {"id": True, "login": True},
            {"id": ["x"], "login": {"x": 1}},
            {"user": "x"},
            {"user": {"id": {}}},
        ],
    )
    def test_an_unexpected_shape_is_an_unknown_account(self, profile: object) -> None:
        for known in OAuthManager("", BASE_URL).providers.values():
            assert read_account(known, answer(profile), {}) == Account()

    @every("status", [301, 401, 403, 404, 500])
    def test_a_status_other_than_success_is_an_unknown_account(self, status: int) -> None:
        known = OAuthManager("", BASE_URL).providers["github"]
        assert read_account(known, answer({"id": 1, "login": "x"}, status), {}) == Account()

    def test_control_characters_are_taken_out_and_the_rest_is_kept_as_text(self) -> None:
        known = OAuthManager("", BASE_URL).providers["github"]
        profile = {"id": 1, "login": "a\r\n\0\u2028\ud800<b>{{7*7}}" + "x" * 1000}
        label = read_account(known, answer(profile), {}).label
        assert label.startswith("a<b>{{7*7}}x")
        assert len(label) == 300


@pytest.mark.anyio
class TestThroughTheManager:
    """The same corpus at the two places where an answer is acted on."""

    @pytest.fixture
    def fake(self) -> FakeProvider:
        return fake_provider()

    @pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
    async def test_an_exchange_fails_and_stores_nothing(
        self, fake: FakeProvider, redis: Any, body: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        manager = manager_for(fake)
        attempt, code = await began(manager, fake, redis, "u1", "google")
        fake.script("token", Scripted(200, {}, body))
        with pytest.raises((OAuthUnavailable, OAuthMisconfigured)):
            await manager.complete(redis, attempt, code)
        assert await redis.keys("stargazer:oauth_tokens:*") == []
        assert await redis.keys("stargazer:oauth_connection:*") == []
        assert fake.calls["token"] == 1
        assert "canary" not in caplog.text

    @pytest.mark.parametrize("name", sorted(BODIES.keys() - {"form", "array"}))
    async def test_a_refresh_fails_keeps_the_record_and_serves_what_is_still_valid(
        self, fake: FakeProvider, redis: Any, name: str
    ) -> None:
        manager = manager_for(fake)
        token = granted(fake, "google", expires_at=soon())
        await manager.store_token(redis, "u1", token)
        before = await redis.get("stargazer:oauth_tokens:u1:google")
        fake.script("token", Scripted(200, {}, BODIES[name]))
        assert await manager.get_token("u1", "google", redis) == token.access_token
        assert await redis.get("stargazer:oauth_tokens:u1:google") == before

    @pytest.mark.parametrize("name", ["form", "array"])
    async def test_a_renewed_token_in_another_wrapping_is_kept(
        self, fake: FakeProvider, redis: Any, name: str
    ) -> None:
        manager = manager_for(fake)
        await manager.store_token(redis, "u1", granted(fake, "google", expires_at=soon()))
        fake.script("token", Scripted(200, {}, BODIES[name]))
        renewed = await manager.get_token("u1", "google", redis)
        assert renewed in ("canary-token", json.loads(GOOD)["access_token"])
        assert await manager.get_token("u1", "google", redis) == renewed

    @pytest.mark.parametrize("expires_in", [None, "3600", 0, -5, True, "abc", 10**30, {}])
    async def test_no_expiry_makes_a_connection_fail(
        self, fake: FakeProvider, redis: Any, expires_in: object
    ) -> None:
        manager = manager_for(fake)
        fake.expires_in = expires_in
        attempt, code = await began(manager, fake, redis, "u1", "google")
        assert await manager.complete(redis, attempt, code) is not None

    async def test_an_account_answer_in_an_unexpected_shape_leaves_the_connection_standing(
        self, fake: FakeProvider, redis: Any
    ) -> None:
        manager = manager_for(fake)
        for spoiled in (
            json_answer([]),
            json_answer({"id": []}, 500),
            Scripted(200, {}, b"<html>"),
            Scripted(307, {"location": "http://evil.example/"}),
        ):
            attempt, code = await began(manager, fake, redis, "u1", "github")
            fake.script("account", spoiled)
            connection = await manager.complete(redis, attempt, code)
            assert connection is not None
            assert connection.profile.account == Account()
            assert await manager.get_token("u1", "github", redis) is not None
