"""Actions of support for a person: on record first, then done, then told to them."""

from __future__ import annotations

import logging
import re
from urllib.parse import quote

import httpx
import pytest

from tests.kit.fake_answers import Answer
from tests.kit.library import connected
from tests.kit.screens import Document
from tests.kit.site_fixtures import HTMX, Browser, Place, card_state, commands, heading, shown_code
from tests.kit.support_fixtures import AUDIT, own_copies, records, told
from webui.rate_limits import LIMITS
from webui.support.paths import person_path
from webui.text import words
from webui.views.support.actions import ACTS

pytestmark = pytest.mark.anyio

WHY = "ticket 4411"
HERS = "/support/people/ann"
EVERY_ACT = pytest.mark.parametrize("act", ACTS)


def form_of(act: str) -> dict[str, str]:
    return {"reason": WHY, **({"provider": "github"} if ACTS[act].of_service else {})}


async def do(carol: Browser, act: str, **more: str) -> httpx.Response:
    return await carol.post(f"{HERS}/{act}", {**form_of(act), **more})


async def results(office: Place) -> list[tuple[str, str, str, str]]:
    found = await records(office.redis)
    return [(r["action"], r["whom"], r["provider"], r["result"]) for r in found]


@pytest.fixture
async def ann(office: Place) -> Browser:
    """ann, whose GitHub works."""
    await connected(office.bot, office.fake, office.redis, "ann", "github")
    return await office.signed_in("ann")


class TestAsking:
    async def test_to_disconnect_promises_no_question_that_a_service_does_not_take(
        self, carol: Browser
    ) -> None:
        asks = {
            name: (await carol.get(f"{HERS}/disconnect?provider={name}&reason=4411")).text
            for name in ("github", "microsoft")
        }
        assert "we ask GitHub to cancel our access" in asks["github"]
        assert "cancel our access" not in asks["microsoft"]
        assert "Microsoft keeps its own list of apps" in asks["microsoft"]

    @EVERY_ACT
    async def test_says_what_will_happen_and_looks_nothing_up(
        self, office: Place, carol: Browser, act: str
    ) -> None:
        async with commands(office.redis) as seen:
            answer = await carol.get(f"{HERS}/{act}?provider=github&reason={quote(WHY)}")
        assert answer.status_code == 200
        document = Document(answer.text)
        assert words.text("support.told", bot=office.settings.bot_name) in document.text
        assert document.by_id("reason").attributes["value"] == WHY
        (form,) = (e for e in document.elements if e.attributes.get("action", "").startswith(HERS))
        assert (form.attributes["method"], form.attributes["action"]) == ("post", f"{HERS}/{act}")
        assert {line.split()[0] for line in seen} == {"HGETALL"}  # the session

    async def test_is_about_a_service_there_is(self, carol: Browser) -> None:
        for provider in ("", "nonsense", "../google", "GITHUB"):
            for act in ("check", "disconnect"):
                assert (await carol.get(f"{HERS}/{act}?provider={provider}")).status_code == 404
                assert (await do(carol, act, provider=provider)).status_code == 404

    @EVERY_ACT
    async def test_is_answered_with_a_reason_or_asked_again(
        self, office: Place, ann: Browser, carol: Browser, act: str
    ) -> None:
        before = await office.records()
        for reason in ("", "  ", "x" * 301):
            answer = await do(carol, act, reason=reason)
            assert answer.status_code == 422
            assert Document(answer.text).by_id("reason").attributes["aria-invalid"] == "true"
        assert await office.records() == before
        assert await records(office.redis) == []
        assert await ann.state_of("github") == "connected"


class TestDoing:
    async def test_check_asks_the_provider_and_says_what_the_card_says(
        self, office: Place, ann: Browser, carol: Browser
    ) -> None:
        answer = await do(carol, "check")
        assert answer.status_code == 200
        assert office.fake.calls["account"] >= 1
        text = Document(answer.text).text
        assert re.search(r"Working\. Checked at \d\d:\d\d UTC \.", text)
        assert card_state(answer.text, "github") == "connected"
        assert await results(office) == [
            ("checked", "ann", "github", "begun"),
            ("checked", "ann", "github", "done: working"),
        ]
        assert (await told(office.bot, office.redis))[-1] == ("support_checked", "ann", "github")

    async def test_check_that_failed_is_the_last_one_on_the_page(
        self, office: Place, ann: Browser, carol: Browser
    ) -> None:
        async def last_checked() -> str:
            page = await carol.get(f"/support/people/ann?reason={quote(WHY)}")
            row = page.text[page.text.index('id="service-github"') :]
            cell = row[row.index("Last checked") :].partition("</dd>")[0]
            return re.sub("<[^>]*>", "", cell).removeprefix("Last checked")

        await do(carol, "check")
        at = "just now"
        assert re.fullmatch(f"{at}: working", await last_checked())
        office.fake.always["account"] = Answer(503)
        await do(carol, "check")
        assert re.fullmatch(f"{at}: no answer", await last_checked())
        office.fake.always.pop("account")
        await office.bot.check(office.redis, "ann", "github")
        assert re.fullmatch(f"{at}: working", await last_checked())
        office.fake.withdraw()
        await ann.post("/connections/github/check")
        assert re.fullmatch(f"{at}: needs reconnecting", await last_checked())

    async def test_check_tells_of_an_end(self, office: Place, carol: Browser) -> None:
        answer = await carol.post(
            "/support/people/mona/check", {"provider": "google", "reason": WHY}
        )
        assert card_state(answer.text, "google") == "reconnect"
        assert "m•••@e•••.org" in answer.text
        assert (await results(office))[-1] == (
            "checked",
            "mona",
            "google",
            "done: reconnect_needed",
        )

    async def test_disconnect_ends_it_here_and_there(
        self, office: Place, ann: Browser, carol: Browser
    ) -> None:
        answer = await do(carol, "disconnect")
        assert answer.status_code == 200
        assert office.fake.calls["revoke"] == 1
        text = Document(answer.text).text
        assert words.text("card.disconnected.title", provider="GitHub") in text
        assert await ann.state_of("github") == "not_connected"
        assert (await results(office))[-1] == ("disconnected", "ann", "github", "done: revoked")
        assert (await told(office.bot, office.redis))[-1] == (
            "support_disconnected",
            "ann",
            "github",
        )

    async def test_cancel_links_kills_links_and_proofs(self, office: Place, carol: Browser) -> None:
        stranger = await office.browser()
        waiting = await office.bot.create_link_code(office.redis, "zoe", provider="google")
        await stranger.post(f"/connect/{waiting}/start")
        proof = shown_code(await stranger.get("/connect/proof"))
        unused = await office.bot.create_link_code(office.redis, "zoe", provider="discord")
        answer = await carol.post("/support/people/zoe/cancel-links", {"reason": WHY})
        assert "Links switched off: 2." in Document(answer.text).text
        assert await office.bot.proofs.confirm(office.redis, "zoe", proof) is not None
        assert (await stranger.get(f"/connect/{unused}")).status_code in (404, 410)
        assert (await results(office))[-1] == ("cancelled_links", "zoe", "", "done: 2")
        assert (await told(office.bot, office.redis))[-1] == ("support_cancelled_links", "zoe", "")

    async def test_end_sessions_signs_out_every_browser(
        self, office: Place, ann: Browser, carol: Browser
    ) -> None:
        phone = await office.signed_in("ann")
        answer = await do(carol, "end-sessions")
        assert "Sessions ended: 2." in Document(answer.text).text
        for browser in (ann, phone):
            assert (await browser.get("/connections")).status_code == 303
        assert (await carol.get("/support")).status_code == 200
        assert (await results(office))[-1] == ("ended_sessions", "ann", "", "done: 2")
        assert (await told(office.bot, office.redis))[-1] == ("support_ended_sessions", "ann", "")

    @EVERY_ACT
    async def test_is_seen_by_the_person_once(
        self, office: Place, ann: Browser, carol: Browser, act: str
    ) -> None:
        await do(carol, act)
        has_own_event = act == "disconnect"
        assert await office.redis.xlen(own_copies("ann")) == (0 if has_own_event else 1)
        text = Document((await (await office.signed_in("ann")).get("/activity")).text).text
        assert len(re.findall(r"Support(?! pages)", text)) == 1
        assert "carol" not in text
        assert WHY not in text

    @EVERY_ACT
    async def test_keeps_who_why_and_the_request_in_both_records(
        self, office: Place, ann: Browser, carol: Browser, act: str
    ) -> None:
        await do(carol, act)
        begun, done = await records(office.redis)
        for name in ("who", "via", "action", "whom", "provider", "reason", "request_id"):
            assert begun[name] == done[name]
        assert (begun["who"], begun["reason"]) == ("carol", WHY)
        assert begun["request_id"]

    async def test_leads_back_to_the_person(self, carol: Browser) -> None:
        user = "a/b \u202e"
        answer = await carol.post(f"{person_path(user)}/cancel-links", {"reason": WHY})
        assert answer.status_code == 200
        assert f"{person_path(user)}?reason=ticket+4411" in answer.text
        assert "\u202e" not in heading(answer.text)

    async def test_works_for_who_has_nothing_here(self, office: Place, carol: Browser) -> None:
        for act in ACTS:
            answer = await do(carol, act)
            assert answer.status_code == 200
        assert [result for *_, result in await results(office)][1::2] == [
            "done: not_connected",
            "done: nothing",
            "done: 0",
            "done: 0",
        ]


class TestNotDoing:
    @EVERY_ACT
    async def test_nothing_is_done_that_cannot_be_recorded(
        self, office: Place, ann: Browser, carol: Browser, act: str
    ) -> None:
        code = await office.bot.create_link_code(office.redis, "ann", provider="google")
        await office.redis.set(AUDIT, "no stream")
        before = await office.records(), await told(office.bot, office.redis)
        calls = dict(office.fake.calls)
        assert (await do(carol, act)).status_code == 503
        assert (await office.records(), await told(office.bot, office.redis)) == before
        assert office.fake.calls == calls
        assert await ann.state_of("github") == "connected"
        assert (await ann.get(f"/connect/{code}")).status_code == 200

    @EVERY_ACT
    async def test_nothing_is_done_for_another_sites_page(
        self, office: Place, ann: Browser, carol: Browser, act: str
    ) -> None:
        for headers in (
            {},
            {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
            {"sec-fetch-site": "same-site"},
            {"origin": "null"},
            dict(HTMX),
        ):
            answer = await carol.client.post(f"{HERS}/{act}", data=form_of(act), headers=headers)
            assert answer.status_code == 403
        assert await records(office.redis) == []
        assert await ann.state_of("github") == "connected"

    async def test_nothing_is_done_in_the_persons_place(
        self, office: Place, ann: Browser, carol: Browser
    ) -> None:
        """The controls of people act for the person who is signed in."""
        before = await office.records()
        for action in ("disconnect", "check", "connect", "accept-limited", "dismiss"):
            form = {"user": "ann", "user_id": "ann", "reason": WHY}
            await carol.post(f"/connections/github/{action}?user=ann", form)
            path = f"{HERS}/connections/github/{action}"
            assert (await carol.post(path, form)).status_code == 404
            assert (await carol.post(f"{HERS}/connect", form)).status_code == 404
        assert await office.records() == before

    async def test_have_a_limit_and_an_alert(
        self, office: Place, ann: Browser, carol: Browser, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A staff session in wrong hands could end everybody's access, or find who is here."""
        caplog.set_level(logging.ERROR)
        most = int(LIMITS["act"].partition("/")[0])
        for number in range(most):
            path = f"/support/people/p{number}/cancel-links"
            assert (await carol.post(path, {"reason": WHY})).status_code == 200
        before = await office.records()
        for act in (*ACTS, *ACTS):
            answer = await do(carol, act)
            assert answer.status_code == 429
            assert "retry-after" in answer.headers
        assert await office.records() == before
        assert await ann.state_of("github") == "connected"
        kept = [record["action"] for record in await records(office.redis)]
        assert kept == ["cancelled_links"] * 2 * most + ["too_many_actions"]
        assert len([r for r in caplog.records if "has done more than" in r.getMessage()]) == 1

    async def test_checks_have_a_limit(self, office: Place, ann: Browser, carol: Browser) -> None:
        statuses = [(await do(carol, "check")).status_code for _ in range(11)]
        assert statuses == [200] * 10 + [429]
        assert len(await records(office.redis)) == 20
