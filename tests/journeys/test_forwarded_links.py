"""Links that come into other hands: another person's, another phone's, a preview's, a prober's."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, cast

import httpx
import pytest

from tests.kit.library import keys_at
from tests.kit.site_fixtures import (
    Browser,
    Place,
    but_reference,
    confirm,
    handed_off,
    heading,
    is_signed_in,
    nothing_happened,
    query_of,
    shown_code,
)
from webui.oauth_manager import LinkRequest, Notice, NoticeKind

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.anyio

LANDING, PROVIDERS_OWN = "our landing page", "the provider's own address"
WAYS = (LANDING, PROVIDERS_OWN)
OTHER_BROWSER = "You came back in another browser"
END = "the last one that is told"
TIMES = 100
PREVIEWS: tuple[dict[str, str], ...] = (
    {"user-agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"},
    {"user-agent": "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)"},
    {"user-agent": "WhatsApp/2.23.20.0"},
    {"user-agent": "TelegramBot (like TwitterBot)"},
    {"user-agent": "facebookexternalhit/1.1"},
    {"user-agent": "Mozilla/5.0 (Windows NT 10.0; Win64) SafeLinks"},
    {"user-agent": "Mozilla/5.0 (iPhone)", "sec-purpose": "prefetch"},
    {"user-agent": "Mozilla/5.0 (Linux; Android 15)", "sec-purpose": "prefetch;prerender"},
    {"user-agent": "Mozilla/5.0 (Macintosh)", "purpose": "prefetch", "x-moz": "prefetch"},
)


async def landing(place: Place, user: str = "ann", provider: str = "github") -> str:
    code = await place.bot.create_link_code(place.redis, user, provider=provider)
    return f"/connect/{code}"


async def from_chat(place: Place, user: str = "ann", provider: str = "github") -> str:
    """The callback of a provider that approves at once, for an address straight from the bot."""
    url = await place.bot.generate_connect_url(user, provider, place.redis)
    return place.fake.authorize(url)


async def opened(place: Place, browser: Browser, way: str, user: str = "ann") -> str:
    """Follow a link of the user as far as a browser without a session gets: the code it shows."""
    if way == LANDING:
        link = await landing(place, user)
        assert (await browser.get(link)).status_code == 200
        answer = await browser.post(f"{link}/start")
    else:
        answer = await browser.get(await from_chat(place, user))
    assert (answer.status_code, answer.headers["location"]) == (303, "/connect/proof")
    return shown_code(await browser.get("/connect/proof"))


async def told(place: Place) -> list[Notice]:
    """Everything the bot was given to say since it was last asked."""
    await place.bot.link_cancelled(place.redis, LinkRequest(END))
    heard = []
    notices = place.bot.notices(place.redis, "a-bot")
    async with aclosing(cast("AsyncGenerator[Notice, None]", notices)) as reader:
        async for notice in reader:
            if notice.user_id == END:
                break
            heard.append(notice)
    return heard


async def dumped_but_counts(place: Place) -> list[tuple[str, bytes]]:
    """All that is in Redis, but for how often somebody tried, and references."""
    ours = re.compile("stargazer:web_(limit|reference)")
    names = [key for key in await keys_at(place.redis) if not ours.match(key)]
    return [(name, await place.redis.dump(name) or b"") for name in names]


def same(answer: httpx.Response) -> tuple[int, tuple[tuple[str, str], ...], str]:
    """Return everything that a prober can compare."""
    return answer.status_code, tuple(sorted(answer.headers.multi_items())), but_reference(answer)


@pytest.mark.parametrize("way", WAYS)
class TestOpenedByAnotherPerson:
    """Ben asks the bot for a link and sends it to somebody; the provider approves at once."""

    async def test_asks_nothing_of_the_provider_and_stores_nothing(
        self, place: Place, way: str
    ) -> None:
        victim = await place.browser()
        await opened(place, victim, way, "ben")
        for _ in range(3):
            await victim.post("/connect/proof/continue")
            await victim.get("/connect/proof")
        assert not await is_signed_in(victim)
        assert await nothing_happened(place)
        assert await place.bot.list_user_connections("ben", place.redis) == []
        assert await told(place) == []

    async def test_tells_the_owner_only_that_the_link_was_cancelled(
        self, place: Place, way: str
    ) -> None:
        victim = await place.browser()
        shown = await opened(place, victim, way, "ben")
        answer = await victim.post("/connect/proof/decline")
        assert heading(answer.text).startswith("The link is switched off")
        (notice,) = await told(place)
        assert (notice.kind, notice.user_id) == (NoticeKind.LINK_CANCELLED, "ben")
        assert (notice.provider, notice.account) == ("github", "")
        assert not await confirm(place, "ben", shown)
        assert (await victim.post("/connect/proof/continue")).status_code in (400, 410)
        assert await nothing_happened(place)

    async def test_is_not_finished_by_the_owners_own_proof_in_another_browser(
        self, place: Place, way: str
    ) -> None:
        """ben proves himself meanwhile: that says nothing about who else opened his link."""
        victim, bens = await place.browser(), await place.browser()
        await opened(place, victim, way, "ben")
        own = await opened(place, bens, LANDING, "ben")
        assert await confirm(place, "ben", own)
        answer = await victim.post("/connect/proof/continue")
        assert "has not received the code yet" in answer.text
        assert not await is_signed_in(victim)
        handed_off(await bens.post("/connect/proof/continue"))
        assert (await bens.get("/connect/proof")).status_code in (303, 400, 410)
        assert await nothing_happened(place)

    async def test_is_not_finished_by_the_owner_who_is_signed_in(
        self, place: Place, ben: Browser, way: str
    ) -> None:
        """He knows the addresses, and has a session; what the victim allowed is not there."""
        victim = await place.browser()
        if way == LANDING:
            link = await landing(place, "ben")
            await victim.post(f"{link}/start")
            answers = [await ben.get(link), await ben.post(f"{link}/start")]
        else:
            callback = await from_chat(place, "ben")
            await victim.get(callback)
            answers = [await ben.get(callback)]
        answers += [await ben.get("/connect/proof"), await ben.post("/connect/proof/continue")]
        assert not [a for a in answers if "authorize" in a.text]
        assert await ben.state_of("github") in ("not_connected", "attempt_over")
        assert await nothing_happened(place)

    async def test_who_is_signed_in_ends_for_both_and_hears_no_name(
        self, place: Place, ann: Browser, way: str
    ) -> None:
        owner = "owner-of-the-link"
        if way == LANDING:
            link = await landing(place, owner)
            answer = await ann.post(f"{link}/start")
        else:
            answer = await ann.come_back(await from_chat(place, owner))
        assert answer.status_code == 403
        assert heading(answer.text) == "This link belongs to a different Stargazer account"
        assert owner not in answer.text + str(answer.headers)
        assert await keys_at(place.redis, "oauth_link:*") == []
        assert await keys_at(place.redis, "oauth_state:*") == []
        assert await keys_at(place.redis, "oauth_pending:*") == []
        assert [(n.kind, n.user_id) for n in await told(place)] == [
            (NoticeKind.LINK_CANCELLED, owner)
        ]
        assert await ann.state_of("github") == "not_connected"
        assert await nothing_happened(place)


class TestOpenedByAnotherPersonInTurn:
    async def test_the_owner_first_leaves_the_other_nothing(self, place: Place) -> None:
        bens, victim = await place.browser(), await place.browser()
        callback = await from_chat(place, "ben")
        state = query_of(callback)["state"]
        await bens.get(callback)
        asked = f"/github/authorize?{_asks(place, state)}"
        answer = await victim.come_back(place.fake.authorize(asked))
        assert answer.status_code == 400
        assert "set-cookie" not in answer.headers
        assert await confirm(place, "ben", shown_code(await bens.get("/connect/proof")))
        assert (await bens.post("/connect/proof/continue")).status_code == 303
        assert place.fake.calls["exchange"] == 1

    async def test_an_answer_made_up_by_the_owner_is_no_way_to_the_others_account(
        self, place: Place
    ) -> None:
        """ben parks a code of his own making, proves himself, and gets what the provider says."""
        bens = await place.browser()
        state = query_of(await from_chat(place, "ben"))["state"]
        issuer = place.site.manager.providers["github"].issuer
        await bens.get(f"/oauth/github/callback?state={state}&code=made-up&iss={issuer}")
        assert await confirm(place, "ben", shown_code(await bens.get("/connect/proof")))
        await bens.post("/connect/proof/continue")
        assert place.fake.calls["exchange"] == 1
        assert await place.records() == {}
        assert await bens.state_of("github") == "failed"


def _asks(place: Place, state: str) -> str:
    return f"state={state}&redirect_uri={place.settings.base_url}/oauth/github/callback"


@dataclass
class Copies:
    """The answers that a second phone gets for every address of the first one."""

    place: Place
    second: Browser

    async def refused(self, address: str) -> httpx.Response:
        """The address, copied: it gives the second phone nothing and changes nothing."""
        before = await dumped_but_counts(self.place)
        answer = await self.second.get(address)
        assert answer.status_code in (303, 400, 403, 404, 405, 410), address
        assert "set-cookie" not in answer.headers
        assert await dumped_but_counts(self.place) == before
        assert not await is_signed_in(self.second)
        return answer


class TestTwoPhones:
    """The address is copied from one browser to the other at each step."""

    async def test_from_the_landing_page_to_the_end(self, place: Place) -> None:
        first, copies = await place.browser(), Copies(place, await place.browser())
        link = await landing(place)
        await copies.refused(f"{link}/start")
        await copies.refused(f"{link}/decline")
        await first.post(f"{link}/start")
        await first.get("/connect/proof")
        assert heading((await copies.refused("/connect/proof")).text) == OTHER_BROWSER
        shown = shown_code(await first.get("/connect/proof"))
        assert await confirm(place, "ann", shown)
        assert heading((await copies.refused("/connect/proof")).text) == OTHER_BROWSER
        await copies.refused("/connect/proof/continue")
        url = handed_off(await first.post("/connect/proof/continue"))
        callback = place.fake.authorize(url)  # the second phone goes on from the copied address
        await copies.refused(callback)
        assert not place.fake.requests
        own = await first.get(place.fake.authorize(url))
        assert own.headers["location"] == "/connect/done/github"
        signin = await copies.refused("/connect/done/github")
        assert signin.headers["location"].startswith("/signin")
        await copies.refused(callback)
        assert place.fake.calls["exchange"] == 1

    async def test_a_copied_callback_says_that_the_browser_is_another(self, place: Place) -> None:
        """On phones a provider's own app may open it in another browser."""
        first, second = await place.browser(), await place.browser()
        callback = place.fake.authorize(handed_off(await place.prove(first, "ann", "github")))
        answer = await second.come_back(callback)
        assert heading(answer.text) == OTHER_BROWSER
        assert ">connect</code>" in answer.text
        assert await nothing_happened(place)

    async def test_pressing_the_buttons_of_a_step_of_the_other_phone_is_refused(
        self, place: Place
    ) -> None:
        first, second = await place.browser(), await place.browser()
        shown = await opened(place, first, LANDING)
        answer = await second.post("/connect/proof/continue")
        assert heading(answer.text) == OTHER_BROWSER
        assert await confirm(place, "ann", shown)
        assert heading((await second.post("/connect/proof/continue")).text) == OTHER_BROWSER
        assert not await is_signed_in(second)
        handed_off(await first.post("/connect/proof/continue"))

    async def test_declining_on_the_other_phone_ends_nothing_and_does_not_say_so(
        self, place: Place
    ) -> None:
        first, second = await place.browser(), await place.browser()
        shown = await opened(place, first, LANDING)
        answer = await second.post("/connect/proof/decline")
        assert await confirm(place, "ann", shown)
        handed_off(await first.post("/connect/proof/continue"))
        assert await told(place) == []
        assert "switched off" not in answer.text

    async def test_from_the_providers_own_address_to_the_end(self, place: Place) -> None:
        first, copies = await place.browser(), Copies(place, await place.browser())
        callback = await from_chat(place)
        await first.get(callback)
        await copies.refused(callback)
        assert heading((await copies.refused("/connect/proof")).text) == OTHER_BROWSER
        shown = shown_code(await first.get("/connect/proof"))
        assert await confirm(place, "ann", shown)
        assert heading((await copies.refused("/connect/proof")).text) == OTHER_BROWSER
        assert heading((await copies.second.post("/connect/proof/continue")).text) == OTHER_BROWSER
        assert await nothing_happened(place)
        asked = await first.post("/connect/proof/continue")
        await copies.refused(asked.headers["location"])
        done = await place.answer(first, "github")
        await copies.refused(done.headers["location"])
        assert await first.state_of("github") == "connected"

    @pytest.mark.parametrize("way", WAYS)
    async def test_one_link_opened_on_both_belongs_to_one(self, place: Place, way: str) -> None:
        """Whoever starts has it; the other gets neither a code nor a cookie."""
        first, second = await place.browser(), await place.browser()
        if way == LANDING:
            link = await landing(place)
            answers = [await b.post(f"{link}/start") for b in (first, second)]
        else:
            callback = await from_chat(place)
            answers = [await b.get(callback) for b in (first, second)]
        assert answers[0].headers["location"] == "/connect/proof"
        assert answers[1].headers.get("location") in (None, "/connect/ended/over")
        assert answers[1].status_code in (303, 410)
        assert list(second.client.cookies) == []


@pytest.fixture
async def at(place: Place) -> AsyncIterator[Callable[[str], Browser]]:
    """Browsers without cookies, at an address that others may have as well."""
    async with AsyncExitStack() as stack:

        def browser(address: str) -> Browser:
            transport = httpx.ASGITransport(place.app, client=(address, 50000))
            client = httpx.AsyncClient(transport=transport, base_url=place.settings.base_url)
            stack.push_async_callback(client.aclose)
            return Browser(client)

        yield browser


async def preview(place: Place, scanner: Browser, address: str) -> None:
    """100 GETs and 100 HEADs of one address leave everything as it was."""
    before = await dumped_but_counts(place)
    for method in ("GET", "HEAD"):
        for headers in islice(cycle(PREVIEWS), TIMES):
            answer = await scanner.client.request(method, address, headers=headers)
            assert "set-cookie" not in answer.headers
    assert await dumped_but_counts(place) == before, address


class TestPreviews:
    """The scanner has the person's network address, and no cookies."""

    async def test_of_every_address_of_the_landing_way_cost_nothing(
        self, place: Place, at: Callable[[str], Browser]
    ) -> None:
        scanner, phone = at("192.0.2.77"), at("192.0.2.77")
        link = await landing(place)
        for address in (link, f"{link}/start", f"{link}/decline"):
            await preview(place, scanner, address)
        assert (await phone.get(link)).status_code == 200
        await phone.post(f"{link}/start")
        shown = shown_code(await phone.get("/connect/proof"))
        for address in ("", "/continue", "/decline"):
            await preview(place, scanner, f"/connect/proof{address}")
        assert await confirm(place, "ann", shown)
        await preview(place, scanner, "/connect/proof/continue")
        url = handed_off(await phone.post("/connect/proof/continue"))
        callback = place.fake.authorize(url)
        await preview(place, scanner, callback)
        answer = await phone.get(callback)
        assert answer.headers["location"] == "/connect/done/github"
        await preview(place, scanner, "/connect/done/github")
        assert (await phone.get("/connect/done/github")).status_code == 200
        assert await phone.state_of("github") == "connected"
        assert place.fake.calls["exchange"] == 1

    async def test_of_every_address_of_the_providers_way_cost_nothing(
        self, place: Place, at: Callable[[str], Browser]
    ) -> None:
        """But for a plain GET of the callback, which is the protocol's own way to finish."""
        scanner, phone = at("192.0.2.77"), at("192.0.2.77")
        callback = await from_chat(place)
        before = await dumped_but_counts(place)
        for headers in islice(cycle(PREVIEWS), TIMES):
            answer = await scanner.client.head(callback, headers=headers)
            assert answer.status_code == 405
            fetched = await scanner.get(callback, headers={"sec-purpose": "prefetch"})
            assert fetched.status_code == 503
        assert await dumped_but_counts(place) == before
        await phone.get(callback)
        shown = shown_code(await phone.get("/connect/proof"))
        for address in ("", "/continue", "/decline"):
            await preview(place, scanner, f"/connect/proof{address}")
        assert await confirm(place, "ann", shown)
        assert (await phone.post("/connect/proof/continue")).status_code == 303
        await preview(place, scanner, "/connections/github/switch")
        await place.answer(phone, "github")
        assert await phone.state_of("github") == "connected"

    async def test_of_a_used_link_do_not_shut_its_person_out(
        self, place: Place, at: Callable[[str], Browser]
    ) -> None:
        """Chats fetch a link again later; the person is in the middle of the way meanwhile."""
        scanner, phone = at("192.0.2.77"), at("192.0.2.77")
        link = await landing(place)
        await phone.post(f"{link}/start")
        await preview(place, scanner, link)
        assert await confirm(place, "ann", shown_code(await phone.get("/connect/proof")))
        url = handed_off(await phone.post("/connect/proof/continue"))
        await phone.get(place.fake.authorize(url))
        assert await phone.state_of("github") == "connected"

    @pytest.mark.parametrize(
        "ahead",
        [
            {"sec-purpose": "prefetch"},
            {"sec-purpose": "prefetch;prerender"},
            {"sec-purpose": "prefetch;anonymous-client-ip"},
            {"purpose": "prefetch"},
            {"purpose": "Prefetch"},
            {"x-moz": "prefetch"},
            {"purpose": "prefetch", "sec-purpose": "prefetch;prerender"},
        ],
        ids=str,
    )
    async def test_that_the_persons_own_browser_fetches_ahead_cost_nothing(
        self, place: Place, ahead: dict[str, str]
    ) -> None:
        """With its cookies: nothing is exchanged before the person is there."""
        phone = await place.browser()
        callback = place.fake.authorize(handed_off(await place.prove(phone, "ann", "github")))
        for _ in range(3):
            assert (await phone.get(callback, headers=ahead)).status_code == 503
        assert await nothing_happened(place)
        answer = await phone.get(callback)
        assert answer.headers["location"] == "/connect/done/github"


class TestToAStranger:
    """Nothing tells an unknown link from one that was used, has run out, was replaced."""

    REASONS = ("It was used", "It ran out", "A newer link")

    async def dead(self, place: Place) -> list[str]:
        """The codes of links that ended in every way there is, and some that never were."""
        used, declined = await landing(place), await landing(place, "ben")
        await (await place.browser()).post(f"{used}/start")
        await (await place.browser()).post(f"{declined}/decline")
        expired = await landing(place, "cem")
        await place.redis.pexpire(f"stargazer:oauth_link:{expired[len('/connect/') :]}", 0)
        replaced = await landing(place, "dan")
        await landing(place, "dan")
        pushed_out = await landing(place, "eve")
        for provider in ("google", "discord", "microsoft"):
            await landing(place, "eve", provider)
        unknown = [f"/connect/{code}" for code in ("u" * 43, "short", "-" * 200, "%C3%A4%00")]
        return [used, declined, expired, replaced, pushed_out, *unknown[:3], "/connect/%C3%A4"]

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("htmx", [True, False])
    async def test_dead_links_look_alike(self, place: Place, method: str, htmx: bool) -> None:
        seen = set()
        for link in await self.dead(place):
            stranger = await place.browser()
            headers = {"hx-request": "true"} if htmx else {}
            answer = await stranger.client.request(method, link, headers=headers)
            seen.add(same(answer))
            assert answer.headers["location"] == "/connect/ended/dead"
            end = await stranger.get(answer.headers["location"])
            assert (end.status_code, heading(end.text)) == (410, "This link no longer works")
            assert not [reason for reason in self.REASONS if reason in end.text]
        ((status, _, _),) = seen
        assert status == 303

    async def test_dead_links_look_alike_to_who_is_signed_in(
        self, place: Place, ann: Browser
    ) -> None:
        """Even the owner's own link and one of another person."""
        answers = {same(await ann.get(link)) for link in await self.dead(place)}
        assert len(answers) == 1

    @pytest.mark.parametrize("fields", ["code=a-code", "error=access_denied"])
    async def test_answers_to_dead_attempts_look_alike(self, place: Place, fields: str) -> None:
        async def state_of(user: str, provider: str = "github") -> str:
            return query_of(await from_chat(place, user, provider))["state"]

        used, expired = await state_of("ann"), await state_of("cem")
        await (await place.browser()).get(f"/oauth/github/callback?code=x&state={used}")
        await place.redis.pexpire(f"stargazer:oauth_state:{expired}", 0)
        replaced = await state_of("dan")
        await state_of("dan")
        pushed_out = await state_of("eve")
        for provider in ("google", "discord", "microsoft"):
            await state_of("eve", provider)
        resolved = await state_of("fay")
        await self.resolve_all(place)
        made_up = ("u" * 43, "short", "-" * 128, "x" * 300, "%C3%A4")
        seen = set()
        for state in (used, expired, replaced, pushed_out, resolved, *made_up):
            stranger = await place.browser()
            seen.add(same(await stranger.get(f"/oauth/github/callback?{fields}&state={state}")))
        ((status, headers, _),) = seen
        assert (status, dict(headers)["location"]) == (303, "/connect/ended/over")
        assert "set-cookie" not in dict(headers)
        assert await nothing_happened(place)

    async def resolve_all(self, place: Place) -> None:
        for key in await keys_at(place.redis, "oauth_link:*"):
            await place.bot.resolve_link_code(place.redis, key.rpartition(":")[2])

    @pytest.mark.parametrize("step", ["look", "poll", "continue"])
    async def test_dead_proofs_look_alike(self, place: Place, step: str) -> None:
        """Whatever a cookie was good for once: used, declined, guessed at, run out, made up."""
        jars = [await place.browser() for _ in range(5)]
        used, declined = jars[:2]
        secrets = []
        for number, jar in enumerate(jars):
            shown = await opened(place, jar, WAYS[number % 2], f"person-{number}")
            secrets.append(jar.client.cookies["__Host-proof"])
            if jar is used:
                assert await confirm(place, "person-0", shown)
        await used.post("/connect/proof/continue")
        await declined.post("/connect/proof/decline")
        for guess in ("BCDFGH", "BCDFGJ", "BCDFGK", "BCDFGM", "BCDFGN"):
            assert not await confirm(place, "person-2", guess)
        expired = hashlib.sha256(secrets[3].encode()).hexdigest()
        await place.redis.pexpire(f"stargazer:oauth_pending:{expired}", 0)
        for _ in range(3):
            await opened(place, await place.browser(), LANDING, "person-4")
        before = place.fake.calls["token"]
        seen = set()
        for secret in (*secrets, "m" * 43):
            stranger = await place.browser()
            stranger.client.cookies.set("__Host-proof", secret)
            if step == "continue":
                seen.add(same(await stranger.post("/connect/proof/continue")))
            else:
                seen.add(same(await stranger.get("/connect/proof", htmx=step == "poll")))
        ((status, _, body),) = seen
        assert status == 410
        assert not [reason for reason in self.REASONS if reason in body]
        assert place.fake.calls["token"] == before
