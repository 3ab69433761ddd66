"""Every link that the bot gave gets an end in chat, and no fact is told twice."""

from __future__ import annotations

import asyncio
import itertools
import re
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.kit.fake_answers import error_answer
from tests.kit.library import age, connected, let_time_pass
from tests.kit.site_fixtures import Browser, Place, handed_off, query_of, shown_code
from tests.library.test_notices import Bot
from webui.chat import connect_service, notice_text
from webui.oauth_manager import Notice, NoticeKind, OAuthNotConnected, access, require_oauth_token
from webui.oauth_manager.journal import due_notices as due

pytestmark = pytest.mark.anyio

DUE = "stargazer:oauth_due"
NAVIGATION = {"sec-fetch-mode": "navigate"}
_ENDS = itertools.count()


async def told(place: Place) -> list[str]:
    """Kinds of all that the bot has not said yet and is to say now, and why an attempt failed."""
    end = f"the end {next(_ENDS)}"
    await place.bot.newest_notice(place.redis)  # what is due comes before the end
    await place.bot.tell(place.redis, end, NoticeKind.SUPPORT_ENDED_SESSIONS)
    listener, found = Bot(place.bot, place.redis, "listener"), []
    while (notice := await listener.hear()).user_id != end:
        if not notice.user_id.startswith("the end"):
            found.append(f"{notice.kind} {notice.detail}".strip())
    return found


async def said(place: Place, *asked: str, user: str = "ann") -> str:
    """The bot's answer to a request in ann's chat."""
    return await connect_service(SimpleNamespace(user_id=user, redis=place.redis), *asked)


async def linked(place: Place, *asked: str) -> str:
    """The path of the link that the bot answers with."""
    text = await said(place, *(asked or ("connect", "github")))
    return text.rpartition("\n")[2].removeprefix(place.settings.base_url)


@pytest.fixture(autouse=True)
def the_bots_manager(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that tools find."""
    monkeypatch.setattr(access, "_instance", place.bot)


class TestALinkThatNobodyFollows:
    async def test_is_told_to_have_run_out_once_and_not_before(self, place: Place) -> None:
        await linked(place)
        await let_time_pass(place.redis, 590)
        assert await told(place) == []
        await let_time_pass(place.redis, 20)
        assert await told(place) == ["link_ran_out"]
        assert await told(place) == []

    async def test_is_told_of_in_a_sentence_with_the_way_on(self, place: Place) -> None:
        await linked(place)
        await let_time_pass(place.redis)
        notice = await Bot(place.bot, place.redis).hear()
        assert (notice.user_id, notice.provider) == ("ann", "github")
        text = await notice_text(place.bot, place.redis, notice)
        assert text.endswith("For a new one, send: connect github")

    async def test_to_sign_in_is_told_of_too(self, place: Place) -> None:
        await linked(place, "manage")
        await let_time_pass(place.redis)
        assert await told(place) == ["link_ran_out"]

    async def test_that_a_newer_one_replaced_is_told_of_with_that_one(self, place: Place) -> None:
        await linked(place)
        await let_time_pass(place.redis, 500)
        await linked(place)
        await let_time_pass(place.redis, 500)
        assert await told(place) == []
        await let_time_pass(place.redis, 200)
        assert await told(place) == ["link_ran_out"]

    async def test_is_not_told_of_where_the_person_connected_another_way(
        self, place: Place, ann: Browser
    ) -> None:
        await linked(place)
        await place.connect(ann, "github")
        await let_time_pass(place.redis)
        assert await told(place) == ["connected"]

    async def test_is_not_told_of_where_support_switched_it_off(self, place: Place) -> None:
        await linked(place)
        await linked(place, "manage")
        await place.bot.cancel_links(place.redis, "ann")
        await let_time_pass(place.redis)
        assert await told(place) == []

    async def test_is_not_told_of_a_day_later(self, place: Place) -> None:
        await linked(place)
        await let_time_pass(place.redis, 90_000)
        assert await told(place) == []

    async def test_that_a_tool_made_and_nobody_may_have_seen_is_not_told_of(
        self, place: Place
    ) -> None:
        context = SimpleNamespace(user_id="ann", redis=place.redis)
        with pytest.raises(OAuthNotConnected):
            await require_oauth_token(context, "github")
        await let_time_pass(place.redis)
        assert await told(place) == []


class TestALinkThatWasBegun:
    async def test_whose_code_never_comes_has_run_out(self, place: Place) -> None:
        browser = await place.browser()
        await let_time_pass(place.redis, 500)
        await browser.post(f"{await linked(place)}/start")
        await let_time_pass(place.redis, 590)
        assert await told(place) == []
        await let_time_pass(place.redis, 20)
        assert await told(place) == ["link_ran_out"]

    async def test_and_left_at_the_provider_has_run_out(self, place: Place) -> None:
        await on_the_way(place)
        await let_time_pass(place.redis, 590)
        assert await told(place) == []
        await let_time_pass(place.redis, 20)
        assert await told(place) == ["link_ran_out"]

    async def test_and_finished_is_told_to_be_connected_and_nothing_else(
        self, place: Place
    ) -> None:
        browser, url = await on_the_way(place)
        await browser.get(place.fake.authorize(url))
        await let_time_pass(place.redis)
        assert await told(place) == ["connected"]

    async def test_to_sign_in_says_nothing_once_it_did(self, place: Place) -> None:
        browser = await place.browser()
        await browser.post(f"{await linked(place, 'manage')}/start")
        await confirmed(place, browser)
        await let_time_pass(place.redis)
        assert await told(place) == []

    async def test_to_sign_in_says_nothing_to_who_is_signed_in(
        self, place: Place, ann: Browser
    ) -> None:
        await ann.post(f"{await linked(place, 'manage')}/start")
        await let_time_pass(place.redis)
        assert await told(place) == []

    async def test_and_declined_is_told_to_be_cancelled_and_nothing_else(
        self, place: Place
    ) -> None:
        browser = await place.browser()
        await browser.post(f"{await linked(place)}/start")
        await browser.post("/connect/proof/decline")
        await let_time_pass(place.redis)
        assert await told(place) == ["link_cancelled"]

    @pytest.mark.parametrize(
        ("error", "end"),
        [
            ("access_denied", "denied denied"),
            ("server_error", "connect_failed provider_trouble"),
            ("invalid_scope", "connect_failed misconfigured"),
            ("something_else", "connect_failed not_understood"),
        ],
    )
    async def test_and_refused_at_the_provider_is_told_with_the_reason(
        self, place: Place, error: str, end: str
    ) -> None:
        browser, url = await on_the_way(place)
        await browser.get(refused(url, error))
        await let_time_pass(place.redis)
        assert await told(place) == [end]

    async def test_and_refused_when_the_code_is_exchanged_is_told(self, place: Place) -> None:
        browser, url = await on_the_way(place)
        place.fake.always["token"] = error_answer("invalid_grant")
        await browser.get(place.fake.authorize(url))
        await let_time_pass(place.redis)
        assert await told(place) == ["connect_failed failed"]

    async def test_and_cancelled_in_the_browser_is_told(self, place: Place) -> None:
        browser, url = await on_the_way(place)
        await browser.post("/connections/github/cancel")
        await browser.get(place.fake.authorize(url))
        await let_time_pass(place.redis)
        assert await told(place) == ["connect_failed cancelled"]

    async def test_and_brought_back_in_another_browser_is_told_once(self, place: Place) -> None:
        _, url = await on_the_way(place)
        callback = place.fake.authorize(url)
        for _ in range(3):
            await (await place.browser()).get(callback, headers=NAVIGATION)
        await let_time_pass(place.redis)
        assert await told(place) == ["connect_failed elsewhere"]

    async def test_and_fetched_by_a_preview_goes_on(self, place: Place) -> None:
        _, url = await on_the_way(place)
        await (await place.browser()).get(place.fake.authorize(url))
        assert await told(place) == []
        await let_time_pass(place.redis)
        assert await told(place) == ["link_ran_out"]

    async def test_and_finished_in_the_right_browser_after_all_is_connected(
        self, place: Place
    ) -> None:
        browser, url = await on_the_way(place)
        callback = place.fake.authorize(url)
        await (await place.browser()).get(callback, headers=NAVIGATION)
        await browser.get(callback)
        assert await told(place) == ["connect_failed elsewhere", "connected"]

    async def test_as_another_account_that_is_not_kept_says_which_stays(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        await told(place)
        place.fake.account = {"id": 77, "login": "new"}
        link = await place.bot.create_link_code(place.redis, "ann", provider="github")
        url = handed_off(await ann.post(f"/connect/{link}/start"))
        await ann.get(place.fake.authorize(url))
        asked = await ann.get("/connections/github/switch")
        offer = re.search(r'name="offer" value="([^"]+)"', asked.text)
        assert offer
        await ann.post("/connections/github/switch", {"choice": "old", "offer": offer[1]})
        await let_time_pass(place.redis)
        assert await told(place) == ["connect_failed kept_old"]


class TestAProvidersOwnAddressFromATool:
    async def test_that_was_followed_and_never_proven_has_run_out(self, place: Place) -> None:
        url = await place.bot.generate_connect_url("ann", "github", place.redis)
        await (await place.browser()).get(place.fake.authorize(url))
        await let_time_pass(place.redis)
        assert await told(place) == ["link_ran_out"]

    async def test_that_failed_at_the_provider_is_told(self, place: Place) -> None:
        url = await place.bot.generate_connect_url("ann", "github", place.redis)
        await (await place.browser()).get(refused(url, "server_error"))
        await let_time_pass(place.redis)
        assert await told(place) == ["connect_failed provider_trouble"]


class TestWhatTheSiteBegan:
    @pytest.mark.parametrize("error", ["access_denied", "server_error"])
    async def test_and_did_not_finish_is_not_told_in_chat(
        self, place: Place, ann: Browser, error: str
    ) -> None:
        await ann.get(refused(await ann.begin("github"), error))
        await let_time_pass(place.redis)
        assert await told(place) == []

    async def test_and_cancelled_is_not_told_in_chat(self, place: Place, ann: Browser) -> None:
        await ann.begin("github")
        await ann.post("/connections/github/cancel")
        assert await told(place) == []


class TestAnEndOfAccess:
    async def test_that_a_tool_found_is_told_by_its_answer_alone(self, place: Place) -> None:
        await broken(place)
        assert "Google needs reconnecting. Here is a new link." in await said(
            place, "connect", "google"
        )
        await let_time_pass(place.redis, 10)
        assert await told(place) == []

    async def test_that_a_check_in_chat_found_is_told_by_its_answer_alone(
        self, place: Place
    ) -> None:
        await lost(place)
        assert "Google: needs reconnecting." in await said(place, "check", "google")
        await let_time_pass(place.redis)
        assert await told(place) == []

    async def test_that_nobody_asked_about_is_told_a_moment_later(self, place: Place) -> None:
        await broken(place)
        assert await told(place) == []
        await let_time_pass(place.redis, 10)
        assert await told(place) == ["reconnect_needed"]

    async def test_that_a_tools_own_link_was_made_for_is_told_all_the_same(
        self, place: Place
    ) -> None:
        """A job in the background makes one too, and nobody sees it."""
        await lost(place)
        context = SimpleNamespace(user_id="ann", redis=place.redis)
        with pytest.raises(OAuthNotConnected):
            await require_oauth_token(context, "google")
        await let_time_pass(place.redis, 10)
        assert await told(place) == ["reconnect_needed"]

    async def test_that_was_mended_at_once_is_not_told(self, place: Place) -> None:
        await broken(place)
        await connected(place.bot, place.fake, place.redis, "ann", "google")
        await let_time_pass(place.redis, 10)
        assert await told(place) == ["connected"]

    async def test_that_was_disconnected_at_once_is_not_told(self, place: Place) -> None:
        await broken(place)
        await place.bot.delete_token(place.redis, "ann", "google", by="chat")
        await let_time_pass(place.redis, 10)
        assert await told(place) == []


class TestWhatALaterNoticeHasOvertaken:
    async def test_is_told_with_that_one_alone(self, place: Place) -> None:
        now = [
            Notice(NoticeKind.CONNECTED, "ann", "github", "mona", 1000.0),
            Notice(NoticeKind.DISCONNECTED, "ann", "github", "mona", 1100.0),
            Notice(NoticeKind.CONNECTED, "ann", "github", "mona", 1200.0),
        ]
        await connected(place.bot, place.fake, place.redis, "ann", "github")
        assert [await place.bot.is_news(place.redis, notice) for notice in now] == [False] * 3
        (latest,) = [await Bot(place.bot, place.redis).hear()]
        assert await place.bot.is_news(place.redis, latest)


class TestSeveralReaders:
    async def test_share_what_is_due(self, place: Place) -> None:
        for number in range(25):
            await place.bot.create_link_code(place.redis, f"u{number}", provider="github")
        await let_time_pass(place.redis)
        found = [await due.take(place.redis) for _ in range(4)]
        members = [notice.member for taken in found for notice in taken]
        assert [len(taken) for taken in found] == [10, 10, 5, 0]
        assert len(set(members)) == 25

    async def test_take_over_what_a_dead_one_had_not_told(self, place: Place) -> None:
        await linked(place)
        await let_time_pass(place.redis)
        assert len(await due.take(place.redis)) == 1  # and then it dies
        assert await told(place) == []
        await let_time_pass(place.redis, 61)
        assert await told(place) == ["link_ran_out"]

    async def test_leave_a_link_alone_that_was_made_while_one_told_of_the_last(
        self, place: Place
    ) -> None:
        await linked(place)
        await let_time_pass(place.redis)
        (taken,) = await due.take(place.redis)
        await linked(place)
        await due.settle(place.redis, taken)
        await let_time_pass(place.redis)
        assert await told(place) == ["link_ran_out"]

    async def test_tell_once_though_all_look_at_the_same_time(self, place: Place) -> None:
        await linked(place)
        await let_time_pass(place.redis)
        taken = await asyncio.gather(*(due.take(place.redis) for _ in range(20)))
        assert sum(len(each) for each in taken) == 1


class TestTheSet:
    async def test_does_not_grow_for_ever(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(due, "MAX_LENGTH", 3)
        for number in range(5):
            await due.put(place.redis, "link_ran_out", f"u{number}", "github", 600 + number)
        members = [f"link_ran_out:github:u{number}".encode() for number in (0, 1, 2)]
        assert await place.redis.zrange(DUE, 0, -1) == members
        assert await place.redis.ttl(DUE) > 0

    @pytest.mark.parametrize("member", ["", "nonsense", "link_ran_out:github:", "no:such:kind"])
    async def test_passes_over_what_is_not_ours(self, place: Place, member: str) -> None:
        await place.redis.zadd(DUE, {member: 1})
        assert await told(place) == []
        assert not await place.redis.exists(DUE)

    async def test_keeps_a_person_whose_id_has_colons_apart(self, place: Place) -> None:
        await place.bot.create_link_code(place.redis, "@ann:example.org", provider="github")
        await let_time_pass(place.redis)
        notice = await Bot(place.bot, place.redis).hear()
        assert (notice.user_id, notice.provider) == ("@ann:example.org", "github")


# What happened before


def refused(url: str, error: str) -> str:
    """The provider's answer to an authorize URL that says no."""
    query = urlencode({"error": error, "state": query_of(url)["state"]})
    return f"/oauth/github/callback?{query}"


async def on_the_way(place: Place) -> tuple[Browser, str]:
    """A browser that has proven to be ann's and is about to leave for GitHub."""
    browser = await place.browser()
    await browser.post(f"{await linked(place)}/start")
    return browser, handed_off(await confirmed(place, browser))


async def confirmed(place: Place, browser: Browser) -> Any:
    code = shown_code(await browser.get("/connect/proof"))
    assert "matches" in await connect_service(
        SimpleNamespace(user_id="ann", redis=place.redis), "confirm", code=code
    )
    return await browser.post("/connect/proof/continue")


async def lost(place: Place) -> None:
    """Google has ended ann's access, and nobody knows yet."""
    await connected(place.bot, place.fake, place.redis, "ann", "google")
    await told(place)
    place.fake.withdraw()
    await age(place.bot, place.redis, "ann", "google")


async def broken(place: Place) -> None:
    await lost(place)
    assert await place.bot.get_token("ann", "google", place.redis) is None
