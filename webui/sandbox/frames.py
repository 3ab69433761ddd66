"""Frames of the guide: the demo's own applications, and they alone, may stand in one.

The site forbids every frame (``frame-ancestors 'none'``) and refuses a link that a frame opens.
Only the demo puts this around it, so the site stays so wherever it is really served.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FRAMED = "webui.demo.framed"  # in the scope of a request that a frame made
_POLICY = "content-security-policy"
_NOBODY = "frame-ancestors 'none'"
_FRAME = (b"sec-fetch-dest", b"iframe")
_PAGE = (b"sec-fetch-dest", b"document")
_OURS = {(b"sec-fetch-site", site) for site in (b"same-origin", b"same-site", b"none")}


class Framed:
    """Middleware: pages of ``app`` may stand in a frame of a page of the origin ``guide``."""

    def __init__(self, app: ASGIApp, guide: str) -> None:
        self.app = app
        self._holder = f"frame-ancestors {guide}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if policy := headers.get(_POLICY):
                    headers[_POLICY] = policy.replace(_NOBODY, self._holder)
                del headers["x-frame-options"]
            await send(message)

        given = scope["headers"]
        # A page of another host asks in vain, as everywhere.
        is_framed = _FRAME in given and not _OURS.isdisjoint(given)
        if is_framed:
            given = [_PAGE if pair == _FRAME else pair for pair in given]
        await self.app({**scope, "headers": given, FRAMED: is_framed}, receive, send_framed)
