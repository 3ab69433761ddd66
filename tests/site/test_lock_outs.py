"""A limit that somebody else can fill for a person never locks that person out."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from tests.kit.library import keys_at
from tests.kit.site_fixtures import (
    FROM_OUR_PAGE,
    Browser,
    Place,
    heading,
    query_of,
    shown_code,
)
from tests.site.test_link_limits import allowed, link, statuses

pytestmark = pytest.mark.anyio

HOME = "192.0.2.77"
MISSES = allowed("miss")
JUNK_LINK = "/connect/" + "j" * 43
JUNK_STATE = f"/oauth/github/callback?code=c&state={'j' * 43}"

# What a browser says of what another site's page makes it fetch.
EMBEDDED: tuple[dict[str, str], ...] = (
    {"sec-fetch-dest": "image", "sec-fetch-mode": "no-cors"},
    {"sec-fetch-dest": "script", "sec-fetch-mode": "no-cors"},
    {"sec-fetch-dest": "empty", "sec-fetch-mode": "cors"},
    {"sec-fetch-dest": "empty", "sec-fetch-mode": "no-cors"},
    {"sec-fetch-dest": "iframe", "sec-fetch-mode": "navigate"},
    {"sec-fetch-dest": "object", "sec-fetch-mode": "navigate"},
    {"sec-fetch-dest": "style", "sec-fetch-mode": "no-cors"},
)
OPENED = {"sec-fetch-dest": "document", "sec-fetch-mode": "navigate"}
BY_SCRIPT = OPENED | {"sec-fetch-site": "cross-site"}
BY_A_PRESS = BY_SCRIPT | {"sec-fetch-user": "?1"}
TYPED = OPENED | {"sec-fetch-site": "none", "sec-fetch-user": "?1"}


async def flood(
    browser: Browser, path: str, headers: Mapping[str, str], times: int = MISSES + 10
) -> set[int]:
    return set(
        await statuses(
            times, lambda: browser.client.get(path, headers={**FROM_OUR_PAGE, **headers})
        )
    )


async def fill(place: Place) -> None:
    """A neighbour at the same address guesses until nobody new there may."""
    neighbour = await place.browser(address=HOME)
    await flood(neighbour, JUNK_LINK, {})
    assert (await neighbour.get(await link(place))).status_code == 429


async def fill_starts(place: Place) -> None:
    neighbour = await place.browser(address=HOME)
    for _ in range(allowed("start") + 1):
        await neighbour.post("/connect/proof/continue")
    assert (await neighbour.post(f"{await link(place)}/start")).status_code == 429


class TestWhatAnotherSitesPageEmbeds:
    @pytest.mark.parametrize("path", [JUNK_LINK, JUNK_STATE, "/oauth/google/callback?error=x"])
    @pytest.mark.parametrize("embedded", EMBEDDED, ids=str)
    async def test_is_refused_without_a_look_up_and_counted_for_nobody(
        self, place: Place, path: str, embedded: dict[str, str]
    ) -> None:
        victim = await place.browser(address=HOME)
        headers = {**embedded, "sec-fetch-site": "cross-site"}
        assert await flood(victim, path, headers) == {403}
        assert await keys_at(place.redis, "*web_*") == []
        fresh = await link(place)
        assert (await victim.get(fresh)).status_code == 200
        assert (await victim.post(f"{fresh}/start")).status_code == 303

    async def test_uses_up_no_link_and_no_attempt(self, place: Place, ann: Browser) -> None:
        fresh = await link(place, "ann", "github")
        callback = place.fake.authorize(await ann.begin("google"))
        for embedded in EMBEDDED:
            headers = {**embedded, "sec-fetch-site": "cross-site"}
            for path in (fresh, callback):
                assert (await ann.get(path, headers=headers)).status_code == 403
        assert (await ann.get(callback, headers=BY_SCRIPT)).status_code == 303
        assert await ann.state_of("google") == "connected"
        assert (await ann.get(fresh)).status_code == 200

    async def test_uses_up_nobodys_references(self, place: Place) -> None:
        victim = await place.browser(address=HOME)
        url = await place.bot.generate_connect_url("ann", "github", place.redis)
        failing = f"/oauth/github/callback?error=server_error&state={query_of(url)['state']}"
        for path in ("/nowhere", JUNK_LINK, "/oauth/github/callback", failing):
            await flood(victim, path, {**EMBEDDED[0], "sec-fetch-site": "cross-site"}, 30)
        assert await keys_at(place.redis, "*web_*") == []
        assert "give support the reference" in (await victim.come_back(failing)).text


class TestWhatAnotherSitesPageOpens:
    """A window that it has opened once can be led on without another press."""

    @pytest.mark.parametrize("path", [JUNK_LINK, JUNK_STATE])
    async def test_leaves_what_the_person_opens(self, place: Place, path: str) -> None:
        victim = await place.browser(address=HOME)
        await flood(victim, path, BY_SCRIPT)
        answer = await victim.get(path, headers=BY_SCRIPT)
        location = answer.headers.get("location")
        assert answer.status_code == 429 or location == "/connect/ended/too-many"
        for headers in (BY_A_PRESS, TYPED, OPENED, {}):
            assert (await victim.get(await link(place), headers=headers)).status_code == 200
        assert (await victim.get(JUNK_LINK, headers=TYPED)).status_code == 410

    async def test_does_not_lock_out_who_is_signed_in(self, place: Place, ann: Browser) -> None:
        for path in (JUNK_LINK, JUNK_STATE):
            await flood(ann, path, BY_SCRIPT)
        for headers in (BY_SCRIPT, BY_A_PRESS, TYPED, {}):
            fresh = await link(place, "ann", "github")
            assert (await ann.get(fresh, headers=headers)).status_code == 200
        callback = place.fake.authorize(await ann.begin("github"))
        assert (await ann.get(callback, headers=BY_SCRIPT)).status_code == 303
        assert await ann.state_of("github") == "connected"


class TestANeighbour:
    async def test_does_not_lock_out_who_is_signed_in(self, place: Place) -> None:
        ann = await place.browser(address=HOME)
        await place.prove(ann, "ann")
        await fill(place)
        await fill_starts(place)
        fresh = await link(place, "ann", "github")
        assert (await ann.get(fresh)).status_code == 200
        assert (await ann.post(f"{fresh}/start")).status_code == 200
        fresh = await link(place, "ann", "github")
        answer = await ann.post(f"{fresh}/decline")
        assert heading(answer.text).endswith("is switched off")

    async def test_does_not_lock_out_a_browser_that_was_signed_in_with(self, place: Place) -> None:
        ann = await place.browser(address=HOME)
        await place.prove(ann, "ann")
        await ann.post("/signout")
        await fill(place)
        await fill_starts(place)
        for _ in range(3):
            fresh = await link(place, "ann", "github")
            assert (await ann.get(fresh)).status_code == 200
            answer = await ann.post(f"{fresh}/start")
            assert answer.headers["location"] == "/connect/proof"

    async def test_does_not_lock_out_who_is_in_the_middle_of_a_proof(self, place: Place) -> None:
        phone = await place.browser(address=HOME)
        await phone.post(f"{await link(place)}/start")
        shown = shown_code(await phone.get("/connect/proof"))
        await fill(place)
        await fill_starts(place)
        assert (await phone.post("/connect/proof/continue")).status_code == 200
        assert await place.bot.proofs.confirm(place.redis, "ann", shown) is None
        answer = await phone.post("/connect/proof/continue")
        assert answer.headers["location"] == "/connections"

    async def test_does_not_keep_an_answer_of_a_provider_from_its_person(
        self, place: Place
    ) -> None:
        url = await place.bot.generate_connect_url("ann", "github", place.redis)
        await fill(place)
        phone = await place.browser(address=HOME)
        answer = await phone.get(place.fake.authorize(url))
        assert answer.headers["location"] == "/connect/proof"

    async def test_locks_out_only_what_is_new_there(self, place: Place) -> None:
        await fill(place)
        newcomer = await place.browser(address=HOME)
        assert (await newcomer.get(await link(place))).status_code == 429
        elsewhere = await place.browser()
        assert (await elsewhere.get(await link(place))).status_code == 200


class TestAGuesser:
    @pytest.mark.parametrize("headers", [{}, OPENED, BY_SCRIPT, BY_A_PRESS, TYPED], ids=str)
    async def test_is_stopped_whatever_browser_it_claims_to_be(
        self, place: Place, headers: dict[str, str]
    ) -> None:
        await fill(place)
        guesser = await place.browser(address=HOME)
        good = await link(place)
        for path in (JUNK_LINK, good):
            assert (await guesser.get(path, headers=headers)).status_code == 429

    async def test_gains_nothing_by_cookies_of_its_own_making(self, place: Place) -> None:
        ann = await place.browser(address=HOME)
        await place.prove(ann, "ann")
        known = ann.client.cookies["__Host-known"]
        await fill(place)
        value, _, signature = known.rpartition(".")
        for made in (
            "x",
            value,
            f"{'A' * 43}.{signature}",
            f"{value}.{'A' * 43}",
            known[:-1],
            known + "x",
            ann.client.cookies["__Host-session"],
        ):
            guesser = await place.browser(address=HOME)
            for name in ("known", "proof", "link", "signon"):
                guesser.client.cookies.set(f"__Host-{name}", made)
            assert (await guesser.get(await link(place, "ann"))).status_code == 429

    @pytest.mark.parametrize("leaves", [False, True], ids=["signed in", "signed out"])
    async def test_with_a_sign_in_has_one_limit_more_and_no_other(
        self, place: Place, leaves: bool
    ) -> None:
        ann = await place.browser(address=HOME)
        await place.prove(ann, "ann")
        if leaves:
            await ann.post("/signout")
        await fill(place)
        others = await link(place, "ben")
        seen = await statuses(MISSES + 1, lambda: ann.get(JUNK_LINK))
        assert seen == [410] * MISSES + [429]
        assert (await ann.get(others)).status_code == 429, "a hit among the misses would show"
        assert (await ann.post(f"{others}/start")).status_code == 429
        assert (await ann.post(f"{others}/decline")).status_code == 429
        assert (await ann.get(await link(place, "ann"))).status_code == 200
        again = await place.browser(address=HOME)
        again.client.cookies.set("__Host-known", ann.client.cookies["__Host-known"])
        assert (await again.get(JUNK_LINK)).status_code == 429, "one person has one"


class TestTheCookie:
    async def test_tells_nobody_who_it_is(self, place: Place) -> None:
        ann, ben = [await place.signed_in(user) for user in ("ann", "ben")]
        again = await place.signed_in("ann")
        values = [browser.client.cookies["__Host-known"] for browser in (ann, again, ben)]
        assert values[0] == values[1] != values[2]
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}", v) for v in values)

    async def test_opens_nothing(self, place: Place) -> None:
        ann = await place.signed_in("ann")
        other = await place.browser()
        other.client.cookies.set("__Host-known", ann.client.cookies["__Host-known"])
        answer = await other.get("/connections")
        assert answer.headers["location"].startswith("/signin")
