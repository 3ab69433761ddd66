"""Answers of providers, judged by their content: the corpus of everything that may come back."""

from __future__ import annotations

import base64
import json
import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fake_answers import Answer as Scripted
from tests.fake_answers import json_answer
from tests.fake_provider import FakeProvider
from tests.library import BASE_URL, began, fake_provider, granted, manager_for, soon
from webui.oauth_manager import (
    Account,
    OAuthError,
    OAuthManager,
    OAuthMisconfigured,
    OAuthProvider,
    OAuthRefused,
    OAuthUnavailable,
)
from webui.oauth_manager.answers import (
    MAX_LIFETIME,
    UNREADABLE_LIFETIME,
    Answer,
    expires_at,
    read_account,
    read_json,
    read_token_answer,
    token_data,
)

PLAIN = OAuthProvider("plain", "https://p.example/authorize", "https://p.example/token")
NOW = 1_800_000_000.0
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
    ("server_error", OAuthUnavailable),
    ("temporarily_unavailable", OAuthUnavailable),
    ("unverified_user_email", OAuthUnavailable),
    ("something_new", OAuthUnavailable),
]


class TestWhatIsNoSuccess:
    @pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
    @pytest.mark.parametrize("status", [200, 400, 500])
    def test_a_body_that_is_no_token_answer_is_trouble_and_is_not_quoted(
        self, body: bytes, status: int
    ) -> None:
        with pytest.raises(OAuthUnavailable) as caught:
            judge(body, status)
        assert "canary" not in f"{caught.value!r} {caught.value}"
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None

    @pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS.keys())
    def test_an_access_token_that_is_no_bounded_printable_ascii_is_refused(
        self, token: object
    ) -> None:
        with pytest.raises(OAuthUnavailable) as caught:
            judge({"access_token": token})
        assert caught.value.code == "no_usable_access_token"
        assert "canary" not in str(caught.value)

    @pytest.mark.parametrize(
        "token",
        [v for k, v in TOKENS.items() if k not in ("empty", "null")],
        ids=[k for k in TOKENS if k not in ("empty", "null")],
    )
    def test_so_is_a_refresh_token(self, token: object) -> None:
        with pytest.raises(OAuthUnavailable):
            judge({"access_token": "a", "refresh_token": token})

    @pytest.mark.parametrize("token", ["", None])
    def test_an_empty_refresh_token_is_an_omitted_one(self, token: object) -> None:
        fields = judge({"access_token": "a", "refresh_token": token})
        assert token_data(PLAIN, fields, scopes=[], refresh_token="kept").refresh_token == "kept"

    @pytest.mark.parametrize("token_type", ["mac", "DPoP", 5, 0, True, [], {}, "Bearer "])
    def test_a_token_of_a_type_we_cannot_use_is_refused(self, token_type: object) -> None:
        with pytest.raises(OAuthUnavailable):
            judge({"access_token": "a", "token_type": token_type})

    @pytest.mark.parametrize("token_type", ["Bearer", "bearer", "BEARER", None, ""])
    def test_bearer_in_any_case_is_stored_as_bearer(self, token_type: object) -> None:
        fields = judge({"access_token": "a", "token_type": token_type})
        assert token_data(PLAIN, fields, scopes=[]).token_type == "Bearer"

    def test_a_missing_token_type_is_taken_for_bearer(self) -> None:
        assert token_data(PLAIN, judge({"access_token": "a"}), scopes=[]).token_type == "Bearer"

    @pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 400, 401, 404, 429, 500, 503])
    def test_a_token_with_a_status_other_than_200_is_no_success(self, status: int) -> None:
        with pytest.raises(OAuthUnavailable):
            judge(GOOD, status)

    def test_a_token_of_16_kilobytes_is_taken(self) -> None:
        assert judge({"access_token": "x" * 16_384})


class TestThreeKindsOfFailure:
    @pytest.mark.parametrize(("code", "kind"), ERRORS)
    @pytest.mark.parametrize("status", [200, 400, 401, 403])
    def test_the_error_code_decides_whatever_the_status(
        self, code: str, kind: type[OAuthError], status: int
    ) -> None:
        with pytest.raises(OAuthError) as caught:
            judge({"error": code, "error_description": "canary"}, status)
        assert type(caught.value) is kind
        assert "canary" not in str(caught.value)

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    @pytest.mark.parametrize("code", ["invalid_grant", "invalid_client"])
    def test_a_server_in_trouble_is_not_believed_about_a_grant(
        self, status: int, code: str
    ) -> None:
        with pytest.raises(OAuthUnavailable):
            judge({"error": code}, status)

    def test_an_error_beside_a_token_is_an_error(self) -> None:
        with pytest.raises(OAuthRefused):
            judge({"access_token": "a", "error": "invalid_grant"})

    @pytest.mark.parametrize(
        "code",
        ["<script>", "x" * 65, "a b", "a\nb", "\ud800", 5, ["invalid_grant"], {"a": 1}, True],
    )
    def test_a_strange_error_is_trouble_and_is_not_quoted(self, code: object) -> None:
        with pytest.raises(OAuthUnavailable) as caught:
            judge({"error": code})
        assert caught.value.code == "unknown_error"

    def test_the_trace_of_microsoft_is_kept_for_support(self) -> None:
        with pytest.raises(OAuthRefused) as caught:
            judge({"error": "invalid_grant", "trace_id": "0a1b-2c3d", "error_codes": [70000]})
        assert caught.value.trace == "0a1b-2c3d"

    @pytest.mark.parametrize(
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
    @pytest.mark.parametrize(
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
            (10 * 365 * 86400, MAX_LIFETIME),
        ],
    )
    def test_a_number_is_taken_however_it_is_written(
        self, expires_in: object, lifetime: float
    ) -> None:
        assert expires_at(expires_in, NOW) == NOW + lifetime

    @pytest.mark.parametrize(
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
            math.inf,
            -math.inf,
            "NaN",
            "Infinity",
            1e20,
            "9" * 5000,
            MAX_LIFETIME + 1,
        ],
        ids=str,
    )
    def test_nonsense_is_neither_now_nor_for_ever(self, expires_in: object) -> None:
        assert expires_at(expires_in, NOW) == NOW + UNREADABLE_LIFETIME

    def test_only_silence_means_no_end(self) -> None:
        assert expires_at(None, NOW) == 0.0

    @pytest.mark.parametrize(
        "written",
        [
            "NaN",
            "Infinity",
            "-Infinity",
            "1e999",
            "-1e999",
            "1e20",
            "9" * 5000,
            "true",
            "[]",
            '"x"',
        ],
    )
    def test_the_same_holds_for_what_json_makes_of_it(self, written: str) -> None:
        fields = judge(f'{{"access_token":"a","expires_in":{written}}}')
        assert 0 < token_data(PLAIN, fields, scopes=[]).expires_at - time.time() <= MAX_LIFETIME

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
        assert NOW <= expires_at(expires_in, NOW) <= NOW + MAX_LIFETIME


class TestScopes:
    @pytest.mark.parametrize(
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

    @pytest.mark.parametrize("said", [None, 5, True, {"a": 1}])
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
    @pytest.mark.parametrize(
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

    @pytest.mark.parametrize(
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

    @pytest.mark.parametrize(
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

    @pytest.mark.parametrize("status", [301, 401, 403, 404, 500])
    def test_so_is_any_other_status(self, status: int) -> None:
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
        with pytest.raises(OAuthUnavailable):
            await manager.complete(redis, attempt, code)
        assert await redis.keys("stargazer:oauth_tokens:*") == []
        assert await redis.keys("stargazer:oauth_connection:*") == []
        assert fake.calls["token"] == 1
        assert "canary" not in caplog.text

    @pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
    async def test_a_refresh_fails_keeps_the_record_and_serves_what_is_still_valid(
        self, fake: FakeProvider, redis: Any, body: bytes
    ) -> None:
        manager = manager_for(fake)
        token = granted(fake, "google", expires_at=soon())
        await manager.store_token(redis, "u1", token)
        before = await redis.get("stargazer:oauth_tokens:u1:google")
        fake.script("token", Scripted(200, {}, body))
        assert await manager.get_token("u1", "google", redis) == token.access_token
        assert await redis.get("stargazer:oauth_tokens:u1:google") == before

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
