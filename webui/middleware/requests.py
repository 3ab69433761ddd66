"""Faults of requests that no page may see: pure checks of an ASGI scope."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from webui.fetch_metadata import METHODS, SAFE_METHODS, is_same_origin, says_where_from

MAX_BODY_BYTES = 64 * 1024
BODY_SECONDS = 10.0
MAX_ADDRESS_BYTES = 20 * 1024
ENDS_CONNECTION = {"connection": "close"}
_ENCODED = re.compile(rb"%(2f|5c|00)", re.IGNORECASE)

Refusal = Callable[[Scope, int, str], Awaitable[Response]]
"""From scope, status and reason (a word, such as ``host``) to the answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A reason to refuse, with the status and the headers of the answer."""

    status: int
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)


Check = Callable[[Scope], Fault | None]


def host_fault(host: str, scope: Scope) -> Fault | None:
    """Find a host other than that of ``BASE_URL``, to the letter; for ``/healthz`` too."""
    named = [name.lower() for name in Headers(scope=scope).getlist("host")]
    # A target in absolute form names a host of its own (RFC 9112, section 3.2.2).
    is_ours = named == [host] and scope["path"].startswith("/")
    return None if is_ours else Fault(400, "host")


def form_fault(scope: Scope) -> Fault | None:
    """Find a request that two readers could read in two ways, or an endless one.

    A body announced twice (RFC 9112, section 6.1) ends the connection.  An
    encoded slash would be another path here than at a proxy.
    """
    headers, path = Headers(scope=scope), scope.get("raw_path") or b""
    if "content-length" in headers and "transfer-encoding" in headers:
        return Fault(400, "framing", ENDS_CONNECTION)
    if len(path) + len(scope["query_string"]) > MAX_ADDRESS_BYTES:
        return Fault(400, "address", ENDS_CONNECTION)
    return Fault(404, "path", ENDS_CONNECTION) if _ENCODED.search(path) else None


def method_fault(scope: Scope) -> Fault | None:
    """Find a method other than GET, HEAD and POST."""
    is_known = scope["method"] in METHODS
    return None if is_known else Fault(405, "method", {"allow": ", ".join(METHODS)})


def origin_fault(origin: str, scope: Scope) -> Fault | None:
    """Find a change that another site's page asks for."""
    headers = Headers(scope=scope)
    if scope["method"] in SAFE_METHODS or is_same_origin(headers, origin):
        return None
    return Fault(403, "cross-site" if says_where_from(headers) else "unsaid")
