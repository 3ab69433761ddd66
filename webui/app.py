"""The composition root: the site made of its parts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Scope

from webui.access.roles import RoleUnknown
from webui.access.sign_in import ask_to_sign_in
from webui.agreement import agreement, compare_for_ever
from webui.metrics.outlets import recorder_for
from webui.metrics.recorder import Recorder
from webui.metrics.redis_latency import measure
from webui.metrics.samples import sample_for_ever
from webui.middleware.admission import Busy
from webui.middleware.stack import Divided, guarded
from webui.oauth_manager import OAuthAmbiguous, OAuthError, OAuthManager, StoreUnavailable
from webui.oauth_manager.protocol.steps import Observer
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.storage import TROUBLE, Clock, Fit, TooOld, WrongKey, dangers, facts
from webui.oauth_manager.storage.calls import RedisClient
from webui.people_data.erasure import take_up_for_ever
from webui.rate_limits import Limiter, TooMany
from webui.redis_client import connect
from webui.rendering.render import render_error
from webui.routes import development_routes, routes
from webui.sessions.sessions import Sessions, SignInNeeded
from webui.settings.settings import Settings
from webui.sign_on import SignOn
from webui.site import Site
from webui.views import errors

log = logging.getLogger(__name__)

_LISTENS_BY = 0.1  # seconds after the application is ready

_REFUSED = {
    "path": "404",
    "method": "404",
    "slow": "408",
    "large": "413",
    "cross-site": "stale",
    "unsaid": "unsaid",
}


def make_manager(
    settings: Settings,
    transport: Transport | None = None,
    clock: Clock | None = None,
    observer: Observer | None = None,
) -> OAuthManager:
    """Make the library's manager from the settings."""
    return OAuthManager(
        " ".join(settings.encryption_keys),
        settings.base_url,
        settings.providers_config,
        strict=settings.strict_records,
        outgoing_proxy=settings.outgoing_proxy,
        transport=transport,
        clock=clock,
        observer=observer,
    )


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[OAuthManager, RedisClient]]:
    """Make the manager and a client of Redis for a piece of work, and close both after it."""
    manager = make_manager(settings)
    redis = connect(settings.redis_url, settings.redis_wait_replicas)
    try:
        yield manager, redis
    finally:
        await manager.aclose()  # it may be using Redis
        await redis.aclose()


class StartRefused(RuntimeError):
    """The site would do harm with these settings; the message is the sentence for the log."""


async def _check_keys(manager: OAuthManager, redis: RedisClient) -> None:
    """Compare the keys with the records.  Raises ``StartRefused`` if none opens.

    Without Redis, or beside a canary that another key sealed, the site starts
    and is not ready: both may be over in a moment, in a rotation for instance.
    """
    try:
        fit = await manager.settle(redis)
    except StoreUnavailable as failure:
        log.error("not ready until Redis is: %s", failure)
        return
    if fit is Fit.NO_RECORD_OPENS:
        log.critical("not started: %s", TROUBLE[fit])
        raise StartRefused(TROUBLE[fit])
    if fit in (Fit.WRONG_KEY, Fit.TOO_OLD):
        log.critical("not ready: %s", TROUBLE[fit])


def _site(
    settings: Settings, transport: Transport, clock: Clock, recorder: Recorder | None
) -> Site:
    redis = connect(settings.redis_url, settings.redis_wait_replicas)
    manager = make_manager(settings, transport, clock, recorder.step if recorder else None)
    if recorder:
        measure(redis, recorder)
        recorder.begin(manager.list_configured_providers())
    return Site(
        settings,
        manager,
        redis,
        sessions=Sessions(redis, settings, clock),
        staff_sessions=Sessions(redis, settings, clock, "staff"),
        limiter=Limiter(redis, clock),
        sign_on=SignOn(settings, transport, clock) if settings.oidc_issuer else None,
    )


async def _warn_of_engine(redis: RedisClient) -> None:
    """Log what may lose connections, once the site listens: its first event is ``started``.

    A Redis that does not answer is told of elsewhere.
    """
    await asyncio.sleep(_LISTENS_BY)
    with suppress(StoreUnavailable):
        for what, cure in dangers(await facts(redis)):
            log.warning("Redis: %s %s", what, cure)


async def _warm(site: Site, transport: Transport) -> None:
    """Have the client for the providers ready, once the site listens: it takes 150 ms.

    And the addresses of those that are found by their issuers; a fault is logged.
    """
    await asyncio.sleep(_LISTENS_BY)
    await transport.warm()
    for name in site.manager.list_configured_providers():
        try:
            await site.manager.servers.of(site.redis, site.manager.providers[name])
        except OAuthError as failure:
            log.error("%s", failure)


async def _compare(site: Site) -> None:
    """Compare settings with the bot's, once the site listens."""
    await asyncio.sleep(_LISTENS_BY)
    digest = agreement(site.settings)
    await compare_for_ever(site.redis, site.clock, "site", digest)


def _beside(site: Site, transport: Transport) -> list[Coroutine[None, None, None]]:
    """Return what a site does beside its requests if it is out in the world."""
    if not transport.is_out_there:
        return []
    return [_warn_of_engine(site.redis), _warm(site, transport), _compare(site)]


@asynccontextmanager
async def _lifespan(
    site: Site, transport: Transport, recorder: Recorder | None, _: Starlette
) -> AsyncIterator[None]:
    try:
        await _check_keys(site.manager, site.redis)
        beside = _beside(site, transport)
        if recorder:
            beside.append(sample_for_ever(site.manager, site.redis, recorder))
        beside.append(take_up_for_ever(site.settings, site.manager, site.redis))
        if site.settings.keep_alive:
            beside.append(site.manager.keep_alive_for_ever(site.redis, site.settings.keep_alive))
        tasks = [asyncio.create_task(work) for work in beside]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # they may be using Redis
    finally:
        await site.manager.aclose()
        await site.redis.aclose()


def create_app(
    settings: Settings,
    *,
    transport: Transport | None = None,
    clock: Clock | None = None,
    development: bool = False,
) -> ASGIApp:
    """Make the site behind its guards.

    ``transport`` replaces the network to the providers and ``clock`` the time;
    ``development`` adds the page of all cards.
    """
    transport = transport or Transport(proxy=settings.outgoing_proxy)
    recorder = recorder_for(settings)
    site = _site(settings, transport, clock or Clock(), recorder)
    app = Starlette(
        routes=routes() + (development_routes() if development else []),
        exception_handlers={
            HTTPException: errors.http_error,
            SignInNeeded: ask_to_sign_in,
            StoreUnavailable: errors.store_unavailable,
            WrongKey: errors.store_unavailable,
            TooOld: errors.store_unavailable,
            RoleUnknown: errors.role_unknown,
            TooMany: errors.too_many,
            OAuthAmbiguous: errors.ambiguous,
            Busy: errors.busy,
            Exception: errors.unexpected,
        },
        lifespan=partial(_lifespan, site, transport, recorder),
    )
    app.router.redirect_slashes = False  # its redirect would trust the Host header
    app.state.site = site

    async def refuse(scope: Scope, status: int, reason: str) -> Response:
        request = Request({**scope, "app": app})
        if reason == "interrupted":
            return errors.interrupted(request)
        if reason not in _REFUSED:  # a machine's mistake, or an attack: no person will ask about it
            return render_error(request, status)
        return await errors.error_page(request, status, _REFUSED[reason])

    def make_api() -> ASGIApp:
        from webui.api.application import create_api

        return create_api(site, recorder)

    return Divided(guarded(app, settings, refuse, recorder), make_api, settings.api_port)
