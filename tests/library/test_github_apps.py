"""GitHub Apps: tokens of eight hours without scopes, and permissions that an installation has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.clock import FakeClock
from tests.kit.every import every
from tests.kit.fake_answers import Answer, error_answer, json_answer
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import BASE_URL, KEY, connected, fake_provider, impatient, providers_config
from webui.oauth_manager import (
    OAuthManager,
    OAuthNotConnected,
    Status,
    require_oauth_token,
)
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.providers.github import read_permissions

pytestmark = pytest.mark.anyio

INSTALL = "https://github.com/apps/stella/installations/new"
HALF_A_DAY = 8 * 3600


@dataclass(frozen=True)
class Tool:
    user_id: str
    redis: Redis


def installed(*permissions: dict[str, str]) -> Answer:
    found = [{"id": n, "permissions": each} for n, each in enumerate(permissions)]
    return json_answer({"total_count": len(found), "installations": found})


def app_at(fake: FakeProvider, **more: Any) -> OAuthManager:
    """GitHub as an app, whose token answers have an empty scope."""
    config = providers_config(fake, names=["github"])
    url = "https://provider.example/github/installations"
    config["github"] |= {"permissions_url": url, **more}
    transport = Transport(httpx.ASGITransport(fake))
    made = OAuthManager(KEY, BASE_URL, config, transport=transport, clock=FakeClock())
    return impatient(made)


def fake_app(*permissions: dict[str, str], **more: Any) -> FakeProvider:
    fake = fake_provider(scope="", expires_in=HALF_A_DAY, client_id="Iv23abc", **more)
    fake.always["unknown"] = installed(*permissions)
    return fake


class TestAConnection:
    async def test_is_not_limited_and_has_what_its_installations_allow(self, redis: Redis) -> None:
        fake = fake_app({"contents": "write", "metadata": "read"}, {"issues": "read"})
        manager = app_at(fake)
        made = await connected(manager, fake, redis, "u1", "github")
        known = await manager.connection(redis, "u1", "github")
        assert made.scopes == known.scopes == ("contents:write", "issues:read", "metadata:read")
        assert known.status is Status.CONNECTED
        assert not known.is_limited
        assert not known.missing_scopes
        assert not known.unasked_scopes
        assert known.has_refresh_token

    async def test_asks_for_no_scopes(self, redis: Redis) -> None:
        fake = fake_app()
        url = await app_at(fake).begin(redis, "u1", "github", browser="a browser")
        assert "scope=" not in url

    async def test_of_an_app_whose_client_id_does_not_tell_is_not_limited_either(
        self, redis: Redis
    ) -> None:
        fake = fake_app({"contents": "read"})
        fake.client_id = "client"
        known = await connected(app_at(fake), fake, redis, "u1", "github")
        assert (known.scopes, known.missing_scopes) == (("contents:read",), ())

    async def test_keeps_its_permissions_when_it_is_renewed(self, redis: Redis) -> None:
        fake = fake_app({"contents": "read"})
        manager = app_at(fake)
        await connected(manager, fake, redis, "u1", "github")
        manager.clock.advance(HALF_A_DAY)  # type: ignore[attr-defined]
        assert await manager.get_token("u1", "github", redis)
        assert fake.calls["refresh"] == 1
        assert (await manager.connection(redis, "u1", "github")).scopes == ("contents:read",)

    async def test_learns_what_was_allowed_since_when_it_is_checked(self, redis: Redis) -> None:
        fake = fake_app()
        manager = app_at(fake)
        made = await connected(manager, fake, redis, "u1", "github")
        assert made.scopes == ()
        fake.always["unknown"] = installed({"contents": "read"})
        assert await manager.check(redis, "u1", "github") == "working"
        assert (await manager.connection(redis, "u1", "github")).scopes == ("contents:read",)

    @pytest.mark.parametrize("answer", [error_answer("no", 403), Answer(503), json_answer([])])
    async def test_is_made_though_its_permissions_cannot_be_read(
        self, redis: Redis, answer: Answer
    ) -> None:
        fake = fake_app()
        fake.always["unknown"] = answer
        known = await connected(app_at(fake), fake, redis, "u1", "github")
        assert (known.status, known.is_limited) == (Status.CONNECTED, False)

    async def test_of_an_oauth_app_with_fewer_scopes_stays_limited(self, redis: Redis) -> None:
        fake = fake_provider(scope="", expires_in=None, gives_refresh_token=False)
        known = await connected(app_at(fake), fake, redis, "u1", "github")
        assert known.is_limited
        assert not [r for r in fake.requests if r.endpoint == "unknown"]


class TestATool:
    async def test_that_needs_more_is_led_to_where_the_app_is_installed(self, redis: Redis) -> None:
        fake = fake_app({"contents": "read"})
        manager = app_at(fake, install_url=INSTALL)
        await connected(manager, fake, redis, "u1", "github")
        ctx = Tool("u1", redis)
        assert await require_oauth_token(ctx, "github", ["contents:read"], manager=manager)
        with pytest.raises(OAuthNotConnected) as raised:
            await require_oauth_token(ctx, "github", ["contents:write"], manager=manager)
        assert raised.value.connect_url == INSTALL
        assert raised.value.missing_scopes == ("contents:write",)

    async def test_has_the_lesser_permission_with_the_greater(self, redis: Redis) -> None:
        fake = fake_app({"contents": "write"})
        manager = app_at(fake)
        await connected(manager, fake, redis, "u1", "github")
        ctx = Tool("u1", redis)
        assert await require_oauth_token(ctx, "github", ["contents:read"], manager=manager)


@every(
    ("answer", "read"),
    [
        ({}, ()),
        ({"installations": None}, ()),
        ({"installations": [None, 5, {}, {"permissions": []}]}, ()),
        ({"installations": [{"permissions": {"a": "read", "b": 5, "c": "all"}}]}, ("a:read",)),
        ({"installations": [{"permissions": {"a b": "read", "a\n": "read"}}]}, ()),
    ],
)
def test_permissions_are_read_from_any_answer(answer: dict[str, Any], read: Any) -> None:
    assert read_permissions(answer) == read
