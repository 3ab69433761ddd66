"""The page of connections: its groups, its rows, where to start, and the filter."""

from __future__ import annotations

import re

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.every import every
from tests.kit.screens import (
    SCREEN,
    Document,
    card,
    card_html,
    list_html,
    screens,
)
from tests.kit.site_fixtures import Browser, Place, commands, site_at
from webui.cards import FILTER_ABOVE, Card, confirm_card, grouped, make_card, matching, summarize
from webui.cards.gallery import BUSY, CASES, NOW, OFF, ON, RENEWING, Case, connection
from webui.cards.parts import DAY
from webui.cards.states import OUTCOMES
from webui.oauth_manager import Connection, OAuthProvider, Status
from webui.oauth_manager.values import replace
from webui.sessions.note import Note

pytestmark = pytest.mark.anyio

SCREENS = screens()
FREE = [
    make_card(ON[name], connection(name, Status.NOT_CONNECTED), None, SCREEN)
    for name in ("discord", "github", "google")
]


def primaries(html: str) -> list[str]:
    """The names of the filled buttons of a page."""
    found = [
        e for e in Document(html).elements if "primary" in e.attributes.get("class", "").split()
    ]
    return [" ".join(e.text.split()) for e in found]


def shown_groups(html: str) -> list[str]:
    """The headings of the groups that are not hidden, in the page's order."""
    sections = re.findall(
        r'<section class="group" aria-labelledby="[\w-]+"( hidden)?>\s*<h2[^>]*>(.*?)<', html
    )
    return [title for hidden, title in sections if not hidden]


def group_of(html: str, name: str) -> str:
    return Document(html).by_id(f"group-{name}").text


@pytest.mark.parametrize("name", ["poll", "summary", "find", "main", "announce"])
@pytest.mark.parametrize("where", ["/connections", "/connections/{}"])
async def test_a_service_may_have_the_name_of_another_part_of_its_page(
    redis_url: str, redis: Redis, name: str, where: str
) -> None:
    own = {name: services(1)["service0"]}
    async with site_at(redis_url, redis, providers_config=own) as place:
        page = await (await place.signed_in("ann")).get(where.format(name))
    ids = [e.attributes["id"] for e in Document(page.text).elements if "id" in e.attributes]
    assert page.status_code == 200
    assert f"conn-{name}" in ids
    assert len(ids) == len(set(ids))


class TestTheGroups:
    def test_come_in_one_order_and_each_card_in_its_own(self) -> None:
        names = ("never looked up", "endless", "limited", "own provider", "ended")
        cards = [card(CASES[name]) for name in names]
        html = list_html([cards[0], *cards[1:4]])
        assert shown_groups(html) == ["Needs you", "Connected", "You can also connect"]
        assert "Google" in group_of(html, "needs")
        assert "GitHub" in group_of(html, "connected")
        assert "Wiki" in group_of(html, "connected")
        assert "Microsoft" in group_of(html, "more")

    @every("names", [["endless"], ["limited"], ["free"], ["disconnected"], ["endless", "limited"]])
    def test_without_members_are_hidden_and_those_with_members_are_not(
        self, names: list[str]
    ) -> None:
        cards = [card(CASES[name]) for name in names] + [card(CASES["own provider"])]
        html = list_html(cards)
        shown = {group.name for group in grouped(cards) if group.cards}
        for name in ("needs", "just", "connected", "more"):
            is_hidden = f'aria-labelledby="{name}" hidden' in html
            assert is_hidden == (name not in shown)

    def test_have_what_was_just_disconnected_for_the_next_load(self) -> None:
        for name in ("disconnected", "still listed", "own list", "disconnecting"):
            html = list_html([card(CASES[name]), card(CASES["own provider"])])
            assert shown_groups(html) == ["Just disconnected", "Connected"]

    def test_what_was_just_disconnected_stays_in_its_place_until_then(self) -> None:
        """The script moves only what says to which group it belongs."""
        for name, case in CASES.items():
            shown = card(case)
            assert ("data-group" in card_html(shown, htmx=True)) == (shown.group != "just"), name
        asked = confirm_card(ON["github"], connection("github"), SCREEN)
        assert "data-group" not in card_html(asked, htmx=True)


class TestARow:
    @every(
        ("used_at", "said"),
        [
            (NOW - 5, "Used just now"),
            (NOW - 60, "Used 1 minute ago"),
            (NOW - 7200, "Used 2 hours ago"),
            (NOW - 3 * DAY, "Used 3 days ago"),
            (NOW - 40 * DAY, "Used 24 August"),
            (0.0, "Not used yet"),
        ],
    )
    def test_of_a_healthy_connection_says_when_it_was_used(self, used_at: float, said: str) -> None:
        healthy = connection("github", profile={"used_at": used_at})
        html = card_html(make_card(ON["github"], healthy, None, SCREEN), htmx=True)
        (head,) = (e.text for e in Document(html).elements if e.tag == "summary")
        assert head.split() == f"GitHub octocat Status: Connected. {said}".split()
        assert 'class="vh">Status: Connected. <' in html, "the group says so to the eye"
        assert 'class="status' not in html

    def test_of_a_healthy_connection_has_its_exact_last_use_on_hover(self) -> None:
        html = card_html(card(CASES["endless"]), htmx=True)
        assert 'datetime="2026-10-03T08:14:00Z"' in html
        assert "data-title" in html

    def test_of_trouble_that_needs_nobody_says_so_in_the_same_place(self) -> None:
        (head,) = (
            e.text
            for e in Document(card_html(card(CASES["provider trouble"]), htmx=True)).elements
            if e.tag == "summary"
        )
        assert "Google is not answering. Your connection is safe." in head
        assert "Used" not in head


def test_what_is_normal_is_said_nowhere() -> None:
    for name, html in SCREENS.items():
        if not name.startswith("support"):
            assert "enews automatically" not in html, name
            assert "enews the next time" not in html, name


def test_the_permissions_of_a_connection_lead_to_what_they_mean_for_that_service() -> None:
    for name in ("endless", "limited"):
        shown = card(CASES[name])
        html = card_html(shown, htmx=True)
        assert f'href="/help/permissions#{shown.name}"' in html
    assert "/help/permissions#" not in SCREENS["support preview"]


class TestWithNothingConnected:
    def test_one_story_has_the_only_primary_button_and_the_rest_is_below(self) -> None:
        html = list_html(FREE)
        assert primaries(html) == ["Connect Discord"]
        assert "Start with Discord" in html
        assert "who am I on Discord?" in html
        assert shown_groups(html) == ["Or start with"]
        assert html.count('id="conn-discord"') == 1
        assert "GitHub" in group_of(html, "more")

    async def test_begins_with_the_service_that_the_bot_asked_for_last(
        self, place: Place, ann: Browser
    ) -> None:
        for name in ("google", "microsoft"):
            await place.bot.create_link_code(place.redis, "ann", provider=name)
        page = (await ann.get("/connections")).text
        assert "Start with Microsoft" in page
        assert primaries(page) == ["Connect Microsoft"]

    async def test_begins_with_the_first_if_the_bot_asked_for_none(self, ann: Browser) -> None:
        assert "Start with Discord" in (await ann.get("/connections")).text

    async def test_reads_the_timeline_only_then(self, place: Place, ann: Browser) -> None:
        async with commands(place.redis) as first:
            await ann.get("/connections")
        await place.connect(ann, "github")
        async with commands(place.redis) as later:
            await ann.get("/connections")
        assert sum(sent.startswith("XREVRANGE") for sent in first) == 1
        assert not any(sent.startswith("XREVRANGE") for sent in later)


LISTS = [name for name, html in SCREENS.items() if 'id="groups"' in html]


@every("name", LISTS)
def test_a_list_has_one_primary_button_at_most(name: str) -> None:
    assert len(primaries(SCREENS[name])) <= 1


@every("case", CASES)
def test_a_list_has_one_primary_button_exactly_if_something_needs_the_person(case: Case) -> None:
    shown = card(case)
    well = card(CASES["endless" if shown.name == "wiki" else "own provider"])
    assert len(primaries(list_html([shown, well]))) == (shown.form == "card")
    needs = card(CASES["limited" if shown.name == "discord" else "ends soon"])
    assert len(primaries(list_html([shown, needs]))) == 1


def services(count: int) -> dict[str, dict[str, object]]:
    """Settings of so many services of one's own."""
    address = {"authorize_url": "https://a.example/a", "token_url": "https://a.example/t"}
    own = {"client_id": "an-id", "client_secret": "a-secret", "scopes": ["a"], **address}
    return {f"service{number}": {**own, "label": f"Service {number}"} for number in range(count)}


class TestTheFilter:
    @pytest.mark.parametrize(
        ("count", "is_there"), [(FILTER_ABOVE, False), (FILTER_ABOVE + 1, True)]
    )
    async def test_is_there_above_eight_services(
        self, redis_url: str, redis: Redis, count: int, is_there: bool
    ) -> None:
        async with site_at(redis_url, redis, providers_config=services(count)) as place:
            ann = await place.signed_in("ann")
            page = (await ann.get("/connections")).text
        assert ('name="find"' in page) == is_there

    async def test_is_a_form_that_works_without_a_script(
        self, redis_url: str, redis: Redis
    ) -> None:
        async with site_at(redis_url, redis, providers_config=services(12)) as place:
            ann = await place.signed_in("ann")
            form = next(
                e.attributes
                for e in Document((await ann.get("/connections")).text).elements
                if e.attributes.get("role") == "search"
            )
            assert (form["action"], form.get("method", "get")) == ("/connections", "get")
            found = await ann.get("/connections?find=ERVICE+7")
            assert re.findall(r'<li class="[^"]*" id="conn-(\w+)"', found.text) == ["service7"]
            field = Document(found.text).by_id("find").attributes
            assert field["value"] == "ERVICE 7"

    @pytest.mark.parametrize("text", ['"><script>alert(1)</script>', "<b>\u202eeve", "x" * 300])
    async def test_shows_what_was_looked_for_as_text(self, ann: Browser, text: str) -> None:
        page = await ann.get(f"/connections?{httpx.QueryParams(find=text)}")
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<b>" not in page.text
        assert "\u202e" not in re.sub(r'value="[^"]*"', "", page.text)
        assert "x" * 81 not in page.text
        assert "No service or account has" in page.text
        assert 'href="/connections">Show all services</a>' in page.text

    def test_finds_by_the_name_of_the_service_or_of_the_account(self) -> None:
        cards = [card(CASES[name]) for name in ("endless", "limited", "free")]
        assert [c.name for c in matching(cards, "GIT")] == ["github"]
        assert [c.name for c in matching(cards, "Octo")] == ["github", "google"]
        assert matching(cards, "nothing") == []

    def test_leaves_the_way_to_a_card_that_it_does_not_show(self) -> None:
        """The summary is of all cards, so its links lead to the page of all."""
        cards = [card(CASES[name]) for name in ("limited", "own provider")]
        html = list_html(cards[1:], summary=summarize(cards, SCREEN), find="wiki", can_find=True)
        assert 'id="conn-google"' not in html
        assert 'href="/connections#conn-google-t"' in html
        assert 'href="#conn-google-t"' in SCREENS["support preview"]

    async def test_leaves_the_way_to_disconnect_everything(
        self, place: Place, ann: Browser
    ) -> None:
        await place.connect(ann, "github")
        assert 'id="disconnect-everything"' in (await ann.get("/connections?find=discord")).text


class TestTheQuestion:
    def test_names_the_features_that_stop_and_the_last_use(self) -> None:
        known = connection("google", scopes=tuple(BUSY.scopes), has_refresh_token=True)
        asked = confirm_card(BUSY, known, SCREEN)
        assert [re.sub("<.*?>", "", said) for said in asked.stops[:-1]] == list(BUSY.features)[:-1]
        assert "last used on" in asked.stops[-1]
        assert 'datetime="2026-10-03T08:14:00Z"' in asked.stops[-1]
        text = Document(card_html(asked, htmx=True)).text
        assert "These stop at once" in text
        assert text.index("birthdays") < text.index("These stay")

    def test_names_no_feature_that_did_not_work(self) -> None:
        known = CASES["one feature lacks"].connection
        assert known
        stops = " ".join(confirm_card(BUSY, known, SCREEN).stops)
        assert "meeting reminders" in stops
        assert "mail" not in stops.replace("e-mail", "")

    def test_without_features_names_the_bots_work(self) -> None:
        asked = confirm_card(ON["github"], connection("github", profile={"used_at": 0.0}), SCREEN)
        assert asked.stops == ("Stella working with your GitHub account",)

    @every(
        "known",
        [connection("github", Status.RECONNECT_NEEDED), connection("github", Status.UNREADABLE)],
    )
    def test_about_what_has_ended_or_cannot_be_read_says_of_nothing_that_it_stops(
        self, known: Connection
    ) -> None:
        asked = confirm_card(ON["github"], known, SCREEN)
        assert asked.stops == ()
        assert "These stop" not in card_html(asked, htmx=True)

    @every("provider", [ON["github"], ON["microsoft"], OFF["github"]])
    def test_says_what_stays_whatever_the_service_does(self, provider: OAuthProvider) -> None:
        asked = confirm_card(provider, connection(provider.name), SCREEN)
        text = Document(card_html(asked, htmx=True)).text
        for said in (
            f"Your {provider.label} account and everything in it",
            "Your other connections",
            "You can connect again at any time.",
        ):
            assert said in text

    def test_has_the_safe_answer_first(self) -> None:
        asked = confirm_card(ON["github"], connection("github"), SCREEN)
        assert [action.label for action in asked.every_action] == ["Keep connected", "Disconnect"]


AFTER = ("disconnected", "still listed", "to be asked again", "asked again", "own list")


class TestAfterADisconnect:
    @every("name", AFTER)
    def test_all_notes_have_their_actions_in_one_order(self, name: str) -> None:
        """Try again, the service's own page, the cross; Connect stands in the row."""
        shown = card(CASES[name])
        document = Document(card_html(shown, htmx=True))
        ids = (e.attributes.get("id", "") for e in document.elements if e.tag in ("a", "button"))
        order = [each.rpartition("-")[2] for each in ids if each.startswith(f"conn-{shown.name}-")]
        steps = (("connect",), ("ask_again",), ("manage", "manage_list"), ("dismiss", "done"))
        ranks = {key: number for number, keys in enumerate(steps) for key in keys}
        assert [ranks[key] for key in order] == sorted(ranks[key] for key in order)
        assert {"connect"} < set(order)
        assert order[-1] in ("dismiss", "done")

    def test_asking_again_is_a_button_and_the_services_page_a_link(self) -> None:
        shown = card(CASES["to be asked again"])
        assert shown.note
        document = Document(card_html(shown, htmx=True))
        assert document.by_id(f"conn-{shown.name}-ask_again").tag == "button"
        link = document.by_id(f"conn-{shown.name}-manage")
        assert (link.tag, link.attributes["rel"]) == ("a", "noreferrer")
        assert link.text == "Remove Stargazer at Google yourself"

    @every("name", AFTER)
    def test_the_cross_says_what_it_does_and_to_which_note(self, name: str) -> None:
        shown = card(CASES[name])
        assert shown.note
        assert shown.note.away
        cross = Document(card_html(shown, htmx=True)).by_id(shown.note.away.id)
        assert " ".join(cross.text.split()) == f"Dismiss this message {shown.label}"


@every("key", [key for key in OUTCOMES if key != "checked_ended"])
def test_the_title_is_the_last_outcome_alone(key: str) -> None:
    outcome = OUTCOMES[key]
    free = make_card(ON["github"], connection("github", Status.NOT_CONNECTED), Note(key), SCREEN)
    held = make_card(ON["github"], connection("github", **RENEWING), Note(key), SCREEN)
    shown = held if held.outcome else free
    if not shown.outcome:  # true of a connection in trouble alone
        assert not outcome.over & {"connected", "not_connected"}
        return
    (title,) = (e.text for e in Document(list_html([shown])).elements if e.tag == "title")
    assert title == f"{shown.outcome} \N{EN DASH} Stargazer"


def test_a_title_without_an_outcome_is_the_pages() -> None:
    cards: list[Card] = [replace(card(CASES["disconnected"]), outcome=""), card(CASES["limited"])]
    (title,) = (e.text for e in Document(list_html(cards)).elements if e.tag == "title")
    assert title == "Connections \N{EN DASH} Stargazer"


def test_what_has_ended_comes_before_what_lacks_a_permission() -> None:
    shown = [card(CASES[name]) for name in ("limited", "ended")]
    assert [each.tone for each in shown] == ["warn", "bad"]
    (needs,) = [group for group in grouped(shown) if group.name == "needs"]
    summary = summarize(shown, SCREEN)
    assert [each.state for each in needs.cards] == ["reconnect", "limited"]
    assert [link.label for link in summary.attention] == [each.label for each in needs.cards]
    assert summary.leads == needs.cards[0].name
    orders = re.findall(r'data-order="(\w+)', "".join(map(card_html, needs.cards)))
    assert orders == sorted(orders)
