"""Paths of the support pages; one can hold any user id."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlencode

from webui.oauth_manager import check_user_id

PEOPLE = "/support/people/"


def person_path(user_id: str) -> str:
    """Return the address of one person's page.

    A character that a proxy or a browser would read as part of a path is encoded twice:
    the guards refuse a slash that is encoded once, and dots alone lead upwards.
    """
    inner = user_id.replace("%", "%25").replace("/", "%2F").replace("\\", "%5C")
    if not inner.strip("."):
        inner = inner.replace(".", "%2E")
    return PEOPLE + quote(inner, safe="")


def user_id_in(segment: str) -> str:
    """Undo :func:`person_path` for a path's segment, decoded once.

    Raises ``ValueError`` if that is no user id.
    """
    return check_user_id(unquote(segment))


def with_query(path: str, **fields: str) -> str:
    """Return the path with those of the fields that are not empty."""
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"{path}?{query}" if query else path
