"""The library refuses the same settings as the site, in the same words."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.kit.every import every
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import BASE_URL, KEY
from tests.site.test_settings import GOOD
from webui.oauth_manager import OAuthManager, check_user_id, init_oauth_manager
from webui.oauth_manager.protocol.transport import Transport
from webui.settings.settings import SettingsError, load_settings

BAD_BASES = [
    "bot.example",
    "bot.example/",
    "//bot.example",
    "/oauth",
    "ftp://bot.example",
    "javascript:alert(1)",
    "https://",
    "https:///x",
    "http://bot.example",
    "http://10.0.0.1:8000",
    "https://user:canary@bot.example",
    "https://bot.example?x=canary",
    "https://bot.example/#canary",
    "https://bot.example:0",
    "https://bot.example:",
    "https://bot.example:99999",
    "https://bot example",
    "https://bot.example\\x",
    "https://b\u00f6t.example",
    "https://bot..example",
    "https://127.1",
    "https://[::1",
]
BAD_ENDPOINTS = [
    "http://provider.example/token",
    "http://10.0.0.1/token",
    "http://localhost.evil.example/token",
    "http://notlocalhost/token",
    "http://acme.localhost.evil.example/token",
    "http://127.0.0.1.evil.example/token",
    "http://[::ffff:10.0.0.1]/token",
    "provider.example/token",
    "//provider.example/token",
    "ftp://provider.example/token",
    "https://user:canary@provider.example/token",
    "https://provider.example/token#canary",
    "https://provider.example/to ken",
    "https://provid\u00e9r.example/token",
    "https:///token",
    "javascript:alert(1)",
]
ENDPOINTS = ("authorize_url", "token_url", "revoke_url", "account_url", "issuer", "manage_url")


def elsewhere(**more: Any) -> dict[str, dict[str, Any]]:
    """A provider of one's own, as the library is given it."""
    usual = {
        "authorize_url": "https://git.example/authorize",
        "token_url": "https://git.example/token",
        "client_id": "id",
        "client_secret": "secret",
    }
    return {"gitea": {**usual, **more}}


def said_by_the_library(base_url: str = BASE_URL, **more: Any) -> str:
    try:
        OAuthManager(KEY, base_url, elsewhere(**more))
    except ValueError as error:
        return str(error)
    return ""


def said_by_the_site(base_url: str = BASE_URL, **more: str) -> tuple[str, ...]:
    names = {f"GITEA_{name.upper()}": value for name, value in elsewhere(**more)["gitea"].items()}
    given = {**GOOD, "BASE_URL": base_url, "EXTRA_PROVIDERS": "gitea", **names}
    try:
        load_settings(given)
    except SettingsError as error:
        return error.faults
    return ()


@every("base_url", BAD_BASES)
def test_a_base_url_that_the_site_refuses_is_refused_in_the_same_words(base_url: str) -> None:
    (fault,) = said_by_the_site(base_url)
    said = said_by_the_library(base_url)
    assert said == fault.replace("BASE_URL", "base_url").removesuffix(".")
    assert "canary" not in said


@every("name", ENDPOINTS)
@every("url", BAD_ENDPOINTS)
def test_a_providers_address_that_the_site_refuses_is_refused_in_the_same_words(
    name: str, url: str
) -> None:
    (fault,) = said_by_the_site(**{name: url})
    said = said_by_the_library(**{name: url})
    assert said == f"provider 'gitea': {name}{fault.removeprefix(f'GITEA_{name.upper()}')[:-1]}"
    assert "canary" not in said


@every("name", ["client_id", "client_secret"])
@every(
    "value",
    ["a\nb", "caf\u00e9", "x" * 1025, "\u00a0id", "'id", 'id"', "id`", "\u201cid", "`id`", "'id'"],
)
def test_a_client_id_or_secret_that_the_site_refuses_is_refused_in_the_same_words(
    name: str, value: str
) -> None:
    (fault,) = said_by_the_site(**{name: value})
    assert said_by_the_library(**{name: value}).endswith(fault.partition(" ")[2][:-1])


def test_a_blank_is_taken_inside_a_client_id_and_not_at_its_ends() -> None:
    """RFC 6749, appendix A; the site takes off what the environment has around a value."""
    assert said_by_the_site(client_id="an id") == ()
    for value in (" id", "id "):
        told = said_by_the_library(client_id=value)
        assert told.endswith("client_id must not begin or end with a blank")


PUBLISHED = "46BKJoQYlPPOexq0OhDZnIlNepKFf87WFwLbfzqDDho="


@pytest.mark.parametrize("key", ["abc", "!" * 44, KEY[:-1], f"{KEY} abc", PUBLISHED])
def test_a_key_that_the_site_refuses_is_logged_by_the_library_in_the_same_words(
    key: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({**GOOD, "ENCRYPTION_KEY": key})
    (fault,) = caught.value.faults
    OAuthManager(key, BASE_URL)
    logged = caplog.messages[0]
    assert logged.startswith(fault.replace("ENCRYPTION_KEY", "encryption_key").removesuffix("."))
    assert key.split()[-1] not in caplog.text
    is_plain = "tokens are stored as plain text" in caplog.text
    assert is_plain is (OAuthManager(key)._fernet is None)


def test_without_a_key_the_library_logs_that_tokens_are_stored_as_plain_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    OAuthManager(KEY)
    assert not caplog.messages
    OAuthManager()
    assert caplog.messages == ["no encryption_key is usable: tokens are stored as plain text"]


def test_an_endpoint_that_moved_to_another_server_alone_is_refused() -> None:
    for name in ("authorize_url", "token_url"):
        with pytest.raises(ValueError, match="is missing: the other one names another server"):
            OAuthManager(KEY, BASE_URL, {"github": {name: "https://ghe.example/oauth"}})
    OAuthManager(KEY, BASE_URL, {"github": {"token_url": "https://github.com/another"}})


@every("value", [12345, 12.5, True, b"id", ["id"]])
def test_a_number_for_text_is_refused_with_what_to_write(value: object) -> None:
    for name in ("client_id", "client_secret", "token_url"):
        said = said_by_the_library(**{name: value})  # type: ignore[arg-type]
        assert f"{name} must be text, not {type(value).__name__}" in said
    with pytest.raises(ValueError, match=r"^base_url must be text, not .* str\(number\)$"):
        OAuthManager(KEY, value)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^a user id is text, not .* str\(number\)$"):
        check_user_id(value)  # type: ignore[arg-type]


@every(
    ("base_url", "used"),
    [
        ("", ""),
        ("https://bot.example", "https://bot.example"),
        ("https://bot.example/", "https://bot.example"),
        ("https://BOT.example:443/", "https://bot.example"),
        ("https://bot.example:8443", "https://bot.example:8443"),
        ("https://bot.example/apps/bot/", "https://bot.example/apps/bot"),
        ("http://localhost:8000/", "http://localhost:8000"),
        ("http://acme.shop.localhost:8000/", "http://acme.shop.localhost:8000"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_callers_base_url_keeps_working_with_no_slash_at_its_end(
    base_url: str, used: str
) -> None:
    manager = OAuthManager(KEY, base_url)
    assert manager.base_url == used
    assert manager.redirect_uri("github") == f"{used}/oauth/github/callback"


def test_nothing_at_all_is_enough() -> None:
    assert init_oauth_manager().base_url == ""


def test_http_may_lead_to_this_machine_and_anywhere_without_a_network() -> None:
    local = {name: f"http://127.0.0.1:9/{name}" for name in ENDPOINTS}
    assert OAuthManager(KEY, BASE_URL, elsewhere(**local)).providers["gitea"].is_configured
    unprotected = elsewhere(token_url="http://git.example/token")
    replaced = Transport(httpx.ASGITransport(FakeProvider()))
    OAuthManager(KEY, BASE_URL, unprotected, transport=replaced)
    with pytest.raises(ValueError, match="token_url must be an https address"):
        OAuthManager(KEY, BASE_URL, unprotected, transport=Transport())


def test_an_empty_value_counts_as_not_given() -> None:
    config = {"github": {"client_id": "", "token_url": "", "revoke_url": None}}
    assert not OAuthManager(KEY, BASE_URL, config).is_provider_configured("github")
