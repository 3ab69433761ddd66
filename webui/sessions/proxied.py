"""The person a trusted reverse proxy has named for a request."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from webui.oauth_manager.values import Struct

PERSON = "webui.proxied_person"


class ProxiedPerson(Struct, frozen=True):
    """The proxy's statement about the sender of this request."""

    user: str
    groups: tuple[str, ...] = ()


def proxied_person(request: HTTPConnection) -> ProxiedPerson | None:
    """Return the person that the proxy named with this request, if any; no I/O."""
    person: ProxiedPerson | None = request.scope.get(PERSON)
    return person
