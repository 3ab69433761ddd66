"""Roles: staff are let in, and nobody else learns that there is anything."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from itertools import product

import pytest
from redis.asyncio import Redis

from tests.kit.redis_proxy import redis_proxy
from tests.kit.site_fixtures import FROM_OUR_PAGE, HTMX, Place, commands, heading, shown_code
from tests.kit.standings import (
    ADDRESSES,
    GROUP,
    INSIDERS,
    OUTSIDERS,
    STAFF,
    STALE,
    STRANGERS,
    Standing,
    moved,
    proxied,
    session_in,
    sessions_of,
    shape,
    signed_on,
    support_site,
)
from webui.access.roles import STAFF_SECONDS
from webui.oauth_manager import AuditRecord
from webui.text import words

pytestmark = pytest.mark.anyio

NOWHERE = "/nothing/is/here"


@pytest.fixture
async def place(redis_url: str, redis: Redis) -> AsyncIterator[Place]:
    """A site with every way to be staff."""
    async with support_site(redis_url, redis) as made:
        yield made


async def audit(place: Place) -> list[AuditRecord]:
    return [record async for record in place.bot.audit.read(place.redis, 0.0)]


class TestEverybodyElse:
    @pytest.mark.parametrize("standing", OUTSIDERS.values(), ids=OUTSIDERS)
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
    async def test_sees_the_same_as_where_there_is_nothing(
        self, place: Place, standing: Standing, method: str
    ) -> None:
        browser = await standing(place)
        for htmx in ({}, HTMX):
            headers = {**htmx, **FROM_OUR_PAGE}
            nothing = shape(await browser.client.request(method, NOWHERE, headers=headers))
            assert nothing[0] == 404
            for address in ADDRESSES:
                for query in ("", "?role=staff&support=1&user=carol&q=ann&reason=ticket+1"):
                    found = await browser.client.request(method, address + query, headers=headers)
                    assert shape(found) == nothing, address

    async def test_is_answered_in_as_many_bytes(self, place: Place) -> None:
        browser = await place.signed_in("ann")
        for htmx in (False, True):
            answers = [await browser.get(path, htmx=htmx) for path in ("/support", NOWHERE)]
            assert len({len(answer.content) for answer in answers}) == 1

    async def test_with_a_cookie_that_is_junk_keeps_it_there_as_elsewhere(
        self, place: Place
    ) -> None:
        for name, junk in product(("session", "staff"), ("junk", "A" * 43 + "." + "B" * 43)):
            browser = await place.browser()
            browser.client.cookies.set(f"__Host-{name}", junk)
            answer = await browser.get("/support")
            assert answer.headers["location"] == "/signin?next=/support"
            assert "set-cookie" not in answer.headers

    async def test_cannot_post_a_role(self, place: Place) -> None:
        ann = await place.signed_in("ann")
        form = {"role": "staff", "user": STAFF, "groups": GROUP, "reason": "ticket 1"}
        for address in ADDRESSES:
            assert (await ann.post(address, form)).status_code == 404

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
    async def test_learns_nothing_from_other_methods(self, place: Place, method: str) -> None:
        ann = await place.signed_in("ann")
        for address in ADDRESSES:
            answers = [await ann.client.request(method, path) for path in (address, NOWHERE)]
            assert shape(answers[0]) == shape(answers[1])


class TestStaff:
    @pytest.mark.parametrize("standing", INSIDERS.values(), ids=INSIDERS)
    @pytest.mark.parametrize("htmx", [False, True])
    async def test_is_let_in(self, place: Place, standing: Standing, htmx: bool) -> None:
        browser = await standing(place)
        assert (await browser.get("/support", htmx=htmx)).status_code == 200

    @pytest.mark.parametrize("standing", STALE.values(), ids=STALE)
    async def test_who_signed_in_too_long_ago_is_sent_to_sign_in(
        self, place: Place, standing: Standing
    ) -> None:
        browser = await standing(place)
        for path in ("/support", "/support/people/ann"):
            answer = await browser.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, f"/signin?next={path}")
            answer = await browser.get(path, htmx=True)
            assert answer.status_code == 401
            assert answer.headers["hx-redirect"] == f"/signin?next={path}"

    @pytest.mark.parametrize("standing", STALE.values(), ids=STALE)
    async def test_who_signed_in_too_long_ago_does_nothing_with_a_post(
        self, place: Place, standing: Standing
    ) -> None:
        browser = await standing(place)
        ann = await place.signed_in("ann")
        answer = await browser.post("/support/people/ann/end-sessions", {"reason": "ticket 1"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/signin?next=/support")
        assert (await ann.get("/connections")).status_code == 200

    @pytest.mark.parametrize("standing", STALE.values(), ids=STALE)
    async def test_is_told_why_and_not_sent_in_a_circle(
        self, place: Place, standing: Standing
    ) -> None:
        browser = await standing(place)
        page = await browser.get("/signin?next=/support")
        assert page.status_code == 200
        assert "Support pages require a sign-in within the last 30 minutes." in page.text
        assert '<a href="/support">' in page.text

    async def test_who_is_welcome_is_sent_on_from_signing_in(self, place: Place) -> None:
        for standing in INSIDERS.values():
            page = await (await standing(place)).get("/signin?next=/support")
            assert (page.status_code, page.headers.get("location")) == (303, "/support")

    @pytest.mark.parametrize(
        "standing", [STRANGERS["nobody"], OUTSIDERS["staff whose group is gone"]]
    )
    async def test_alone_is_told_that_a_sign_in_is_too_old(
        self, place: Place, standing: Standing
    ) -> None:
        page = await (await standing(place)).get("/signin?next=/support")
        assert page.status_code == 200
        assert "30 minutes" not in page.text
        assert words.text("signin.lede_support") in page.text

    async def test_just_within_the_time_is_let_in(self, place: Place) -> None:
        browser = await signed_on(place, ago=STAFF_SECONDS - 60)
        assert (await browser.get("/support")).status_code == 200

    async def test_with_an_old_session_and_a_new_one_is_let_in(self, place: Place) -> None:
        browser = await signed_on(place, ago=STAFF_SECONDS)
        await place.prove(browser, STAFF)
        assert (await browser.get("/support")).status_code == 200


class TestANewSignInFromChat:
    async def test_is_proven_anew_though_there_is_a_session(self, place: Place) -> None:
        carol = await place.signed_in(STAFF)
        place.clock.advance(STAFF_SECONDS)
        before = dict(carol.client.cookies)
        code = await place.bot.create_link_code(place.redis, STAFF)
        answer = await carol.post(f"/connect/{code}/start")
        assert answer.headers["location"] == "/connect/proof"
        assert (await carol.get("/support")).status_code == 303
        shown = shown_code(await carol.get("/connect/proof"))
        await place.bot.proofs.confirm(place.redis, STAFF, shown)
        await carol.post("/connect/proof/continue")
        assert (await carol.get("/support")).status_code == 200
        carol.client.cookies.clear()
        carol.client.cookies.update(before)
        assert (await carol.get("/connections")).status_code == 303

    async def test_is_not_asked_of_anybody_else(self, place: Place) -> None:
        ann = await place.signed_in("ann")
        place.clock.advance(STAFF_SECONDS)
        code = await place.bot.create_link_code(place.redis, "ann")
        answer = await ann.post(f"/connect/{code}/start")
        assert answer.headers["location"] == "/connections"

    async def test_is_not_asked_where_a_service_is_connected(self, place: Place) -> None:
        carol = await place.signed_in(STAFF)
        place.clock.advance(STAFF_SECONDS)
        code = await place.bot.create_link_code(place.redis, STAFF, provider="github")
        answer = await carol.post(f"/connect/{code}/start")
        assert "Taking you to GitHub" in heading(answer.text)


class TestARoleThatIsTakenAway:
    """With the settings changed, the very next request."""

    @pytest.mark.parametrize("standing", INSIDERS.values(), ids=INSIDERS)
    async def test_acts_at_once(
        self, redis_url: str, redis: Redis, place: Place, standing: Standing
    ) -> None:
        browser = await standing(place)
        assert (await browser.get("/support")).status_code == 200
        changes = {"support_users": frozenset({"erin"}), "support_group": "erins"}
        async with support_site(redis_url, redis, **changes) as later:
            same = await moved(browser, later)
            found, nothing = [await same.get(path) for path in ("/support", NOWHERE)]
            assert found.status_code == 404
            assert shape(found) == shape(nothing)

    async def test_leaves_the_person_their_connections(
        self, redis_url: str, redis: Redis, place: Place
    ) -> None:
        carol = await place.signed_in(STAFF)
        async with support_site(redis_url, redis, support_users=frozenset()) as later:
            same = await moved(carol, later)
            assert (await same.get("/support")).status_code == 404
            assert (await same.get("/connections")).status_code == 200

    @pytest.mark.parametrize("group", ["", "HELPDESK", "help", "helpdesk "])
    async def test_is_compared_exactly(
        self, redis_url: str, redis: Redis, place: Place, group: str
    ) -> None:
        browser = await signed_on(place, "dave", (GROUP, ""))
        async with support_site(redis_url, redis, support_group=group) as later:
            assert (await (await moved(browser, later)).get("/support")).status_code == 404


class TestACopiedCookie:
    async def test_is_dead_after_signing_out(self, place: Place) -> None:
        browser = await signed_on(place)
        await place.prove(browser, "ann")
        copy = dict(browser.client.cookies)
        assert set(copy) >= {"__Host-staff", "__Host-session"}
        answer = await browser.post("/signout")
        gone = answer.headers.get_list("set-cookie")
        for name in ("__Host-staff", "__Host-session"):
            assert [line for line in gone if line.startswith(f"{name}=; Max-Age=0; ")]
        thief = await place.browser()
        thief.client.cookies.update(copy)
        assert (await thief.get("/support")).headers["location"].startswith("/signin")
        assert (await thief.get("/connections")).headers["location"].startswith("/signin")

    async def test_is_dead_after_all_sessions_were_ended(self, place: Place) -> None:
        from_chat, by_sign_on = await place.signed_in(STAFF), await signed_on(place)
        ann = await place.signed_in("ann")
        assert await sessions_of(place).end_all(STAFF) == 2
        for browser in (from_chat, by_sign_on):
            assert (await browser.get("/support")).headers["location"].startswith("/signin")
        assert (await from_chat.get("/connections")).status_code == 303
        assert (await ann.get("/connections")).status_code == 200


class TestKeptApart:
    async def test_a_staff_session_opens_no_connections(self, place: Place) -> None:
        browser = await signed_on(place)
        assert (await browser.get("/connections")).headers["location"].startswith("/signin")
        assert (await browser.get("/oauth/status")).status_code == 401
        assert (await browser.get("/")).headers["location"] == "/signin"

    async def test_a_person_who_signed_on_is_not_staff_by_that(self, place: Place) -> None:
        browser = await signed_on(place, STAFF, (GROUP,), name="session")
        assert (await browser.get("/connections")).status_code == 200
        assert (await browser.get("/support")).status_code == 404

    async def test_one_browser_is_both_and_one_ends_without_the_other(self, place: Place) -> None:
        browser = await signed_on(place)
        await place.prove(browser, "ann")
        session = await session_in(place, browser)
        assert session is not None
        assert session.user == "ann"
        assert (await browser.get("/support")).status_code == 200
        await sessions_of(place).end_all("ann")
        assert (await browser.get("/support")).status_code == 200
        assert (await browser.get("/connections")).status_code == 303


class TestWhatIsWritten:
    @pytest.mark.parametrize("standing", INSIDERS.values(), ids=INSIDERS)
    async def test_of_staff_that_only_opens_the_search_is_nothing(
        self, place: Place, standing: Standing
    ) -> None:
        browser = await standing(place)
        await browser.get("/support")
        async with commands(place.redis) as seen:
            await browser.get("/support")
        assert {line.split()[0] for line in seen} <= {"HGETALL"}

    async def test_of_a_person_is_that_they_were_denied(self, place: Place) -> None:
        for standing, who, via in (
            ("a person", "ann", "chat"),
            ("staff whose group is gone", "dave", "sso"),
            ("a person behind the proxy", "ann", "proxy"),
            ("staff signed on as a person", STAFF, "sso"),
        ):
            await place.redis.flushall()
            browser = await OUTSIDERS[standing](place)
            await browser.get("/support/people/ben")
            (record,) = await audit(place)
            assert (record.who, record.via, record.action) == (who, via, "denied")
            assert record.whom == ""
            assert len(record.request_id) == 16
            assert time.time() - record.at < 60

    async def test_of_nobody_is_nothing(self, place: Place) -> None:
        await (await place.browser()).get("/support")
        assert await audit(place) == []

    async def test_of_a_person_who_goes_on_is_bounded_and_looks_the_same(
        self, place: Place
    ) -> None:
        ann = await place.signed_in("ann")
        answers = [await ann.get("/support") for _ in range(15)]
        assert len(await audit(place)) == 5
        assert {answer.status_code for answer in answers} == {404}
        assert all(shape(answer) == shape(answers[0]) for answer in answers)

    async def test_of_a_person_may_fail_without_being_seen(
        self, place: Place, redis: Redis
    ) -> None:
        ann = await place.signed_in("ann")
        await redis.set("stargazer:oauth_audit", "no stream")
        found, nothing = [await ann.get(path) for path in ("/support", NOWHERE)]
        assert shape(found) == shape(nothing)


async def test_with_redis_away_nobody_is_let_in(redis_url: str, redis: Redis) -> None:
    async with redis_proxy(redis_url) as proxy, support_site(proxy.url, redis) as place:
        browser = await signed_on(place)
        await proxy.go()
        assert (await browser.get("/support")).status_code == 503
        await proxy.come()
        assert (await browser.get("/support")).status_code == 200


async def test_whoever_the_proxy_names_is_asked_nothing_more(place: Place) -> None:
    """The proxy vouches with each request; how old its own sign-in is, is its to say."""
    browser = await proxied(place, "dave", GROUP)
    await browser.get("/connections")
    place.clock.advance(STAFF_SECONDS)
    assert (await browser.get("/support")).status_code == 200
