"""The canary: a process with another key than the rest notices it, and does no harm."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import SimpleNamespace

import pytest
from redis.asyncio import Redis

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    KEY,
    OTHER_KEY,
    age,
    began,
    connected,
    granted,
    manager_for,
    text_at,
    tokens_key,
)
from tests.kit.redis_proxy import redis_proxy
from tests.kit.redis_wire import Wire
from tests.kit.site_fixtures import (
    SESSION_SECRET,
    Place,
    commands,
    free_port,
    site_at,
    site_environment,
)
from webui.chat import connect_service
from webui.oauth_manager import (
    OAuthManager,
    OAuthMisconfigured,
    Rotation,
    TokenData,
    access,
    init_oauth_manager,
)
from webui.oauth_manager.storage.canary import TROUBLE, Fit
from webui.oauth_manager.storage.sealer import Sealer
from webui.text import words

pytestmark = pytest.mark.anyio

CANARY = "stargazer:canary"
TOKEN = TokenData("canary-access", provider="github")


@pytest.fixture
def stranger(fake: FakeProvider) -> OAuthManager:
    """A process with another key."""
    return manager_for(fake, key=OTHER_KEY)


def opens(key: str, sealed: str) -> bool:
    return Sealer(key).fits(sealed)


class TestWhoWritesIt:
    async def test_a_start_on_an_empty_redis_writes_it(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        assert await manager.settle(redis) is Fit.FITS
        assert opens(KEY, await text_at(redis, CANARY))
        assert await redis.ttl(CANARY) == -1

    async def test_it_holds_no_secret_and_names_nobody(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await manager.settle(redis)
        record = Sealer(KEY).open("canary", "", "", await text_at(redis, CANARY))
        assert record == {"kind": "canary", "provider": "", "user_id": "", "v": 1}

    async def test_keys_of_other_applications_and_our_unsealed_ones_count_as_empty(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await redis.set("cache:1", "x")
        await redis.set("stargazer:web_limit:miss", "1")
        await redis.set("stargazer:web_session:abc", "{}")
        assert await manager.settle(redis) is Fit.FITS

    async def test_a_record_that_opens_lets_it_be_written(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        legacy = Sealer(KEY).fernet
        assert legacy
        for number in range(3):
            await redis.set(tokens_key(f"junk{number}", "github"), "junk")
        await redis.set(tokens_key("u1", "github"), legacy.encrypt(b'{"access_token":"a"}'))
        assert await manager.settle(redis) is Fit.FITS

    async def test_a_record_under_a_raw_colon_counts_too(
        self, stranger: OAuthManager, redis: Redis
    ) -> None:
        legacy = Sealer(KEY).fernet
        assert legacy
        raw_id = tokens_key("@alice:example.org", "github")
        await redis.set(raw_id, legacy.encrypt(b'{"access_token":"a"}'))
        assert await stranger.settle(redis) is Fit.NO_RECORD_OPENS

    async def test_records_of_which_none_opens_leave_everything_as_it_is(
        self, manager: OAuthManager, stranger: OAuthManager, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", TOKEN)
        await redis.delete(CANARY)
        before = await redis.dump(tokens_key("u1", "github"))
        assert await stranger.settle(redis) is Fit.NO_RECORD_OPENS
        assert await redis.keys() == [tokens_key("u1", "github").encode()]
        assert await redis.dump(tokens_key("u1", "github")) == before
        assert await manager.settle(redis) is Fit.FITS

    async def test_the_first_token_that_a_bot_stores_by_itself_brings_it(
        self, manager: OAuthManager, stranger: OAuthManager, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", TOKEN)
        assert opens(KEY, await text_at(redis, CANARY))
        with pytest.raises(OAuthMisconfigured):
            await stranger.store_token(redis, "u2", TOKEN)
        assert not await redis.exists(tokens_key("u2", "github"))

    async def test_a_renewal_brings_it_back_without_a_trip_more(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        client: tuple[Redis, Wire],
    ) -> None:
        trips = []
        for user_id in ("u1", "u2"):
            await manager.store_token(redis, user_id, granted(fake, "google"))
            if user_id == "u1":
                await redis.delete(CANARY)
            client[1].sent.clear()
            await manager.get_token(user_id, "google", client[0])
            trips.append(client[1].round_trips)
            assert opens(KEY, await text_at(redis, CANARY))
        assert trips[0] == trips[1]

    async def test_of_many_that_start_at_once_with_two_keys_one_kind_fits(
        self, fake: FakeProvider, redis: Redis
    ) -> None:
        starting = [manager_for(fake, key=KEY if n % 2 else OTHER_KEY) for n in range(20)]
        fits = await asyncio.gather(*(manager.settle(redis) for manager in starting))
        by_key = {KEY: set(fits[1::2]), OTHER_KEY: set(fits[0::2])}
        assert sorted(by_key.values(), key=str) == [{Fit.FITS}, {Fit.WRONG_KEY}]

    async def test_a_store_without_a_key_is_told_from_one_with_a_key(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        plain = manager_for(fake, key="")
        assert await plain.settle(redis) is Fit.FITS
        assert await manager.settle(redis) is Fit.WRONG_KEY
        await redis.flushall()
        await manager.settle(redis)
        assert await plain.settle(redis) is Fit.WRONG_KEY


class TestRotation:
    @pytest.mark.parametrize("keys", [f"{OTHER_KEY},{KEY}", f"{KEY},{OTHER_KEY}"])
    async def test_either_of_several_keys_opens_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, keys: str
    ) -> None:
        await manager.settle(redis)
        assert await manager_for(fake, key=keys).ready(redis) is Fit.FITS

    async def test_one_that_left_nothing_seals_it_with_the_newest_key(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.settle(redis)
        await connected(manager, fake, redis, "u1", "github")
        await manager_for(fake, key=f"{OTHER_KEY},{KEY}").reseal(redis)
        assert opens(OTHER_KEY, await text_at(redis, CANARY))
        assert await manager.ready(redis) is Fit.WRONG_KEY

    @pytest.mark.parametrize("left", [tokens_key("u9", "github"), "stargazer:oauth_tokens:x"])
    async def test_one_that_left_something_does_not(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, left: str
    ) -> None:
        await manager.settle(redis)
        await connected(manager, fake, redis, "u1", "github")
        await redis.set(left, "junk")
        before = await text_at(redis, CANARY)
        await manager_for(fake, key=f"{OTHER_KEY},{KEY}").reseal(redis)
        assert await text_at(redis, CANARY) == before

    async def test_without_any_record_it_takes_the_new_key(
        self, manager: OAuthManager, stranger: OAuthManager, redis: Redis
    ) -> None:
        await manager.settle(redis)
        await stranger.reseal(redis)
        assert await stranger.ready(redis) is Fit.FITS

    async def test_a_damaged_one_is_mended(self, manager: OAuthManager, redis: Redis) -> None:
        await manager.store_token(redis, "u1", TOKEN)
        await redis.set(CANARY, "junk")
        assert await manager.ready(redis) is Fit.WRONG_KEY
        await manager.reseal(redis)
        assert await manager.ready(redis) is Fit.FITS

    async def test_a_record_that_changes_meanwhile_is_sealed_all_the_same(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        client: tuple[Redis, Wire],
    ) -> None:
        await manager.store_token(redis, "u1", TOKEN)

        async def overtake() -> None:
            await manager.store_token(redis, "u1", TOKEN)

        client[1].ahead[b"EVALSHA"] = overtake
        rotating = manager_for(fake, key=f"{OTHER_KEY},{KEY}")
        assert await rotating.reseal(client[0]) == Rotation(1, 0, {})
        assert client[1].ahead == {}
        assert opens(OTHER_KEY, await text_at(redis, tokens_key("u1", "github")))
        assert opens(OTHER_KEY, await text_at(redis, CANARY))


class TestABotWithAnotherKey:
    """The site was there first."""

    @pytest.fixture(autouse=True)
    async def site(self, manager: OAuthManager, redis: Redis) -> None:
        await manager.settle(redis)

    async def test_gives_no_link_that_leads_nowhere(
        self, stranger: OAuthManager, redis: Redis, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(OAuthMisconfigured) as caught:
            await stranger.generate_connect_url("u1", "github", redis)
        assert (caught.value.provider, caught.value.code) == ("github", "wrong_key")
        with pytest.raises(OAuthMisconfigured):
            await stranger.create_link_code(redis, "u1", provider="github")
        assert TROUBLE[Fit.WRONG_KEY] in caplog.text

    async def test_exchanges_no_code(
        self, manager: OAuthManager, stranger: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        attempt, code = await began(manager, fake, redis, "u1", "github")
        with pytest.raises(OAuthMisconfigured):
            await stranger.complete(redis, attempt, code)
        assert fake.calls["exchange"] == 0
        assert not await redis.exists(tokens_key("u1", "github"))

    @pytest.mark.parametrize(
        ("action", "key"), [("connect", "misconfigured"), ("manage", "set_up")]
    )
    async def test_says_in_chat_that_its_set_up_is_wrong(
        self, stranger: OAuthManager, redis: Redis, action: str, key: str
    ) -> None:
        bot = init_oauth_manager(OTHER_KEY, "https://bot.example")
        bot.providers = stranger.providers
        ctx = SimpleNamespace(user_id="u1", redis=redis)
        said = await connect_service(ctx, action, "github" if action == "connect" else "")
        assert said == words.text(f"chat.{key}", provider="GitHub")
        access._instance = None

    async def test_renews_nothing_of_the_others(
        self, manager: OAuthManager, stranger: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "u1", "google")
        await age(manager, redis, "u1", "google")
        assert await stranger.get_token("u1", "google", redis) is None
        assert fake.calls["refresh"] == 0


class TestReadiness:
    async def test_costs_one_round_trip_and_leaves_nothing(
        self, manager: OAuthManager, redis: Redis, client: tuple[Redis, Wire]
    ) -> None:
        await manager.settle(redis)
        assert await manager.ready(client[0]) is Fit.FITS
        assert client[1].round_trips == 1
        assert await redis.keys() == [CANARY.encode()]

    async def test_with_the_right_key_is_200_and_says_no_more(self, place: Place) -> None:
        async with commands(place.redis) as seen:
            answer = await (await place.browser()).get("/readyz")
        assert (answer.status_code, answer.text) == (200, "ready\n")
        assert [line.split()[0] for line in seen] == ["GET", "SET", "DEL"]

    async def test_with_another_key_is_503_and_the_log_says_why(
        self, redis_url: str, redis: Redis, manager: OAuthManager, caplog: pytest.LogCaptureFixture
    ) -> None:
        await manager.settle(redis)
        async with site_at(redis_url, redis, encryption_keys=(OTHER_KEY,)) as place:
            answer = await (await place.browser()).get("/readyz")
        assert (answer.status_code, answer.text) == (503, "not ready\n")
        assert answer.headers["retry-after"].isdigit()
        assert TROUBLE[Fit.WRONG_KEY] in caplog.text

    async def test_with_another_key_nobody_is_sent_to_a_provider_in_vain(
        self, redis_url: str, redis: Redis, place: Place
    ) -> None:
        ann = await place.signed_in("ann")
        async with site_at(redis_url, redis, encryption_keys=(OTHER_KEY,)) as other:
            answer = await (await other.browser(ann)).post("/connections/github/connect")
        assert answer.status_code == 503
        assert await redis.keys("stargazer:oauth_tokens:*") == []


class TestAStart:
    async def test_waits_for_redis_and_then_judges_what_it_holds(
        self, redis_url: str, redis: Redis, manager: OAuthManager, fake: FakeProvider
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")
        async with redis_proxy(redis_url) as proxy:
            await proxy.go()
            async with site_at(proxy.url, redis, encryption_keys=(OTHER_KEY,)) as place:
                await proxy.come()
                answer = await (await place.browser()).get("/readyz")
        assert answer.status_code == 503
        assert not await redis.exists(CANARY)

    async def test_where_no_record_opens_ends_with_one_and_the_cure(
        self, redis_url: str, redis: Redis, manager: OAuthManager, fake: FakeProvider
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")
        port = free_port()
        environment = site_environment(f"http://127.0.0.1:{port}", redis_url, {}) | {
            "ENCRYPTION_KEY": OTHER_KEY
        }
        ended = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "webui", "serve"],
            env=environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 1
        said = ended.stderr.decode()
        assert "opens none of the connections" in said
        for secret in (KEY, OTHER_KEY, SESSION_SECRET):
            assert secret not in said
        assert not await redis.exists(CANARY)
