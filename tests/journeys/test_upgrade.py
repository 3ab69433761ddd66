"""Two versions: what 0.1.0 wrote is used as ever, and what a newer one wrote is never replaced."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from cryptography.fernet import Fernet
from redis.asyncio import Redis

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    ACCOUNTS,
    BUILT_IN,
    FAKE_URL,
    KEY,
    OTHER_KEY,
    began,
    connected,
    connection_key,
    fake_provider,
    manager_for,
    text_at,
    tokens_key,
)
from tests.kit.older_version import AT, RECORDS, restore
from tests.kit.site_fixtures import Browser, Place, site_at
from webui.oauth_manager import OAuthManager, OAuthMisconfigured, Status, TokenData
from webui.oauth_manager.storage.packed import pack
from webui.oauth_manager.storage.sealer import NEXT_VERSION

pytestmark = pytest.mark.anyio

TO_COME = NEXT_VERSION + 1  # of the form of records
SENTENCE = "a newer version of this program wrote it; upgrade this one"


@pytest.fixture
async def place(redis_url: str, redis: Redis) -> AsyncIterator[Place]:
    """The site of today on what 0.1.0 left, a moment later."""
    await restore(redis)
    async with site_at(redis_url, redis, support_users=frozenset({"carol"})) as made:
        made.clock.advance(AT + 5 - time.time())
        yield made


async def returning(place: Place, person: str) -> Browser:
    """A browser with the cookies that 0.1.0 set."""
    browser = await place.browser()
    browser.client.cookies.update(RECORDS["cookies"][person])
    return browser


class TestWhatVersion010Wrote:
    async def test_is_shown_and_served(self, place: Place, redis: Redis) -> None:
        for provider in BUILT_IN:
            shown = await place.bot.connection(redis, "ann", provider)
            assert shown.status is Status.CONNECTED
            assert shown.profile.account.label
            assert await place.bot.get_token("ann", provider, redis)
        assert (await place.bot.connection(redis, "be:n ü%", "google")).status is Status.CONNECTED
        shown = await place.bot.connection(redis, "dan", "google")
        assert shown.status is Status.RECONNECT_NEEDED
        assert (await place.bot.connection(redis, "eve", "github")).status is Status.NOT_CONNECTED

    async def test_keeps_people_signed_in(self, place: Place) -> None:
        ann = await returning(place, "ann")
        for provider in BUILT_IN:
            under_way = "waiting" if provider == "github" else "connected"
            assert await ann.state_of(provider) == under_way
        ben = await returning(place, "be:n ü%")
        assert await ben.state_of("google") == "connected"

    async def test_lets_a_link_and_an_authorization_under_way_go_on(self, place: Place) -> None:
        fay = await place.browser()
        assert (await fay.get(f"/connect/{RECORDS['link']}")).status_code == 200
        ann = await returning(place, "ann")
        place.fake.account = ACCOUNTS["github"]
        address = RECORDS["state"].replace("http://provider.example", FAKE_URL)
        answer = await ann.get(place.fake.authorize(address))
        assert answer.headers["location"].startswith("/connections")
        assert await ann.state_of("github") == "connected"

    async def test_is_told_in_timelines_notices_and_the_audit(
        self, place: Place, redis: Redis
    ) -> None:
        told = [event.kind for event in (await place.bot.activity(redis, "ann")).events]
        assert told.count("connected") == 4
        kinds = []
        async for notice in place.bot.notices(redis, consumer="test"):
            kinds.append(f"{notice.user_id} {notice.kind}")
            if notice.user_id == "eve" and notice.kind == "disconnected":
                break
        assert "dan reconnect_needed" in kinds
        assert [one.whom async for one in place.bot.audit.read(redis, 0.0)] == ["ann"]

    async def test_is_found_by_its_account_disconnected_and_connected_again(
        self, place: Place, redis: Redis
    ) -> None:
        assert await place.bot.find_accounts(redis, "github", "mona") == ("ann",)
        assert await place.bot.delete_token(redis, "ann", "github")
        assert await place.bot.find_accounts(redis, "github", "mona") == ()
        place.fake.account = ACCOUNTS["google"]
        await connected(place.bot, place.fake, redis, "dan", "google")
        assert (await place.bot.connection(redis, "dan", "google")).status is Status.CONNECTED

    async def test_is_sealed_anew_by_a_rotation(self, place: Place, redis: Redis) -> None:
        rotating = manager_for(fake_provider(), key=f"{OTHER_KEY},{KEY}")
        found = await rotating.reseal(redis)
        assert found.left == {}
        assert found.done == sum(
            key.startswith(("stargazer:oauth_tokens", "stargazer:oauth_connection"))
            for key in RECORDS["strings"]
        )
        retired = manager_for(fake_provider(), key=OTHER_KEY)
        assert await retired.find_accounts(redis, "github", "mona") == ("ann",)


def newer(kind: str, payload: dict[str, Any], key: str = KEY) -> str:
    """A record of the version after this one, in a form that this one does not know."""
    bound = {"kind": kind, "user_id": "ann", "provider": "github", "v": TO_COME}
    record = {**payload, **bound, "more": [1]}
    plain = json.dumps(record).encode()
    return Fernet(key).encrypt(pack(plain) if kind == "connection" else plain).decode()


TOKENS = {"access_token": "t", "refresh_token": "r", "expires_at": 1.0, "scope": ["one"]}


@pytest.fixture(params=["tokens", "connection", "both"])
async def before(
    request: pytest.FixtureRequest, manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> dict[str, str]:
    """The records of ann's connection that a newer version wrote: one or both."""
    fake.account = ACCOUNTS["github"]
    await connected(manager, fake, redis, "ann", "github")
    if request.param != "connection":
        await redis.set(tokens_key("ann", "github"), newer("tokens", TOKENS))
    if request.param != "tokens":
        await redis.set(connection_key("ann", "github"), newer("connection", {"account": {}}))
    places = {"tokens": tokens_key, "connection": connection_key}
    wrote = [request.param] if request.param in places else list(places)
    return await texts(redis, [places[kind]("ann", "github") for kind in wrote])


async def texts(redis: Redis, places: Iterable[str]) -> dict[str, str]:
    return {key: await text_at(redis, key) for key in places}


class TestWhatANewerVersionWrote:
    async def test_is_shown_as_unreadable_and_never_replaced(
        self, before: dict[str, str], manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        assert (await manager.connection(redis, "ann", "github")).status is Status.UNREADABLE
        await manager.get_token("ann", "github", redis)
        await manager.check(redis, "ann", "github")
        await manager._tasks.drain()
        assert await texts(redis, before) == before

    async def test_is_not_replaced_by_connecting_again(
        self, before: dict[str, str], manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        attempt, code = await began(manager, fake, redis, "ann", "github")
        with pytest.raises(OAuthMisconfigured, match="a newer version of this program"):
            await manager.complete(redis, attempt, code)
        assert await texts(redis, before) == before

    async def test_is_not_replaced_by_a_rotation_which_names_it(
        self, before: dict[str, str], redis: Redis
    ) -> None:
        rotating = manager_for(fake_provider(), key=f"{OTHER_KEY},{KEY}")
        found = await rotating.reseal(redis)
        assert found.left == dict.fromkeys(before, SENTENCE)
        assert await texts(redis, before) == before

    async def test_is_not_replaced_by_tokens_that_somebody_stores(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "github")
        sealed = newer("tokens", TOKENS)
        await redis.set(tokens_key("ann", "github"), sealed)
        with pytest.raises(OAuthMisconfigured, match="a newer version of this program"):
            await manager.store_token(redis, "ann", TokenData("new", provider="github"))
        assert await text_at(redis, tokens_key("ann", "github")) == sealed

    async def test_is_not_removed_by_a_disconnect_which_says_that_nothing_changed(
        self, before: dict[str, str], redis_url: str, redis: Redis
    ) -> None:
        async with site_at(redis_url, redis) as place:
            ann = await place.signed_in("ann")
            answer = await ann.post("/connections/github/disconnect")
            assert answer.status_code == 503
            assert "We could not disconnect GitHub" in answer.text
            assert "Nothing has changed" in answer.text
            assert (await ann.post("/everything/disconnect")).status_code == 303
            assert "We could not disconnect GitHub" in (await ann.get("/connections")).text
            with pytest.raises(OAuthMisconfigured, match="a newer version of this program"):
                await place.bot.delete_token(redis, "ann", "github")
            told = [event.kind for event in (await place.bot.activity(redis, "ann")).events]
            assert "disconnected" not in told
            assert place.fake.calls["revoke"] == 0
        assert await texts(redis, before) == before

    async def test_is_not_erased_nor_is_anything_else_of_the_person(
        self, before: dict[str, str], fake: FakeProvider, redis_url: str, redis: Redis
    ) -> None:
        async with site_at(redis_url, redis) as place:
            await place.bot.store_token(redis, "ann", TokenData("g", provider="google"))
            ann = await place.signed_in("ann")
            answer = await ann.post("/everything/erase")
            assert answer.status_code == 503
            assert await place.bot.get_token("ann", "google", redis) == "g"
            assert (await ann.get("/connections")).status_code == 200
        assert await texts(redis, before) == before


class TestANewerCanary:
    """It says that nothing older may write here any more."""

    async def test_keeps_an_older_process_from_connecting_and_from_being_ready(
        self, redis_url: str, redis: Redis
    ) -> None:
        record = {"kind": "canary", "user_id": "", "provider": "", "v": TO_COME}
        sealed = Fernet(KEY).encrypt(json.dumps(record).encode()).decode()
        await redis.set("stargazer:canary", sealed)
        async with site_at(redis_url, redis) as place:
            browser = await place.browser()
            assert (await browser.get("/readyz")).status_code == 503
            fake = place.fake
            with pytest.raises(OAuthMisconfigured, match="a newer version of this program"):
                await connected(place.bot, fake, redis, "ann", "github")
            await place.bot.reseal(redis)
        assert await text_at(redis, "stargazer:canary") == sealed
