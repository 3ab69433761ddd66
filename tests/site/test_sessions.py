"""Sessions: what a cookie can and cannot do, on a real Redis."""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.kit.clock import FakeClock
from tests.kit.site_fixtures import commands as sent
from webui.oauth_manager.errors import StoreUnavailable
from webui.oauth_manager.storage import Clock, keys
from webui.redis_client import connect
from webui.sessions.index import LIFE_SECONDS, MOST
from webui.sessions.note import Note
from webui.sessions.sessions import (
    IDLE_SECONDS,
    STAFF_LIFE_SECONDS,
    Session,
    Sessions,
    loaded_session,
)
from webui.sessions.signed_cookie import SessionCookie
from webui.settings.settings import Settings

pytestmark = pytest.mark.anyio

SECRET = "kX9wq2-mTzR7_pL4vB8nC1yH6jD3fG5s"
NEWER_SECRET = "Zt5hW0-qLb3N_xE7rV2sK9uJ4cA8mP6d"
KEYS = "stargazer:web_session:*"


def settings(base_url: str = "https://connect.test", *secrets: str) -> Settings:
    return Settings(
        base_url=base_url,
        redis_url="unix:///unused",
        encryption_keys=(),
        session_secrets=secrets or (SECRET,),
    )


def request(*cookies: str) -> Request:
    headers = [(b"cookie", cookie.encode("latin-1")) for cookie in cookies]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers})


def set_cookie(request: Request) -> str:
    """Return the cookie that the browser is told, or ""."""
    return "".join(request.scope.get("webui.session_cookies", {}).values())


def cookie(request: Request) -> str:
    """``name=value`` as the browser sends it back."""
    return set_cookie(request).partition(";")[0]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sessions(redis: Redis, clock: FakeClock) -> Sessions:
    return Sessions(redis, settings(), clock)


@pytest.fixture
def staff_sessions(redis: Redis, clock: FakeClock) -> Sessions:
    return Sessions(redis, settings(), clock, "staff")


@pytest.fixture
async def signed_in(sessions: Sessions) -> str:
    """The cookie of a browser that is signed in as ann."""
    browser = request()
    await sessions.start(browser, "ann")
    return cookie(browser)


@pytest.fixture
async def key(redis: Redis, signed_in: str) -> bytes:
    (only,) = await redis.keys(KEYS)
    assert isinstance(only, bytes)
    return only


class TestASession:
    async def test_is_found_again_by_its_cookie(self, sessions: Sessions, signed_in: str) -> None:
        session = await sessions.load(request(signed_in))
        assert session is not None
        assert session.user == "ann"
        assert session.notes == {}

    async def test_is_found_among_other_cookies(self, sessions: Sessions, signed_in: str) -> None:
        assert await sessions.load(request(f"a=b; {signed_in};session=x", "c=d")) is not None

    async def test_is_read_and_renewed_once_per_request(
        self, redis: Redis, sessions: Sessions, signed_in: str
    ) -> None:
        browser = request(signed_in)
        before = await commands(redis)
        await sessions.load(browser)
        await sessions.load(browser)
        assert await commands(redis) - before == {"hgetall": 1, "expire": 1}

    async def test_of_nobody_asks_redis_nothing(self, redis: Redis, sessions: Sessions) -> None:
        before = await commands(redis)
        assert await sessions.load(request()) is None
        assert await sessions.load(request("__Host-session=junk")) is None
        assert await commands(redis) == before

    async def test_ends_after_twelve_idle_hours(
        self, redis: Redis, sessions: Sessions, signed_in: str, key: bytes
    ) -> None:
        assert 0 < await redis.ttl(key) <= IDLE_SECONDS == 12 * 3600
        await redis.expire(key, 100)
        await sessions.load(request(signed_in))
        assert await redis.ttl(key) > 100

    async def test_ends_after_seven_days_however_busy(
        self, clock: FakeClock, sessions: Sessions, signed_in: str
    ) -> None:
        clock.advance(LIFE_SECONDS - 60)
        assert await sessions.load(request(signed_in)) is not None
        clock.advance(60)
        assert await sessions.load(request(signed_in)) is None
        assert LIFE_SECONDS == 7 * 24 * 3600

    async def test_of_a_process_whose_clock_is_ahead_is_good(
        self, clock: FakeClock, sessions: Sessions, signed_in: str
    ) -> None:
        clock.advance(-300)
        assert await sessions.load(request(signed_in)) is not None

    async def test_ended_is_over_for_every_copy_of_the_cookie(
        self, redis: Redis, sessions: Sessions, signed_in: str
    ) -> None:
        browser = request(signed_in)
        await sessions.end(browser)
        assert "Max-Age=0" in set_cookie(browser)
        assert await sessions.load(browser) is None
        assert await sessions.load(request(signed_in)) is None
        assert await redis.keys(KEYS) == []

    async def test_gets_a_new_id_at_every_sign_in_and_the_old_one_dies(
        self, redis: Redis, sessions: Sessions, signed_in: str
    ) -> None:
        browser = request(signed_in)
        await sessions.start(browser, "bob")
        assert cookie(browser) != signed_in
        assert await sessions.load(request(signed_in)) is None
        now = await sessions.load(request(cookie(browser)))
        assert now is not None
        assert now.user == "bob"
        assert len(await redis.keys(KEYS)) == 1

    async def test_never_takes_over_an_id_that_a_browser_brought(self, sessions: Sessions) -> None:
        browser = request("__Host-session=" + "A" * 43 + "." + "B" * 43)
        await sessions.start(browser, "ann")
        assert "A" * 43 not in set_cookie(browser)

    async def test_has_a_binding_of_its_own_that_stays(
        self, sessions: Sessions, signed_in: str
    ) -> None:
        first, again = [await sessions.load(request(signed_in)) for _ in range(2)]
        other = await sessions.start(request(), "ann")
        assert first is not None
        assert again is not None
        assert first.binding == again.binding != other.binding
        assert len(bytes.fromhex(first.binding)) == 32

    async def test_shows_its_id_to_nobody(
        self, redis: Redis, sessions: Sessions, signed_in: str
    ) -> None:
        session = await sessions.load(request(signed_in))
        session_id = signed_in.partition("=")[2].partition(".")[0]
        (stored,) = await redis.keys(KEYS)
        assert session is not None
        assert stored == f"stargazer:web_session:{sha256(session_id.encode()).hexdigest()}".encode()
        assert session_id not in session.redis_key + session.binding
        shown = repr(session) + repr(sessions)
        for secret in (session_id, session.binding, session.redis_key, SECRET):
            assert secret not in shown


class TestNotes:
    async def test_are_there_for_each_service(self, sessions: Sessions, signed_in: str) -> None:
        session = await loaded(sessions, signed_in)
        await sessions.put_note(session, "github", Note("connected", ref="r1", at=12.5))
        await sessions.put_note(session, "google", Note("denied"))
        notes = (await loaded(sessions, signed_in)).notes
        assert notes["github"] == Note("connected", "r1", 12.5)
        assert notes["google"].at > 0
        assert set(notes) == {"github", "google"}

    async def test_of_two_tabs_do_not_overwrite_each_other(
        self, sessions: Sessions, signed_in: str
    ) -> None:
        tabs = [await loaded(sessions, signed_in) for _ in range(2)]
        await sessions.put_note(tabs[0], "github", Note("connected"))
        await sessions.put_note(tabs[1], "google", Note("connected"))
        assert set((await loaded(sessions, signed_in)).notes) == {"github", "google"}

    async def test_that_say_less_give_way_to_one_that_came_meanwhile(
        self, redis: Redis, sessions: Sessions, signed_in: str, key: bytes
    ) -> None:
        tabs = [await loaded(sessions, signed_in) for _ in range(2)]
        first = await sessions.put_note(tabs[0], "github", Note("disconnected", at=20.0))
        late = await sessions.put_note_unless_told(tabs[1], "github", Note("late"))
        assert late.notes == first.notes == (await loaded(sessions, signed_in)).notes
        later = await sessions.put_note_unless_told(late, "github", Note("later"))
        assert later.notes["github"].key == "later"
        for junk in (b"", b"{", b"[]", b"1", b'{"at": "x"}', b'{"at": []}'):
            await redis.hset(key, "note:github", junk)
            kept = await sessions.put_note_unless_told(tabs[1], "github", Note("kept"))
            assert kept.notes["github"].key == "kept"

    async def test_take_one_round_trip_each(
        self, redis: Redis, sessions: Sessions, signed_in: str
    ) -> None:
        session = await loaded(sessions, signed_in)
        before = await commands(redis)
        await sessions.put_note(session, "github", Note("connected"))
        assert (await commands(redis) - before)["eval"] == 1

    async def test_do_not_bring_back_a_session_that_has_ended(
        self, redis: Redis, sessions: Sessions, signed_in: str
    ) -> None:
        session = await loaded(sessions, signed_in)
        await sessions.end(request(signed_in))
        await sessions.put_note(session, "github", Note("connected"))
        assert await redis.keys(KEYS) == []

    @pytest.mark.parametrize(
        "junk", [b"", b"{", b"[]", b'{"key": 1}', b'{"key":"a","ref":"","at":"x"}']
    )
    async def test_that_cannot_be_read_are_passed_over(
        self, redis: Redis, sessions: Sessions, signed_in: str, key: bytes, junk: bytes
    ) -> None:
        await redis.hset(key, "note:github", junk)
        assert (await loaded(sessions, signed_in)).notes == {}


class TestTheCookie:
    async def test_on_https_has_every_attribute_and_holds_no_data(self, sessions: Sessions) -> None:
        browser = request()
        await sessions.start(browser, "ann-canary")
        value, *attributes = set_cookie(browser).split("; ")
        assert value.startswith("__Host-session=")
        assert set(attributes) == {
            "HttpOnly",
            f"Max-Age={LIFE_SECONDS}",
            "Path=/",
            "SameSite=Lax",
            "Secure",
        }
        assert "canary" not in value
        assert len(value) < 120

    async def test_on_loopback_http_has_a_plain_name_and_no_secure(self, redis: Redis) -> None:
        browser = request()
        await Sessions(redis, settings("http://127.0.0.1:8000"), Clock()).start(browser, "ann")
        assert set_cookie(browser).startswith("session=")
        assert "Secure" not in set_cookie(browser)
        assert "HttpOnly" in set_cookie(browser)

    async def test_signed_with_an_older_secret_is_good_and_the_newest_signs(
        self, redis: Redis, signed_in: str
    ) -> None:
        both = Sessions(redis, settings("https://connect.test", NEWER_SECRET, SECRET), Clock())
        assert await both.load(request(signed_in)) is not None
        browser = request()
        await both.start(browser, "ann")
        newest = Sessions(redis, settings("https://connect.test", NEWER_SECRET), Clock())
        assert await newest.load(request(cookie(browser))) is not None
        assert await newest.load(request(signed_in)) is None

    async def test_signed_with_an_empty_or_foreign_secret_is_refused(
        self, sessions: Sessions, signed_in: str
    ) -> None:
        session_id = signed_in.partition("=")[2].partition(".")[0]
        for secret in ("", NEWER_SECRET):
            signature = hmac.new(secret.encode(), session_id.encode(), "sha256").hexdigest()[:43]
            assert await sessions.load(request(f"__Host-session={session_id}.{signature}")) is None

    async def test_twice_is_no_session_even_if_both_are_good(
        self, sessions: Sessions, signed_in: str
    ) -> None:
        assert await sessions.load(request(f"{signed_in}; {signed_in}")) is None
        assert await sessions.load(request(signed_in, signed_in)) is None
        assert await sessions.load(request(f"{signed_in}; __Host-session=")) is None

    async def test_that_is_bad_is_taken_back(self, sessions: Sessions, signed_in: str) -> None:
        await sessions.end(request(signed_in))
        for bad in ("__Host-session=junk", f"{signed_in}x", signed_in, "__Host-session="):
            browser = request(bad)
            assert await sessions.load(browser) is None
            assert set_cookie(browser).startswith("__Host-session=; Max-Age=0; ")

    async def test_that_is_good_or_absent_is_left_alone(
        self, sessions: Sessions, signed_in: str
    ) -> None:
        for browser in (request(signed_in), request(), request("other=x")):
            await sessions.load(browser)
            assert set_cookie(browser) == ""

    async def test_of_five_hundred_changes_none_is_a_session(
        self, redis: Redis, signed_in: str
    ) -> None:
        sessions = Sessions(redis, settings(), Clock())
        outcomes = []

        @examples(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            st.integers(0, len(signed_in) - 16).map(lambda at: at + 15),
            st.text(st.characters(max_codepoint=255), max_size=3),
            st.integers(0, 3),
        )
        def change(at: int, text: str, cut: int) -> None:
            changed = signed_in[:at] + text + signed_in[at + cut :]
            if changed.strip().rstrip("; ") != signed_in:
                outcomes.append(changed)

        change()
        for changed in outcomes:
            parts = [part.strip() for part in changed.split(";")]
            if signed_in not in parts:
                assert await sessions.load(request(changed)) is None, changed
        assert len(outcomes) > 300

    @pytest.mark.parametrize("size", [200, 5_000, 1_000_000])
    async def test_that_is_too_long_is_refused(self, sessions: Sessions, size: int) -> None:
        assert await sessions.load(request("__Host-session=" + "A" * size)) is None

    async def test_reaches_the_browser_through_the_middleware(
        self, redis: Redis, sessions: Sessions
    ) -> None:
        async def sign_in(request: Request) -> Response:
            await sessions.start(request, "ann")
            return PlainTextResponse("")

        async def who(request: Request) -> Response:
            session = await sessions.load(request)
            return PlainTextResponse(session.user if session else "nobody")

        app = SessionCookie(Starlette(routes=[Route("/in", sign_in), Route("/who", who)]))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="https://connect.test"
        ) as browser:
            assert (await browser.get("/who")).text == "nobody"
            await browser.get("/in")
            assert (await browser.get("/who")).text == "ann"
            await redis.flushall()
            assert (await browser.get("/who")).text == "nobody"
            assert not browser.cookies


class TestWhatIsStored:
    @pytest.mark.parametrize(
        "fields",
        [
            {"user": None},
            {"created": None},
            {"via": None},
            {"groups": None},
            {"signed_in_at": None},
            {"user": ""},
            {"user": b"\xff"},
            {"created": "nan"},
            {"created": "yesterday"},
            {"signed_in_at": "b"},
            {"via": "magic"},
            {"via": b"\xff"},
            {"groups": "helpdesk"},
            {"groups": '"helpdesk"'},
            {"groups": '{"helpdesk": 1}'},
            {"groups": "[1]"},
            {"groups": "[[" * 2000},
        ],
    )
    async def test_that_is_no_session_signs_nobody_in(
        self,
        redis: Redis,
        sessions: Sessions,
        signed_in: str,
        key: bytes,
        fields: dict[str, str | bytes | None],
    ) -> None:
        assert [await redis.hexists(key, name) for name in fields] == [True]
        for name, value in fields.items():
            await redis.hdel(key, name) if value is None else await redis.hset(key, name, value)
        browser = request(signed_in)
        assert await sessions.load(browser) is None
        assert "Max-Age=0" in set_cookie(browser)

    async def test_under_another_type_signs_nobody_in(
        self, redis: Redis, sessions: Sessions, signed_in: str, key: bytes
    ) -> None:
        await redis.delete(key)
        await redis.lpush(key, "junk")
        assert await sessions.load(request(signed_in)) is None

    async def test_keeps_a_user_id_of_any_script(self, sessions: Sessions) -> None:
        browser = request()
        await sessions.start(browser, "Zoë 你好:*")
        assert (await loaded(sessions, cookie(browser))).user == "Zoë 你好:*"


class TestEndingEverySession:
    async def test_reaches_every_browser_of_that_person_and_nobody_else(
        self, redis: Redis, sessions: Sessions, staff_sessions: Sessions
    ) -> None:
        anns = [await started(sessions, "ann") for _ in range(3)]
        anns_staff = await started(staff_sessions, "ann")
        others = [await started(sessions, user) for user in ("an", "ann2", "ann:*", "Ann", "ben")]
        assert await sessions.end_all("ann") == 4
        for one in anns:
            assert await sessions.load(request(one)) is None
        assert await staff_sessions.load(request(anns_staff)) is None
        for one in others:
            assert await sessions.load(request(one)) is not None
        assert await redis.exists("stargazer:web_sessions:ann") == 0

    async def test_leaves_sessions_that_are_started_afterwards(self, sessions: Sessions) -> None:
        await started(sessions, "ann")
        await sessions.end_all("ann")
        later = await started(sessions, "ann")
        assert await sessions.load(request(later)) is not None
        assert await sessions.end_all("ann") == 1

    async def test_counts_none_that_had_ended_already(
        self, redis: Redis, sessions: Sessions
    ) -> None:
        assert await sessions.end_all("ann") == 0
        first, _ = await started(sessions, "ann"), await started(sessions, "ann")
        await sessions.end(request(first))
        assert await sessions.end_all("ann") == 1
        assert await sessions.end_all("ann") == 0

    async def test_searches_for_nothing(self, redis: Redis, sessions: Sessions) -> None:
        await started(sessions, "ann")
        async with sent(redis) as seen:
            await sessions.end_all("ann")
        assert not [line for line in seen if line.split()[0] in ("KEYS", "SCAN")]

    async def test_ends_one_that_is_being_started_meanwhile(
        self, redis: Redis, sessions: Sessions
    ) -> None:
        """Neither is a session left that lives, nor one that a second time would not find."""
        meanwhile = Meanwhile(redis, lambda: sessions.end_all("ann"))
        browser = request()
        await Sessions(cast(Redis, meanwhile), settings(), Clock()).start(browser, "ann")
        assert meanwhile.was_run
        assert set_cookie(browser).startswith("__Host-session=; Max-Age=0; ")
        assert await sessions.load(browser) is None
        assert await redis.zcard("stargazer:web_sessions:ann") == 0
        for key in await redis.keys(KEYS):
            assert await redis.hgetall(key) == {b"user": b""}
            assert 0 < await redis.ttl(key) <= 60

    async def test_while_many_are_started_leaves_none_that_it_could_not_end(
        self, redis: Redis, sessions: Sessions
    ) -> None:
        async with asyncio.TaskGroup() as group:
            begun = [group.create_task(started(sessions, "ann")) for _ in range(20)]
            for _ in range(5):
                group.create_task(sessions.end_all("ann"))
        await sessions.end_all("ann")
        for one in begun:
            if cookie := one.result():
                assert await sessions.load(request(cookie)) is None

    async def test_that_was_cut_off_can_be_repeated(
        self, redis: Redis, sessions: Sessions, signed_in: str
    ) -> None:
        with pytest.raises(StoreUnavailable):
            await Sessions(cast(Redis, Meanwhile(redis, refuse)), settings(), Clock()).end_all(
                "ann"
            )
        assert await sessions.load(request(signed_in)) is not None
        assert await sessions.end_all("ann") == 1

    async def test_signs_nobody_in_with_what_it_leaves(
        self, redis: Redis, sessions: Sessions, signed_in: str, key: bytes
    ) -> None:
        session = await loaded(sessions, signed_in)
        await sessions.end_all("ann")
        await sessions.put_note(session, "github", Note("connected"))
        browser = request(signed_in)
        assert await sessions.load(browser) is None
        assert set_cookie(browser).startswith("__Host-session=; Max-Age=0; ")
        await sessions.end(request(signed_in))
        assert await redis.keys(KEYS) == []


class TestTheIndex:
    async def test_holds_a_session_until_it_is_signed_out(
        self, redis: Redis, sessions: Sessions, signed_in: str, key: bytes
    ) -> None:
        assert await redis.zrange("stargazer:web_sessions:ann", 0, -1) == [key]
        await sessions.end(request(signed_in))
        assert await redis.exists("stargazer:web_sessions:ann") == 0

    async def test_lets_go_of_the_session_that_a_browser_had_before(
        self, redis: Redis, sessions: Sessions, signed_in: str
    ) -> None:
        await sessions.start(request(signed_in), "bob")
        assert await redis.exists("stargazer:web_sessions:ann") == 0
        assert await redis.zcard("stargazer:web_sessions:bob") == 1

    async def test_forgets_what_has_outlived_itself_and_ends_with_the_last(
        self, redis: Redis, clock: FakeClock, sessions: Sessions
    ) -> None:
        index = "stargazer:web_sessions:ann"
        await started(sessions, "ann")
        clock.advance(60)
        await started(sessions, "ann")
        clock.advance(LIFE_SECONDS - 60)
        await started(sessions, "ann")
        assert await redis.zcard(index) == 2
        assert 0 < await redis.ttl(index) <= LIFE_SECONDS

    async def test_is_bounded_by_ending_the_oldest(
        self,
        redis: Redis,
        clock: FakeClock,
        sessions: Sessions,
        staff_sessions: Sessions,
        signed_in: str,
    ) -> None:
        index = "stargazer:web_sessions:ann"
        later = {f"stargazer:web_session:{n}": clock.now() + n for n in range(1, MOST - 1)}
        await redis.zadd(index, later)
        newer = await started(staff_sessions, "ann")
        assert await sessions.load(request(signed_in)) is not None
        await started(sessions, "ann")
        assert await redis.zcard(index) == MOST
        assert await sessions.load(request(signed_in)) is None
        assert await staff_sessions.load(request(newer)) is not None

    async def test_that_is_full_ends_also_one_that_is_just_being_started(
        self, redis: Redis, sessions: Sessions
    ) -> None:
        """It would live, and stand in no list by which it could be ended."""

        async def overtake() -> None:
            for _ in range(MOST):
                await started(sessions, "ann")

        slow = Sessions(cast(Redis, Meanwhile(redis, overtake)), settings(), Clock())
        assert await started(slow, "ann") == ""
        alive = [
            key
            async for key in redis.scan_iter("stargazer:web_session:*")
            if await redis.hget(key, "user")
        ]
        assert set(alive) == set(await redis.zrange("stargazer:web_sessions:ann", 0, -1))

    @pytest.mark.parametrize("user", ["ann", "a:b", "50%", "Zo\u00eb \u4f60", "a/b", "@x+y=z"])
    async def test_is_named_as_the_library_names_keys(
        self, redis: Redis, sessions: Sessions, user: str
    ) -> None:
        await started(sessions, user)
        named = keys.links(user).replace("oauth_links", "web_sessions").encode()
        assert await redis.keys("stargazer:web_sessions:*") == [named]

    async def test_costs_a_start_two_round_trips_and_a_load_one(
        self, redis: Redis, signed_in: str
    ) -> None:
        counting = Meanwhile(redis, nothing)
        sessions = Sessions(cast(Redis, counting), settings(), Clock())
        browser = request(signed_in)
        await sessions.start(browser, "ann")
        assert counting.executed == 2
        await sessions.load(request(cookie(browser)))
        assert counting.executed == 3


class TestTheSessionOfStaff:
    """A cookie of its own, which is worth nothing under the other name."""

    async def test_keeps_how_they_signed_in(
        self, clock: FakeClock, staff_sessions: Sessions
    ) -> None:
        browser = request()
        then = clock.now() - 60
        await staff_sessions.start(
            browser, "carol", via="sso", groups=("helpdesk", "b, c"), signed_in_at=then
        )
        session = await staff_sessions.load(request(cookie(browser)))
        assert session is not None
        assert (session.user, session.via, session.groups) == ("carol", "sso", ("helpdesk", "b, c"))
        assert session.signed_in_at == then < session.created

    async def test_was_never_signed_in_later_than_now(
        self, clock: FakeClock, staff_sessions: Sessions
    ) -> None:
        ahead = clock.now() + 9999
        session = await staff_sessions.start(request(), "carol", via="sso", signed_in_at=ahead)
        assert session.signed_in_at == session.created

    async def test_lasts_twelve_hours_at_most(
        self, redis: Redis, clock: FakeClock, staff_sessions: Sessions
    ) -> None:
        browser = request()
        session = await staff_sessions.start(browser, "carol", via="sso")
        assert f"Max-Age={STAFF_LIFE_SECONDS};" in set_cookie(browser)
        assert 0 < await redis.ttl(session.redis_key) <= STAFF_LIFE_SECONDS == 12 * 3600
        clock.advance(STAFF_LIFE_SECONDS)
        assert await staff_sessions.load(request(cookie(browser))) is None

    async def test_has_a_cookie_with_every_attribute(self, staff_sessions: Sessions) -> None:
        browser = request()
        await staff_sessions.start(browser, "carol", via="sso")
        assert set_cookie(browser).startswith("__Host-staff=")
        for attribute in ("HttpOnly", "Path=/", "SameSite=Lax", "Secure"):
            assert attribute in set_cookie(browser).split("; ")

    async def test_is_no_persons_session_nor_a_persons_one_of_staff(
        self, sessions: Sessions, staff_sessions: Sessions, signed_in: str
    ) -> None:
        of_staff = await started(staff_sessions, "carol")
        swapped = [of_staff.replace("staff", "session"), signed_in.replace("session", "staff")]
        assert await sessions.load(request(swapped[0])) is None
        assert await staff_sessions.load(request(swapped[1])) is None
        assert await sessions.load(request(of_staff)) is None

    async def test_stands_beside_a_persons_in_one_browser(
        self, sessions: Sessions, staff_sessions: Sessions, signed_in: str
    ) -> None:
        browser = request(signed_in)
        await staff_sessions.start(browser, "carol", via="sso")
        both = request(f"{signed_in}; {cookie(browser)}")
        person, staff = await sessions.load(both), await staff_sessions.load(both)
        assert person is not None
        assert staff is not None
        assert (person.user, staff.user) == ("ann", "carol")
        await staff_sessions.end(both)
        assert await sessions.load(request(signed_in)) is not None

    async def test_begins_under_an_id_that_nobody_knew(self, staff_sessions: Sessions) -> None:
        planted = await started(staff_sessions, "mallory")
        victim = request(planted)
        await staff_sessions.start(victim, "carol", via="sso")
        assert cookie(victim) != planted
        assert await staff_sessions.load(request(planted)) is None

    @pytest.mark.parametrize(
        "junk",
        ["junk", "A" * 43, f"{'A' * 43}.{'B' * 43}", "A" * 5000, "\xff\x00", "{}", "null", ""],
    )
    async def test_of_junk_is_none_and_is_taken_back(
        self, redis: Redis, staff_sessions: Sessions, junk: str
    ) -> None:
        browser = request(f"__Host-staff={junk}")
        assert await staff_sessions.load(browser) is None
        assert set_cookie(browser).startswith("__Host-staff=; Max-Age=0; ")

    async def test_twice_is_none(self, staff_sessions: Sessions) -> None:
        one, other = [await started(staff_sessions, user) for user in ("carol", "dave")]
        assert await staff_sessions.load(request(f"{one}; {other}")) is None


class TestLooking:
    """``renew=False``"""

    async def test_reads_and_changes_nothing(
        self, redis: Redis, sessions: Sessions, signed_in: str, key: bytes
    ) -> None:
        await redis.expire(key, 100)
        async with sent(redis) as seen:
            assert await sessions.load(request(signed_in), renew=False) is not None
        assert [line.split()[0] for line in seen] == ["HGETALL"]
        assert await redis.ttl(key) <= 100

    async def test_takes_no_cookie_back_and_leaves_nothing_to_be_seen(
        self, sessions: Sessions, signed_in: str
    ) -> None:
        for brought in (signed_in, f"{signed_in}x"):
            browser = request(brought)
            await sessions.load(browser, renew=False)
            assert set_cookie(browser) == ""
            assert loaded_session(browser) is None

    async def test_asks_nobody_for_what_is_loaded(
        self, redis: Redis, sessions: Sessions, signed_in: str
    ) -> None:
        browser = request(signed_in)
        session = await sessions.load(browser)
        async with sent(redis) as seen:
            assert await sessions.load(browser, renew=False) is session
        assert seen == []


class TestRedisInTrouble:
    @pytest.fixture
    async def lost(self) -> AsyncIterator[Redis]:
        """A client whose server is not there."""
        async with connect("unix:///nowhere/redis.sock") as client:
            yield client

    async def test_away_is_said_by_every_operation_and_takes_no_cookie_back(
        self, lost: Redis, sessions: Sessions, signed_in: str
    ) -> None:
        away = Sessions(lost, settings(), Clock())
        session = await loaded(sessions, signed_in)
        browser = request(signed_in)
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: away.load(browser),
            lambda: away.start(browser, "ann"),
            lambda: away.end(browser),
            lambda: away.end_all("ann"),
            lambda: away.put_note(session, "github", Note("connected")),
            lambda: away.put_note_unless_told(session, "github", Note("connected")),
            lambda: away.notes_now(session),
        ]
        for call in calls:
            with pytest.raises(StoreUnavailable):
                await call()
        assert set_cookie(browser) == ""

    @pytest.fixture
    async def silent(self, tmp_path: Path) -> AsyncIterator[str]:
        """The address of a server that takes everything and never answers."""
        path = tmp_path / "redis.sock"

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        async with await asyncio.start_unix_server(say_nothing, path):
            yield f"unix://{path}"

    async def test_silent_ends_after_the_deadline(self, silent: str, signed_in: str) -> None:
        async with connect(silent) as client:
            with anyio.fail_after(3), pytest.raises(StoreUnavailable):
                await Sessions(client, settings(), Clock()).load(request(signed_in))

    async def test_read_only_is_trouble_and_not_a_sign_out(
        self, redis: Redis, sessions: Sessions, signed_in: str
    ) -> None:
        await redis.replicaof("127.0.0.1", "1")
        try:
            browser = request(signed_in)
            with pytest.raises(StoreUnavailable, match="ReadOnlyError"):
                await sessions.load(browser)
            assert set_cookie(browser) == ""
        finally:
            await redis.replicaof("NO", "ONE")

    async def test_over_is_over_for_the_client_there_is(self, redis_url: str, redis: Redis) -> None:
        async with connect(redis_url) as client:
            sessions = Sessions(client, settings(), Clock())
            await sessions.start(request(), "ann")
            # As after a restart: the pool holds a connection that the server has closed.
            await redis.client_kill_filter(_type="normal", skipme=True)
            await sessions.start(request(), "ann")

    async def test_never_repeats_a_command(self) -> None:
        async with connect("unix:///nowhere/redis.sock") as client:
            retry = client.connection_pool.connection_kwargs["retry"]
            assert retry.get_retries() == 0


async def commands(redis: Redis) -> Counter[str]:
    """Count the runs of each command, the asking apart."""
    stats = await redis.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): found["calls"] for name, found in stats.items()}
    return Counter({name: count for name, count in calls.items() if name != "info"})


async def started(sessions: Sessions, user: str) -> str:
    """The cookie of a new browser of theirs, ``""`` if the session was ended at once."""
    browser = request()
    await sessions.start(browser, user)
    return "" if "Max-Age=0" in set_cookie(browser) else cookie(browser)


class Meanwhile:
    """A client with which something happens once, between the first round trip and the second."""

    def __init__(self, redis: Redis, happens: Callable[[], Awaitable[object]]) -> None:
        self.redis = redis
        self.happens = happens
        self.was_run = False
        self.executed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.redis, name)

    def pipeline(self, transaction: bool = True) -> Any:
        pipeline = self.redis.pipeline(transaction)
        execute = pipeline.execute

        async def run(raise_on_error: bool = True) -> Any:
            self.executed += 1
            if self.happens is refuse:
                await refuse()
            answers = await execute(raise_on_error)
            if not self.was_run:
                self.was_run = True
                await self.happens()
            return answers

        pipeline.execute = run  # type: ignore[method-assign]
        return pipeline


async def refuse() -> None:
    raise RedisConnectionError


async def nothing() -> None:
    pass


async def loaded(sessions: Sessions, cookie: str) -> Session:
    session = await sessions.load(request(cookie))
    assert session is not None
    return session
