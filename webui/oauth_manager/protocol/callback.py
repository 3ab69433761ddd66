"""A provider's response through the browser (RFC 6749 4.1.2), read without I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from ..errors import FlowRefused, Meaning
from ..providers.provider import OAuthProvider
from ..values import replace
from . import facts
from .answers import code_word
from .meanings import meaning_of
from .requests import is_one_time_value

_MAX_QUERY = 16 * 1024  # bytes; Microsoft's codes are about 2 KB
_CODE = re.compile(r"[\x21-\x7e]{1,4096}")
# The number in Microsoft's descriptions: AADSTS65004.
_NUMBER = re.compile(r"(?<![A-Za-z0-9_])[A-Z]*([0-9]{3,12})(?![A-Za-z0-9_])")


@dataclass(frozen=True, slots=True)
class AuthorizationResponse:
    """A well-formed response: a state, and either a code or an error and its meaning."""

    state: str = field(repr=False)
    code: str = field(default="", repr=False)
    error: str = ""
    issuer: str | None = None
    meaning: Meaning = Meaning.UNKNOWN
    returned: tuple[str, ...] = ()  # "name=value" of the facts that the provider's data keep

    @property
    def outcome(self) -> str:
        """Return the outcome of an error (``Meaning.outcome``); ``""`` if there is a code."""
        return self.meaning.outcome if self.error else ""


def read_authorization_response(query: bytes, provider: OAuthProvider) -> AuthorizationResponse:
    """Read a callback's query.  Raises ``FlowRefused("malformed")``.

    No parameter may occur twice (RFC 6749 3.1), an error beside a code is an error, and
    a state that cannot be ours is never looked up.  Of an error's description nothing
    is kept but a known number of the provider's.
    """
    try:
        pairs = (
            parse_qsl(
                query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50
            )
            if len(query) <= _MAX_QUERY
            else []
        )
    except ValueError:
        raise FlowRefused("malformed") from None
    values = dict(pairs)
    if len(values) != len(pairs) or not is_one_time_value(values.get("state")):
        raise FlowRefused("malformed")
    error = code_word(values["error"]) if "error" in values else ""
    code = "" if error else values.get("code", "")
    if not error and not _CODE.fullmatch(code):
        raise FlowRefused("malformed")
    response = AuthorizationResponse(values["state"], code, error, values.get("iss"))
    if not error:
        return replace(response, returned=facts.returned(provider, values))
    numbers = _NUMBER.findall(values.get("error_description", ""))
    said = [values["error"], values.get("error_subcode", ""), *numbers]
    meaning, word = meaning_of(provider, "authorize", said)
    more = f" {word}" if word in numbers else ""
    return replace(response, error=error + more, meaning=meaning)


def check_issuer(provider: OAuthProvider, issuer: str | None, *, is_error: bool = False) -> None:
    """Refuse a response of another issuer, or of none if one is announced (RFC 9207 2.4).

    Real servers omit ``iss`` from their error responses; nothing is sent after one
    of those, so there it may be missing.  Raises ``FlowRefused("issuer")``.
    """
    is_missing = issuer is None and provider.iss_required and not is_error
    if provider.issuer and (is_missing or issuer not in (None, provider.issuer)):
        raise FlowRefused("issuer", provider.name)
