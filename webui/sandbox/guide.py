"""The demo's one address: chat and site side by side, and the steps that somebody has done.

Done is what Alice's chat and her journal say: nothing watches the browser.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webui.oauth_manager import Status, StoreUnavailable, get_oauth_manager
from webui.oauth_manager.storage.calls import RedisClient
from webui.text import words

from .chat import Chat, Message
from .pages import page

PERSON = "alice"
PROVIDER = "github"
FIRST = f"connect {PROVIDER}"
_EVENTS = 50  # of the person's newest that are looked at


@dataclass(frozen=True)
class Scene:
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


_MATCHES = words.text("chat.matches")
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
        lambda s: s.heard(_MATCHES) or s.happened("connected"),
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


class Guide:
    """The guide's pages: the frames at ``/`` and the steps at ``/guide``."""

    def __init__(self, site: str, chat: Chat, redis: RedisClient) -> None:
        self._site = site
        self._chat = chat
        self._redis = redis
        self._began = time.time()

    def routes(self) -> list[Route]:
        return [Route("/", self._show), Route("/guide", self._steps)]

    async def _show(self, _: Request) -> Response:
        """Show everything at once; the conversation has begun when somebody comes."""
        if len(self._chat.messages(PERSON)) == 1 and not (await self._scene()).is_connected:
            await self._chat.hear(PERSON, FIRST)
        return page("guide.html", frames=f"'self' {self._site}", site=self._site, person=PERSON)

    async def _steps(self, _: Request) -> Response:
        scene = await self._scene()
        steps = [(text, is_done(scene)) for text, is_done in STEPS]
        return page("guide_steps.html", steps=steps)

    async def _scene(self) -> Scene:
        messages = self._chat.messages(PERSON)
        manager = get_oauth_manager()
        try:
            connection = await manager.connection(self._redis, PERSON, PROVIDER)
            newest = await manager.activity(self._redis, PERSON, provider=PROVIDER, size=_EVENTS)
        except StoreUnavailable:
            return Scene(messages, set())
        since = {event.kind for event in newest.events if event.at >= self._began}
        return Scene(messages, since, connection.status is Status.CONNECTED)
