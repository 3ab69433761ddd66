"""A person's timeline: what happened to them and what support did, page by page."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    BASE_URL,
    KEY,
    NO_REDIS,
    OTHER_KEY,
    connected,
    manager_for,
)
from tests.kit.redis_fleets import one_url
from tests.kit.redis_wire import Wire
from tests.kit.site_fixtures import Place, commands
from webui.oauth_manager import (
    AuditRecord,
    Event,
    LinkRequest,
    OAuthManager,
    StoreUnavailable,
)
from webui.oauth_manager.journal.activity import KEPT_SECONDS, PAGE
from webui.oauth_manager.journal.audit import OWN_KINDS
from webui.oauth_manager.storage.sealer import Sealer

pytestmark = pytest.mark.anyio

EVENTS = "stargazer:oauth_events:ann"
COPIES = "stargazer:oauth_audit:ann"
NOW_MS = int(time.time() * 1000)

# What is asked for: the kinds, and what may be found, newest first.
EVERYTHING = [f"{stream}{at}" for at in range(40, -1, -1) for stream in "es"]
EVEN = [f"e{at}" for at in range(40, -1, -2)]
WANTED: dict[str, tuple[list[str], list[str]]] = {
    "everything": ([], EVERYTHING),
    "even": (EVEN, EVEN),
    "support": (["support_viewed"], [name for name in EVERYTHING if name[0] == "s"]),
}


@pytest.fixture
def manager() -> OAuthManager:
    return OAuthManager(KEY, BASE_URL)


def event_entry(kind: str, provider: str = "github", key: str = KEY) -> Any:
    details = {"event": kind, "by": "web", "at": 5.0, "detail": "", "account": ""}
    return {"sealed": Sealer(key).seal("event", "ann", provider, details)}


def copy_entry(action: str, provider: str = "") -> Any:
    return {"record": json.dumps({"action": action, "provider": provider, "at": 5.0})}


async def happened(redis: Redis, events: Iterable[int], copies: Iterable[int] = ()) -> None:
    """Events and copies of support's records, so many milliseconds after a moment.

    Each is named after it: e7, and s7 in the place of a provider.
    """
    async with redis.pipeline(transaction=False) as pipe:
        for at in sorted(events):
            pipe.xadd(EVENTS, event_entry(f"e{at}"), id=f"{NOW_MS + at}-0")
        for at in sorted(copies):
            pipe.xadd(COPIES, copy_entry("viewed", f"s{at}"), id=f"{NOW_MS + at}-0")
        await pipe.execute()


def names(events: Iterable[Event]) -> list[str]:
    return [event.provider if event.by == "support" else event.kind for event in events]


async def all_pages(read: Any) -> list[list[str]]:
    """Every page, asked for as a person does: with what the one before said."""
    pages, before = [], ""
    while True:
        page = await read(before)
        pages.append(names(page.events))
        if not page.older:
            return pages
        before = page.older


def joined(pages: list[list[str]]) -> list[str]:
    return [name for page in pages for name in page]


class TestPages:
    async def test_are_of_25_newest_first(self, manager: OAuthManager, redis: Redis) -> None:
        await happened(redis, range(60))
        pages = await all_pages(partial(manager.activity, redis, "ann"))
        assert [len(page) for page in pages] == [PAGE, PAGE, 10]
        assert joined(pages) == [f"e{at}" for at in reversed(range(60))]

    async def test_that_are_just_full_have_no_empty_one_behind_them(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await happened(redis, range(PAGE))
        assert (await manager.activity(redis, "ann")).older == ""

    async def test_go_on_after_the_last_entry_shown(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await happened(redis, range(60))
        first = await manager.activity(redis, "ann")
        assert first.older == f"{NOW_MS + 35}-0"
        await redis.xadd(EVENTS, event_entry("new"), id=f"{NOW_MS + 100}-0")
        assert names((await manager.activity(redis, "ann", first.older)).events)[0] == "e34"

    @pytest.mark.parametrize(
        "before",
        [
            "",
            "x",
            "0",
            "1-",
            "-1",
            "(5-0",
            "5-0 ",
            "9" * 16 + "-0",
            "+",
            "\0",
            "٣-٣",
            "0-0",
            "000-00",
        ],
    )
    async def test_asked_for_with_nonsense_are_the_first(
        self, manager: OAuthManager, redis: Redis, before: str
    ) -> None:
        await happened(redis, range(3))
        assert names((await manager.activity(redis, "ann", before)).events)[0] == "e2"

    async def test_pass_over_what_cannot_be_read(self, manager: OAuthManager, redis: Redis) -> None:
        await happened(redis, [1], [50])
        for number in range(2, 42):
            await redis.xadd(EVENTS, event_entry("x", key=OTHER_KEY), id=f"{NOW_MS + number}-0")
        await happened(redis, [100])
        await redis.xadd(COPIES, copy_entry("searched"), id=f"{NOW_MS + 60}-0")
        await redis.xadd(COPIES, {"other": "field"}, id=f"{NOW_MS + 61}-0")
        page = await manager.activity(redis, "ann")
        assert names(page.events) == ["e100", "s50", "e1"]
        assert page.older == ""

    async def test_end_where_the_time_that_is_kept_ends(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await happened(redis, [-KEPT_SECONDS * 1000 - 5000, 5], [-KEPT_SECONDS * 1000 - 4000, 4])
        assert names((await manager.activity(redis, "ann")).events) == ["e5", "s4"]

    async def test_are_the_same_for_a_client_that_decodes(
        self, manager: OAuthManager, redis: Redis, redis_url: str
    ) -> None:
        await happened(redis, range(0, 60, 2), range(1, 60, 2))
        async with Redis.from_url(one_url(redis_url), decode_responses=True) as decoding:
            pages = await all_pages(partial(manager.activity, decoding, "ann"))
        assert pages == await all_pages(partial(manager.activity, redis, "ann"))

    async def test_cost_one_round_trip_and_only_read(
        self, manager: OAuthManager, redis: Redis, client: tuple[Redis, Wire]
    ) -> None:
        await happened(redis, range(0, 200, 2), range(0, 200, 3))
        async with commands(redis) as seen:
            await manager.activity(client[0], "ann")
        assert client[1].round_trips == 1
        # A script that reads the list, or else the stream.
        reads = ["EVAL", "LRANGE", "XREVRANGE", "XREVRANGE"]
        assert [line.split()[0] for line in seen] == reads

    async def test_of_somebody_else_are_their_own(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await happened(redis, range(3), range(3))
        assert (await manager.activity(redis, "ben")).events == ()


class TestWhatSupportDid:
    @pytest.mark.parametrize(("action", "kind"), OWN_KINDS.items())
    async def test_is_seen_by_the_person_without_who_and_why(
        self, manager: OAuthManager, redis: Redis, action: str, kind: str
    ) -> None:
        why = "she says ticket 4411 is hers"
        record = AuditRecord("carol", "sso", action, "ann", "github", why, at=5.0)
        await manager.audit.write(redis, record)
        (event,) = (await manager.activity(redis, "ann")).events
        assert event == Event(kind, "github", "support", 5.0)
        assert "carol" not in repr(event)
        assert "4411" not in repr(event)

    async def test_names_the_ticket_if_the_reason_is_nothing_else(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        record = AuditRecord("carol", "sso", "viewed", "ann", "", "Ticket  #4411", at=5.0)
        await manager.audit.write(redis, record)
        (event,) = (await manager.activity(redis, "ann")).events
        assert event == Event("support_viewed", "", "support", 5.0, ticket="4411")

    async def test_an_event_keeps_the_account_before(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        switched = Event("account_switched", "github", "web", 5.0, account="hubert", was="mona")
        await manager.record(redis, "ann", switched)
        assert (await manager.activity(redis, "ann")).events[0] == switched

    async def test_stands_between_what_happened_before_and_after(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await happened(redis, [1, 3, 5], [2, 4])
        page = await manager.activity(redis, "ann")
        assert names(page.events) == ["e5", "s4", "e3", "s2", "e1"]

    async def test_at_the_very_same_moment_is_on_the_same_page(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        """The id that a page ends with does not say of which stream it is."""
        await happened(redis, range(26), [1])
        pages = await all_pages(partial(manager.activity, redis, "ann"))
        assert [len(page) for page in pages] == [24, 3]
        assert pages[1] == ["e1", "s1", "e0"]

    @settings(
        max_examples=150,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(
        st.sets(st.integers(0, 40), max_size=30),
        st.sets(st.integers(0, 40), max_size=30),
        st.integers(2, 9),
        st.sampled_from(list(WANTED)),
    )
    async def test_is_never_lost_or_shown_twice_between_pages(
        self, redis: Redis, events: set[int], copies: set[int], size: int, wanted: str
    ) -> None:
        await redis.flushall()
        await happened(redis, events, copies)
        kinds, expected = WANTED[wanted]
        bot = OAuthManager(KEY)
        pages = await all_pages(
            lambda before: bot.activity(redis, "ann", before, kinds=kinds, size=size)
        )
        held = {f"e{at}" for at in events} | {f"s{at}" for at in copies}
        assert joined(pages) == [name for name in expected if name in held]
        assert all(size - 1 <= len(page) <= size for page in pages[:-1])


class TestFilters:
    async def test_read_on_until_a_page_is_full(
        self, manager: OAuthManager, redis: Redis, client: tuple[Redis, Wire]
    ) -> None:
        async with redis.pipeline(transaction=False) as pipe:
            for at in range(1300):
                provider = "google" if at % 40 == 0 else "github"
                pipe.xadd(EVENTS, event_entry(f"e{at}", provider), id=f"{NOW_MS + at}-0")
            await pipe.execute()
        pages = await all_pages(partial(manager.activity, client[0], "ann", provider="google"))
        assert [len(page) for page in pages] == [25, 8]
        assert joined(pages) == [f"e{at}" for at in range(1280, -1, -40)]
        assert client[1].round_trips <= 6

    async def test_by_provider_and_by_kind_go_together(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        for kind in ("connected", "used"):
            for provider in ("github", "google"):
                await manager.record(redis, "ann", Event(kind, provider, "web", time.time()))
        await manager.audit.write(redis, AuditRecord("c", "sso", "checked", "ann", "google"))

        async def found(**asked: Any) -> set[tuple[str, str]]:
            page = await manager.activity(redis, "ann", **asked)
            return {(event.kind, event.provider) for event in page.events}

        google = {("connected", "google"), ("used", "google"), ("support_checked", "google")}
        assert await found(provider="google") == google
        assert await found(kinds={"used"}) == {("used", "google"), ("used", "github")}
        asked = ["used", "support_checked"]
        assert await found(provider="github", kinds=asked) == {("used", "github")}
        assert await found(provider="nope") == set()


MADE = ("link_made", "github", "chat")


class TestLinks:
    """Nobody knows who used or declined a link: anyone who holds it may do that."""

    async def kinds(self, place: Place) -> list[tuple[str, str, str]]:
        page = await place.bot.activity(place.redis, "ann")
        return [(event.kind, event.provider, event.by) for event in page.events]

    async def test_declined_are_an_event(self, place: Place) -> None:
        code = await place.bot.create_link_code(place.redis, "ann", provider="github")
        await (await place.browser()).post(f"/connect/{code}/decline")
        assert await self.kinds(place) == [("link_cancelled", "github", ""), MADE]

    async def test_refused_to_somebody_else_are_an_event_of_their_owner(self, place: Place) -> None:
        code = await place.bot.create_link_code(place.redis, "ann", provider="github")
        await (await place.signed_in("ben")).post(f"/connect/{code}/start")
        assert await self.kinds(place) == [("link_cancelled", "github", ""), MADE]

    async def test_used_are_an_event_and_declined_afterwards_another(self, place: Place) -> None:
        browser = await place.browser()
        code = await place.bot.create_link_code(place.redis, "ann", provider="github")
        await browser.get(f"/connect/{code}")
        assert await self.kinds(place) == [MADE]
        await browser.post(f"/connect/{code}/start")
        assert await self.kinds(place) == [("link_used", "github", ""), MADE]
        await browser.post("/connect/proof/decline")
        assert await self.kinds(place) == [
            ("link_cancelled", "github", ""),
            ("link_used", "github", ""),
            MADE,
        ]

    async def test_that_come_back_from_the_provider_before_their_proof_are_an_event(
        self, place: Place
    ) -> None:
        url = await place.bot.generate_connect_url("ann", "github", place.redis)
        await (await place.browser()).get(place.fake.authorize(url))
        assert await self.kinds(place) == [("link_used", "github", "")]


class TestWithoutRedis:
    async def test_reading_is_refused_and_writing_goes_to_the_log(
        self,
        manager: OAuthManager,
        client: tuple[Redis, Wire],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        client[1].is_down = True
        with pytest.raises(StoreUnavailable):
            await manager.activity(client[0], "ann")
        await manager.link_used(client[0], LinkRequest("ann", "github"))
        await manager.record(client[0], "ann", Event("connected", "github", "web", 5.0))
        assert "(link_used) could not be written" in caplog.text
        assert "(connected) could not be written" in caplog.text
        with pytest.raises(StoreUnavailable):
            await manager.activity(NO_REDIS, "ann")

    async def test_a_frozen_one_is_given_up(
        self, manager: OAuthManager, client: tuple[Redis, Wire]
    ) -> None:
        client[1].is_frozen = True
        async with asyncio.timeout(20):
            with pytest.raises(StoreUnavailable):
                await manager.activity(client[0], "ann", kinds=["used"])


async def test_the_usual_life_of_a_connection_is_told_once_each(
    fake: FakeProvider, redis: Redis
) -> None:
    manager = manager_for(fake)
    await connected(manager, fake, redis, "ann", "google")
    await connected(manager, fake, redis, "ann", "google")
    fake.withdraw()
    await manager.check(redis, "ann", "google")
    await connected(manager, fake, redis, "ann", "google")
    await manager.delete_token(redis, "ann", "google", by="web")
    page = await manager.activity(redis, "ann")
    told = Counter(event.kind for event in page.events)
    assert told == {"connected": 1, "reconnected": 2, "access_ended": 1, "disconnected": 1}
    assert {event.by for event in page.events} == {"provider", "web"}
    await manager.aclose()
