"""The table of the API: each call with its address, its right, its members and its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from webui.api import bodies, connections, links, notices, proofs, tokens
from webui.api.bodies import Member
from webui.api.call import Call
from webui.oauth_manager.values import Struct

PREFIX = "/api/v1"


class Operation(Struct, frozen=True):
    """One call.  ``members`` are of its body if it is a POST, else of its query.

    One that ``waits`` has a place among the calls at work only until its key is known.
    """

    method: str
    path: str
    right: str
    members: tuple[Member, ...]
    answer: Callable[[Call], Awaitable[dict[str, Any]]]
    waits: bool = False


_OF_PERSON = bodies.USER_ID, bodies.PROVIDER, bodies.ACCOUNT

OPERATIONS = (
    Operation(
        "POST",
        "/token",
        "token",
        (*_OF_PERSON, bodies.SCOPES, bodies.MIN_VALID, bodies.REFUSED),
        tokens.token,
    ),
    Operation("POST", "/links", "links", (*_OF_PERSON, bodies.SCOPES), links.make_link),
    Operation("POST", "/proofs", "proofs", (bodies.USER_ID, bodies.CODE), proofs.confirm),
    Operation(
        "GET", "/connections", "connections", (bodies.USER_ID,), connections.list_connections
    ),
    Operation("POST", "/connections/check", "connections", _OF_PERSON, connections.check),
    Operation("POST", "/connections/disconnect", "connections", _OF_PERSON, connections.disconnect),
    Operation(
        "GET",
        "/notices",
        "notices",
        (bodies.AFTER, bodies.WAIT, bodies.LIMIT),
        notices.read_notices,
        waits=True,
    ),
)
