"""``FakeManager``: the manager's methods that a bot calls, over a dictionary."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from webui.oauth_manager import (
    PROVIDER_TEMPLATES,
    Account,
    Connection,
    Disconnected,
    Ending,
    Health,
    LinkRequest,
    OAuthManager,
    OAuthMisconfigured,
    OAuthUnavailable,
    Profile,
    RevokeOutcome,
    Status,
    TokenData,
    check_user_id,
)
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.storage.calls import RedisClient

BASE_URL = "https://connections.test"
_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
_LIFE = 3600.0  # seconds


@dataclass
class Held:
    """One person's connection with one provider."""

    token: TokenData = field(repr=False)
    account: str = ""
    is_due: bool = False
    is_over: bool = False
    fault: OAuthUnavailable | OAuthMisconfigured | None = None


class FakeManager(OAuthManager):
    """Every built-in provider is set up.  What is not written here needs Redis, and says so."""

    def __init__(self, providers: Mapping[str, Mapping[str, Any]], transport: Transport) -> None:
        client = {"client_id": "test", "client_secret": "test"}
        config = {
            name: {**client, **providers.get(name, {})}
            for name in {*PROVIDER_TEMPLATES, *providers}
        }
        super().__init__(_KEY, BASE_URL, config, transport=transport)
        self.held: dict[tuple[str, str], Held] = {}
        self.open: dict[tuple[str, str], tuple[str, LinkRequest, float]] = {}
        self._count = itertools.count(1)
        self.links.find = self._find  # type: ignore[method-assign]
        self.proofs.is_waiting = self._is_waiting  # type: ignore[method-assign]
        self.stories.told_of_end = self._told  # type: ignore[method-assign]

    def connect(
        self, user_id: str, provider: str, scopes: Iterable[str] | None, account: str
    ) -> str:
        known = self._provider(provider)
        granted = list(known.scopes if scopes is None else scopes)
        token = self._issued(provider, granted)
        self.held[check_user_id(user_id), provider] = Held(token, account)
        return token.access_token

    def carries_a_token(self, values: Iterable[str]) -> bool:
        """Tell whether a token that works is among the values of a request's header."""
        alive = [h.token.access_token for h in self.held.values() if not (h.is_over or h.is_due)]
        return any(token in value.split() for value in values for token in alive)

    def _issued(self, provider: str, scopes: list[str]) -> TokenData:
        number, now = next(self._count), self.clock.now()
        tokens = f"test-token-{number}", f"test-refresh-token-{number}"
        return TokenData(*tokens, now + _LIFE, scopes, provider=provider, issued_at=now)

    def _of(self, user_id: str, provider: str) -> Held | None:
        self._provider(provider)
        return self.held.get((check_user_id(user_id), provider))

    def _renewed(self, held: Held) -> TokenData | None:
        if held.fault:
            raise held.fault
        if held.is_over:
            return None
        held.token = self._issued(held.token.provider, held.token.scopes)
        held.is_due = False
        return held.token

    async def valid_token(
        self,
        redis: RedisClient | None,
        user_id: str,
        provider: str,
        *,
        min_valid: float = 0.0,
    ) -> TokenData | None:
        held = self._of(user_id, provider)
        if redis is None or held is None:
            return None
        if held.fault or held.is_over or held.is_due or held.token.is_due(self.clock.now()):
            return self._renewed(held)
        return held.token

    async def renew(
        self, redis: RedisClient, user_id: str, provider: str, *, refused: str
    ) -> str | None:
        held = self._of(user_id, provider)
        if held is None or held.token.access_token != refused:
            token = await self.valid_token(redis, user_id, provider)
        else:
            token = self._renewed(held)
        return token.access_token if token else None

    async def store_token(self, redis: RedisClient, user_id: str, token: TokenData) -> None:
        self._provider(token.provider)
        self.held[check_user_id(user_id), token.provider] = Held(token)

    async def has_token(self, user_id: str, provider: str, redis: RedisClient | None) -> bool:
        held = self._of(user_id, provider)
        return redis is not None and held is not None and not held.is_over

    async def connection(
        self, redis: RedisClient, user_id: str, provider: str, *, resume: bool = True
    ) -> Connection:
        held = self._of(user_id, provider)
        if held is None:
            return Connection(provider, Status.NOT_CONNECTED)
        profile = Profile(Account(held.account, held.account))
        if held.is_over:
            return Connection(provider, Status.RECONNECT_NEEDED, profile=profile)
        token = held.token
        return Connection(
            provider,
            Status.CONNECTED,
            tuple(token.scopes),
            token.expires_at,
            has_refresh_token=True,
            profile=profile,
            has_tokens=True,
        )

    async def connections(
        self, redis: RedisClient, user_id: str, *, resume: bool = True
    ) -> list[Connection]:
        return [await self.connection(redis, user_id, name) for name in self.providers]

    async def check(self, redis: RedisClient, user_id: str, provider: str) -> Health:
        held = self._of(user_id, provider)
        if held is None:
            return Health.NOT_CONNECTED
        if held.fault:
            is_away = isinstance(held.fault, OAuthUnavailable)
            return Health.PROVIDER_TROUBLE if is_away else Health.MISCONFIGURED
        return Health.RECONNECT_NEEDED if held.is_over else Health.WORKING

    async def disconnect(
        self, redis: RedisClient, user_id: str, provider: str, *, by: str
    ) -> Ending:
        held = self._of(user_id, provider)
        self.held.pop((user_id, provider), None)
        outcome = RevokeOutcome.REVOKED if held else RevokeOutcome.NOTHING
        account = Account(held.account, held.account) if held else Account()

        async def answered() -> Disconnected:
            return Disconnected(provider, outcome, account)

        at = self.clock.now() if held else 0.0
        return Ending(account, asyncio.ensure_future(answered()), at)

    async def create_link_code(
        self,
        redis: RedisClient,
        user_id: str,
        *,
        provider: str = "",
        scopes: Iterable[str] = (),
        by_key: bool = False,
    ) -> str:
        code = f"test-link-{next(self._count)}"
        request = LinkRequest(check_user_id(user_id), provider, tuple(scopes), by_key)
        self.open[user_id, provider] = (code, request, self.clock.now() + 600)
        return code

    async def generate_connect_url(
        self, user_id: str, provider: str, redis: RedisClient, scopes: Iterable[str] | None = None
    ) -> str:
        self._configured(provider)
        wanted = {"provider": provider, "scopes": tuple(scopes or ())}
        code = await self.create_link_code(redis, user_id, **wanted)  # type: ignore[arg-type]
        return self.landing_url(code)

    async def _find(
        self, redis: RedisClient, user_id: str, provider: str
    ) -> tuple[str, LinkRequest, float] | None:
        return self.open.get((user_id, provider))

    async def _is_waiting(self, redis: RedisClient, user_id: str) -> bool:
        return False

    async def _told(self, redis: RedisClient, user_id: str, provider: str) -> None:
        """Drop a notice, of which there is none here."""
