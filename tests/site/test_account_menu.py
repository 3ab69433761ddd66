"""Disconnecting everything, signing out everywhere, and receipts."""

from __future__ import annotations

import asyncio
import re

import pytest
from redis.asyncio import Redis

from tests.kit.redis_proxy import redis_proxy
from tests.kit.screens import Document, screens
from tests.kit.site_fixtures import Browser, Place, card_state, site_at
from webui.oauth_manager.journal import receipt_code

pytestmark = pytest.mark.anyio

SCREENS = screens()


def note(text: str, provider: str) -> str:
    return " ".join(Document(text).by_id(f"conn-{provider}-n").text.split())


class TestDisconnectingEverything:
    async def test_lists_every_service_before_anything_is_done(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        await place.connect(ann, "google")

        page = await ann.get("/everything/disconnect")

        text = Document(page.text).text
        assert "GitHub" in text
        assert "Google" in text
        assert "Discord" not in text
        assert card_state((await ann.get("/connections")).text, "github") == "connected"

    def test_names_what_stops_and_the_last_use(self) -> None:
        text = Document(SCREENS["everything"]).text
        assert "Stella working with your GitHub account, last used on 3 October 2026" in text
        assert "meeting reminders" in text
        assert "Reconnect needed" in text, "nothing stops where access has ended"
        assert "each service that allows it" in text

    async def test_one_that_fails_keeps_nobody_from_the_others(
        self, redis_url: str, redis: Redis
    ) -> None:
        async with redis_proxy(redis_url) as proxy, site_at(proxy.url, redis) as place:
            ann = await place.signed_in("ann")
            for name in ("github", "google"):
                await place.connect(ann, name)
            proxy.cut = [b"SET\r\n$33\r\nstargazer:oauth_revoke:ann:github"]

            done = await ann.post("/everything/disconnect")
            assert done.status_code == 303, done.text
            page = (await ann.get("/connections")).text

        assert card_state(page, "google") == "disconnected"
        assert card_state(page, "github") in ("kept", "connected")

    @pytest.mark.parametrize("path", ["/everything/disconnect", "/connections/github/disconnect"])
    async def test_that_is_pressed_twice_at_once_still_says_what_the_service_answered(
        self, place: Place, ann: Browser, path: str
    ) -> None:
        await place.connect(ann, "github")
        await asyncio.gather(*(ann.post(path) for _ in range(3)))
        page = (await ann.get("/connections")).text
        assert "GitHub confirmed, reference" in note(page, "github")
        assert place.fake.calls["revoke"] == 1

    async def test_ends_all_and_says_what_each_service_answered(
        self, place: Place, ann: Browser
    ) -> None:
        for name in ("github", "google", "microsoft"):
            await place.connect(ann, name)

        done = await ann.post("/everything/disconnect")
        page = (await ann.get("/connections")).text

        assert (done.status_code, done.headers["location"]) == (303, "/connections")
        states = {name: card_state(page, name) for name in ("github", "google", "microsoft")}
        assert states == {
            "github": "disconnected",
            "google": "disconnected",
            "microsoft": "own_list",
        }
        assert "GitHub confirmed, reference" in note(page, "github")
        assert "Microsoft keeps its own list, reference" in note(page, "microsoft")

    async def test_without_a_connection_there_is_no_question(self, ann: Browser) -> None:
        page = await ann.get("/everything/disconnect")

        assert (page.status_code, page.headers["location"]) == (303, "/connections")

    async def test_needs_somebody_who_is_signed_in(self, place: Place) -> None:
        stranger = await place.browser()

        asked = await stranger.get("/everything/disconnect")

        assert asked.headers["location"].startswith("/signin?next=")


class TestSigningOutEverywhere:
    async def test_ends_every_browser_of_the_person_and_nobody_elses(self, place: Place) -> None:
        here, there = await place.signed_in("ann"), await place.signed_in("ann")
        bob = await place.signed_in("bob")

        done = await here.post("/signout/everywhere")

        assert done.headers["location"] == "/signed-out"
        assert (await here.get("/connections")).status_code == 303
        assert (await there.get("/connections")).status_code == 303
        assert (await bob.get("/connections")).status_code == 200


class TestReceipts:
    async def test_a_disconnect_leaves_one_sentence_to_keep(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        await ann.post("/connections/github/disconnect")

        said = note((await ann.get("/connections")).text, "github")

        (event,) = [
            event
            for event in (await place.bot.activity(place.redis, "ann")).events
            if event.kind == "disconnected"
        ]
        code = receipt_code("ann", "github", event.at)
        assert re.search(
            rf"Disconnected GitHub \(mona\) on .+, GitHub confirmed, reference {code}\.", said
        )

    async def test_the_same_words_stand_in_the_activity(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "github")
        await ann.post("/connections/github/disconnect")
        said = note((await ann.get("/connections")).text, "github")

        page = Document((await ann.get("/activity")).text).by_id("main")
        activity = " ".join(page.text.split())

        (receipt,) = re.findall(r"Disconnected GitHub .+ reference \w{6}\.", said)
        assert receipt in activity

    async def test_support_reads_it_with_the_account_masked(
        self, office: Place, carol: Browser
    ) -> None:
        await office.connect(await office.signed_in("ben"), "github")
        ben = await office.signed_in("ben")
        await ben.post("/connections/github/disconnect")
        said = note((await ben.get("/connections")).text, "github")

        page = await carol.get("/support/people/ben?reason=ticket+4411")

        (reference,) = re.findall(r"confirmed, reference (\w{6})\.", said)
        text = " ".join(Document(page.text).text.split())
        assert re.search(rf"Disconnected GitHub \( m•••a \) on .+, reference {reference}\.", text)
