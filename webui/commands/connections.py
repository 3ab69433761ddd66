"""Lines and objects that the commands print for connections, fit for a terminal."""

from __future__ import annotations

import json

from webui.oauth_manager import Connection
from webui.support.identifiers import spelled
from webui.text.labels import clean_label


def as_line(connection: Connection) -> str:
    """Return a line like ``github: connected as mona``."""
    account = clean_label(connection.profile.account.label)
    standing = connection.status.replace("_", " ")
    return f"{connection.provider}: {standing}" + (f" as {account}" if account else "")


def as_json(connection: Connection) -> str:
    """Return one object, in ASCII.  Times are epoch seconds, null if there is none."""
    profile = connection.profile
    return json.dumps(
        {
            "provider": connection.provider,
            "status": connection.status,
            "account": profile.account.label,
            "scopes": connection.scopes,
            "missing_scopes": connection.missing_scopes,
            "has_refresh_token": connection.has_refresh_token,
            "expires_at": connection.expires_at or None,
            "connected_at": profile.connected_at or None,
            "used_at": profile.used_at or None,
            "checked_at": profile.checked_at or None,
            "problem": profile.problem,
        }
    )


def nobody(user_id: str) -> str:
    """Return the line for a person without a connection."""
    return (
        f"Nothing is connected for {spelled(user_id)}. "
        "Is that the id under which the bot asks for tokens?"
    )
