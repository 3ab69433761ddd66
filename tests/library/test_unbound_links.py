"""A link straight to the provider: what comes back is connected by the person's word alone."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.cards_shown import note, said_by
from tests.kit.fake_answers import Answer, json_answer
from tests.kit.library import ACCOUNTS, BUILT_IN, age, granted, keys_at
from tests.kit.site_fixtures import (
    Browser,
    Place,
    confirm,
    handed_off,
    heading,
    offer_on,
    query_of,
    shown_code,
    site_at,
)
from webui.oauth_manager import SwitchOffer
from webui.oauth_manager.storage.keys import PARKED_TTL
from webui.oauth_manager.storage.switch_offers import OFFER_SECONDS as KEPT_SECONDS

pytestmark = pytest.mark.anyio

QUESTION = "/connections/{}/switch"
# The account with which a stranger signs in at each provider.
EVES: dict[str, dict[str, Any]] = {
    "discord": {"user": {"id": "666", "username": "eve"}},
    "github": {"id": 666, "login": "eve"},
    "google": {"sub": "666", "email": "eve@example.net", "email_verified": True},
    "microsoft": {"id": "666", "userPrincipalName": "eve@contoso.example"},
}
HANDLES = {
    "discord": ("mona", "eve"),
    "github": ("mona", "eve"),
    "google": ("mona@example.org", "eve@example.net"),
    "microsoft": ("mona@contoso.example", "eve@contoso.example"),
}


async def planted(place: Place, provider: str = "github", user: str = "ann") -> str:
    """The callback of a stranger who has seen the user's link and signed in as himself."""
    place.fake.account = EVES[provider]
    url = await place.bot.generate_connect_url(user, provider, place.redis)
    return place.fake.authorize(url)


async def asked(place: Place, browser: Browser, callback: str, provider: str = "github") -> str:
    """Open the callback in the person's session: the offer that the page asks about."""
    answer = await browser.get(callback)
    assert (answer.status_code, answer.headers["location"]) == (303, QUESTION.format(provider))
    return offer_on(await browser.get(QUESTION.format(provider)))


async def alive(place: Place) -> set[str]:
    return {token for token in place.fake.issued if place.fake.is_alive(token)}


async def label(place: Place, provider: str = "github", user: str = "ann") -> str:
    connection = await place.bot.connection(place.redis, user, provider)
    return connection.profile.account.label


def run_out(place: Place) -> None:
    """Time passes for the offer that waits."""
    place.clock.advance(PARKED_TTL)


class TestAStrangersAccount:
    @pytest.mark.parametrize("provider", BUILT_IN)
    async def test_is_not_connected_in_the_persons_session_but_asked_about_by_its_handle(
        self, place: Place, ann: Browser, provider: str
    ) -> None:
        await asked(place, ann, await planted(place, provider), provider)
        assert await place.records() == {}
        page = await ann.get(QUESTION.format(provider))
        handle = HANDLES[provider][1]
        assert f"<code><bdi>{handle}</bdi></code>. Is that you?" in page.text
        assert await place.bot.get_token("ann", provider, place.redis) is None

    async def test_is_asked_about_after_the_proof_in_chat_too(self, place: Place) -> None:
        phone = await place.browser()
        await phone.get(await planted(place))
        assert place.fake.calls["token"] == 0
        assert await confirm(place, "ann", shown_code(await phone.get("/connect/proof")))
        answer = await phone.post("/connect/proof/continue")
        assert answer.headers["location"] == QUESTION.format("github")
        assert await place.records() == {}

    async def test_is_asked_about_where_the_browsers_word_proves_the_person(
        self, redis_url: str, redis: Redis
    ) -> None:
        async with site_at(redis_url, redis, link_proof="confirm") as team:
            phone = await team.browser()
            await phone.get(await planted(team))
            answer = await phone.post("/connect/proof/continue")
            assert answer.headers["location"] == QUESTION.format("github")
            assert await team.records() == {}

    async def test_that_is_refused_is_forgotten_and_its_grant_ended(
        self, place: Place, ann: Browser
    ) -> None:
        await asked(place, ann, await planted(place))
        answer = await place.answer(ann, "github", "old")
        assert answer.headers["location"] == "/connections#conn-github-n"
        assert await place.records() == {}
        assert await alive(place) == set()
        assert await keys_at(place.redis, "oauth_switch:*") == []
        page = await ann.get("/connections")
        assert note(page).startswith("That GitHub account was not connected")
        events = (await place.bot.activity(place.redis, "ann")).events
        assert events[0].kind == "denied"

    async def test_that_is_refused_leaves_what_is_connected_as_it_is(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        before, tokens = await place.records(), await alive(place)
        await asked(place, ann, await planted(place))
        assert "You are connected as" in (await ann.get(QUESTION.format("github"))).text
        assert await place.records() == before
        await place.answer(ann, "github", "old")
        assert await place.records() == before
        assert await alive(place) == tokens
        assert "Your old connection is unchanged." in (await ann.get("/connections")).text

    async def test_whose_name_is_a_copy_is_told_apart_by_its_handle(
        self, place: Place, ann: Browser
    ) -> None:
        callback = await planted(place)
        place.fake.account = {"id": 666, "login": "m0na", "name": "Mona"}
        await asked(place, ann, callback)
        page = (await ann.get(QUESTION.format("github"))).text
        assert "m0na" in page
        assert "Mona" not in page

    async def test_that_is_connected_by_the_stranger_himself_keeps_its_grant(
        self, place: Place, ann: Browser, ben: Browser
    ) -> None:
        """GitHub ends everything that an account has granted: his own connection here too."""
        place.fake.account = EVES["github"]
        await place.connect(ben, "github")
        his = await place.bot.get_token("ben", "github", place.redis)
        await asked(place, ann, await planted(place))
        await place.answer(ann, "github", "old")
        assert place.fake.calls["revoke"] == 0
        assert place.fake.is_alive(str(his))


class TestThePersonsOwnAccount:
    @pytest.mark.parametrize("provider", BUILT_IN)
    async def test_is_connected_by_a_yes(self, place: Place, ann: Browser, provider: str) -> None:
        callback = await planted(place, provider)
        place.fake.account = ACCOUNTS[provider]
        await asked(place, ann, callback, provider)
        answer = await place.answer(ann, provider)
        assert answer.headers["location"] == f"/connect/done/{provider}"
        assert await label(place, provider) == HANDLES[provider][0]
        assert await place.bot.get_token("ann", provider, place.redis)
        assert await ann.state_of(provider) == "connected"
        notices = place.bot.notices(place.redis, "a-bot")
        assert (await anext(notices)).account == HANDLES[provider][0]
        await notices.aclose()  # type: ignore[attr-defined]

    async def test_takes_the_place_of_another_one_by_a_yes(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        old = await place.bot.get_token("ann", "github", place.redis)
        await asked(place, ann, await planted(place))
        await place.answer(ann, "github")
        await place.settled()
        assert await label(place) == "eve"
        assert not place.fake.is_alive(str(old))
        assert note(await ann.get("/connections")).startswith("GitHub now uses the account")

    @pytest.mark.parametrize("provider", BUILT_IN)
    async def test_that_is_connected_already_is_not_asked_about_and_nothing_is_revoked(
        self, place: Place, ann: Browser, provider: str
    ) -> None:
        place.fake.account = ACCOUNTS[provider]
        await place.connect(ann, provider)
        url = await place.bot.generate_connect_url("ann", provider, place.redis)
        answer = await ann.get(place.fake.authorize(url))
        assert answer.headers["location"] == f"/connect/done/{provider}"
        assert await keys_at(place.redis, "oauth_switch:*") == []
        await place.settled()
        assert place.fake.calls["revoke"] == 0
        assert await place.bot.get_token("ann", provider, place.redis)

    async def test_by_way_of_the_landing_page_is_not_asked_about(self, place: Place) -> None:
        browser = await place.browser()
        url = handed_off(await place.prove(browser, "ann", "github"))
        answer = await browser.get(place.fake.authorize(url))
        assert answer.headers["location"] == "/connect/done/github"
        assert await label(place) == "mona"


class TestAHandle:
    """The name that is asked about is one that nobody else there can have, shown as it is."""

    @pytest.mark.parametrize(
        ("provider", "account"),
        [
            ("github", {"id": 666, "name": "Mona"}),
            ("github", {"id": 666, "login": "mo\u200bna"}),
            ("github", {"id": 666, "login": "m\u043ena"}),
            ("github", {"id": 666, "login": "mona lisa"}),
            ("github", {"id": 666, "login": ""}),
            ("github", {"id": 666, "login": "m" * 81}),
            ("google", {"sub": "666", "name": "Mona", "profile": "mona@example.org"}),
            ("google", {"sub": "666", "email": "mona@example.org", "email_verified": False}),
            ("google", {"sub": "666", "email": "mona@example.org", "email_verified": "false"}),
            ("discord", {"user": {"id": "666", "global_name": "mona"}}),
            ("microsoft", {"id": "666", "displayName": "mona@contoso.example"}),
            ("microsoft", {"id": "666", "mail": "mona@contoso.example"}),
            ("microsoft", ["mona"]),
        ],
    )
    async def test_that_could_be_a_copy_or_is_not_known_leads_to_a_start_in_this_browser(
        self, place: Place, ann: Browser, provider: str, account: Any
    ) -> None:
        callback = await planted(place, provider)
        place.fake.account = account
        answer = await ann.get(callback)
        assert answer.headers["location"] == f"/connections#conn-{provider}-n"
        page = await ann.get("/connections")
        assert note(page, provider).startswith("We could not show you whose")
        assert "Start again" in page.text
        assert await place.records() == {}
        assert await keys_at(place.redis, "oauth_switch:*") == []

    async def test_that_is_not_known_has_the_grant_ended(self, place: Place, ann: Browser) -> None:
        callback = await planted(place)
        place.fake.account = {"id": 666, "name": "Mona"}
        await ann.get(callback)
        assert await alive(place) == set()

    async def test_of_an_account_that_nobody_could_be_asked_for_is_not_known(
        self, place: Place, ann: Browser
    ) -> None:
        callback = await planted(place)
        place.fake.script("account", Answer(503))
        await ann.get(callback)
        assert note(await ann.get("/connections")).startswith("We could not show you whose")
        assert place.fake.calls["revoke"] == 0, "it may be one that is in use here"

    @pytest.mark.parametrize("field", ["", "login"])
    async def test_of_a_provider_of_the_deployments_own_is_what_the_setting_names(
        self, redis_url: str, redis: Redis, field: str
    ) -> None:
        """A name to show (``account_label_field``) is none: it may be chosen freely there."""
        wiki = {
            "authorize_url": "http://provider.example/wiki/authorize",
            "token_url": "http://provider.example/wiki/token",
            "account_url": "http://provider.example/wiki/account",
            "client_id": "client",
            "client_secret": "client-secret",
            "account_label_field": "login",
            "account_handle_field": field,
        }
        async with site_at(redis_url, redis, providers_config={"wiki": wiki}) as place:
            ann = await place.signed_in("ann")
            url = await place.bot.generate_connect_url("ann", "wiki", redis)
            answer = await ann.get(place.fake.authorize(url))
            wanted = QUESTION.format("wiki") if field else "/connections#conn-wiki-n"
            assert answer.headers["location"] == wanted


class TestAnAnswer:
    async def test_to_another_offer_changes_nothing_and_is_asked_the_newest(
        self, place: Place, ann: Browser
    ) -> None:
        first = await asked(place, ann, await planted(place))
        second = await asked(place, ann, await planted(place))
        assert first != second
        for choice in ("new", "old"):
            answer = await place.answer(ann, "github", choice, offer=first)
            assert answer.headers["location"] == QUESTION.format("github")
            assert await place.records() == {}
            assert offer_on(await ann.get(QUESTION.format("github"))) == second

    @pytest.mark.parametrize("form", [{"choice": "new"}, {"choice": "new", "offer": ""}])
    async def test_that_names_no_offer_changes_nothing(
        self, place: Place, ann: Browser, form: dict[str, str]
    ) -> None:
        offer = await asked(place, ann, await planted(place))
        answer = await ann.post(QUESTION.format("github"), form)
        assert answer.headers["location"] == QUESTION.format("github")
        assert offer_on(await ann.get(QUESTION.format("github"))) == offer
        assert await place.records() == {}

    async def test_from_another_persons_session_changes_nothing(
        self, place: Place, ann: Browser, ben: Browser
    ) -> None:
        offer = await asked(place, ann, await planted(place))
        await place.answer(ben, "github", offer=offer)
        assert await place.records() == {}
        assert offer_on(await ann.get(QUESTION.format("github"))) == offer

    @pytest.mark.parametrize("choice", ["new", "old"])
    async def test_in_two_tabs_counts_once(self, place: Place, ann: Browser, choice: str) -> None:
        offer = await asked(place, ann, await planted(place))
        await place.answer(ann, "github", choice, offer=offer)
        before, told = await place.records(), note(await ann.get("/connections"))
        await place.answer(ann, "github", "old" if choice == "new" else "new", offer=offer)
        assert await place.records() == before
        assert bool(before) == (choice == "new")
        assert note(await ann.get("/connections")) == told

    async def test_fifty_times_at_once_is_carried_out_once(
        self, place: Place, ann: Browser
    ) -> None:
        offer = await asked(place, ann, await planted(place))
        tabs = [await place.browser(ann) for _ in range(50)]
        await asyncio.gather(*(place.answer(tab, "github", offer=offer) for tab in tabs))
        events = (await place.bot.activity(place.redis, "ann")).events
        assert [event.kind for event in events if event.kind == "connected"] == ["connected"]

    async def test_that_comes_too_late_connects_nothing(self, place: Place, ann: Browser) -> None:
        offer = await asked(place, ann, await planted(place))
        run_out(place)
        answer = await place.answer(ann, "github", offer=offer)
        assert answer.headers["location"] == "/connections#conn-github-n"
        assert await place.records() == {}
        await place.settled()
        assert await alive(place) == set()


class TestAnOfferThatNobodyAnswers:
    async def test_is_shown_on_the_card_with_the_way_to_the_question(
        self, place: Place, ann: Browser
    ) -> None:
        await asked(place, ann, await planted(place))
        page = await ann.get("/connections")
        assert said_by(page).startswith("There is a question for you about GitHub.")
        assert 'href="/connections/github/switch"' in page.text

    async def test_stays_an_hour_past_its_question(self, place: Place, ann: Browser) -> None:
        await asked(place, ann, await planted(place))
        (key,) = await keys_at(place.redis, "oauth_switch:*")
        left = await place.redis.ttl(key)
        assert PARKED_TTL + KEPT_SECONDS - 60 < left <= PARKED_TTL + KEPT_SECONDS

    @pytest.mark.parametrize(
        "path", ["/connections/github/switch", "/connections", "/connections/github"]
    )
    async def test_is_given_back_by_the_next_look(
        self, place: Place, ann: Browser, path: str
    ) -> None:
        await asked(place, ann, await planted(place))
        run_out(place)
        for session in await keys_at(place.redis, "web_session:*"):
            kept = json.loads(await place.redis.hget(session, "note:github") or "")
            aged = json.dumps({**kept, "until": time.time() - 1})
            await place.redis.hset(session, "note:github", aged)
        await ann.get(path)
        await place.settled()
        assert await alive(place) == set()
        assert await keys_at(place.redis, "oauth_switch:*") == []
        page = await ann.get("/connections")
        assert note(page).startswith("You did not answer in time, so nothing was changed.")
        assert place.fake.calls["revoke"] == 1

    async def test_is_given_back_by_a_newer_one(self, place: Place, ann: Browser) -> None:
        await asked(place, ann, await planted(place))
        first = await alive(place)
        callback = await planted(place)
        place.fake.account = ACCOUNTS["github"]
        await ann.get(callback)
        await place.settled()
        assert not first & await alive(place)
        assert place.fake.calls["revoke"] == 1
        await place.answer(ann, "github")
        assert await label(place) == "mona"
        assert await place.bot.check(place.redis, "ann", "github") == "working"

    async def test_is_not_given_back_by_a_newer_one_of_the_same_account(
        self, place: Place, ann: Browser
    ) -> None:
        """The provider would end both."""
        await asked(place, ann, await planted(place))
        await asked(place, ann, await planted(place))
        await place.settled()
        assert place.fake.calls["revoke"] == 0
        await place.answer(ann, "github")
        assert await place.bot.check(place.redis, "ann", "github") == "working"

    async def test_is_over_with_a_connection_made_meanwhile(
        self, place: Place, ann: Browser
    ) -> None:
        offer = await asked(place, ann, await planted(place))
        theirs = await alive(place)
        place.fake.account = ACCOUNTS["github"]
        await place.connect(ann, "github")
        await place.settled()
        assert not theirs & await alive(place)
        await place.answer(ann, "github", offer=offer)
        assert await label(place) == "mona"
        assert await place.bot.check(place.redis, "ann", "github") == "working"

    async def test_is_over_with_a_disconnect_meanwhile(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "github")
        offer = await asked(place, ann, await planted(place))
        await ann.post("/connections/github/disconnect")
        await place.settled()
        assert await alive(place) == set()
        await place.answer(ann, "github", offer=offer)
        assert await place.records() == {}


class TestALinkOfAnEarlierVersion:
    async def test_is_bound_to_no_browser_either(self, place: Place, ann: Browser) -> None:
        """Its state was stored before this was asked; nothing in it says otherwise."""
        callback = await planted(place)
        state = query_of(callback)["state"]
        attempt = await place.bot.links.take_attempt(place.redis, state)
        assert attempt
        assert not attempt.is_bound
        code = query_of(callback)["code"]
        offer = await place.bot.complete(place.redis, attempt, code)
        assert isinstance(offer, SwitchOffer)
        assert offer.handle == "eve"


@pytest.fixture
async def microsoft(place: Place, ann: Browser) -> Browser:
    """Ann at Microsoft, whose id the account endpoint gives alone."""
    place.fake.account = ACCOUNTS["microsoft"]
    return ann


def with_tenant(tenant: str) -> Any:
    """A token answer with an id token that names the tenant."""
    claims = base64.urlsafe_b64encode(json.dumps({"tid": tenant}).encode()).decode().rstrip("=")

    async def answer(place: Place, request: Any) -> Answer:
        given = await place.fake.respond(request)
        body = {**json.loads(given.body), "id_token": f"x.{claims}.x"}  # type: ignore[arg-type]
        return json_answer(body)

    return answer


class TestAnAccountOfMicrosoft:
    """With ``openid`` among the scopes its id has the tenant in front, without it none."""

    async def connect(self, place: Place, browser: Browser, tenant: str) -> str:
        if tenant:
            answer = with_tenant(tenant)
            place.fake.script("token", lambda request: answer(place, request))
        return (await place.connect(browser, "microsoft")).headers["location"]

    async def id(self, place: Place) -> str:
        connection = await place.bot.connection(place.redis, "ann", "microsoft")
        return connection.profile.account.id

    @pytest.mark.parametrize(("first", "then"), [("", "t1"), ("t1", ""), ("t1", "t1")])
    async def test_is_recognised_in_either_form_and_the_fuller_one_is_kept(
        self, place: Place, microsoft: Browser, first: str, then: str
    ) -> None:
        for tenant in (first, then):
            answer = await self.connect(place, microsoft, tenant)
            assert answer == "/connections#conn-microsoft-n"
        assert await self.id(place) == "t1/42"
        for known in ("42", "t1/42"):
            assert await place.bot.find_accounts(place.redis, "microsoft", known) == ("ann",)
        assert await place.bot.find_accounts(place.redis, "microsoft", "t2/42") == ()

    async def test_of_another_tenant_is_another_one(self, place: Place, microsoft: Browser) -> None:
        await self.connect(place, microsoft, "t1")
        assert await self.connect(place, microsoft, "t2") == QUESTION.format("microsoft")

    async def test_leaves_the_index_with_the_connection_in_whatever_form_it_was_listed(
        self, place: Place, microsoft: Browser
    ) -> None:
        await self.connect(place, microsoft, "")
        await self.connect(place, microsoft, "t1")
        await place.bot.delete_token(place.redis, "ann", "microsoft")
        assert await keys_at(place.redis, "oauth_account:*") == []


class TestAnAccountThatIsNotKnown:
    """On one side or both, in a flow that began in this browser."""

    async def test_before_is_asked_about_by_the_name_of_the_new_one(
        self, place: Place, ann: Browser
    ) -> None:
        place.fake.script("account", Answer(500))
        await place.connect(ann, "github")
        answer = await place.connect(ann, "github")
        assert answer.headers["location"] == QUESTION.format("github")
        page = (await ann.get(QUESTION.format("github"))).text
        assert "We do not know which account it was until now." in page
        assert "You came back as <bdi>mona</bdi>." in page
        assert "cannot tell whether it is the same one" in page

    async def test_now_is_asked_about_by_the_name_of_the_old_one(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        place.fake.script("account", Answer(500))
        answer = await place.connect(ann, "github")
        assert answer.headers["location"] == QUESTION.format("github")
        page = (await ann.get(QUESTION.format("github"))).text
        assert "Until now it was <bdi>mona</bdi>." in page
        assert "GitHub did not say which account you came back with." in page

    @pytest.mark.parametrize("choice", ["new", "old"])
    @pytest.mark.parametrize("unknown", [0, 1])
    async def test_may_be_the_same_so_no_grant_is_ended_whatever_the_answer(
        self, place: Place, ann: Browser, unknown: int, choice: str
    ) -> None:
        for number in range(2):
            if number == unknown:
                place.fake.script("account", Answer(500))
            await place.connect(ann, "github")
        await place.answer(ann, "github", choice)
        await place.settled()
        assert place.fake.calls["revoke"] == 0
        assert await place.bot.check(place.redis, "ann", "github") == "working"

    async def test_on_both_sides_is_no_question_that_could_name_nothing(
        self, place: Place, ann: Browser
    ) -> None:
        place.fake.always["account"] = Answer(401)
        for _ in range(2):
            answer = await place.connect(ann, "github")
            assert answer.headers["location"] == "/connections#conn-github-n"

    async def test_of_a_provider_without_account_address_is_never_asked_about(
        self, redis_url: str, redis: Redis
    ) -> None:
        wiki = {
            "authorize_url": "http://provider.example/wiki/authorize",
            "token_url": "http://provider.example/wiki/token",
            "client_id": "client",
            "client_secret": "client-secret",
        }
        async with site_at(redis_url, redis, providers_config={"wiki": wiki}) as place:
            ann = await place.signed_in("ann")
            for _ in range(2):
                answer = await place.connect(ann, "wiki")
                assert answer.headers["location"] == "/connections#conn-wiki-n"

    async def test_because_the_record_cannot_be_read_is_replaced_as_the_card_says(
        self, place: Place, ann: Browser
    ) -> None:
        await place.redis.set("stargazer:oauth_tokens:ann:github", "sealed with a lost key")
        assert await ann.state_of("github") == "unreadable"
        answer = await place.connect(ann, "github")
        assert answer.headers["location"] == "/connections#conn-github-n"
        assert await label(place) == "mona"

    async def test_of_an_older_system_is_asked_about_once(self, place: Place, ann: Browser) -> None:
        await place.bot.store_token(place.redis, "ann", granted(place.fake, "github"))
        answer = await place.connect(ann, "github")
        assert answer.headers["location"] == QUESTION.format("github")
        await place.answer(ann, "github")
        answer = await place.connect(ann, "github")
        assert answer.headers["location"] == "/connections#conn-github-n"


async def test_the_question_offers_not_now_where_the_old_access_has_ended(
    place: Place, ann: Browser
) -> None:
    await place.connect(ann, "github")
    place.fake.withdraw()
    await age(place.bot, place.redis, "ann", "github")
    assert await place.bot.get_token("ann", "github", place.redis) is None
    place.fake.account = EVES["github"]
    await place.connect(ann, "github")
    page = await ann.get(QUESTION.format("github"))
    assert heading(page.text) == "Which GitHub account?"
    assert "Not now" in page.text
    assert "Keep" not in page.text
