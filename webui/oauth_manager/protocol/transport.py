"""Calls to providers: no redirects, one deadline, a byte cap.  The one user of httpx.

They go straight out, or through one proxy that the operator names.  The environment's
own proxies are ignored: codes and tokens go this way.  What sends them is ``network``.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import zlib
from contextlib import suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib import import_module
from types import ModuleType
from urllib.parse import urlsplit

import httpx

from ..clock import seconds_left
from ..configuration import is_loopback
from ..errors import OAuthUnavailable
from .answers import Answer
from .network_faults import fault_of, is_tls
from .reach import Reach, admits
from .requests import ProviderRequest

log = logging.getLogger(__name__)

DEADLINE = 10.0  # seconds, for the whole of a call
DEADLINE_WHILE_WAITING = 4.0  # seconds, while a person waits for a disconnect
MAX_BODY = 256 * 1024  # bytes, decoded
_LOOKED = ("out_of_reach", "discovery")
_HEADERS = {"User-Agent": "account-connections", "Accept-Encoding": "identity"}


def tls_context() -> ssl.SSLContext:
    """Trust the certificates of ``SSL_CERT_FILE``, if that is set.  Raises ``OSError``."""
    return httpx.create_ssl_context()


def _load() -> tuple[ModuleType, ssl.SSLContext]:
    """Import the network and read the certificates: 150 ms.  Raises ``OSError``."""
    return import_module(".network", __package__), tls_context()


async def _connect(proxy: httpx.Proxy | None, reach: Reach) -> httpx.AsyncBaseTransport:
    """Build plain HTTP, straight or through the proxy, while the event loop goes on."""
    network, context = await asyncio.to_thread(_load)
    made: httpx.AsyncBaseTransport = network.build(context, proxy, reach)
    return made


def _read_proxy(address: str) -> httpx.Proxy | None:
    """Parse a proxy's address; None for ``""``.  Raises ``ValueError``, which quotes nothing."""
    if not address:
        return None
    with suppress(ValueError, httpx.InvalidURL):
        proxy = httpx.Proxy(address)
        if proxy.url.scheme in ("http", "https") and proxy.url.host:
            return proxy
    raise ValueError("a proxy's address looks like http://user:password@host:3128")


class _Client(httpx.AsyncClient):
    """A client, and the network that it sends through."""

    def __init__(self, network: httpx.AsyncBaseTransport) -> None:
        self.network = network
        # The environment's proxies and .netrc are not ours to trust with credentials.
        super().__init__(
            transport=network,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(None),  # a call as a whole has a deadline
            # All people share this client: a provider's answer to one is not for another.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers=_HEADERS,
        )


_Place = tuple[asyncio.AbstractEventLoop, Reach]


class Transport:
    """One shared HTTP client for each event loop: a client per call costs a TLS context.

    Requests of another reach have another one, so that none goes over a connection to
    an address that it may not go to.

    ``transport`` replaces the network, for tests; ``proxy`` is an address like
    ``http://user:password@host:3128`` (or https) that every call goes through.
    Raises ``ValueError`` if it is none.
    """

    def __init__(
        self, transport: httpx.AsyncBaseTransport | None = None, *, proxy: str = ""
    ) -> None:
        self._transport = transport
        self._proxy = _read_proxy(proxy)
        self._clients: dict[_Place, asyncio.Task[_Client]] = {}

    @property
    def is_out_there(self) -> bool:
        """Tell whether calls go over a network, and not to its replacement in tests."""
        return self._transport is None

    async def warm(self) -> None:
        """Make this event loop's client ahead of its first call; a fault waits for that call."""
        with suppress(OSError):
            await self._client()

    async def _client(self, reach: Reach = ()) -> _Client:
        """Return this event loop's client, made by the first who asks for all who do."""
        loop = asyncio.get_running_loop()
        place = loop, reach
        making = self._clients.get(place)
        if making is None or (making.done() and (making.cancelled() or making.exception())):
            making = self._clients[place] = loop.create_task(self._make_client(reach))
        return making.result() if making.done() else await asyncio.shield(making)

    async def _make_client(self, reach: Reach) -> _Client:
        for place in [each for each in self._clients if each[0].is_closed()]:
            await _close(self._clients.pop(place))  # nobody has closed it, and nobody will
        return _Client(self._transport or await _connect(self._proxy, reach))

    async def network(self) -> httpx.AsyncBaseTransport:
        """Return this event loop's network, for a client of a provider's API.

        It stays open until :meth:`aclose`.  Raises ``OSError`` without certificates.
        """
        return (await self._client()).network

    async def send(self, request: ProviderRequest, deadline: float = DEADLINE) -> Answer:
        """Send once, never again.

        Raises ``OAuthUnavailable`` on anything but a whole answer.  Its code is
        ``timeout``, ``certificate`` (not to be trusted), ``network``,
        ``unusable_answer``, ``out_of_reach`` (an address that the request may not go
        to), or by our own fault ``own_certificates`` (the file of
        ``SSL_CERT_FILE``), ``proxy_refused``, ``proxy_unreachable`` or
        ``proxy_wants_password``.
        """
        try:
            async with asyncio.timeout(seconds_left(deadline)):
                if not request.reach or admits(request.reach, urlsplit(request.url).hostname or ""):
                    return await self._exchange(request)
            fault = "out_of_reach"
        except TimeoutError:
            fault = "timeout"
        except httpx.TransportError as error:
            fault = self._fault_of(error, request.url)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError, zlib.error):
            fault = "unusable_answer"
        except OSError:  # httpx wraps the network's errors in its own
            fault = "own_certificates"
        code = _coarse(fault)
        # A document is looked for at one kind of address after the other.
        level = logging.DEBUG if (code, request.step) == _LOOKED else logging.WARNING
        log.log(level, "%s: %s failed: %s", request.provider, request.step, code)
        # Outside the handlers, so that no cause is chained: it may quote a header, and so a token.
        raise OAuthUnavailable(request.provider, request.step, code)

    async def reach(self, url: str, deadline: float = DEADLINE) -> str:
        """Have the server there answer anything; nothing of ours is sent.

        Returns ``""``, or the fault: a word of :func:`network_faults.fault_of`,
        ``not_http``, or one of our own that :meth:`send` names.
        """
        try:
            async with asyncio.timeout(deadline):
                async with self._asker(url) as client, client.stream("HEAD", url):
                    return ""
        except TimeoutError:
            return "timeout"
        except httpx.TransportError as error:
            return self._fault_of(error, url)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return "unusable_answer"
        except OSError:
            return "own_certificates"

    def _asker(self, url: str) -> httpx.AsyncClient:
        """Make a client for one question, which takes whatever is an answer to it.

        Its network is httpx's own: aiohttp's refuses one to HEAD that has a body all the same.
        """
        proxy = None if is_loopback(httpx.URL(url).host) else self._proxy
        context = tls_context()
        if proxy is not None and proxy.url.scheme == "https":
            proxy.ssl_context = context
        own = httpx.AsyncHTTPTransport(verify=context, trust_env=False, proxy=proxy)
        transport = self._transport or own
        return httpx.AsyncClient(transport=transport, trust_env=False, headers=_HEADERS)

    def _fault_of(self, error: httpx.TransportError, url: str) -> str:
        if isinstance(error, httpx.ProxyError):
            is_login = str(error).startswith("407")
            return "proxy_wants_password" if is_login else "proxy_refused"
        if isinstance(error, httpx.RemoteProtocolError):
            return "not_http"
        fault = "timeout" if isinstance(error, httpx.TimeoutException) else fault_of(error)
        is_proxied = self._proxy is not None and not is_loopback(httpx.URL(url).host)
        if is_proxied and isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
            return fault if is_tls(fault) else "proxy_unreachable"
        return fault

    async def _exchange(self, request: ProviderRequest) -> Answer:
        client = await self._client(request.reach)
        async with client.stream(
            request.method, request.url, headers=request.headers, content=request.body
        ) as response:
            encoding = response.headers.get("content-encoding", "identity").strip().lower()
            unpack = _Unpacker(encoding)
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += unpack(chunk, MAX_BODY + 1 - len(body))
                if len(body) > MAX_BODY:
                    raise httpx.DecodingError("over the byte cap")
            return Answer(
                response.status_code,
                {name.lower(): value for name, value in response.headers.items()},
                bytes(body),
            )

    async def aclose(self) -> None:
        """Close this event loop's clients."""
        loop = asyncio.get_running_loop()
        for place in [each for each in self._clients if each[0] is loop]:
            await _close(self._clients.pop(place))


async def _close(making: asyncio.Task[_Client]) -> None:
    """Close a client, also one that is still being made; one that could not be made is none."""
    with suppress(OSError):
        client = await making
        await client.aclose()


def _coarse(fault: str) -> str:
    """Return the code of a failure, as coarse as callers and the log tell them apart."""
    if fault.startswith("certificate_"):
        return "certificate"
    known = ("timeout", "unusable_answer", "own_certificates", "out_of_reach")
    return fault if fault in known or fault.startswith("proxy_") else "network"


class _Unpacker:
    """Decoder of at most the requested number of bytes, so that a bomb stays small."""

    def __init__(self, encoding: str) -> None:
        if encoding not in ("", "identity", "gzip", "deflate"):
            raise httpx.DecodingError("unknown content encoding")
        # 32 + MAX_WBITS: zlib or gzip, told by their header.
        self._zlib = zlib.decompressobj(47) if encoding in ("gzip", "deflate") else None

    def __call__(self, chunk: bytes, limit: int) -> bytes:
        return self._zlib.decompress(chunk, limit) if self._zlib else chunk
