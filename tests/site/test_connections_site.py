"""The connections page and its buttons, with htmx and without: statuses, headers, focus, notes."""

from __future__ import annotations

import re

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import Answer
from tests.kit.library import (
    BUILT_IN,
    KEY,
    OTHER_KEY,
    connection_key,
    fake_provider,
    keys_at,
    tokens_key,
)
from tests.kit.screens import Document
from tests.kit.site_fixtures import (
    HTMX,
    Browser,
    Place,
    card_state,
    handed_off,
    heading,
    query_of,
    site_at,
)
from webui.rate_limits import LIMITS

pytestmark = pytest.mark.anyio


def is_fragment(answer: httpx.Response) -> bool:
    marked: bool = answer.headers.get("x-fragment") == "1"
    assert marked == ("<html" not in answer.text)
    return marked


def autofocused(answer: httpx.Response) -> str:
    """The id of the one element that asks for the focus."""
    found = [e for e in Document(answer.text).elements if "autofocus" in e.attributes]
    assert len(found) <= 1
    return found[0].attributes.get("id", "") if found else ""


def title(answer: httpx.Response) -> str:
    found = re.search(r"<title>(.*?)</title>", answer.text)
    return found[1] if found else ""


def cards_on(answer: httpx.Response) -> list[str]:
    """The services on a page, in its order."""
    return re.findall(r'<li class="[^"]*" id="conn-(\w+)"', answer.text)


def note(answer: httpx.Response, provider: str = "github") -> str:
    found = [
        e for e in Document(answer.text).elements if e.attributes.get("id") == f"conn-{provider}-n"
    ]
    return " ".join(found[0].text.split()) if found else ""


class TestTheList:
    async def test_has_a_card_for_each_service_in_the_order_of_their_names(
        self, ann: Browser
    ) -> None:
        page = await ann.get("/connections")
        assert cards_on(page) == ["discord", "github", "google", "microsoft"] == list(BUILT_IN)
        assert heading(page.text) == "Connections"
        assert title(page).startswith("Connections ")
        assert not is_fragment(page)

    async def test_is_a_page_even_if_htmx_asks(self, ann: Browser) -> None:
        assert not is_fragment(await ann.get("/connections", htmx=True))

    async def test_leaves_out_what_is_not_set_up(self, redis_url: str, redis: Redis) -> None:
        async with site_at(redis_url, redis, providers_config={}) as place:
            ann = await place.signed_in("ann")
            page = await ann.get("/connections")
        assert "conn-github" not in page.text
        assert "No services are set up here yet." in page.text

    async def test_has_what_is_connected_first_then_the_rest_in_the_order_of_their_names(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "microsoft")
        page = await ann.get("/connections")
        assert cards_on(page) == ["microsoft", "discord", "github", "google"]
        assert "1 connected. Nothing needs you." in page.text

    async def test_names_the_account(self, place: Place, ann: Browser) -> None:
        place.fake.account = {"id": 7, "login": "<b>mona</b>\u202e"}
        await place.connect(ann, "github")
        page = await ann.get("/connections")
        assert "<bdi>&lt;b&gt;mona&lt;/b&gt;</bdi>" in page.text

    async def test_shows_nobody_elses(self, place: Place, ann: Browser, ben: Browser) -> None:
        place.fake.account = {"id": 7, "login": "canary"}
        await place.connect(ann, "github")
        page = await ben.get("/connections")
        assert card_state(page.text, "github") == "not_connected"
        assert "canary" not in page.text

    @pytest.mark.parametrize(
        "path", ["/connections", "/connections/github", "/connect/done/github"]
    )
    async def test_of_nobody_leads_to_signing_in(self, place: Place, path: str) -> None:
        answer = await (await place.browser()).get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/signin?next=/connections")


class TestOneCard:
    async def test_is_a_page_or_a_fragment_with_the_same_card(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        page = await ann.get("/connections/github")
        fragment = await ann.get("/connections/github", htmx=True)
        assert not is_fragment(page)
        assert is_fragment(fragment)
        assert card_state(page.text, "github") == card_state(fragment.text, "github") == "connected"

    async def test_fragment_brings_the_summary_along(self, ann: Browser) -> None:
        fragment = await ann.get("/connections/github", htmx=True)
        assert 'id="cards-summary" hx-swap-oob="outerHTML"' in fragment.text

    @pytest.mark.parametrize("htmx", [True, False])
    async def test_is_never_stored_and_varies_with_who_asks_how(
        self, ann: Browser, htmx: bool
    ) -> None:
        answer = await ann.get("/connections/github", htmx=htmx)
        assert answer.headers["cache-control"] == "no-store"
        vary = {name.strip().lower() for name in answer.headers["vary"].split(",")}
        assert {"hx-request", "cookie"} <= vary

    async def test_from_the_question_has_the_focus_back_on_disconnect(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        answer = await ann.get("/connections/github?from=confirm", htmx=True)
        assert autofocused(answer) == "conn-github-disconnect"

    async def test_at_the_address_for_links_from_elsewhere_starts_nothing(
        self, place: Place, ann: Browser
    ) -> None:
        page = await ann.get("/oauth/github/authorize", headers={"sec-fetch-site": "cross-site"})
        assert page.status_code == 200
        assert card_state(page.text, "github") == "not_connected"
        assert [k async for k in place.redis.scan_iter("stargazer:oauth_state:*")] == []

    @pytest.mark.parametrize("provider", ["gitlab", "GitHub", "github%00", "g%D1%96thub", "%ff"])
    @pytest.mark.parametrize("who", ["ann", "nobody"])
    async def test_of_an_unknown_service_is_404_for_everybody(
        self, place: Place, who: str, provider: str
    ) -> None:
        browser = await (place.signed_in("ann") if who == "ann" else place.browser())
        for path in ("", "/disconnect"):
            assert (await browser.get(f"/connections/{provider}{path}")).status_code == 404
        for path in ("connect", "disconnect", "dismiss"):
            answer = await browser.post(f"/connections/{provider}/{path}")
            assert answer.status_code == 404
        assert (await browser.get(f"/oauth/{provider}/authorize")).status_code == 404
        assert (await browser.get(f"/oauth/{provider}/callback?state=a")).status_code == 404
        assert (await browser.get(f"/connect/done/{provider}")).status_code == 404


class TestConnect:
    async def test_hands_off_by_a_page(self, ann: Browser) -> None:
        answer = await ann.post("/connections/github/connect")
        assert answer.status_code == 200
        assert heading(answer.text) == "Taking you to GitHub…"
        assert handed_off(answer).startswith("https://provider.example/github/authorize?")
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "<strong>provider.example</strong>" in answer.text

    async def test_hands_off_htmx_by_a_header(self, ann: Browser) -> None:
        answer = await ann.post("/connections/github/connect", htmx=True)
        assert answer.status_code == 200
        assert answer.headers["hx-redirect"].startswith(
            "https://provider.example/github/authorize?"
        )
        assert answer.headers["cache-control"] == "no-store"
        assert answer.text == ""

    async def test_asks_for_pkce_and_a_state_of_256_bits(self, ann: Browser) -> None:
        queries = [query_of(await ann.begin("github")) for _ in range(20)]
        for query in queries:
            assert query["code_challenge_method"] == "S256"
            assert len(query["code_challenge"]) == 43
            assert len(query["state"]) == 43
        assert len({query["state"] for query in queries}) == 20
        assert len({query["code_challenge"] for query in queries}) == 20

    @pytest.mark.parametrize("htmx", [True, False])
    async def test_of_what_is_not_set_up_is_409_and_sends_nothing(
        self, redis_url: str, redis: Redis, htmx: bool
    ) -> None:
        """not_set_up"""
        fake = fake_provider()
        async with site_at(redis_url, redis, fake, providers_config={}) as place:
            ann = await place.signed_in("ann")
            answer = await ann.post("/connections/github/connect", htmx=htmx)
            states = [key async for key in redis.scan_iter("stargazer:oauth_state:*")]
        assert answer.status_code == 409
        assert is_fragment(answer) == htmx
        assert card_state(answer.text, "github") == "not_set_up"
        assert "GitHub is not set up here" in answer.text
        assert states == []
        assert fake.requests == []

    async def test_again_asks_for_what_a_tool_had_asked_for(
        self, place: Place, ann: Browser
    ) -> None:
        url = await place.bot.generate_connect_url("ann", "github", place.redis, ["repo", "gist"])
        await ann.get(place.fake.authorize(url))
        await place.answer(ann, "github")
        query = query_of(await ann.begin("github", {"intent": "reconnect"}))
        assert {"repo", "gist"} <= set(query["scope"].replace(",", " ").split())

    async def test_beyond_the_limit_stores_no_attempt_and_no_card_waits(
        self, place: Place, ann: Browser
    ) -> None:
        most = int(LIMITS["connect"].partition("/")[0])
        await place.redis.set("stargazer:web_limit:connect:ann", most, ex=60)
        answer = await ann.post("/connections/github/connect")
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 60
        assert await keys_at(place.redis, "*state*") == []
        assert card_state((await ann.get("/connections")).text, "github") == "not_connected"

    async def test_is_counted_even_if_the_record_is_no_text(
        self, place: Place, ann: Browser
    ) -> None:
        await place.redis.rpush(tokens_key("ann", "github"), "a list")
        assert (await ann.post("/connections/github/connect")).status_code == 200
        assert await place.redis.get("stargazer:web_limit:connect:ann") == b"1"

    async def test_by_nobody_leads_to_signing_in(self, place: Place) -> None:
        browser = await place.browser()
        answer = await browser.post("/connections/github/connect")
        assert answer.headers["location"] == "/signin?next=/connections"
        answer = await browser.post("/connections/github/connect", htmx=True)
        assert answer.status_code == 401
        assert answer.headers["hx-redirect"] == "/signin?next=/connections"


class TestAskingToDisconnect:
    async def test_is_a_page_or_the_card_with_the_focus_on_the_question(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        page = await ann.get("/connections/github/disconnect")
        assert not is_fragment(page)
        assert heading(page.text) == "Disconnect GitHub?"
        assert title(page).startswith("Disconnect GitHub?")
        assert "hx-post" not in page.text
        fragment = await ann.get("/connections/github/disconnect", htmx=True)
        assert is_fragment(fragment)
        assert card_state(fragment.text, "github") == "asking"
        assert autofocused(fragment) == "conn-github-t"

    async def test_changes_nothing(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "github")
        before = await place.records()
        for _ in range(3):
            await ann.get("/connections/github/disconnect")
            await ann.client.head("/connections/github/disconnect")
        assert await place.records() == before
        assert not place.fake.calls["revoke"]

    @pytest.mark.parametrize("htmx", [True, False])
    async def test_about_what_is_gone_shows_how_things_stand(
        self, ann: Browser, htmx: bool
    ) -> None:
        answer = await ann.get("/connections/github/disconnect", htmx=htmx)
        assert answer.status_code == 200
        assert is_fragment(answer) == htmx
        assert card_state(answer.text, "github") == "not_connected"


class TestDisconnect:
    @pytest.mark.parametrize(
        ("provider", "state", "said"),
        [
            (
                "github",
                "disconnected",
                "GitHub is disconnected. GitHub has cancelled our access too.",
            ),
            ("google", "disconnected", "Google is disconnected."),
            ("discord", "disconnected", "Discord is disconnected."),
            ("microsoft", "own_list", "Microsoft is disconnected."),
        ],
    )
    @pytest.mark.parametrize("htmx", [True, False])
    async def test_deletes_here_first_and_says_what_the_provider_did(
        self, place: Place, ann: Browser, provider: str, state: str, said: str, htmx: bool
    ) -> None:
        await place.connect(ann, provider)
        answer = await ann.post(f"/connections/{provider}/disconnect", htmx=htmx)
        assert await place.redis.exists(tokens_key("ann", provider)) == 0
        assert await place.redis.exists(connection_key("ann", provider)) == 0
        if htmx:
            assert answer.status_code == 200
            assert is_fragment(answer)
            assert autofocused(answer) == f"conn-{provider}-n"
        else:
            assert answer.status_code == 303
            assert answer.headers["location"] == f"/connections#conn-{provider}-n"
            answer = await ann.get("/connections")
            assert title(answer).startswith(f"{place.bot.providers[provider].label} disconnected")
        assert card_state(answer.text, provider) == state
        assert note(answer, provider).startswith(said)

    async def test_on_the_cards_own_page_leads_back_there(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "github")
        answer = await ann.post("/connections/github/disconnect", {"return": "detail"})
        assert answer.headers["location"] == "/connections/github#conn-github-n"

    @pytest.mark.parametrize(
        "answer", [Answer(500), Answer(404), Answer(401), Answer(302, {"location": "/"})]
    )
    async def test_that_the_provider_does_not_confirm_is_done_here_all_the_same(
        self, place: Place, ann: Browser, answer: Answer
    ) -> None:
        """still_listed"""
        await place.connect(ann, "google")
        place.fake.script("revoke", answer)
        shown = await ann.post("/connections/google/disconnect", htmx=True)
        assert card_state(shown.text, "google") == "still_listed"
        assert "did not confirm" in note(shown, "google")
        assert await place.redis.exists(tokens_key("ann", "google")) == 0

    @pytest.mark.parametrize("htmx", [True, False])
    async def test_of_what_is_gone_is_calm(self, place: Place, ann: Browser, htmx: bool) -> None:
        await place.connect(ann, "github")
        await ann.post("/connections/github/disconnect")
        answer = await ann.post("/connections/github/disconnect", htmx=htmx)
        if not htmx:
            assert answer.status_code == 303
            answer = await ann.get("/connections")
        assert answer.status_code == 200
        assert card_state(answer.text, "github") == "disconnected"
        assert note(answer) == "GitHub was already disconnected. Dismiss this message GitHub"
        assert place.fake.calls["revoke"] == 1

    async def test_leaves_everybody_elses_and_the_other_services_alone(
        self, place: Place, ann: Browser, ben: Browser
    ) -> None:
        for browser in (ann, ben):
            await place.connect(browser, "github")
        await place.connect(ann, "google")
        await ann.post("/connections/github/disconnect", {"user_id": "ben", "user": "ben"})
        assert await ben.state_of("github") == "connected"
        assert await ann.state_of("google") == "connected"

    async def test_works_on_what_cannot_be_read(
        self, place: Place, ann: Browser, redis_url: str, redis: Redis
    ) -> None:
        """Another key; it is kept until somebody says so"""
        await place.connect(ann, "github")
        async with site_at(redis_url, redis, place.fake, encryption_keys=(OTHER_KEY,)) as other:
            there = await other.browser(ann)
            assert await there.state_of("github") == "unreadable"
            assert await ann.state_of("github") == "connected"
            answer = await there.post("/connections/github/disconnect", htmx=True)
        assert card_state(answer.text, "github") == "still_listed"
        assert await ann.state_of("github") in ("not_connected", "still_listed")
        assert KEY != OTHER_KEY

    async def test_of_what_is_not_set_up_any_more_is_possible(
        self, place: Place, ann: Browser, redis_url: str, redis: Redis
    ) -> None:
        """not_set_up, second case"""
        await place.connect(ann, "github")
        async with site_at(redis_url, redis, place.fake, providers_config={}) as other:
            there = await other.browser(ann)
            assert await there.state_of("github") == "not_set_up"
            answer = await there.post("/connections/github/disconnect", htmx=True)
            assert answer.status_code == 200
        assert await redis.exists(tokens_key("ann", "github")) == 0


class TestDismiss:
    @pytest.mark.parametrize("provider", ["microsoft", "github"])
    @pytest.mark.parametrize("htmx", [True, False])
    async def test_takes_the_note_away(
        self, place: Place, ann: Browser, htmx: bool, provider: str
    ) -> None:
        await place.connect(ann, provider)
        shown = await ann.post(f"/connections/{provider}/disconnect", htmx=True)
        assert f'action="/connections/{provider}/dismiss"' in shown.text
        answer = await ann.post(f"/connections/{provider}/dismiss", htmx=htmx)
        if htmx:
            assert is_fragment(answer)
            assert autofocused(answer) == f"conn-{provider}-t"
        else:
            assert answer.headers["location"] == f"/connections#conn-{provider}-t"
            answer = await ann.get("/connections")
        assert card_state(answer.text, provider) == "not_connected"
        assert note(answer, provider) == ""

    async def test_without_a_note_is_calm(self, ann: Browser) -> None:
        assert (await ann.post("/connections/github/dismiss")).status_code == 303


class TestANote:
    async def test_is_for_one_browser(self, place: Place, ann: Browser) -> None:
        other = await place.signed_in("ann")
        await place.connect(ann, "github")
        await ann.post("/connections/github/disconnect")
        assert await ann.state_of("github") == "disconnected"
        assert await other.state_of("github") == "not_connected"

    async def test_that_is_no_longer_true_is_not_shown(self, place: Place, ann: Browser) -> None:
        other = await place.signed_in("ann")
        await place.connect(ann, "github")
        await ann.post("/connections/github/disconnect")
        await place.connect(other, "github")
        page = await ann.get("/connections")
        assert card_state(page.text, "github") == "connected"
        assert "disconnected" not in note(page)

    async def test_gives_way_to_the_latest_unless_it_asks_for_something_or_is_a_receipt(
        self, place: Place, ann: Browser
    ) -> None:
        for provider in ("microsoft", "github", "google"):
            await place.connect(ann, provider)
        assert note(await ann.get("/connections"), "github") == ""
        assert note(await ann.get("/connections"), "google") != ""
        await ann.post("/connections/microsoft/disconnect")
        await ann.post("/connections/github/disconnect")
        page = await ann.get("/connections")
        assert card_state(page.text, "microsoft") == "own_list"
        assert card_state(page.text, "github") == "disconnected"
        assert note(page, "google") == ""

    async def test_stays_over_a_reload(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "github")
        for _ in range(2):
            assert note(await ann.get("/connections")) == "GitHub is connected."


class TestStates:
    async def test_of_a_grant_that_ended_asks_to_reconnect(
        self, place: Place, ann: Browser
    ) -> None:
        """reconnect"""
        await place.connect(ann, "google")
        place.fake.withdraw()
        token = await place.bot.valid_token(place.redis, "ann", "google")
        assert token
        token.expires_at = 1000.0
        await place.bot.store_token(place.redis, "ann", token)
        assert await place.bot.get_token("ann", "google", place.redis) is None
        page = await ann.get("/connections")
        assert card_state(page.text, "google") == "reconnect"
        assert "Google has ended our access" in page.text
        assert Document(page.text).by_id("cards-summary").text.strip() == "Google needs you."
        await ann.get(place.fake.authorize(await ann.begin("google", {"intent": "reconnect"})))
        assert await ann.state_of("google") == "connected"

    async def test_of_an_expired_token_that_renews_itself_is_connected(
        self, place: Place, ann: Browser
    ) -> None:
        """renewing"""
        await place.connect(ann, "google")
        token = await place.bot.valid_token(place.redis, "ann", "google")
        assert token
        token.expires_at = 1000.0
        await place.bot.store_token(place.redis, "ann", token)
        page = await ann.get("/connections")
        assert card_state(page.text, "google") == "renewing"
        assert not place.fake.calls["refresh"], "looking does not refresh"


class TestTheStatusForMachines:
    async def test_is_json_without_secrets(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "github")
        answer = await ann.get("/oauth/status")
        assert answer.json()["configured"] == list(BUILT_IN)
        (one,) = answer.json()["connections"]
        assert one["provider"] == "github"
        assert not any(secret in answer.text for secret in place.fake.issued)
        assert answer.headers["cache-control"] == "no-store"

    async def test_of_nobody_is_401(self, place: Place) -> None:
        assert (await (await place.browser()).get("/oauth/status")).status_code == 401


class TestSigningOut:
    async def test_ends_every_copy_of_the_cookie(self, place: Place, ann: Browser) -> None:
        cookie = {"cookie": f"__Host-session={ann.client.cookies['__Host-session']}"}
        copy = await place.browser()
        assert (await copy.get("/connections", headers=cookie)).status_code == 200
        answer = await ann.post("/signout")
        assert answer.headers["location"] == "/signed-out"
        assert answer.headers["clear-site-data"] == '"cache", "storage"'
        for path in ("/connections", "/connections/github", "/"):
            answer = await copy.get(path, headers=cookie)
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/signin")
        answer = await copy.get("/connections/github", headers={**cookie, **HTMX})
        assert answer.status_code == 401

    async def test_has_the_page_after_it_forget_the_page_before_it(
        self, place: Place, ann: Browser
    ) -> None:
        """WebKit asks the page it goes to, not the redirect on the way."""
        await ann.post("/signout")
        answer = await ann.get("/signed-out")
        assert answer.headers["clear-site-data"] == '"cache"'
        assert answer.headers["cache-control"] == "no-store"
