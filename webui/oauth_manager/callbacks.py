"""What a provider sends back through the browser (RFC 6749 4.1.2), read without I/O."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from . import keys
from .answers import OUR_SETUP, code_word
from .errors import FlowRefused

_MAX_QUERY = 16 * 1024  # bytes; Microsoft's codes are about 2 KB
_CODE = re.compile(r"[\x21-\x7e]{1,4096}")
_TROUBLE = {"server_error", "temporarily_unavailable"}
_WORD = re.compile(r"[A-Za-z0-9_]{1,64}")


@dataclass(frozen=True, slots=True)
class AuthorizationResponse:
    """A well-formed response: a state, and either a code or an error."""

    state: str = field(repr=False)
    code: str = field(default="", repr=False)
    error: str = ""
    issuer: str | None = None
    needs_admin: bool = False

    @property
    def outcome(self) -> str:
        """What an error means to the person: ``needs_admin``, ``denied``, ``misconfigured``,
        ``provider_trouble`` or ``failed``; ``""`` where there is a code.
        """
        if not self.error:
            return ""
        if self.needs_admin:
            return "needs_admin"
        if self.error == "access_denied":
            return "denied"
        if self.error in OUR_SETUP:
            return "misconfigured"
        return "provider_trouble" if self.error in _TROUBLE else "failed"


def read_authorization_response(
    query: bytes, admin_codes: Collection[str] = ()
) -> AuthorizationResponse:
    """Read a callback's query.  Raises ``FlowRefused("malformed")``.

    No parameter may stand twice (RFC 6749 3.1), an error beside a code is an
    error, and a state that cannot be ours is never looked up.  Of an error's
    description nothing is kept but whether one of ``admin_codes`` stands in it.
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
    if len(values) != len(pairs) or not keys.is_one_time_value(values.get("state")):
        raise FlowRefused("malformed")
    error = code_word(values["error"]) if "error" in values else ""
    code = "" if error else values.get("code", "")
    if not error and not _CODE.fullmatch(code):
        raise FlowRefused("malformed")
    said = _WORD.findall(values.get("error_description", "")) if error else ()
    # OpenID Connect Core 3.1.2.6: somebody has to consent, and it is not left to the person.
    needs_admin = error == "consent_required" or not set(admin_codes).isdisjoint(said)
    return AuthorizationResponse(values["state"], code, error, values.get("iss"), needs_admin)
