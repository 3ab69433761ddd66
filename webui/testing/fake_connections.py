"""``FakeConnections``: people who are connected, or not, because a test says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import httpx

from webui.oauth_manager import OAuthManager, OAuthMisconfigured, OAuthUnavailable
from webui.oauth_manager import replace_oauth_manager as replace
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.storage.calls import RedisClient
from webui.testing.fake_manager import FakeManager, Held
from webui.testing.fake_redis import FakeRedis


@dataclass(frozen=True)
class TestCaller:
    """A tool's context."""

    __test__ = False  # for pytest

    user_id: str
    redis: RedisClient
    is_private: bool = True
    account: str | None = None


class FakeConnections:
    """A context manager, asynchronous or not: within it ``get_oauth_manager()`` is ``manager``.

    ``api`` answers requests that carry a token which works, instead of ``200 {}``; any
    other token is answered 401.  ``providers`` are settings of providers beyond the
    built-in ones.  ``requests`` are those that came, in their order.
    """

    def __init__(
        self,
        api: Callable[[httpx.Request], httpx.Response] | None = None,
        *,
        providers: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.api = api or (lambda _: httpx.Response(200, json={}))
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self._answer)
        self.redis = cast("RedisClient", FakeRedis())
        self._manager = FakeManager(providers or {}, Transport(self.transport))
        self._refusals: deque[int] = deque()
        self._before: OAuthManager | None = None

    @property
    def manager(self) -> OAuthManager:
        return self._manager

    def ctx(self, user_id: str, *, account: str | None = None) -> TestCaller:
        """Return the context of a person's tool."""
        return TestCaller(user_id, self.redis, account=account)

    def connect(
        self,
        user_id: str,
        provider: str,
        *,
        scopes: Iterable[str] | None = None,
        account: str | None = None,
    ) -> str:
        """Connect the person, with the provider's usual scopes unless told; return the token.

        ``account`` is the name of one of several accounts; one that is there is replaced.
        """
        return self._manager.connect(user_id, provider, scopes, account or "")

    def expire(self, user_id: str, provider: str, *, account: str | None = None) -> None:
        """Let the token run out: the next call renews it."""
        held = self._held(user_id, provider, account)
        held.is_due = True

    def revoke(self, user_id: str, provider: str, *, account: str | None = None) -> None:
        """End the access at the provider: its API answers 401, and nothing can be renewed."""
        held = self._held(user_id, provider, account)
        held.is_over = True

    def unavailable(self, user_id: str, provider: str, *, account: str | None = None) -> None:
        """Let every request for a token fail as if the provider were away."""
        held = self._held(user_id, provider, account)
        held.fault = OAuthUnavailable(provider, "refresh", "timeout")

    def misconfigured(self, user_id: str, provider: str, *, account: str | None = None) -> None:
        """Let every request for a token fail as if the client secret were wrong."""
        held = self._held(user_id, provider, account)
        held.fault = OAuthMisconfigured(provider, "refresh", "invalid_client")

    def refuse_next(self, status: int = 401, *, times: int = 1) -> None:
        """Let the API answer the next requests with this status, whatever they carry."""
        self._refusals.extend([status] * times)

    def _held(self, user_id: str, provider: str, account: str | None) -> Held:
        own = self._manager.all_of(user_id, provider)
        held = [one for one in own if account in (None, one.account, one.name)]
        if len(held) != 1:
            raise LookupError(f"{user_id} has not been connected to {provider}, or several times")
        return held[0]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self._refusals:
            return httpx.Response(self._refusals.popleft())
        if not self._manager.carries_a_token(request.headers.values()):
            return httpx.Response(401)
        return self.api(request)

    def __enter__(self) -> FakeConnections:
        self._before = replace(self._manager)
        return self

    def __exit__(self, *_: object) -> None:
        replace(self._before)

    async def __aenter__(self) -> FakeConnections:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()
        await self._manager.aclose()
