"""Records in the longer forms of earlier versions: read, used, replaced by the next write."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.every import every
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    ACCOUNTS,
    BUILT_IN,
    KEY,
    OTHER_KEY,
    connected,
    connection_key,
    keys_at,
    manager_for,
    text_at,
)
from webui.oauth_manager import OAuthManager, RecordUnreadable, Status
from webui.oauth_manager.models import Account, Profile
from webui.oauth_manager.storage.sealer import Sealer

pytestmark = pytest.mark.anyio

# Ann, connected with four services, as 0.1 wrote her: facts with empty fields, people of the
# index in sealed values.
RECORDS = json.loads((Path(__file__).parent.parent / "kit/longer_records.json").read_text())
LABELS = {
    "discord": "mona",
    "github": "mona",
    "google": "mona@example.org",
    "microsoft": "mona@contoso.example",
}


@pytest.fixture
async def stored(redis: Redis) -> None:
    now = int(time.time() * 1000)
    for key, value in RECORDS["strings"].items():
        await redis.set(key, value)
    for key, entries in RECORDS["hashes"].items():
        await redis.hset(key, mapping=entries)
    for key, entries in RECORDS["streams"].items():
        for number, entry in enumerate(entries):
            await redis.xadd(key, entry, id=f"{now - 1000 + number}-0")


async def index(redis: Redis) -> dict[str, Any]:
    return {key: await redis.hgetall(key) for key in await keys_at(redis, "oauth_account:*")}


async def found(manager: OAuthManager, redis: Redis, provider: str) -> set[tuple[str, ...]]:
    """What a search by the account's id finds, and one by its label."""
    names = ("42", LABELS[provider])
    return {await manager.find_accounts(redis, provider, name) for name in names}


@pytest.mark.usefixtures("stored")
class TestTheLongerForms:
    async def test_are_read(self, manager: OAuthManager, either: Redis) -> None:
        for connection in await manager.connections(either, "ann"):
            assert connection.status is Status.CONNECTED
            assert connection.profile.account == Account("42", LABELS[connection.provider])
            assert connection.profile.connected_at > 0
        for provider in BUILT_IN:
            token = await manager.get_token("ann", provider, either)
            assert token == f"access-of-{provider}"
            assert await found(manager, either, provider) == {("ann",)}
        told = [event.kind for event in (await manager.activity(either, "ann")).events]
        assert told == ["connected"] * 4

    @every("provider", BUILT_IN)
    async def test_are_gone_with_a_disconnect(
        self, manager: OAuthManager, redis: Redis, provider: str
    ) -> None:
        before = await index(redis)
        await manager.delete_token(redis, "ann", provider)
        assert await found(manager, redis, provider) == {()}
        assert 1 <= len(before) - len(await index(redis)) <= 2

    @every("provider", BUILT_IN)
    async def test_are_gone_with_a_disconnect_after_connecting_again_too(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, provider: str
    ) -> None:
        before = await index(redis)
        fake.account = ACCOUNTS[provider]
        await connected(manager, fake, redis, "ann", provider)
        assert await found(manager, redis, provider) == {("ann",)}
        await manager.delete_token(redis, "ann", provider)
        assert await found(manager, redis, provider) == {()}
        assert 1 <= len(before) - len(await index(redis)) <= 2

    @pytest.mark.parametrize("keys", [KEY, f"{OTHER_KEY},{KEY}"], ids=["one key", "a new key"])
    async def test_are_replaced_by_a_rotation(self, redis: Redis, keys: str) -> None:
        rotating = manager_for(FakeProvider(), key=keys)
        before = await index(redis)
        rotated = await rotating.reseal(redis)
        assert (rotated.done + rotated.new, rotated.is_whole) == (8, True)
        retired = manager_for(FakeProvider(), key=keys.partition(",")[0])
        assert len(await index(redis)) == len(RECORDS["hashes"])
        for key, entries in (await index(redis)).items():
            # Redis keeps the larger encoding of a hash that once held a long value.
            assert (await redis.memory_usage(key) or 0) < (240 if key not in before else 350)
            assert all(len(value) == 8 for value in entries.values())
        for provider in BUILT_IN:
            key = connection_key("ann", provider)
            assert len(await text_at(redis, key)) < 0.65 * len(RECORDS["strings"][key])
            assert await retired.get_token("ann", provider, redis) == f"access-of-{provider}"
            assert await found(retired, redis, provider) == {("ann",)}
            shown = await retired.connection(redis, "ann", provider)
            assert shown.profile.account.label == LABELS[provider]
        assert (await rotating.reseal(redis)).new == 8


class TestFacts:
    def test_that_are_empty_are_all_left_out(self) -> None:
        """So a default that says something would not come back."""
        assert [name for name, value in asdict(Profile()).items() if value] == ["account"]
        assert not any(asdict(Profile())["account"].values())

    async def test_that_are_left_out_come_back_empty(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.account = ACCOUNTS["github"]
        await connected(manager, fake, redis, "ben", "github")
        record = Sealer(KEY).open(
            "connection", "ben", "github", await text_at(redis, connection_key("ben", "github"))
        )
        assert all(record[fact.name] for fact in fields(Profile) if fact.name in record)
        shown = (await manager.connection(redis, "ben", "github")).profile
        assert (shown.problem, shown.used_at, shown.accepted_missing) == ("", 0.0, ())


class TestLabels:
    """People in the index: sealed for one account, and alike each time."""

    def test_are_alike_at_one_place_and_different_at_another(self) -> None:
        sealer = Sealer(KEY)
        assert sealer.label("place", "ann") == sealer.label("place", "ann")
        assert sealer.label("place", "ann") != sealer.label("other", "ann")
        assert sealer.label("place", "ann") != sealer.label("place", "ben")
        assert sealer.label("place", "ann") != Sealer(OTHER_KEY).label("place", "ann")

    def test_are_of_every_key_and_opened_by_any(self) -> None:
        both = Sealer(f"{OTHER_KEY},{KEY}")
        newest, older = (both.label("place", "änn\0", n) for n in range(2))
        assert newest == Sealer(OTHER_KEY).label("place", "änn\0")
        for label in (newest, older):
            assert both.open_label("place", label) == "änn\0"

    @every("label", ["", "x", "xx", "é", "A" * 64, "0" * 63, "\ud800", "=="])
    def test_that_are_none_are_refused(self, label: str) -> None:
        with pytest.raises(RecordUnreadable):
            Sealer(KEY).open_label("place", label)

    def test_of_another_place_or_key_are_refused(self) -> None:
        label = Sealer(KEY).label("place", "canary")
        for sealer, place in ((Sealer(KEY), "other"), (Sealer(OTHER_KEY), "place")):
            with pytest.raises(RecordUnreadable) as caught:
                sealer.open_label(place, label)
            assert "canary" not in str(caught.value)
