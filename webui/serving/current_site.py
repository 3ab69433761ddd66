"""The site as it is set now: other settings take its place while it runs, between two requests."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.app import create_app, opened
from webui.oauth_manager import OAuthManager, StoreUnavailable
from webui.oauth_manager.storage import TROUBLE, Fit
from webui.oauth_manager.storage.calls import RedisClient
from webui.serving.change import ChangeRefused
from webui.settings.settings import Settings

TRIES, PAUSE = 8, 0.5  # seconds; of Redis with settings to come
OLD_SECONDS = 16.0  # for requests that began before a change; the longest may take 15

log = structlog.get_logger(__name__)


async def require_fit(settings: Settings) -> None:
    """Raise ``ChangeRefused`` unless Redis answers and the keys open what it holds."""
    async with opened(settings) as (manager, redis):
        fit = await _fit(manager, redis)
    if fit in TROUBLE:
        raise ChangeRefused(f"{TROUBLE[fit]}.")


async def _fit(manager: OAuthManager, redis: RedisClient) -> Fit:
    """Ask several times: a busy moment is no reason to refuse a key."""
    failure = ""
    for _ in range(TRIES):
        try:
            return await manager.ready(redis)
        except StoreUnavailable as error:
            failure = str(error)
        await asyncio.sleep(PAUSE)
    raise ChangeRefused(f"Redis does not answer: {failure}.")


class CurrentSite:
    """ASGI application: each request is for the site whose settings count when it arrives."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._now = _Generation(create_app(settings))
        self._ending: set[asyncio.Task[None]] = set()  # of generations before

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._now.serve(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send(await self._now.start())
        await receive()
        # A stop may come while a change waits for what the settings before have left.
        await asyncio.gather(self._now.end(), *self._ending)
        await send({"type": "lifespan.shutdown.complete"})

    async def change(self, settings: Settings) -> None:
        """Serve with other settings from now on; return once nothing is left of the old ones.

        Raises ``ChangeRefused``, and nothing has changed.
        """
        new = _Generation(create_app(settings))
        if (await new.start())["type"] != "lifespan.startup.complete":
            raise ChangeRefused("The site does not start with them.")
        old = self._now
        self._now, self.settings = new, settings
        ending = asyncio.create_task(old.end())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        await asyncio.shield(ending)


class _Generation:
    """One application with its lifespan, and the count of its requests under way."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._under_way = 0
        self._is_ending = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Any] = asyncio.Queue()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.setdefault("state", {})
        of_server = state.get("is_ending", bool)
        state["is_ending"] = lambda: self._is_ending or of_server()
        self._under_way += 1
        self._is_idle.clear()
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._is_idle.set()

    async def start(self) -> Message:
        """Return the application's answer: started, or why not."""
        self._task = asyncio.create_task(self._live())
        return await self._tell("lifespan.startup")

    async def end(self) -> None:
        """Let its requests finish, and then the work that they left."""
        self._is_ending = True
        try:
            async with asyncio.timeout(OLD_SECONDS):
                await self._is_idle.wait()
        except TimeoutError:
            log.error("requests of the settings before are still under way")
        await self._tell("lifespan.shutdown")
        await self._task

    async def _tell(self, step: str) -> Message:
        await self._to_app.put({"type": step})
        answer: Message = await self._from_app.get()
        return answer

    async def _live(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        try:
            await self._app(scope, self._to_app.get, self._from_app.put)
        except Exception:  # noqa: BLE001 - whatever it is, it has not started
            self._from_app.put_nowait({"type": "lifespan.startup.failed"})
