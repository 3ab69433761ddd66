"""The person's own download, and the erasure that they press."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import error_answer
from tests.kit.redis_proxy import redis_proxy
from tests.kit.screens import Document
from tests.kit.site_fixtures import FROM_OUR_PAGE, Browser, Place, card_state, site_at
from tests.kit.support_fixtures import records
from tests.kit.whole_person import everything, fill, mentions
from webui.oauth_manager import OAuthManager, StoreUnavailable
from webui.oauth_manager.storage import keys
from webui.people_data.erasure import take_up
from webui.rate_limits import LIMITS, limit

pytestmark = pytest.mark.anyio


def said(answer: httpx.Response) -> str:
    return " ".join(Document(answer.text).by_id("main").text.split())


class TestTheDownload:
    async def test_is_a_file_without_a_token_that_nobody_keeps(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        answer = await ann.get("/everything/data")
        assert answer.status_code == 200
        assert answer.headers["content-disposition"] == 'attachment; filename="my-data.json"'
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        document = json.loads(answer.text)
        assert [one["provider"] for one in document["connections"]] == ["github"]
        assert [token for token in place.fake.issued if token in answer.text] == []

    async def test_changes_nothing(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "github")
        await place.settled()
        await ann.get("/everything/data")
        before = await everything(place.redis)
        await ann.get("/everything/data")
        after = await everything(place.redis)
        changed = {key for key in before | after if before.get(key) != after.get(key)}
        assert changed == {"stargazer:web_limit:export:ann"}

    async def test_needs_somebody_who_is_signed_in(self, place: Place) -> None:
        for path in ("/everything/data", "/everything/erase"):
            asked = await (await place.browser()).get(path)
            assert asked.headers["location"].startswith("/signin?next=")

    async def test_is_limited(self, ann: Browser) -> None:
        for _ in range(limit(LIMITS["export"]).amount):
            assert (await ann.get("/everything/data")).status_code == 200
        assert (await ann.get("/everything/data")).status_code == 429

    async def test_is_not_made_for_a_browser_that_loads_ahead(self, ann: Browser) -> None:
        answer = await ann.get("/everything/data", headers={"sec-purpose": "prefetch"})
        assert answer.status_code == 503


class TestTheErasure:
    async def test_is_asked_first_and_says_what_goes_and_what_stays(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        text = said(await ann.get("/everything/erase"))
        assert "Our access to GitHub mona" in text
        assert "Your activity, and all messages about it" in text
        assert "Your accounts there and everything in them" in text
        assert card_state((await ann.get("/connections")).text, "github") == "connected"

    async def test_without_a_connection_it_can_be_asked_for_too(self, ann: Browser) -> None:
        page = await ann.get("/everything/erase")
        assert page.status_code == 200
        assert "Our access" not in said(page)

    async def test_removes_everything_signs_out_and_says_what_each_service_answered(
        self, place: Place
    ) -> None:
        await fill(place, "ann-lee")
        ann = await place.signed_in("ann-lee")
        answer = await ann.post("/everything/erase")
        assert answer.status_code == 200
        text = said(answer)
        assert "GitHub confirmed that our access is cancelled." in text
        assert "Microsoft keeps its own list of apps." in text
        await place.settled()
        assert await mentions(place.redis, "ann-lee") == []
        assert (await ann.get("/connections")).headers["location"].startswith("/signin")
        left = {cookie.name for cookie in ann.client.cookies.jar}
        assert left & {"__Host-session", "__Host-staff", "__Host-known"} == set()

    async def test_is_on_record_without_a_name(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "github")
        await ann.post("/everything/erase")
        (line,) = await records(place.redis)
        held = {name: value for name, value in line.items() if value and name != "at"}
        assert held == {"via": "page", "action": "erased", "result": "github revoked"}

    async def test_a_service_that_does_not_confirm_is_named_with_its_own_page(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "discord")
        place.fake.always["revoke"] = error_answer("temporarily_unavailable", 503)
        text = said(await ann.post("/everything/erase"))
        assert "Discord did not confirm. Remove Stargazer there yourself." in text

    async def test_is_limited(self, place: Place) -> None:
        for _ in range(limit(LIMITS["erase"]).amount):
            await place.site.limiter.hit("erase", "ann")
        ann = await place.signed_in("ann")
        await place.connect(ann, "github")
        assert (await ann.post("/everything/erase")).status_code == 429
        assert card_state((await ann.get("/connections")).text, "github") == "connected"

    async def test_with_keys_that_do_not_fit_nobody_is_signed_out(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        fits = await place.redis.get(keys.CANARY)
        assert fits
        other = OAuthManager("ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=")
        await place.redis.set(keys.CANARY, other._sealer.seal("canary", "-", "-", {}))
        assert (await ann.post("/everything/erase")).status_code == 503
        await place.redis.set(keys.CANARY, fits)
        assert card_state((await ann.get("/connections")).text, "github") == "connected"

    async def test_another_sites_page_cannot_press_it(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "github")
        answer = await ann.client.post(
            "/everything/erase", headers={**FROM_OUR_PAGE, "sec-fetch-site": "cross-site"}
        )
        assert answer.status_code == 403
        assert card_state((await ann.get("/connections")).text, "github") == "connected"

    async def test_other_browsers_of_the_person_are_signed_out(
        self, place: Place, ann: Browser
    ) -> None:
        other = await place.signed_in("ann")
        await ann.post("/everything/erase")
        assert (await other.get("/connections")).status_code == 303

    async def test_goes_on_without_the_person_if_a_service_is_slow(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        place.site.manager.patience = 0.05
        gate = place.fake.gate("revoke")
        answer = await ann.post("/everything/erase")
        assert (answer.status_code, "you can close this page" in said(answer)) == (202, True)
        gate.open()
        await place.settled()
        assert await mentions(place.redis, "ann") == []

    async def test_pressed_twice_at_once_it_is_done_once(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "github")
        answers = await asyncio.gather(*(ann.post("/everything/erase") for _ in range(2)))
        assert {answer.status_code for answer in answers} <= {200, 303}
        await place.settled()
        assert await mentions(place.redis, "ann") == []
        assert not [token for token in place.fake.issued if place.fake.is_alive(token)]

    async def test_that_redis_stops_says_so_and_can_be_done_again(
        self, redis_url: str, redis: Redis
    ) -> None:
        async with redis_proxy(redis_url) as proxy, site_at(proxy.url, redis) as place:
            ann = await place.signed_in("ann")
            await place.connect(ann, "github")
            proxy.cut = [b"stargazer:oauth_revoke:ann:github"]
            answer = await ann.post("/everything/erase")
            assert (answer.status_code, "erase once more" in said(answer)) == (503, True)
            proxy.cut = []
            again = await place.signed_in("ann")
            assert (await again.post("/everything/erase")).status_code == 200
            await place.settled()
        assert await mentions(redis, "ann") == []


async def taken_up(place: Place) -> None:
    """What the site does by itself, once nobody is at the erasure any more."""
    await take_up(place.settings, place.site.manager, place.redis)


class TestOneThatWasInterrupted:
    async def test_is_taken_up_after_the_process_that_went_on_with_it_ended(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        place.site.manager.patience = 0.05
        gate = place.fake.gate("revoke")
        assert (await ann.post("/everything/erase")).status_code == 202
        await place.site.manager._tasks.drain(0.01)
        gate.open()
        await taken_up(place)
        assert await mentions(place.redis, "ann"), "somebody may still be at it"
        place.clock.advance(90)
        await taken_up(place)
        assert await mentions(place.redis, "ann") == []
        assert await place.redis.exists(keys.ERASING, keys.ERASING_LOCK) == 0
        assert not [token for token in place.fake.issued if place.fake.is_alive(token)]

    async def test_is_taken_up_after_redis_was_away(self, redis_url: str, redis: Redis) -> None:
        async with redis_proxy(redis_url) as proxy, site_at(proxy.url, redis) as place:
            ann = await place.signed_in("ann")
            await place.connect(ann, "github")
            proxy.cut = [b"stargazer:oauth_revoke:ann:github"]
            assert (await ann.post("/everything/erase")).status_code == 503
            proxy.cut = []
            place.clock.advance(90)
            await taken_up(place)
        assert await mentions(redis, "ann") == []

    async def test_its_walk_is_made_later_and_keeps_what_the_person_began_since(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await fill(place, "ann-lee")
        manager = place.site.manager

        async def fails(*_: object) -> None:
            raise StoreUnavailable("walk all keys", "gone")

        with monkeypatch.context() as patched:
            patched.setattr(manager, "erase_unlisted", fails)
            ann = await place.signed_in("ann-lee")
            assert (await ann.post("/everything/erase")).status_code == 200
            await place.settled()
        gone = keys.tokens("ann-lee", "gitea")
        assert await place.redis.exists(gone)
        again = await place.signed_in("ann-lee")
        await place.connect(again, "github")
        await taken_up(place)
        assert await place.redis.exists(gone, keys.ERASING, keys.ERASING_LOCK) == 0
        assert await again.state_of("github") == "connected"

    async def test_one_process_at_a_time_goes_on_with_it(self, place: Place) -> None:
        await place.bot.begin_erasure(place.redis, "ann", is_taken_up=True)
        await place.redis.set(keys.ERASING_LOCK, "another", ex=60)
        place.clock.advance(90)
        await taken_up(place)
        assert await place.redis.exists(keys.ERASING)

    async def test_a_list_that_cannot_be_read_is_left_alone(self, place: Place) -> None:
        await place.redis.hset(keys.ERASING, "name", "gAAAA-junk")
        await taken_up(place)
        await place.redis.set(keys.ERASING, "text")
        await taken_up(place)
