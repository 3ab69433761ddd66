"""The network under httpx: aiohttp's, for its speed, with httpx's manners.

Imported at the first call, or when the site has begun to listen: it takes a tenth of a second.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

import aiohttp
import httpx
from aiohttp.abc import ResolveResult
from httpx_aiohttp import AiohttpTransport

from ..configuration import is_loopback
from .reach import OutOfReach, Reach, admits

CONNECTIONS = 100  # at work at once
KEPT_SECONDS = 5.0  # that an idle connection is kept
MAX_HEADER_LINE = 64 * 1024  # bytes
MAX_HEADER_LINES = 1000

_Answered = aiohttp.client_proto.ResponseHandler
# The connection that answered, if more of the answer is to come: of the call under way.
_answered: ContextVar[_Answered | None] = ContextVar("answered")
# The addresses that the call under way did not connect to, for want of reach.
_turned_away: ContextVar[list[str]] = ContextVar("turned_away")


class Network(httpx.AsyncBaseTransport):
    """Plain HTTP/1.1, straight or through the proxy; made on the event loop that it serves.

    A request is sent once, whatever its method.  What goes wrong is told as httpx tells it:
    ``ConnectError`` and ``ProxyError`` if the request was not sent, ``ReadError`` and
    ``RemoteProtocolError`` if it may have been.  With a ``reach`` it connects to addresses
    of those kinds alone, whatever a name says when it is looked up: ``ConnectError`` by
    ``OutOfReach``.  A proxy looks names up itself, and so has no reach.
    """

    def __init__(
        self, context: ssl.SSLContext, proxy: httpx.Proxy | None = None, reach: Reach = ()
    ) -> None:
        session = aiohttp.ClientSession(
            connector=_Connector(
                ssl=context,
                limit=CONNECTIONS,
                keepalive_timeout=KEPT_SECONDS,
                resolver=_Resolver(),
                socket_factory=_socket_within(reach) if reach else None,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            skip_auto_headers=["Content-Type"],  # httpx has written all that are wanted
            middlewares=(_once,),
            max_line_size=MAX_HEADER_LINE,
            max_field_size=MAX_HEADER_LINE,
            max_headers=MAX_HEADER_LINES,
        )
        self._inner = AiohttpTransport(
            verify=context, trust_env=False, proxy=proxy and _with_login(proxy), client=session
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        turned_away: list[str] = []
        _turned_away.set(turned_away)
        try:
            response = await self._inner.handle_async_request(request)
        except httpx.ConnectError:
            if turned_away:
                raise httpx.ConnectError("out of reach") from OutOfReach()
            raise
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _Body(response.stream, _answered.get())
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def _socket_within(reach: Reach) -> Callable[[aiohttp.connector.AddrInfoType], socket.socket]:
    """Return a maker of sockets to addresses of these kinds: the last step before connecting."""

    def make(found: aiohttp.connector.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = found
        if not admits(reach, address[0]):
            _turned_away.get().append(address[0])
            raise OutOfReach
        return socket.socket(family=family, type=kind, proto=protocol)

    return make


class _Resolver(aiohttp.ThreadedResolver):  # another one, if installed, knows less
    """The system's, except that names below ``.localhost`` are this machine everywhere."""

    async def resolve(self, host: str, *args: Any, **more: Any) -> list[ResolveResult]:
        if not is_loopback(host):
            return await super().resolve(host, *args, **more)
        return await super().resolve("localhost", *args, **more)


class _Connector(aiohttp.TCPConnector):
    """Connections, none of them reused after the server has said something unasked, or ended it.

    Otherwise what it said would be the answer to the next request, which is somebody else's.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._used: WeakSet[object] = WeakSet()

    async def connect(self, *args: Any, **kwargs: Any) -> aiohttp.connector.Connection:
        while True:
            connection = await super().connect(*args, **kwargs)
            protocol = connection.protocol
            if protocol is None or protocol not in self._used:
                self._used.add(protocol)
                return connection
            if not protocol.should_close and not _is_told(connection):
                return connection
            connection.close()


def _is_told(connection: aiohttp.connector.Connection) -> bool:
    """Return whether bytes or an end wait that the event loop has not come to yet."""
    transport = connection.transport
    if transport is None:
        return True
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _with_login(proxy: httpx.Proxy) -> httpx.Proxy:
    """Carry the login as a header: as an argument, aiohttp would show it in its warnings."""
    if proxy.auth is None:
        return proxy
    login = b64encode(":".join(proxy.auth).encode()).decode()
    return httpx.Proxy(proxy.url, headers={"Proxy-Authorization": f"Basic {login}"})


class Proxied(httpx.AsyncBaseTransport):
    """Transport through a proxy, except to this machine: a proxy elsewhere cannot reach it."""

    def __init__(self, direct: httpx.AsyncBaseTransport, through: httpx.AsyncBaseTransport) -> None:
        self._direct = direct
        self._through = through

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        is_here = is_loopback(request.url.host)
        return await (self._direct if is_here else self._through).handle_async_request(request)

    async def aclose(self) -> None:
        await self._direct.aclose()
        await self._through.aclose()


def build(
    context: ssl.SSLContext, proxy: httpx.Proxy | None, reach: Reach
) -> httpx.AsyncBaseTransport:
    """Build the network, straight or through a proxy."""
    direct = Network(context, reach=reach)
    return direct if proxy is None else Proxied(direct, Network(context, proxy))


class _Body(httpx.AsyncByteStream):
    """Body of an answer; one without a length is not whole if a reset has ended it."""

    def __init__(self, stream: httpx.AsyncByteStream, answered: _Answered | None) -> None:
        self._stream = stream
        self._answered = answered
        self._is_whole = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for chunk in self._stream:
                yield chunk
            lost = None if self._answered is None else self._answered.exception()
            if isinstance(lost, OSError):
                raise lost
        self._is_whole = True

    async def aclose(self) -> None:
        with _translated():
            await self._stream.aclose()
        if not self._is_whole:
            await asyncio.sleep(0)  # the event loop closes the socket in its next turn


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send once: aiohttp repeats what its own errors end, if the method is GET or DELETE."""
    with _translated():
        response = await handler(request)
    _answered.set(response.connection and response.connection.protocol)
    return response


@contextmanager
def _translated() -> Iterator[None]:
    """Tell aiohttp's errors, also where its transport has named them, in httpx's words."""
    try:
        yield
    except (aiohttp.ClientError, httpx.TransportError) as error:
        found = error if isinstance(error, aiohttp.ClientError) else error.__cause__
        raise _in_words_of_httpx(found or error) from _cause(found or error)
    except ValueError as error:
        raise httpx.LocalProtocolError("not sent") from error


def _in_words_of_httpx(error: BaseException) -> httpx.TransportError:
    match error:
        case aiohttp.ClientHttpProxyError():
            return httpx.ProxyError(str(error.status))
        case aiohttp.ClientConnectorError():
            return httpx.ConnectError("no connection")
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return httpx.UnsupportedProtocol("no address")
        case aiohttp.ClientOSError() | aiohttp.ClientConnectionResetError():
            return httpx.ReadError("connection lost")
        case aiohttp.ServerTimeoutError():
            return httpx.ReadTimeout("no answer in time")
        case _:  # an answer that is none, or not whole
            return httpx.RemoteProtocolError("no answer")


def _cause(error: BaseException) -> BaseException | None:
    """Return what the network said; aiohttp's error itself holds addresses and headers."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return error.certificate_error
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error
    if isinstance(error, OSError):
        return OSError(*error.args)
    return None
