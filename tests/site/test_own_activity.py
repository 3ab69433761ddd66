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
from webui.cards.timeline import timeline
from webui.oauth_manager import Event

pytestmark = pytest.mark.anyio


async def happen(place: Place, *kinds: str, provider: str = "github", by: str = "web") -> None:
    """To ann, one after the other."""
    for kind in kinds:
        await place.bot.record(place.redis, "ann", Event(kind, provider, by, time.time()))


def told(page: str) -> list[str]:
    """The sentences of the timeline, newest first."""
    return [html.unescape(text) for text in re.findall(r'<p class="what">(.*?)</p>', page)]


async def test_the_newest_five_of_the_service_are_on_its_page(place: Place, ann: Browser) -> None:
    await happen(place, "used", "checked_working", "checked_provider_trouble", "limited_accepted")
    await happen(place, "used", "connected", provider="google")
    await happen(place, "account_switched", "disconnected")
    page = (await ann.get("/connections/github")).text
    assert told(page) == [
        "GitHub was disconnected.",
        "GitHub was moved to another account.",
        "GitHub was kept with fewer permissions.",
        "GitHub was checked: it did not answer.",
        "GitHub was checked: working.",
    ]
    assert '<h2 id="recent">Activity</h2>' in page
    assert '<a href="/activity">All activity</a>' in page
    assert told((await ann.get("/connections/google")).text) == [
        "Google was connected.",
        "Google was used.",
    ]


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
    assert told((await ann.get("/connections/github")).text) == ["GitHub was connected."]


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
    assert first == [
        "GitHub was disconnected. GitHub confirmed that our access has ended.",
        "Microsoft was disconnected. Microsoft keeps its own list of apps.",
    ]


@every(
    ("detail", "why"),
    [
        ("failed", " GitHub did not accept the attempt."),
        ("misconfigured", " Our own set-up has to be put right first."),
        ("provider_trouble", " GitHub was not answering."),
        ("needs_admin", " Your organisation has to allow it first."),
        ("invalid_grant <b>", ""),
        ("", ""),
    ],
)
def test_why_connecting_did_not_finish_is_said_in_our_words_or_not_at_all(
    detail: str, why: str
) -> None:
    event = Event("connect_failed", "github", "web", NOW, detail)
    (entry,) = timeline([event], ON, PRODUCT, BOT)
    assert entry.text == f"Connecting GitHub did not finish.{why}"


def test_a_link_that_somebody_used_or_switched_off_says_nothing_of_who() -> None:
    events = [Event(kind, "github", "", NOW) for kind in ("link_used", "link_cancelled")]
    assert [(e.text, e.by) for e in timeline(events, ON, PRODUCT, BOT)] == [
        ("A link to connect GitHub was used.", ""),
        ("A link to connect GitHub was switched off.", ""),
    ]


def test_what_support_did_is_said_to_be_theirs() -> None:
    kinds = ("viewed", "cancelled_links", "ended_sessions", "checked")
    events = [Event(f"support_{kind}", "github", "support", NOW) for kind in kinds]
    events.append(Event("disconnected", "github", "support", NOW, "unconfirmed"))
    entries = timeline(events, ON, PRODUCT, BOT)
    assert len(entries) == len(events)
    assert {entry.by for entry in entries} == {"Support"}
    assert entries[-1].text.endswith("GitHub did not confirm that our access has ended.")
