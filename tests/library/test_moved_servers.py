"""Tokens of one server are never shown to another, when an operator moves the endpoints."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import age, connected, fake_provider, impatient, manager_for
from webui.oauth_manager import Health, OAuthManager, RevokeOutcome, Status

pytestmark = pytest.mark.anyio

NAME = "discord"


@pytest.fixture
def fake() -> FakeProvider:
    return fake_provider()


@pytest.fixture
async def moved(fake: FakeProvider, redis: Redis) -> OAuthManager:
    """A manager whose endpoints are on another host than those that issued the tokens."""
    manager = impatient(manager_for(fake))
    await connected(manager, fake, redis, "ann", NAME)
    provider = manager.providers[NAME]
    for name, url in fake.endpoints("https://elsewhere.example", f"/{NAME}").items():
        setattr(provider, name, url)
    fake.requests.clear()
    return manager


async def test_a_token_that_is_due_is_not_renewed_there_and_the_person_reconnects(
    moved: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    await age(moved, redis, "ann", NAME)
    assert await moved.get_token("ann", NAME, redis) is None
    assert fake.requests == []
    connection = await moved.connection(redis, "ann", NAME)
    assert connection.status is Status.RECONNECT_NEEDED
    assert connection.profile.problem_kind == "moved"


async def test_a_check_asks_nobody_and_finds_that_the_person_has_to_reconnect(
    moved: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    assert await moved.check(redis, "ann", NAME) is Health.RECONNECT_NEEDED
    assert fake.requests == []


async def test_a_disconnect_sends_no_token_there_and_says_that_nobody_confirmed(
    moved: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    result = await moved.delete_token(redis, "ann", NAME)
    assert result.at_provider is RevokeOutcome.UNCONFIRMED
    assert fake.requests == []
    assert await moved.get_token("ann", NAME, redis) is None


async def test_a_reconnected_person_has_tokens_of_the_new_server(
    moved: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    await connected(moved, fake, redis, "ann", NAME)
    await age(moved, redis, "ann", NAME)
    token = await moved.get_token("ann", NAME, redis)
    assert token
    assert fake.is_alive(token)


async def test_a_record_that_does_not_say_its_server_is_used_as_ever(
    moved: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    token = await moved.valid_token(redis, "ann", NAME)
    assert token
    token.server = ""
    await moved.store_token(redis, "ann", token)
    await age(moved, redis, "ann", NAME)
    renewed = await moved.get_token("ann", NAME, redis)
    assert renewed
    assert renewed != token.access_token
