"""Limits: links open at once, tries for each address and person, and what a limit says."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from types import SimpleNamespace

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.library import BASE_URL, KEY, keys_at
from tests.kit.redis_proxy import redis_proxy
from tests.kit.site_fixtures import (
    FROM_OUR_PAGE,
    Browser,
    Place,
    handed_off,
    heading,
    query_of,
    shown_code,
    site_at,
)
from webui.chat import connect_service
from webui.oauth_manager import init_oauth_manager
from webui.rate_limits import LIMITS

pytestmark = pytest.mark.anyio

DEAD = 303  # to the page that says so
TOO_MANY = "Too many tries"
UNKNOWN = "/connect/" + "u" * 43
PROXY = "198.51.100.7"


def allowed(name: str) -> int:
    """Return the number of tries that the limit lets through."""
    return int(LIMITS[name].partition("/")[0])


async def link(place: Place, user: str = "ann", provider: str = "") -> str:
    return f"/connect/{await place.bot.create_link_code(place.redis, user, provider=provider)}"


@asynccontextmanager
async def at(place: Place, address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client at a network address, without cookies."""
    transport = httpx.ASGITransport(place.app, client=(address, 50000))
    async with httpx.AsyncClient(
        transport=transport, base_url=place.settings.base_url, headers=FROM_OUR_PAGE
    ) as client:
        yield client


async def statuses(times: int, ask: Callable[[], Awaitable[httpx.Response]]) -> list[int]:
    return [(await ask()).status_code for _ in range(times)]


def says_when(answer: httpx.Response) -> bool:
    """Return True for a 429 with a header for machines and a clock time for people."""
    wait = answer.headers.get("retry-after", "")
    return (
        answer.status_code == 429
        and wait.isascii()
        and wait.isdigit()
        and 1 <= int(wait) <= 60
        and re.search(
            r'Try again after <time datetime="[^"]+" data-local="time">\d\d:\d\d UTC</time>',
            answer.text,
        )
        is not None
    )


class TestOpenLinks:
    async def test_three_are_open_at_once_whichever_kind_and_the_oldest_gives_way(
        self, place: Place
    ) -> None:
        first = await link(place, "ann", "github")
        second = await place.bot.generate_connect_url("ann", "google", place.redis)
        third = await link(place, "ann", "discord")
        phone = await place.browser()
        assert (await phone.get(first)).status_code == 200
        await place.bot.generate_connect_url("ann", "microsoft", place.redis)
        assert (await phone.get(first)).status_code == 410
        assert (await phone.post(f"{first}/start")).status_code == 410
        assert (await phone.get(third)).status_code == 200
        answer = await phone.get(place.fake.authorize(second))
        assert answer.headers["location"] == "/connect/proof"

    @pytest.mark.parametrize("older", ["landing", "provider"])
    @pytest.mark.parametrize("newer", ["landing", "provider"])
    async def test_a_newer_one_for_the_same_service_replaces_the_older(
        self, place: Place, older: str, newer: str
    ) -> None:
        async def make(kind: str) -> str:
            if kind == "landing":
                return await link(place, "ann", "github")
            url = await place.bot.generate_connect_url("ann", "github", place.redis)
            return place.fake.authorize(url)

        old, new = await make(older), await make(newer)
        phone = await place.browser()
        answer = await phone.get(old)
        assert answer.headers.get("location", "/connect/ended/over") == "/connect/ended/over"
        assert answer.status_code in (303, 410)
        answer = await phone.get(new)
        assert answer.headers.get("location", "/connect/proof") == "/connect/proof"
        assert answer.status_code in (200, 303)

    async def test_a_replaced_one_does_not_take_the_newer_with_it(self, place: Place) -> None:
        """Neither by opening, starting or declining it, nor at the callback."""
        old = await link(place, "ann", "github")
        callback = place.fake.authorize(
            await place.bot.generate_connect_url("ann", "github", place.redis)
        )
        new = await link(place, "ann", "github")
        phone = await place.browser()
        for answer in (
            await phone.get(old),
            await phone.post(f"{old}/start"),
            await phone.post(f"{old}/decline"),
            await phone.come_back(callback),
        ):
            assert answer.status_code in (400, 410)
        assert (await phone.get(new)).status_code == 200
        assert await place.redis.xlen("stargazer:oauth_notices") == 0

    async def test_other_people_have_their_own(self, place: Place) -> None:
        own = await link(place, "ann", "github")
        for user in ("ben", "Ann", "ann:github", "ann%3Agithub"):
            for provider in ("github", "google", "discord", "microsoft"):
                await link(place, user, provider)
        assert (await (await place.browser()).get(own)).status_code == 200

    async def test_proofs_are_three_at_once_and_the_oldest_gives_way(self, place: Place) -> None:
        phones = [await place.browser() for _ in range(4)]
        shown = []
        for phone in phones:
            await phone.post(f"{await link(place)}/start")
            shown.append(shown_code(await phone.get("/connect/proof")))
        assert (await phones[0].get("/connect/proof")).status_code == 410
        assert await place.bot.proofs.confirm(place.redis, "ann", shown[0]) is not None
        assert await place.bot.proofs.confirm(place.redis, "ann", shown[3]) is None
        assert (await phones[3].post("/connect/proof/continue")).status_code == 303


class TestOpening:
    async def test_links_that_are_not_there_is_limited_for_each_address(self, place: Place) -> None:
        good = await link(place)
        async with at(place, "192.0.2.77") as prober, at(place, "192.0.2.78") as other:
            times = allowed("miss")
            assert set(await statuses(times, lambda: prober.get(UNKNOWN))) == {DEAD}
            refused = await prober.get(UNKNOWN)
            assert says_when(refused)
            assert heading(refused.text) == TOO_MANY
            hidden = await prober.get(good)
            assert hidden.status_code == 429, "a hit among the misses would show"
            assert len(hidden.content) == len(refused.content)
            assert (await other.get(UNKNOWN)).status_code == DEAD
            assert (await other.get(good)).status_code == 200

    @pytest.mark.parametrize("method", ["GET", "HEAD", "start", "decline"])
    async def test_is_counted_whatever_is_done_to_them(self, place: Place, method: str) -> None:
        async with at(place, "192.0.2.77") as prober:

            async def ask() -> httpx.Response:
                if method in ("GET", "HEAD"):
                    return await prober.request(method, UNKNOWN)
                return await prober.post(f"{UNKNOWN}/{method}")

            assert set(await statuses(allowed("miss"), ask)) == {DEAD}
            assert (await ask()).status_code == 429

    async def test_a_good_link_is_not_counted(self, place: Place) -> None:
        good = await link(place)
        async with at(place, "192.0.2.77") as phone:
            assert set(await statuses(allowed("miss") + 40, lambda: phone.get(good))) == {200}

    async def test_attempts_that_are_not_there_is_limited_too(self, place: Place) -> None:
        """States are guessed at the callback."""
        guess = f"/oauth/github/callback?code=c&state={'g' * 43}"
        async with at(place, "192.0.2.77") as prober:
            assert set(await statuses(allowed("miss"), lambda: prober.get(guess))) == {303}
            seen = [(await prober.get(guess)).headers["location"] for _ in range(2)]
            assert seen == ["/connect/ended/too-many"] * 2
            assert says_when(await prober.get(seen[0]))
        async with at(place, "192.0.2.78") as other:
            page = await other.get(seen[0])
            assert heading(page.text) == "That attempt is over", "it says so only where it is so"

    async def test_works_again_when_the_time_is_over(self, place: Place) -> None:
        good = await link(place)
        async with at(place, "192.0.2.77") as prober:
            await statuses(allowed("miss") + 1, lambda: prober.get(UNKNOWN))
            for key in await keys_at(place.redis, "web_limit*"):
                assert await place.redis.pttl(key) > 0, "no count is kept for ever"
                await place.redis.pexpire(key, 0)
            assert (await prober.get(good)).status_code == 200

    async def test_is_not_said_to_work_before_it_does(self, place: Place) -> None:
        """The clock shows whole minutes: it has to be the one that follows."""
        async with at(place, "192.0.2.77") as prober:
            await statuses(allowed("miss"), lambda: prober.get(UNKNOWN))
            earliest = time.time() - 1
            refused = await prober.get(UNKNOWN)
        shown = re.search(r'<time datetime="([^"T]+)T[^"]+"[^>]*>(\d\d:\d\d) UTC<', refused.text)
        assert shown
        said = datetime.fromisoformat(f"{shown[1]}T{shown[2]}+00:00").timestamp()
        assert said >= earliest + int(refused.headers["retry-after"])

    async def test_is_counted_by_all_processes_together(self, place: Place, redis_url: str) -> None:
        async with (
            site_at(redis_url, place.redis, place.fake) as second,
            at(place, "192.0.2.77") as here,
            at(second, "192.0.2.77") as there,
        ):
            await statuses(allowed("miss") // 2, lambda: here.get(UNKNOWN))
            await statuses(allowed("miss") // 2, lambda: there.get(UNKNOWN))
            assert (await here.get(UNKNOWN)).status_code == 429
            assert (await there.get(UNKNOWN)).status_code == 429


class TestStarting:
    async def test_is_limited_for_each_address_and_leaves_the_link(self, place: Place) -> None:
        async with at(place, "192.0.2.77") as phone, at(place, "192.0.2.78") as other:
            for _ in range(allowed("start")):
                answer = await phone.post(f"{await link(place)}/start")
                assert answer.status_code == 303
            good = await link(place)
            refused = await phone.post(f"{good}/start")
            assert says_when(refused)
            assert "set-cookie" not in refused.headers
            assert (await other.get(good)).status_code == 200
            assert (await other.post(f"{good}/start")).status_code == 303

    async def test_and_going_on_are_counted_together(self, place: Place) -> None:
        async with at(place, "192.0.2.77") as phone:
            await phone.post(f"{await link(place)}/start")
            times = allowed("start") - 1
            seen = await statuses(times, lambda: phone.post("/connect/proof/continue"))
            assert set(seen) == {200}
            assert says_when(await phone.post("/connect/proof/continue"))
            shown = shown_code(await phone.get("/connect/proof"))
            assert await place.bot.proofs.confirm(place.redis, "ann", shown) is None
            for key in await keys_at(place.redis, "web_limit*"):
                await place.redis.pexpire(key, 0)
            answer = await phone.post("/connect/proof/continue")
            assert answer.headers["location"] == "/connections"

    async def test_looking_at_the_proof_is_not_limited(self, place: Place) -> None:
        """The page asks every three seconds, for ten minutes, in several tabs."""
        phone = await place.browser()
        await phone.post(f"{await link(place)}/start")
        seen = await statuses(200, lambda: phone.get("/connect/proof", htmx=True))
        assert set(seen) == {204}

    async def test_with_htmx_the_limit_is_told_in_the_pages_alert(self, place: Place) -> None:
        phone = await place.browser()
        times = allowed("start")
        await statuses(times, lambda: phone.post("/connect/proof/continue"))
        answer = await phone.post("/connect/proof/continue", htmx=True)
        assert answer.status_code == 429
        assert answer.headers["x-fragment"] == "1"
        assert answer.headers["hx-retarget"] == "#page-alert"
        assert "<html" not in answer.text


class TestTheAddress:
    """Only a proxy that is trusted may say whose request it is."""

    @pytest.mark.parametrize(
        "header", ["x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip", "client-ip"]
    )
    async def test_that_a_header_claims_counts_for_nothing(self, place: Place, header: str) -> None:
        async with at(place, "192.0.2.77") as prober:
            for number in range(allowed("miss")):
                claimed = f"203.0.113.{number}"
                value = f"for={claimed}" if header == "forwarded" else claimed
                await prober.get(UNKNOWN, headers={header: value})
            answer = await prober.get(UNKNOWN, headers={header: "203.0.113.200"})
            assert answer.status_code == 429

    async def test_behind_a_trusted_proxy_is_the_one_the_proxy_saw(
        self, redis_url: str, redis: Redis
    ) -> None:
        """The last address counts; what the person wrote in front of it is none."""
        async with (
            site_at(redis_url, redis, trusted_proxies=(PROXY,)) as place,
            at(place, PROXY) as proxy,
            at(place, "192.0.2.77") as outsider,
        ):

            def via(claimed: str, seen: str) -> dict[str, str]:
                return {"x-forwarded-for": f"{claimed}, {seen}", "x-forwarded-proto": "https"}

            for number in range(allowed("miss")):
                headers = via(f"203.0.113.{number}", "192.0.2.1")
                await proxy.get(UNKNOWN, headers=headers)
            again = via("203.0.113.200", "192.0.2.1")
            assert (await proxy.get(UNKNOWN, headers=again)).status_code == 429
            other = via("192.0.2.1", "192.0.2.2")
            assert (await proxy.get(UNKNOWN, headers=other)).status_code == DEAD
            for number in range(allowed("miss")):
                await outsider.get(UNKNOWN, headers=via("", f"203.0.113.{number}"))
            claimed = via("", "203.0.113.200")
            assert (await outsider.get(UNKNOWN, headers=claimed)).status_code == 429

    @pytest.mark.parametrize("claimed", ["a" * 5000, "%s%s", "x/y:z", "\u00e4", "", ",,,"])
    async def test_may_be_anything_at_all(self, redis_url: str, redis: Redis, claimed: str) -> None:
        async with (
            site_at(redis_url, redis, trusted_proxies=(PROXY,)) as place,
            at(place, PROXY) as proxy,
        ):
            headers = {"x-forwarded-for": claimed.encode("latin-1")}
            answer = await proxy.get(UNKNOWN, headers=headers)  # type: ignore[arg-type]
            assert answer.headers["location"] == "/connect/ended/dead"
            for key in await keys_at(redis, "web_limit*"):
                assert re.fullmatch(r"[\x21-\x7e]+", key)


class TestConnecting:
    async def test_is_limited_for_each_person_over_all_browsers(
        self, place: Place, ann: Browser, ben: Browser
    ) -> None:
        second = await place.signed_in("ann")
        times = allowed("connect")
        for number in range(times):
            handed_off(await (ann, second)[number % 2].post("/connections/github/connect"))
        states = await keys_at(place.redis, "oauth_state:*")
        for browser in (ann, second):
            refused = await browser.post("/connections/google/connect")
            assert says_when(refused)
            assert heading(refused.text) == TOO_MANY
            alert = await browser.post("/connections/google/connect", htmx=True)
            assert alert.status_code == 429
            assert "hx-redirect" not in alert.headers
        assert await keys_at(place.redis, "oauth_state:*") == states
        handed_off(await ben.post("/connections/github/connect"))
        assert (await ann.get("/connections")).status_code == 200

    async def test_an_attempt_under_way_can_still_be_finished(
        self, place: Place, ann: Browser
    ) -> None:
        url = await ann.begin("github")
        await statuses(allowed("connect"), lambda: ann.post("/connections/google/connect"))
        await ann.get(place.fake.authorize(url))
        assert await ann.state_of("github") == "connected"

    async def test_a_person_of_a_strange_name_is_counted_alone(self, place: Place) -> None:
        """Ids are encoded in the names of counts."""
        strange = await place.signed_in("ann/connect:60 \u00e4%2F")
        times = allowed("connect")
        await statuses(times, lambda: strange.post("/connections/github/connect"))
        assert says_when(await strange.post("/connections/github/connect"))
        handed_off(await (await place.signed_in("ann")).post("/connections/github/connect"))


class TestInChat:
    async def test_asking_for_links_is_limited_for_each_person(self, place: Place) -> None:
        init_oauth_manager(KEY, BASE_URL, place.settings.providers_config)

        async def ask(user: str) -> str:
            chat = SimpleNamespace(user_id=user, redis=place.redis, is_private=True)
            return await connect_service(chat, "connect", "github")

        offered = [await ask("ann") for _ in range(allowed("link"))]
        assert all(f"{BASE_URL}/connect/" in text for text in offered)
        refused = await ask("ann")
        assert re.search(r"Try again in 10 minutes\.$", refused)
        assert BASE_URL not in refused
        assert f"{BASE_URL}/connect/" in await ask("ben")
        newest = re.search(r"/connect/[\w-]+", offered[-1])
        assert newest
        assert (await (await place.browser()).get(newest[0])).status_code == 200


class TestWithoutRedis:
    async def test_nothing_is_unlimited(self, redis_url: str, redis: Redis) -> None:
        async with redis_proxy(redis_url) as proxy, site_at(proxy.url, redis) as place:
            good = await link(place)
            phone = await place.browser()
            await proxy.go()
            for answer in (
                await phone.get(good),
                await phone.post(f"{good}/start"),
                await phone.post(f"{good}/decline"),
                await phone.post("/connect/proof/continue"),
            ):
                assert answer.status_code == 503
                assert "set-cookie" not in answer.headers
            await proxy.come()
            assert (await phone.get(good)).status_code == 200


async def test_the_state_of_a_refused_start_was_never_made(place: Place, ann: Browser) -> None:
    """Within a session the link leads straight to the provider, and counts all the same."""
    good = await link(place, "ann", "github")
    await statuses(allowed("start"), lambda: ann.post("/connect/proof/continue"))
    assert says_when(await ann.post(f"{good}/start"))
    assert await keys_at(place.redis, "oauth_state:*") == []
    for key in await keys_at(place.redis, "web_limit*"):
        await place.redis.pexpire(key, 0)
    url = handed_off(await ann.post(f"{good}/start"))
    assert query_of(url)["state"]
