"""The person a trusted reverse proxy has named for a request."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

PERSON = "webui.proxied_person"


@dataclass(frozen=True, slots=True)
class ProxiedPerson:
    """The proxy's statement about the sender of this request."""

    user: str
    groups: tuple[str, ...] = ()


def proxied_person(request: HTTPConnection) -> ProxiedPerson | None:
    """Return the person that the proxy named with this request, if any; no I/O."""
    person: ProxiedPerson | None = request.scope.get(PERSON)
    return person
