"""Who is support staff, decided anew with every request.

Three ways there are: a session from chat of somebody in ``SUPPORT_USERS``; a
session of its own after a sign-on whose claim holds ``SUPPORT_GROUP``; and a
trusted proxy that names both person and group.  Nobody else learns that there
is anything to see.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from webui.auth import SignInNeeded
from webui.oauth_manager import StoreUnavailable
from webui.oauth_manager.audit import AuditRecord
from webui.proxy import proxied_person
from webui.site import site_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from starlette.requests import Request

    from webui.sessions import Session
    from webui.settings import Settings

STAFF_SECONDS = 1800  # since the sign-in


@dataclass(frozen=True, slots=True)
class Staff:
    """Somebody of support; ``via`` is how they signed in: ``chat``, ``sso`` or ``proxy``."""

    id: str
    via: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What a request can show of a role: ``staff`` now, or ``is_stale``, else neither."""

    staff: Staff | None = None
    is_stale: bool = False
    other: Staff | None = None  # somebody signed in who is not staff


async def require_staff(request: Request) -> Staff:
    """The staff person who asks; nothing is written but what was denied.

    Raises ``HTTPException`` 404 for everybody else, ``SignInNeeded`` for staff
    who signed in longer than ``STAFF_SECONDS`` ago, and ``StoreUnavailable``.
    """
    standing = await standing_of(request)
    if standing.staff:
        return standing.staff
    if standing.is_stale:
        raise SignInNeeded
    if standing.other:
        await _note_denied(request, standing.other)
    raise HTTPException(404)


async def standing_of(request: Request) -> Standing:
    """The best that proxy, staff session and person's session make of whoever asks; reads only."""
    settings = site_of(request).settings
    is_stale, other = False, None
    async for found, groups, signed_in_at in _signed_in(request):
        if signed_in_at is None or not is_staff(settings, found, groups):
            other = other or found
        elif time.time() - signed_in_at < STAFF_SECONDS:
            return Standing(found)
        else:
            is_stale = True
    return Standing(None, is_stale, other)


def is_staff(settings: Settings, person: Staff, groups: Collection[str]) -> bool:
    """Whether the settings make staff of them now."""
    group = settings.support_group
    return person.id in settings.support_users or (bool(group) and group in groups)


def wants_newer_sign_in(settings: Settings, session: Session) -> bool:
    """Whether a link to sign in has to prove the person anew: staff, for the support pages."""
    is_old = time.time() - session.signed_in_at >= STAFF_SECONDS
    return session.via == "chat" and session.user in settings.support_users and is_old


async def _signed_in(
    request: Request,
) -> AsyncIterator[tuple[Staff, Collection[str], float | None]]:
    """Everybody this request speaks for, with groups and when they signed in.

    No time stands for a way to sign in that is for people alone.
    """
    site = site_of(request)
    if person := proxied_person(request):
        # The proxy vouches with every request; how old its own sign-in is, it does not say.
        yield Staff(person.user, "proxy"), person.groups, time.time()
    if session := await site.staff_sessions.load(request, renew=False):
        yield Staff(session.user, session.via), session.groups, session.signed_in_at
    if session := await site.sessions.load(request, renew=False):
        is_from_chat = session.via == "chat"
        yield Staff(session.user, session.via), (), session.signed_in_at if is_from_chat else None


async def _note_denied(request: Request, person: Staff) -> None:
    """Once in a while for each person; the answer stays the same where it cannot be kept."""
    site = site_of(request)
    request_id: str = getattr(request.state, "request_id", "")
    with suppress(StoreUnavailable):
        if await site.limiter.allows("denied", f"{person.via} {person.id}"):
            record = AuditRecord(person.id, person.via, "denied", request_id=request_id)
            await site.manager.audit.write(site.redis, record)
