"""``/support/people/{user_id}/{action}``: asked first, put on record, done, reported."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from webui.access.roles import Staff, require_staff
from webui.cards import AFTER_CHECK, AFTER_DISCONNECT, Card, make_card
from webui.cards.accounts import parted
from webui.oauth_manager import Health, NoticeKind, OAuthProvider, StoreUnavailable
from webui.oauth_manager.storage import is_account
from webui.oauth_manager.values import Struct, replace
from webui.rendering.render import render
from webui.sessions.note import Note
from webui.site import Site, form_of, site_of
from webui.support.identifiers import staff_place
from webui.text import words
from webui.views.card_responses import screen_of
from webui.views.support.gate import field_of, keep_record, may_act, reason_fault
from webui.views.support.person import about, as_staff_see, person_of, picture

log = logging.getLogger(__name__)


class Done(Struct, frozen=True):
    """The outcome; ``result`` is for the audit, ``said`` for staff, ``note`` for the card."""

    result: str
    said: str = ""
    note: Note | None = None


class Act(Struct, frozen=True):
    """One action: ``name`` is the last step of its address, ``action`` the audit's word."""

    name: str
    action: str
    do: Callable[[Site, str, str], Awaitable[Done]]
    of_service: bool = False


async def _check(site: Site, user_id: str, provider: str) -> Done:
    health = await site.manager.check(site.redis, user_id, provider)
    await site.manager.tell(site.redis, user_id, NoticeKind.SUPPORT_CHECKED, provider)
    if health is Health.RECONNECT_NEEDED:
        await site.manager.stories.told_of_end(site.redis, user_id, provider)
    key = AFTER_CHECK.get(health)
    return Done(health, note=Note(key, at=site.clock.now()) if key else None)


async def _disconnect(site: Site, user_id: str, provider: str) -> Done:
    ended = await site.manager.delete_token(site.redis, user_id, provider, by="support")
    return Done(ended.at_provider, note=Note(AFTER_DISCONNECT[ended.at_provider]))


async def _cancel_links(site: Site, user_id: str, _: str) -> Done:
    count = await site.manager.cancel_links(site.redis, user_id)
    await site.manager.tell(site.redis, user_id, NoticeKind.SUPPORT_CANCELLED_LINKS)
    return Done(str(count), words.text("support.done.cancel-links", count=count))


async def _end_sessions(site: Site, user_id: str, _: str) -> Done:
    count = await site.sessions.end_all(user_id)
    await site.manager.tell(site.redis, user_id, NoticeKind.SUPPORT_ENDED_SESSIONS)
    return Done(str(count), words.text("support.done.end-sessions", count=count))


ACTS = {
    act.name: act
    for act in (
        Act("check", "checked", _check, of_service=True),
        Act("disconnect", "disconnected", _disconnect, of_service=True),
        Act("cancel-links", "cancelled_links", _cancel_links),
        Act("end-sessions", "ended_sessions", _end_sessions),
    )
}


def asking(name: str) -> Callable[[Request], Awaitable[Response]]:
    """Make ``GET``: what will happen, and the field for the reason.  Nothing is looked up."""
    return partial(_ask, ACTS[name])


def doing(name: str) -> Callable[[Request], Awaitable[Response]]:
    """Make ``POST``: record, do and report the action, and show its result."""
    return partial(_do, ACTS[name])


async def _ask(act: Act, request: Request) -> Response:
    staff = await require_staff(request)
    return _question(request, staff, act, request.query_params)


def _question(
    request: Request, staff: Staff, act: Act, fields: Mapping[str, object], *, fault: str = ""
) -> Response:
    site, provider = site_of(request), _service_of(request, act, fields)
    known = site.manager.providers.get(parted(provider)[0])
    return render(
        request,
        "support_ask.html",
        422 if fault else 200,
        **about(staff, person_of(request), field_of(fields, "reason"), site.clock.now()),
        act=act.name,
        will=_effect(act, known),
        provider=provider,
        label=known.label if known else "",
        fault=words.text(f"support.fault.{fault}") if fault else "",
    )


def _effect(act: Act, provider: OAuthProvider | None) -> str:
    """Return the name of the sentence on what the action does."""
    asks_nobody = act.name == "disconnect" and provider and not provider.can_revoke
    return "disconnect_own_list" if asks_nobody else act.name


async def _do(act: Act, request: Request) -> Response:
    staff = await require_staff(request)
    site = site_of(request)
    user_id = person_of(request)
    fields = await form_of(request)
    named, reason = _service_of(request, act, fields), field_of(fields, "reason")
    provider, _ = parted(named)
    if fault := reason_fault(reason):
        return _question(request, staff, act, fields, fault=fault)
    await may_act(request, staff)
    place = await _place_of(site, user_id, named)
    if act.name == "check":
        await site.limiter.hit("check", f"staff {staff.id}")  # not the person of that id
    keep = partial(
        keep_record, request, staff, act.action, whom=user_id, provider=provider, reason=reason
    )
    await keep(result="begun")
    done = await act.do(site, user_id, place)
    try:
        await keep(result=f"done: {done.result}", has_begun_before=True)
    except StoreUnavailable:
        log.error("what came of %r could not be put on record: %s", act.action, done.result)
    card = await _card(site, user_id, place, done.note) if place else None
    return render(
        request,
        "support_done.html",
        **about(staff, user_id, reason, site.clock.now()),
        act=act.name,
        label=card.label if card else "",
        said=done.said,
        card=card,
    )


def _service_of(request: Request, act: Act, fields: Mapping[str, object]) -> str:
    """Return an action's service, or its place if it is about one of several accounts.

    ``""`` if it has none.  Raises 404 for an unknown one.
    """
    if not act.of_service:
        return ""
    place = field_of(fields, "provider")
    name, handle = parted(place)
    if name not in site_of(request).manager.providers or not is_account(handle):
        raise HTTPException(404)
    return place


async def _place_of(site: Site, user_id: str, named: str) -> str:
    """Return the place of the account that a staff page names.  Raises 404 if there is none."""
    if not named:
        return ""
    secret = site.settings.session_secrets[0]
    for connection in await site.manager.connections(site.redis, user_id, resume=False):
        if staff_place(connection.place, user_id, secret) == named:
            return connection.place
    raise HTTPException(404)


async def _card(site: Site, user_id: str, place: str, note: Note | None) -> Card:
    """Describe the service now, in the words that the person would read."""
    connection = await site.manager.connection(site.redis, user_id, place, resume=False)
    known = as_staff_see(site, user_id, connection)
    card = picture(make_card(known, connection, note, screen_of(site, "list")))
    return replace(card, actions=())  # they may differ from those on the person's own page
