"""Records at rest: bound to their person and provider, kept when they cannot be read."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.fernet import Fernet, MultiFernet
from redis.asyncio import Redis

from tests.kit.every import every
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    BASE_URL,
    KEY,
    OTHER_KEY,
    connected,
    connection_key,
    dumped,
    granted,
    manager_for,
    put_copy,
    text_at,
    tokens_key,
)
from webui.oauth_manager import OAuthManager, RecordUnreadable, Rotation, Status, TokenData
from webui.oauth_manager.storage.sealer import Sealer

pytestmark = pytest.mark.anyio

THIRD_KEY = Fernet.generate_key().decode()
TOKEN = TokenData("canary-access", "canary-refresh", 4e9, ["x"], "Bearer", "google")


def sealed(record: object, key: str = KEY) -> str:
    """Seal as the older system did, or somebody who holds the key."""
    return Fernet(key).encrypt(json.dumps(record).encode()).decode()


async def assert_unreadable(manager: OAuthManager, redis: Any, user_id: str = "u1") -> None:
    """Every way of asking says so, without a failure, for this provider alone."""
    assert await manager.get_token(user_id, "google", redis) is None
    assert await manager.has_token(user_id, "google", redis) is False
    assert await manager.list_user_connections(user_id, redis) == []
    standing = {c.provider: c.status for c in await manager.connections(redis, user_id)}
    assert standing.pop("google") is Status.UNREADABLE
    assert set(standing.values()) == {Status.NOT_CONNECTED}
    assert (await manager.connection(redis, user_id, "google")).status is Status.UNREADABLE


class TestSeveralKeys:
    @every("separator", [",", ", ", " ", "\n", "\r\n"])
    def test_all_of_them_open_and_the_first_one_seals(self, separator: str) -> None:
        old = Sealer(KEY).seal("tokens", "u1", "google", {"n": 1})
        both = Sealer(separator.join([OTHER_KEY, KEY]) + "\n")
        assert both.open("tokens", "u1", "google", old)["n"] == 1
        new = both.seal("tokens", "u1", "google", {"n": 2})
        assert Sealer(OTHER_KEY).open("tokens", "u1", "google", new)["n"] == 2
        with pytest.raises(RecordUnreadable):
            Sealer(KEY).open("tokens", "u1", "google", new)

    def test_two_processes_with_the_keys_in_another_order_read_each_other(self) -> None:
        one, other = Sealer(f"{KEY},{OTHER_KEY}"), Sealer(f"{OTHER_KEY},{KEY}")
        for writer, reader in ((one, other), (other, one)):
            record = writer.seal("tokens", "u1", "google", {"n": 1})
            assert reader.open("tokens", "u1", "google", record)["n"] == 1

    def test_an_unusable_key_is_logged_by_position_and_the_others_are_used(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        sealer = Sealer(f"{KEY} canary-no-key {OTHER_KEY}")
        assert isinstance(sealer.fernet, MultiFernet)
        assert "number 2" in caplog.text
        assert "canary" not in caplog.text
        record = Sealer(OTHER_KEY).seal("tokens", "u1", "google", {"n": 1})
        assert sealer.open("tokens", "u1", "google", record)["n"] == 1

    async def test_rotation_seals_every_record_with_the_newest_key(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        for user_id in ("u1", "u:2", "u*"):
            await connected(manager, fake, redis, user_id, "google")
        await redis.set(tokens_key("u4", "github"), sealed({"access_token": "older"}))
        rotating = manager_for(fake, key=f"{OTHER_KEY},{KEY}")
        assert await rotating.reseal(redis) == Rotation(7, 0, {})
        assert await rotating.reseal(redis) == Rotation(0, 0, {}, new=7)
        retired = manager_for(fake, key=OTHER_KEY, strict=True)
        for user_id in ("u1", "u:2", "u*"):
            assert await retired.get_token(user_id, "google", redis) is not None
        assert await retired.get_token("u4", "github", redis) == "older"

    async def test_rotation_counts_what_it_cannot_read_and_keeps_it(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", TOKEN)
        lost = sealed(TOKEN.to_dict(), THIRD_KEY)
        await redis.set(tokens_key("u2", "google"), lost)
        await redis.lpush(tokens_key("u3", "google"), "junk")
        rotated = await manager.reseal(redis)
        assert (rotated.new, rotated.unreadable, len(rotated.left)) == (1, 2, 2)
        assert await text_at(redis, tokens_key("u2", "google")) == lost
        assert await redis.llen(tokens_key("u3", "google")) == 1

    @pytest.mark.parametrize(
        "key",
        [
            "stargazer:oauth_tokens:a:b:google",
            "stargazer:oauth_tokens:x",
            "stargazer:oauth_tokens:%00:google",
        ],
    )
    async def test_rotation_names_a_key_that_is_not_ours_and_leaves_it(
        self, manager: OAuthManager, redis: Redis, key: str
    ) -> None:
        await manager.store_token(redis, "u1", TOKEN)
        await redis.set(key, "whatever")
        rotated = await manager.reseal(redis)
        assert (rotated.new, list(rotated.left)) == (1, [key])
        assert await text_at(redis, key) == "whatever"

    async def test_rotation_leaves_other_keys_of_the_same_redis_alone(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await redis.set("stargazer:other", "x")
        await redis.set("stargazer:oauth_link:" + "c" * 43, "u1")
        assert await manager.reseal(redis) == Rotation(0, 0, {})


class TestTheWrongKey:
    async def test_says_unreadable_keeps_everything_and_the_right_key_brings_it_back(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "u1", "google")
        token = await manager.get_token("u1", "google", redis)
        before = [await redis.dump(key) for key in sorted(await redis.keys())]
        await assert_unreadable(manager_for(fake, key=OTHER_KEY), redis)
        assert [await redis.dump(key) for key in sorted(await redis.keys())] == before
        assert await manager.get_token("u1", "google", redis) == token
        assert fake.calls["refresh"] == 0

    async def test_no_key_reads_nothing_that_was_sealed(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", TOKEN)
        await assert_unreadable(manager_for(fake, key=""), redis)

    async def test_a_key_reads_nothing_that_was_not_sealed(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager_for(fake, key="").store_token(redis, "u1", TOKEN)
        await assert_unreadable(manager, redis)

    async def test_the_log_names_person_and_provider_and_no_content(
        self, manager: OAuthManager, redis: Redis, caplog: pytest.LogCaptureFixture
    ) -> None:
        junk = sealed(TOKEN.to_dict(), OTHER_KEY)
        await redis.set(tokens_key("u1", "google"), junk)
        await manager.get_token("u1", "google", redis)
        (record,) = (r for r in caplog.records if r.levelno == logging.ERROR)
        assert "u1" in record.getMessage()
        assert "google" in record.getMessage()
        assert junk not in caplog.text
        assert "canary" not in caplog.text

    async def test_connecting_anew_heals_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await redis.set(tokens_key("u1", "google"), "junk")
        await redis.set(connection_key("u1", "google"), "junk")
        assert (await connected(manager, fake, redis, "u1", "google")).status is Status.CONNECTED
        assert await manager.get_token("u1", "google", redis) is not None

    async def test_disconnecting_removes_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await redis.set(tokens_key("u1", "google"), "junk")
        await manager.delete_token(redis, "u1", "google")
        assert not await redis.exists(tokens_key("u1", "google"))
        assert fake.requests == []


def flipped(text: str) -> Iterator[str]:
    """One character changed, at several places; the last ones may be padding."""
    for position in range(0, len(text) - 4, 23):
        other = "A" if text[position] != "A" else "B"
        yield text[:position] + other + text[position + 1 :]


GOOD = sealed(TOKEN.to_dict())
DAMAGED: dict[str, str | bytes] = {
    **{f"bit {n}": text for n, text in enumerate(flipped(GOOD))},
    **{f"cut at {n}": GOOD[:n] for n in range(1, len(GOOD) - 1, 37)},
    "blank": " ",
    "NUL": b"\0",
    "beyond ASCII": "gAAAAé",
    "not UTF-8": b"\xff\xfe\x80",
    "10 MB": "g" * 10_000_000,
    "brackets": "[" * 100_000,
}
# Sealed with the right key, but nothing a token record may look like.
MISTYPED: dict[str, object] = {
    "null": None,
    "number": 5,
    "text": "canary-access",
    "array": [TOKEN.to_dict()],
    "access token a number": {"access_token": 12345},
    "access token a list": {"access_token": ["canary-access"]},
    "access token an object": {"access_token": {"x": "canary-access"}},
    "access token true": {"access_token": True},
    "refresh token a list": {"access_token": "a", "refresh_token": ["canary-refresh"]},
    "expiry a word": {"access_token": "a", "expires_at": "soon"},
    "expiry a list": {"access_token": "a", "expires_at": [5]},
    "expiry not a number": {"access_token": "a", "expires_at": float("nan")},
    "expiry infinite": {"access_token": "a", "expires_at": float("inf")},
    "expiry beyond all numbers": {"access_token": "a", "expires_at": 10**400},
    "scopes a number": {"access_token": "a", "scopes": 5},
    "version unknown": {"access_token": "a", "v": 2},
    "version a word": {"access_token": "a", "v": "1"},
    "version null": {"access_token": "a", "v": None},
    "bound to nobody": {"access_token": "a", "v": 1},
}


class TestDamage:
    @every("damaged", DAMAGED)
    async def test_a_damaged_record_is_unreadable_and_kept(
        self, manager: OAuthManager, redis: Redis, either: Redis, damaged: str | bytes
    ) -> None:
        await redis.set(tokens_key("u1", "google"), damaged)
        await assert_unreadable(manager, either)
        kept = await redis.get(tokens_key("u1", "google"))
        assert kept == (damaged.encode() if isinstance(damaged, str) else damaged)

    @every("record", MISTYPED)
    async def test_a_mistyped_record_is_unreadable_and_never_half_used(
        self, manager: OAuthManager, redis: Redis, record: object
    ) -> None:
        await redis.set(tokens_key("u1", "google"), sealed(record))
        await assert_unreadable(manager, redis)
        assert await redis.exists(tokens_key("u1", "google"))

    async def test_an_empty_value_is_no_connection(
        self, manager: OAuthManager, either: Redis
    ) -> None:
        await either.set(tokens_key("u1", "google"), "")
        assert await manager.get_token("u1", "google", either) is None
        assert await manager.has_token("u1", "google", either) is False

    async def test_a_key_of_another_redis_type_is_unreadable_and_kept(
        self, manager: OAuthManager, either: Redis
    ) -> None:
        await either.lpush(tokens_key("u1", "google"), "junk")
        await assert_unreadable(manager, either)
        assert await either.llen(tokens_key("u1", "google")) == 1

    async def test_it_does_not_touch_the_other_connections(
        self, manager: OAuthManager, redis: Redis, either: Redis
    ) -> None:
        await manager.store_token(redis, "u1", TokenData("g", provider="github"))
        await redis.set(tokens_key("u1", "google"), b"\xff")
        (entry,) = await manager.list_user_connections("u1", either)
        assert entry["provider"] == "github"

    async def test_a_damaged_record_can_be_disconnected(
        self, manager: OAuthManager, redis: Redis, either: Redis
    ) -> None:
        for damage in ("junk", b"\xff\xfe"):
            await redis.set(tokens_key("u1", "google"), damage)
            await manager.delete_token(either, "u1", "google")
            assert not await redis.exists(tokens_key("u1", "google"))
        await redis.lpush(tokens_key("u1", "google"), "junk")
        await manager.delete_token(either, "u1", "google")
        assert not await redis.exists(tokens_key("u1", "google"))

    @pytest.mark.parametrize(
        "damaged",
        ["junk", sealed({"kind": "connection"}), sealed([])],
        ids=["junk", "no profile", "a list"],
    )
    async def test_a_damaged_profile_leaves_the_tokens_usable(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, damaged: str
    ) -> None:
        await connected(manager, fake, redis, "u1", "google")
        await redis.set(connection_key("u1", "google"), damaged)
        assert await manager.get_token("u1", "google", redis) is not None
        connection = await manager.connection(redis, "u1", "google")
        assert connection.status is Status.CONNECTED
        assert connection.profile.account.label == ""


class TestBinding:
    async def test_the_record_of_one_person_is_unreadable_as_that_of_another(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", TOKEN)
        await put_copy(redis, tokens_key("u1", "google"), tokens_key("u2", "google"))
        await assert_unreadable(manager, redis, "u2")
        assert await manager.get_token("u1", "google", redis) == TOKEN.access_token

    async def test_the_record_of_one_provider_is_unreadable_as_that_of_another(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", TokenData("a", provider="github"))
        await put_copy(redis, tokens_key("u1", "github"), tokens_key("u1", "google"))
        await redis.delete(tokens_key("u1", "github"))
        await assert_unreadable(manager, redis)

    async def test_an_older_record_is_unreadable_as_that_of_another_provider(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await redis.set(
            tokens_key("u1", "google"), sealed(TokenData("a", provider="github").to_dict())
        )
        await assert_unreadable(manager, redis)

    async def test_an_account_is_not_shown_under_another_person(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "u1", "github")
        await put_copy(redis, connection_key("u1", "github"), connection_key("u2", "github"))
        assert (await manager.connection(redis, "u2", "github")).profile.account.label == ""

    @pytest.mark.parametrize("kind", ["connection", "state", "proof"])
    def test_a_record_of_one_kind_is_none_of_another(self, kind: str) -> None:
        record = Sealer(KEY).seal(kind, "u1", "google", TOKEN.to_dict())
        with pytest.raises(RecordUnreadable):
            Sealer(KEY).open("tokens", "u1", "google", record)

    def test_what_is_inside_cannot_overrule_the_binding(self) -> None:
        payload = {"user_id": "u2", "provider": "github", "kind": "state", "v": 7}
        record = Sealer(KEY).seal("tokens", "u1", "google", payload)
        opened = Sealer(KEY).open("tokens", "u1", "google", record)
        assert (opened["user_id"], opened["provider"], opened["v"]) == ("u1", "google", 1)


LEGACY: dict[str, tuple[dict[str, Any], TokenData]] = {
    "six fields": (TOKEN.to_dict(), TOKEN),
    "access token alone": ({"access_token": "a"}, TokenData("a")),
    "no scopes": ({"access_token": "a", "provider": "google"}, TokenData("a", provider="google")),
    "expiry as text": ({"access_token": "a", "expires_at": "4e9"}, TokenData("a", expires_at=4e9)),
    "scopes as text": ({"access_token": "a", "scopes": "x y"}, TokenData("a", scopes=["x", "y"])),
    "nulls": (
        {"access_token": "a", "refresh_token": None, "expires_at": None, "scopes": None},
        TokenData("a"),
    ),
    "more fields": ({"access_token": "a", "id_token": "x", "version": "0.9"}, TokenData("a")),
    "provider empty": ({"access_token": "a", "provider": ""}, TokenData("a")),
}


class TestRecordsOfTheOlderSystem:
    @pytest.mark.parametrize(("record", "token"), LEGACY.values(), ids=LEGACY.keys())
    async def test_they_are_read(
        self, manager: OAuthManager, redis: Redis, record: dict[str, Any], token: TokenData
    ) -> None:
        await redis.set(tokens_key("u1", "google"), sealed(record))
        assert await manager.get_token("u1", "google", redis) == token.access_token
        read = await manager.valid_token(redis, "u1", "google")
        assert read is not None
        assert (read.refresh_token, read.expires_at, read.scopes) == (
            token.refresh_token,
            token.expires_at,
            token.scopes,
        )

    @pytest.mark.parametrize("record", [r for r, _ in LEGACY.values()], ids=LEGACY.keys())
    async def test_the_strict_switch_refuses_them_and_keeps_them(
        self, fake: FakeProvider, redis: Redis, record: dict[str, Any]
    ) -> None:
        await redis.set(tokens_key("u1", "google"), sealed(record))
        await assert_unreadable(manager_for(fake, strict=True), redis)
        assert await redis.exists(tokens_key("u1", "google"))

    async def test_the_strict_switch_takes_what_was_written_here(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.store_token(redis, "u1", TOKEN)
        strict = manager_for(fake, strict=True)
        assert await strict.get_token("u1", "google", redis) == TOKEN.access_token

    async def test_a_refresh_seals_them_anew(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await redis.set(tokens_key("u1", "google"), sealed(granted(fake, "google").to_dict()))
        token = await manager.get_token("u1", "google", redis)
        assert token is not None
        strict = manager_for(fake, strict=True)
        assert await strict.get_token("u1", "google", redis) == token

    async def test_a_record_without_a_provider_is_refreshed_all_the_same(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        record = granted(fake, "google").to_dict()
        del record["provider"]
        await redis.set(tokens_key("u1", "google"), sealed(record))
        token = await manager.get_token("u1", "google", redis)
        assert token is not None
        assert fake.is_alive(token)

    async def test_one_that_names_another_person_is_refused(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await redis.set(tokens_key("u1", "google"), sealed({"access_token": "a", "user_id": "u2"}))
        await assert_unreadable(manager, redis)


class TestSecrecy:
    async def test_redis_holds_no_secret_in_clear(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        for provider in ("github", "google"):
            await connected(manager, fake, redis, "u1", provider)
        await manager.generate_connect_url("u1", "discord", redis)
        everything = await dumped(redis)
        for secret in fake.issued | {fake.client_secret, KEY}:
            assert secret.encode() not in everything

    def test_the_reason_of_an_unreadable_record_quotes_nothing(self) -> None:
        for junk in ("canary", sealed(["canary"]), sealed({"v": "canary"}), "canaryé"):
            with pytest.raises(RecordUnreadable) as caught:
                Sealer(KEY).open("tokens", "u1", "google", junk)
            assert "canary" not in f"{caught.value} {caught.value!r}"
            assert caught.value.__cause__ is None

    def test_manager_and_provider_show_no_secret(self) -> None:
        config = {"github": {"client_id": "i", "client_secret": "canary"}}
        manager = OAuthManager(KEY, BASE_URL, config)
        assert "canary" not in f"{manager!r} {manager.providers!r} {manager}"
        assert KEY not in f"{manager!r} {vars(manager)}"
