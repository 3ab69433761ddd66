"""The demo in this process, and what one person does there with one browser."""

from __future__ import annotations

import asyncio
import html
import re
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
import httpx
import uvicorn
from starlette.types import ASGIApp

from webui.sandbox.demo import create_demo
from webui.sandbox.demo_secrets import Secrets, make_secrets
from webui.sandbox.switches import PAUSE_SECONDS
from webui.sandbox.whoami import ThisMachine

HEARD_WITHIN = 20  # seconds


def _messages(page: str) -> list[str]:
    """The bot's, each as HTML."""
    return re.findall(r'<li class="bot".*?</li>', page, re.DOTALL)


@dataclass
class Journey:
    """The two origins, and a browser that knows only cookies and links."""

    site: str
    sandbox: str
    browser: httpx.AsyncClient

    async def post(
        self, url: str, form: Mapping[str, str | list[str]] | None = None
    ) -> httpx.Response:
        parts = urlsplit(url)
        origin = {"Origin": f"{parts.scheme}://{parts.netloc}"}
        return await self.browser.post(url, data=form, headers=origin)

    async def press(
        self, page: httpx.Response, button: str, typed: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send the form of the site that holds the button of that id, with what is typed there."""
        forms = re.findall(r'<form[^>]* action="([^"]+)"[^>]*>(.*?)</form>', page.text, re.DOTALL)
        found = [(action, inside) for action, inside in forms if f'id="{button}"' in inside]
        assert found, f"no button {button}: {page.status_code}"
        ((action, inside),) = found
        fields = re.findall(r'<(?:input|select) id="[^"]+" name="ask.([^"]+)"', inside)
        assert fields == list(typed or {}), inside
        form = {f"ask.{name}": value for name, value in (typed or {}).items()}
        return await self.post(self.site + html.unescape(action), form)

    async def say(self, text: str, person: str = "alice") -> str:
        """The bot's reply, as HTML."""
        chat = f"{self.sandbox}/chat/{person}"
        sent = await self.post(chat, {"text": text})
        assert sent.status_code == 303
        page = (await self.browser.get(chat)).text
        _, _, after_mine = page.rpartition('<li class="mine"')
        return _messages(after_mine)[0]

    async def hear(self, words: str, person: str = "alice") -> str:
        """The message with those words, as HTML, as soon as the bot has said it."""
        with anyio.fail_after(HEARD_WITHIN):
            while True:
                page = await self.browser.get(f"{self.sandbox}/chat/{person}")
                for message in _messages(page.text):
                    if words in message:
                        return message

    async def open_link(self, reply: str) -> httpx.Response:
        """The page that the bot's reply links to: our own, never the provider's."""
        (url,) = re.findall(r'href="([^"]+)"', reply)
        assert url.startswith(f"{self.site}/connect/")
        return await self.browser.get(url)

    async def reach_code(self, reply: str, typed: Mapping[str, str] | None = None) -> str:
        """The code that the browser shows after the landing page."""
        started = await self.press(await self.open_link(reply), "link-yes", typed)
        assert started.status_code == 303
        proof = await self.browser.get(self.site + started.headers["location"])
        shown = re.search(r'aria-hidden="true">(\w{3} \w{3})<', proof.text)
        assert shown
        return shown[1]

    async def prove(
        self, reply: str, person: str = "alice", typed: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send the code from the browser to the bot, and go on."""
        code = await self.reach_code(reply, typed)
        assert "That matches." in await self.say(code.lower(), person)
        proof = await self.browser.get(f"{self.site}/connect/proof")
        return await self.press(proof, "proof-continue")

    async def consent(
        self, handoff: httpx.Response, *, account: str = "mona", without: str = ""
    ) -> httpx.Response:
        """Go from the hand-off page over the provider and the callback to the end.

        ``account`` is chosen there; ``without`` is a permission that is unticked there.
        """
        found = re.search(r'href="([^"]+)" rel="noreferrer"', handoff.text)
        assert found
        asked = await self.browser.get(html.unescape(found[1]), follow_redirects=True)
        ticked = [html.unescape(s) for s in re.findall(r'name="scope" value="([^"]+)"', asked.text)]
        form: dict[str, str | list[str]] = {
            "account": account,
            "decision": "allow",
            "scope": [scope for scope in ticked if scope != without],
        }
        allowed = await self.post(str(asked.url), form)
        assert allowed.status_code == 303
        return await self.browser.get(allowed.headers["location"], follow_redirects=True)

    async def connect(
        self, provider: str, typed: Mapping[str, str] | None = None
    ) -> httpx.Response:
        reply = await self.say(f"connect {provider}")
        return await self.consent(await self.prove(reply, typed=typed))


@asynccontextmanager
async def demo(
    redis_url: str,
    *,
    token_lifetime: int,
    redis_pause: float = PAUSE_SECONDS,
    keys: Secrets | None = None,
    others: Iterable[str] = (),
) -> AsyncIterator[Journey]:
    """The whole demo on two free ports; ``token_lifetime`` and ``redis_pause`` in seconds."""
    async with AsyncExitStack() as stack:
        listeners = [
            stack.enter_context(closing(socket.create_server(("127.0.0.1", 0)))) for _ in range(2)
        ]
        ports = [listener.getsockname()[1] for listener in listeners]
        site, sandbox = f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
        apps = create_demo(
            redis_url,
            keys or make_secrets(),
            site,
            sandbox,
            token_lifetime=token_lifetime,
            redis_pause=redis_pause,
            others=others,
        )
        for app, listener in zip(apps, listeners, strict=True):
            await stack.enter_async_context(_serving(app, listener))
        browser = await stack.enter_async_context(
            httpx.AsyncClient(transport=ThisMachine(), trust_env=False)
        )
        yield Journey(site, sandbox, browser)


@asynccontextmanager
async def _serving(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(app, http="h11", ws="none", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task
