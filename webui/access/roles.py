"""The role of support staff, decided with every request.

There are three ways: a session from chat of somebody in ``SUPPORT_USERS``; a session of
its own after a sign-on whose claim holds ``SUPPORT_GROUP``, which is requested again if
the provider's userinfo endpoint named it; and a trusted proxy that names both person
and group.  Nobody else who is signed in learns that there is anything to see; those who
are not are shown how to sign in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException
from starlette.requests import Request

from webui.oauth_manager import AuditRecord, StoreUnavailable
from webui.oauth_manager.protocol import ProviderFailure
from webui.oauth_manager.values import Struct
from webui.sessions.proxied import proxied_person
from webui.sessions.sessions import Session, SignInNeeded
from webui.settings.settings import Settings
from webui.sign_on import is_away
from webui.site import Site, site_of

STAFF_SECONDS = 1800  # since the sign-in


class Staff(Struct, frozen=True):
    """A member of support; ``via`` is the way they signed in: ``chat``, ``sso`` or ``proxy``."""

    id: str
    via: str


class TooOld(Struct, frozen=True):
    """Staff who signed in longer than ``STAFF_SECONDS`` ago."""


class SignedOut(Struct, frozen=True):
    """Somebody who is no longer signed in at their provider."""


class Unknown(Struct, frozen=True):
    """Somebody of whom the provider did not say whether they are staff; its error code."""

    code: str


class Outsider(Struct, frozen=True):
    """Somebody who is signed in and is not staff."""

    person: Staff


class Nobody(Struct, frozen=True):
    """Nobody is signed in."""


Role = Staff | Unknown | TooOld | SignedOut | Outsider | Nobody
_BEST_FIRST = (Staff, Unknown, TooOld, SignedOut, Outsider, Nobody)


class RoleUnknown(Exception):
    """The provider of the sign-on did not name the staff; ``code`` is its error code."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"the role could not be read: {code}")


@dataclass(frozen=True, slots=True)
class _SignIn:
    """One person that a request speaks for; ``at`` None is for people's pages alone."""

    person: Staff
    groups: Collection[str]
    at: float | None  # epoch seconds
    sealed_token: str = field(default="", repr=False)


async def require_staff(request: Request) -> Staff:
    """Return the staff person who asks; only a denial is written.

    Raises ``HTTPException`` 404 for everybody else who is signed in, ``SignInNeeded``
    for those who are not, and for staff who signed in longer than ``STAFF_SECONDS`` ago
    or whose sign-in is over, ``RoleUnknown``, and ``StoreUnavailable``.
    """
    match await role_of(request):
        case Staff() as staff:
            return staff
        case Unknown(code):
            raise RoleUnknown(code)
        case TooOld() | SignedOut():
            raise SignInNeeded
        case Outsider(person):
            await _note_denied(request, person)
        case Nobody() if _has_support(site_of(request).settings):
            raise SignInNeeded  # the page that it leads to names these pages to everybody
    raise HTTPException(404)


async def role_of(request: Request) -> Role:
    """Return the best role by proxy, staff session and person's session; reads only."""
    best: Role = Nobody()
    async for sign_in in _signed_in(request):
        role = await _role(site_of(request), sign_in)
        if isinstance(role, Staff):
            return role
        best = min(best, role, key=lambda each: _BEST_FIRST.index(type(each)))
    return best


async def _role(site: Site, sign_in: _SignIn) -> Role:
    """Judge one sign-in; the provider is asked last, and about staff alone."""
    person, settings = sign_in.person, site.settings
    if sign_in.at is None or not is_staff(settings, person, sign_in.groups):
        return Outsider(person)
    if not site.clock.now() - sign_in.at < STAFF_SECONDS:
        return TooOld()
    if not sign_in.sealed_token or is_staff(settings, person, ()):
        return person
    try:
        sign_on = site.sign_on
        groups = await sign_on.groups_now(person.id, sign_in.sealed_token) if sign_on else ()
    except ProviderFailure as failure:
        return Unknown(failure.code) if is_away(failure) else SignedOut()
    return person if is_staff(settings, person, groups) else Outsider(person)


def _has_support(settings: Settings) -> bool:
    return bool(settings.support_users or settings.support_group)


def is_staff(settings: Settings, person: Staff, groups: Collection[str]) -> bool:
    """Return whether the settings make them staff now."""
    group = settings.support_group
    return person.id in settings.support_users or (bool(group) and group in groups)


def wants_newer_sign_in(site: Site, session: Session) -> bool:
    """Return whether a sign-in link has to prove the person again: staff, for support pages."""
    is_old = site.clock.now() - session.signed_in_at >= STAFF_SECONDS
    is_too_weak = session.via == "api" or (session.via == "chat" and is_old)
    return is_too_weak and session.user in site.settings.support_users


async def _signed_in(request: Request) -> AsyncIterator[_SignIn]:
    """Yield everybody this request speaks for."""
    site = site_of(request)
    if person := proxied_person(request):
        # The proxy vouches with every request; how old its own sign-in is, it does not say.
        yield _SignIn(Staff(person.user, "proxy"), person.groups, site.clock.now())
    if session := await site.staff_sessions.load(request, renew=False):
        who, at = Staff(session.user, session.via), session.signed_in_at
        yield _SignIn(who, session.groups, at, session.sealed_token)
    if session := await site.sessions.load(request, renew=False):
        is_from_chat = session.via == "chat"
        who = Staff(session.user, session.via)
        yield _SignIn(who, (), session.signed_in_at if is_from_chat else None)


async def _note_denied(request: Request, person: Staff) -> None:
    """Record a denial, once in a while for each person; a failure does not change the answer."""
    site = site_of(request)
    request_id: str = getattr(request.state, "request_id", "")
    with suppress(StoreUnavailable):
        if await site.limiter.allows("denied", f"{person.via} {person.id}"):
            record = AuditRecord(person.id, person.via, "denied", request_id=request_id)
            await site.manager.audit.write(site.redis, record)
