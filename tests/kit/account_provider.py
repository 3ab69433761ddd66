"""A fake provider at which people have several accounts, and choose one when they allow access."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from tests.kit.fake_answers import Answer, error_answer, json_answer
from tests.kit.fake_provider import FakeProvider
from tests.kit.fake_requests import Recorded
from tests.kit.library import ISSUERS, callback_query
from webui.oauth_manager import Connection, OAuthManager, SwitchOffer


@dataclass
class AccountProvider(FakeProvider):
    """Each token is of the account ``chosen`` when its authorization was allowed."""

    issuers: dict[str, str] = field(default_factory=lambda: dict(ISSUERS))
    chosen: str = "mona"
    _chosen: dict[str, str] = field(default_factory=dict, repr=False)
    _issuing: str = ""

    def authorize(self, url: str) -> str:
        """Allow access as the account that the address names as its hint, or the chosen one."""
        back = super().authorize(url)
        hint = callback_query(url).get("login_hint", "")
        self._chosen[callback_query(back)["code"]] = hint or self.chosen
        return back

    def grant(self, prefix: str = "", scope: str = "", family: str = "") -> dict[str, Any]:
        self._issuing = family.partition(".")[0] or self._issuing or self.chosen
        answer = super().grant(prefix, scope, family or f"{self._issuing}.{secrets.token_hex(4)}")
        self._issuing = ""
        return answer

    def _new(self, kind: str) -> str:
        value = f"{kind}-{self._issuing}-{secrets.token_hex(12)}"
        self.issued.add(value)
        return value

    @staticmethod
    def whose(token: str | None) -> str:
        """Return the account that a token is of, also of one that is over."""
        return token.split("-")[1] if token else ""

    async def respond(self, request: Recorded) -> Answer:
        if request.endpoint == "account":
            if self._of(request.bearer, "access", request.prefix) is None:
                return error_answer("invalid_token", 401)
            return json_answer(answer_of(request.prefix, self.whose(request.bearer)))
        if request.endpoint == "token":
            self._issuing = self._chosen.get(request.form.get("code", ""), "")
        answer = await super().respond(request)
        self._issuing = ""
        return answer


def answer_of(prefix: str, account: str) -> dict[str, Any]:
    """Return the account answer of each provider for one account."""
    number = str(sum(map(ord, account)) * 1000 + len(account))
    match prefix.strip("/"):
        case "google":
            return {"sub": number, "email": f"{account}@example.org", "email_verified": True}
        case "discord":
            return {"user": {"id": number, "username": account}}
        case "microsoft":
            return {"id": number, "userPrincipalName": f"{account}@contoso.example"}
    return {"id": number, "login": account, "name": account.title()}


async def came_back(
    manager: OAuthManager,
    fake: AccountProvider,
    redis: Redis,
    account_there: str,
    provider: str = "github",
    *,
    user_id: str = "ann",
    account: str | None = None,
    is_adding: bool = False,
) -> Connection | SwitchOffer | None:
    """Go the whole way in a browser, with this account at the provider."""
    fake.chosen = account_there
    options: dict[str, Any] = {"account": account, "is_adding": is_adding}
    url = await manager.begin(redis, user_id, provider, browser="a browser", **options)
    query = callback_query(fake.authorize(url))
    attempt = await manager.links.take_attempt(redis, query["state"], "a browser")
    assert attempt is not None
    return await manager.complete(redis, attempt, query["code"])


async def added(
    manager: OAuthManager, fake: AccountProvider, redis: Redis, account_there: str, **options: Any
) -> Connection:
    """Add an account that nothing has to be asked about."""
    options.setdefault("is_adding", True)
    connection = await came_back(manager, fake, redis, account_there, **options)
    assert isinstance(connection, Connection)
    return connection
