"""Export of what is held about one person, by the library and by the site."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from webui.incident_codes import references_of
from webui.oauth_manager import OAuthManager
from webui.oauth_manager.storage.calls import RedisClient
from webui.sessions import index as session_index

FORMAT = 1  # of the document; docs/data.md describes it
_OF_SESSION = ("via", "created", "signed_in_at", "expires_in")


async def collect(
    manager: OAuthManager,
    redis: RedisClient,
    user_id: str,
    *,
    with_tokens: bool = False,
    walks: bool = False,
) -> dict[str, Any]:
    """Collect everything as one document.  Reads only.  Raises ``StoreUnavailable``.

    ``walks`` as in :class:`OAuthManager`: services that are set up no more are found too.
    """
    held = await manager.holdings(redis, user_id, with_tokens=with_tokens, walks=walks)
    references = await references_of(redis, user_id)
    return {
        "format": FORMAT,
        "user_id": user_id,
        "exported_at": manager.clock.now(),
        **held,
        "sessions": [_session(fields) for fields in await session_index.read_all(redis, user_id)],
        "references": [
            {name: value for name, value in asdict(reference).items() if name != "user"}
            for reference in references
        ],
    }


def is_empty(document: dict[str, Any]) -> bool:
    """Return whether nothing at all is held."""
    return not any(value for value in document.values() if isinstance(value, list))


def as_text(document: dict[str, Any]) -> str:
    """Return the document as JSON in ASCII, indented, with a line's end."""
    return json.dumps(document, indent=2) + "\n"


def _session(fields: dict[str, str]) -> dict[str, Any]:
    """Return a session without what names its cookie, or opens anything."""
    numbers = ("created", "signed_in_at", "expires_in")
    shown = {name: fields.get(name, "") for name in _OF_SESSION}
    return {
        name: float(value) if name in numbers and value else value for name, value in shown.items()
    } | {"groups": json.loads(fields.get("groups") or "[]")}
