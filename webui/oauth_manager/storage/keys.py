"""Names and lifetimes of everything the library keeps in Redis."""

from __future__ import annotations

import re
import unicodedata
from typing import NewType
from urllib.parse import quote, unquote

UserId = NewType("UserId", str)
"""A user id that :func:`check_user_id` has let pass."""

PREFIX = "stargazer:"
NOTICES = "stargazer:oauth_notices"
NOTICES_READ = (
    "stargazer:oauth_notices_read"  # the furthest position of a reader that keeps its own
)
DUE = "stargazer:oauth_due"
AUDIT = "stargazer:oauth_audit"
LINK_CODE_TTL = 600  # seconds; link codes, states and proofs live this long
PARKED_TTL = 300  # seconds; an authorization code that waits for its proof
LOCK_TTL = 15  # seconds; longer than a provider may take
MAX_USER_ID = 255  # characters

EVENTS = "stargazer:oauth_events:"
REVOKE = "stargazer:oauth_revoke:"
_TOKENS = "stargazer:oauth_tokens:"
_CONNECTION = "stargazer:oauth_connection:"
_NAMES = "stargazer:oauth_names:"
_TOKENS_BYTES, _CONNECTION_BYTES = _TOKENS.encode(), _CONNECTION.encode()
_NAMES_BYTES = _NAMES.encode()
# A place is a provider's name, or that and the slot of one of several accounts there.
_PLACE = r"([a-z][a-z0-9_-]{0,31}(?:~[a-z0-9-]{1,32})?)"
_RECORD = re.compile(r"[a-z]+:[a-z_]+:(.+):" + _PLACE, re.DOTALL)
# Characters that need no checking and no encoding: most ids have no others.
_PLAIN_ID = re.compile(r"[A-Za-z0-9_.~@+=-]{1,255}")
# A record's key with such an id: the same in the older system.
_PLAIN_RECORD = re.compile(r"[a-z]+:[a-z_]+:([A-Za-z0-9_.~@+=-]{1,255}):" + _PLACE)
_LINK_CODE = re.compile(r"[A-Za-z0-9_-]{1,128}")


def check_user_id(user_id: str) -> UserId:
    """Return the id, if it is one.  Raises ``ValueError``; the message does not quote it."""
    if isinstance(user_id, str) and _PLAIN_ID.fullmatch(user_id):
        return UserId(user_id)
    if not isinstance(user_id, str):
        kind = type(user_id).__name__
        raise ValueError(f"a user id is text, not {kind}; a number has to be passed as str(number)")
    if not 0 < len(user_id) <= MAX_USER_ID:
        raise ValueError(f"a user id is text of 1 to {MAX_USER_ID} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in user_id):
        raise ValueError("a user id has no control characters and no lone surrogates")
    return UserId(user_id)


def is_link_code(value: object) -> bool:
    """Tell whether a value looks like a link code; the older system's may be shorter."""
    return isinstance(value, str) and _LINK_CODE.fullmatch(value) is not None


def encoded(user_id: str) -> str:
    """Encode the id for keys.  Raises ``ValueError``, like :func:`check_user_id`."""
    if isinstance(user_id, str) and _PLAIN_ID.fullmatch(user_id):
        return user_id
    # "%" is encoded too, so no two ids share or match a key.
    return quote(check_user_id(user_id), safe="@+=")


def place(provider: str, slot: str) -> str:
    """Join a provider's name and the slot of one of several accounts; ``""`` is the first's."""
    return f"{provider}~{slot}" if slot else provider


def split(place: str) -> tuple[str, str]:
    """Return what :func:`place` has joined: no provider's name holds a tilde."""
    provider, _, slot = place.partition("~")
    return provider, slot


def tokens(user_id: str, provider: str) -> str:
    return f"{_TOKENS}{encoded(user_id)}:{provider}"


def token_places(user_id: str, provider: str) -> tuple[str, str]:
    """Return the key of the tokens, and the older system's; ``""`` if it is the same.

    The older system knew one account of a service.
    """
    key, older = tokens(user_id, provider), f"{_TOKENS}{user_id}:{provider}"
    return key, older if older != key and "~" not in provider else ""


def connection(user_id: str, provider: str) -> str:
    return f"{_CONNECTION}{encoded(user_id)}:{provider}"


def is_token_key(key: str) -> bool:
    return key.startswith(_TOKENS)


def record_places(user_id: str, provider: str) -> list[str]:
    """List every key in which a connection may have a record."""
    return [*filter(None, token_places(user_id, provider)), connection(user_id, provider)]


def names(user_id: str, provider: str) -> str:
    return f"{_NAMES}{encoded(user_id)}:{provider}"


def lock(user_id: str, provider: str) -> str:
    return f"stargazer:oauth_lock:{encoded(user_id)}:{provider}"


def renewals(user_id: str, provider: str) -> str:
    return f"stargazer:oauth_renewals:{encoded(user_id)}:{provider}"


def link(code: str) -> str:
    return f"stargazer:oauth_link:{code}"


def links(user_id: str) -> str:
    return f"stargazer:oauth_links:{encoded(user_id)}"


def state(state: str) -> str:
    return f"stargazer:oauth_state:{state}"


def switch(user_id: str, provider: str) -> str:
    return f"stargazer:oauth_switch:{encoded(user_id)}:{provider}"


def revoke(user_id: str, provider: str) -> str:
    return f"{REVOKE}{encoded(user_id)}:{provider}"


def account(digest: str) -> str:
    return f"stargazer:oauth_account:{digest}"


def events(user_id: str) -> str:
    return f"{EVENTS}{encoded(user_id)}"


def own_audit(user_id: str) -> str:
    return f"stargazer:oauth_audit:{encoded(user_id)}"


def pending(identifier: str) -> str:
    return f"stargazer:oauth_pending:{identifier}"


def proofs(user_id: str) -> str:
    return f"stargazer:oauth_proofs:{encoded(user_id)}"


def erased(digest: str) -> str:
    return f"stargazer:oauth_erased:{digest}"


def of_person(user_id: str) -> list[str]:
    """List the keys that hold one person's records, whatever the provider."""
    return [make(user_id) for make in (links, proofs, events, own_audit)]


def beside_tokens(user_id: str, provider: str) -> list[str]:
    """List the keys of one connection but those of its tokens."""
    made = (connection, lock, renewals, switch, revoke, names)
    return [make(user_id, provider) for make in made]


CANARY = "stargazer:canary"
CENSUS = "stargazer:oauth_census"  # the counts of the last walk, and when the next is due
CENSUS_WEEK = "stargazer:oauth_census_week"  # the counts of connections, by day
CENSUS_LOCK = "stargazer:oauth_census_lock"  # of the process that walks
READY = "stargazer:ready"  # written to find out whether Redis takes writes
LAST_ROTATION = "stargazer:oauth_last_rotation"  # epoch seconds of the end of the last whole one
LAST_KEEP_ALIVE = "stargazer:oauth_last_keep_alive"  # the same for a keep-alive pass
ROTATION = "stargazer:oauth_rotation"  # places that a rotation has reached
KEEP_ALIVE = "stargazer:oauth_keep_alive"  # places that a keep-alive pass has reached
KEEP_ALIVE_LOCK = "stargazer:oauth_keep_alive_lock"  # owner of the pass under way
ERASING = "stargazer:oauth_erasing"  # people whose erasure is not over, to go on with it
DIGESTS = "stargazer:oauth_digests"  # of the settings of each site and bot that runs
ERASING_LOCK = "stargazer:oauth_erasing_lock"  # owner of the process that does


def keep_alive_minute(provider: str) -> str:
    return f"stargazer:oauth_keep_alive_minute:{provider}"


def keep_alive_pause(provider: str) -> str:
    return f"stargazer:oauth_keep_alive_pause:{provider}"


def server(provider: str) -> str:
    return f"stargazer:oauth_server:{provider}"


RECORD_PATTERN = PREFIX + "oauth_[cnt][oa][kmn]*"  # tokens, connections, names, in one walk
STATE_PATTERN = "stargazer:oauth_state:*"
LINK_PATTERN = "stargazer:oauth_link:*"
ACCOUNT_PATTERN = "stargazer:oauth_account:*"
LINKS_PATTERN = "stargazer:oauth_links:*"
BESIDE_PATTERN = PREFIX + "oauth_[er]*"  # timelines and held tokens, in one walk
RECORD_PATTERNS = {"tokens": f"{_TOKENS}*", "connection": f"{_CONNECTION}*"}


def record_kind(key: bytes) -> str:
    """Return the kind of record that a key names, ``""`` if none."""
    if key.startswith(_TOKENS_BYTES):
        return "tokens"
    if key.startswith(_CONNECTION_BYTES):
        return "connection"
    return "names" if key.startswith(_NAMES_BYTES) else ""


def parse_record(key: str) -> tuple[UserId, str] | None:
    """Parse a record's key: user id and place; ``None`` if the key is none of ours."""
    found = _RECORD.fullmatch(key)
    user_id = decoded(found[1]) if found else ""
    return (UserId(user_id), found[2]) if found and user_id else None


def parse_plain_record(key: str) -> tuple[UserId, str] | None:
    """Parse like :func:`parse_record` if the id needs no encoding; ``None`` of any other key."""
    found = _PLAIN_RECORD.fullmatch(key)
    return (UserId(found[1]), found[2]) if found else None


def parse_older_record(key: str) -> tuple[UserId, str] | None:
    """Parse a record's key that the older system wrote, with the id as it was.

    A provider's name holds no colon, so the last one separates.
    """
    found = _RECORD.fullmatch(key)
    if found and "~" in found[2]:
        return None
    try:
        return (check_user_id(found[1]), found[2]) if found else None
    except ValueError:
        return None


def decoded(part: str) -> str:
    """Return the id that :func:`encoded` turns into this part of a key; ``""`` if none."""
    user_id = unquote(part)
    try:
        return user_id if encoded(user_id) == part else ""
    except ValueError:
        return ""
