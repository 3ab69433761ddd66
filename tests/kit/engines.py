"""Firefox by WebDriver BiDi and WebKit by WebDriver, as small as one story needs them.

Both are Debian's own browsers; WebKit needs a screen, which Xvfb draws nowhere.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest

from tests.kit.site_fixtures import free_port

MINI_BROWSERS = "/usr/lib/*/webkit2gtk-*/MiniBrowser"
_LISTENS = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")
_PREFERENCES = """\
user_pref("javascript.enabled", {script});
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.reportingpolicy.firstRun", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,#remote-settings-dummy");
"""
PATIENCE = 20.0  # seconds for anything to appear


class Engine(Protocol):
    """One window of a browser.  Elements are found by CSS."""

    async def go(self, url: str) -> None: ...

    async def url(self) -> str: ...

    async def there(self, css: str) -> bool:
        """Return whether such an element is in the page now."""

    async def text(self, css: str) -> str: ...

    async def click(self, css: str) -> None: ...


async def wait(engine: Engine, css: str) -> None:
    """Wait until there is such an element; a page on its way has none."""
    async with asyncio.timeout(PATIENCE):
        while not await engine.there(css):  # noqa: ASYNC110 -- a page tells nobody outside
            await asyncio.sleep(0.05)


def missing(reason: str) -> None:
    """Fail: this machine has to have every browser."""
    pytest.fail(f"REQUIRE_ENGINES is set, but {reason}")


@dataclass
class Firefox:
    """WebDriver BiDi over one WebSocket.  Works in a page without scripts too."""

    socket: aiohttp.ClientWebSocketResponse = field(repr=False)
    context: str = ""
    _count: int = 0

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        await self.socket.send_json({"id": self._count, "method": method, "params": params})
        while True:
            answer = await self.socket.receive_json()
            if answer.get("id") == self._count:
                if answer["type"] == "error":
                    raise LookupError(f"{method}: {answer['error']}: {answer['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    async def go(self, url: str) -> None:
        await self.send("browsingContext.navigate", context=self.context, url=url, wait="complete")

    async def url(self) -> str:
        tree = await self.send("browsingContext.getTree", root=self.context)
        return str(tree["contexts"][0]["url"])

    async def _found(self, css: str) -> list[dict[str, Any]]:
        locator = {"type": "css", "value": css}
        deep = {"maxDomDepth": 12, "includeShadowTree": "none"}
        try:
            answer = await self.send(
                "browsingContext.locateNodes",
                context=self.context,
                locator=locator,
                serializationOptions=deep,
            )
        except LookupError:
            return []
        nodes: list[dict[str, Any]] = answer["nodes"]
        return nodes

    async def there(self, css: str) -> bool:
        return bool(await self._found(css))

    async def text(self, css: str) -> str:
        await wait(self, css)
        return " ".join(_words((await self._found(css))[0]))

    async def click(self, css: str) -> None:
        await wait(self, css)
        node = (await self._found(css))[0]
        origin = {"type": "element", "element": {"sharedId": node["sharedId"]}}
        moves = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        mouse = {"type": "pointer", "id": "mouse", "actions": moves}
        await self.send("input.performActions", context=self.context, actions=[mouse])


def _words(node: dict[str, Any]) -> list[str]:
    value = node.get("value", {})
    own = value.get("nodeValue", "").split() if value.get("nodeType") == 3 else []
    return own + [word for child in value.get("children", ()) for word in _words(child)]


@dataclass
class WebKit:
    """WebDriver over HTTP."""

    client: aiohttp.ClientSession = field(repr=False)
    session: str

    async def send(self, method: str, path: str, **body: Any) -> Any:
        address = f"{self.session}{path}"
        data = body if method == "POST" else None
        async with self.client.request(method, address, json=data) as answer:
            value = (await answer.json())["value"]
        if answer.status != 200:
            raise LookupError(f"{path}: {value['error']}: {value['message']}")
        return value

    async def go(self, url: str) -> None:
        await self.send("POST", "/url", url=url)

    async def url(self) -> str:
        return str(await self.send("GET", "/url"))

    async def _found(self, css: str) -> list[str]:
        found = await self.send("POST", "/elements", using="css selector", value=css)
        return [next(iter(element.values())) for element in found]

    async def there(self, css: str) -> bool:
        try:
            return bool(await self._found(css))
        except LookupError:  # between two pages
            return False

    async def text(self, css: str) -> str:
        await wait(self, css)
        element = (await self._found(css))[0]
        return str(await self.send("GET", f"/element/{element}/property/textContent")).strip()

    async def click(self, css: str) -> None:
        await wait(self, css)
        element = (await self._found(css))[0]
        await self.send("POST", f"/element/{element}/click")


@asynccontextmanager
async def _process(*command: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@asynccontextmanager
async def firefox(folder: Path, *, script: bool) -> AsyncIterator[Engine]:
    """Start Firefox with a profile of its own."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if not program:
        missing("there is no Firefox")
        raise AssertionError
    _write(folder, _PREFERENCES.format(script=str(script).lower()))
    command = [program, "--headless", "--no-remote", "--remote-debugging-port", "0"]
    async with AsyncExitStack() as stack:
        home = {"HOME": str(folder), "MOZ_DISABLE_CONTENT_SANDBOX": "1"}
        made = _process(*command, "--profile", str(folder), "about:blank", **home)
        process = await stack.enter_async_context(made)
        address = await _announced(process)
        drain = asyncio.create_task(_drained(process))
        stack.push_async_callback(_cancelled, drain)
        client = await stack.enter_async_context(aiohttp.ClientSession())
        socket = await stack.enter_async_context(
            client.ws_connect(f"{address}/session", max_msg_size=0)
        )
        engine = Firefox(socket)
        await engine.send("session.new", capabilities={})
        tree = await engine.send("browsingContext.getTree")
        engine.context = tree["contexts"][0]["context"]
        yield engine


def _write(folder: Path, preferences: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "user.js").write_text(preferences)


def _mini_browser() -> Path | None:
    return next(Path("/").glob(MINI_BROWSERS[1:]), None)


async def _announced(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(60):
        async for line in process.stderr:
            if found := _LISTENS.search(line):
                return found[1].decode()
    raise AssertionError("Firefox says no address")


async def _drained(process: asyncio.subprocess.Process) -> None:
    assert process.stderr is not None
    while await process.stderr.read(65536):
        pass


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


@asynccontextmanager
async def webkit(folder: Path) -> AsyncIterator[Engine]:
    """Start WebKit's MiniBrowser on a screen that nobody sees."""
    driver, screen = shutil.which("WebKitWebDriver"), shutil.which("Xvfb")
    browser = _mini_browser()
    if not (driver and screen and browser):
        missing("there is no WebKit, or no Xvfb")
        raise AssertionError
    _write(folder)
    port, number = free_port(), f":{free_port()}"
    home = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "DISPLAY": number}
    quiet = {
        "GDK_BACKEND": "x11",
        "NO_AT_BRIDGE": "1",
        "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
    }
    async with AsyncExitStack() as stack:
        shown = _process(screen, number, "-screen", "0", "1280x1024x24", "-nolisten", "tcp")
        x = await stack.enter_async_context(shown)
        served = _process(driver, f"--port={port}", "--host=127.0.0.1", **home, **quiet)
        web = await stack.enter_async_context(served)
        for process in (x, web):
            stack.push_async_callback(_cancelled, asyncio.create_task(_drained(process)))
        client = await stack.enter_async_context(aiohttp.ClientSession())
        options = {"binary": str(browser), "args": ["--automation"]}
        wanted = {"alwaysMatch": {"webkitgtk:browserOptions": options}}
        base = f"http://127.0.0.1:{port}/session"
        session = await _opened(client, base, {"capabilities": wanted})
        stack.push_async_callback(_closed, client, session)
        yield WebKit(client, session)


async def _opened(client: aiohttp.ClientSession, base: str, wanted: dict[str, Any]) -> str:
    async with asyncio.timeout(60):
        while True:
            try:
                async with client.post(base, json=wanted) as answer:
                    value = (await answer.json())["value"]
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
                continue
            assert answer.status == 200, value
            return f"{base}/{value['sessionId']}"


async def _closed(client: aiohttp.ClientSession, session: str) -> None:
    async with client.delete(session) as answer:
        await answer.read()
