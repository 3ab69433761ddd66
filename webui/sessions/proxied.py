"""The person a trusted reverse proxy has named for a request."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

PERSON = "webui.proxied_person"


@dataclass(frozen=True, slots=True)
class ProxiedPerson:
    """What the proxy says about whoever sent this request."""

    user: str
    groups: tuple[str, ...] = ()


def proxied_person(request: HTTPConnection) -> ProxiedPerson | None:
    """Whom the proxy named with this request, if it did; asks nobody."""
    person: ProxiedPerson | None = request.scope.get(PERSON)
    return person
