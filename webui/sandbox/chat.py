"""The demo's chat: private conversations of two made-up people with the bot.

It replaces a chat service, so there is no sign-in: the address names the writer, and
``/chat/mine`` leads to the chat that was opened last.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from webui.fetch_metadata import is_same_origin
from webui.oauth_manager import get_oauth_manager
from webui.oauth_manager.values import Struct

from .bot import NAME, Reply
from .frames import FRAMED
from .pages import HEADERS, TEMPLATES, files, page

PEOPLE = {"alice": "Alice", "bob": "Bob"}
MAX_TEXT = 300  # characters of one message
MAX_MESSAGES = 200  # of one conversation; the oldest go first

Answer = Callable[[str, str], Awaitable[Reply]]
"""From user id and text to the bot's reply."""

Chips = Callable[[str], Awaitable[Sequence[str]]]
"""From user id to the messages that a press sends."""

_COOKIE = "person"
TEMPLATES.globals.update(bot=NAME, people=PEOPLE, max_text=MAX_TEXT)


class Message(Struct, frozen=True):
    """A message; ``number`` grows, also from one start of the demo to the next."""

    number: int
    is_mine: bool
    reply: Reply


class Chat:
    """The conversations, in memory, and their pages below ``/chat`` of ``origin``."""

    def __init__(self, origin: str, answer: Answer, chips: Chips) -> None:
        self._origin = origin
        self._answer = answer
        self._chips = chips
        # A page that stayed open over a restart asks for messages after its last one.
        self._numbers = itertools.count(int(time.time() * 1000))
        self._conversations: dict[str, deque[Message]] = {
            person: deque(maxlen=MAX_MESSAGES) for person in PEOPLE
        }
        self._turns = {person: asyncio.Lock() for person in PEOPLE}
        for person, name in PEOPLE.items():
            greeting = f"Hello {name}, I am {NAME}. Send connect github to begin, or help."
            self._add(person, Reply(greeting))

    def routes(self) -> list[Route]:
        return [
            Route("/chat", _choose),
            Route("/chat/mine", _mine),
            Route("/chat/{person}", self._show),
            Route("/chat/{person}", self._send, methods=["POST"]),
            Route("/chat/{person}/new", self._show_new),
            Route("/chat/{person}/chips", self._show_chips),
            *files(),
        ]

    def messages(self, person: str) -> list[Message]:
        """List a person's conversation, oldest first."""
        return list(self._conversations[person])

    async def hear(self, person: str, text: str) -> Reply:
        """Take a person's message, and return the bot's answer."""
        async with self._turns[person]:
            self._add(person, Reply(text), is_mine=True)
            answer = await self._answer(person, text)
            self._add(person, answer)
        return answer

    async def say(self, person: str, saying: Awaitable[Reply]) -> None:
        """Send a message of the bot, but only once it has answered the person's last one."""
        async with self._turns[person]:
            self._add(person, await saying)

    def _add(self, person: str, content: Reply, *, is_mine: bool = False) -> None:
        message = Message(next(self._numbers), is_mine, content)
        self._conversations[person].append(message)

    async def _show(self, request: Request) -> Response:
        person = _person(request)
        messages, chips = self._conversations[person], await self._chips(person)
        shown = page("chat.html", person=person, messages=messages, chips=chips)
        return _remembered(shown, person)

    async def _show_new(self, request: Request) -> Response:
        """Return the messages after the one of number ``after``: 204 if there are none."""
        after = request.query_params.get("after", "")
        last = int(after) if after.isascii() and after.isdigit() and len(after) < 20 else 0
        person = _person(request)
        new = [m for m in self._conversations[person] if m.number > last]
        found = page("chat_messages.html", messages=new) if new else Response(status_code=204)
        return _remembered(found, person)

    async def _show_chips(self, request: Request) -> Response:
        return page("chat_chips.html", chips=await self._chips(_person(request)))

    async def _send(self, request: Request) -> Response:
        person = _person(request)
        if not is_same_origin(request.headers, self._origin):
            return PlainTextResponse("This did not come from the chat page.\n", 403, HEADERS)
        text = (await request.form()).get("text", "")
        text = " ".join(text.split())[:MAX_TEXT] if isinstance(text, str) else ""
        if text:
            await self.hear(person, text)
        return RedirectResponse(f"/chat/{person}", 303, HEADERS)


async def _choose(_: Request) -> Response:
    return page("chat_people.html")


async def _mine(request: Request) -> Response:
    """Lead to the chat of this browser's person; ask for the person if none was opened yet.

    In the guide's frame for the site: the chat is beside it.
    """
    if request.scope.get(FRAMED):
        return page("chat_beside.html", site=get_oauth_manager().base_url)
    person = request.cookies.get(_COOKIE, "")
    path = f"/chat/{person}" if person in PEOPLE else "/chat"
    return RedirectResponse(path, 303, HEADERS)


def _remembered(response: Response, person: str) -> Response:
    """Store in the browser whose chat it shows; only a visible page polls for news."""
    response.set_cookie(_COOKIE, person, path="/chat", httponly=True, samesite="lax")
    return response


def _person(request: Request) -> str:
    person: str = request.path_params["person"]
    if person not in PEOPLE:
        raise HTTPException(404)
    return person
