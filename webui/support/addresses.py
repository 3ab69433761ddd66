"""Addresses of the support pages; every user id there is can stand in one."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlencode

from webui.oauth_manager import check_user_id

PEOPLE = "/support/people/"


def person_path(user_id: str) -> str:
    """The page of one person.

    What a proxy or a browser would read as part of a path is encoded twice:
    the guards refuse a slash that is encoded once, and dots alone lead upwards.
    """
    inner = user_id.replace("%", "%25").replace("/", "%2F").replace("\\", "%5C")
    if not inner.strip("."):
        inner = inner.replace(".", "%2E")
    return PEOPLE + quote(inner, safe="")


def user_id_in(segment: str) -> str:
    """Undoes :func:`person_path` for a path's segment, decoded once.

    Raises ``ValueError`` where that is no user id.
    """
    return check_user_id(unquote(segment))


def with_query(path: str, **fields: str) -> str:
    """The path with those of the fields that say something."""
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"{path}?{query}" if query else path
