"""Cards and the timeline tell only the truth when several things happen at once, or twice."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from tests.kit.cards_shown import buttons, element, note
from tests.kit.fake_answers import Answer, Gate, json_answer, redirect
from tests.kit.library import granted, revoke_key
from tests.kit.redis_proxy import redis_proxy
from tests.kit.site_fixtures import Browser, Place, card_state, offer_on, site_at
from webui.oauth_manager import Health, TokenData
from webui.oauth_manager.flows import tokens

pytestmark = pytest.mark.anyio

WRITES_TOKENS = b"ARGV[4] == 'same'"  # a line of the script that stores a connection


async def kinds(place: Place) -> list[str]:
    """Ann's timeline but for the links, newest first."""
    page = await place.bot.activity(place.redis, "ann")
    return [e.kind for e in page.events if not e.kind.startswith("link_")]


async def offered(place: Place, ann: Browser) -> None:
    """She comes back to GitHub as somebody else."""
    await place.connect(ann, "github")
    place.fake.account = {"id": 77, "login": "new"}
    answer = await place.connect(ann, "github")
    assert answer.headers["location"] == "/connections/github/switch"


@asynccontextmanager
async def a_refusal_under_way(place: Place, ann: Browser) -> AsyncIterator[asyncio.Task[Health]]:
    """A check of ann's GitHub, whose "no" comes when this ends."""
    place.fake.gives_refresh_token = False
    await place.connect(ann, "github")
    place.fake.withdraw()
    gate = place.fake.gate("account")
    checking = asyncio.create_task(place.bot.check(place.redis, "ann", "github"))
    await gate.reached()
    yield checking
    gate.open()


class TestASlowDisconnect:
    @pytest.fixture
    async def held(self, place: Place, ann: Browser) -> Gate:
        """Ann has disconnected GitHub, which does not confirm it, and not yet says so."""
        await place.connect(ann, "github")
        place.site.manager.patience = 0.01
        place.fake.script("revoke", Answer(503))
        gate = place.fake.gate("revoke")
        assert (await ann.post("/connections/github/disconnect", htmx=True)).status_code == 202
        return gate

    async def test_is_not_shown_over_what_was_connected_elsewhere_meanwhile(
        self, place: Place, ann: Browser, held: Gate
    ) -> None:
        await place.connect(await place.signed_in("ann"), "github")
        assert await ann.state_of("github") == "connected"
        held.open()

    async def test_leaves_nothing_to_ask_with_where_something_is_connected_again(
        self, place: Place, ann: Browser, held: Gate
    ) -> None:
        await place.connect(ann, "github")
        held.open()
        await place.settled()
        assert not await place.redis.exists(revoke_key("ann", "github"))
        shown = await ann.get("/connections")
        assert (card_state(shown.text, "github"), note(shown)) == (
            "connected",
            "GitHub is connected.",
        )
        await place.bot.delete_token(place.redis, "ann", "github", by="chat")
        assert await ann.state_of("github") == "not_connected"


class TestADisconnectThatWins:
    async def test_leaves_no_word_of_a_connection_that_never_was(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        address = place.fake.authorize(await ann.begin("github"))
        gate = place.fake.gate("token")
        coming_back = asyncio.create_task(ann.get(address))
        await gate.reached()
        await ann.post("/connections/github/disconnect")
        gate.open()
        await coming_back
        assert await kinds(place) == ["disconnected", "connected"]
        assert await ann.state_of("github") == "disconnected"


async def test_a_connection_whose_answer_was_lost_is_told_once(
    redis_url: str, redis: Redis
) -> None:
    async with redis_proxy(redis_url) as proxy, site_at(proxy.url, redis) as place:
        ann = await place.signed_in("ann")
        proxy.lost.append(WRITES_TOKENS)
        await place.connect(ann, "github")
        assert not proxy.lost
        assert await kinds(place) == ["connected"]
        assert await redis.xlen("stargazer:oauth_notices") == 1


class TestAnotherAccount:
    async def test_chosen_twice_is_not_told_as_unchanged(self, place: Place, ann: Browser) -> None:
        await offered(place, ann)
        gate = place.fake.gate("revoke")
        offer = offer_on(await ann.get("/connections/github/switch"))
        for _ in range(2):
            await place.answer(ann, "github", offer=offer)
        told = note(await ann.get("/connections"))
        assert told.startswith("GitHub now uses the account that you just signed in with.")
        assert await kinds(place) == ["account_switched", "connected"]
        gate.open()

    async def test_whose_connection_was_ended_meanwhile_is_given_back(
        self, redis_url: str, redis: Redis
    ) -> None:
        async with redis_proxy(redis_url) as proxy, site_at(proxy.url, redis) as place:
            ann = await place.signed_in("ann")
            await offered(place, ann)
            before = {token for token in place.fake.issued if place.fake.is_alive(token)}
            proxy.cut.append(b"local time = redis.call('TIME') return")
            answer = await place.answer(ann, "github")
            assert answer.status_code == 503
            known = await place.bot.connection(redis, "ann", "github")
            assert known.profile.account.label == "mona"
            after = {token for token in before if place.fake.is_alive(token)}
            assert len(after) * 2 == len(before), "the new grant is not left behind"

    async def test_of_a_service_that_was_switched_off_meanwhile_can_be_chosen(
        self, place: Place, ann: Browser, redis: Redis
    ) -> None:
        await offered(place, ann)
        place.site.manager.providers["github"].client_id = ""
        answer = await place.answer(ann, "github", "old")
        assert answer.headers["location"] == "/connections#conn-github-n"
        assert await ann.state_of("github") == "not_set_up"


class TestKeepingItAsItIs:
    async def test_twice_is_told_once(self, place: Place, ann: Browser) -> None:
        place.fake.scope = "openid"
        await place.connect(ann, "google")
        for _ in range(2):
            await ann.post("/connections/google/accept-limited")
        assert await kinds(place) == ["limited_accepted", "connected"]
        assert note(await ann.get("/connections"), "google") == "Kept as it is."

    async def test_where_nothing_is_connected_is_not_told(self, place: Place, ann: Browser) -> None:
        shown = await ann.post("/connections/google/accept-limited", htmx=True)
        assert card_state(shown.text, "google") == "not_connected"
        assert await kinds(place) == []

    async def test_beside_a_use_that_is_noted_holds(
        self, place: Place, ann: Browser, redis: Redis
    ) -> None:
        place.fake.scope = "openid"
        await place.connect(ann, "google")
        manager = place.site.manager
        await asyncio.gather(
            manager.accept_missing(redis, "ann", "google"),
            tokens.used(manager._services, manager._subject(redis, "ann", "google")),
        )
        assert not (await place.bot.connection(redis, "ann", "google")).is_limited


class TestACheck:
    async def test_on_an_old_page_keeps_what_a_provider_did_not_confirm(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        place.fake.script("revoke", Answer(503))
        await ann.post("/connections/github/disconnect")
        shown = await ann.post("/connections/github/check", htmx=True)
        assert card_state(shown.text, "github") == "still_listed"
        assert buttons(shown)[:2] == ["Connect GitHub", "Try again GitHub"]

    @pytest.mark.parametrize(
        "answer",
        [
            redirect("http://elsewhere.example/"),
            Answer(204),
            Answer(404),
            Answer(200, body=b"<p>Sign in to this network"),
            json_answer({"error": "no"}),
        ],
    )
    async def test_that_was_not_answered_by_an_account_is_not_called_working(
        self, place: Place, ann: Browser, answer: Answer
    ) -> None:
        await place.connect(ann, "google")
        place.fake.always["account"] = answer
        shown = await ann.post("/connections/google/check", htmx=True)
        assert card_state(shown.text, "google") == "provider_trouble"
        assert (await kinds(place))[0] == "checked_provider_trouble"

    async def test_with_a_token_that_may_not_read_the_account_is_working(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "google")
        place.fake.always["account"] = Answer(403)
        shown = await ann.post("/connections/google/check", htmx=True)
        assert re.fullmatch(r"Working\. Checked at \d\d:\d\d UTC\.", note(shown, "google"))

    async def test_of_what_was_disconnected_meanwhile_does_not_ask_to_reconnect(
        self, place: Place, ann: Browser
    ) -> None:
        async with a_refusal_under_way(place, ann) as checking:
            await place.bot.delete_token(place.redis, "ann", "github")
        assert await checking is Health.NOT_CONNECTED

    async def test_of_what_was_replaced_meanwhile_is_of_what_took_its_place(
        self, place: Place, ann: Browser
    ) -> None:
        async with a_refusal_under_way(place, ann) as checking:
            fresh = granted(place.fake, "github", expires_at=time.time() + 3600)
            await place.bot.store_token(place.redis, "ann", fresh)
        assert await checking is Health.WORKING


async def test_access_that_ran_out_by_itself_is_not_said_to_have_been_ended(
    place: Place, ann: Browser
) -> None:
    place.fake.gives_refresh_token = False
    await place.connect(ann, "discord")
    token = await place.bot.valid_token(place.redis, "ann", "discord")
    assert token
    over = TokenData.from_dict({**token.to_dict(), "expires_at": time.time() - 60})
    await place.bot.store_token(place.redis, "ann", over)
    shown = await ann.get("/connections")
    assert card_state(shown.text, "discord") == "reconnect"
    assert element(shown, "conn-discord-t") == "Our access to Discord has run out"
    assert "Not working since" in shown.text


async def test_a_disconnect_after_which_nothing_could_be_read_is_not_said_to_have_kept_all(
    redis_url: str, redis: Redis
) -> None:
    async with redis_proxy(redis_url) as proxy, site_at(proxy.url, redis) as place:
        ann = await place.signed_in("ann")
        await place.connect(ann, "github")
        proxy.cut.append(b"oauth_tokens:ann:discord")
        answer = await ann.post("/connections/github/disconnect", htmx=True)
        assert answer.status_code == 503
        assert "is kept" not in answer.text
        assert "We do not know whether it worked." in answer.text
        assert await ann.state_of("github") == "disconnected"
