"""Identity from a trusted reverse proxy: plain ASGI, before its headers change the peer.

The headers count from the peer of the connection itself, if ``TRUSTED_PROXIES`` names
it.  From anybody else, and in every spelling but the exact one, they are removed before
anything can read them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from webui.addresses import TrustedNetworks
from webui.middleware.requests import Refusal
from webui.sessions.proxied import PERSON, ProxiedPerson
from webui.settings.settings import Settings
from webui.text.names import entries, read_group, read_user_id, without_blanks

log = logging.getLogger(__name__)


class _Unclear(ValueError):
    """A header of the trusted proxy that is ambiguous or unreadable."""


class ProxyIdentity:
    """Reader of the identity headers of trusted proxies, and remover of all of them.

    A doubled or malformed one from a trusted proxy ends in 400: the proxy passes on its
    clients' headers, and to go on without it would let them choose whether it counts.
    So does a name or group that :mod:`webui.text.names` refuses.  An empty one names
    nobody.
    """

    def __init__(self, app: ASGIApp, settings: Settings, refuse: Refusal) -> None:
        self.app = app
        self.refuse = refuse
        self._user = settings.proxy_user_header.encode("ascii")
        self._groups = settings.proxy_groups_header.encode("ascii")
        self._ours = {self._user, self._groups} - {b""}
        self._trusted = TrustedNetworks(settings.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = scope["headers"]
        scope["headers"] = [pair for pair in headers if _plain(pair[0]) not in self._ours]
        try:
            client = scope.get("client")
            is_trusted = client is not None and client[0] in self._trusted
            scope[PERSON] = self._read(headers) if is_trusted else None
        except _Unclear:
            log.warning("a trusted proxy sent a header that names the person twice, or malformed")
            response = await self.refuse(scope, 400, "identity")
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _read(self, headers: Iterable[tuple[bytes, bytes]]) -> ProxiedPerson | None:
        user, groups = (_only(headers, name) for name in (self._user, self._groups))
        if not user:
            return None
        try:
            return ProxiedPerson(read_user_id(user), tuple(map(read_group, entries(groups))))
        except ValueError:
            raise _Unclear from None


def _only(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    values = [value for key, value in headers if name and key == name]
    if len(values) > 1:
        raise _Unclear
    try:
        return without_blanks(values[0].decode("utf-8")) if values else ""
    except UnicodeDecodeError:
        raise _Unclear from None


def _plain(name: bytes) -> bytes:
    """Return a name as read by servers that put headers into variables (RFC 3875, 4.1.18)."""
    return name.lower().replace(b"_", b"-")
