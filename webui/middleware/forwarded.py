"""The client behind trusted reverse proxies: plain ASGI, from X-Forwarded-For and -Proto."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from webui.addresses import TrustedNetworks


class ForwardedClient:
    """Middleware: the peer becomes the client that a trusted proxy saw; others are not believed."""

    def __init__(self, app: ASGIApp, trusted: Iterable[str]) -> None:
        self.app = app
        self._trusted = TrustedNetworks(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if client and client[0] in self._trusted:
            headers = Headers(scope=scope)
            if (proto := headers.get("x-forwarded-proto", "").strip()) in ("http", "https"):
                scope["scheme"] = proto
            if host := self._client(headers.getlist("x-forwarded-for")):
                scope["client"] = (host, 0)
        await self.app(scope, receive, send)

    def _client(self, values: Iterable[str]) -> str:
        """Return the last address that is no proxy of ours; if all are proxies, the first."""
        hosts = [_without_port(part.strip()) for part in ",".join(values).split(",")]
        return next((host for host in reversed(hosts) if host not in self._trusted), hosts[0])


def _without_port(text: str) -> str:
    """Strip the port from ``192.0.2.1:443`` and ``[2001:db8::1]:443``."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
