"""Errors and refusals in one word each, for cards, notices and the chat."""

from __future__ import annotations

import inspect

from webui.oauth_manager import (
    FlowRefused,
    HostRefused,
    Meaning,
    OAuthAmbiguous,
    OAuthError,
    OAuthMisconfigured,
    OAuthNotConnected,
    OAuthRefused,
    OAuthUnavailable,
    RecordNewer,
    RecordUnreadable,
    StoreUnavailable,
    errors,
)
from webui.text.words import CATALOGUE

WORDS_OF_MEANINGS = {
    "gone": "failed",
    "again": "failed",
    "moved": "failed",
    "admin": "needs_admin",
    "denied": "denied",
    "verify": "verify",
    "other_account": "other_account",
    "other_browser": "other_browser",
    "setup": "misconfigured",
    "trouble": "provider_trouble",
    "unknown": "not_understood",
}
WORDS: list[tuple[OAuthError, str]] = [
    (OAuthError(), "failed"),
    (OAuthNotConnected("github", "https://bot.example/connect/x"), "failed"),
    (OAuthUnavailable("github", "refresh"), "provider_trouble"),
    (OAuthAmbiguous("github", "https://bot.example/connections", ["work"]), "failed"),
    (StoreUnavailable("read"), "store_away"),
    (OAuthMisconfigured("github", "exchange"), "misconfigured"),
    (OAuthRefused("github", "exchange"), "failed"),
    (HostRefused("github", "https://evil.example", ("api.github.com",)), "failed"),
    (FlowRefused("unknown"), "attempt_over"),
    (FlowRefused("cancelled"), "attempt_over"),
    (FlowRefused("issuer"), "failed"),
    (FlowRefused("unnamed"), "start_here"),
    (FlowRefused("too_many"), "too_many"),
    (RecordUnreadable("damaged"), "failed"),
    (RecordNewer(), "failed"),
]


def test_the_message_for_a_model_holds_no_link() -> None:
    lacking = OAuthNotConnected("github", "https://bot.example/connect/x", ("repo",))
    assert "https://bot.example/connect/x" in str(lacking)
    assert "github is not connected with these permissions: repo." in lacking.for_model
    for error, _ in WORDS:
        assert "bot.example" not in error.for_model
        assert error.for_model == str(error) or isinstance(error, OAuthNotConnected)


def test_every_meaning_has_its_word() -> None:
    assert {meaning: meaning.outcome for meaning in Meaning} == WORDS_OF_MEANINGS


def test_every_error_has_its_word() -> None:
    assert [(error, error.outcome) for error, _ in WORDS] == WORDS
    concrete = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, OAuthError)
    }
    assert {type(error) for error, _ in WORDS} == concrete - {errors.ProviderFailure}


def test_a_refusal_has_the_word_of_its_meaning() -> None:
    for kind in (OAuthRefused, OAuthMisconfigured):
        found = {
            meaning: kind("github", "exchange", meaning=meaning).outcome for meaning in Meaning
        }
        assert found == WORDS_OF_MEANINGS


def test_a_provider_that_may_answer_otherwise_later_is_in_trouble_whatever_it_said() -> None:
    failure = OAuthUnavailable("github", "refresh", meaning=Meaning.UNKNOWN)
    assert failure.outcome == "provider_trouble"
    failure.may_reconnect = True
    assert failure.outcome == "stuck"


def test_every_word_of_a_failure_has_a_sentence() -> None:
    found = {error.outcome for error, _ in WORDS} | set(WORDS_OF_MEANINGS.values())
    assert [
        word
        for word in found
        if not any(
            f"{place}.{word}{end}" in CATALOGUE
            for place in ("card", "chat")
            for end in ("", ".title")
        )
    ] == []
