"""Records that the older system wrote under raw keys: found, used, moved, and nobody else's."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.kit.every import every
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    KEY,
    OTHER_KEY,
    OVER,
    began,
    connected,
    fake_provider,
    granted,
    keys_at,
    manager_for,
    tokens_key,
)
from tests.kit.redis_wire import Wire, wired
from tests.kit.site_fixtures import Place
from tests.library.test_user_ids import AWKWARD, POSSIBLE
from webui.cards.states import WORKING
from webui.chat import connect_service
from webui.oauth_manager import (
    OAuthManager,
    RevokeOutcome,
    Status,
    StoreUnavailable,
    TokenData,
    access,
    require_oauth_token,
)
from webui.oauth_manager.flows import tokens
from webui.oauth_manager.storage import keys as names

pytestmark = pytest.mark.anyio

MATRIX = "@alice:example.org"
WEBCHAT = "webchat:42"
# Ids whose raw key is not the encoded one.
ODD = [MATRIX, WEBCHAT, "a b", "a/b", "%", "a%3Ab", "😀", "é", "1:github", ":", "::", "{1}:{2}"]
PLAIN = ["80351110224678912", "U02AB", "@ann", "a.b_c~d@e+f=g-h"]


def older_record(token: TokenData, key: str = KEY) -> str:
    """Build a record of the older system, by its specification alone."""
    return Fernet(key).encrypt(json.dumps(token.to_dict()).encode()).decode()


async def write_older(redis: Redis, user_id: str, token: TokenData) -> None:
    await redis.set(tokens_key(user_id, token.provider), older_record(token))


def token_of(user_id: str, provider: str = "google") -> TokenData:
    return TokenData(f"of-{user_id.encode().hex()[:99]}", "", 4e9, ["x"], "Bearer", provider)


async def is_moved(redis: Redis, user_id: str, provider: str = "google") -> bool:
    """Return True if the tokens are at the encoded key alone."""
    there = await redis.exists(names.tokens(user_id, provider))
    return bool(there) and not await redis.exists(tokens_key(user_id, provider))


class TestReading:
    @every("user_id", [*PLAIN, *ODD])
    async def test_a_raw_record_is_found_and_listed_by_every_reader(
        self, manager: OAuthManager, redis: Redis, either: Redis, user_id: str
    ) -> None:
        await redis.flushall()
        token = token_of(user_id)
        await write_older(redis, user_id, token)
        assert await manager.get_token(user_id, "google", either) == token.access_token
        assert await manager.valid_token(either, user_id, "google") == token
        assert await manager.has_token(user_id, "google", either)
        (entry,) = await manager.list_user_connections(user_id, either)
        assert (entry["provider"], entry["scopes"]) == ("google", ["x"])
        connection = await manager.connection(either, user_id, "google")
        assert connection.status is Status.CONNECTED
        assert await redis.keys("*") == [tokens_key(user_id, "google").encode()]

    @pytest.mark.parametrize("user_id", [PLAIN[0], MATRIX])
    async def test_reading_costs_one_round_trip(
        self, manager: OAuthManager, redis: Redis, client: tuple[Redis, Wire], user_id: str
    ) -> None:
        await write_older(redis, user_id, token_of(user_id))
        for number, call in enumerate(
            (
                manager.get_token(user_id, "google", client[0]),
                manager.has_token(user_id, "google", client[0]),
                manager.list_user_connections(user_id, client[0]),
                manager.connection(client[0], user_id, "google"),
            ),
            start=1,
        ):
            assert await call
            assert client[1].round_trips == number

    @pytest.mark.parametrize(("user_id", "places"), [(PLAIN[0], 1), (MATRIX, 2)])
    async def test_a_plain_id_costs_no_command_more(
        self, manager: OAuthManager, client: tuple[Redis, Wire], user_id: str, places: int
    ) -> None:
        await manager.get_token(user_id, "google", client[0])
        await manager.connections(client[0], user_id)
        looks = [data.count(b":oauth_tokens:") for data in client[1].sent]
        # Of more than one key EXISTS says whether those that MGET left out are there.  What is
        # absent costs a second look: there may be other accounts.
        assert looks == [places**2, 2 * places, 8 * places]

    async def test_the_encoded_record_counts_where_both_are_there(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await manager.store_token(redis, MATRIX, TokenData("ours", provider="google"))
        await write_older(redis, MATRIX, TokenData("older", provider="google"))
        assert await manager.get_token(MATRIX, "google", redis) == "ours"

    async def test_strict_refuses_a_raw_record_and_keeps_it(
        self, fake: FakeProvider, redis: Redis
    ) -> None:
        await write_older(redis, MATRIX, token_of(MATRIX))
        strict = manager_for(fake, strict=True)
        assert await strict.get_token(MATRIX, "google", redis) is None
        standing = await strict.connection(redis, MATRIX, "google")
        assert standing.status is Status.UNREADABLE
        assert await redis.exists(tokens_key(MATRIX, "google"))

    @pytest.mark.parametrize("junk", ["junk", b"\xff\xfe", older_record(token_of("a"), OTHER_KEY)])
    async def test_a_damaged_raw_record_is_unreadable_and_kept(
        self, manager: OAuthManager, redis: Redis, either: Redis, junk: str | bytes
    ) -> None:
        await redis.set(tokens_key(MATRIX, "google"), junk)
        assert await manager.get_token(MATRIX, "google", either) is None
        standing = await manager.connection(either, MATRIX, "google")
        assert standing.status is Status.UNREADABLE
        assert await redis.exists(tokens_key(MATRIX, "google"))

    async def test_a_raw_record_of_another_provider_is_not_read(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await redis.set(tokens_key(MATRIX, "google"), older_record(token_of(MATRIX, "github")))
        assert await manager.get_token(MATRIX, "google", redis) is None


class TestTheFirstWriteMovesIt:
    async def test_by_storing(self, manager: OAuthManager, redis: Redis, either: Redis) -> None:
        await write_older(redis, MATRIX, token_of(MATRIX))
        await manager.store_token(either, MATRIX, TokenData("new", provider="google"))
        assert await is_moved(redis, MATRIX)
        assert await manager.get_token(MATRIX, "google", either) == "new"

    async def test_by_a_refresh(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, either: Redis
    ) -> None:
        await write_older(redis, MATRIX, granted(fake, "google"))
        token = await manager.get_token(MATRIX, "google", either)
        assert token is not None
        assert fake.is_alive(token)
        assert fake.calls["refresh"] == 1
        assert await is_moved(redis, MATRIX)
        assert await manager.get_token(MATRIX, "google", either) == token
        assert fake.calls["refresh"] == 1

    async def test_by_connecting_anew(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, either: Redis
    ) -> None:
        await write_older(redis, MATRIX, token_of(MATRIX))
        connection = await connected(manager, fake, either, MATRIX, "google")
        assert connection.status is Status.CONNECTED
        assert await is_moved(redis, MATRIX)

    @pytest.mark.parametrize("junk", ["junk", b"\xff\xfe"])
    async def test_connecting_heals_a_damaged_one(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, junk: str | bytes
    ) -> None:
        await redis.set(tokens_key(MATRIX, "google"), junk)
        await connected(manager, fake, redis, MATRIX, "google")
        assert await is_moved(redis, MATRIX)

    async def test_connecting_heals_one_that_strict_refuses(
        self, fake: FakeProvider, redis: Redis
    ) -> None:
        await write_older(redis, MATRIX, token_of(MATRIX))
        await connected(manager_for(fake, strict=True), fake, redis, MATRIX, "google")
        assert await is_moved(redis, MATRIX)

    async def test_by_the_end_of_the_grant_which_leaves_nothing_but_the_reason(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await write_older(redis, MATRIX, granted(fake, "google"))
        fake.withdraw()
        assert await manager.get_token(MATRIX, "google", redis) is None
        assert await keys_at(redis, "oauth_tokens:*") == []
        connection = await manager.connection(redis, MATRIX, "google")
        assert connection.status is Status.RECONNECT_NEEDED
        assert fake.calls["refresh"] == 1

    async def test_what_was_left_by_a_crash_goes_with_the_next_write(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, MATRIX, granted(fake, "google"))
        await write_older(redis, MATRIX, TokenData("stale", provider="google"))
        assert await manager.get_token(MATRIX, "google", redis) != "stale"
        assert await is_moved(redis, MATRIX)


class TestDisconnecting:
    async def test_removes_the_raw_record_and_asks_the_provider_with_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, either: Redis
    ) -> None:
        token = granted(fake, "google", expires_at=4e9)
        await write_older(redis, MATRIX, token)
        ended = await manager.delete_token(either, MATRIX, "google")
        assert ended.at_provider is RevokeOutcome.REVOKED
        assert not fake.is_alive(token.access_token)
        assert await keys_at(redis, "oauth_tokens:*") == []

    async def test_asks_the_provider_although_another_persons_raw_record_stands_in_our_place(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        mine, other = granted(fake, "google", expires_at=4e9), token_of("a%3Ab")
        await write_older(redis, "a:b", mine)
        await write_older(redis, "a%3Ab", other)
        ended = await manager.delete_token(redis, "a:b", "google")
        assert ended.at_provider is RevokeOutcome.REVOKED
        assert not fake.is_alive(mine.access_token)
        assert await manager.get_token("a:b", "google", redis) is None
        assert await manager.get_token("a%3Ab", "google", redis) == other.access_token

    @pytest.mark.parametrize("junk", ["junk", b"\xff\xfe"])
    async def test_removes_a_damaged_one(
        self, manager: OAuthManager, redis: Redis, junk: str | bytes
    ) -> None:
        await redis.set(tokens_key(MATRIX, "google"), junk)
        await manager.delete_token(redis, MATRIX, "google")
        assert await keys_at(redis, "oauth_tokens:*") == []

    async def test_removes_one_of_another_type(self, manager: OAuthManager, redis: Redis) -> None:
        await redis.lpush(tokens_key(MATRIX, "google"), "junk")
        await manager.delete_token(redis, MATRIX, "google")
        assert await keys_at(redis, "oauth_tokens:*") == []

    async def test_removes_both_where_both_are_there(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await manager.store_token(redis, MATRIX, TokenData("ours", provider="google"))
        await write_older(redis, MATRIX, token_of(MATRIX))
        await manager.delete_token(redis, MATRIX, "google")
        assert await keys_at(redis, "oauth_tokens:*") == []
        assert not await manager.has_token(MATRIX, "google", redis)


@pytest.mark.parametrize("user_id", [PLAIN[0], MATRIX, WEBCHAT, "zoë b"])
async def test_the_page_and_the_bot_show_a_raw_record_use_it_and_disconnect_it(
    place: Place, user_id: str
) -> None:
    token = granted(place.fake, "google", expires_at=4e9)
    await write_older(place.redis, user_id, token)
    browser = await place.signed_in(user_id)
    assert await browser.state_of("google") in WORKING
    (shown,) = (await browser.get("/oauth/status")).json()["connections"]
    assert shown["provider"] == "google"
    access._instance = place.bot
    ctx = SimpleNamespace(user_id=user_id, redis=place.redis)
    assert "connected" in await connect_service(ctx, "list")
    assert await require_oauth_token(ctx, "google") == token.access_token
    await browser.post("/connections/google/disconnect")
    await place.settled()
    assert not place.fake.is_alive(token.access_token)
    assert await keys_at(place.redis, "oauth_tokens:*") == []
    assert await browser.state_of("google") not in WORKING


class TestRotation:
    async def test_moves_raw_records_and_seals_them_with_the_newest_key(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, either: Redis
    ) -> None:
        people = [*PLAIN, *ODD]
        for user_id in people:
            await write_older(redis, user_id, token_of(user_id))
        rotated = await manager_for(fake, key=f"{OTHER_KEY},{KEY}").reseal(either)
        assert (rotated.done, rotated.moved, rotated.left) == (len(people), len(ODD), {})
        retired = manager_for(fake, key=OTHER_KEY, strict=True)
        for user_id in people:
            token = await retired.get_token(user_id, "google", either)
            assert token == token_of(user_id).access_token
        kept = await keys_at(redis, "oauth_tokens:*")
        assert kept == sorted(names.tokens(u, "google") for u in people)

    async def test_only_looks_where_it_is_not_to_write(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await write_older(redis, MATRIX, token_of(MATRIX))
        await redis.set("stargazer:oauth_tokens:x", "junk")
        before = {key: await redis.get(key) for key in await redis.keys("*")}
        found = await manager.reseal(redis, writes=False)
        assert (found.done, found.moved) == (1, 1)
        assert list(found.left) == ["stargazer:oauth_tokens:x"]
        assert {key: await redis.get(key) for key in await redis.keys("*")} == before

    @every(
        "key",
        [
            "stargazer:oauth_tokens:x",
            "stargazer:oauth_tokens::google",
            "stargazer:oauth_tokens:x:",
            "stargazer:oauth_tokens:u1:Google",
            "stargazer:oauth_tokens:%00:google",
            "stargazer:oauth_tokens:a\nb:google",
            f"stargazer:oauth_tokens:{'x' * 256}:google",
            f"stargazer:oauth_tokens:{MATRIX}:google",
            "stargazer:oauth_connection:x",
            f"stargazer:oauth_connection:{MATRIX}:google",
            "stargazer:oauth_connection:u1:google",
        ],
    )
    @every("value", ["whatever", "", b"\xff", older_record(token_of("a", "x"))])
    async def test_names_every_key_that_it_did_not_understand_and_leaves_it(
        self, manager: OAuthManager, redis: Redis, key: str, value: str | bytes
    ) -> None:
        await redis.flushall()
        await manager.store_token(redis, "u2", TokenData("a", provider="google"))
        await redis.set(key, value or "{}")
        before = await redis.get(key)
        rotated = await manager.reseal(redis)
        assert (rotated.new, list(rotated.left)) == (1, [key])
        assert await redis.get(key) == before

    async def test_names_what_another_key_sealed_another_type_and_no_text(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await redis.set(tokens_key(MATRIX, "google"), older_record(token_of(MATRIX), OTHER_KEY))
        await redis.lpush(tokens_key(WEBCHAT, "google"), "junk")
        await redis.set(b"stargazer:oauth_tokens:\xff:google", older_record(token_of("a")))
        await redis.set("stargazer:oauth_account:stray", "no hash")
        rotated = await manager.reseal(redis)
        assert rotated.done == 0
        assert sorted(rotated.left) == [
            "stargazer:oauth_account:stray",
            tokens_key(MATRIX, "google"),
            tokens_key(WEBCHAT, "google"),
            "stargazer:oauth_tokens:\ufffd:google",
        ]

    async def test_drops_a_raw_record_whose_encoded_one_can_be_read(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await manager.store_token(redis, MATRIX, TokenData("ours", provider="google"))
        await write_older(redis, MATRIX, token_of(MATRIX))
        assert (await manager.reseal(redis)).left == {}
        assert await is_moved(redis, MATRIX)
        assert await manager.get_token(MATRIX, "google", redis) == "ours"

    async def test_keeps_a_raw_record_whose_encoded_one_cannot(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await redis.set(names.tokens(MATRIX, "google"), "junk")
        await write_older(redis, MATRIX, token_of(MATRIX))
        places = {names.tokens(MATRIX, "google"), tokens_key(MATRIX, "google")}
        assert set((await manager.reseal(redis)).left) == places


PAIRS = [
    ("a:b", "a%3Ab"),
    ("a%3Ab", "a:b"),
    ("a%3Ab", "a%253Ab"),
    ("%", "%25"),
    ("%25", "%2525"),
    (":", "%3A"),
    ("1", "1:github"),
    ("1:github", "1"),
    ("a:google", "a"),
    ("a b", "a%20b"),
    ("😀", "%F0%9F%98%80"),
    ("a%3ab", "a:b"),
]


def every_pair(test: Callable[..., Any]) -> Callable[..., Any]:
    for one, other in PAIRS:
        test = example(one, other)(test)
    return settings(
        max_examples=15,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )(given(POSSIBLE, POSSIBLE | st.builds(quote, POSSIBLE.filter(lambda t: len(t) < 20)))(test))


async def write_ours(manager: OAuthManager, redis: Redis, user_id: str) -> None:
    await manager.store_token(redis, user_id, token_of(user_id))


async def held(manager: OAuthManager, redis: Redis, user_id: str) -> str | None:
    """The token, as every reader has it."""
    token = await manager.get_token(user_id, "google", redis)
    listed = [row["provider"] for row in await manager.list_user_connections(user_id, redis)]
    assert listed == (["google"] if token else [])
    return token


class TestOfTwoIds:
    """One person's records are never the other's, in any order, under any key."""

    @every_pair
    async def test_none_reads_or_loses_anything_by_the_other(
        self, redis: Redis, one: str, other: str
    ) -> None:
        if one == other:
            return
        manager = manager_for(fake_provider())
        mine = token_of(one).access_token
        for is_older in (True, False):
            for act in ("nothing", "store", "connect", "disconnect", "rotate"):
                await redis.flushall()
                if is_older:
                    await write_older(redis, one, token_of(one))
                else:
                    await write_ours(manager, redis, one)
                assert await held(manager, redis, other) is None
                expected = None
                if act == "store":
                    await write_ours(manager, redis, other)
                    expected = token_of(other).access_token
                elif act == "connect":
                    fake = fake_provider()
                    manager = manager_for(fake)
                    await connected(manager, fake, redis, other, "google")
                    token = await manager.valid_token(redis, other, "google")
                    expected = token.access_token if token else "lost"
                elif act == "disconnect":
                    await manager.delete_token(redis, other, "google")
                elif act == "rotate":
                    assert (await manager.reseal(redis)).left == {}
                assert await held(manager, redis, one) == mine, act
                assert await held(manager, redis, other) == expected, act

    @every_pair
    async def test_each_has_an_own_raw_record_and_an_own_encoded_one(
        self, redis: Redis, one: str, other: str
    ) -> None:
        if one == other:
            return
        await redis.flushall()
        manager = manager_for(fake_provider())
        for user_id in (one, other):
            await write_older(redis, user_id, token_of(user_id))
        assert (await manager.reseal(redis)).left == {}
        for user_id in (one, other):
            assert await held(manager, redis, user_id) == token_of(user_id).access_token
        for user_id in (one, other):
            await write_older(redis, user_id, token_of(user_id))
            assert await held(manager, redis, user_id) == token_of(user_id).access_token
        await manager.delete_token(redis, one, "google")
        assert await held(manager, redis, one) is None
        assert await held(manager, redis, other) == token_of(other).access_token

    def test_the_awkward_ones_are_told_apart_by_their_raw_keys(self) -> None:
        for user_id in AWKWARD:
            key = tokens_key(user_id, "github")
            assert names.parse_older_record(key) == (user_id, "github")


async def refresh(manager: OAuthManager, fake: FakeProvider, redis: Redis) -> None:
    await tokens.valid(manager._services, manager._subject(redis, MATRIX, "google"))


async def reconnect(manager: OAuthManager, fake: FakeProvider, redis: Redis) -> None:
    attempt, code = await began(manager, fake, redis, MATRIX, "google")
    await manager.complete(redis, attempt, code)


async def store(manager: OAuthManager, fake: FakeProvider, redis: Redis) -> None:
    token = granted(fake, "google", expires_at=4e9)
    await manager.store_token(redis, MATRIX, token)


async def rotate(manager: OAuthManager, fake: FakeProvider, redis: Redis) -> None:
    await manager.reseal(redis)


Work = Callable[[OAuthManager, FakeProvider, Redis], Awaitable[None]]
MOST_WRITES = 99


class Stage:
    """A record of the older system, somebody at work on it, and what happens meanwhile."""

    def __init__(self, redis: Redis, redis_url: str) -> None:
        self.redis = redis
        self._url = redis_url
        self.fake = fake_provider()
        self.manager = manager_for(self.fake)

    async def set_up(self, expires_at: float = 4e9) -> None:
        await self.redis.flushall()
        self.fake = fake_provider()
        self.manager = manager_for(self.fake)
        await write_older(self.redis, MATRIX, granted(self.fake, "google", expires_at=expires_at))

    async def play(
        self,
        work: Work,
        *,
        dies_before: int = MOST_WRITES,
        at: int = MOST_WRITES,
        act: Callable[[], Awaitable[object]] | None = None,
    ) -> int:
        """Work, with ``act`` ahead of write number ``at``; how many writes it came to."""
        acts = [act] if act else []

        async def before(number: int) -> bool:
            if number == at and acts:
                await acts.pop()()
            return number >= dies_before

        async with wired(self._url) as (client, wire):
            await client.ping()
            wire.sent.clear()
            wire.before = before
            with suppress(StoreUnavailable):
                await work(manager_for(self.fake), self.fake, client)
            return wire.round_trips

    async def disconnect(self) -> None:
        await self.manager.delete_token(self.redis, MATRIX, "google")

    async def rotate(self) -> None:
        await self.manager.reseal(self.redis)


@pytest.fixture
def stage(redis: Redis, redis_url: str) -> Stage:
    return Stage(redis, redis_url)


class TestCrashes:
    @pytest.mark.parametrize("work", [reconnect, store, rotate])
    async def test_a_record_survives_a_death_between_any_two_writes(
        self, stage: Stage, work: Work
    ) -> None:
        await stage.set_up()
        for last in range(await stage.play(work)):
            await stage.set_up()
            await stage.play(work, dies_before=last)
            assert await stage.manager.has_token(MATRIX, "google", stage.redis), last
            await stage.disconnect()
            assert await keys_at(stage.redis, "oauth_tokens:*") == []

    async def test_what_a_death_left_is_mended_by_the_next_rotation(self, stage: Stage) -> None:
        await stage.set_up()
        for last in range(await stage.play(rotate)):
            await stage.set_up()
            await stage.play(rotate, dies_before=last)
            assert (await stage.manager.reseal(stage.redis)).left == {}
            assert await is_moved(stage.redis, MATRIX)

    async def test_a_disconnect_that_dies_never_brings_the_raw_record_back(
        self, stage: Stage
    ) -> None:
        async def disconnect(manager: OAuthManager, _: FakeProvider, redis: Redis) -> None:
            await manager.delete_token(redis, MATRIX, "google")

        await stage.set_up()
        for last in range(await stage.play(disconnect)):
            await stage.set_up()
            await stage.manager.store_token(
                stage.redis, MATRIX, TokenData("ours", provider="google")
            )
            await write_older(stage.redis, MATRIX, TokenData("older", provider="google"))
            await stage.play(disconnect, dies_before=last)
            token = await stage.manager.get_token(MATRIX, "google", stage.redis)
            assert token in ("ours", None), last


class TestRaces:
    @pytest.mark.parametrize("work", [refresh, reconnect, rotate])
    async def test_a_disconnect_wins_wherever_it_comes_between(
        self, stage: Stage, work: Work
    ) -> None:
        """Also over somebody who has read the record before, and dies at any later step."""
        expires_at = OVER if work is refresh else 4e9
        await stage.set_up(expires_at)
        writes = await stage.play(work)
        # A person who comes back after a disconnect is connected: their record is read fourth.
        first = 4 if work is reconnect else 0
        for at in range(first, writes):
            # A refresh does not die: whoever holds the only copy of a pair goes on trying.
            for more in (MOST_WRITES,) if work is refresh else (1, 2, 3, MOST_WRITES):
                await stage.set_up(expires_at)
                await stage.play(work, at=at, act=stage.disconnect, dies_before=at + more)
                token = await stage.manager.get_token(MATRIX, "google", stage.redis)
                assert token is None, (at, more)

    @pytest.mark.parametrize("work", [refresh, reconnect, rotate])
    async def test_two_that_move_it_at_once_leave_one(self, stage: Stage, work: Work) -> None:
        expires_at = OVER if work is refresh else 4e9
        await stage.set_up(expires_at)
        for at in range(await stage.play(work)):
            await stage.set_up(expires_at)
            await stage.play(work, at=at, act=stage.rotate)
            token = await stage.manager.get_token(MATRIX, "google", stage.redis)
            assert token is not None
            assert stage.fake.is_alive(token)
            assert await is_moved(stage.redis, MATRIX)

    async def test_readers_see_it_all_the_time_while_it_moves(self, stage: Stage) -> None:
        await stage.set_up()
        expected = await stage.manager.get_token(MATRIX, "google", stage.redis)
        assert expected
        for at in range(await stage.play(rotate)):
            await stage.set_up()
            before = await stage.manager.get_token(MATRIX, "google", stage.redis)
            seen: list[str | None] = []

            async def look(seen: list[str | None] = seen) -> None:
                seen.append(await stage.manager.get_token(MATRIX, "google", stage.redis))

            await stage.play(rotate, at=at, act=look)
            assert seen == [before]
