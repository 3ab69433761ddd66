"""The audit record is plain JSON, and reading it writes nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.library import BASE_URL, KEY
from tests.kit.redis_fleets import one_url
from tests.kit.redis_wire import Wire
from tests.kit.site_fixtures import commands
from webui.oauth_manager import AuditRecord, OAuthManager, StoreUnavailable
from webui.oauth_manager.journal.audit import (
    KEPT_SECONDS,
    MAX_REASON,
    OWN_KEPT_SECONDS,
    OWN_KINDS,
    OwnCopy,
    open_copy,
    ticket_of,
)
from webui.oauth_manager.values import replace

pytestmark = pytest.mark.anyio

STREAM = "stargazer:oauth_audit"
OF_ANN = "stargazer:oauth_audit:ann"
VIEWED = AuditRecord("carol", "sso", "viewed", "ann", "", "ticket 4411", "found", "r-1")
UNSEEN = ("searched", "denied", "too_many_lookups", "reference")
HOSTILE = {
    "lines": "one\r\n{}\r\ntwo",
    "NUL": "a\0b",
    "bidi": "\u202eevil\u2066",
    "separators": "\u2028\u2029\x85",
    "surrogate": "\ud800",
    "JSON": '","who":"somebody else"}',
    "10 KB": "x" * 10_240,
}

FOREIGN: dict[str, Any] = {
    "another field": {"other": "field"},
    "nothing": {"record": ""},
    "no JSON": {"record": "not JSON"},
    "brackets": {"record": "[" * 100_000},
    "a list": {"record": '["viewed"]'},
    "too little": {"record": '{"who": "carol"}'},
    "a number": {"record": '{"who": 5, "via": "sso", "action": "viewed", "at": 5.0}'},
    "no time": {"record": '{"who": "c", "via": "sso", "action": "viewed", "at": NaN}'},
    "a time without a year": {"record": '{"who": "c", "via": "s", "action": "v", "at": 1e300}'},
    "no text": {"record": b"\xff\xfe"},
}


@pytest.fixture
def manager() -> OAuthManager:
    return OAuthManager(KEY, BASE_URL)


async def written(redis: Redis, *records: AuditRecord) -> None:
    """Records as they were written at their time, which is the first half of their ids."""
    async with redis.pipeline(transaction=False) as pipe:
        for number, record in enumerate(records):
            entry: Any = {"record": json.dumps(asdict(record))}
            pipe.xadd(STREAM, entry, id=f"{int(record.at * 1000)}-{number + 1}")
        await pipe.execute()


async def only_entry(redis: Redis, key: str) -> Iterable[tuple[bytes, bytes]]:
    """The fields of the one entry of a stream."""
    found: Any = await redis.xrange(key)
    ((_, entry),) = found
    return entry.items()  # type: ignore[no-any-return]


async def kept(manager: OAuthManager, redis: Redis, since: float = 0.0) -> list[AuditRecord]:
    return [record async for record in manager.audit.read(redis, since)]


def looked(who: str, at: float) -> AuditRecord:
    return AuditRecord(who, "sso", "viewed", "ann", at=at)


class TestWriting:
    async def test_a_record_is_read_back_with_the_time_it_was_written(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        before = time.time()
        await manager.audit.write(redis, VIEWED)
        (found,) = await kept(manager, redis)
        assert {**asdict(found), "at": 0.0} == asdict(VIEWED)
        assert before <= found.at <= time.time()

    async def test_a_time_that_is_given_is_kept(self, manager: OAuthManager, redis: Redis) -> None:
        await manager.audit.write(redis, looked("carol", 1000.5))
        assert [record.at for record in await kept(manager, redis)] == [1000.5]

    @pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
    async def test_hostile_text_is_one_entry_of_one_line_in_ascii(
        self, manager: OAuthManager, redis: Redis, text: str
    ) -> None:
        hostile = AuditRecord(text, text, "searched", text, text, text, text, text)
        await manager.audit.write(redis, hostile)
        ((name, line),) = await only_entry(redis, STREAM)
        assert name == b"record"
        assert all(0x20 <= byte < 0x7F for byte in line)
        (found,) = await kept(manager, redis)
        assert found.who == found.whom == text[:255]
        assert found.reason == text[:MAX_REASON]

    async def test_it_costs_one_round_trip_and_writes_nothing_else(
        self, manager: OAuthManager, redis: Redis, client: tuple[Redis, Wire]
    ) -> None:
        async with commands(redis) as seen:
            await manager.audit.write(client[0], VIEWED)
        assert client[1].round_trips == 1
        writes = [line.split()[:2] for line in seen if line.split()[0] != "EVAL"]
        assert writes == [
            ["XADD", STREAM],
            ["XREVRANGE", OF_ANN],
            ["XADD", OF_ANN],
            ["EXPIRE", OF_ANN],
        ]

    async def test_what_is_older_than_its_time_goes_with_the_next_write(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        long_ago = time.time() - KEPT_SECONDS - 60
        await written(redis, *(looked("carol", long_ago) for _ in range(300)))
        await manager.audit.write(redis, VIEWED)
        assert await redis.xlen(STREAM) <= 100
        assert VIEWED.request_id in [record.request_id for record in await kept(manager, redis)]


async def copies(redis: Any) -> list[OwnCopy]:
    """Return the copies that ann is shown."""
    entries = [open_copy(fields) for _, fields in await redis.xrange(OF_ANN)]
    assert all(entries)
    return [copy for copy in entries if copy]


class TestThePersonsCopy:
    @pytest.mark.parametrize("action", OWN_KINDS)
    async def test_says_what_was_done_and_when_and_neither_who_nor_why(
        self, manager: OAuthManager, redis: Redis, action: str
    ) -> None:
        record = AuditRecord("carol", "sso", action, "ann", "github", "why", "done", "r-1", 5.0)
        await manager.audit.write(redis, record)
        entry = dict(await only_entry(redis, OF_ANN))
        assert set(entry) == {b"record", b"group", b"since", b"count"}
        line = json.loads(entry[b"record"])
        assert line == {"action": action, "provider": "github", "at": 5.0}
        stored = repr(entry)
        assert not any(word in stored for word in ("carol", "why", "r-1", "sso"))

    @pytest.mark.parametrize(
        ("reason", "ticket"),
        [
            ("4711", "4711"),
            ("ticket 4711", "4711"),
            (" Ticket:  #4711 ", "4711"),
            ("case 12", "12"),
            ("abc-12", "ABC-12"),
            ("ticket ABC-12", "ABC-12"),
            ("ticket 4711 about fraud", ""),
            ("fraud", ""),
            ("fraud 4711", ""),
            ("2026-11-27", ""),
            ("mona-4711x", ""),
            ("4711 4712", ""),
            ("1234567890", ""),
            ("\u0664\u0662\u0663", ""),
            ("\u212a-12", ""),
        ],
    )
    def test_names_a_ticket_only_if_the_reason_is_its_number_alone(
        self, reason: str, ticket: str
    ) -> None:
        assert ticket_of(reason) == ticket

    @pytest.mark.parametrize("action", UNSEEN)
    async def test_is_not_made_of_what_shows_and_does_nothing(
        self, manager: OAuthManager, redis: Redis, action: str
    ) -> None:
        await manager.audit.write(redis, AuditRecord("carol", "sso", action, "ann"))
        assert not await redis.exists(OF_ANN)
        assert len(await kept(manager, redis)) == 1

    async def test_is_made_of_the_beginning_and_not_again_of_what_came_of_it(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        record = AuditRecord("carol", "sso", "checked", "ann", "github", "why")
        await manager.audit.write(redis, record)
        after = replace(record, result="working")
        await manager.audit.write(redis, after, has_begun_before=True)
        assert [found.result for found in await kept(manager, redis)] == ["", "working"]
        assert await redis.xlen(OF_ANN) == 1

    async def test_of_looks_for_one_reason_within_an_hour_is_one_line_with_a_count(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        for reason in ("ticket 4411", "Ticket  4411", "ticket 4411", "another"):
            for action in ("viewed", "previewed"):
                looked_at = AuditRecord("carol", "sso", action, "ann", "", reason)
                await manager.audit.write(redis, looked_at)
        assert len(await kept(manager, redis)) == 8
        assert sorted(copy.count for copy in await copies(redis)) == [2, 6]

    async def test_of_looks_an_hour_after_the_first_is_a_new_line(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await manager.audit.write(redis, VIEWED)
        stream: Any = redis
        ((identifier, entry),) = await stream.xrange(OF_ANN)
        await redis.delete(OF_ANN)
        old = {**entry, b"since": str(int(entry[b"since"]) - 3_600_001)}
        await redis.xadd(OF_ANN, old, id=identifier)
        await manager.audit.write(redis, VIEWED)
        assert [copy.count for copy in await copies(redis)] == [1, 1]

    async def test_of_things_done_is_a_line_each(self, manager: OAuthManager, redis: Redis) -> None:
        for number in range(3):
            done = AuditRecord("carol", "sso", "checked", "ann", "github", "why", "", f"r-{number}")
            await manager.audit.write(redis, done)
        assert [copy.count for copy in await copies(redis)] == [1, 1, 1]

    async def test_of_looks_at_the_same_time_is_one_line(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await asyncio.gather(*(manager.audit.write(redis, VIEWED) for _ in range(30)))
        assert [copy.count for copy in await copies(redis)] == [30]

    async def test_of_an_earlier_version_is_read_and_left_alone(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        own = {"action": "viewed", "provider": "", "at": time.time()}
        await redis.xadd(OF_ANN, {"record": json.dumps(own)})
        await manager.audit.write(redis, VIEWED)
        assert [copy.count for copy in await copies(redis)] == [1, 1]

    async def test_runs_out(self, manager: OAuthManager, redis: Redis) -> None:
        await manager.audit.write(redis, VIEWED)
        assert 0 < await redis.ttl(OF_ANN) <= OWN_KEPT_SECONDS
        assert await redis.ttl(STREAM) == -1

    async def test_of_nobody_who_can_be_is_an_error_and_nothing_is_written(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        with pytest.raises(ValueError, match="user id"):
            await manager.audit.write(redis, AuditRecord("carol", "sso", "viewed", "a\nb"))
        assert not await redis.exists(STREAM)


class TestLookups:
    async def test_of_one_person_in_that_time_are_told_newest_first(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        now = time.time()
        ago = [looked("carol", now - seconds) for seconds in (4000, 3500, 20, 10)]
        await written(redis, *ago[:2], looked("dan", now - 30), *ago[2:])
        found = await manager.audit.lookups(redis, "carol", 3600)
        assert found == [now - 10, now - 20, now - 3500]
        assert await manager.audit.lookups(redis, "dan", 3600) == [now - 30]
        assert await manager.audit.lookups(redis, "nobody", 3600) == []

    async def test_are_searches_views_previews_and_references(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        for action in (*UNSEEN, *OWN_KINDS):
            await manager.audit.write(redis, AuditRecord("carol", "sso", action, "ann"))
        assert len(await manager.audit.lookups(redis, "carol", 3600)) == 4

    async def test_are_counted_however_many_there_are(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        at = time.time() - 5
        await written(redis, *(looked("carol" if n % 2 else "dan", at) for n in range(1001)))
        assert len(await manager.audit.lookups(redis, "carol", 3600)) == 500
        assert len(await manager.audit.lookups(redis, "dan", 3600)) == 501

    async def test_are_read_and_nothing_is_written(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await manager.audit.write(redis, VIEWED)
        async with commands(redis) as seen:
            await manager.audit.lookups(redis, "carol", 3600)
            await kept(manager, redis)
        assert [line.split()[0] for line in seen] == ["XREVRANGE", "XRANGE"]


class TestReading:
    async def test_is_oldest_first_from_a_moment_on_across_chunks(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        records = [looked(f"c{n}", 1000.0 + n) for n in range(1200)]
        await written(redis, *records)
        assert await kept(manager, redis) == records
        assert await kept(manager, redis, 1100.0) == records[100:]
        assert await kept(manager, redis, -5.0) == records
        assert await kept(manager, redis, 4e9) == []

    @pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN.keys())
    async def test_passes_over_what_is_not_ours(
        self, manager: OAuthManager, redis: Redis, foreign: Any
    ) -> None:
        await redis.xadd(STREAM, foreign)
        await manager.audit.write(redis, VIEWED)
        assert [record.who for record in await kept(manager, redis)] == ["carol"]
        assert len(await manager.audit.lookups(redis, "carol", 3600)) == 1

    async def test_takes_a_field_more_for_granted(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        """A later version's."""
        record = {**asdict(looked("carol", 5.0)), "from_later": [1]}
        await redis.xadd(STREAM, {"record": json.dumps(record)}, id="5000-1")
        assert await kept(manager, redis) == [looked("carol", 5.0)]

    async def test_works_with_a_client_that_decodes(
        self, manager: OAuthManager, redis: Redis, redis_url: str
    ) -> None:
        await manager.audit.write(redis, VIEWED)
        async with Redis.from_url(one_url(redis_url), decode_responses=True) as client:
            assert [record.who for record in await kept(manager, client)] == ["carol"]
            assert len(await manager.audit.lookups(client, "carol", 60)) == 1


class TestWithoutRedis:
    async def refused(self, manager: OAuthManager, client: Redis) -> None:
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: manager.audit.write(client, VIEWED),
            lambda: manager.audit.lookups(client, "carol", 60),
            lambda: kept(manager, client),
        ]
        results = await asyncio.gather(*(call() for call in calls), return_exceptions=True)
        assert [type(result) for result in results] == [StoreUnavailable] * len(calls)

    async def test_every_call_says_so(
        self, manager: OAuthManager, redis: Redis, client: tuple[Redis, Wire]
    ) -> None:
        client[1].is_down = True
        await self.refused(manager, client[0])
        assert not await redis.exists(STREAM)

    async def test_a_frozen_one_is_given_up(
        self, manager: OAuthManager, client: tuple[Redis, Wire]
    ) -> None:
        client[1].is_frozen = True
        async with asyncio.timeout(20):
            await self.refused(manager, client[0])

    async def test_a_lost_answer_is_a_failure_although_the_record_is_there(
        self, manager: OAuthManager, redis: Redis, client: tuple[Redis, Wire]
    ) -> None:
        """The next try leaves it a second time; better twice than not at all."""
        client[1].lost_answers[b"oauth_audit"] = 1
        with pytest.raises(StoreUnavailable):
            await manager.audit.write(client[0], VIEWED)
        await manager.audit.write(client[0], VIEWED)
        assert len(await kept(manager, redis)) == 2

    @pytest.mark.parametrize("key", [STREAM, OF_ANN])
    async def test_a_stream_that_cannot_be_written_is_a_failure(
        self, manager: OAuthManager, redis: Redis, key: str
    ) -> None:
        await redis.set(key, "in the way")
        with pytest.raises(StoreUnavailable):
            await manager.audit.write(redis, VIEWED)
