"""The client for callers without asyncio: what it sends goes out on another thread's loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Iterator
from typing import Any

import httpx

from ..access import ToolContext
from .api_client import common, parts

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def blocking_client(
    ctx: ToolContext,
    provider: str,
    scopes: Iterable[str],
    account: str | None,
    min_valid: float,
    run: Run,
) -> httpx.Client:
    """Make a client like ``oauth_client``'s for a thread without a loop.

    ``run`` runs a coroutine on the loop that ``ctx`` belongs to, and returns its result.
    """
    auth, network = parts(ctx, provider, scopes, account, min_valid)
    return httpx.Client(auth=_Auth(auth, run), transport=_Bridge(network, run), **common())


class _Auth(httpx.Auth):
    def __init__(self, auth: httpx.Auth, run: Run) -> None:
        self._auth = auth
        self._run = run

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        flow = self._auth.async_auth_flow(request)

        async def following(response: httpx.Response | None) -> httpx.Request | None:
            try:
                return await (anext(flow) if response is None else flow.asend(response))
            except StopAsyncIteration:
                return None

        try:
            answer: httpx.Response | None = None
            while to_send := self._run(following(answer)):
                answer = yield to_send
        finally:
            self._run(flow.aclose())


class _Bridge(httpx.BaseTransport):
    """The asynchronous network, one request at a time for the thread that asks."""

    def __init__(self, network: httpx.AsyncBaseTransport, run: Run) -> None:
        self._network = network
        self._run = run

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not isinstance(request.stream, httpx.AsyncByteStream):
            request.stream = _Upload(request.stream)
        response = self._run(self._network.handle_async_request(request))
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_Download(response, self._run),
            extensions=response.extensions,
        )


class _Upload(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A body that the thread's own code makes, piece by piece."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._stream:
            yield piece


class _Download(httpx.SyncByteStream):
    def __init__(self, response: httpx.Response, run: Run) -> None:
        self._response = response
        self._run = run

    def __iter__(self) -> Iterator[bytes]:
        pieces = self._response.stream.__aiter__()  # type: ignore[union-attr]

        async def following() -> bytes | None:
            return await anext(pieces, None)

        while (piece := self._run(following())) is not None:
            yield piece

    def close(self) -> None:
        self._run(self._response.aclose())
