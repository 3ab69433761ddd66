"""Redis in every kind of trouble: the site says 503, guesses nothing, and heals by itself.

The site reaches its Redis through a proxy; the bot and the tests go straight.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import anyio
import httpx
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tests.kit.library import tokens_key
from tests.kit.redis_proxy import RedisProxy, redis_proxy
from tests.kit.site_fixtures import Browser, Place, card_state, heading, shown_code, site_at
from webui.middleware.admission import ASKING_SECONDS, RETURN_SECONDS
from webui.sandbox.embedded_redis import embedded_redis

pytestmark = pytest.mark.anyio

ANSWER_SECONDS = 3  # longer than that nobody is to wait for an error
UNAVAILABLE = "Stargazer is not available"
TAKES_A_STATE = b"oauth_state:"
WRITES_TOKENS = b"ARGV[4] == 'same'"  # a line of the script that stores a connection


@pytest.fixture(scope="module")
def own_redis_url() -> Iterator[str]:
    """A server for this module alone, whose settings may be spoilt."""
    with embedded_redis() as url:
        yield url


@dataclass
class Ground:
    place: Place
    proxy: RedisProxy
    redis: Redis
    """a connection that is not disturbed"""


@pytest.fixture
async def ground(own_redis_url: str) -> AsyncIterator[Ground]:
    async with (
        Redis.from_url(own_redis_url, retry=Retry(NoBackoff(), 0)) as redis,
        redis_proxy(own_redis_url) as proxy,
        site_at(proxy.url, redis) as place,
    ):
        await redis.flushall()
        yield Ground(place, proxy, redis)


@pytest.fixture
def place(ground: Ground) -> Place:
    return ground.place


@pytest.fixture
def proxy(ground: Ground) -> RedisProxy:
    return ground.proxy


# Ways to be away: each is entered, and all is well again when it is left.


@asynccontextmanager
async def dead(ground: Ground) -> AsyncIterator[None]:
    await ground.proxy.go()
    try:
        yield
    finally:
        await ground.proxy.come()


@asynccontextmanager
async def frozen(ground: Ground) -> AsyncIterator[None]:
    ground.proxy.freeze()
    try:
        yield
    finally:
        ground.proxy.thaw()


@asynccontextmanager
async def paused(ground: Ground) -> AsyncIterator[None]:
    """Whoever writes waits."""
    await ground.redis.client_pause(60_000, all=False)
    try:
        yield
    finally:
        await ground.redis.client_unpause()


@asynccontextmanager
async def replica(ground: Ground) -> AsyncIterator[None]:
    """A replica, left after a failover: its primary does not exist."""
    await ground.redis.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        await ground.redis.replicaof("NO", "ONE")


@asynccontextmanager
async def full(ground: Ground) -> AsyncIterator[None]:
    await ground.redis.config_set("maxmemory", "1")
    try:
        yield
    finally:
        await ground.redis.config_set("maxmemory", "0")


@asynccontextmanager
async def forbidden(ground: Ground) -> AsyncIterator[None]:
    """The account may not write any more."""
    await ground.redis.acl_setuser("default", enabled=True, categories=["-@write"])
    try:
        yield
    finally:
        await ground.redis.acl_setuser("default", enabled=True, categories=["+@write"])


@asynccontextmanager
async def alone(ground: Ground) -> AsyncIterator[None]:
    """It takes nothing in while too few replicas follow it."""
    await ground.redis.config_set("min-replicas-to-write", "1")
    try:
        yield
    finally:
        await ground.redis.config_set("min-replicas-to-write", "0")


@asynccontextmanager
async def locked(ground: Ground) -> AsyncIterator[None]:
    """A password is wanted that the site does not have; its connections are gone."""
    await ground.redis.config_set("requirepass", "canary-of-a-password")
    await ground.proxy.go()
    await ground.proxy.come()
    try:
        yield
    finally:
        await ground.redis.config_set("requirepass", "")


Fault = Callable[[Ground], AbstractAsyncContextManager[None]]
NO_ANSWER = (dead, frozen, locked)
NO_WRITES = (replica, paused, full, forbidden)


async def unavailable(asking: Awaitable[httpx.Response]) -> httpx.Response:
    """The answer, which is 503 in time, says so in our words, and claims nothing."""
    with anyio.fail_after(ANSWER_SECONDS):
        answer = await asking
    assert answer.status_code == 503
    assert answer.headers["retry-after"].isdigit()
    assert answer.headers["cache-control"] == "no-store"
    for claim in ("is connected", "is disconnected", "Nothing was changed", "was already"):
        assert claim not in answer.text
    return answer


def requests(browser: Browser, link: str) -> list[Awaitable[httpx.Response]]:
    """Every address that asks Redis for anything."""
    return [
        browser.get("/"),
        browser.get("/signin"),
        browser.get("/connections"),
        browser.get("/connections/github"),
        browser.get("/connections/github", htmx=True),
        browser.get("/connections/github/disconnect"),
        browser.post("/connections/github/connect"),
        browser.post("/connections/github/disconnect"),
        browser.post("/connections/github/disconnect", htmx=True),
        browser.post("/connections/github/dismiss"),
        browser.get("/oauth/github/authorize"),
        browser.come_back("/oauth/github/callback?state=" + "s" * 43 + "&code=c"),
        browser.get("/oauth/status"),
        browser.get(f"/connect/{link}"),
        browser.post(f"/connect/{link}/start"),
        browser.post(f"/connect/{link}/decline"),
        browser.get("/connect/done/github"),
        browser.post("/signout"),
        browser.get("/everything/disconnect"),
        browser.post("/everything/disconnect"),
        browser.post("/signout/everywhere"),
        browser.get("/activity"),
        browser.get("/readyz"),
    ]


class TestARedisThatDoesNotAnswer:
    @pytest.mark.parametrize("fault", NO_ANSWER)
    async def test_makes_every_page_503_in_time_and_is_forgiven_at_once(
        self, ground: Ground, place: Place, fault: Fault
    ) -> None:
        ann = await place.signed_in("ann")
        await place.connect(ann, "github")
        link = await place.bot.create_link_code(ground.redis, "ann")
        async with fault(ground), asyncio.TaskGroup() as group:
            for asking in requests(ann, link):
                group.create_task(unavailable(asking))
        assert await ann.state_of("github") == "connected"
        assert (await ann.get(f"/connect/{link}")).status_code == 200
        assert (await ann.get("/readyz")).status_code == 200

    @pytest.mark.parametrize("fault", NO_ANSWER)
    async def test_says_so_in_the_alert_of_the_page_where_htmx_asked(
        self, ground: Ground, place: Place, fault: Fault
    ) -> None:
        ann = await place.signed_in("ann")
        async with fault(ground):
            answer = await unavailable(ann.post("/connections/github/disconnect", htmx=True))
        assert answer.headers["x-fragment"] == "1"
        assert answer.headers["hx-retarget"] == "#page-alert"
        assert UNAVAILABLE in answer.text

    async def test_leaves_the_process_healthy_and_quick_under_a_hundred_clients(
        self, ground: Ground, place: Place
    ) -> None:
        browsers = [await place.signed_in("ann") for _ in range(5)]
        other = await place.browser()
        async with frozen(ground):
            waiting = [
                asyncio.create_task(unavailable(browsers[i % 5].get("/connections")))
                for i in range(100)
            ]
            for _ in range(5):
                assert (await other.get("/healthz")).status_code == 200
                assert (await other.get("/signed-out")).status_code == 200
            assert not any(task.done() for task in waiting)
            await asyncio.gather(*waiting)
        assert [(await b.get("/connections")).status_code for b in browsers] == [200] * 5

    async def test_at_the_start_is_waited_for(self, ground: Ground) -> None:
        await ground.proxy.go()
        async with site_at(ground.proxy.url, ground.redis) as place:
            browser = await place.browser()
            await unavailable(browser.get("/readyz"))
            await ground.proxy.come()
            assert (await browser.get("/readyz")).status_code == 200
            assert await (await place.signed_in("ann")).state_of("github") == "not_connected"

    async def test_keeps_the_cookie_of_who_is_signed_in(self, ground: Ground, place: Place) -> None:
        ann = await place.signed_in("ann")
        async with dead(ground):
            answer = await unavailable(ann.get("/connections"))
            assert "set-cookie" not in answer.headers
        assert (await ann.get("/connections")).status_code == 200

    async def test_does_not_end_a_session_that_it_says_it_could_not_end(
        self, ground: Ground, place: Place
    ) -> None:
        ann = await place.signed_in("ann")
        async with dead(ground):
            answer = await unavailable(ann.post("/signout"))
            assert "set-cookie" not in answer.headers

    async def test_costs_no_link_and_no_state(self, ground: Ground, place: Place) -> None:
        ann, stranger = await place.signed_in("ann"), await place.browser()
        link = await place.bot.create_link_code(ground.redis, "ann")
        callback = place.fake.authorize(await ann.begin("github"))
        async with dead(ground):
            await unavailable(stranger.post(f"/connect/{link}/start"))
            await unavailable(ann.come_back(callback))
        assert not place.fake.calls["token"]
        assert (await stranger.post(f"/connect/{link}/start")).status_code == 303
        await ann.get(callback)
        assert await ann.state_of("github") == "connected"

    async def test_never_has_its_password_told(
        self, ground: Ground, place: Place, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with locked(ground):
            answer = await unavailable((await place.browser()).get("/readyz"))
        assert "canary" not in caplog.text + answer.text


class TestASlowRedis:
    @pytest.mark.parametrize("delay", [0.2, 0.9, 1.5])
    async def test_keeps_nobody_past_their_deadline_and_nothing_untrue_is_said(
        self, ground: Ground, place: Place, delay: float
    ) -> None:
        people = [await place.signed_in(name) for name in ("ann", "ben", "cid")]
        for person in people:
            await place.connect(person, "github")
        link = await place.bot.create_link_code(ground.redis, "ann")
        ann, ben, cid = people
        coming_back = place.fake.authorize(await ben.begin("google"))
        ground.proxy.delay = delay
        async with asyncio.TaskGroup() as group:
            for asking in requests(ann, link):
                group.create_task(in_time(asking))
            group.create_task(in_time(ben.get(coming_back), RETURN_SECONDS))
            left = group.create_task(in_time(cid.post("/connections/github/disconnect", htmx=True)))
        ground.proxy.delay = 0.0
        await place.settled()
        if left.result().status_code == 200:
            assert not await place.bot.has_token("cid", "github", ground.redis)
        if delay < 0.5:  # slow, and quick enough for everything
            assert await ben.state_of("google") == "connected"
            assert await cid.state_of("github") == "disconnected"

    async def test_serves_a_page_as_long_as_it_answers_within_a_second(
        self, ground: Ground, place: Place
    ) -> None:
        ann = await place.signed_in("ann")
        ground.proxy.delay = 0.8
        assert (await in_time(ann.get("/connections"))).status_code == 200


async def in_time(
    asking: Awaitable[httpx.Response], seconds: float = ASKING_SECONDS
) -> httpx.Response:
    with anyio.fail_after(seconds + 0.5):
        answer = await asking
    assert answer.status_code in (200, 303, 400, 401, 404, 410, 503)
    return answer


class TestARedisThatDiesAfterTheExchange:
    @pytest.fixture(params=[dead, frozen, paused, full, replica, forbidden])
    def fault(self, request: pytest.FixtureRequest) -> Fault:
        chosen: Fault = request.param
        return chosen

    async def finish_during(self, ground: Ground, ann: Browser, fault: Fault) -> httpx.Response:
        fake = ground.place.fake
        callback = fake.authorize(await ann.begin("github"))
        gate = fake.gate("account")
        finishing = asyncio.create_task(ann.get(callback))
        await gate.reached()
        async with fault(ground):
            gate.open()
            with anyio.fail_after(ANSWER_SECONDS):
                answer = await finishing
            return await unavailable(ann.get(answer.headers["location"]))

    async def test_leaves_no_connection_and_no_grant_and_says_neither(
        self, ground: Ground, place: Place, fault: Fault
    ) -> None:
        ann = await place.signed_in("ann")
        answer = await self.finish_during(ground, ann, fault)
        assert heading(answer.text) in (UNAVAILABLE, "Stargazer could not answer")
        assert place.fake.calls["revoke"] == 1
        assert not any(place.fake.is_alive(token) for token in place.fake.issued)
        if fault is not frozen:  # see the next test
            assert await ann.state_of("github") == "waiting"
        await place.connect(ann, "github")
        assert await ann.state_of("github") == "connected"

    async def test_does_not_store_what_was_revoked_when_it_wakes_up(
        self, ground: Ground, place: Place
    ) -> None:
        """A frozen server executes what was sent to it as soon as it goes on."""
        ann = await place.signed_in("ann")
        await self.finish_during(ground, ann, frozen)
        token = await place.bot.get_token("ann", "github", ground.redis)
        assert token is None or place.fake.is_alive(token)
        assert await ann.state_of("github") == ("connected" if token else "waiting")

    async def test_leaves_a_connection_that_works_where_there_was_one(
        self, ground: Ground, place: Place, fault: Fault
    ) -> None:
        """Its grant may be the same one at the provider, so nothing is revoked."""
        ann = await place.signed_in("ann")
        await place.connect(ann, "github")
        before = await place.records()
        await self.finish_during(ground, ann, fault)
        if fault is not frozen:
            assert await place.records() == before
        assert not place.fake.calls["revoke"]
        token = await place.bot.get_token("ann", "github", ground.redis)
        assert token
        assert place.fake.is_alive(token)


class TestALostAnswer:
    async def test_to_taking_a_state_ends_the_attempt_and_a_new_one_works(
        self, place: Place, proxy: RedisProxy
    ) -> None:
        ann = await place.signed_in("ann")
        callback = place.fake.authorize(await ann.begin("github"))
        proxy.lost.append(TAKES_A_STATE)
        await unavailable(ann.come_back(callback))
        assert not place.fake.calls["token"]
        assert proxy.lost == []
        await ann.come_back(callback)
        assert await ann.state_of("github") == "waiting"
        await place.connect(ann, "github")
        assert await ann.state_of("github") == "connected"

    async def test_to_taking_a_link_ends_the_link_and_signs_nobody_in(
        self, ground: Ground, place: Place, proxy: RedisProxy
    ) -> None:
        browser = await place.browser()
        link = await place.bot.create_link_code(ground.redis, "ann")
        proxy.lost.append(b"GETDEL")
        answer = await unavailable(browser.post(f"/connect/{link}/start"))
        assert "set-cookie" not in answer.headers
        assert (await browser.post(f"/connect/{link}/start")).status_code == 410

    async def test_to_storing_tokens_is_decided_by_storing_them_again(
        self, place: Place, proxy: RedisProxy
    ) -> None:
        ann = await place.signed_in("ann")
        callback = place.fake.authorize(await ann.begin("github"))
        proxy.lost.append(WRITES_TOKENS)
        assert (await ann.get(callback)).status_code == 303
        assert proxy.lost == []
        assert await ann.state_of("github") == "connected"
        assert place.fake.calls["exchange"] == 1
        assert not place.fake.calls["revoke"]

    async def test_to_deleting_tokens_does_not_leave_the_grant_alive_for_ever(
        self, place: Place, proxy: RedisProxy
    ) -> None:
        """Pressed again, the person is told what the provider did, not that all was well."""
        ann = await place.signed_in("ann")
        await place.connect(ann, "github")
        proxy.lost.append(b"GETDEL")
        first = await ann.post("/connections/github/disconnect")
        assert proxy.lost == []
        if first.status_code == 503:
            await ann.post("/connections/github/disconnect")
        assert place.fake.calls["revoke"] == 1
        assert await ann.state_of("github") == "disconnected"

    async def test_to_starting_a_session_signs_nobody_in(
        self, ground: Ground, place: Place, proxy: RedisProxy
    ) -> None:
        browser = await place.browser()
        link = await place.bot.create_link_code(ground.redis, "ann")
        await browser.post(f"/connect/{link}/start")
        shown = shown_code(await browser.get("/connect/proof"))
        await place.bot.proofs.confirm(ground.redis, "ann", shown)
        proxy.lost.append(b"web_session")
        answer = await unavailable(browser.post("/connect/proof/continue"))
        assert "session=" not in answer.headers.get("set-cookie", "")
        assert (await browser.get("/connections")).status_code == 303
        assert (await (await place.signed_in("ann")).get("/connections")).status_code == 200


class TestLostData:
    async def test_ends_sessions_and_attempts_and_shows_nobody_anything(
        self, ground: Ground, place: Place
    ) -> None:
        ann, waiting = await place.signed_in("ann"), await place.browser()
        await place.connect(ann, "github")
        callback = place.fake.authorize(await ann.begin("google"))
        link = await place.bot.create_link_code(ground.redis, "ann")
        await waiting.post(f"/connect/{link}/start")
        calls = place.fake.calls["token"]
        await ground.redis.flushall()
        assert (await ann.get("/connections")).headers["location"].startswith("/signin")
        assert (await ann.come_back(callback)).status_code == 400
        assert (await waiting.post("/connect/proof/continue")).status_code in (400, 410)
        assert (await waiting.get(f"/connect/{link}")).status_code == 410
        assert place.fake.calls["token"] == calls
        again = await place.signed_in("ann")
        assert await again.state_of("github") == "not_connected"

    async def test_one_save_old_serves_the_older_tokens_until_they_fail_once(
        self, ground: Ground, place: Place
    ) -> None:
        ann = await place.signed_in("ann")
        await place.connect(ann, "github")
        older = await ground.redis.dump(tokens_key("ann", "github"))
        assert older
        await age_of(place, ground.redis)
        assert await place.bot.get_token("ann", "github", ground.redis)
        await ground.redis.restore(tokens_key("ann", "github"), 0, older, replace=True)
        await age_of(place, ground.redis)
        calls = place.fake.calls["refresh"]
        for _ in range(3):
            assert await place.bot.get_token("ann", "github", ground.redis) is None
        assert place.fake.calls["refresh"] == calls + 1
        assert await ann.state_of("github") == "reconnect"


async def age_of(place: Place, redis: Redis) -> None:
    token = await place.bot.valid_token(redis, "ann", "github")
    assert token
    token.expires_at = 1000.0
    await place.bot.store_token(redis, "ann", token)


class TestARedisThatRefusesToWrite:
    @pytest.mark.parametrize("fault", NO_WRITES)
    async def test_never_makes_a_disconnect_or_a_connect_of_what_failed(
        self, ground: Ground, place: Place, fault: Fault
    ) -> None:
        ann = await place.signed_in("ann")
        await place.connect(ann, "github")
        async with fault(ground):
            if fault is not full:  # where there is room to delete
                await unavailable(ann.post("/connections/github/disconnect"))
                await unavailable(ann.post("/connections/github/disconnect", htmx=True))
            await unavailable(ann.post("/connections/google/connect"))
        expected = "connected"
        assert await ann.state_of("github") == expected
        assert not place.fake.calls["revoke"]
        assert await place.bot.get_token("ann", "github", ground.redis)

    @pytest.mark.parametrize("fault", [replica, forbidden])
    async def test_takes_no_one_time_value(
        self, ground: Ground, place: Place, fault: Fault
    ) -> None:
        ann, stranger = await place.signed_in("ann"), await place.browser()
        callback = place.fake.authorize(await ann.begin("github"))
        link = await place.bot.create_link_code(ground.redis, "ann")
        async with fault(ground):
            await unavailable(ann.come_back(callback))
            await unavailable(stranger.post(f"/connect/{link}/start"))
        assert not place.fake.calls["token"]
        assert (await stranger.post(f"/connect/{link}/start")).status_code == 303
        await ann.get(callback)
        assert await ann.state_of("github") == "connected"

    async def test_for_want_of_room_still_disconnects_and_says_so_afterwards(
        self, ground: Ground, place: Place
    ) -> None:
        ann = await place.signed_in("ann")
        await place.connect(ann, "github")
        async with full(ground):
            await ann.post("/connections/github/disconnect")
        assert place.fake.calls["revoke"] == 1
        assert await ann.state_of("github") in ("not_connected", "disconnected")


class TestADisconnectThatFails:
    """kept: what is told is what can be read afterwards."""

    def shown(self, answer: httpx.Response) -> None:
        assert card_state(answer.text, "github") == "kept"
        assert ">We could not disconnect GitHub<" in answer.text
        assert "Nothing has changed. Try again in a moment." in answer.text
        assert re.search(
            r"If this happens again, give support the reference [A-Z0-9]{6}\.", answer.text
        )
        labels = re.findall(r'id="conn-github-(keep|retry_disconnect)"', answer.text)
        assert labels == ["retry_disconnect", "keep"]

    @pytest.mark.parametrize("fault", [replica, forbidden, alone])
    @pytest.mark.parametrize("htmx", [True, False])
    async def test_for_want_of_leave_to_write_is_told_on_the_card(
        self, ground: Ground, place: Place, fault: Fault, htmx: bool
    ) -> None:
        ann = await place.signed_in("ann")
        await place.connect(ann, "github")
        before = await place.records()
        async with fault(ground):
            answer = await unavailable(ann.post("/connections/github/disconnect", htmx=htmx))
            assert ("x-fragment" in answer.headers) == htmx
            assert "hx-retarget" not in answer.headers
            self.shown(answer)
        assert await place.records() == before
        assert not place.fake.calls["revoke"]
        assert await ann.state_of("github") == "connected"
        answer = await ann.post("/connections/github/disconnect", htmx=True)
        assert card_state(answer.text, "github") == "disconnected"

    async def test_for_a_wire_that_breaks_in_the_middle_is_told_on_the_card(
        self, place: Place, proxy: RedisProxy
    ) -> None:
        ann = await place.signed_in("ann")
        await place.connect(ann, "github")
        proxy.cut += [b"GETDEL", b"GETDEL"]
        answer = await unavailable(ann.post("/connections/github/disconnect", htmx=True))
        assert proxy.cut == []
        self.shown(answer)
        assert not place.fake.calls["revoke"]
        assert await ann.state_of("github") == "connected"

    async def test_which_was_done_though_nobody_heard_of_it_is_not_told_either_way(
        self, place: Place, proxy: RedisProxy
    ) -> None:
        ann = await place.signed_in("ann")
        await place.connect(ann, "github")
        proxy.lost += [b"GETDEL", b"GETDEL"]
        answer = await unavailable(ann.post("/connections/github/disconnect"))
        assert proxy.lost == []
        assert heading(answer.text) == UNAVAILABLE
        assert "Nothing has changed" not in answer.text

    async def test_after_which_nothing_can_be_read_is_a_page_that_says_no_more(
        self, ground: Ground, place: Place
    ) -> None:
        ann = await place.signed_in("ann")
        await place.connect(ann, "github")
        async with dead(ground):
            answer = await unavailable(ann.post("/connections/github/disconnect"))
        assert heading(answer.text) == UNAVAILABLE

    async def test_of_nobody_is_asked_to_sign_in_all_the_same(
        self, ground: Ground, place: Place
    ) -> None:
        async with replica(ground):
            answer = await (await place.browser()).post("/connections/github/disconnect")
        assert answer.headers["location"].startswith("/signin")

    async def test_only_to_be_noted_down_is_shown_at_once(
        self, ground: Ground, place: Place, proxy: RedisProxy
    ) -> None:
        ann = await place.signed_in("ann")
        await place.connect(ann, "github")
        proxy.cut.append(b"note:github")
        answer = await ann.post("/connections/github/disconnect")
        assert answer.status_code == 200
        assert card_state(answer.text, "github") == "disconnected"
        assert await ann.state_of("github") == "not_connected"


class TestRoundTrips:
    """The round trips to Redis that a person waits for, the session's own included."""

    async def count(self, proxy: RedisProxy, asking: Awaitable[httpx.Response]) -> int:
        before = proxy.round_trips
        assert (await asking).status_code in (200, 303)
        return proxy.round_trips - before

    async def test_of_the_pages(self, place: Place, proxy: RedisProxy) -> None:
        ann = await place.signed_in("ann")
        await place.connect(ann, "github")
        await ann.get("/connections")
        assert await self.count(proxy, ann.get("/connections")) == 2
        assert await self.count(proxy, ann.get("/connections/github", htmx=True)) == 2
        assert await self.count(proxy, ann.get("/connections/github")) == 3
        assert await self.count(proxy, ann.get("/signed-out")) == 0

    async def test_of_the_callback_are_at_most_four_beyond_the_session(
        self, place: Place, proxy: RedisProxy
    ) -> None:
        ann = await place.signed_in("ann")
        for provider in ("github", "google"):
            callback = place.fake.authorize(await ann.begin(provider))
            assert await self.count(proxy, ann.get(callback)) <= 5
