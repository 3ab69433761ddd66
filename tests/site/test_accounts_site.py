"""Several accounts of one service on the pages."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlencode

import pytest
from redis.asyncio import Redis

from tests.kit.account_provider import answer_of
from tests.kit.fake_answers import Answer, json_answer
from tests.kit.fake_requests import Recorded
from tests.kit.site_fixtures import (
    Browser,
    Place,
    card_state,
    handed_off,
    offer_on,
    query_of,
    site_at,
)
from webui.cards.accounts import shown_as
from webui.cards.build import make_card
from webui.cards.gallery import CASES, NOW, ON
from webui.cards.model import Screen
from webui.oauth_manager import OAuthAmbiguous, Status, SwitchOffer
from webui.oauth_manager.storage import HELD_SECONDS
from webui.oauth_manager.storage.keys import DUE
from webui.oauth_manager.values import replace
from webui.sessions.note import NOTE_SECONDS
from webui.support.identifiers import staff_place

pytestmark = pytest.mark.anyio


def is_(place: Place, account: str) -> None:
    place.fake.account = answer_of("/github", account)


async def come_back(place: Place, ann: Browser, path: str, **fields: str) -> str:
    """Press a button that leads to the provider, allow, and return the page that follows."""
    callback = place.fake.authorize(await ann.begin(path, fields))
    back = await ann.get(callback)
    return str(back.headers["location"])


@pytest.fixture
async def two(place: Place, ann: Browser) -> Browser:
    """Ann is connected to GitHub as mona and as hubert."""
    is_(place, "mona")
    await place.connect(ann, "github")
    is_(place, "hubert")
    assert "switch" not in await come_back(place, ann, "github", intent="add")
    return ann


async def names(place: Place) -> list[str | None]:
    rows = await place.bot.list_user_connections("ann", place.redis)
    return [row["account"] for row in rows]


async def test_one_account_is_shown_as_ever(place: Place, ann: Browser) -> None:
    is_(place, "mona")
    await place.connect(ann, "github")
    page = (await ann.get("/connections")).text
    assert "another account" not in page
    assert "~" not in page
    assert "Add another account" in (await ann.get("/connections/github")).text


@pytest.mark.parametrize(
    ("provider", "own", "hint"),
    [
        ("discord", "Switch to the other account there first.", "Switch to the other account"),
        ("discord", "", "To use another one, sign out there first."),
        ("github", "", ""),
    ],
)
async def test_what_to_do_where_no_account_is_asked_for_stands_below_the_button(
    place: Place, ann: Browser, provider: str, own: str, hint: str
) -> None:
    place.site.manager.providers[provider].account_choice = own
    place.fake.account = answer_of(f"/{provider}", "mona")
    await place.connect(ann, provider)
    page = (await ann.get(f"/connections/{provider}")).text
    _, _, after = page.partition("Add another account")
    beside = after.partition("</form>")[2].partition("</div>")[0]
    assert hint in beside
    assert bool(hint) is bool(beside.strip())


def test_each_of_the_four_peers_asks_for_the_account_or_says_what_to_do() -> None:
    for name in ("discord", "github", "google", "microsoft"):
        known = ON[name]
        assert bool(known.account_picker) is not bool(known.account_choice), name


async def test_each_account_has_a_row_of_its_own(place: Place, two: Browser) -> None:
    assert await names(place) == ["mona", "hubert"]
    page = (await two.get("/connections")).text
    assert 'id="conn-github~"' in page
    assert 'id="conn-github~hubert"' in page
    assert "GitHub (hubert)" in page
    assert len(re.findall('id="([^"]*)"', page)) == len(set(re.findall('id="([^"]*)"', page)))
    for path in ("github~", "github~hubert"):
        assert (await two.get(f"/connections/{path}")).status_code == 200
    assert (await two.get("/connections/github")).status_code == 303
    assert (await two.get("/connections/github~nobody")).status_code == 303
    assert (await two.get("/connections/github~NO")).status_code == 404


async def test_a_disconnect_names_the_account_and_leaves_the_other(
    place: Place, two: Browser
) -> None:
    assert "GitHub (hubert)" in (await two.get("/connections/github~hubert/disconnect")).text
    assert (await two.post("/connections/github~hubert/disconnect")).status_code == 303
    await place.settled()
    assert await names(place) == ["mona"]
    assert (await two.get("/connections")).status_code == 200
    with pytest.raises(OAuthAmbiguous):
        await place.bot.get_token("ann", "github", place.redis)


async def test_a_page_from_before_there_were_several_leads_to_all_of_them(
    place: Place, two: Browser
) -> None:
    for method in (two.get, two.post):
        answer = await method("/connections/github/disconnect")
        assert (answer.status_code, answer.headers["location"]) == (303, "/connections")
        answer = await method("/connections/github/disconnect", htmx=True)
        assert (answer.status_code, answer.headers["hx-redirect"]) == (409, "/connections")
    for act in ("check", "accept-limited"):
        answer = await two.post(f"/connections/github/{act}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/connections")
    answer = await two.get("/connections/github", htmx=True)
    assert answer.headers["hx-redirect"] == "/connections"
    assert await names(place) == ["mona", "hubert"]


async def test_checks_are_of_one_account(place: Place, two: Browser, redis: Redis) -> None:
    for path in ("github~", "github~hubert"):
        assert (await two.post(f"/connections/{path}/check")).status_code == 303
    page = await place.bot.activity(redis, "ann")
    told = [(one.provider, one.slot) for one in page.events if one.kind.startswith("checked")]
    assert told == [("github", "hubert"), ("github", "")]


async def test_an_account_is_renamed_and_used_by_default(place: Place, two: Browser) -> None:
    answer = await two.post("/connections/github~hubert/rename", form={"name": "Work"})
    assert answer.status_code == 303
    assert await names(place) == ["mona", "work"]
    refused = await two.post("/connections/github~/rename", form={"name": "work"})
    assert refused.status_code == 400
    assert "no other account" in refused.text
    await two.post("/connections/github~hubert/default", form={"use": "this"})
    token = await place.bot.get_token("ann", "github", place.redis)
    assert token == await place.bot.get_token("ann", "github", place.redis, account="work")
    assert "Ask me each time" in (await two.get("/connections/github~hubert")).text


async def test_with_htmx_a_name_and_the_default_change_where_they_stand(
    place: Place, two: Browser
) -> None:
    path = "/connections/github~hubert"
    page = (await two.get(path)).text
    for act in ("rename", "default"):
        to = f"{path}/{act}"
        assert f'action="{to}" method="post" hx-post="{to}" hx-target="#conn-' in page
    done = await two.post(f"{path}/rename", {"name": "<Work>"}, htmx=True)
    assert done.status_code == 400
    assert done.headers["x-fragment"] == "1"
    assert "no other account" in done.text
    assert 'aria-describedby="account-refused" autofocus' in done.text
    assert 'value="&lt;Work&gt;"' in done.text  # to be mended, and not typed again
    done = await two.post(f"{path}/rename", {"name": " "}, htmx=True)
    assert (done.status_code, 'value="hubert"' in done.text) == (400, True)
    done = await two.post(f"{path}/rename", {"name": "Work"}, htmx=True)
    assert (done.status_code, done.headers["x-fragment"]) == (200, "1")
    assert "<h1" in done.text
    assert "GitHub (Work)</h1>" in done.text
    assert "This account is called Work now." in done.text
    assert 'value="Work"' in done.text
    done = await two.post(f"{path}/default", {"use": "this"}, htmx=True)
    assert "Ask me each time" in done.text
    assert "uses this account now" in done.text
    done = await two.post(f"{path}/default", {"use": "none"}, htmx=True)
    assert "asks you now which account you mean" in done.text
    assert await names(place) == ["mona", "work"]


def look_again(page: str) -> str:
    """Return the address that a page polls."""
    seen = re.findall('name="seen" value="([^"]*)"', page)
    return "/connections?" + urlencode([("seen", unescape(mark)) for mark in seen])


async def test_another_tab_is_told_of_a_new_name(place: Place, two: Browser) -> None:
    poll = look_again((await two.get("/connections")).text)
    assert (await two.get(poll, htmx=True)).status_code == 204
    await two.post("/connections/github~hubert/rename", form={"name": "Work"})
    assert "GitHub (Work)" in (await two.get(poll, htmx=True)).text


async def test_an_account_that_the_bot_disconnected_leaves_an_open_list(
    place: Place, two: Browser
) -> None:
    poll = look_again((await two.get("/connections")).text)
    await place.bot.delete_token(place.redis, "ann", "github", account="hubert")
    news = (await two.get(poll, htmx=True)).text
    assert '<li id="conn-github~hubert" hx-swap-oob="delete"></li>' in news
    assert "1 connected" in news


async def test_what_came_of_a_disconnect_stays_in_the_place_of_the_account(
    place: Place, two: Browser
) -> None:
    path = "/connections/github~hubert/disconnect"
    card = await two.post(path, {"return": "list"}, htmx=True)
    assert card.status_code == 200
    assert "GitHub (hubert)" in card.text
    assert "is disconnected" in card.text
    assert "delete" not in (await two.get(look_again(card.text), htmx=True)).text
    page = (await two.get("/connections")).text
    assert "Just disconnected" in page
    assert "GitHub (hubert)" in page
    assert "GitHub (mona)" in page
    place.clock.advance(NOTE_SECONDS)
    assert "GitHub (hubert)" not in (await two.get("/connections")).text


async def test_where_it_was_an_account_is_connected_again_by_its_name(
    place: Place, two: Browser
) -> None:
    await two.post("/connections/github~hubert/disconnect")
    await place.settled()
    is_(place, "hubert")
    await come_back(place, two, "github~hubert")
    assert await names(place) == ["mona", "hubert"]


async def test_what_came_of_it_is_told_of_each_though_all_have_ended(
    place: Place, two: Browser
) -> None:
    for handle in ("hubert", ""):
        await two.post(f"/connections/github~{handle}/disconnect")
        await place.settled()
    page = (await two.get("/connections")).text
    assert page.count("is disconnected") == 2
    assert "GitHub (hubert)" in page
    assert "GitHub (mona)" in page
    is_(place, "hubert")
    await come_back(place, two, "github~hubert")
    assert await names(place) == [None]


async def test_an_account_that_is_connected_again_in_another_place_is_not_called_disconnected(
    place: Place, two: Browser
) -> None:
    await two.post("/connections/github~/disconnect")
    await place.settled()
    is_(place, "mona")
    await come_back(place, two, "github", intent="add")
    page = (await two.get("/connections")).text
    assert 'id="conn-github~mona"' in page
    assert 'id="conn-github~"' not in page
    assert "is disconnected" not in page


async def test_the_question_adds_the_account_beside_the_other(place: Place, ann: Browser) -> None:
    is_(place, "mona")
    await place.connect(ann, "github")
    is_(place, "hubert")
    assert "/switch" in await come_back(place, ann, "github", intent="reconnect")
    offer = await place.site.manager.switch_offer(place.redis, "ann", "github")
    assert isinstance(offer, SwitchOffer)
    assert "beside it" in (await ann.get("/connections/github/switch")).text
    await ann.post("/connections/github/switch", form={"offer": offer.id, "choice": "both"})
    assert await names(place) == ["mona", "hubert"]


async def test_reconnecting_one_renews_it(place: Place, two: Browser) -> None:
    before = await place.bot.get_token("ann", "github", place.redis, account="hubert")
    assert "switch" not in await come_back(place, two, "github~hubert", intent="reconnect")
    after = await place.bot.get_token("ann", "github", place.redis, account="hubert")
    assert after != before
    assert await names(place) == ["mona", "hubert"]


def test_every_state_of_a_card_exists_for_one_of_several_accounts() -> None:
    screen = Screen("Stargazer", "Stella", NOW)
    for name, case in CASES.items():
        if case.connection is None:
            continue
        connection = replace(case.connection, name="Work", slot="work")
        own = shown_as({connection.provider: case.provider}, connection)
        card = make_card(own, connection, case.note, screen)
        plain = make_card(case.provider, case.connection, case.note, screen)
        assert (card.state, card.form, card.group) == (plain.state, plain.form, plain.group), name
        assert card.label == f"{plain.label} (Work)"
        assert card.mark == plain.mark
        inside = [action.url for action in card.every_action if action.url.startswith("/")]
        assert all(f"/{plain.name}~work" in url for url in inside if f"/{plain.name}" in url), name


def said_no(place: Place, leads: str, error: str = "access_denied") -> str:
    """Return the callback of a person who did not allow it, or whose provider failed."""
    asked = query_of(place.fake.authorize(leads))
    back = {"error": error, "state": asked["state"]}
    back |= {"iss": asked["iss"]} if "iss" in asked else {}
    return f"/oauth/github/callback?{urlencode(back)}"


async def test_a_no_is_told_on_the_card_of_the_account_that_it_was_about(
    place: Place, two: Browser
) -> None:
    leads = await two.begin("github~hubert", {"intent": "reconnect"})
    assert card_state((await two.get("/connections")).text, "github~hubert") == "waiting"
    back = await two.get(said_no(place, leads))
    assert back.headers["location"] == "/connections#conn-github~hubert-n"
    page = (await two.get("/connections")).text
    assert card_state(page, "github~hubert") == "denied"
    assert "You chose not to connect GitHub (hubert)." in page
    assert "Finish at" not in page


async def test_a_no_to_another_account_names_none_of_those_that_are_there(
    place: Place, two: Browser
) -> None:
    leads = await two.begin("github~hubert", {"intent": "add"})
    page = (await two.get("/connections")).text
    assert "Finish at GitHub</h3>" in page
    assert 'name="intent" value="add"' in page.partition("Start again")[0].rpartition("<form")[2]
    await two.get(said_no(place, leads))
    assert "You chose not to connect GitHub. Nothing" in (await two.get("/connections")).text


async def test_no_card_waits_for_an_account_that_another_card_tells_of(
    place: Place, two: Browser
) -> None:
    is_(place, "third")
    assert "third" in await come_back(place, two, "github~hubert", intent="add")
    assert "Finish at" not in (await two.get("/connections")).text
    for handle in ("third", "hubert", ""):
        await two.post(f"/connections/github~{handle}/disconnect")
        await place.settled()
        await two.post(f"/connections/github~{handle}/dismiss")
    assert "Finish at" not in (await two.get("/connections")).text


async def test_cancel_ends_the_attempt_at_one_of_several(place: Place, two: Browser) -> None:
    is_(place, "third")
    leads = await two.begin("github~hubert", {"intent": "add"})
    await two.post("/connections/github~hubert/cancel")
    await two.get(place.fake.authorize(leads))
    assert await names(place) == ["mona", "hubert"]


async def test_a_question_that_was_left_stands_on_the_card_of_its_account(
    place: Place, two: Browser
) -> None:
    is_(place, "third")
    back = await come_back(place, two, "github~hubert", intent="reconnect")
    assert back == "/connections/github~hubert/switch"
    asks = await two.get(back)
    assert "marks/github" in asks.text
    page = (await two.get("/connections")).text
    assert "There is a question for you about GitHub (hubert)" in page
    answer = {"offer": offer_on(asks), "choice": "both"}
    for _ in range(2):
        await two.post(back, answer)
        page = (await two.get("/connections")).text
        assert "There is a question" not in page
        assert "That took too long" not in page
    assert await names(place) == ["mona", "hubert", "third"]


@pytest.mark.parametrize(
    ("account", "told"), [("Hubert", "github~hubert"), ("play", "github~"), ("", "github~")]
)
async def test_a_link_that_came_to_nothing_is_told_on_a_card_that_there_is(
    place: Place, two: Browser, account: str, told: str
) -> None:
    about = place.redis, "ann"
    link = await place.bot.create_link_code(*about, provider="github", account=account)
    leads = handed_off(await two.post(f"/connect/{link}/start"))
    back = await two.get(said_no(place, leads, "server_error"))
    assert back.headers["location"] == f"/connections#conn-{told}-n"
    assert card_state((await two.get("/connections")).text, told) == "trouble"


async def test_an_account_that_ended_meanwhile_is_not_said_to_be_renamed(
    place: Place, two: Browser
) -> None:
    path = "/connections/github~hubert"
    await two.post(f"{path}/disconnect")
    await place.settled()
    assert "Name of this account" not in (await two.get(path)).text
    for act, form in (("rename", {"name": "Work"}), ("default", {"use": "this"})):
        assert (await two.post(f"{path}/{act}", form)).headers["location"] == "/connections"
        answer = await two.post(f"{path}/{act}", form, htmx=True)
        assert (answer.status_code, answer.headers["hx-redirect"]) == (409, "/connections")


async def not_confirmed(_: Recorded) -> Answer:
    return json_answer({"message": "away"}, 500)


async def test_an_answer_that_came_later_is_that_of_the_account_which_was_asked_about(
    place: Place, two: Browser
) -> None:
    place.fake.always["revoke"] = not_confirmed
    for handle in ("", "hubert"):
        await two.post(f"/connections/github~{handle}/disconnect")
        await place.settled()
        place.clock.advance(1)
    del place.fake.always["revoke"]
    await two.post("/connections/github~/revoke")
    await place.settled()
    for path in ("/connections", "/activity"):
        page = re.sub("<[^>]*>", "", (await two.get(path)).text)
        told = dict(re.findall(r"Disconnected GitHub \((\w+)\) on .*?, (GitHub [a-z ]+),", page))
        assert told == {"mona": "GitHub confirmed", "hubert": "GitHub did not confirm"}, path
    assert "GitHub (mona) confirmed" in (await two.get("/activity")).text


async def test_an_account_keeps_its_name_though_nothing_can_be_asked_again(
    place: Place, two: Browser
) -> None:
    await two.post("/connections/github~hubert/rename", {"name": "Work"})
    place.fake.always["revoke"] = not_confirmed
    await two.post("/connections/github~hubert/disconnect")
    await place.settled()
    place.clock.advance(HELD_SECONDS + 1)
    pages = [await two.post("/connections/github~hubert/revoke", htmx=True) for _ in range(12)]
    assert all("GitHub (Work)" in page.text for page in pages)
    assert "tried that several times" in pages[-1].text


async def test_the_timeline_says_which_of_several_accounts_it_was(
    place: Place, two: Browser
) -> None:
    for path in ("github~", "github~hubert"):
        await two.post(f"/connections/{path}/check")
    page = (await two.get("/activity")).text
    assert "GitHub (mona) checked: working" in page
    assert "GitHub (hubert) checked: working" in page
    own = (await two.get("/connections/github~")).text
    assert "GitHub (mona) checked: working" in own
    assert "GitHub (hubert)" not in own


async def test_an_answer_delivered_twice_leads_to_the_same_account_twice(
    place: Place, two: Browser
) -> None:
    is_(place, "third")
    asked = {"intent": "add", "return": "detail"}
    callback = place.fake.authorize(await two.begin("github~hubert", asked))
    ways = [(await two.get(callback)).headers["location"] for _ in range(2)]
    assert ways == ["/connections/github~third#conn-github~third-n"] * 2
    is_(place, "fourth")
    link = await place.bot.create_link_code(place.redis, "ann", provider="github", account="play")
    callback = place.fake.authorize(handed_off(await two.post(f"/connect/{link}/start")))
    ways = [(await two.get(callback)).headers["location"] for _ in range(2)]
    assert ways == ["/connect/done/github~play"] * 2


@pytest.mark.parametrize("account", ["", "play"])
async def test_one_too_many_that_a_link_brought_is_said_to_be(
    place: Place, two: Browser, account: str
) -> None:
    about = place.redis, "ann"
    link = await place.bot.create_link_code(*about, provider="github", account=account)
    leads = handed_off(await two.post(f"/connect/{link}/start"))
    place.site.manager.providers["github"].max_accounts = 2
    is_(place, "third")
    back = await two.get(place.fake.authorize(leads))
    assert back.headers["location"] == "/connections#conn-github~-n"
    page = (await two.get("/connections")).text
    assert "You have as many GitHub accounts here as you can have" in page
    assert "took too long" not in page
    assert "There were as many accounts as there can be" in (await two.get("/activity")).text


async def test_one_too_many_by_the_answer_to_a_question_is_said_to_be(
    place: Place, two: Browser
) -> None:
    is_(place, "third")
    asks = await two.get(await come_back(place, two, "github~hubert", intent="reconnect"))
    place.site.manager.providers["github"].max_accounts = 2
    answer = {"offer": offer_on(asks), "choice": "both"}
    await two.post("/connections/github~hubert/switch", answer)
    assert "as many GitHub accounts here as you can" in (await two.get("/connections")).text


async def test_a_third_is_added_from_the_page_of_any_without_a_question(
    place: Place, two: Browser
) -> None:
    for number, path in enumerate(("github~", "github~hubert")):
        is_(place, f"more{number}")
        assert "switch" not in await come_back(place, two, path, intent="add")
    assert await names(place) == ["mona", "hubert", "more0", "more1"]


async def test_an_account_that_was_to_be_added_and_was_there_is_said_to_be(
    place: Place, two: Browser
) -> None:
    said = "GitHub (hubert) was connected with this account already."
    assert said not in (await two.get("/connections")).text
    back = await come_back(place, two, "github~", intent="add")
    assert back.endswith("#conn-github~hubert-n")
    page = (await two.get("/connections/github~hubert")).text
    assert said in page
    assert "nothing was added" in page
    assert await names(place) == ["mona", "hubert"]
    assert "so none was added" in (await two.get("/activity")).text
    await come_back(place, two, "github~hubert", intent="reconnect")
    assert said not in (await two.get("/connections")).text


async def test_a_link_of_the_chat_for_another_account_says_that_it_was_there(
    place: Place, ann: Browser
) -> None:
    is_(place, "mona")
    await place.connect(ann, "github")
    link = await place.bot.create_link_code(place.redis, "ann", provider="github", account="Work")
    leads = handed_off(await ann.post(f"/connect/{link}/start"))
    back = await ann.get(place.fake.authorize(leads))
    assert back.headers["location"] == "/connect/done/github"
    assert (
        "was connected already, so nothing was added"
        in (await ann.get("/connect/done/github")).text
    )
    async for notice in place.bot.notices(place.redis, consumer="one"):
        if notice.detail == "was_there":
            assert (notice.kind, notice.account) == ("connected", "mona")
            break


async def test_one_too_many_is_said_before_anybody_leaves(place: Place, two: Browser) -> None:
    place.site.manager.providers["github"].max_accounts = 2
    answer = await two.post("/connections/github~/connect", form={"intent": "add"})
    assert answer.status_code == 409
    assert "Disconnect one to add another" in answer.text
    fragment = await two.post("/connections/github~/connect", {"intent": "add"}, htmx=True)
    assert (fragment.status_code, fragment.headers["x-fragment"]) == (409, "1")
    assert "Disconnect one to add another" in fragment.text
    assert await names(place) == ["mona", "hubert"]


async def test_an_end_that_support_found_is_not_told_by_the_bot_again(
    redis_url: str, redis: Redis
) -> None:
    async with site_at(redis_url, redis, support_users=("carol",)) as place:
        ann, carol = await place.signed_in("ann"), await place.signed_in("carol")
        is_(place, "mona")
        await place.connect(ann, "github")
        is_(place, "hubert")
        await come_back(place, ann, "github", intent="add")
        place.fake.withdraw()
        secret = place.settings.session_secrets[0]
        for one in ("github~", "github~hubert"):
            named = staff_place(one, "ann", secret)
            act = {"provider": named, "reason": "Asked for help with it"}
            assert (await carol.post("/support/people/ann/check", act)).status_code == 200
            known = await place.bot.connection(place.redis, "ann", one)
            assert known.status is Status.RECONNECT_NEEDED
            assert await place.redis.zcard(DUE) == 0


async def test_support_sees_each_account_masked_and_acts_on_the_one_that_is_meant(
    redis_url: str, redis: Redis
) -> None:
    async with site_at(redis_url, redis, support_users=("carol",)) as place:
        ann, carol = await place.signed_in("ann"), await place.signed_in("carol")
        is_(place, "mona")
        await place.connect(ann, "github")
        is_(place, "hubert")
        await come_back(place, ann, "github", intent="add")
        page = (await carol.get("/support/people/ann?reason=ticket+4411")).text
        assert 'id="service-github~"' in page
        (told,) = set(re.findall(r'id="service-github~([0-9a-f]{16})"', page))
        assert "hubert" not in page
        pictured = await carol.get("/support/people/ann/preview?reason=ticket+4411")
        assert "hubert" not in pictured.text
        assert f"github~{told}" in pictured.text
        assert "GitHub (mona)" not in page
        assert "GitHub (hubert)" not in page
        act = {"provider": "github~hubert", "reason": "Asked for help with it"}
        assert (await carol.post("/support/people/ann/disconnect", act)).status_code == 404
        act = {"provider": f"github~{told}", "reason": "Asked for help with it"}
        assert (
            await carol.get(f"/support/people/ann/disconnect?{urlencode(act)}")
        ).status_code == 200
        done = await carol.post("/support/people/ann/disconnect", act)
        assert done.status_code == 200
        assert "Disconnect GitHub (h•••t)</h1>" in done.text
        assert "hubert" not in done.text
        assert await names(place) == ["mona"]
        for stale in ("github", act["provider"]):
            answer = await carol.post("/support/people/ann/check", act | {"provider": stale})
            assert answer.status_code == 404, stale
        act["provider"] = "github~NO"
        assert (await carol.post("/support/people/ann/disconnect", act)).status_code == 404
        notices = await place.redis.xlen("stargazer:oauth_notices")
        await carol.post("/support/people/ann/check", act | {"provider": "github~"})
        assert await place.redis.xlen("stargazer:oauth_notices") == notices + 1
