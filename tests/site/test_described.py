"""Every provider of the catalogue lives its whole life at a stand-in made of its own data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from redis.asyncio import Redis
from starlette.applications import Starlette

from tests.kit.clock import FakeClock
from tests.kit.library import BASE_URL, KEY, impatient
from webui.oauth_manager import (
    Attempt,
    Connection,
    OAuthManager,
    OAuthProvider,
    RevokeOutcome,
    Status,
)
from webui.oauth_manager.protocol.callback import read_authorization_response
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.providers import BUILT_IN, build_providers, names, template
from webui.oauth_manager.values import replace
from webui.sandbox.described import KEPT, Described, endpoints_of, habits_of, routes_of
from webui.sandbox.grants import Grants
from webui.sandbox.standin import Client

pytestmark = pytest.mark.anyio

URL = "https://standin.example"
LIFETIME = 3600
OTHERS = [name for name in names() if name not in BUILT_IN]


def provider_of(name: str, **more: Any) -> OAuthProvider:
    """The provider as it is configured by id and secret, with its addresses at the stand-in."""
    client = {"client_id": f"id of {name}", "client_secret": "a-secret: +%", **more}
    own = {"host": "own.example"} if "{host}" in template(name)["token_url"] else {}
    whole = build_providers({}, {name: {**client, **own}})[name]
    moved = endpoints_of(whole, f"{URL}/{name}")
    return build_providers({}, {name: {**client, **own, **moved}})[name]


@dataclass
class Life:
    """One person's connection at one stand-in; ``end`` is the stand-in's side of it."""

    manager: OAuthManager
    standin: Described
    redis: Redis
    http: httpx.AsyncClient
    name: str

    async def back(self, url: str) -> str:
        """Say yes at the provider; return the query of the callback."""
        answer = await self.http.post(url, data={"account": "mona", "decision": "allow"})
        assert answer.status_code == 303, answer.text
        return urlsplit(answer.headers["location"]).query

    async def connect(self) -> Connection:
        provider = self.manager.providers[self.name]
        url = await self.manager.begin(self.redis, "ann", self.name, browser="a-browser-of-hers")
        query = await self.back(url)
        answer = read_authorization_response(query.encode(), provider)
        attempt = await self.manager.links.take_attempt(
            self.redis, answer.state, "a-browser-of-hers"
        )
        assert isinstance(attempt, Attempt)
        attempt = replace(attempt, returned=answer.returned)
        connection = await self.manager.complete(self.redis, attempt, answer.code)
        assert isinstance(connection, Connection)
        return connection

    async def token(self) -> str | None:
        return await self.manager.get_token("ann", self.name, self.redis)

    def is_alive(self, token: str) -> bool:
        return self.standin.own_token(token) is not None

    def later(self, seconds: float) -> None:
        assert isinstance(self.manager.clock, FakeClock)
        self.manager.clock.advance(seconds)


@pytest.fixture(params=OTHERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def life(name: str, redis: Redis) -> AsyncIterator[Life]:
    provider, clock = provider_of(name), FakeClock()
    client = Client(provider.client_id, provider.client_secret, f"{BASE_URL}/oauth/{name}/callback")
    standin = Described(
        habits=habits_of(provider),
        client=client,
        grants=Grants(clock=clock.now),
        url=f"{URL}/{name}",
        token_lifetime=LIFETIME,
        app_name="Stargazer",
        data=provider,
    )
    app = Starlette(routes=routes_of(standin))
    manager = OAuthManager(
        KEY, BASE_URL, {}, transport=Transport(httpx.ASGITransport(app)), clock=clock
    )
    manager.providers[name] = provider
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        yield Life(impatient(manager), standin, redis, http, name)
    await manager.aclose()


async def test_a_whole_life(life: Life) -> None:
    provider = life.standin.data
    connection = await life.connect()
    assert connection.status is Status.CONNECTED
    assert connection.scopes == tuple(provider.scopes)
    account = connection.profile.account
    if provider.account_url:
        assert account.id
        assert account.label
    assert set(connection.extra) == {path.removeprefix("callback.") for path in provider.keep}
    assert all(KEPT.format(path=path) == said for path, said in connection.extra.items())

    first = await life.token()
    assert first
    assert life.is_alive(first)

    renews = provider.refresh == "standard"
    if connection.expires_at:
        life.later(connection.expires_at - life.manager.clock.now() + 1)
        second = await life.token()
        assert (second is not None) is renews
        if second:
            assert second != first
            assert life.is_alive(second)
        else:
            await life.connect()
    # The person takes access away there.
    for grant in list(life.standin.grants.grants):
        life.standin.grants.end_grant(grant)
    held = await life.manager.connection(life.redis, "ann", life.name)
    if held.expires_at and renews:
        life.later(held.expires_at - life.manager.clock.now() + 1)
        assert await life.token() is None
        ended = await life.manager.connection(life.redis, "ann", life.name)
        assert ended.status is Status.RECONNECT_NEEDED
        assert ended.profile.account == account

    again = await life.connect()
    assert again.status is Status.CONNECTED
    assert again.profile.account == account
    last = await life.token()
    assert last
    result = await life.manager.delete_token(life.redis, "ann", life.name)
    told = RevokeOutcome.REVOKED if provider.revoke_url else RevokeOutcome.UNSUPPORTED
    assert result.at_provider is told
    assert life.is_alive(last) is not bool(provider.revoke_url)
    assert await life.token() is None


async def test_access_that_ended_early_is_found_by_a_check(life: Life) -> None:
    if not life.standin.data.account_url:
        pytest.skip("it does not say whose account it is")
    await life.connect()
    assert await life.manager.check(life.redis, "ann", life.name) == "working"
    for grant in list(life.standin.grants.grants):
        life.standin.grants.end_grant(grant)
    await life.manager.check(life.redis, "ann", life.name)
    life.later(61)
    assert await life.manager.check(life.redis, "ann", life.name) == "reconnect_needed"


async def test_what_the_request_says_of_the_client_and_of_the_proof_is_what_the_data_say(
    life: Life,
) -> None:
    provider = life.standin.data
    url = await life.manager.begin(life.redis, "ann", life.name, browser="another-browser")
    query = dict(parse_qsl(urlsplit(url).query))
    assert query[provider.client_id_name] == provider.client_id
    assert ("code_challenge" in query) is provider.pkce
    assert query.items() >= provider.extra_auth_params.items()
    assert query.get("scope", "") == provider.scope_separator.join(provider.scopes)
