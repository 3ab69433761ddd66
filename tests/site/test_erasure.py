"""Erasure of a person: everything goes, the providers are asked, nothing comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster

from tests.kit.fake_answers import error_answer
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import began, connected, keys_at
from tests.kit.site_fixtures import Place, site_at
from tests.kit.support_fixtures import records
from tests.kit.whole_person import (
    BESIDE,
    OF_NOBODY,
    STRANGE,
    everything,
    fill,
    kind_of,
    mentions,
)
from webui.oauth_manager import (
    Account,
    Answer,
    AuditRecord,
    Imported,
    OAuthManager,
    Profile,
    StoreUnavailable,
    TokenData,
)
from webui.oauth_manager.storage import WrongKey, imports
from webui.oauth_manager.storage import keys as names
from webui.oauth_manager.storage.imports import Entry
from webui.oauth_manager.storage.keys import UserId
from webui.oauth_manager.storage.storage import Subject
from webui.oauth_manager.values import replace
from webui.people_data.erasure import erase

DATA = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
pytestmark = pytest.mark.anyio


@pytest.fixture
async def office(redis_url: str, redis: Redis) -> AsyncIterator[Place]:
    async with site_at(redis_url, redis, support_users=("carol",)) as place:
        yield place


async def erased(place: Place, user: str) -> dict[str, Answer]:
    """Erase as the command does: each provider's answer."""
    done = await erase(place.settings, place.bot, place.redis, user, "command")
    return {grant.provider: grant.answer for grant in done.grants}


class TestEverything:
    @pytest.mark.parametrize("user", ["ann-lee", STRANGE])
    async def test_no_key_and_no_value_mentions_the_person_afterwards(
        self, office: Place, redis: Redis, user: str
    ) -> None:
        await fill(office, user)
        kinds = {kind_of(key) for key in await everything(redis)}
        of_people = {
            line.split("`")[1].removeprefix("stargazer:")
            for line in DATA.splitlines()
            if line.startswith("| `stargazer:")
        }
        assert kinds >= {kind_of(key) for key in of_people} - OF_NOBODY
        assert await mentions(redis, user)
        answers = await erased(office, user)
        assert await mentions(redis, user) == []
        assert await keys_at(redis, "oauth_account:*") == []
        assert answers == {
            "discord": Answer.REVOKED,
            "github": Answer.REVOKED,
            "google": Answer.REVOKED,
            "microsoft": Answer.UNSUPPORTED,
            "gitea": Answer.NOT_SET_UP,
        }

    async def test_whoever_has_a_similar_id_keeps_everything(
        self, office: Place, redis: Redis
    ) -> None:
        await fill(office, BESIDE)
        before = await mentions(redis, BESIDE)
        await fill(office, STRANGE)
        await erased(office, STRANGE)
        assert await mentions(redis, STRANGE) == []
        assert await mentions(redis, BESIDE) == before

    async def test_an_act_of_staff_stays_on_record_without_the_person(
        self, office: Place, redis: Redis
    ) -> None:
        await fill(office, STRANGE)
        before = await records(redis)
        await erased(office, STRANGE)
        kept = await records(redis)
        looks = [act for act in kept if act["action"] == "viewed"]
        assert [(a["who"], a["whom"], a["reason"]) for a in looks] == [
            ("carol", "", "ticket 7"),
            ("carol", "", ""),
        ]
        assert [a["at"] for a in looks] == [a["at"] for a in before if a["action"] == "viewed"]
        (search,) = [act for act in kept if act["action"] == "searched"]
        assert search["result"] == 'found ["ben"]'

    async def test_their_own_acts_as_staff_stay(self, office: Place, redis: Redis) -> None:
        await office.bot.audit.write(redis, AuditRecord("ann", "chat", "viewed", "ben"))
        await erased(office, "ann")
        assert [(a["who"], a["whom"]) for a in await records(redis)] == [("ann", "ben")]

    async def test_one_line_of_the_audit_says_that_somebody_was_erased(
        self, office: Place, redis: Redis
    ) -> None:
        ann = await office.signed_in("ann")
        await office.connect(ann, "github")
        await erased(office, "ann")
        (line,) = await records(redis)
        said = {name: value for name, value in line.items() if value and name != "at"}
        assert said == {"via": "command", "action": "erased", "result": "github revoked"}

    async def test_a_link_of_the_older_system_goes_too(self, office: Place, redis: Redis) -> None:
        await redis.set(names.link("older-link-code"), "ann", ex=600)
        await redis.set(names.link("another"), "ben", ex=600)
        await erased(office, "ann")
        assert await keys_at(redis, "oauth_link:*") == [names.link("another")]

    async def test_of_nobody_nothing_is_told(self, office: Place, redis: Redis) -> None:
        done = await erase(office.settings, office.bot, redis, "nobody", "command")
        assert (done.grants, done.was_there) == ((), False)
        assert await records(redis) == []

    async def test_the_person_may_begin_anew_at_once(self, office: Place, redis: Redis) -> None:
        await office.connect(await office.signed_in("ann"), "github")
        await erased(office, "ann")
        again = await office.signed_in("ann")
        await office.connect(again, "github")
        assert await again.state_of("github") == "connected"

    async def test_with_keys_that_open_nothing_all_stays(self, office: Place, redis: Redis) -> None:
        await office.connect(await office.signed_in("ann"), "github")
        stranger = OAuthManager("ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=")
        before = await office.records()
        with pytest.raises(WrongKey):
            await stranger.erase(redis, "ann")
        assert await office.records() == before


class TestServicesThatAreSetUpNoMore:
    async def test_their_records_go_from_the_index_of_accounts_too(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        gone = replace(manager.providers["github"], name="gitea")
        subject = Subject(redis, UserId("ann"), gone)
        entry = Entry(subject, TokenData("a", provider="gitea"), Profile(Account("42", "mona")))
        await imports.put(manager._storage, [entry], replaces=False, writes=True)
        assert await keys_at(redis, "oauth_account:*")
        await manager.erase_unlisted(redis, "ann")
        assert await keys_at(redis, "oauth_account:*") == []
        assert await mentions(redis, "ann") == []


class TestACluster:
    async def test_everything_goes_there_too(
        self, manager: OAuthManager, fake: FakeProvider, cluster: RedisCluster
    ) -> None:
        await connected(manager, fake, cluster, "ann", "google")
        await manager.create_link_code(cluster, "ann", provider="github")
        await manager.audit.write(cluster, AuditRecord("carol", "chat", "viewed", "ann"))
        await began(manager, fake, cluster, "ann", "github")
        assert (await manager.holdings(cluster, "ann", walks=True))["connections"]
        done = await manager.erase(cluster, "ann", walks=True)
        await manager.finish_erasure(cluster, "ann", done, via="command")
        assert [grant.answer for grant in done.grants] == [Answer.REVOKED]
        assert await mentions(cluster, "ann") == []

    async def test_a_callback_brings_nothing_back(
        self, manager: OAuthManager, fake: FakeProvider, cluster: RedisCluster
    ) -> None:
        attempt, code = await began(manager, fake, cluster, "ann", "google")
        gate = fake.gate("token")
        arriving = asyncio.create_task(manager.complete(cluster, attempt, code))
        await gate.reached()
        await manager.erase(cluster, "ann")
        gate.open()
        assert await arriving is None
        await manager._tasks.drain()
        assert await mentions(cluster, "ann") == []

    async def test_an_import_is_stored_there_too(
        self, manager: OAuthManager, cluster: RedisCluster
    ) -> None:
        await manager.settle_for_import(cluster)
        token = TokenData("a", expires_at=4e9, provider="google")
        page = [(f"u{number}", token, Profile(), "") for number in range(9)]
        assert set(await manager.import_page(cluster, page)) == {Imported.STORED}
        assert set(await manager.import_page(cluster, page)) == {Imported.SAME}
        assert await manager.get_token("u3", "google", cluster) == "a"


class TestAnswers:
    async def test_a_provider_that_does_not_confirm_is_named(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")
        fake.always["revoke"] = error_answer("temporarily_unavailable", 503)
        done = await manager.erase(redis, "ann")
        assert [(g.provider, g.answer, g.is_over) for g in done.grants] == [
            ("google", Answer.UNCONFIRMED, False)
        ]
        assert await mentions(redis, "ann") == []

    async def test_tokens_that_no_key_opens_are_said_to_be_unreadable(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ben", "google")
        await redis.set(names.tokens("ann", "google"), "gAAAA-junk")
        done = await manager.erase(redis, "ann")
        assert [g.answer for g in done.grants] == [Answer.UNREADABLE]
        assert await mentions(redis, "ann") == []

    async def test_an_access_that_had_ended_is_said_to_be_over(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")
        fake.withdraw()
        token = await manager.get_token("ann", "google", redis)
        assert await manager.renew(redis, "ann", "google", refused=token or "") is None
        done = await manager.erase(redis, "ann")
        assert [(g.answer, g.is_over) for g in done.grants] == [(Answer.ENDED, True)]


class TestUnderWay:
    async def test_a_callback_brings_nothing_back(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        attempt, code = await began(manager, fake, redis, "ann", "google")
        gate = fake.gate("token")
        arriving = asyncio.create_task(manager.complete(redis, attempt, code))
        await gate.reached()
        await manager.erase(redis, "ann")
        gate.open()
        assert await arriving is None
        await manager._tasks.drain()
        assert await mentions(redis, "ann") == []
        assert not [token for token in fake.issued if fake.is_alive(token)]

    async def test_a_callback_over_a_connection_brings_nothing_back(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")
        attempt, code = await began(manager, fake, redis, "ann", "google")
        gate = fake.gate("account")
        arriving = asyncio.create_task(manager.complete(redis, attempt, code))
        await gate.reached()
        await manager.erase(redis, "ann")
        gate.open()
        assert await arriving is None
        await manager._tasks.drain()
        assert await mentions(redis, "ann") == []
        assert not [token for token in fake.issued if fake.is_alive(token)]

    async def test_another_account_that_comes_back_is_not_put_aside(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")
        attempt, code = await began(manager, fake, redis, "ann", "google")
        fake.account = {"sub": "43", "email": "lisa@example.org"}
        gate = fake.gate("account")
        arriving = asyncio.create_task(manager.complete(redis, attempt, code))
        await gate.reached()
        await manager.erase(redis, "ann")
        gate.open()
        assert await arriving is None
        await manager._tasks.drain()
        assert await mentions(redis, "ann") == []
        assert not [token for token in fake.issued if fake.is_alive(token)]

    async def test_a_refresh_brings_nothing_back(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "ann", "google")
        token = await manager.get_token("ann", "google", redis)
        gate = fake.gate("token")
        renewing = asyncio.create_task(manager.renew(redis, "ann", "google", refused=token or ""))
        await gate.reached()
        await manager.erase(redis, "ann")
        gate.open()
        assert await renewing is None
        await manager._tasks.drain()
        assert await mentions(redis, "ann") == []

    async def test_one_whose_answer_was_lost_brings_nothing_back(
        self, manager: OAuthManager, fake: FakeProvider, client: Any, redis: Redis
    ) -> None:
        wired, wire = client
        attempt, code = await began(manager, fake, redis, "ann", "google")

        async def erase_first() -> None:
            await manager.erase(redis, "ann")

        wire.ahead[b"GETDEL"] = erase_first
        wire.lost_answers[b"GETDEL"] = 1
        assert await manager.complete(wired, attempt, code) is None
        await manager._tasks.drain()
        assert await mentions(redis, "ann") == []


class TestKilled:
    @pytest.mark.parametrize("steps", range(1, 40, 5))
    async def test_one_that_was_killed_is_finished_by_the_next(
        self, office: Place, client: Any, redis: Redis, steps: int
    ) -> None:
        wired, wire = client
        ann = await office.signed_in("ann-lee")
        for provider in ("github", "google"):
            await office.connect(ann, provider)
        wire.dies_after = steps
        with suppress(StoreUnavailable):
            await erase(office.settings, office.bot, wired, "ann-lee", "command")
        await office.bot._tasks.drain()
        await erased(office, "ann-lee")
        assert await mentions(redis, "ann-lee") == []
        assert not [token for token in office.fake.issued if office.fake.is_alive(token)]
        (line,) = await records(redis)
        assert (line["action"], "unconfirmed" in line["result"]) == ("erased", False)
