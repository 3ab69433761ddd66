"""Reading of user ids and groups: in a header, a claim, a setting, a form.

There is one rule for all of them.  No part of a name is ever taken off, so that no two names
are read as one: HTTP itself drops blanks and tabs around a value (RFC 9110, section 5.5),
and a list those around its entries; everything else belongs to the name.  One that begins or
ends with a blank is refused, since some other reader would drop it.
"""

from __future__ import annotations

import unicodedata

from webui.oauth_manager import check_user_id

_BLANKS = " \t"


def without_blanks(text: str) -> str:
    """Strip the text of what HTTP, and no one else, calls blanks."""
    return text.strip(_BLANKS)


def entries(text: str) -> tuple[str, ...]:
    """Split a list at its commas; nothing between two of them is no entry."""
    return tuple(filter(None, map(without_blanks, text.split(","))))


def read_user_id(text: object) -> str:
    """Read a user id.  Raises ``ValueError``; the message does not quote it."""
    user_id = check_user_id(text)  # type: ignore[arg-type]
    if has_blank_ends(user_id):
        raise ValueError("a user id given here neither begins nor ends with a blank")
    return user_id


def read_group(text: str) -> str:
    """Read a group or role, of the same characters as a user id.  Raises ``ValueError``."""
    if not text or any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise ValueError("a group has no control characters and no lone surrogates")
    if has_blank_ends(text):
        raise ValueError("a group neither begins nor ends with a blank")
    return text


def has_blank_ends(text: str) -> bool:
    """Tell whether it begins or ends with a blank of any kind (Unicode's ``White_Space``)."""
    return text[:1].isspace() or text[-1:].isspace()
