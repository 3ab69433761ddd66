"""Support pages: what staff find, and what they see of a person."""

from __future__ import annotations

import html
import re
import time
from urllib.parse import quote

import httpx
import pytest

from tests.kit.library import connected
from tests.kit.screens import Document
from tests.kit.site_fixtures import Browser, Place, heading
from tests.kit.support_fixtures import ACCOUNT, IDS, put, records, settle
from webui.incident_codes import Reference, keep_reference
from webui.oauth_manager import Account, Event, Profile, TokenData
from webui.support.paths import person_path
from webui.text import words

pytestmark = pytest.mark.anyio

WHY = "reason=ticket+4411"
PERSON = f"/support/people/mona?{WHY}"
PREVIEW = f"/support/people/mona/preview?{WHY}"


async def found(carol: Browser, q: str, *, htmx: bool = False) -> httpx.Response:
    """Search for what leads to nobody, to several people, or to a reference."""
    answer = await carol.get(f"/support?q={quote(q)}&{WHY}", htmx=htmx)
    assert answer.status_code == 200
    return answer


async def opened(carol: Browser, q: str) -> str:
    """Search for what leads to one person, whose page it opens; return its address."""
    answer = await carol.get(f"/support?q={quote(q)}&{WHY}")
    assert answer.status_code == 303
    return answer.headers["location"]


def links(answer: httpx.Response) -> list[str]:
    """The people that a search leads to."""
    return [
        element.attributes["href"]
        for element in Document(answer.text).elements
        if element.attributes.get("href", "").startswith("/support/people/")
    ]


def row_of(page: str, service: str) -> str:
    """Return what the page says of one service: in its card, its row or its sentence."""
    tags = re.findall(rf'<(article|li)[^>]* id="service-{service}"', page)
    (tag,) = tags
    _, _, rest = page.partition(f'id="service-{service}"')
    return Document(f"<p{rest.partition(f'</{tag}>')[0]}</p>").text


def heads(answer: httpx.Response) -> str:
    """The heading over what was found."""
    return Document(answer.text).by_id("results-t").text


def said(key: str, **values: object) -> str:
    names = {"product": "Stargazer", "bot": "Stella", **values}
    return words.text(f"support.{key}", **names)


class TestSearch:
    async def test_finds_a_person_by_their_id(self, carol: Browser) -> None:
        assert await opened(carol, "mona") == f"/support/people/mona?{WHY}"
        assert (await carol.get(await opened(carol, "mona"))).status_code == 200

    async def test_of_one_person_opens_their_page_and_has_both_looks_on_record(
        self, office: Place, carol: Browser
    ) -> None:
        await carol.get(await opened(carol, "mona"))
        shown = [(r["action"], r["whom"], r["result"]) for r in await records(office.redis)]
        assert shown == [("searched", "mona", "found"), ("viewed", "mona", "shown")]

    async def test_of_one_person_opens_their_page_for_htmx_too(self, carol: Browser) -> None:
        answer = await carol.get(f"/support?q=mona&{WHY}", htmx=True)
        assert answer.status_code == 200
        assert answer.headers["hx-redirect"] == f"/support/people/mona?{WHY}"
        assert answer.headers["x-fragment"] == "1"

    @pytest.mark.parametrize("q", ["mon", "mona*", "m?na", "MONA", "%", "*", "mona ann", "[m]ona"])
    async def test_finds_nobody_by_less_or_more(self, carol: Browser, q: str) -> None:
        answer = await found(carol, q)
        assert (heads(answer), links(answer)) == (said("nobody"), [])

    async def test_does_not_find_who_has_nothing_here(self, office: Place, carol: Browser) -> None:
        assert heads(await found(carol, "ben")) == said("nobody")
        await office.bot.record(office.redis, "ben", Event("link_made", "", "chat", time.time()))
        assert await opened(carol, "ben")

    async def test_finds_who_has_an_open_link_alone(self, office: Place, carol: Browser) -> None:
        await office.bot.create_link_code(office.redis, "ben", provider="github")
        assert await opened(carol, "ben")

    async def test_does_not_make_anybody_of_an_id_by_looking(self, carol: Browser) -> None:
        for page in ("?", "?kind=used&", "?before=1-0&", "/preview?", "?"):
            answer = await carol.get(f"/support/people/ghost{page}{WHY}")
            assert answer.status_code == 200
            assert said("nothing") in Document(answer.text).text or page == "/preview?"
            assert heads(await found(carol, "ghost")) == said("nobody")

    @pytest.mark.parametrize("account", ["octocat", "OctoCat", "42"])
    async def test_finds_everybody_with_an_account_at_a_provider(
        self, office: Place, carol: Browser, account: str
    ) -> None:
        office.fake.account = {"id": "42", "login": "octocat", "name": "Octo"}
        for user in ("ann", "ben/x"):
            await connected(office.bot, office.fake, office.redis, user, "github")
        answer = await found(carol, account)
        assert heads(answer) == f"2 people found for “{account}”"
        assert sorted(links(answer)) == sorted(
            f"{person_path(user)}?{WHY}" for user in ("ann", "ben/x")
        )
        assert answer.text.count("GitHub account") == 2
        assert heads(await found(carol, "octoca")) == said("nobody")
        first = (await records(office.redis))[0]
        assert (first["provider"], first["whom"]) == ("github", "")
        assert all(user in first["result"] for user in ("ann", "ben/x"))

    async def test_looks_everywhere_and_says_where_it_found(
        self, office: Place, carol: Browser
    ) -> None:
        office.fake.account = {"id": "42", "login": "mona", "name": "Mona"}
        await connected(office.bot, office.fake, office.redis, "alice", "github")
        answer = await found(carol, "mona")
        assert links(answer) == [f"/support/people/{user}?{WHY}" for user in ("mona", "alice")]
        shown = re.findall(r'class="row-who">([^<]+)<', answer.text)
        assert shown == ["Stargazer id", "GitHub account"]
        assert (await records(office.redis))[-1]["result"] == 'found ["mona", "alice"]'

    async def test_of_somebody_found_twice_opens_their_page(
        self, office: Place, carol: Browser
    ) -> None:
        office.fake.account = {"id": "42", "login": "alice", "name": "Alice"}
        await connected(office.bot, office.fake, office.redis, "alice", "github")
        assert await opened(carol, "alice") == f"/support/people/alice?{WHY}"

    async def test_shows_ten_and_asks_to_be_more_exact(self, office: Place, carol: Browser) -> None:
        office.fake.account = {"id": "42", "login": "octocat", "name": "Octo"}
        for number in range(11):
            await connected(office.bot, office.fake, office.redis, f"p{number}", "github")
        answer = await found(carol, "octocat")
        assert len(links(answer)) == 10
        assert said("more") in Document(answer.text).text

    async def test_has_everybody_it_shows_on_record(self, office: Place, carol: Browser) -> None:
        office.fake.account = {"id": "42", "login": "octocat", "name": "Octo"}
        people = [str(number) + "\u0416" * 120 for number in range(10)]
        for person in people:
            await connected(office.bot, office.fake, office.redis, person, "github")
        await found(carol, "octocat")
        record = (await records(office.redis))[-1]
        assert all(person in record["result"] for person in people)

    async def test_finds_by_a_reference_what_failed_and_for_whom(
        self, office: Place, carol: Browser
    ) -> None:
        kept = Reference(
            "", time.time(), "failed", 0, "/oauth/{provider}/callback", "GET", "github",
            "bad_verification_code", "0a1b-trace", "mona", "ab12cd34",
        )  # fmt: skip
        code = await keep_reference(office.redis, kept)
        for q in (code, f"{code[:3].lower()} {code[3:]}"):
            answer = await found(carol, q)
            text = Document(answer.text).text
            assert heads(answer) == f"1 person found for “{q}”"
            assert links(answer) == [f"/support/people/mona?{WHY}"]
            assert "Connecting GitHub did not finish." in text
            for piece in ("bad_verification_code", "0a1b-trace", "ab12cd34", code):
                assert piece in text
        last = (await records(office.redis))[-1]
        assert (last["action"], last["whom"], last["result"]) == (
            "reference",
            "mona",
            f"found {code}",
        )

    async def test_finds_a_failure_of_nobody(self, office: Place, carol: Browser) -> None:
        kept = Reference("", time.time(), "of a later release", 404, "unmatched", "GET")
        code = await keep_reference(office.redis, kept)
        answer = await found(carol, code)
        assert (heads(answer), links(answer)) == (said("found_failure"), [])
        assert "of a later release" in Document(answer.text).text

    async def test_says_where_a_reference_of_an_outage_is(self, carol: Browser) -> None:
        outage = "A reference from an outage is only in the log."
        for q in ("KT49WX", "kt4 9wx"):
            assert heads(await found(carol, q)) == said("nobody_not_kept")
            assert outage in (await found(carol, q)).text
        assert "an outage" not in (await found(carol, "somebody else")).text

    async def test_finds_a_person_whose_id_looks_like_a_reference(
        self, office: Place, carol: Browser
    ) -> None:
        await settle(office.bot, office.redis, "KT49WX")
        assert await opened(carol, "KT49WX") == f"/support/people/KT49WX?{WHY}"

    async def test_keeps_nothing_in_clear_of_what_found_nobody(
        self, office: Place, carol: Browser
    ) -> None:
        pasted = "https://bot.example/connect/" + "s3cret" * 7
        await found(carol, pasted)
        (record,) = await records(office.redis)
        assert (record["whom"], record["result"]) == ("", "nobody: h•••t")
        assert pasted not in str(record)

    @pytest.mark.parametrize("htmx", [False, True])
    async def test_tells_what_is_missing_at_its_field(self, carol: Browser, htmx: bool) -> None:
        for query, field, key in (
            (f"q=&{WHY}", "q", "fault.q"),
            ("q=&reason=", "q", "fault.q"),
            ("q=mona&reason=", "reason", "fault.reason"),
            (f"q=mona&reason={'x' * 301}", "reason", "fault.reason_long"),
        ):
            answer = await carol.get(f"/support?{query}", htmx=htmx)
            assert answer.status_code == 422
            document = Document(answer.text)
            wanted = document.by_id(field)
            assert "autofocus" in wanted.attributes
            assert wanted.attributes["aria-invalid"] == "true"
            assert f"{field}-fault" in wanted.attributes["aria-describedby"].split()
            assert document.by_id(f"{field}-fault").text == said(key)
            assert [e for e in document.elements if "autofocus" in e.attributes] == [wanted]
            assert not any(e.attributes.get("id") == "results-t" for e in document.elements)

    async def test_swaps_the_results_and_says_them_aloud(self, carol: Browser) -> None:
        document = Document((await found(carol, "ghost", htmx=True)).text)
        assert document.elements[0].attributes["id"] == "results"
        beside = [e.attributes["id"] for e in document.elements if "hx-swap-oob" in e.attributes]
        assert beside == ["search", "announce"]
        assert document.by_id("announce").text == said("nobody")
        answer = await carol.get(f"/support?q=&{WHY}", htmx=True)
        assert (answer.headers["x-fragment"], Document(answer.text).by_id("announce").text) == (
            "1",
            "",
        )

    async def test_gives_page_and_fragment_the_same_words(self, carol: Browser) -> None:
        page, fragment = [await found(carol, "ghost", htmx=htmx) for htmx in (False, True)]
        part = page.text[
            page.text.index('<section class="results group"') : page.text.index("</main>")
        ]
        assert Document(part).text in Document(fragment.text).text

    @pytest.mark.parametrize("user", IDS)
    async def test_leads_to_every_id_there_is(
        self, office: Place, carol: Browser, user: str
    ) -> None:
        await office.bot.store_token(
            office.redis, user, TokenData("no-token", scopes=["read:user"], provider="github")
        )
        answer = await carol.get(await opened(carol, user))
        assert answer.status_code == 200
        assert 'id="service-github"' in answer.text
        for page in re.findall(r'href="(/support/people/[^"]+)"', answer.text):
            assert (await carol.get(html.unescape(page))).status_code == 200
        assert {record["whom"] for record in await records(office.redis)} == {user}


class TestThePersonsPage:
    async def test_says_in_its_first_line_what_is_wrong(self, carol: Browser) -> None:
        answer = await carol.get(PERSON)
        (verdict,) = re.findall(r'<p class="verdict.*?</p>', answer.text)
        assert Document(verdict).text == (
            "3 problems: Discord needs reconnecting, Microsoft cannot be read, Google is limited."
        )
        (title,) = (e.text for e in Document(answer.text).elements if e.tag == "title")
        assert title.split(" \N{EN DASH} ") == ["mona: 3 problems", "Support", "Stargazer"]

    async def test_has_the_problems_open_and_first_and_the_rest_in_rows(
        self, carol: Browser
    ) -> None:
        page = (await carol.get(PERSON)).text
        assert re.findall(r'<(article|li) [^>]*id="service-(\w+)"', page) == [
            ("article", "discord"),
            ("article", "microsoft"),
            ("article", "google"),
            ("li", "github"),
        ]
        statuses = re.findall(r'<p class="status \w+">.*?</p>', page, re.S)
        assert [Document(s).text for s in statuses] == [
            "Status: Reconnect needed",
            "Status: Cannot be read",
            "Status: Limited",
        ]
        assert "Status: Connected." in row_of(page, "github")

    async def test_has_one_button_for_each_text_to_copy(self, carol: Browser) -> None:
        document = Document((await carol.get(PERSON)).text)
        copies = [
            e.attributes["data-copy"] for e in document.elements if "data-copy" in e.attributes
        ]
        assert copies == ["tell-discord", "tell-microsoft", "tell-google"]
        for target in copies:
            assert "Please send Stella: " in document.by_id(target).text.replace("please", "Please")

    async def test_says_once_that_times_are_utc(self, carol: Browser) -> None:
        answer = await carol.get(PERSON)
        shown = re.sub(r"<p class=.printed.*?</p>", "", answer.text, flags=re.S)
        assert Document(shown).text.count("UTC") == 1
        assert re.search(r'<time [^>]*title="[^"]+ UTC">10 minutes ago</time>', answer.text)

    async def test_has_the_words_of_the_persons_own_page(
        self, office: Place, carol: Browser
    ) -> None:
        mona = Document((await (await office.signed_in("mona")).get("/connections")).text)
        classes = ((e.attributes.get("class", ""), e.text) for e in mona.elements)
        own = [text for name, text in classes if name.startswith("status ")]
        text = Document((await carol.get(PERSON)).text).text
        assert len(own) >= 3
        assert all(tag.removeprefix("Status: ").strip() in text for tag in own)

    async def test_tells_what_to_tell_them(self, carol: Browser) -> None:
        text = Document((await carol.get(PERSON)).text).text
        for service, key in (("Discord", "reconnect"), ("Microsoft", "unreadable")):
            command = f"connect {service.lower()}"
            assert said(f"tell.{key}", provider=service, command=command) in text.replace(" ,", ",")
        assert "permission to: see your main Google e-mail address; odd:one." in text
        for piece in ("Discord ended access", "invalid_grant", "0a1b2c3d-trace", "read your full"):
            assert piece in text

    async def test_says_why_a_service_is_not_connected(self, office: Place, carol: Browser) -> None:
        """F: in half a minute, for each way it can have come to that."""
        ago, bot = time.time() - 3600, office.bot
        steps = {
            "denied": (
                Event("denied", "github", "web", ago, "denied"),
                "They chose not to connect",
            ),
            "admin": (
                Event("connect_failed", "github", "web", ago, "needs_admin"),
                "Their organisation has to allow it first",
            ),
            "down": (
                Event("connect_failed", "github", "web", ago, "provider_trouble"),
                "GitHub was not answering",
            ),
            "chat": (Event("disconnected", "github", "chat", ago), "By them, in their chat"),
            "support": (Event("disconnected", "github", "support", ago), "Support."),
            "again": (
                Event("revoked", "github", "web", ago),
                "GitHub confirmed that our access has ended",
            ),
            "late": (Event("link_made", "github", "chat", ago), "Your link worked until"),
        }
        for user, (event, reason) in steps.items():
            await bot.record(office.redis, user, Event("disconnected", "github", "web", ago - 9))
            await bot.record(office.redis, user, event)
            for _ in range(30):  # another service's noise
                await bot.record(office.redis, user, Event("link_made", "google", "chat", ago))
            text = row_of((await carol.get(f"/support/people/{user}?{WHY}")).text, "github")
            assert reason in text, user
            assert "connect github" in text, user
            assert "denied" not in text, user
            assert "Check GitHub" not in text

    async def test_says_that_nothing_ever_happened(self, office: Place, carol: Browser) -> None:
        await office.bot.create_link_code(office.redis, "new")
        text = row_of((await carol.get(f"/support/people/new?{WHY}")).text, "github")
        assert said("never", provider="GitHub") in text
        assert said("tell_connect", command="connect github") in text.replace(" ,", ",")

    @pytest.mark.parametrize("path", [PERSON, PREVIEW])
    async def test_masks_the_account(self, carol: Browser, path: str) -> None:
        text = (await carol.get(path)).text
        assert "m•••@e•••.org" in text
        assert ACCOUNT not in text
        assert "mona.lisa" not in text

    async def test_lists_links_without_their_codes(self, office: Place, carol: Browser) -> None:
        code = await office.bot.create_link_code(office.redis, "mona", provider="github")
        own = await office.browser()
        other = await office.bot.create_link_code(office.redis, "mona", provider="google")
        await own.post(f"/connect/{other}/start")
        answer = await carol.get(PERSON)
        text = Document(answer.text).text
        assert "GitHub Open Until" in text
        assert "Google Waits for the code from their chat Until" in text
        assert code not in answer.text
        assert other not in answer.text

    async def test_says_that_nothing_is_stored(self, carol: Browser) -> None:
        text = Document((await carol.get(f"/support/people/nobody?{WHY}")).text).text
        assert said("nothing") in text
        assert "Timeline" not in text

    async def test_shows_hostile_text_as_text(self, office: Place, carol: Browser) -> None:
        hostile = "<img src=x onerror=alert(1)>\u202e{{6007*7001}}\" hx-get='/x"
        profile = Profile(
            Account("1", hostile),
            connected_at=1.0,
            problem=hostile,
            problem_since=1.0,
            problem_trace=hostile,
        )
        await put(office.bot, office.redis, hostile, "github", profile)
        event = Event("<b>odd", "<b>gone", "<b>who", 1.0, hostile, hostile)
        await office.bot.record(office.redis, hostile, event)
        reason = quote(f"{hostile}\r\nSet-Cookie: a=b")
        for page in ("", "/preview", "/end-sessions"):
            answer = await carol.get(f"{person_path(hostile)}{page}?reason={reason}")
            assert answer.status_code == 200
            document = Document(answer.text)
            assert not any("onerror" in e.attributes for e in document.elements)
            assert not any(e.attributes.get("hx-get") for e in document.elements)
            assert "42055007" not in document.text
            assert "\u202e" not in heading(answer.text)
            assert "a" not in answer.cookies
        await office.redis.delete("stargazer:oauth_audit")

    @pytest.mark.parametrize("segment", ["%2500", "%250d%250a", "x" * 256])
    async def test_of_what_is_no_id_is_not_found(self, carol: Browser, segment: str) -> None:
        for page in ("", "/preview", "/check"):
            answer = await carol.get(f"/support/people/{segment}{page}?{WHY}&provider=github")
            assert answer.status_code == 404


class TestTheTimeline:
    async def test_is_narrowed_by_service_and_kind(self, office: Place, carol: Browser) -> None:
        for kind, provider in (("used", "github"), ("used", "google"), ("connected", "github")):
            event = Event(kind, provider, "bot", time.time())
            await office.bot.record(office.redis, "mona", event)

        async def happened(**narrow: str) -> list[str]:
            query = "".join(f"&{name}={value}" for name, value in narrow.items())
            document = Document((await carol.get(PERSON + query)).text)
            return [
                e.text
                for e in document.elements
                if e.attributes.get("class") == "what" and e.tag == "p"
            ]

        both = ["Stella used Google", "Stella used GitHub"]
        assert await happened(kind="used") == both
        assert await happened(service="github", kind="used") == both[1:]
        assert await happened(service="github") == ["GitHub connected", both[1]]
        assert await happened(service="discord") == []
        assert len(await happened(service="nonsense", kind="nonsense")) >= 3
        (line,) = await happened(kind="support")
        assert line == "Support looked, 5 times"

    async def test_goes_on_for_25_a_page(self, office: Place, carol: Browser) -> None:
        for number in range(30):
            event = Event("used", "github", "bot", time.time(), f"n{number}")
            await office.bot.record(office.redis, "mona", event)
        first = await carol.get(f"{PERSON}&kind=used")
        (older,) = re.findall(r'href="([^"]+)" rel="next"', first.text)
        second = await carol.get(html.unescape(older))
        shown = [re.findall(r"<code>(n\d+)</code>", page.text) for page in (first, second)]
        assert shown == [[f"n{n}" for n in range(29, 4, -1)], [f"n{n}" for n in range(4, -1, -1)]]
        assert 'rel="next"' not in second.text
        assert said("newest") in second.text

    async def test_holds_that_support_looked(self, office: Place, carol: Browser) -> None:
        await carol.get(PERSON)
        page = await carol.get(PERSON)
        assert '<p class="what">Support looked</p>' in page.text
        assert "Ticket 4411" in Document(page.text).text
        mona = await office.signed_in("mona")
        text = Document((await mona.get("/activity")).text).text
        assert text.count("Support looked") == 1
        assert "Support looked at your connections, 2 times" in text
        assert "Ticket 4411" in text
        assert "carol" not in text

    async def test_tells_the_person_nothing_of_a_reason_in_words(
        self, office: Place, carol: Browser
    ) -> None:
        await carol.get("/support/people/mona?reason=she+may+be+a+fraud+4411")
        mona = await office.signed_in("mona")
        text = Document((await mona.get("/activity")).text).text
        assert "Support looked at your connections" in text
        assert "fraud" not in text
        assert "4411" not in text


class TestThePicture:
    async def test_is_of_the_same_cards_and_cannot_be_pressed(
        self, office: Place, carol: Browser
    ) -> None:
        answer = await carol.get(PREVIEW)
        document = Document(answer.text)
        assert said("picture", person="mona") in document.text
        own = Document((await (await office.signed_in("mona")).get("/connections")).text)
        states = [
            [e.attributes["data-state"] for e in page.elements if "data-state" in e.attributes]
            for page in (document, own)
        ]
        assert states[0] == states[1] == ["reconnect", "unreadable", "limited", "connected"]
        picture = answer.text[answer.text.index('<div class="picture">') :]
        pressed = Document(picture[: picture.index("</main>")]).elements
        assert not {e.tag for e in pressed} & {"form", "button", "input", "select"}
        links = [e.attributes["href"] for e in pressed if e.tag == "a"]
        assert all(link.startswith("#") for link in links)
        buttons = re.findall(r"Buttons: ([^<]+)", answer.text)
        assert [names.strip() for names in buttons] == [
            "Reconnect",
            "Disconnect",
            "Reconnect",
            "Disconnect",
            "Allow the rest, Keep as it is",
            "Disconnect",
            "Check now, Disconnect",
        ]

    async def test_has_no_notes_of_a_session(self, office: Place, carol: Browser) -> None:
        mona = await office.signed_in("mona")
        await mona.post("/connections/google/accept-limited")
        assert "Kept as it is." in (await mona.get("/connections")).text
        assert "Kept as it is." not in (await carol.get(PREVIEW)).text

    async def test_is_without_the_way_to_the_persons_pages(self, carol: Browser) -> None:
        for path in ("/support", PERSON, PREVIEW):
            hrefs = re.findall(r'href="(/[^"]*)"', (await carol.get(path)).text)
            assert not [h for h in hrefs if h.startswith(("/connections", "/activity", "/help"))]
