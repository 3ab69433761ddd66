"""The meaning of a refusal: by the provider's own words first, then by everybody's.  No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import Meaning
from ..providers.provider import OAuthProvider

# Of several words of one provider the one that keeps most decides.
_CAUTION = (
    Meaning.TROUBLE,
    Meaning.SETUP,
    Meaning.ADMIN,
    Meaning.VERIFY,
    Meaning.OTHER_ACCOUNT,
    Meaning.OTHER_BROWSER,
    Meaning.DENIED,
    Meaning.AGAIN,
    Meaning.GONE,
)
_Words = Mapping[Meaning, tuple[str, ...]]

# RFC 6749 4.1.2.1 and 5.2, RFC 7636 4.4.1, RFC 8707 2; names of GitHub's, Google's, Slack's and
# LinkedIn's that mean nothing else anywhere.
_EVERYWHERE: _Words = {
    Meaning.SETUP: (
        "invalid_client",
        "unauthorized_client",
        "deleted_client",
        "disabled_client",
        "incorrect_client_credentials",
        "invalid_client_id",
        "invalid_client_secret",
        "bad_client_secret",
        "redirect_uri_mismatch",
        "bad_redirect_uri",
        "invalid_redirect_uri",
        "invalid_scope",
        "invalid_target",
        "invalid_resource",
        "unsupported_grant_type",
        "unsupported_response_type",
    ),
    Meaning.TROUBLE: ("server_error", "temporarily_unavailable", "slow_down"),
    Meaning.VERIFY: ("unverified_user_email",),
}
# OpenID Connect Core 3.1.2.6.
_AGAIN = (
    "interaction_required",
    "login_required",
    "account_selection_required",
    "consent_required",
)
_AT: dict[str, _Words] = {
    "authorize": {
        # The last two: LinkedIn's.
        Meaning.DENIED: ("access_denied", "user_cancelled_login", "user_cancelled_authorize"),
        # An administrator has to consent, not the person who has just been there.
        Meaning.ADMIN: ("consent_required",),
        Meaning.AGAIN: _AGAIN[:-1],
        Meaning.SETUP: ("invalid_request",),
    },
    "exchange": {
        Meaning.GONE: (
            "invalid_grant",
            "bad_verification_code",
            "bad_refresh_token",
            # Slack's (docs.slack.dev, oauth.v2.access), then HubSpot's (HubSpot/hubspot-api-python
            # 115).
            "invalid_code",
            "code_already_used",
            "bad_auth_code",
            "expired_auth_code",
        ),
        Meaning.AGAIN: _AGAIN,
        Meaning.DENIED: ("access_denied",),
    },
    "refresh": {
        Meaning.GONE: (
            "invalid_grant",
            "bad_refresh_token",
            "bad_verification_code",
            "invalid_refresh_token",
            "expired_refresh_token",
            "invalid_token",
            "expired_token",
            "revoked_token",
            # Slack's (docs.slack.dev, oauth.v2.access); the last: of a deleted user.
            "token_expired",
            "token_revoked",
            "account_inactive",
        ),
        Meaning.AGAIN: _AGAIN,
    },
}
# A refresh token that is dead, said in a sentence or in one long name.
_DEAD = "invalid|expired|revoked|bad|unknown|inactive|incorrect|not valid|no longer valid"
_SAYS_DEAD = re.compile(
    rf"\b({_DEAD}) refresh token\b"
    rf"|\brefresh token (passed |provided )?(is |was |has |has been )?({_DEAD})\b"
    r"|(^|\b(the|this|your|provided|users?|oauth|bearer|auth|authentication) )"
    r"token (is |was |has |has been )?(expired|revoked)\b"
    r"|\b(expired|revoked) token\b"
)
# Whatever else such a sentence says, this in it is the operator's to look at.
_SAYS_SETUP = re.compile(
    r"(?<!another )(?<!different )\bclient\b"
    r"|\b(client|consumer|app|application|api) ?"
    r"(id|identifier|secret|key|credentials?|authentication|assertion)\b"
    r"|\b(secret|parameter|(access|id|csrf) token)\b"
)
# A code that is over, a redirect URI that is another, and a client that is not who it says, in a
# sentence: Twitch's, X's, Zoom's, Canva's and LinkedIn's.
_A_CODE = r"(authori[sz]ation|auth|verification) code"
_SAYS_CODE = re.compile(
    rf"\b({_DEAD}|used) {_A_CODE}\b"
    rf"|\b{_A_CODE} (is |was |has |has been |already )*({_DEAD}|used)\b"
)
_SAYS_REDIRECT = re.compile(r"\bredirect(ion)? ur[il]\b")
_A_CLIENT = (
    r"(client|consumer|app|application) (id|identifier|secret|key|credentials|authentication)"
)
_SAYS_CLIENT = re.compile(
    rf"\b({_DEAD}|wrong|missing) {_A_CLIENT}\b"
    rf"|\b{_A_CLIENT} (is |are |was |were )?({_DEAD}|wrong|failed)\b"
)
# Said together, in lower case.  Facebook's and Instagram's (developers.facebook.com, "Handle
# errors"); Strava's (developers.strava.com, "Faults").
_SPENT_TOGETHER = {"authorizationcode", "code", "invalid"}
_DEAD_TOGETHER = ({"oauthexception", "190"}, {"refreshtoken", "refresh_token", "invalid"})
_MOST_SAID = 100  # texts and numbers of one answer
_DEEPEST = 6
_FIRST = ("error", "errors", "code", "status", "type", "errorCode", "errorType")


def meaning_of(provider: OAuthProvider, step: str, said: Sequence[str]) -> tuple[Meaning, str]:
    """Return what a refusal means, and the word that decided it.

    ``step`` is ``authorize``, ``exchange``, ``refresh``, ``account`` or ``revoke``;
    ``said`` everything that the answer said, the most telling first.
    """
    for meaning in _CAUTION:
        own = provider.words.get(meaning, ())
        if meaning is Meaning.GONE:
            own = (*own, *provider.gone)
        for word in said:
            if word in own:
                return meaning, word
    general = (_EVERYWHERE, _AT.get(step, {}))
    for word in said:
        for meanings in general:
            for meaning, words in meanings.items():
                if _snake_case(word) in words:
                    return meaning, word
    return _in_a_sentence(step, said)


def _in_a_sentence(step: str, said: Sequence[str]) -> tuple[Meaning, str]:
    """Return what is meant by an answer whose words are not those of a specification."""
    plain = [_letters(text) for text in said]
    if step == "refresh" and _is_dead_token(said, plain):
        return Meaning.GONE, "dead_refresh_token"
    # Beside a refresh token it may be either.
    clear = [text for text in plain if "refresh token" not in text]
    if step in ("exchange", "refresh") and any(map(_SAYS_CLIENT.search, clear)):
        return Meaning.SETUP, "wrong_client"
    if step == "exchange":
        is_spent = {text.lower() for text in said} >= _SPENT_TOGETHER
        if is_spent or any(map(_SAYS_CODE.search, plain)):
            return Meaning.GONE, "dead_code"
        if any(map(_SAYS_REDIRECT.search, plain)):
            return Meaning.SETUP, "wrong_redirect_uri"
        # Last: some say it of a code that is over (X, LinkedIn).
        if "invalid_request" in map(_snake_case, said):
            return Meaning.SETUP, "invalid_request"
    return Meaning.UNKNOWN, ""


def _snake_case(word: str) -> str:
    """Write ``invalidGrant`` and ``invalid-grant`` as the specifications do."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|-", "_", word).lower()


def _letters(text: str) -> str:
    """Return the words of a text, in small letters between blanks."""
    return re.sub(r"[^a-z]+", " ", _snake_case(text[:200])).strip()


def _is_dead_token(said: Sequence[str], plain: Sequence[str]) -> bool:
    """Tell whether it says so in words, and nothing that only an operator can mend."""
    if any(map(_SAYS_SETUP.search, plain)):
        return False
    together = {text.lower() for text in said}
    return any(map(_SAYS_DEAD.search, plain)) or any(words <= together for words in _DEAD_TOGETHER)


def everything_said(value: Any) -> list[str]:
    """List every text and number of an answer, errors first, outer ones before inner ones."""
    said: list[str] = []
    pending: list[Any] = [value]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for each in pending:
            inner += each if isinstance(each, list) else _members(each)
        said += _plain(pending)
        pending = inner[:_MOST_SAID]
    return list(dict.fromkeys(said))[:_MOST_SAID]


def _members(value: Any) -> Iterable[Any]:
    if not isinstance(value, dict):
        return ()
    first = [value[name] for name in _FIRST if name in value]
    return [*first, *(inner for name, inner in value.items() if name not in _FIRST)]


def _plain(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value.strip()
        elif isinstance(value, int) and not isinstance(value, bool):
            yield str(value)
