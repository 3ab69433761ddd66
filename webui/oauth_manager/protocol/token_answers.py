"""Token answers (RFC 6749 5), judged by content and never by status alone.  No I/O."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Meaning, OAuthMisconfigured, OAuthRefused, OAuthUnavailable, ProviderFailure
from ..providers.provider import OAuthProvider
from ..token_data import TokenData
from .answers import (
    BUSY,
    Answer,
    any_json,
    everything_in,
    form_fields,
    plain_word,
    says_no,
    value_at,
)
from .meanings import meaning_of

LONGEST_LIFETIME = 100 * 365 * 86400.0  # seconds; a longer lifetime is cut to this
# An expiry that is present but unreadable: neither "now" nor "never".
UNREADABLE_LIFETIME = 3600.0

_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")  # RFC 6750 2.1, bounded
_SCOPES = ("scope", "scopes", "permissions")  # names that answers have for it (Instagram: the last)
_OF_A_TOKEN = frozenset(
    {"access_token", "refresh_token", "expires_in", "token_type", "id_token", *_SCOPES}
)
_NUMBER = re.compile(r"\s*[+-]?\d+(\.\d{1,9})?\s*", re.ASCII)


def read_token_answer(
    provider: OAuthProvider, step: str, answer: Answer, *, issued_to: str = ""
) -> dict[str, Any]:
    """Return the fields of a successful token answer, ``access_token`` usable.

    Judged by content: any 2xx with a token for us and without an error.  ``issued_to``
    is the client id that the refresh token belongs to, ``""`` if unknown.  Raises
    ``OAuthRefused`` (over, or the person's or an administrator's to do),
    ``OAuthMisconfigured`` (the operator's) or ``OAuthUnavailable`` (trouble).
    """
    if answer.status in BUSY or answer.status >= 500 or 300 <= answer.status < 400:
        raise trouble(provider, step, answer)
    is_good = 200 <= answer.status < 300
    is_refresh = step == "refresh"
    content = _renewed(answer.body) if is_good and is_refresh else any_json(answer.body)
    content = _at_token_path(provider, content)
    if _is_known(provider, step, answer, content):
        raise refusal(provider, step, answer, content, issued_to)
    if is_good and isinstance(content, dict) and not says_no(content):
        return _checked_tokens(provider, step, content)
    if not isinstance(content, dict) and (is_good or not is_refresh):
        raise trouble(provider, step, answer)
    raise refusal(provider, step, answer, content, issued_to)


def _at_token_path(provider: OAuthProvider, content: Any) -> Any:
    """Lift the tokens up from the provider's own place; beside them nothing of others stays."""
    inner = value_at(content, provider.token_path) if provider.token_path else None
    if not isinstance(inner, dict) or not isinstance(content, dict):
        return content
    if "access_token" not in inner:  # its scopes may lie there even so (Slack)
        return {**{k: inner[k] for k in ("scope",) if k in inner}, **content}
    return {**{k: v for k, v in content.items() if k not in _OF_A_TOKEN}, **inner}


def _checked_tokens(provider: OAuthProvider, step: str, fields: dict[str, Any]) -> dict[str, Any]:
    code = ""
    token_type, refresh_token = fields.get("token_type"), fields.get("refresh_token")
    known = ("", "bearer", *map(str.lower, provider.token_types))
    is_bearer = token_type is None or str(token_type).lower() in known
    if not _is_token(fields.get("access_token")):
        code = "no_usable_access_token"
    elif not is_bearer:
        # RFC 6749 7.1: a client must not use a token of a type it does not know.
        code = "unknown_token_type"
    elif refresh_token not in (None, "") and not _is_token(refresh_token):
        if step == "refresh":  # the access token works, and the old pair may be over
            return {**fields, "refresh_token": ""}
        code = "no_usable_refresh_token"
    if code:
        raise OAuthMisconfigured(provider.name, step, code, meaning=Meaning.UNKNOWN)
    return fields


def _renewed(body: bytes) -> Any:
    """Read a renewed pair however it is written, as long as that is unambiguous.

    Nobody else has it, so it is also read from a form, a list of one, an object within
    another, and beside bytes that are no UTF-8.
    """
    content = any_json(body)
    if content is None:
        fields = form_fields(body) or {}
        is_said = "access_token" in fields or "error" in fields
        content = fields if is_said else any_json(body.decode("utf-8", "replace").encode())
    return _unwrapped(content[0] if isinstance(content, list) and len(content) == 1 else content)


def _unwrapped(content: Any) -> Any:
    """Return the inner object that holds a renewed pair."""
    if isinstance(content, dict) and "access_token" not in content and not says_no(content):
        inner = [v for v in content.values() if isinstance(v, dict) and "access_token" in v]
        return inner[0] if len(inner) == 1 else content
    return content


def _is_known(provider: OAuthProvider, step: str, answer: Answer, content: Any) -> bool:
    """Tell whether an answer that is no error by its form still says something known."""
    if isinstance(content, dict) and "access_token" in content:
        return False
    said = everything_in(answer, content)
    return meaning_of(provider, step, said)[0] is not Meaning.UNKNOWN


def refusal(
    provider: OAuthProvider, step: str, answer: Answer, content: Any, issued_to: str
) -> ProviderFailure:
    said = everything_in(answer, content)
    meaning, word = meaning_of(provider, step, said)
    if step == "exchange" and answer.status == 401 and meaning in (Meaning.UNKNOWN, Meaning.DENIED):
        meaning = Meaning.SETUP  # RFC 6749 5.2: the client is not who it says
    if issued_to not in ("", provider.client_id) and meaning is not Meaning.TROUBLE:
        meaning = Meaning.MOVED  # RFC 6749 6: bound to the client it was issued to
    kind: type[ProviderFailure] = OAuthRefused
    if meaning is Meaning.TROUBLE or (meaning is Meaning.UNKNOWN and step == "refresh"):
        kind = OAuthUnavailable
    elif meaning in (Meaning.SETUP, Meaning.UNKNOWN):
        kind = OAuthMisconfigured
    fields = content if isinstance(content, dict) else {}
    code, trace = _code(fields, word, answer.status), plain_word(fields.get("trace_id"))
    return kind(provider.name, step, code, trace, meaning=meaning)


def _code(fields: Mapping[str, Any], word: str, status: int) -> str:
    """Return the error code, with Microsoft's number behind it, or the word that decided.

    A provider's texts are not repeated, except for words in our own data.
    """
    error = fields.get("error")
    inside = error if isinstance(error, dict) else {}
    candidates = [error, inside.get("code"), inside.get("type"), _slug(word)]
    candidates += [fields.get("code"), fields.get("status")]
    nothing = "unknown_error" if error else f"http_{status}"
    named = next(filter(None, map(_word_or_number, candidates)), nothing)
    numbers = fields.get("error_codes")
    number = _word_or_number(numbers[0]) if isinstance(numbers, list) and numbers else ""
    return f"{named} {number}" if number else named


def _slug(word: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.\-]+", "_", word)[:64]


def _word_or_number(value: object) -> str:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return plain_word(str(value) if is_number else value)


def trouble(provider: OAuthProvider, step: str, answer: Answer) -> OAuthUnavailable:
    error = OAuthUnavailable(provider.name, step, f"http_{answer.status}")
    error.retry_after = answer.retry_after
    return error


def _is_token(value: object) -> bool:
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def token_data(
    provider: OAuthProvider,
    fields: Mapping[str, Any],
    *,
    now: float,
    scopes: Iterable[str],
    refresh_token: str = "",
) -> TokenData:
    """Normalise a token answer that came ``now`` (epoch seconds).

    Omitted scopes and refresh token are kept as given.
    """
    told_scopes = (fields[name] for name in _SCOPES if name in fields)
    granted = _scopes(next(told_scopes, None))
    renews_by = fields.get("refresh_token") or refresh_token
    if not granted and provider.is_of_app(can_renew=bool(renews_by)):
        granted = list(scopes) if refresh_token else []  # of its installation, and not told
    if provider.refresh == "none":
        renews_by = ""
    told = fields.get("expires_in")
    if provider.lifetime:
        told = provider.lifetime if told is None else told
        told = None if provider.lifetime < 0 else told
    return TokenData(
        access_token=fields["access_token"],
        refresh_token=renews_by,
        expires_at=expires_at(told, now, can_renew=bool(renews_by)),
        scopes=list(scopes) if granted is None else granted,
        token_type="Bearer",
        provider=provider.name,
        issued_at=now,
        client_id=provider.client_id,
        server=provider.server,
        issuer=provider.issuer,
        asked=provider.asked,
    )


def _scopes(value: object) -> list[str] | None:
    """Read space- or comma-separated text, or a list; ``None`` if nothing usable was said."""
    if isinstance(value, str):
        value = re.split(r"[\s,]+", value.strip())
    if not isinstance(value, list):
        return None
    named = (s for s in value if isinstance(s, str) and re.fullmatch(r"[\x21-\x7e]{1,256}", s))
    return list(dict.fromkeys(named))[:200]


def expires_at(expires_in: object, now: float, *, can_renew: bool = True) -> float:
    """Return the expiry in epoch seconds; ``0`` for no end.

    Zero and negative mean "over already", or no end for a fresh token that nothing
    ``can_renew``.  However large a number is, it means far away: ``LONGEST_LIFETIME``.
    An unreadable value gets ``UNREADABLE_LIFETIME``: it must neither crash nor mean
    "for ever".
    """
    if expires_in is None:
        return 0.0
    is_number = isinstance(expires_in, (int, float)) and not isinstance(expires_in, bool)
    is_text = isinstance(expires_in, str) and _NUMBER.fullmatch(expires_in)
    try:
        lifetime = float(expires_in) if is_number or is_text else math.nan  # type: ignore[arg-type]
    except OverflowError:  # an integer beyond every float
        lifetime = math.inf if expires_in > 0 else -math.inf  # type: ignore[operator]
    if math.isnan(lifetime):
        lifetime = UNREADABLE_LIFETIME
    if lifetime <= 0 and not can_renew:
        return 0.0
    return now + min(max(lifetime, 0.0), LONGEST_LIFETIME)
