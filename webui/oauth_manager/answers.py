"""Answers of providers, read without I/O: success is judged by content, never by status alone."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from string import ascii_letters
from typing import Any

from .errors import OAuthMisconfigured, OAuthRefused, OAuthUnavailable
from .models import Account, TokenData
from .provider import OAuthProvider

# What each error code means for the stored grant.  RFC 6749 5.2, OpenID Connect
# Core 3.1.2.6, and GitHub's own names.  Every other code is trouble at the provider.
GONE = {
    "invalid_grant",
    "bad_refresh_token",
    "bad_verification_code",
    "interaction_required",
    "consent_required",
    "login_required",
}
OUR_SETUP = {
    "invalid_client",
    "unauthorized_client",
    "incorrect_client_credentials",
    "redirect_uri_mismatch",
    "invalid_scope",
}

MAX_LIFETIME = 10 * 365 * 86400.0  # seconds; beyond it a number is nonsense
# An expiry that is there and cannot be read: neither "now" nor "never".
UNREADABLE_LIFETIME = 3600.0

_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")  # RFC 6750 2.1, bounded
_CODE_WORD = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_NUMBER = re.compile(r"\s*[+-]?\d{1,15}(\.\d{1,9})?\s*", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole and bounded; header names are lower-case."""

    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def retry_after(self) -> float:
        """Seconds asked for by ``Retry-After``, ``0`` where it says nothing usable."""
        value = self.headers.get("retry-after", "")
        return float(value) if value.isascii() and value.isdigit() and len(value) < 7 else 0.0


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a name stands twice")
    return record


def read_json(body: bytes) -> dict[str, Any] | None:
    """A JSON object, or ``None`` for everything else.  Over-long numbers lose precision."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_int=lambda digits: int(digits) if len(digits) < 32 else float(digits),
        )
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def code_word(value: object) -> str:
    """A provider's error code if it is of a plain alphabet, else ``unknown_error``."""
    return _plain_word(value) or "unknown_error"


def _plain_word(value: object) -> str:
    return value if isinstance(value, str) and _CODE_WORD.fullmatch(value) else ""


def read_token_answer(provider: OAuthProvider, step: str, answer: Answer) -> dict[str, Any]:
    """The fields of a successful token answer.

    Judged by content, not by status alone.  Raises ``OAuthRefused`` (gone),
    ``OAuthMisconfigured`` (our setup) or ``OAuthUnavailable`` (trouble).
    """
    fields = read_json(answer.body)
    if fields is None or answer.status == 429 or answer.status >= 500:
        raise _trouble(provider, step, answer)
    if fields.get("error"):
        code = code_word(fields["error"])
        trace = _plain_word(fields.get("trace_id"))
        kind = (
            OAuthRefused
            if code in GONE
            else OAuthMisconfigured
            if code in OUR_SETUP
            else OAuthUnavailable
        )
        failure = kind(provider.name, step, code, trace)
        failure.needs_admin = _needs_admin(provider, fields.get("error_codes"))
        raise failure
    if answer.status != 200:
        raise _trouble(provider, step, answer)
    if not _is_token(fields.get("access_token")):
        raise OAuthUnavailable(provider.name, step, "no_usable_access_token")
    token_type = fields.get("token_type")
    if token_type not in (None, "") and str(token_type).lower() != "bearer":
        # RFC 6749 7.1: a client must not use a token of a type it does not know.
        raise OAuthUnavailable(provider.name, step, "unknown_token_type")
    if fields.get("refresh_token") not in (None, "") and not _is_token(fields["refresh_token"]):
        raise OAuthUnavailable(provider.name, step, "no_usable_refresh_token")
    return fields


def _needs_admin(provider: OAuthProvider, numbers: object) -> bool:
    """Microsoft's ``error_codes``: those of ``admin_codes``, without the letters."""
    known = {code.lstrip(ascii_letters) for code in provider.admin_codes}
    return isinstance(numbers, list) and any(str(number) in known for number in numbers)


def confirms_revocation(answer: Answer) -> bool:
    """RFC 7009 2.2: a 2xx, unless the body is an error after all, or somebody's web page."""
    body = read_json(answer.body) or {}
    is_page = answer.body.strip()[:1] == b"<"
    return 200 <= answer.status < 300 and not body.get("error") and not is_page


def _trouble(provider: OAuthProvider, step: str, answer: Answer) -> OAuthUnavailable:
    error = OAuthUnavailable(provider.name, step, f"http_{answer.status}")
    error.retry_after = answer.retry_after
    return error


def _is_token(value: object) -> bool:
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def token_data(
    provider: OAuthProvider,
    fields: Mapping[str, Any],
    *,
    scopes: Iterable[str],
    refresh_token: str = "",
) -> TokenData:
    """Normalise a token answer; what it omits of scopes and refresh token is kept as given."""
    granted = _scopes(fields.get("scope"))
    now = time.time()
    return TokenData(
        access_token=fields["access_token"],
        refresh_token=fields.get("refresh_token") or refresh_token,
        expires_at=expires_at(fields.get("expires_in"), now),
        scopes=list(scopes) if granted is None else granted,
        token_type="Bearer",
        provider=provider.name,
        issued_at=now,
    )


def _scopes(value: object) -> list[str] | None:
    """Space- or comma-separated text, or a list; ``None`` where nothing usable was said."""
    if isinstance(value, str):
        value = re.split(r"[\s,]+", value.strip())
    if not isinstance(value, list):
        return None
    named = (s for s in value if isinstance(s, str) and re.fullmatch(r"[\x21-\x7e]{1,256}", s))
    return list(dict.fromkeys(named))[:200]


def expires_at(expires_in: object, now: float) -> float:
    """Epoch seconds; ``0`` only where the provider said nothing about an end.

    Zero and negative mean "over already".  What is there and cannot be read
    gets ``UNREADABLE_LIFETIME``: it must neither crash nor mean "for ever".
    """
    if expires_in is None:
        return 0.0
    is_number = isinstance(expires_in, (int, float)) and not isinstance(expires_in, bool)
    is_text = isinstance(expires_in, str) and _NUMBER.fullmatch(expires_in)
    lifetime = float(expires_in) if is_number or is_text else math.nan  # type: ignore[arg-type]
    if not abs(lifetime) <= MAX_LIFETIME:  # true of NaN as well
        lifetime = UNREADABLE_LIFETIME
    return now + max(lifetime, 0.0)


def read_account(
    provider: OAuthProvider, answer: Answer, token_answer: Mapping[str, Any]
) -> Account:
    """Who the person is there; an unexpected shape gives an empty account, never an error."""
    profile = read_json(answer.body) if answer.status == 200 else None
    if profile is None:
        return Account()
    if provider.read_account:
        account = provider.read_account(profile, token_answer)
    else:
        account = Account(
            _text_at(profile, provider.account_id_field),
            _text_at(profile, provider.account_label_field),
        )
    return Account(_plain(account.id), _plain(account.label))


def _text_at(record: Mapping[str, Any], path: str) -> str:
    """The text or whole number at a dotted path (``user.id``), else ``""``."""
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return ""
    return str(value)


def _plain(text: str) -> str:
    return _UNPRINTABLE.sub("", text)[:300]
