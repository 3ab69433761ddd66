"""The demo's one address: chat and site side by side, and the steps that somebody has done.

Done is what Alice's chat and her journal say: nothing watches the browser.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from webui.fetch_metadata import is_same_origin
from webui.oauth_manager import Status, StoreUnavailable, get_oauth_manager
from webui.oauth_manager.storage.calls import RedisClient
from webui.oauth_manager.values import Struct, replace

from .attacks import Attacks
from .chat import Chat, Message
from .pages import HEADERS, page
from .switches import Switches

PERSON = "alice"
PROVIDER = "github"
FIRST = f"connect {PROVIDER}"
_EVENTS = 50  # of the person's newest that are looked at


class Scene(Struct, frozen=True):
    """Facts that steps are read from: messages and journal since the demo's start."""

    messages: list[Message]
    events: set[str]
    is_connected: bool = False

    def sent(self, text: str) -> bool:
        return any(m.is_mine and m.reply.text.lower().startswith(text) for m in self.messages)

    def heard(self, text: str) -> bool:
        return any(not m.is_mine and text in m.reply.text for m in self.messages)

    def happened(self, *kinds: str) -> bool:
        return self.is_connected or not self.events.isdisjoint(kinds)


STEPS: tuple[tuple[str, Callable[[Scene], bool]], ...] = (
    (
        "Alice asks Stargazer in the chat: connect github",
        lambda s: s.sent(FIRST) or s.happened("connected"),
    ),
    (
        "Press Connect GitHub in the chat. On the page, press Yes, I asked for this.",
        lambda s: s.happened("link_used", "connected"),
    ),
    (
        "Type the code on the page into the chat, and send it.",
        lambda s: s.heard("That matches.") or s.happened("connected"),
    ),
    (
        "Press Continue to GitHub, and there Allow.",
        lambda s: s.happened("connected"),
    ),
    (
        "Send in the chat: whoami github",
        lambda s: s.heard("GitHub knows you as"),
    ),
    (
        "Press Age the token below, and send it again: Stargazer renews the token.",
        lambda s: s.heard("The token was renewed"),
    ),
    (
        "Send: disconnect github",
        lambda s: "disconnected" in s.events,
    ),
)


ATTACKS = {
    "stranger": "A stranger's link",
    "forwarded": "A forwarded link",
    "planted": "A planted account",
}


@dataclass
class Guide:
    """The guide's pages at ``origin``: the frames at ``/`` and the steps at ``/guide``."""

    origin: str
    chat: Chat
    redis: RedisClient
    attacks: Attacks
    switches: Switches
    _began: float = field(default_factory=time.time)
    _last: Scene = field(default_factory=lambda: Scene([], set()))

    def routes(self) -> list[Route]:
        post = ["POST"]
        return [
            Route("/", self._show),
            Route("/guide", self._steps),
            Route("/guide/attack/{name}", partial(self._press, self.attacks.play), methods=post),
            Route("/guide/switch/{name}", partial(self._press, self.switches.press), methods=post),
        ]

    async def _show(self, _: Request) -> Response:
        """Show everything at once; the conversation has begun when somebody comes."""
        if len(self.chat.messages(PERSON)) == 1 and not (await self._scene()).is_connected:
            await self.chat.hear(PERSON, FIRST)
        site = self.attacks.site
        return page("guide.html", frames=f"'self' {site}", site=site, person=PERSON)

    async def _steps(self, _: Request) -> Response:
        scene, outcomes = await self._scene(), self.attacks.outcomes
        return page(
            "guide_steps.html",
            steps=[(text, is_done(scene)) for text, is_done in STEPS],
            attacks=[(name, label, outcomes.get(name)) for name, label in ATTACKS.items()],
            switches=self.switches.rows(),
        )

    async def _press(self, act: Callable[[str], Awaitable[bool]], request: Request) -> Response:
        """Do what a button of the steps says, and show what came of it."""
        name: str = request.path_params["name"]
        if not is_same_origin(request.headers, self.origin):
            return PlainTextResponse("This did not come from the guide.\n", 403, HEADERS)
        if not await act(name):
            raise HTTPException(404)
        return RedirectResponse(f"/guide#{name}", 303, HEADERS)

    async def _scene(self) -> Scene:
        """Look; while Redis does not answer, what was seen last stands."""
        manager, seen = get_oauth_manager(), self._last
        try:
            if not self.switches.redis_is_stopped:
                connection = await manager.connection(self.redis, PERSON, PROVIDER)
                newest = await manager.activity(self.redis, PERSON, provider=PROVIDER, size=_EVENTS)
                since = {event.kind for event in newest.events if event.at >= self._began}
                seen = Scene([], since, connection.status is Status.CONNECTED)
        except StoreUnavailable:
            pass
        self._last = replace(seen, messages=self.chat.messages(PERSON))
        return self._last
