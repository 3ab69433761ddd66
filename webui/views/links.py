"""The way in from chat: ``/connect/{code}``, ``/connect/proof``, ``/connect/done/{provider}``."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from webui.access.guesses import count_try, may_guess, remember_browser
from webui.access.roles import wants_newer_sign_in
from webui.cards.accounts import shown_as
from webui.cards.questions import answers, questions
from webui.fetch_metadata import is_visit
from webui.oauth_manager import (
    LinkRequest,
    OAuthAmbiguous,
    Status,
    StoreUnavailable,
    ValueNeeded,
)
from webui.oauth_manager.links import Proof
from webui.oauth_manager.protocol import ProviderFailure
from webui.oauth_manager.protocol.callback import AuthorizationResponse
from webui.oauth_manager.providers import filled, values_of
from webui.oauth_manager.storage import TooOld, WrongKey
from webui.oauth_manager.values import replace
from webui.paths import card_address
from webui.rendering.render import hand_off, is_htmx, render
from webui.sessions.cookies import forget_cookie
from webui.sessions.sessions import Session
from webui.site import Site, form_of, provider_of, site_of
from webui.text.permissions import permission_groups
from webui.views.callback import finish
from webui.views.errors import error_page
from webui.views.proof_cookie import (
    begin_proof,
    keep_link,
    kept_proof,
    proof_counter,
    what_became_of,
)
from webui.views.returns import ended
from webui.views.unconnected import card_of_link, not_begun


async def _dead(request: Request) -> Response:
    """Answer an unknown, used, replaced or expired link: alike to strangers, against probing."""
    await count_try(request, "miss")
    return ended(what_became_of(request, request.path_params.get("code", "")))


async def _over(request: Request) -> Response:
    """Answer a link that is over; lead the browser that began it back to its code."""
    site = site_of(request)
    if await site.manager.proofs.peek(site.redis, kept_proof(request)):
        return RedirectResponse("/connect/proof", 303)
    return await _dead(request)


def _is_switched_off(site: Site, link: LinkRequest) -> bool:
    return bool(link.provider) and not site.manager.is_provider_configured(link.provider)


async def _switched_off(request: Request, provider: str) -> Response:
    headers = {"Retry-After": "60"}
    return await error_page(request, 503, "service", provider=provider, headers=headers)


async def _look_up(request: Request) -> tuple[LinkRequest, float] | None:
    """Look up a link's request and end, None if it leads nowhere.  Raises ``TooMany``."""
    site = site_of(request)
    found = await site.manager.links.peek(site.redis, request.path_params["code"])
    await may_guess(request, owner=found[0].user_id if found else "")
    return found


async def landing(request: Request) -> Response:
    """``GET /connect/{code}``: explains, and changes nothing."""
    if not is_visit(request.headers):
        return Response(status_code=403)
    site = site_of(request)
    session = await site.sessions.load(request)
    found = await _look_up(request)
    if found is None:
        return await _over(request)
    link, expires_at = found
    if session is not None and session.user != link.user_id:
        return ended("not-yours")
    if _is_switched_off(site, link):
        return await _switched_off(request, link.provider)
    return _landing_page(request, session, link, expires_at)


def _landing_page(
    request: Request,
    session: Session | None,
    link: LinkRequest,
    expires_at: float,
    *,
    is_wrong: bool = False,
) -> Response:
    """Render the page of a link; ``is_wrong``: what the person typed is of no use."""
    site, code = site_of(request), request.path_params["code"]
    provider = site.manager.providers.get(link.provider)
    scopes = link.scopes or (provider.scopes if provider else ())
    names = site.settings.product_name, site.settings.bot_name
    groups = permission_groups(provider, scopes, *names, strongest_first=True) if provider else ()
    known = values_of(link.asked)
    return render(
        request,
        "link_landing.html",
        status=422 if is_wrong else 200,
        provider=provider,
        groups=groups,
        questions=questions(provider, known, "link") if provider else (),
        is_wrong=is_wrong,
        start_url=f"/connect/{code}/start",
        decline_url=f"/connect/{code}/decline",
        expires_at=expires_at,
        last=1 + _is_to_prove(site, session, link) + bool(provider),
    )


def _is_to_prove(site: Site, session: Session | None, link: LinkRequest) -> bool:
    return session is None or (not link.provider and wants_newer_sign_in(site, session))


async def start(request: Request) -> Response:
    """``POST /connect/{code}/start``: spends the link, and begins the proof in this browser."""
    site, code = site_of(request), request.path_params["code"]
    found = await _look_up(request)
    await count_try(request, "start")
    session = await site.sessions.load(request)
    if found is not None and _is_switched_off(site, found[0]):
        return await _switched_off(request, found[0].provider)
    answered = await _answered(request, found[0]) if found else ()
    if found and answered is None:
        return _landing_page(request, session, *found, is_wrong=True)
    link = await site.manager.links.take(site.redis, code)
    if link is None:
        return await _over(request)
    if session is not None and session.user != link.user_id:
        await site.manager.link_cancelled(site.redis, link)
        return ended("not-yours")
    link = replace(link, asked=answered or ())
    await site.manager.link_used(site.redis, link)
    if session is None or _is_to_prove(site, session, link):
        response = await begin_proof(request, link)
    else:
        response = await _go_on(request, session, link)
    keep_link(request, response, code)
    return response


async def _answered(request: Request, link: LinkRequest) -> tuple[str, ...] | None:
    """Return what the person typed for the provider's address; None if it is of no use."""
    provider = site_of(request).manager.providers.get(link.provider)
    if provider is None or not provider.ask:
        return ()
    given = answers(await form_of(request), values_of(link.asked))
    try:
        return filled(provider, given).asked
    except ValueNeeded:
        return None


async def decline(request: Request) -> Response:
    """``POST /connect/{code}/decline``: nobody can use the link any more."""
    site = site_of(request)
    await _look_up(request)
    link = await site.manager.links.take(site.redis, request.path_params["code"])
    if link is None:
        return await _dead(request)
    await site.manager.link_cancelled(site.redis, link)
    return ended("declined", service=link.provider)


async def show_proof(request: Request) -> Response:
    """``GET /connect/proof``: the code to send; asked by htmx, 204 until it has arrived."""
    site = site_of(request)
    proof = await site.manager.proofs.peek(site.redis, kept_proof(request))
    if proof is None:
        return await _lost(request)
    if is_htmx(request) and not proof.confirmed:
        return Response(status_code=204)
    return _proof_page(request, site, proof)


async def _lost(request: Request) -> Response:
    """Answer without an open proof: it is over, or was begun in another browser."""
    if is_htmx(request):
        return Response(status_code=410, headers={"HX-Redirect": "/connect/proof"})
    if await site_of(request).sessions.load(request):
        # Pressed twice, or gone back to: the first time it worked.
        return RedirectResponse("/connections", 303)
    if not kept_proof(request):
        return ended("other-browser")
    return await _dead(request)


def _proof_page(request: Request, site: Site, proof: Proof, *, asked: int = 0) -> Response:
    """Show the code; ``asked`` is how often the person has said that they sent it."""
    context: dict[str, Any] = {
        "owner": proof.request.user_id if site.settings.link_proof == "confirm" else "",
        "provider": site.manager.providers.get(proof.request.provider),
        "confirmed": proof.confirmed,
        "is_parked": proof.parked is not None,
        "continue_url": "/connect/proof/continue",
        "check_url": "/connect/proof/continue",
        "decline_url": "/connect/proof/decline",
        "poll_url": "/connect/proof",
        "code": proof.code,
        "expires_at": proof.expires_at,
        "asked": asked,
    }
    return render(request, "link_proof.html", fragment="proof_step.html", **context)


async def _asked(request: Request) -> int:
    """Return how often they had said so before: the page counts, so that each time changes it."""
    before = (await form_of(request)).get("asked", "")
    is_count = isinstance(before, str) and before.isascii() and before.isdigit()
    return min(int(str(before)[:3]), 99) if is_count else 0


async def finish_proof(request: Request) -> Response:
    """``POST /connect/proof/continue``: the code has arrived; the browser becomes the person's."""
    site = site_of(request)
    secret = kept_proof(request)
    is_begun = await site.manager.proofs.peek(site.redis, secret) is not None
    await count_try(request, "start", own=proof_counter(secret) if is_begun else "")
    by_code = site.settings.link_proof == "code"
    taken = await site.manager.proofs.take(site.redis, secret, by_code=by_code)
    if taken is None:
        proof = await site.manager.proofs.peek(site.redis, secret)
        if proof is None:
            return await _lost(request)
        return _proof_page(request, site, proof, asked=await _asked(request) + 1)
    link = taken.request
    by_key = taken.vouched or (link.by_key and not by_code)
    session = await site.sessions.start(request, link.user_id, via="api" if by_key else "chat")
    if taken.parked:
        # Its state was used up when it was parked.
        answer = AuthorizationResponse(state="", code=taken.parked.authorization_code)
        response = await finish(request, session, taken.parked.attempt, answer)
    else:
        response = await _go_on(request, session, link)
    forget_cookie(site.settings, request, response, "proof")
    remember_browser(request, response, link.user_id)
    return response


async def back_to_proof(_: Request) -> Response:
    """``GET /connect/proof/continue``: for those who pressed early and reload by the address."""
    return RedirectResponse("/connect/proof", 303)


async def decline_proof(request: Request) -> Response:
    """``POST /connect/proof/decline``: this was somebody else's link."""
    site = site_of(request)
    link = await site.manager.proofs.cancel(site.redis, kept_proof(request))
    if link is None:
        return await _lost(request)
    await site.manager.link_cancelled(site.redis, link)
    response = ended("declined", service=link.provider)
    # The secret stays: a person who goes back reads that it is over, not that it began
    # elsewhere.
    forget_cookie(site.settings, request, response, "link")
    return response


async def _go_on(request: Request, session: Session, link: LinkRequest) -> Response:
    """Go on with the ordinary flow of a signed-in person."""
    site = site_of(request)
    if not link.provider:
        await site.manager.stories.signed_in(site.redis, link.user_id)
    if not site.manager.is_provider_configured(link.provider):
        return RedirectResponse("/connections", 303)
    try:
        url = await site.manager.begin(
            site.redis,
            session.user,
            link.provider,
            browser=session.binding,
            scopes=link.scopes or None,
            return_to="done",
            asked=values_of(link.asked),
            account=link.account or None,
        )
    except ValueNeeded:  # the provider has come to need one since
        return RedirectResponse(card_address("detail", link.provider, "n"), 303)
    except (StoreUnavailable, TooOld, WrongKey):
        raise
    except ProviderFailure as failure:
        card = site, link.user_id, link.provider, link.account
        place, is_adding = await card_of_link(*card)
        await not_begun(request, session, place, "chat", failure, is_adding=is_adding)
        return RedirectResponse(card_address("list", place, "n"), 303)
    return hand_off(request, site.manager.providers[link.provider], url)


async def done(request: Request) -> Response:
    """``GET /connect/done/{provider}``: connected, and back to the chat."""
    site, provider = site_of(request), provider_of(request)
    session = await site.sessions.require(request)
    try:
        connection = await site.manager.connection(site.redis, session.user, provider.name)
    except OAuthAmbiguous:
        return RedirectResponse("/connections", 303)
    if connection.status is not Status.CONNECTED:
        return RedirectResponse("/connections", 303)
    names = site.settings.product_name, site.settings.bot_name
    note = session.notes.get(connection.place)
    return render(
        request,
        "link_done.html",
        provider=shown_as(site.manager.providers, connection),
        account=connection.profile.account.label,
        groups=permission_groups(provider, connection.scopes, *names, strongest_first=True),
        was_there=note is not None and note.key == "was_there",
    )
