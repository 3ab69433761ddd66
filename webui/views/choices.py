"""``/connections/{provider}/check``, ``accept-limited``, ``switch``: decisions of a person."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from webui.cards import AFTER_CHECK
from webui.cards.accounts import parted
from webui.oauth_manager import (
    Connection,
    Event,
    FlowRefused,
    OAuthProvider,
    Status,
    SwitchOffer,
)
from webui.paths import card_address
from webui.rate_limits import TooMany
from webui.rendering.render import is_htmx, render
from webui.sessions.note import DISMISSED, Note
from webui.sessions.sessions import Session
from webui.site import form_of, provider_of, site_of
from webui.text import words
from webui.views.card_responses import answer, done, to_list, where_of


async def check(request: Request) -> Response:
    """``POST /connections/{provider}/check``: ask the provider whether access works."""
    site, provider = site_of(request), provider_of(request)
    session = await site.sessions.require(request)
    where = where_of(await form_of(request))
    try:
        await site.limiter.hit("check", session.user)
    except TooMany as limit:
        note = Note("too_many_checks", until=limit.retry_at)
        session = await site.sessions.put_note(session, provider.name, note)
        response = await done(
            request, session, provider, where, "n", focus="", status=429, speaks=True
        )
        response.headers["Retry-After"] = str(limit.retry_after)
        return response
    health = await site.manager.check(site.redis, session.user, provider.name)
    event = Event(f"checked_{health}", provider.name, "web", site.clock.now())
    await site.manager.record(site.redis, session.user, event)
    if key := AFTER_CHECK.get(health):
        session = await site.sessions.put_note(session, provider.name, Note(key))
    return await done(request, session, provider, where, "n", focus="", speaks=True)


async def accept_limited(request: Request) -> Response:
    """``POST /connections/{provider}/accept-limited``: do without what was left off."""
    site, provider = site_of(request), provider_of(request)
    session = await site.sessions.require(request)
    where = where_of(await form_of(request))
    if await site.manager.accept_missing(site.redis, session.user, provider.name):
        event = Event("limited_accepted", provider.name, "web", site.clock.now())
        await site.manager.record(site.redis, session.user, event)
        session = await site.sessions.put_note(session, provider.name, Note("kept_limited"))
    return await done(request, session, provider, where, "t", speaks=True)


async def rename(request: Request) -> Response:
    """``POST /connections/{provider}/rename``: call one of several accounts something else."""
    site, provider = site_of(request), provider_of(request)
    session = await site.sessions.require(request)
    name = str((await form_of(request)).get("name", ""))
    base, handle = parted(provider.name)
    try:
        is_there = await site.manager.rename_account(site.redis, session.user, base, handle, name)
    except ValueError:
        card = request, session, provider
        typed = name.strip()[:200]
        return await answer(*card, "detail", status=400, refused="name", named=typed)
    if not is_there:
        return to_list(request)
    return await _told(request, session, provider, "account.saved", name=name)


async def use_by_default(request: Request) -> Response:
    """``POST /connections/{provider}/default``: the account that is meant where none is named."""
    site, provider = site_of(request), provider_of(request)
    session = await site.sessions.require(request)
    base, handle = parted(provider.name)
    account = handle if (await form_of(request)).get("use") == "this" else None
    if not await site.manager.use_by_default(site.redis, session.user, base, account):
        return to_list(request)
    key = "account.no_default_saved" if account is None else "account.default_saved"
    return await _told(request, session, provider, key)


async def _told(
    request: Request, session: Session, provider: OAuthProvider, key: str, **values: str
) -> Response:
    """Answer with the account's card and the sentence of a key, said aloud; else with its page."""
    if not is_htmx(request):
        return RedirectResponse(card_address("detail", provider.name), 303)
    said = words.text(key, bot=site_of(request).settings.bot_name, **values)
    return await answer(request, session, provider, "detail", said=said)


async def show_switch(request: Request) -> Response:
    """``GET /connections/{provider}/switch``: whose account came back, or which one to use."""
    site, provider = site_of(request), provider_of(request)
    session = await site.sessions.require(request)
    offer = await site.manager.switch_offer(site.redis, session.user, provider.name)
    if offer is None:
        return RedirectResponse(card_address("list", provider.name), 303)
    place = site.redis, session.user, parted(provider.name)[0]
    known = await site.manager.connection(*place, account=f"~{offer.slot}")
    return render(
        request,
        "switch.html",
        provider=provider,
        offer=offer,
        old_works=known.status is Status.CONNECTED,
        action=f"/connections/{provider.name}/switch",
    )


async def choose(request: Request) -> Response:
    """``POST /connections/{provider}/switch``: the answer to the offer that the page showed.

    An answer to another offer changes nothing, and leads to the newest.
    """
    site, provider = site_of(request), provider_of(request)
    session = await site.sessions.require(request)
    form = await form_of(request)
    named, choice = str(form.get("offer", "")), form.get("choice")
    offer = await site.manager.switch_offer(site.redis, session.user, provider.name)
    place, refused = (site.redis, session.user, provider.name), ""
    try:
        result = await site.manager.switch(
            *place, offer=named, use_new=choice == "new", add=choice == "both"
        )
    except FlowRefused as refusal:  # as many accounts as there may be, since
        result, refused = None, refusal.outcome
    if isinstance(result, SwitchOffer):
        return RedirectResponse(f"/connections/{provider.name}/switch", 303)
    if offer is None or offer.id != named:
        if not _has_chosen(session, provider.name):
            await site.sessions.put_note(session, provider.name, Note("attempt_over"))
        return RedirectResponse(card_address("list", provider.name, "n"), 303)
    key = refused or _came_of(offer, result, choice)
    if key in ("kept_old", "not_you"):
        stories = site.manager.stories
        await stories.ended_if_open(site.redis, session.user, provider.name, key)
    if key == "not_you":
        event = Event("denied", provider.name, "web", site.clock.now(), detail=key)
        await site.manager.record(site.redis, session.user, event)
    shown = result.place if result else provider.name
    note = Note(key, is_adding=bool(refused))
    await site.sessions.put_notes(session, {provider.name: Note(DISMISSED), shown: note})
    if key in ("connected", "was_there") and offer.return_to == "done":
        return RedirectResponse(f"/connect/done/{shown}", 303)
    return RedirectResponse(card_address("list", shown, "n"), 303)


def _came_of(offer: SwitchOffer, result: Connection | None, choice: object) -> str:
    """Return the note that an answer leaves."""
    if result and result.was_there:
        return "was_there"
    if choice == "both":
        return "connected" if result else "attempt_over"
    if choice != "new":
        return "not_you" if offer.handle else "kept_old"
    if result is None:
        return "already_disconnected" if offer.is_replacing else "attempt_over"
    return "switched" if offer.is_replacing else "connected"


def _has_chosen(session: Session, provider: str) -> bool:
    """Return whether the same button was pressed twice: the first time counts."""
    note = session.notes.get(provider)
    answers = ("connected", "was_there", "switched", "kept_old", "not_you", DISMISSED)
    return note is not None and note.key in answers
