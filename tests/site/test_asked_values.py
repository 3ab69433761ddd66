"""Values that a provider's address needs of the person: on its card, on a link's page, in chat."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.library import keys_at
from tests.kit.site_fixtures import (
    Browser,
    Place,
    confirm,
    handed_off,
    shown_code,
    site_at,
)
from tests.library.test_asked import config
from webui.chat.tool import connect_service
from webui.oauth_manager import replace_oauth_manager
from webui.oauth_manager.providers import build_providers

pytestmark = pytest.mark.anyio

CARD = "/connections/acme"
FIELD = '<input id="{id}" name="ask.shop" value="{value}" required'


@pytest.fixture
async def place(redis_url: str, redis: Redis) -> AsyncIterator[Place]:
    fields = config(label="Acme", account_label_field="name", scopes=["read"])
    async with site_at(redis_url, redis) as made:
        for manager in (made.site.manager, made.bot):
            manager.providers |= build_providers({}, {"acme": fields})
        yield made


@pytest.fixture
async def ann(place: Place) -> Browser:
    return await place.signed_in("ann")


async def post(browser: Browser, shop: str | None, *, htmx: bool = False) -> httpx.Response:
    data = {"return": "detail", "intent": "connect"}
    data |= {} if shop is None else {"ask.shop": shop}
    return await browser.post(f"{CARD}/connect", data, htmx=htmx)


async def connected(place: Place, browser: Browser, shop: str = "one") -> None:
    page = await post(browser, shop)
    await browser.get(place.fake.authorize(handed_off(page)))
    assert (await place.bot.connection(place.redis, "ann", "acme")).asked == {"shop": shop}


class TestCard:
    async def test_of_the_service_has_the_field_and_the_list_leads_there(
        self, ann: Browser
    ) -> None:
        page = (await ann.get(CARD)).text
        assert FIELD.format(id="conn-acme-ask-shop", value="") in page
        assert '<label for="conn-acme-ask-shop">Your shop</label>' in page
        assert "For example one" in page
        rows = (await ann.get("/connections")).text
        assert "ask.shop" not in rows
        assert re.search(rf'<a [^>]*id="conn-acme-connect" href="{CARD}"', rows)

    async def test_leads_to_the_shop_that_was_typed(self, place: Place, ann: Browser) -> None:
        await connected(place, ann)
        hosts = {request.headers["host"] for request in place.fake.requests}
        assert hosts == {"one.shops.example"}

    @pytest.mark.parametrize("shop", [None, "", "evil.example", "https://evil.example/"])
    @pytest.mark.parametrize("htmx", [False, True])
    async def test_says_that_the_value_is_not_right_and_begins_nothing(
        self, place: Place, ann: Browser, shop: str | None, *, htmx: bool
    ) -> None:
        answer = await post(ann, shop, htmx=htmx)
        page = answer if htmx else await ann.get(answer.headers["location"])
        assert "Acme is not connected yet" in page.text
        assert "evil" not in page.text
        assert await keys_at(place.redis, "oauth_state:*") == []

    async def test_shows_whose_shop_it_is_and_begins_with_it_again(
        self, place: Place, ann: Browser
    ) -> None:
        await connected(place, ann)
        assert "Mona \u00b7 one" in (await ann.get("/connections")).text
        again = await ann.post(f"{CARD}/connect", {"return": "list"})
        assert handed_off(again).startswith("https://one.shops.example/authorize?")


class TestLink:
    async def test_asks_on_its_page_before_it_is_used_up(self, place: Place) -> None:
        browser = await place.browser()
        code = await place.bot.create_link_code(place.redis, "ann", provider="acme")
        page = (await browser.get(f"/connect/{code}")).text
        assert FIELD.format(id="link-shop", value="") in page
        wrong = await browser.post(f"/connect/{code}/start", {"ask.shop": "a.b"})
        assert wrong.status_code == 422
        assert "Acme is not connected yet" in wrong.text
        right = await browser.post(f"/connect/{code}/start", {"ask.shop": "one"})
        assert right.headers["location"] == "/connect/proof"
        await confirm(place, "ann", shown_code(await browser.get("/connect/proof")))
        left = await browser.post("/connect/proof/continue")
        assert handed_off(left).startswith("https://one.shops.example/authorize?")

    async def test_of_the_bot_brings_what_the_person_said_in_chat(self, place: Place) -> None:
        replace_oauth_manager(place.bot)

        class Ann:
            user_id = "ann"
            redis = place.redis
            is_private = True

        said = await connect_service(Ann(), "connect", "acme https://one.shops.example")
        code = said.rsplit("/", 1)[-1]
        page = (await (await place.browser()).get(f"/connect/{code}")).text
        assert FIELD.format(id="link-shop", value="one") in page
        wrong = await connect_service(Ann(), "connect", "Acme evil.example")
        assert "/connect/" not in wrong
        assert "one" in wrong
        open_one = await connect_service(Ann(), "connect", "acme")
        assert "Your shop" in open_one
        assert "/connect/" in open_one
