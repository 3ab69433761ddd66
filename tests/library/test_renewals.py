"""Evidence from outside the clock: an API's 401, and a check.  None of it ends what works."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import Answer, error_answer
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    checked_twice,
    connected,
    fake_provider,
    granted,
    keys_at,
    manager_for,
    opened,
    revoke_key,
)
from webui.oauth_manager import Health, OAuthManager, OAuthUnavailable, Status
from webui.oauth_manager.flows import tokens

pytestmark = pytest.mark.anyio

REFUSED = error_answer("invalid_token", 401)


async def token_of(manager: OAuthManager, redis: Any, provider: str = "google") -> str:
    token = await manager.get_token("u1", provider, redis)
    assert token is not None
    return token


@pytest.fixture
async def github(fake: FakeProvider, manager: OAuthManager, redis: Redis) -> str:
    """A token at GitHub, which gives nothing to renew it with."""
    fake.gives_refresh_token = False
    fake.expires_in = None
    await connected(manager, fake, redis, "u1", "github")
    return await token_of(manager, redis, "github")


@pytest.fixture
async def google(fake: FakeProvider, manager: OAuthManager, redis: Redis) -> str:
    fake.account = {"sub": "42", "email": "mona@example.org"}
    await connected(manager, fake, redis, "u1", "google")
    return await token_of(manager, redis)


class TestRenew:
    async def test_gives_a_new_token_for_the_one_that_was_refused(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, google: str
    ) -> None:
        fresh = await manager.renew(redis, "u1", "google", refused=google)
        assert fresh not in (None, google)
        assert fake.is_alive(str(fresh))
        assert await token_of(manager, redis) == fresh

    async def test_of_a_token_that_somebody_has_renewed_gives_theirs(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, google: str
    ) -> None:
        theirs = await manager_for(fake).renew(redis, "u1", "google", refused=google)
        assert await manager.renew(redis, "u1", "google", refused=google) == theirs
        assert fake.calls["refresh"] == 1

    async def test_by_sixty_four_callers_and_several_managers_renews_once(
        self, fake: FakeProvider, redis: Redis, google: str
    ) -> None:
        managers = [manager_for(fake) for _ in range(4)]
        renewing = (m.renew(redis, "u1", "google", refused=google) for m in managers * 16)
        given = await asyncio.gather(*renewing)
        assert len(set(given)) == 1
        assert given[0] != google
        assert fake.calls["refresh"] == 1

    async def test_for_an_api_that_refuses_everything_does_not_burn_the_grant(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, google: str
    ) -> None:
        token = google
        for _ in range(15):
            token = str(await manager.renew(redis, "u1", "google", refused=token))
        assert fake.calls["refresh"] == 10
        assert fake.is_alive(token)
        assert await manager.renew(redis, "u1", "google", refused=token) == token

    async def test_beside_checks_is_counted_together_with_them(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, google: str
    ) -> None:
        fake.always["account"] = REFUSED
        token = google
        for _ in range(8):
            token = str(await manager.renew(redis, "u1", "google", refused=token))
            await manager.check(redis, "u1", "google")
            token = await token_of(manager, redis)
        assert fake.calls["refresh"] == 10

    async def test_of_one_person_does_not_count_for_another(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, google: str
    ) -> None:
        token = google
        for _ in range(12):
            token = str(await manager.renew(redis, "u1", "google", refused=token))
        await connected(manager, fake, redis, "u2", "google")
        other = await manager.get_token("u2", "google", redis)
        assert await manager.renew(redis, "u2", "google", refused=str(other)) != other

    async def test_is_allowed_once_an_hour_after_that(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, google: str
    ) -> None:
        key = "stargazer:oauth_renewals:u1:google"
        seconds, _ = await redis.time()
        await redis.set(key, f"after:{(int(seconds) - 3601) * 1000}")
        fresh = await manager.renew(redis, "u1", "google", refused=google)
        assert fresh != google
        assert await manager.renew(redis, "u1", "google", refused=str(fresh)) == fresh
        assert 3600 < await redis.ttl(key) <= 7200

    async def test_that_is_due_by_the_clock_does_not_count(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", granted(fake, "google"))
        await token_of(manager, redis)
        assert fake.calls["refresh"] == 1
        assert not await redis.exists("stargazer:oauth_renewals:u1:google")

    async def test_of_nothing_stored_is_none(self, manager: OAuthManager, redis: Redis) -> None:
        assert await manager.renew(redis, "u1", "google", refused="gone") is None

    async def test_of_a_grant_that_is_over_is_none_and_asks_to_reconnect(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, google: str
    ) -> None:
        fake.withdraw()
        assert await manager.renew(redis, "u1", "google", refused=google) is None
        known = await manager.connection(redis, "u1", "google")
        assert known.status is Status.RECONNECT_NEEDED

    async def test_while_the_provider_is_in_trouble_says_so_and_keeps_everything(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, google: str
    ) -> None:
        fake.script("token", Answer(503))
        with pytest.raises(OAuthUnavailable):
            await manager.renew(redis, "u1", "google", refused=google)
        assert await token_of(manager, redis) == google

    async def test_a_disconnect_meanwhile_wins(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, google: str
    ) -> None:
        gate = fake.gate("token")
        renewing = asyncio.create_task(manager.renew(redis, "u1", "google", refused=google))
        await gate.reached()
        await manager_for(fake).delete_token(redis, "u1", "google")
        gate.open()
        assert await renewing is None
        assert await opened(manager, redis) is None


class TestRenewOfWhatCannotBeRenewed:
    async def test_gives_the_same_token_where_the_provider_takes_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, github: str
    ) -> None:
        assert await manager.renew(redis, "u1", "github", refused=github) == github

    async def test_gives_the_same_token_after_one_refusal(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, github: str
    ) -> None:
        fake.withdraw()
        for _ in range(3):
            assert await manager.renew(redis, "u1", "github", refused=github) == github

    async def test_is_none_after_two_refusals_apart_in_time(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, github: str
    ) -> None:
        fake.withdraw()
        await checked_twice(manager, redis, "u1", "github")
        assert await manager.renew(redis, "u1", "github", refused=github) is None

    async def test_gives_the_same_token_while_the_provider_is_in_trouble(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, github: str
    ) -> None:
        fake.always["account"] = Answer(503)
        assert await manager.renew(redis, "u1", "github", refused=github) == github

    async def test_does_not_ask_the_provider_without_end(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, github: str
    ) -> None:
        asked = fake.calls["account"]
        for _ in range(30):
            assert await manager.renew(redis, "u1", "github", refused=github) == github
        assert fake.calls["account"] == asked + 10


class TestACheck:
    async def test_asks_again_where_a_fresh_token_is_refused(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, github: str
    ) -> None:
        manager._services.client.pauses = (0.0, 0.0)
        fake.script("account", REFUSED, REFUSED)
        assert await manager.check(redis, "u1", "github") is Health.WORKING
        assert await token_of(manager, redis, "github") == github

    async def test_deletes_nothing_on_one_refusal_and_forgets_it_with_the_next_yes(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, github: str
    ) -> None:
        fake.script("account", REFUSED)
        assert await manager.check(redis, "u1", "github") is Health.REJECTED
        assert await token_of(manager, redis, "github") == github
        assert (await manager.connection(redis, "u1", "github")).profile.trouble == "rejected"
        assert await manager.check(redis, "u1", "github") is Health.WORKING
        assert (await manager.connection(redis, "u1", "github")).profile.trouble == ""

    async def test_deletes_nothing_on_many_refusals_within_a_minute(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, github: str
    ) -> None:
        fake.always["account"] = REFUSED
        for _ in range(5):
            assert await manager.check(redis, "u1", "github") is Health.REJECTED
        assert await token_of(manager, redis, "github") == github

    async def test_ends_access_on_two_refusals_apart_and_keeps_it_sealed_for_an_hour(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, github: str
    ) -> None:
        fake.withdraw()
        health = await checked_twice(manager, redis, "u1", "github")
        assert health is Health.RECONNECT_NEEDED
        assert await manager.get_token("u1", "github", redis) is None
        assert 3500 < await redis.ttl(revoke_key("u1", "github")) <= 3600
        kinds = [event.kind for event in (await manager.activity(redis, "u1")).events]
        assert kinds[0] == "access_ended"

    async def test_of_a_grant_that_can_be_renewed_is_settled_by_renewing(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, google: str
    ) -> None:
        fake.script("account", REFUSED)
        assert await manager.check(redis, "u1", "google") is Health.WORKING
        assert fake.calls["refresh"] == 1
        fake.withdraw()
        assert await manager.check(redis, "u1", "google") is Health.RECONNECT_NEEDED
        assert await redis.exists(revoke_key("u1", "google"))

    async def test_without_anybody_to_ask_renews_what_can_be_renewed(self, redis: Redis) -> None:
        fake = fake_provider()
        manager = manager_for(fake)
        manager.providers["google"].account_url = ""
        await connected(manager, fake, redis, "u1", "google")
        assert await manager.check(redis, "u1", "google") is Health.WORKING
        assert fake.calls["refresh"] == 1
        fake.withdraw()
        assert await manager.check(redis, "u1", "google") is Health.RECONNECT_NEEDED

    async def test_without_anybody_to_ask_and_nothing_to_renew_says_that_it_cannot_tell(
        self, redis: Redis
    ) -> None:
        fake = fake_provider(gives_refresh_token=False, expires_in=None)
        manager = manager_for(fake)
        manager.providers["github"].account_url = ""
        await connected(manager, fake, redis, "u1", "github")
        fake.withdraw()
        assert await manager.check(redis, "u1", "github") is Health.UNCHECKED
        assert await manager.has_token("u1", "github", redis)

    @pytest.mark.parametrize("renewable", [True, False])
    async def test_does_not_believe_an_address_that_refused_at_connecting(
        self, redis: Redis, renewable: bool
    ) -> None:
        """Google's refuses if a calendar's scope alone was asked for."""
        fake = fake_provider(gives_refresh_token=renewable)
        fake.always["account"] = REFUSED
        manager = manager_for(fake)
        await connected(manager, fake, redis, "u1", "google")
        expected = Health.WORKING if renewable else Health.UNCHECKED
        assert await checked_twice(manager, redis, "u1", "google") is expected
        assert fake.is_alive(await token_of(manager, redis))


class TestFacts:
    """Facts beside tokens belong to one authorization."""

    async def test_of_another_authorization_are_not_shown(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, google: str
    ) -> None:
        """A kill between writing the tokens and writing the facts leaves them."""
        facts = await redis.get("stargazer:oauth_connection:u1:google")
        fake.account = {"sub": "77", "email": "ben@example.org"}
        await manager.delete_token(redis, "u1", "google")
        await connected(manager, fake, redis, "u1", "google")
        assert facts is not None
        await redis.set("stargazer:oauth_connection:u1:google", facts)
        known = await manager.connection(redis, "u1", "google")
        assert (known.status, known.profile.account.label) == (Status.CONNECTED, "")
        rows = await manager.list_user_connections("u1", redis)
        assert "mona" not in repr(rows)

    async def test_of_another_authorization_are_asked_for_anew_by_a_check(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, google: str
    ) -> None:
        fake.account = {"sub": "77", "email": "ben@example.org"}
        await manager.store_token(redis, "u1", granted(fake, "google", expires_at=4e9))
        assert (await manager.connection(redis, "u1", "google")).profile.account.label == ""
        assert await manager.check(redis, "u1", "google") is Health.WORKING
        known = await manager.connection(redis, "u1", "google")
        assert known.profile.account.label == "ben@example.org"
        assert await manager.find_accounts(redis, "google", "77") == ("u1",)

    async def test_of_another_authorization_are_asked_for_anew_after_a_use(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, google: str
    ) -> None:
        fake.account = {"sub": "77", "email": "ben@example.org"}
        await manager.store_token(redis, "u1", granted(fake, "google", expires_at=4e9))
        await tokens.used(manager._services, manager._subject(redis, "u1", "google"))
        known = await manager.connection(redis, "u1", "google")
        assert known.profile.account.label == "ben@example.org"
        assert known.profile.used_at > time.time() - 60

    async def test_stay_with_the_tokens_over_a_refresh(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, google: str
    ) -> None:
        await manager.renew(redis, "u1", "google", refused=google)
        known = await manager.connection(redis, "u1", "google")
        assert known.profile.account.label == "mona@example.org"

    async def test_of_tokens_that_are_stored_again_stay_with_them(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, google: str
    ) -> None:
        token = await opened(manager, redis)
        assert token is not None
        await manager.store_token(redis, "u1", token)
        known = await manager.connection(redis, "u1", "google")
        assert known.profile.account.label == "mona@example.org"


async def test_keys_of_renewals_run_out(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, google: str
) -> None:
    await manager.renew(redis, "u1", "google", refused=google)
    (key,) = await keys_at(redis, "oauth_renewals:*")
    assert 0 < await redis.ttl(key) <= 600
