"""The last events of a service on its own page, and in the timeline."""

from __future__ import annotations

import html
import re
import time

import pytest

from tests.kit.every import every
from tests.kit.screens import BOT, PRODUCT
from tests.kit.site_fixtures import Browser, Place
from webui.cards.gallery import NOW, ON
from webui.cards.timeline import began, days, timeline
from webui.oauth_manager import Event

pytestmark = pytest.mark.anyio


async def happen(place: Place, *kinds: str, provider: str = "github", by: str = "web") -> None:
    """To ann, one after the other."""
    for kind in kinds:
        await place.bot.record(place.redis, "ann", Event(kind, provider, by, time.time()))


def told(page: str) -> list[str]:
    """The lines of the timeline, newest first, each with what stands below it."""
    found = re.findall(r'<p class="what">(.*?)</p>\s*(?:<p class="muted small">(.*?)</p>)?', page)
    return [html.unescape(re.sub("<[^>]+>", "", " / ".join(filter(None, one)))) for one in found]


async def test_the_newest_five_of_the_service_are_on_its_page(place: Place, ann: Browser) -> None:
    await happen(place, "used", "checked_working", "checked_provider_trouble", "limited_accepted")
    await happen(place, "used", "connected", provider="google")
    await happen(place, "account_switched", "disconnected")
    page = (await ann.get("/connections/github")).text
    first, *rest = told(page)
    receipt = r"Disconnected GitHub on .+, reference \w{6}\."
    assert re.fullmatch(f"GitHub disconnected / You, in the browser. {receipt}", first)
    assert rest == [
        "GitHub now uses another account / You, in the browser",
        "GitHub kept with fewer permissions / You, in the browser",
        "GitHub checked: it did not answer / You, in the browser",
        "GitHub checked: working / You, in the browser",
    ]
    assert '<h2 id="recent">Activity</h2>' in page
    assert 'href="/activity">All activity' in page
    assert told((await ann.get("/connections/google")).text) == [
        "Google connected / You, in the browser",
        "Stella used Google / You, in the browser",
    ]


async def test_the_last_five_lines_are_shown_however_many_events_they_tell_of(
    place: Place, ann: Browser
) -> None:
    await happen(place, "checked_working", by="web")
    for _ in range(4):
        await happen(place, "link_made", "link_used", "connected", by="chat")
    page = (await ann.get("/connections/github")).text
    connected = "GitHub connected / You, by a link from your chat"
    assert told(page) == [*[connected] * 4, "GitHub checked: working / You, in the browser"]


async def test_where_nothing_happened_nothing_is_said_of_it(place: Place, ann: Browser) -> None:
    await happen(place, "connected", provider="google")
    page = (await ann.get("/connections/github")).text
    assert told(page) == []
    assert "All activity" not in page


async def test_the_card_alone_and_the_list_have_none(place: Place, ann: Browser) -> None:
    await happen(place, "connected")
    assert told((await ann.get("/connections/github", htmx=True)).text) == []
    assert told((await ann.get("/connections")).text) == []


async def test_what_is_older_than_much_else_is_found(place: Place, ann: Browser) -> None:
    await happen(place, "connected")
    await happen(place, *["used"] * 150, provider="google")
    said = ["GitHub connected / You, in the browser"]
    assert told((await ann.get("/connections/github")).text) == said


async def test_nobody_sees_what_happened_to_others(
    place: Place, ann: Browser, ben: Browser
) -> None:
    await happen(place, "connected")
    assert told((await ben.get("/connections/github")).text) == []


async def test_a_disconnect_tells_what_the_service_did(place: Place, ann: Browser) -> None:
    for provider in ("github", "microsoft"):
        await place.connect(ann, provider)
        await ann.post(f"/connections/{provider}/disconnect")
    first = [told((await ann.get(f"/connections/{p}")).text)[0] for p in ("github", "microsoft")]
    by = r"You, in the browser\. Disconnected"
    said = [
        rf"GitHub disconnected \(mona\) / {by} GitHub \(mona\) on .+, GitHub confirmed, .+\.",
        rf"Microsoft disconnected / {by} Microsoft on .+, Microsoft keeps its own list, .+\.",
    ]
    for line, pattern in zip(first, said, strict=True):
        assert re.fullmatch(pattern, line), line


def lines(*events: Event) -> list[tuple[str, str]]:
    """What is said, and what stands below it; the events are given newest first."""
    return [
        (e.text.striptags(), e.more.striptags())
        for e in timeline(events, ON, PRODUCT, BOT, until=NOW)
    ]


@every(
    ("detail", "why"),
    [
        ("failed", "GitHub did not accept the attempt"),
        ("misconfigured", "Our set-up has a fault, and we have to fix it"),
        ("provider_trouble", "GitHub was not answering"),
        ("needs_admin", "Your organisation has to allow it first"),
        ("invalid_grant <b>", ""),
        ("", ""),
    ],
)
def test_why_connecting_did_not_finish_is_said_in_our_words_or_not_at_all(
    detail: str, why: str
) -> None:
    event = Event("connect_failed", "github", "web", NOW, detail)
    below = f"You, in the browser. {why}." if why else "You, in the browser"
    assert lines(event) == [("Connecting GitHub did not finish", below)]


def test_a_link_that_somebody_used_or_switched_off_says_nothing_of_who() -> None:
    events = [Event(kind, "github", "", NOW) for kind in ("link_used", "link_cancelled")]
    assert lines(*events) == [
        ("A link to connect GitHub was used", ""),
        ("A link to connect GitHub was switched off", ""),
    ]


def test_a_link_folds_into_what_it_led_to() -> None:
    made = Event("link_made", "github", "chat", NOW - 120)
    used = Event("link_used", "github", "", NOW - 60)
    connected = Event("connected", "github", "chat", NOW, account="mona")
    assert lines(connected, used, made) == [
        ("GitHub connected as mona", "You, by a link from your chat")
    ]


@every(
    ("end", "said"),
    [
        ([], "It ran out unused"),
        (
            [Event("link_used", "github", "", NOW - 7000)],
            "It was used, but connecting did not finish",
        ),
        ([Event("link_cancelled", "github", "", NOW - 7000)], "It was switched off"),
    ],
)
def test_a_link_that_led_to_nothing_says_so(end: list[Event], said: str) -> None:
    made = Event("link_made", "github", "chat", NOW - 7200)
    assert lines(*end, made) == [("You got a link to connect GitHub", said)]


def test_a_link_to_sign_in_is_not_said_to_have_connected_nothing() -> None:
    made = Event("link_made", "", "chat", NOW - 7200)
    used = Event("link_used", "", "", NOW - 7100)
    assert lines(used, made) == [("You got a link to sign in", "It was used")]


def test_a_switched_account_is_told_with_the_one_before() -> None:
    switched = Event("account_switched", "github", "web", NOW, account="hubert", was="mona")
    assert lines(switched) == [("GitHub now uses hubert instead of mona", "You, in the browser")]
    unknown = Event("account_switched", "github", "web", NOW, account="hubert")
    assert lines(unknown) == [("GitHub now uses hubert", "You, in the browser")]


def test_accounts_in_a_line_are_text_and_keep_their_direction() -> None:
    event = Event("connected", "github", "web", NOW, account="<b>\u202eeve")
    (entry,) = timeline([event], ON, PRODUCT, BOT, until=NOW)
    assert entry.text == "GitHub connected as <bdi>&lt;b&gt;eve</bdi>"


def test_support_is_one_line_with_its_ticket_and_what_was_done() -> None:
    events = [
        Event("support_viewed", "", "support", NOW, "3", ticket="4711"),
        Event("support_checked", "github", "support", NOW - 60, ticket="4711"),
        Event("support_viewed", "", "support", NOW - 120, ticket="4711"),
    ]
    assert lines(*events) == [
        ("Support looked at your connections, 4 times", "Ticket 4711. They checked GitHub for you.")
    ]


def test_what_support_did_is_said_to_be_theirs() -> None:
    kinds = ("viewed", "cancelled_links", "ended_sessions", "checked")
    events = [
        Event(f"support_{kind}", "github", "support", NOW, ticket=str(number))
        for number, kind in enumerate(kinds, 100)
    ]
    events.append(Event("disconnected", "github", "support", NOW, "unconfirmed"))
    entries = timeline(events, ON, PRODUCT, BOT, until=NOW)
    assert len(entries) == len(events)
    assert all(entry.is_support for entry in entries)
    assert all(entry.text.startswith("Support ") for entry in entries[:-1])
    assert entries[-1].more.startswith("Support. GitHub did not confirm that our access has ended")


DAY = 86_400.0


def test_lines_are_under_their_days_in_utc() -> None:
    ages = (0.0, 3600.0, DAY, 9 * DAY, 300 * DAY)
    events = [Event("used", "github", "bot", NOW - age) for age in ages]
    found = days(timeline(events, ON, PRODUCT, BOT, until=NOW), NOW)
    assert [(day.name, day.style, len(day.entries)) for day in found] == [
        ("today", "day", 2),
        ("yesterday", "day", 1),
        ("", "day", 1),
        ("", "date", 1),
    ]


@every("before", ["", "x", "1-", "-1", "1.5-0", "9" * 400 + "-1"])
def test_a_page_that_no_other_page_leads_to_begins_now(before: str) -> None:
    assert began(before) == 0.0


def test_an_older_page_begins_where_the_one_before_ends() -> None:
    assert began("1791018840500-3") == 1_791_018_840.5


class TestTheFilter:
    async def test_appears_with_a_second_page(self, place: Place, ann: Browser) -> None:
        await happen(place, *["used"] * 23)  # a link to sign in was made and used before
        assert 'id="service"' not in (await ann.get("/activity")).text
        await happen(place, "used")
        assert 'id="service"' in (await ann.get("/activity")).text

    async def test_shows_one_service_alone_by_a_plain_form(
        self, place: Place, ann: Browser
    ) -> None:
        await happen(place, *["used"] * 30)
        await happen(place, *["connected"] * 30, provider="google")
        first = (await ann.get("/activity?service=google")).text
        assert '<form class="inline group" action="/activity" method="get">' in first
        assert '<option value="google" selected>' in first
        assert told(first) == ["Google connected / You, in the browser"] * 25
        (older,) = re.findall(r'href="([^"]+)" rel="next"', first)
        second = (await ann.get(html.unescape(older))).text
        assert told(second) == ["Google connected / You, in the browser"] * 5
        assert 'href="/activity?service=google">Newest' in second

    async def test_of_an_unknown_service_shows_everything(self, place: Place, ann: Browser) -> None:
        await happen(place, *["used"] * 3)
        everything = told((await ann.get("/activity")).text)
        assert told((await ann.get("/activity?service=<b>")).text) == everything
        assert len(everything) == 4

    async def test_says_that_nothing_happened_there(self, place: Place, ann: Browser) -> None:
        page = (await ann.get("/activity?service=google")).text
        assert "Nothing happened with Google in the last 90 days." in page


async def test_an_older_page_does_not_say_that_a_link_ran_out_which_led_somewhere(
    place: Place, ann: Browser
) -> None:
    """The page before ends between a link and its outcome."""
    await happen(place, "link_made", by="chat")
    await happen(place, "link_used", "connected", by="chat")
    await happen(place, *["used"] * 23)
    first = (await ann.get("/activity")).text
    assert told(first)[-1] == "GitHub connected / You, by a link from your chat"
    (older,) = re.findall(r'href="([^"]+)" rel="next"', first)
    assert told((await ann.get(html.unescape(older))).text) == [
        "You got a link to connect GitHub",
        "You got a link to sign in / It was used",
    ]


async def test_the_permissions_page_says_what_is_asked_for_and_folds_the_rest(
    place: Place, ann: Browser
) -> None:
    page = (await ann.get("/help/permissions")).text
    for name in ("discord", "github", "google", "microsoft"):
        assert f'<section class="card" id="{name}"' in page
    asked, _, rest = page.partition("Not asked for here")
    assert '<span class="raw">read:user</span>' in asked
    assert "delete_repo" not in asked
    assert '<span class="raw">delete_repo</span>' in rest
    assert rest.count("<details>") == 4
    assert re.search(r"\d+ more", rest)
