"""Looks of support: who may, how often, and what each leaves behind."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from redis.asyncio import Redis

from tests.kit.site_fixtures import FROM_OUR_PAGE, HTMX, Browser, Place, commands, heading, site_at
from tests.kit.standings import OUTSIDERS, STRANGERS, shape, support_site
from tests.kit.support_fixtures import AUDIT, own_copies, records
from webui.rate_limits import LOOKUPS
from webui.routes import routes
from webui.text import words

pytestmark = pytest.mark.anyio

WHY = "reason=ticket+4411"
PERSON = f"/support/people/mona?{WHY}"
LOOKS = {
    "search": f"/support?q=mona&{WHY}",
    "account": f"/support?q=mona.lisa%40example.org&{WHY}",
    "reference": f"/support?q=KT49WX&{WHY}",
    "person": PERSON,
    "timeline": f"{PERSON}&service=github&kind=used&before=99999999999999-0",
    "preview": f"/support/people/mona/preview?{WHY}",
}
# A search for one person leads to their page, which is a look of its own.
LED_ON = {LOOKS["search"]}
EVERY_LOOK = pytest.mark.parametrize("path", LOOKS.values(), ids=LOOKS.keys())
WAYS = pytest.mark.parametrize("htmx", [False, True], ids=["page", "fragment"])
READS = {
    *("GET", "MGET", "EXISTS", "HGETALL", "HMGET", "HSCAN"),
    *("LRANGE", "XRANGE", "XREVRANGE", "PING"),
}
GETS = sorted(
    {r.path for r in routes() if r.path.startswith("/support") and "GET" in (r.methods or ())}
)
POSTS = sorted(
    {r.path for r in routes() if r.path.startswith("/support") and "POST" in (r.methods or ())}
)


def filled(path: str) -> str:
    return f"{path.replace('{user_id}', 'mona')}?q=ghost&provider=github&{WHY}"


def status_of(path: str, *, htmx: bool = False) -> int:
    return 303 if path in LED_ON and not htmx else 200


async def everything(redis: Redis) -> dict[bytes, bytes | None]:
    return {key: await redis.dump(key) for key in sorted([key async for key in redis.scan_iter()])}


@pytest.fixture(params=OUTSIDERS)
async def outsider(
    request: pytest.FixtureRequest, redis_url: str, office: Place
) -> AsyncIterator[Browser]:
    """Whoever is signed in and not of support, in every guise, where mona has connections."""
    async with support_site(redis_url, office.redis) as place:
        yield await OUTSIDERS[request.param](place)


@pytest.fixture(params=STRANGERS)
async def stranger(
    request: pytest.FixtureRequest, redis_url: str, office: Place
) -> AsyncIterator[Browser]:
    """Whoever is not signed in, in every guise, where mona has connections."""
    async with support_site(redis_url, office.redis) as place:
        yield await STRANGERS[request.param](place)


def next_page(path: str) -> str:
    """Return the address that somebody is back at after signing in."""
    is_kept = path in ("/support", "/support/overview", "/support/people/{user_id}")
    return path.replace("{user_id}", "mona") if is_kept else "/support"


class TestWhoeverIsNotSignedIn:
    async def test_is_led_to_signing_in_and_back(self, stranger: Browser) -> None:
        for path in GETS:
            answer = await stranger.get(filled(path))
            assert answer.status_code == 303, path
            assert answer.headers["location"] == f"/signin?next={next_page(path)}"
            again = await stranger.get(filled(path), htmx=True)
            assert again.status_code == 401
            assert again.headers["hx-redirect"] == answer.headers["location"]

    async def test_changes_nothing(self, office: Place, stranger: Browser) -> None:
        before = await office.records()
        for path in POSTS:
            form = {"provider": "github", "reason": "because"}
            answer = await stranger.post(filled(path), form)
            assert answer.headers["location"] == "/signin?next=/support"
        assert await office.records() == before

    async def test_leaves_no_look_and_no_trace_with_the_person(
        self, office: Place, stranger: Browser
    ) -> None:
        for path in LOOKS.values():
            await stranger.get(path)
        assert await records(office.redis) == []
        assert not await office.redis.exists(own_copies("mona"))

    async def test_cannot_tell_who_is_stored_here(self, stranger: Browser) -> None:
        known, unknown = [
            await stranger.get(f"/support/people/{user}?{WHY}") for user in ("mona", "none")
        ]
        headers = [{**answer.headers, "location": ""} for answer in (known, unknown)]
        assert (headers[0], known.text) == (headers[1], unknown.text)

    async def test_is_told_what_the_sign_in_is_for(self, stranger: Browser) -> None:
        answer = await stranger.get("/signin?next=/support")
        assert words.text("signin.lede_support") in answer.text
        assert "Sign in to see your connections." not in answer.text

    async def test_finds_nothing_where_nobody_is_of_support(
        self, redis_url: str, office: Place
    ) -> None:
        async with site_at(redis_url, office.redis) as place:
            answer = await (await place.browser()).get("/support")
        assert answer.status_code == 404


class TestWhoeverIsNotOfSupport:
    @WAYS
    async def test_finds_nothing_at_any_address(
        self,
        office: Place,
        outsider: Browser,
        htmx: bool,
    ) -> None:
        nothing = shape(await outsider.get("/nonsense", htmx=htmx))
        assert nothing[0] == 404
        for path in GETS:
            for address in (path.replace("{user_id}", "mona"), filled(path)):
                answer = await outsider.get(address, htmx=htmx)
                assert shape(answer) == nothing, address
                assert "mona" not in answer.text
        before = await office.records()
        for path in POSTS:
            form = {"provider": "github", "reason": "because"}
            assert shape(await outsider.post(filled(path), form, htmx=htmx)) == nothing, path
        assert await office.records() == before

    async def test_leaves_no_look_and_no_trace_with_the_person(
        self,
        office: Place,
        outsider: Browser,
    ) -> None:
        for path in LOOKS.values():
            await outsider.get(path)
        assert {record["action"] for record in await records(office.redis)} <= {"denied"}
        assert not await office.redis.exists(own_copies("mona"))

    async def test_cannot_tell_who_is_stored_here(self, outsider: Browser) -> None:
        known, unknown = [
            await outsider.get(f"/support/people/{user}?{WHY}") for user in ("mona", "nobody")
        ]
        assert shape(known) == shape(unknown)


class TestStaff:
    @WAYS
    async def test_open_every_page(self, carol: Browser, htmx: bool) -> None:
        for path in GETS:
            answer = await carol.get(filled(path), htmx=htmx)
            assert answer.status_code == 200, path
            assert answer.headers["cache-control"] == "no-store"

    async def test_may_look_themselves_up_and_it_is_on_record(
        self, office: Place, carol: Browser
    ) -> None:
        await office.connect(carol, "github")
        assert (await carol.get(f"/support/people/carol?{WHY}")).status_code == 200
        (record,) = await records(office.redis)
        assert (record["who"], record["whom"], record["action"]) == ("carol", "carol", "viewed")

    async def test_change_nothing_by_looking_whatever_the_method(
        self, office: Place, carol: Browser
    ) -> None:
        before = await everything(office.redis)
        for path in GETS:
            if path in POSTS:
                continue
            for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
                headers = {**FROM_OUR_PAGE, **HTMX}
                answer = await carol.client.request(method, filled(path), headers=headers)
                assert answer.status_code == 405
            assert (await carol.post(filled(path))).status_code in (404, 405)
        kept = await everything(office.redis)
        assert {key for key in kept.keys() | before if kept.get(key) != before.get(key)} <= {
            key for key in kept if key.startswith(b"stargazer:web_")
        }


class TestALook:
    @EVERY_LOOK
    @WAYS
    async def test_writes_its_record_and_nothing_else(
        self,
        office: Place,
        carol: Browser,
        path: str,
        htmx: bool,
    ) -> None:
        calls = dict(office.fake.calls)
        async with commands(office.redis) as seen:
            answer = await carol.get(path, htmx=htmx)
        assert answer.status_code == status_of(path, htmx=htmx)
        writes = [line for line in seen if line.split()[0].upper() not in {*READS, "EVAL"}]
        assert [line.split()[:2] for line in writes if line.split()[1] == AUDIT] == [
            ["XADD", AUDIT]
        ]
        others = [line.split()[:2] for line in writes if line.split()[1] != AUDIT]
        own = own_copies("mona")
        is_seen_by_mona = path.startswith("/support/people")
        assert others == ([["XADD", own], ["EXPIRE", own]] if is_seen_by_mona else [])
        assert office.fake.calls == calls

    @EVERY_LOOK
    async def test_reads_nothing_twice_but_the_count_of_looks_and_the_line_it_adds_to(
        self, office: Place, carol: Browser, path: str
    ) -> None:
        async with commands(office.redis) as seen:
            await carol.get(path)
        counted = (AUDIT, own_copies("mona"))
        what = [
            [line] if line.startswith("EVAL") else line.split()[:2]
            for line in seen
            if line.split()[1] not in counted
        ]
        assert [each for each in what if what.count(each) > 1] == []

    @EVERY_LOOK
    async def test_is_on_record_with_all_there_is_to_it(
        self,
        office: Place,
        carol: Browser,
        path: str,
    ) -> None:
        began = time.time()
        await carol.get(path)
        (record,) = await records(office.redis)
        assert (record["who"], record["via"]) == ("carol", "chat")
        assert record["reason"] == "ticket 4411"
        assert record["result"]
        assert re.fullmatch("[0-9a-f]{16}", record["request_id"])
        assert began <= record["at"] <= time.time()
        if path != LOOKS["reference"] and path != LOOKS["account"]:
            assert record["whom"] == "mona"

    @EVERY_LOOK
    async def test_by_head_leaves_what_get_leaves(
        self,
        office: Place,
        carol: Browser,
        path: str,
    ) -> None:
        answer = await carol.client.head(path)
        assert (answer.status_code, answer.text) == (status_of(path), "")
        assert len(await records(office.redis)) == 1

    @pytest.mark.parametrize("spoilt", [AUDIT, own_copies("mona")], ids=["audit", "copy"])
    async def test_shows_nothing_where_it_cannot_be_recorded(
        self,
        office: Place,
        carol: Browser,
        spoilt: str,
    ) -> None:
        await office.redis.set(spoilt, "no stream")
        for name, path in LOOKS.items():
            if spoilt == AUDIT or name in ("person", "timeline", "preview"):
                for htmx in (False, True):
                    answer = await carol.get(path, htmx=htmx)
                    assert answer.status_code == 503, name
                    assert not re.search("mona|GitHub|Discord", answer.text), name

    async def test_shows_nothing_while_redis_refuses_to_write(
        self, office: Place, carol: Browser
    ) -> None:
        limit = (await office.redis.config_get("maxmemory"))["maxmemory"] or "0"
        await office.redis.config_set("maxmemory", 1)
        try:
            for path in LOOKS.values():
                answer = await carol.get(path)
                assert answer.status_code == 503
                assert not re.search("mona|GitHub|Discord", answer.text)
        finally:
            await office.redis.config_set("maxmemory", limit)

    @pytest.mark.parametrize("path", [LOOKS["person"], LOOKS["preview"], LOOKS["search"]])
    async def test_is_not_made_by_another_site_or_by_loading_ahead(
        self,
        office: Place,
        carol: Browser,
        path: str,
    ) -> None:
        for headers in (
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "none", "sec-purpose": "prefetch;prerender"},
        ):
            answer = await carol.get(path, headers=headers)
            assert answer.status_code == 200
            assert 'id="service-github"' not in answer.text
            assert "person found" not in answer.text
            assert "ticket 4411" in answer.text  # one press, and it is asked here
        assert await records(office.redis) == []

    @pytest.mark.parametrize("reason", ["", "   ", "\r\n", "\u200b", "\u2028.", "-", "x" * 301])
    async def test_needs_a_reason(
        self,
        office: Place,
        carol: Browser,
        reason: str,
    ) -> None:
        async with commands(office.redis) as seen:
            for path in (
                "/support/people/mona?",
                "/support/people/mona/preview?",
                "/support?q=mona&",
            ):
                answer = await carol.get(f"{path}reason={quote(reason)}")
                assert answer.status_code == 422
                assert 'aria-invalid="true"' in answer.text
                assert 'id="service-github"' not in answer.text
            for path in ("/support/people/mona", "/support/people/mona/preview"):
                answer = await carol.get(path)
                asks = words.text("support.ask_title")
                assert (answer.status_code, heading(answer.text)) == (200, asks)
        assert {line.split()[0] for line in seen} <= {"HGETALL"}  # sessions

    async def test_keeps_hostile_text_in_one_record(self, office: Place, carol: Browser) -> None:
        reason = 't\r\n{"who": "eve"}\u2028<script>alert(1)</script>\x1b[2J\u202e'
        answer = await carol.get(f"/support/people/mona?reason={quote(reason)}")
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        redis: Any = office.redis
        ((_, entry),) = await redis.xrange(AUDIT)
        assert set(entry) == {b"record"}
        assert entry[b"record"].isascii()
        assert b"\n" not in entry[b"record"]
        assert json.loads(entry[b"record"])["reason"] == reason.strip()


class TestTooManyLooks:
    MOST = int(LOOKUPS.partition("/")[0])

    async def test_end_in_429_with_one_alert(
        self,
        office: Place,
        carol: Browser,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.ERROR)
        paths = list(LOOKS.values())
        times = 2 * self.MOST
        answers = [await carol.get(paths[n % len(paths)]) for n in range(times)]
        statuses = [answer.status_code for answer in answers]
        looks = [status_of(paths[n % len(paths)]) for n in range(self.MOST)]
        assert statuses == looks + [429] * (times - self.MOST)
        assert 0 < int(answers[-1].headers["retry-after"]) <= 600
        assert 'id="service-github"' not in answers[-1].text
        actions = [record["action"] for record in await records(office.redis)]
        assert len(actions) == self.MOST + 1
        assert actions[-1] == "too_many_lookups"
        assert len([r for r in caplog.records if "looked up more than" in r.getMessage()]) == 1

    async def test_at_the_same_time_are_too_many_as_well(
        self, office: Place, carol: Browser
    ) -> None:
        answers = await asyncio.gather(*(carol.get(PERSON) for _ in range(150)))
        statuses = [answer.status_code for answer in answers]
        assert statuses.count(200) <= self.MOST
        assert set(statuses) <= {200, 429, 503}
        assert 429 in statuses
        actions = [record["action"] for record in await records(office.redis)]
        assert actions.count("too_many_lookups") == 1

    async def test_of_one_leave_the_others_alone(
        self, redis_url: str, office: Place, carol: Browser
    ) -> None:
        for _ in range(self.MOST):
            await carol.get(LOOKS["search"])
        assert (await carol.get(LOOKS["search"])).status_code == 429
        assert (await carol.get("/support")).status_code == 200
        staff = ("carol", "dora")
        async with site_at(redis_url, office.redis, office.fake, support_users=staff) as place:
            dora = await place.signed_in("dora")
            assert (await dora.get(LOOKS["search"])).status_code == 303
