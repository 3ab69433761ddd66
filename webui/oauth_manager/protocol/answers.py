"""Answers of providers, read without I/O: success is judged by content, never by status alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from ..errors import Meaning
from ..models import Account
from ..providers import addresses
from ..providers.provider import OAuthProvider
from .meanings import everything_said, meaning_of

BUSY = (408, 425, 429)  # anything said beside them is about the moment

_CODE_WORD = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_HANDLE = re.compile(r"[\x21-\x7e]{1,80}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer, whole and bounded; header names are lower-case."""

    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def retry_after(self) -> float:
        """Return the seconds of ``Retry-After``, ``0`` if it says nothing usable."""
        value = self.headers.get("retry-after", "")
        return float(value) if value.isascii() and value.isdigit() and len(value) < 7 else 0.0


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a record from pairs.  Raises ``ValueError`` if a name occurs twice."""
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a name stands twice")
    return record


def read_json(body: bytes) -> dict[str, Any] | None:
    """Parse a JSON object; ``None`` for everything else.  Over-long numbers lose precision."""
    value = any_json(body)
    return value if isinstance(value, dict) else None


def any_json(body: bytes) -> Any:
    """Parse any JSON, ``None`` if it is none; ignores a byte order mark (RFC 8259, 8.1)."""
    try:
        return json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=unique,
            parse_int=lambda digits: int(digits) if len(digits) < 32 else float(digits),
        )
    except (ValueError, RecursionError):
        return None


def code_word(value: object) -> str:
    """Return a provider's error code if it is of a plain alphabet, else ``unknown_error``."""
    return plain_word(value) or "unknown_error"


def plain_word(value: object) -> str:
    """Return a text if it is of a plain alphabet, else ``""``."""
    return value if isinstance(value, str) and _CODE_WORD.fullmatch(value) else ""


def everything_in(answer: Answer, content: Any) -> list[str]:
    """List everything in an answer: its JSON, which is ``content``, or a form, or a plain text."""
    if content is None:
        content = form_fields(answer.body) or answer.body[:200].decode("utf-8", "replace")
    return everything_said(content)


def form_fields(body: bytes) -> dict[str, str] | None:
    """Parse a form's fields, ``None`` if it is none, or a name occurs twice."""
    try:
        return unique(parse_qsl(body.decode("ascii"), strict_parsing=True, max_num_fields=50))
    except ValueError:
        return None


def says_no(content: Any) -> bool:
    """Tell whether an answer is an error whatever its status; one of the code ``ok`` is none."""
    if not isinstance(content, Mapping):
        return False
    error = content.get("error")
    is_fine = isinstance(error, Mapping) and error.get("code") == "ok"  # TikTok, in every answer
    return (bool(error) and not is_fine) or content.get("ok") is False


def _tells_nothing(content: Any) -> bool:
    """Tell whether an account answer is an error: also GraphQL's, without data (its 7.1)."""
    if says_no(content):
        return True
    return isinstance(content, dict) and bool(content.get("errors")) and not content.get("data")


def refuses_token(provider: OAuthProvider, answer: Answer) -> bool:
    """Tell whether an account address calls the token over: 401 (RFC 6750 3.1), or a refusal
    in the provider's own words for that.
    """
    if answer.status in BUSY or answer.status >= 500:
        return False
    content = any_json(answer.body)
    is_refusal = _tells_nothing(content)
    if answer.status == 401 or (200 <= answer.status < 300 and not is_refusal):
        return answer.status == 401
    return meaning_of(provider, "account", everything_in(answer, content))[0] is Meaning.GONE


def confirms_revocation(answer: Answer) -> bool:
    """Tell a confirmation (RFC 7009 2.2): a 2xx, unless the body is an error or a web page."""
    body = read_json(answer.body) or {}
    is_page = answer.body.strip()[:1] == b"<"
    return 200 <= answer.status < 300 and not says_no(body) and not is_page


def read_profile(provider: OAuthProvider, answer: Answer) -> dict[str, Any] | list[Any] | None:
    """Return the account address's record of a person, or its list of records, None if neither."""
    content = any_json(answer.body) if answer.status == 200 else None
    is_list = isinstance(content, list) and provider.account_id_field[:1].isdecimal()
    is_record = isinstance(content, dict) and not _tells_nothing(content)
    return content if is_list or is_record else None


def read_account(
    provider: OAuthProvider, answer: Answer, token_answer: Mapping[str, Any]
) -> Account:
    """Read the person's account; an unexpected shape gives an empty account, never an error."""
    profile = read_profile(provider, answer)
    if profile is None:
        return Account()
    if provider.read_account and isinstance(profile, dict):
        account = provider.read_account(profile, token_answer)
    else:
        account = Account(
            _joined_at(profile, provider.account_id_field),
            text_at(profile, provider.account_label_field),
        )
    return Account(addresses.own_id(provider, _plain(account.id)), _plain(account.label))


def read_permissions(provider: OAuthProvider, answer: Answer) -> list[str] | None:
    """Read what an app's installations allow; None if the answer does not say."""
    content = read_json(answer.body) if answer.status == 200 else None
    if content is None or says_no(content) or provider.read_permissions is None:
        return None
    return list(provider.read_permissions(content))


def read_handle(provider: OAuthProvider, answer: Answer) -> str:
    """Read an account name that nobody else there can have and that shows as it is, else ``""``.

    So plain letters alone: other letters could look like those of another's name.  An
    address that the provider calls unverified may be anybody's.
    """
    profile = read_profile(provider, answer)
    if profile is None or not provider.account_handle_field:
        return ""
    *path, name = provider.account_handle_field.split(".")
    is_verified = value_at(profile, ".".join([*path, "email_verified"]))
    if name == "email" and is_verified in (False, "false"):
        return ""
    handle = text_at(profile, provider.account_handle_field)
    return handle if _HANDLE.fullmatch(handle) else ""


def _joined_at(content: Any, paths: str) -> str:
    """Return the texts at paths between slashes, joined by one; ``""`` if any is missing."""
    found = [text_at(content, path) for path in paths.split("/")]
    return "/".join(found) if all(found) else ""


def text_at(content: Any, path: str) -> str:
    """Return the text or whole number at a dotted path (``user.id``), else ``""``."""
    value = value_at(content, path)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return ""
    return str(value)


def value_at(content: Any, path: str) -> Any:
    """Return what is at a dotted path; a number counts in a list, from 0.  None if nothing."""
    for name in path.split("."):
        if isinstance(content, Mapping):
            content = content.get(name)
        elif isinstance(content, list) and name.isdecimal() and int(name[:6]) < len(content):
            content = content[int(name[:6])]
        else:
            return None
    return content


def _plain(text: str) -> str:
    return _UNPRINTABLE.sub("", text)[:300]
