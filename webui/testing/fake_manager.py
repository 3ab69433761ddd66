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
    OAuthAmbiguous,
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
from webui.oauth_manager.storage import account_name
from webui.oauth_manager.storage.calls import RedisClient

BASE_URL = "https://connections.test"
_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
_LIFE = 3600.0  # seconds


@dataclass
class Held:
    """One person's connection with one account; ``name`` is what the person calls it."""

    token: TokenData = field(repr=False)
    account: str = ""
    name: str = ""
    is_due: bool = False
    is_over: bool = False
    fault: OAuthUnavailable | OAuthMisconfigured | None = None


def _name(account: str) -> str:
    """Return the name that a name or a handle is of: a slot is called like its account here."""
    return account[1:] if account.startswith("~") else account_name(account)


class FakeManager(OAuthManager):
    """Every built-in provider is set up.  What is not written here needs Redis, and says so."""

    def __init__(self, providers: Mapping[str, Mapping[str, Any]], transport: Transport) -> None:
        client = {"client_id": "test", "client_secret": "test"}
        config = {
            name: {**client, **providers.get(name, {})}
            for name in {*PROVIDER_TEMPLATES, *providers}
        }
        super().__init__(_KEY, BASE_URL, config, transport=transport)
        self.held: dict[tuple[str, str], list[Held]] = {}
        self.several: set[tuple[str, str]] = set()  # once there were several accounts
        self.default: dict[tuple[str, str], str] = {}  # names
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
        self._put(user_id, provider, Held(token, account, account and account_name(account)))
        return token.access_token

    def _put(self, user_id: str, provider: str, fresh: Held) -> None:
        """Connect an account; one that has no name yet gets its new one."""
        place = check_user_id(user_id), provider
        others = [one for one in self.held.get(place, []) if one.name not in ("", fresh.name)]
        self.held[place] = [*others, fresh]
        if others:
            self.several.add(place)

    def carries_a_token(self, values: Iterable[str]) -> bool:
        """Tell whether a token that works is among the values of a request's header."""
        every = [one for own in self.held.values() for one in own]
        alive = [one.token.access_token for one in every if not (one.is_over or one.is_due)]
        return any(token in value.split() for value in values for token in alive)

    def _issued(self, provider: str, scopes: list[str]) -> TokenData:
        number, now = next(self._count), self.clock.now()
        tokens = f"test-token-{number}", f"test-refresh-token-{number}"
        return TokenData(*tokens, now + _LIFE, scopes, provider=provider, issued_at=now)

    def all_of(self, user_id: str, provider: str) -> list[Held]:
        self._provider(provider)
        return self.held.get((check_user_id(user_id), provider), [])

    def _of(self, user_id: str, provider: str, account: str | None) -> Held | None:
        own, place = self.all_of(user_id, provider), (user_id, provider)
        wanted = self.default.get(place) if account is None else _name(account)
        found = [one for one in own if one.name == wanted]
        if account is not None or found:
            return found[0] if found else None
        if own and (len(own) > 1 or place in self.several):
            label = self.providers[provider].label
            page = f"{BASE_URL}/connections"
            raise OAuthAmbiguous(provider, page, sorted(one.name for one in own), label)
        return own[0] if own else None

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
        account: str | None = None,
        min_valid: float = 0.0,
    ) -> TokenData | None:
        held = self._of(user_id, provider, account)
        if redis is None or held is None:
            return None
        if held.fault or held.is_over or held.is_due or held.token.is_due(self.clock.now()):
            return self._renewed(held)
        return held.token

    async def renew(
        self,
        redis: RedisClient,
        user_id: str,
        provider: str,
        *,
        refused: str,
        account: str | None = None,
    ) -> str | None:
        held = self._of(user_id, provider, account)
        if held is None or held.token.access_token != refused:
            token = await self.valid_token(redis, user_id, provider, account=account)
        else:
            token = self._renewed(held)
        return token.access_token if token else None

    async def store_token(
        self, redis: RedisClient, user_id: str, token: TokenData, *, account: str | None = None
    ) -> None:
        self._provider(token.provider)
        held = self._of(user_id, token.provider, account)
        if held:
            held.token = token
            held.is_due = held.is_over = False
        elif account is not None:
            raise ValueError("no such account is connected")
        else:
            self._put(user_id, token.provider, Held(token))

    async def has_token(
        self,
        user_id: str,
        provider: str,
        redis: RedisClient | None,
        *,
        account: str | None = None,
    ) -> bool:
        held = self.all_of(user_id, provider)
        if account is not None:
            held = [one for one in held if one.name == _name(account)]
        return redis is not None and any(not one.is_over for one in held)

    async def connection(
        self,
        redis: RedisClient,
        user_id: str,
        provider: str,
        *,
        account: str | None = None,
        resume: bool = True,
    ) -> Connection:
        return self._described(provider, self._of(user_id, provider, account))

    def _described(self, provider: str, held: Held | None) -> Connection:
        if held is None:
            return Connection(provider, Status.NOT_CONNECTED)
        profile = Profile(Account(held.account, held.account))
        if held.is_over:
            gone = Status.RECONNECT_NEEDED
            return Connection(provider, gone, profile=profile, name=held.name, slot=held.name)
        token = held.token
        return Connection(
            provider,
            Status.CONNECTED,
            tuple(token.scopes),
            token.expires_at,
            has_refresh_token=True,
            profile=profile,
            has_tokens=True,
            name=held.name,
            slot=held.name,
        )

    async def connections(
        self, redis: RedisClient, user_id: str, *, resume: bool = True
    ) -> list[Connection]:
        return [
            self._described(name, held)
            for name in self.providers
            for held in (*self.all_of(user_id, name),) or (None,)
        ]

    async def check(
        self, redis: RedisClient, user_id: str, provider: str, *, account: str | None = None
    ) -> Health:
        held = self._of(user_id, provider, account)
        if held is None:
            return Health.NOT_CONNECTED
        if held.fault:
            is_away = isinstance(held.fault, OAuthUnavailable)
            return Health.PROVIDER_TROUBLE if is_away else Health.MISCONFIGURED
        return Health.RECONNECT_NEEDED if held.is_over else Health.WORKING

    async def disconnect(
        self,
        redis: RedisClient,
        user_id: str,
        provider: str,
        *,
        by: str,
        account: str | None = None,
    ) -> Ending:
        held = self._of(user_id, provider, account)
        place = user_id, provider
        left = [one for one in self.all_of(*place) if one is not held]
        self.held[place] = left
        if not left:
            self.several.discard(place)
            self.default.pop(place, None)
        outcome = RevokeOutcome.REVOKED if held else RevokeOutcome.NOTHING
        whose = Account(held.account, held.account) if held else Account()

        async def answered() -> Disconnected:
            return Disconnected(provider, outcome, whose)

        at = self.clock.now() if held else 0.0
        return Ending(whose, asyncio.ensure_future(answered()), at)

    async def create_link_code(
        self,
        redis: RedisClient,
        user_id: str,
        *,
        provider: str = "",
        scopes: Iterable[str] = (),
        account: str | None = None,
        by_key: bool = False,
        asked: Mapping[str, str] | None = None,
    ) -> str:
        values = tuple(f"{name}={value}" for name, value in (asked or {}).items())
        code = f"test-link-{next(self._count)}"
        named = account or ""
        request = LinkRequest(
            check_user_id(user_id), provider, tuple(scopes), by_key, named, values
        )
        self.open[user_id, provider] = (code, request, self.clock.now() + 600)
        return code

    async def use_by_default(
        self, redis: RedisClient, user_id: str, provider: str, account: str | None
    ) -> bool:
        if account is None:
            self.default.pop((user_id, provider), None)
            return True
        held = self._of(user_id, provider, account)
        if held:
            self.default[user_id, provider] = held.name
        return held is not None

    async def rename_account(
        self, redis: RedisClient, user_id: str, provider: str, account: str, name: str
    ) -> bool:
        held, fresh = self._of(user_id, provider, account), account_name(name)
        if held and any(one.name == fresh for one in self.all_of(user_id, provider) if one != held):
            raise ValueError("another account has this name")
        if held:
            held.name = fresh
        return held is not None

    async def generate_connect_url(
        self,
        user_id: str,
        provider: str,
        redis: RedisClient,
        scopes: Iterable[str] | None = None,
        *,
        account: str | None = None,
    ) -> str:
        self._configured(provider)
        wanted = {"provider": provider, "scopes": tuple(scopes or ()), "account": account}
        code = await self.create_link_code(redis, user_id, **wanted)  # type: ignore[arg-type]
        return self.landing_url(code)

    async def _find(
        self, redis: RedisClient, user_id: str, provider: str
    ) -> tuple[str, LinkRequest, float] | None:
        return self.open.get((user_id, provider))

    async def _is_waiting(self, redis: RedisClient, user_id: str) -> bool:
        return False

    async def _told(self, redis: RedisClient, user_id: str, provider: str, slot: str = "") -> None:
        """Drop a notice, of which there is none here."""
