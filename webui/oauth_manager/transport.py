"""Calls to providers: no redirects, one deadline, a byte cap.  The only user of httpx."""

from __future__ import annotations

import asyncio
import logging
import zlib
from http.cookiejar import CookieJar, DefaultCookiePolicy
from weakref import WeakKeyDictionary

import httpx

from .answers import Answer
from .errors import OAuthUnavailable
from .requests import ProviderRequest

log = logging.getLogger(__name__)

DEADLINE = 10.0  # seconds, for the whole of a call
DEADLINE_WHILE_WAITING = 4.0  # seconds, where a person waits for a disconnect
MAX_BODY = 256 * 1024  # bytes, decoded


def _network() -> httpx.AsyncBaseTransport:
    """HTTP as it is; the certificates are those of ``SSL_CERT_FILE``, where that is set."""
    return httpx.AsyncHTTPTransport(verify=httpx.create_ssl_context(), trust_env=False)


class Transport:
    """One shared HTTP client for each event loop: a client per call costs a TLS context."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._transport = transport
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = (
            WeakKeyDictionary()
        )

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            # The environment's proxies and .netrc are not ours to trust with credentials.
            client = httpx.AsyncClient(
                transport=self._transport or _network(),
                trust_env=False,
                follow_redirects=False,
                timeout=httpx.Timeout(DEADLINE),
                # All people share this client: what a provider tells one is not for another.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                headers={"User-Agent": "account-connections", "Accept-Encoding": "identity"},
            )
            self._clients[loop] = client
        return client

    async def send(self, request: ProviderRequest, deadline: float = DEADLINE) -> Answer:
        """Send once, never again.  Raises ``OAuthUnavailable`` on anything but a whole answer."""
        try:
            async with asyncio.timeout(deadline):
                return await self._exchange(request)
        except TimeoutError:
            code = "timeout"
        except httpx.TransportError as error:
            code = "timeout" if isinstance(error, httpx.TimeoutException) else "network"
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError, zlib.error):
            code = "unusable_answer"
        log.warning("%s: %s failed: %s", request.provider, request.step, code)
        # Outside the handlers, so that no cause is chained: it may quote a header, and so a token.
        raise OAuthUnavailable(request.provider, request.step, code)

    async def _exchange(self, request: ProviderRequest) -> Answer:
        async with self._client().stream(
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
        """Close this event loop's client."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()


class _Unpacker:
    """Decodes at most the asked number of bytes, so that a bomb stays small."""

    def __init__(self, encoding: str) -> None:
        if encoding not in ("", "identity", "gzip", "deflate"):
            raise httpx.DecodingError("unknown content encoding")
        # 32 + MAX_WBITS: zlib or gzip, told by their header.
        self._zlib = zlib.decompressobj(47) if encoding in ("gzip", "deflate") else None

    def __call__(self, chunk: bytes, limit: int) -> bytes:
        return self._zlib.decompress(chunk, limit) if self._zlib else chunk
