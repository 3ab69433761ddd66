"""The record of a session in Redis: its fields, written and read.

One hash: ``user``, ``created`` and ``signed_in_at`` (epoch seconds), ``via``,
``groups`` (JSON), ``sealed_token`` if there is one, and one field ``note:{provider}``
per note.  Fields of their own, so that two tabs never write over each other.  The key
holds the hash of the id: a copy of the database signs nobody in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from webui.oauth_manager import check_user_id
from webui.oauth_manager.storage import seconds, shaped, texts
from webui.oauth_manager.storage.calls import as_text
from webui.oauth_manager.values import replace
from webui.sessions.note import Note

_KEY = re.compile(r"stargazer:web_session:[0-9a-f]{64}")
_VIAS = ("chat", "sso", "proxy", "api")


@dataclass(frozen=True, slots=True)
class Session:
    """One browser, signed in as ``user``.

    ``binding`` is the same for the session's whole life and known to nobody else: a
    record stored with it belongs to this browser.  ``via`` is ``chat``, ``sso``, ``proxy``, or
    ``api`` by the word of who holds a service key; ``groups`` are those of a sign-on at
    ``signed_in_at``, and with ``sealed_token`` (``webui.sign_on``) it can be asked again.
    """

    user: str
    created: float
    binding: str = field(repr=False)
    redis_key: str = field(repr=False)
    notes: Mapping[str, Note] = field(default_factory=dict, repr=False)
    via: str = "chat"
    groups: tuple[str, ...] = ()
    signed_in_at: float = 0.0
    sealed_token: str = field(default="", repr=False)


def session_key(session_id: str) -> str:
    return f"stargazer:web_session:{hashlib.sha256(session_id.encode('ascii')).hexdigest()}"


def is_session_key(name: object) -> bool:
    """Return whether it names a session: nothing else may be ended as one."""
    return _KEY.fullmatch(as_text(name)) is not None


def new_session(session_id: str, user: str, created: float) -> Session:
    binding = hmac.digest(session_id.encode("ascii"), b"webui.binding", "sha256").hex()
    return Session(user, created, binding, session_key(session_id), signed_in_at=created)


def fields_of(session: Session) -> list[str]:
    """Return names and values in turn, without the notes."""
    return [
        *("user", session.user),
        *("created", repr(session.created)),
        *("via", session.via),
        *("groups", json.dumps(session.groups)),
        *("signed_in_at", repr(session.signed_in_at)),
        *(("sealed_token", session.sealed_token) if session.sealed_token else ()),
    ]


def open_session(session_id: str, stored: Mapping[bytes, bytes], *, since: float) -> Session | None:
    """Build a session from a stored hash; ``None`` if it is none, or not begun ``since`` then.

    Those of an earlier version are none either: nothing could end them all.
    """
    try:
        user = check_user_id(stored[b"user"].decode("utf-8"))
        created = seconds(float(stored[b"created"]))
        via = stored[b"via"].decode("utf-8")
        signed_in_at = seconds(float(stored[b"signed_in_at"]))
        groups = texts(json.loads(stored[b"groups"]))
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    if via not in _VIAS or created <= since:
        return None
    return replace(
        new_session(session_id, user, created),
        notes=open_notes(stored),
        via=via,
        groups=groups,
        signed_in_at=signed_in_at,
        sealed_token=stored.get(b"sealed_token", b"").decode("ascii", "replace"),
    )


def open_notes(stored: Mapping[bytes, bytes]) -> dict[str, Note]:
    """Return the notes of a stored hash, by service, and the entries kept beside them."""
    return {
        name.removeprefix(b"note:").decode("utf-8", "replace"): note
        for name, value in stored.items()
        if name.startswith(b"note:") and (note := _note(value))
    }


def _note(value: bytes) -> Note | None:
    try:
        return shaped(Note, json.loads(value))
    except (TypeError, ValueError, RecursionError):
        return None
