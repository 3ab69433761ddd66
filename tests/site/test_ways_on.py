"""One button leads on from every error, and it says what became of the request."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.library import BASE_URL
from tests.kit.redis_proxy import RedisProxy, redis_proxy
from tests.kit.site_fixtures import FROM_OUR_PAGE, Browser, Place, site_at
from webui.routes import routes

pytestmark = pytest.mark.anyio

UNKNOWN = "We do not know whether it worked."


@dataclass
class Outage:
    """ann and carol of support at a site whose Redis comes and goes."""

    place: Place
    store: RedisProxy
    ann: Browser
    carol: Browser


@pytest.fixture
async def outage(redis_url: str, redis: Redis) -> AsyncIterator[Outage]:
    async with (
        redis_proxy(redis_url) as store,
        site_at(store.url, redis, support_users=frozenset({"carol"})) as place,
    ):
        ann, carol = [await place.signed_in(user) for user in ("ann", "carol")]
        await place.connect(ann, "github")
        yield Outage(place, store, ann, carol)


def button(page: httpx.Response) -> tuple[str, str]:
    """Return the words of the one button and the address that it leads to."""
    (found,) = re.findall(r'<a class="button[^>]* href="([^"]*)">([^<]*)</a>', page.text)
    return found[1], html.unescape(found[0])


async def post(browser: Browser, path: str, referer: str = "") -> httpx.Response:
    headers = {**FROM_OUR_PAGE, **({"referer": referer} if referer else {})}
    return await browser.client.post(path, headers=headers)


class TestAPageThatCannotBeShown:
    @pytest.mark.parametrize(
        "path", ["/connections", "/connections/github", "/activity?before=1-1", "/connect/proof"]
    )
    async def test_is_one_press_away_at_the_same_address(self, outage: Outage, path: str) -> None:
        phone = await outage.place.browser(outage.ann)
        phone.client.cookies.set("__Host-proof", "p" * 43, domain="bot.example")
        await outage.store.go()
        answer = await phone.get(path)
        assert answer.status_code == 503
        assert button(answer) == ("Try again", "")
        assert "What you have connected is kept." in answer.text

    async def test_of_a_callback_is_too_and_its_code_stands_nowhere_in_it(
        self, outage: Outage
    ) -> None:
        callback = outage.place.fake.authorize(await outage.ann.begin("google"))
        await outage.store.go()
        answer = await outage.ann.come_back(callback)
        assert answer.status_code == 503
        assert button(answer) == ("Try again", "")
        assert "code=" not in answer.text

    async def test_because_there_is_none_leads_home(self, outage: Outage) -> None:
        for path in ("/nowhere", "/signout"):
            assert button(await outage.ann.get(path)) == ("Go to connections", "/connections")


class TestAFormThatBrokeDown:
    BACK = (
        ("/connections/github/check", "/connections/github"),
        ("/connections/github/connect", "/connections/github"),
        ("/connections/github/cancel", "/connections/github"),
        ("/connections/github/dismiss", "/connections/github"),
        ("/connections/github/accept-limited", "/connections/github"),
        ("/connections/github/revoke", "/connections/github"),
        ("/connections/github/disconnect", "/connections/github/disconnect"),
        ("/connections/github/rename", "/connections/github"),
        ("/connections/github/default", "/connections/github"),
        ("/connections/github/switch", "/connections/github/switch"),
        ("/connect/uuuu/start", "/connect/uuuu"),
        ("/connect/uuuu/decline", "/connect/uuuu"),
        ("/connect/proof/continue", "/connect/proof/continue"),
        ("/connect/proof/decline", "/connect/proof"),
        ("/everything/disconnect", "/everything/disconnect"),
        ("/everything/erase", "/everything/erase"),
        ("/signout", "/"),
        ("/signout/everywhere", "/"),
        ("/support/people/bo%20b/end-sessions", "/support/people/bo%20b/end-sessions"),
    )

    def test_has_a_row_here_whatever_it_does(self) -> None:
        shapes = {"/connections/{provider}": "/connections/github", "{code}": "uuuu"}
        posts = {route.path for route in routes() if "POST" in (route.methods or ())}
        for shape, filled in shapes.items():
            posts = {path.replace(shape, filled) for path in posts}
        others = {path for path in posts if path.startswith("/support/")} | {"/signin/sso"}
        assert posts - others == {path for path, _ in self.BACK if "support" not in path}

    @pytest.mark.parametrize(("path", "back"), BACK)
    async def test_leads_back_to_the_nearest_page(
        self, outage: Outage, path: str, back: str
    ) -> None:
        browser = outage.carol if path.startswith("/support") else outage.ann
        if "proof" in path:
            browser.client.cookies.set("__Host-proof", "p" * 43, domain="bot.example")
        await outage.store.go()
        answer = await post(browser, path)
        assert answer.status_code == 503
        assert button(answer) == ("Go back", back)
        await outage.store.come()
        there = await browser.get(back)
        assert there.status_code in (200, 303, 410)

    @pytest.mark.parametrize(
        "page",
        [
            "/connections",
            "/connections/github",
            "/connections/github?from=confirm",
            "/support/people/ann/check?reason=ticket%2044&provider=github",
        ],
    )
    async def test_leads_back_to_the_page_that_the_browser_came_from(
        self, outage: Outage, page: str
    ) -> None:
        await outage.store.go()
        answer = await post(outage.ann, "/connections/github/check", BASE_URL + page)
        assert button(answer) == ("Go back", page)

    @pytest.mark.parametrize(
        "referer",
        [
            "https://evil.example/connections",
            f"{BASE_URL}.evil.example/connections",
            f"{BASE_URL}@evil.example/",
            f"{BASE_URL}//evil.example/connections",
            f"{BASE_URL}/",  # of a page that hides its address
            f"{BASE_URL}/nowhere",
            f"{BASE_URL}/signout",
            f"{BASE_URL}/connections/github/check",
            f"{BASE_URL}/oauth/github/callback?code=canary",
            "javascript:alert(1)",
            "null",
        ],
    )
    async def test_leads_nowhere_else_whatever_the_browser_says(
        self, outage: Outage, referer: str
    ) -> None:
        await outage.store.go()
        answer = await post(outage.ann, "/connections/github/check", referer)
        assert button(answer) == ("Go back", "/connections/github")

    async def test_of_a_check_changed_nothing_and_says_so(self, outage: Outage) -> None:
        before = await outage.place.records()
        await outage.store.go()
        for htmx in (False, True):
            answer = await outage.ann.post("/connections/github/check", htmx=htmx)
            assert answer.status_code == 503
            assert "Nothing was changed." in answer.text
            assert UNKNOWN not in answer.text
        assert await outage.place.records() == before

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("/connections/github/connect", "What you have connected is kept."),
            ("/signout", "You may still be signed in."),
            ("/signout/everywhere", "You may still be signed in."),
            ("/connections/github/dismiss", UNKNOWN),
            ("/connect/uuuu/decline", UNKNOWN),
        ],
    )
    async def test_says_what_is_known_of_it(self, outage: Outage, path: str, said: str) -> None:
        await outage.store.go()
        assert said in (await outage.ann.post(path)).text

    async def test_because_another_site_sent_it_leads_to_the_page_of_ours(
        self, outage: Outage
    ) -> None:
        headers = {"sec-fetch-site": "cross-site", "referer": "https://evil.example/"}
        answer = await outage.ann.client.post("/connections/github/check", headers=headers)
        assert answer.status_code == 403
        assert button(answer) == ("Go back", "/connections/github")
