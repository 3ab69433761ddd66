"""Bodies and queries of the API: strict JSON, and the members that each call may have.

What is here is also what the API's description says of them: see ``openapi``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from webui.api.problems import Problem
from webui.oauth_manager import check_user_id
from webui.oauth_manager.values import Struct

MAX_BYTES = 16 * 1024
MOST_SCOPES = 100
LONGEST_WAIT = 20  # seconds
MOST_NOTICES = 100
_LONGEST_LIFE = 86_400  # seconds, of a token that is asked for

_LINE = r"^[^\u0000-\u001f\u007f-\u009f]{1,255}$"
_PROVIDER = r"^[a-z][a-z0-9_-]{0,31}$"
_SCOPE = r"^[\x21\x23-\x5b\x5d-\x7e]{1,255}$"  # RFC 6749, 3.3
_TOKEN = r"^[\x21-\x7e]{1,16000}$"
_NAME = re.compile("[a-z_]{1,64}")
_POSITION = r"^[0-9]{1,15}-[0-9]{1,10}$"


class _Unfit(ValueError):
    """The end of a sentence that begins with the name of a member."""


class Member(Struct, frozen=True):
    """A member of a body or query: its JSON Schema, and its reader.

    The reader raises ``ValueError`` or ``TypeError`` for what the schema does not allow.
    """

    name: str
    schema: Mapping[str, Any]
    read: Callable[[Any], Any]
    is_required: bool = False
    meaning: str = ""


def _text(pattern: str) -> Callable[[Any], str]:
    known = re.compile(pattern.removesuffix("$"))

    def read(value: Any) -> str:
        if not isinstance(value, str) or not known.fullmatch(value):
            raise _Unfit("is not of the form that it has")
        return value

    return read


def _line(value: Any) -> str:
    try:
        return check_user_id(value)  # the same holds for every other name
    except ValueError:
        raise _Unfit("is a line of 1 to 255 characters") from None


def _scopes(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST_SCOPES:
        raise _Unfit(f"is a list of at most {MOST_SCOPES} scopes")
    return tuple(map(_text(_SCOPE), value))


def _seconds(value: Any) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= _LONGEST_LIFE:  # also refuses NaN
        raise _Unfit(f"is a number of seconds from 0 to {_LONGEST_LIFE}")
    return float(value)


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not re.fullmatch("[0-9]{1,4}", value) or not least <= int(value) <= most:
            raise _Unfit(f"is a whole number from {least} to {most}")
        return int(value)

    return read


USER_ID = Member(
    "user_id",
    {"type": "string", "pattern": _LINE},
    _line,
    is_required=True,
    meaning="The person, by the id that your chat knows them by.",
)
PROVIDER = Member(
    "provider",
    {"type": "string", "pattern": _PROVIDER},
    _text(_PROVIDER),
    is_required=True,
    meaning="The service, by its name here: `github` for instance.",
)
ACCOUNT = Member(
    "account",
    {"type": "string", "pattern": _LINE},
    _line,
    meaning="Which of the person's accounts at the service: its id, or its name.",
)
SCOPES = Member(
    "scopes",
    {"type": "array", "items": {"type": "string", "pattern": _SCOPE}, "maxItems": MOST_SCOPES},
    _scopes,
    meaning="Permissions that the caller needs; without it, the usual ones.",
)
MIN_VALID = Member(
    "min_valid",
    {"type": "number", "minimum": 0, "maximum": _LONGEST_LIFE},
    _seconds,
    meaning="Seconds that the token shall live at least; never more than a new one does.",
)
REFUSED = Member(
    "refused",
    {"type": "string", "pattern": _TOKEN},
    _text(_TOKEN),
    meaning="The token that the service's API has just answered 401 to.",
)
CODE = Member(
    "code",
    {"type": "string", "pattern": _LINE},
    _line,
    is_required=True,
    meaning="The person's own message with the code that their browser shows.",
)
AFTER = Member(
    "after",
    {"type": "string", "pattern": _POSITION},
    _text(_POSITION),
    meaning="`next` of the answer before; without it, from the oldest notice that is kept.",
)
WAIT = Member(
    "wait",
    {"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT},
    _whole(0, LONGEST_WAIT),
    meaning="Seconds to wait for a notice if there is none.",
)
LIMIT = Member(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MOST_NOTICES},
    _whole(1, MOST_NOTICES),
    meaning="How many notices at most.",
)


def read_body(content_type: str, body: bytes, members: Iterable[Member]) -> dict[str, Any]:
    """Read a JSON object of these members.  Raises ``Problem``."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Problem("unsupported_media_type")
    try:
        found = _decoder.decode(body.decode())
    except (ValueError, RecursionError):
        raise Problem("invalid_request", "The body is no JSON object.") from None
    if not isinstance(found, dict):
        raise Problem("invalid_request", "The body is no JSON object.")
    return _read(found, members)


def read_query(pairs: Iterable[tuple[str, str]], members: Iterable[Member]) -> dict[str, Any]:
    """Read a query of these members, each at most once.  Raises ``Problem``."""
    try:
        return _read(_no_doubles(list(pairs)), members)
    except _Unfit:
        raise Problem("invalid_request", "A parameter is there twice.") from None


def _read(found: Mapping[str, Any], members: Iterable[Member]) -> dict[str, Any]:
    known = {member.name: member for member in members}
    if unknown := found.keys() - known.keys():
        shown = next((name for name in sorted(unknown) if _NAME.fullmatch(name)), None)
        raise Problem("invalid_request", "A member is not known here.", member=shown)
    read: dict[str, Any] = {}
    for name, member in known.items():
        if name in found:
            try:
                read[name] = member.read(found[name])
            except (TypeError, ValueError) as fault:
                why = str(fault) if isinstance(fault, _Unfit) else "is not what it has to be"
                raise Problem("invalid_request", f"{name} {why}.", member=name) from None
        elif member.is_required:
            raise Problem("invalid_request", f"{name} is missing.", member=name)
    return read


def _no_number(_: str) -> NoReturn:
    raise _Unfit("not a number of JSON")


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Unfit("a member is there twice")
    return found


_decoder = json.JSONDecoder(parse_constant=_no_number, object_pairs_hook=_no_doubles)
