"""Names and lifetimes of everything the library keeps in Redis."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote, unquote

NOTICES = "stargazer:oauth_notices"
AUDIT = "stargazer:oauth_audit"
LINK_CODE_TTL = 600  # seconds; link codes, states and proofs live this long
PARKED_TTL = 300  # seconds; an authorization code that waits for its proof
LOCK_TTL = 15  # seconds; longer than a provider may take
MAX_USER_ID = 255  # characters

_LINK_CODE = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ONE_TIME = re.compile(r"[A-Za-z0-9_-]{20,128}")


def check_user_id(user_id: str) -> str:
    """The id itself, if it is one.  Raises ``ValueError``; the message does not quote it."""
    if not isinstance(user_id, str) or not 0 < len(user_id) <= MAX_USER_ID:
        raise ValueError(f"a user id is text of 1 to {MAX_USER_ID} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in user_id):
        raise ValueError("a user id has no control characters and no lone surrogates")
    return user_id


def is_one_time_value(value: object) -> bool:
    """Whether a code or state has the shape of ours; nothing else is ever looked up."""
    return isinstance(value, str) and _ONE_TIME.fullmatch(value) is not None


def is_link_code(value: object) -> bool:
    """As above, for link codes: those of the older system may be shorter."""
    return isinstance(value, str) and _LINK_CODE.fullmatch(value) is not None


def _user(user_id: str) -> str:
    # "%" is encoded too, so no two ids share or match a key.
    return quote(check_user_id(user_id), safe="@+=")


def tokens(user_id: str, provider: str) -> str:
    return f"stargazer:oauth_tokens:{_user(user_id)}:{provider}"


def connection(user_id: str, provider: str) -> str:
    return f"stargazer:oauth_connection:{_user(user_id)}:{provider}"


def lock(user_id: str, provider: str) -> str:
    return f"stargazer:oauth_lock:{_user(user_id)}:{provider}"


def renewals(user_id: str, provider: str) -> str:
    return f"stargazer:oauth_renewals:{_user(user_id)}:{provider}"


def link(code: str) -> str:
    return f"stargazer:oauth_link:{code}"


def links(user_id: str) -> str:
    return f"stargazer:oauth_links:{_user(user_id)}"


def state(state: str) -> str:
    return f"stargazer:oauth_state:{state}"


def switch(user_id: str, provider: str) -> str:
    return f"stargazer:oauth_switch:{_user(user_id)}:{provider}"


def revoke(user_id: str, provider: str) -> str:
    return f"stargazer:oauth_revoke:{_user(user_id)}:{provider}"


def account(digest: str) -> str:
    return f"stargazer:oauth_account:{digest}"


def events(user_id: str) -> str:
    return f"stargazer:oauth_events:{_user(user_id)}"


def own_audit(user_id: str) -> str:
    return f"stargazer:oauth_audit:{_user(user_id)}"


def pending(identifier: str) -> str:
    return f"stargazer:oauth_pending:{identifier}"


def proofs(user_id: str) -> str:
    return f"stargazer:oauth_proofs:{_user(user_id)}"


CANARY = "stargazer:canary"
READY = "stargazer:ready"  # written to find out whether Redis takes writes
RECORD_PATTERN = "stargazer:" + "oauth_[ct]o*"  # tokens and connections, in one walk
ACCOUNT_PATTERN = "stargazer:oauth_account:*"
RECORD_PATTERNS = {
    "tokens": "stargazer:oauth_tokens:*",
    "connection": "stargazer:oauth_connection:*",
}


def parse_record(key: str) -> tuple[str, str] | None:
    """User id and provider of a record's key; ``None`` if it is none of ours."""
    parts = key.split(":")
    return (unquote(parts[2]), parts[3]) if len(parts) == 4 else None
