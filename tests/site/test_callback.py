"""The provider's callback: what it does for the right person, and refuses to everybody else."""

from __future__ import annotations

import asyncio
import hashlib
import random
import string
from dataclasses import dataclass
from itertools import permutations
from urllib.parse import urlencode

import httpx
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from tests.kit.fake_answers import Answer, error_answer, json_answer
from tests.kit.library import BASE_URL, BUILT_IN, ISSUERS, connection_key, tokens_key
from tests.kit.site_fixtures import (
    Browser,
    Place,
    but_reference,
    card_state,
    commands,
    heading,
    query_of,
    shown_code,
    site_at,
)
from webui.oauth_manager import LINK_CODE_TTL
from webui.oauth_manager.storage import keys

pytestmark = pytest.mark.anyio

ATTEMPT_OVER = "/connections#conn-{}-n"
OVER = "/connect/ended/over"


def callback(at: str = "github", /, **fields: str) -> str:
    return f"/oauth/{at}/callback?{urlencode(fields)}"


@dataclass
class Attempt:
    """An authorization that the person has allowed, before its answer is delivered."""

    state: str
    code: str
    provider: str = "github"

    def url(self, **changes: str) -> str:
        issuer = ISSUERS.get(f"/{self.provider}")
        fields = {"code": self.code, "state": self.state, **({"iss": issuer} if issuer else {})}
        return callback(self.provider, **{**fields, **changes})


async def allowed(place: Place, browser: Browser, provider: str = "github") -> Attempt:
    query = query_of(place.fake.authorize(await browser.begin(provider)))
    return Attempt(query["state"], query["code"], provider)


async def from_chat(place: Place, user: str, provider: str = "github") -> tuple[Attempt, str]:
    """An authorization that began with the bot's own authorize URL, and its link code."""
    url = await place.bot.generate_connect_url(user, provider, place.redis)
    (link,) = [key async for key in place.redis.scan_iter("stargazer:oauth_link:*")]
    query = query_of(place.fake.authorize(url))
    return Attempt(query["state"], query["code"], provider), link.decode().rpartition(":")[2]


async def live(place: Place) -> int:
    """Count the states and links."""
    found = [
        key
        for kind in ("state", "link")
        async for key in place.redis.scan_iter(f"stargazer:oauth_{kind}:*")
    ]
    return len(found)


async def nothing_happened(place: Place) -> bool:
    return not place.fake.calls["token"] and await place.records() == {}


def same(answer: httpx.Response) -> tuple[int, tuple[tuple[str, str], ...], str]:
    """Return everything that a prober can compare."""
    return answer.status_code, tuple(sorted(answer.headers.multi_items())), but_reference(answer)


def bend(state: str) -> list[str]:
    """Forged, truncated, lengthened and case-changed states of the right shape."""
    rng = random.Random(2)  # noqa: S311
    alphabet = string.ascii_letters + string.digits + "-_"
    forged = ["".join(rng.choices(alphabet, k=rng.randint(20, 128))) for _ in range(150)]
    flipped = [
        state[:i] + rng.choice(alphabet.replace(state[i], "")) + state[i + 1 :]
        for i in range(len(state))
    ]
    return [*forged, *flipped, state.swapcase(), state[:-1], state[:20], state + "A"]


async def answers(
    place: Place, attempt: Attempt, states: list[str], jar: Browser | None = None
) -> set[tuple[int, tuple[tuple[str, str], ...], str]]:
    """Collect the answers to the states, from few addresses enough to meet no limit."""
    found = set()
    for start in range(0, len(states), 20):
        browser = await place.browser(jar)
        for state in states[start : start + 20]:
            found.add(same(await browser.get(attempt.url(state=state))))
    return found


class TestTheRightAnswer:
    @pytest.mark.parametrize("provider", BUILT_IN)
    async def test_connects_and_leads_to_an_address_without_query(
        self, place: Place, ann: Browser, provider: str
    ) -> None:
        answer = await place.connect(ann, provider)
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/connections#conn-{provider}-n"
        assert await ann.state_of(provider) == "connected"
        assert place.fake.calls["exchange"] == 1

    async def test_after_starting_on_the_cards_own_page_leads_back_there(
        self, place: Place, ann: Browser
    ) -> None:
        url = await ann.begin("github", {"return": "detail"})
        answer = await ann.get(place.fake.authorize(url))
        assert answer.headers["location"] == "/connections/github#conn-github-n"

    async def test_after_starting_from_a_link_leads_to_the_page_that_says_done(
        self, place: Place
    ) -> None:
        browser = await place.browser()
        leaving = await place.prove(browser, "ann", "github")
        (url,) = {u for u in leaving.text.split('"') if u.startswith("https://provider")}
        answer = await browser.get(place.fake.authorize(url.replace("&amp;", "&")))
        assert answer.headers["location"] == "/connect/done/github"
        page = await browser.get("/connect/done/github")
        assert heading(page.text) == "GitHub is connected"

    async def test_of_the_bots_own_address_connects_in_a_browser_of_the_same_person(
        self, place: Place, ann: Browser
    ) -> None:
        attempt, _ = await from_chat(place, "ann")
        answer = await ann.get(attempt.url())
        assert answer.headers["location"] == "/connections/github/switch"
        assert await ann.state_of("github") == "not_connected"
        await place.answer(ann, "github")
        assert await ann.state_of("github") == "connected"

    async def test_is_never_kept_by_a_cache_nor_told_to_the_next_page(
        self, place: Place, ann: Browser
    ) -> None:
        answer = await place.connect(ann, "github")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"

    async def test_leaves_no_state_and_no_link_behind(self, place: Place, ann: Browser) -> None:
        attempt, _ = await from_chat(place, "ann")
        await ann.get(attempt.url())
        assert await live(place) == 0


class TestAStateThatIsMissing:
    FIELDS: tuple[dict[str, str], ...] = (
        {},
        {"state": ""},
        {"state": " "},
        {"state": "\t"},
        {"state": "%00"},
    )

    @pytest.mark.parametrize("fields", FIELDS)
    @pytest.mark.parametrize("who", ["ann", "nobody"])
    async def test_is_refused_whoever_comes_with_a_good_code(
        self, place: Place, who: str, fields: dict[str, str]
    ) -> None:
        browser = await (place.signed_in("ann") if who == "ann" else place.browser())
        code = (await allowed(place, await place.signed_in("ann"))).code
        answer = await browser.come_back(callback(code=code, **fields))
        assert answer.status_code == 400
        assert await nothing_happened(place)

    async def test_is_refused_even_if_a_link_code_is_there(self, place: Place) -> None:
        attempt, link = await from_chat(place, "ann")
        browser = await place.signed_in("ann")
        for name in ("link", "link_code", "code_link"):
            answer = await browser.come_back(callback(code=attempt.code, **{name: link}))
            assert answer.status_code == 400
        assert await nothing_happened(place)


class TestAStateThatIsNotOurs:
    @pytest.mark.long
    async def test_is_refused_alike_however_it_was_made_up(
        self, place: Place, ann: Browser
    ) -> None:
        attempt = await allowed(place, ann)
        ((status, headers, _),) = await answers(place, attempt, bend(attempt.state), ann)
        assert status == 303
        assert ("location", OVER) in headers
        assert await nothing_happened(place)

    async def test_is_refused_alike_to_browsers_without_a_session(self, place: Place) -> None:
        attempt = await allowed(place, await place.signed_in("ann"))
        states = [*bend(attempt.state), "", "short", "x" * 200, "ä" * 30]
        ((status, headers, _),) = await answers(place, attempt, states)
        assert status == 303
        assert ("location", OVER) in headers
        assert await nothing_happened(place)

    async def test_changes_nothing_that_is_shown_elsewhere(
        self, place: Place, ann: Browser, ben: Browser
    ) -> None:
        """Nor do those that are somebody else's: any page can lead a browser here."""
        await place.connect(ann, "github")
        shown = (await ann.get("/connections")).text
        bens = await allowed(place, ben)
        forged = bens.url(state="f" * 43)
        denied = callback(state="f" * 43, error="access_denied")
        for url in (forged, denied, bens.url(), callback(state=bens.state, error="x"), callback()):
            page = await ann.come_back(url)
            assert "Go to connections" in page.text or "another browser" in page.text
        assert (await ann.get("/connections")).text == shown

    async def test_leaves_the_real_one_usable(self, place: Place, ann: Browser) -> None:
        attempt = await allowed(place, ann)
        for state in bend(attempt.state)[-4:]:
            await ann.get(attempt.url(state=state))
        await ann.get(attempt.url())
        assert await ann.state_of("github") == "connected"

    async def test_of_another_deployment_with_the_same_redis_is_refused(
        self, place: Place, ann: Browser, redis_url: str
    ) -> None:
        """Its record was sealed with a key that is not here."""
        other_key = "b3RoZXIgZGVwbG95bWVudCwgb3RoZXIga2V5ISEhISE="
        await place.redis.delete(keys.CANARY)  # by which they would know each other
        async with site_at(
            redis_url, place.redis, place.fake, encryption_keys=(other_key,)
        ) as other:
            attempt = await allowed(other, await other.browser(ann))
        answer = await ann.get(attempt.url())
        assert answer.headers["location"] == OVER
        assert await nothing_happened(place)

    async def test_looks_like_one_that_was_used_and_one_that_ran_out_elsewhere(
        self, place: Place, ann: Browser
    ) -> None:
        used = await allowed(place, ann)
        await ann.get(used.url())
        expired = await allowed(place, ann)
        await place.redis.pexpire(f"stargazer:oauth_state:{expired.state}", 0)
        forged = used.url(state="f" * 43)
        for other in (await place.browser(), await place.signed_in("ann")):
            urls = (used.url(), expired.url(), forged)
            assert len({same(await other.get(url)) for url in urls}) == 1


class TestAFinishedCallback:
    @pytest.mark.parametrize("again", ["the same code", "another code"])
    async def test_sent_again_changes_nothing(self, place: Place, ann: Browser, again: str) -> None:
        another, attempt = await allowed(place, ann), await allowed(place, ann)
        await ann.get(attempt.url())
        before, calls = await place.records(), place.fake.calls["token"]
        code = attempt.code if again == "the same code" else another.code
        answer = await ann.get(attempt.url(code=code))
        assert answer.headers["location"] == ATTEMPT_OVER.format("github")
        assert (await place.records(), place.fake.calls["token"]) == (before, calls)
        page = (await ann.get("/connections")).text
        assert card_state(page, "github") == "connected"
        assert "GitHub is connected." in page

    async def test_sent_fifty_times_at_once_to_two_processes_is_done_once(
        self, place: Place, ann: Browser, redis_url: str
    ) -> None:
        attempt = await allowed(place, ann)
        async with site_at(redis_url, place.redis, place.fake) as other:
            browsers = [await place.browser(ann), await other.browser(ann)]
            done = await asyncio.gather(*(browsers[i % 2].get(attempt.url()) for i in range(50)))
        assert {answer.status_code for answer in done} == {303}
        assert place.fake.calls["exchange"] == 1
        assert len(await place.records()) == 2


class TestAStateThatHasRunOut:
    async def test_is_refused(self, place: Place, ann: Browser) -> None:
        attempt = await allowed(place, ann)
        await place.redis.pexpire(f"stargazer:oauth_state:{attempt.state}", 0)
        await ann.get(attempt.url())
        assert await nothing_happened(place)

    async def test_was_given_its_end_in_the_command_that_stored_it(
        self, place: Place, ann: Browser
    ) -> None:
        async with commands(place.redis) as seen:
            await ann.begin("github")
            await place.bot.generate_connect_url("ann", "google", place.redis)
            await place.bot.create_link_code(place.redis, "ann")
        stored = [
            line
            for line in seen
            if line.startswith(("SET stargazer:oauth_state:", "SET stargazer:oauth_link:"))
        ]
        assert len(stored) == 4
        assert all(" EX 600" in line for line in stored)
        assert LINK_CODE_TTL == 600


class TestAStateOfAnotherProvider:
    @pytest.mark.parametrize(("started", "answered"), list(permutations(BUILT_IN, 2)))
    async def test_is_refused_and_spent_and_its_code_is_sent_nowhere(
        self, place: Place, ann: Browser, started: str, answered: str
    ) -> None:
        attempt = await allowed(place, ann, started)
        mixed = Attempt(attempt.state, attempt.code, answered)
        answer = await ann.get(mixed.url())
        assert answer.headers["location"] == ATTEMPT_OVER.format(answered)
        await ann.get(attempt.url())
        assert await nothing_happened(place)

    async def test_and_scopes_in_the_query_count_for_nothing(
        self, place: Place, ann: Browser
    ) -> None:
        attempt = await allowed(place, ann)
        extra = {"provider": "google", "scope": "admin", "user_id": "ben", "return_to": "//evil"}
        answer = await ann.get(attempt.url(**extra))
        assert answer.headers["location"] == "/connections#conn-github-n"
        assert {request.prefix for request in place.fake.requests} == {"/github"}
        (found,) = await place.bot.list_user_connections("ann", place.redis)
        assert found["scopes"] == place.bot.providers["github"].scopes
        assert await place.bot.list_user_connections("ben", place.redis) == []

    async def test_cannot_be_made_from_a_link_for_the_first(
        self, place: Place, ann: Browser
    ) -> None:
        code = await place.bot.create_link_code(place.redis, "ann", provider="github")
        page = await ann.post(f"/connect/{code}/start?provider=google", {"provider": "google"})
        assert "/github/authorize" in page.text
        assert "/google/authorize" not in page.text

    async def test_that_nobody_knows_is_404(self, place: Place, ann: Browser) -> None:
        attempt = await allowed(place, ann)
        assert (await ann.get(callback("gitlab", state=attempt.state, code="c"))).status_code == 404
        assert await live(place) == 1


class TestAnotherBrowser:
    async def test_without_a_session_gets_no_connection_and_no_session(
        self, place: Place, ann: Browser
    ) -> None:
        attempt = await allowed(place, ann)
        answer = await (await place.browser()).come_back(attempt.url())
        assert answer.status_code == 400
        assert heading(answer.text) == "You came back in another browser"
        assert "set-cookie" not in answer.headers
        assert await nothing_happened(place)

    async def test_of_another_person_gets_nothing(
        self, place: Place, ann: Browser, ben: Browser
    ) -> None:
        attempt = await allowed(place, ann)
        answer = await ben.come_back(attempt.url())
        assert heading(answer.text) == "You came back in another browser"
        assert await ben.state_of("github") == "not_connected"
        assert await nothing_happened(place)

    async def test_does_not_spend_the_state(self, place: Place, ann: Browser, ben: Browser) -> None:
        """Whoever comes across the address, a scanner say, must not end the attempt."""
        attempt = await allowed(place, ann)
        for browser in (await place.browser(), ben):
            await browser.get(attempt.url())
        await ann.get(attempt.url())
        assert await ann.state_of("github") == "connected"
        assert await ben.state_of("github") == "not_connected"

    async def test_of_the_same_person_is_told_to_start_again(
        self, place: Place, ann: Browser
    ) -> None:
        attempt = await allowed(place, ann)
        other = await place.signed_in("ann")
        answer = await other.come_back(attempt.url())
        assert heading(answer.text) == "You came back in another browser"
        assert await other.state_of("github") == "not_connected"
        assert await ann.state_of("github") == "waiting"
        assert await nothing_happened(place)

    @pytest.mark.parametrize("started", ["on the page", "in chat"])
    async def test_that_is_led_to_an_attackers_answer_keeps_what_it_has(
        self, place: Place, ann: Browser, ben: Browser, started: str
    ) -> None:
        """Ben hands ann his own valid state and code."""
        await place.connect(ann, "github")
        before, calls = await place.records(), place.fake.calls["token"]
        if started == "on the page":
            attempt = await allowed(place, ben)
        else:
            attempt, _ = await from_chat(place, "ben")
        answer = await ann.come_back(attempt.url())
        assert answer.status_code == (400 if started == "on the page" else 403)
        assert (await place.records(), place.fake.calls["token"]) == (before, calls)
        assert await ann.state_of("github") == "connected"
        assert not await place.bot.has_token("ben", "github", place.redis)

    async def test_that_followed_a_forwarded_address_gives_its_account_to_nobody(
        self, place: Place
    ) -> None:
        """Ben asks the bot for an address, and a stranger agrees at the provider."""
        attempt, _ = await from_chat(place, "ben")
        stranger = await place.browser()
        answer = await stranger.get(attempt.url())
        assert answer.headers["location"] == "/connect/proof"
        await stranger.post("/connect/proof/continue")
        assert (await stranger.get("/connections")).headers["location"].startswith("/signin")
        assert await nothing_happened(place)
        assert not await place.bot.has_token("ben", "github", place.redis)

    async def test_that_proved_it_is_the_person_who_asked_is_connected(self, place: Place) -> None:
        attempt, _ = await from_chat(place, "ann")
        phone = await place.browser()
        await phone.get(attempt.url())
        shown = shown_code(await phone.get("/connect/proof"))
        assert await place.bot.proofs.confirm(place.redis, "ben", shown) is not None
        assert await nothing_happened(place)
        assert await place.bot.proofs.confirm(place.redis, "ann", shown) is None
        assert (await phone.post("/connect/proof/continue")).status_code == 303
        await place.answer(phone, "github")
        assert await phone.state_of("github") == "connected"


class TestALinkOfAnotherPerson:
    async def test_ends_for_both_and_names_nobody(
        self, place: Place, caplog: pytest.LogCaptureFixture
    ) -> None:
        owner = "owner-of-the-link"
        ben = await place.signed_in("ben")
        attempt, link = await from_chat(place, owner)
        answer = await ben.come_back(attempt.url())
        assert answer.status_code == 403
        assert owner not in answer.text
        assert await live(place) == 0
        assert (await (await place.signed_in(owner)).get(attempt.url())).status_code == 303
        assert await nothing_happened(place)
        mismatches = [r for r in caplog.records if "other_person" in r.getMessage()]
        assert len(mismatches) == 1
        assert link not in caplog.text


class TestACookieMadeFromPublicValues:
    async def test_is_no_session(self, place: Place, ann: Browser) -> None:
        attempt = await allowed(place, ann)
        digest = hashlib.sha256(attempt.state.encode()).hexdigest()
        made_up = ["1", "ann", attempt.state, digest, f"{attempt.state}.{digest[:43]}"]
        for value in made_up:
            browser = await place.browser()
            for name in ("__Host-session", "session", "__Host-proof", attempt.state):
                browser.client.cookies.set(name, value)
            assert (await browser.come_back(attempt.url())).status_code == 400
        assert await nothing_happened(place)


class TestALinkUsedTwice:
    @pytest.mark.parametrize(
        "answer", [{}, {"error": "access_denied"}, {"error": "server_error"}, {"code": "wrong"}]
    )
    async def test_is_dead_whatever_came_of_it_first(
        self, place: Place, ann: Browser, answer: dict[str, str]
    ) -> None:
        attempt, link = await from_chat(place, "ann")
        await ann.get(attempt.url(**answer))
        calls = place.fake.calls["token"]
        assert await live(place) == 0
        await ann.get(attempt.url())
        assert (await ann.get(f"/connect/{link}")).status_code == 410
        assert place.fake.calls["token"] == calls

    async def test_has_no_attempt_left_once_it_was_resolved_elsewhere(
        self, place: Place, ann: Browser
    ) -> None:
        attempt, link = await from_chat(place, "ann")
        assert await place.bot.resolve_link_code(place.redis, link) == "ann"
        await ann.get(attempt.url())
        assert await nothing_happened(place)


class TestOneKindOfSecretForAnother:
    async def test_is_refused_in_every_combination(self, place: Place, ann: Browser) -> None:
        attempt, link = await from_chat(place, "ann")
        session = ann.client.cookies["__Host-session"]
        waiting = await place.browser()
        proof_link = await place.bot.create_link_code(place.redis, "ann")
        await waiting.post(f"/connect/{proof_link}/start")
        secrets = {
            "link": link,
            "state": attempt.state,
            "session": session,
            "session id": session.partition(".")[0],
            "proof": waiting.client.cookies["__Host-proof"],
            "code": attempt.code,
        }
        for name, value in secrets.items():
            stranger = await place.browser()
            if name != "state":
                state = await ann.get(attempt.url(state=value))
                assert state.status_code in (303, 400), name
            if name != "link":
                assert (await stranger.get(f"/connect/{value}")).status_code == 410, name
                assert (await stranger.post(f"/connect/{value}/start")).status_code == 410, name
            for cookie, own in (("__Host-session", "session"), ("__Host-proof", "proof")):
                if name != own:
                    stranger.client.cookies.set(cookie, value)
                    assert (await stranger.get("/connections")).status_code == 303, name
                    assert (await stranger.get("/connect/proof")).status_code in (400, 410), name
                    stranger.client.cookies.clear()
        assert await nothing_happened(place)


class TestACodeOfAnotherAttempt:
    async def test_fails_at_the_provider_and_is_not_tried_again(
        self, place: Place, ann: Browser
    ) -> None:
        mine, other = await allowed(place, ann), await allowed(place, ann)
        await ann.get(mine.url(code=other.code))
        assert await ann.state_of("github") == "failed"
        assert place.fake.calls["exchange"] == 1
        assert await place.records() == {}
        await ann.get(mine.url())
        assert place.fake.calls["exchange"] == 1


class TestTheIssuer:
    @pytest.mark.parametrize("provider", ["google", "discord", "github"])
    @pytest.mark.parametrize(
        "spoil",
        [
            lambda _: None,
            lambda _: "",
            lambda _: "https://evil.example",
            lambda issuer: issuer + "/",
            lambda issuer: issuer.upper(),
            lambda issuer: issuer.replace("https", "http"),
            lambda issuer: issuer + " ",
        ],
    )
    async def test_must_be_the_one_that_was_announced(
        self, place: Place, ann: Browser, provider: str, spoil: object
    ) -> None:
        attempt = await allowed(place, ann, provider)
        given = spoil(ISSUERS[f"/{provider}"])  # type: ignore[operator]
        fields = {"state": attempt.state, "code": attempt.code}
        await ann.get(callback(provider, **fields, **({} if given is None else {"iss": given})))
        assert await nothing_happened(place)
        await ann.get(attempt.url())
        assert await nothing_happened(place), "the state was to be spent"

    @pytest.mark.parametrize("provider", ["google", "discord", "github"])
    async def test_stands_once(self, place: Place, ann: Browser, provider: str) -> None:
        attempt = await allowed(place, ann, provider)
        answer = await ann.come_back(attempt.url() + "&iss=" + ISSUERS[f"/{provider}"])
        assert answer.status_code == 400
        assert await nothing_happened(place)

    @pytest.mark.parametrize("provider", ["google", "discord", "github"])
    async def test_beside_an_error_may_be_missing_but_not_wrong(
        self, place: Place, ann: Browser, provider: str
    ) -> None:
        for issuer, state in ({"iss": "https://evil.example"}, "failed"), ({}, "denied"):
            attempt = await allowed(place, ann, provider)
            fields = {"state": attempt.state, "error": "access_denied"}
            await ann.get(callback(provider, **fields, **issuer))
            assert await ann.state_of(provider) == state

    async def test_where_none_is_announced_counts_for_nothing(
        self, place: Place, ann: Browser
    ) -> None:
        attempt = await allowed(place, ann, "microsoft")
        await ann.get(attempt.url(iss="https://login.microsoftonline.com"))
        assert await ann.state_of("microsoft") == "connected"

    @pytest.mark.parametrize(
        ("given", "is_fine"),
        [
            ({}, True),
            ({"iss": "https://github.com/login/oauth"}, True),
            ({"iss": "https://evil.example"}, False),
            ({"iss": ""}, False),
        ],
    )
    async def test_may_be_missing_where_the_operator_says_so_but_never_another(
        self, place: Place, ann: Browser, given: dict[str, str], is_fine: bool
    ) -> None:
        place.site.manager.providers["github"].iss_required = False
        attempt = await allowed(place, ann, "github")
        await ann.get(callback("github", state=attempt.state, code=attempt.code, **given))
        assert await ann.state_of("github") == ("connected" if is_fine else "failed")
        assert (place.fake.calls["token"] == 1) is is_fine


class TestAnErrorAnswer:
    MARKUP = "<img src=x onerror=alert(1)>\"'`{{7*7}}\r\nSet-Cookie: canary=1"

    @pytest.mark.parametrize(
        ("error", "state"),
        [
            ("access_denied", "denied"),
            ("server_error", "trouble"),
            ("temporarily_unavailable", "trouble"),
            ("unauthorized_client", "misconfigured"),
            ("invalid_scope", "misconfigured"),
            ("redirect_uri_mismatch", "misconfigured"),
            ("invalid_request", "misconfigured"),
            ("interaction_required", "failed"),
            ("never_heard_of", "not_understood"),
            ("", "not_understood"),
            (MARKUP, "not_understood"),
            ("x" * 10_000, "not_understood"),
        ],
    )
    async def test_is_told_in_our_own_words_and_spends_the_state(
        self, place: Place, ann: Browser, error: str, state: str
    ) -> None:
        attempt = await allowed(place, ann)
        answer = await ann.get(callback(state=attempt.state, error=error))
        assert answer.status_code == 303
        page = (await ann.get("/connections")).text
        assert card_state(page, "github") == state
        assert not error or error not in page
        await ann.get(attempt.url())
        assert await nothing_happened(place)

    async def test_shows_and_links_nothing_that_the_provider_wrote(
        self, place: Place, ann: Browser, caplog: pytest.LogCaptureFixture
    ) -> None:
        attempt = await allowed(place, ann)
        fields = {
            "error": self.MARKUP,
            "error_description": self.MARKUP + "canary",
            "error_uri": "javascript:alert('canary')",
        }
        with capture_logs() as lines:
            answer = await ann.get(callback(state=attempt.state, **fields))
        page = (await ann.get("/connections")).text
        for text in (answer.text, str(answer.headers), page, caplog.text, str(lines)):
            assert "canary" not in text
            assert "onerror" not in text
        (line,) = [line for line in lines if line["log_level"] == "warning"]
        assert line["error_code"] == "unknown_error"

    async def test_beside_a_code_is_an_error(self, place: Place, ann: Browser) -> None:
        attempt = await allowed(place, ann)
        await ann.get(attempt.url(error="access_denied"))
        assert await ann.state_of("github") == "denied"
        assert await nothing_happened(place)

    @pytest.mark.parametrize("fields", [{"error": "access_denied"}, {"error": "x", "code": "c"}])
    async def test_without_a_state_is_refused(
        self, place: Place, ann: Browser, fields: dict[str, str]
    ) -> None:
        assert (await ann.come_back(callback(**fields))).status_code == 400
        assert await ann.state_of("github") == "not_connected"

    async def test_that_says_neither_yes_nor_no_is_refused(
        self, place: Place, ann: Browser
    ) -> None:
        attempt = await allowed(place, ann)
        for fields in ({}, {"code": ""}, {"code": " "}):
            url = callback(state=attempt.state, **fields)
            assert (await ann.come_back(url)).status_code == 400
        assert await nothing_happened(place)

    async def test_keeps_the_connection_there_was(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "github")
        before = await place.records()
        attempt = await allowed(place, ann)
        await ann.get(callback(state=attempt.state, error="access_denied"))
        page = (await ann.get("/connections")).text
        assert card_state(page, "github") == "denied"
        assert "Your old connection is unchanged." in page
        assert await place.records() == before

    async def test_carries_a_reference_that_the_log_knows(self, place: Place, ann: Browser) -> None:
        attempt = await allowed(place, ann)
        with capture_logs() as lines:
            await ann.get(callback(state=attempt.state, error="never_heard_of"))
        (line,) = [line for line in lines if line["log_level"] == "warning"]
        assert f" reference {line['reference']}." in (await ann.get("/connections")).text


class TestAQueryThatIsNoAnswer:
    async def refuse(self, place: Place, browser: Browser, query: bytes) -> None:
        url = httpx.URL(f"{BASE_URL}/oauth/github/callback", query=query)
        async with commands(place.redis) as seen:
            answer = await browser.client.get(url)
        assert (answer.status_code, answer.headers["location"]) == (303, OVER)
        assert [line for line in seen if "oauth_" in line] == []
        assert await nothing_happened(place)

    async def test_is_refused_before_anything_is_looked_up(
        self, place: Place, ann: Browser
    ) -> None:
        attempt = await allowed(place, ann)
        state, code = attempt.state.encode(), attempt.code.encode()
        good = b"state=" + state + b"&code=" + code
        for query in (
            good + b"&state=" + state,
            good + b"&code=" + code,
            good + b"&code=",
            good + b"&x=1&x=2",
            b"state[]=" + state + b"&code=" + code,
            b"state=" + state + b"&code[]=" + code,
            b"State=" + state + b"&code=" + code,
            b"state=" + state + b"&code=" + b"c" * 10_000,
            b"state=" + b"s" * 18_000 + b"&code=" + code,
            b"state=" + state + b"%00&code=" + code,
            b"state=" + state + b"&code=" + code + b"%00",
            b"state=" + state + b"&code=" + code + b"%0d%0aX-Injected:%201",
            b"state=" + state + b"%0a&code=" + code,
            b"state=" + state + b"&code=%ff%fe",
            b"state=%ff" + state + b"&code=" + code,
            b"state=" + state + b"&code=caf%c3%a9",
            b"state=" + state + b"&code=a%20b",
            b"&".join(b"a%d=1" % i for i in range(60)) + b"&" + good,
            b"",
            b"=",
            b"&" * 2000,
        ):
            await self.refuse(place, ann, query)
        await ann.get(attempt.url())
        assert await ann.state_of("github") == "connected", "the state was to stay usable"

    async def test_is_a_page_with_a_way_on(self, place: Place, ann: Browser) -> None:
        answer = await ann.come_back(callback())
        assert answer.status_code == 400
        assert answer.headers["content-type"].startswith("text/html")
        assert 'href="/connections"' in answer.text


class TestWhereItLeads:
    ELSEWHERE = (
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "/%09/evil.example",
        "/connections//evil.example",
        "javascript:alert(1)",
        "https:evil.example",
        "/connections\r\nX: 1",
    )

    @pytest.mark.parametrize("elsewhere", ELSEWHERE)
    async def test_is_not_for_the_query_or_form_to_say(
        self, place: Place, ann: Browser, elsewhere: str
    ) -> None:
        names = ("next", "return", "return_to", "redirect_uri", "url")
        fields = dict.fromkeys(names, elsewhere)
        url = await ann.begin("github", fields)
        query = query_of(place.fake.authorize(url))
        answer = await ann.get(callback(**{**fields, **query}))
        assert answer.headers["location"] == "/connections#conn-github-n"
        signed_in = await ann.get(f"/signin?{urlencode({'next': elsewhere})}")
        assert signed_in.headers["location"] == "/connections"
        assert (await ann.post("/signout", {"next": elsewhere})).headers[
            "location"
        ] == "/signed-out"


class TestTheRedirectUri:
    FORGED = (
        {"x-forwarded-host": "evil.example"},
        {"x-forwarded-proto": "http"},
        {"x-forwarded-port": "8443"},
        {"forwarded": "host=evil.example;proto=http"},
        {"x-original-host": "evil.example", "x-host": "evil.example"},
        {"x-forwarded-prefix": "/evil"},
    )

    @pytest.mark.parametrize("forged", FORGED)
    async def test_is_the_configured_one_both_times_whatever_headers_say(
        self, place: Place, ann: Browser, forged: dict[str, str]
    ) -> None:
        ann.client.headers.update(forged)
        url = await ann.begin("github")
        await ann.get(place.fake.authorize(url))
        (exchange,) = [r for r in place.fake.requests if r.endpoint == "token"]
        asked = query_of(url)["redirect_uri"]
        assert asked == exchange.form["redirect_uri"] == f"{BASE_URL}/oauth/github/callback"
        assert await ann.state_of("github") == "connected"

    @pytest.mark.parametrize("host", ["evil.example", "bot.example.evil.example", "bot.example:80"])
    async def test_of_another_host_is_not_served(
        self, place: Place, ann: Browser, host: str
    ) -> None:
        attempt = await allowed(place, ann)
        for path in (attempt.url(), attempt.url().replace("callback?", "callback/?")):
            answer = await ann.get(path, headers={"host": host})
            assert answer.status_code == 400
            assert "location" not in answer.headers
            assert "evil" not in answer.text
        await ann.get(attempt.url())
        assert await ann.state_of("github") == "connected"

    async def test_with_a_slash_at_the_end_is_not_found_and_spends_nothing(
        self, place: Place, ann: Browser
    ) -> None:
        attempt = await allowed(place, ann)
        answer = await ann.get(attempt.url().replace("callback?", "callback/?"))
        assert answer.status_code == 404
        assert await live(place) == 1


class TestOtherMethods:
    @pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"])
    async def test_are_405_and_spend_nothing(self, place: Place, ann: Browser, method: str) -> None:
        attempt = await allowed(place, ann)
        answer = await ann.client.request(
            method, attempt.url(), headers={"sec-fetch-site": "same-origin"}
        )
        assert answer.status_code == 405
        assert "GET" in answer.headers["allow"]
        assert await live(place) == 1
        await ann.get(attempt.url())
        assert await ann.state_of("github") == "connected"

    async def test_head_is_not_among_the_allowed(self, place: Place, ann: Browser) -> None:
        answer = await ann.client.head("/oauth/github/callback")
        assert answer.headers["allow"] == "GET"

    @pytest.mark.parametrize("site", ["same-origin", "cross-site", "none"])
    async def test_post_is_refused_and_spends_nothing(
        self, place: Place, ann: Browser, site: str
    ) -> None:
        """response_mode=form_post is nobody's wish here"""
        attempt = await allowed(place, ann)
        fields = {"state": attempt.state, "code": attempt.code}
        answer = await ann.client.post(
            "/oauth/github/callback", data=fields, headers={"sec-fetch-site": site}
        )
        assert answer.status_code == (405 if site == "same-origin" else 403)
        assert await live(place) == 1


class TestTroubleAtTheProvider:
    @pytest.mark.parametrize(
        ("answer", "state"),
        [
            (error_answer("invalid_grant"), "failed"),
            (error_answer("bad_verification_code", 200), "failed"),
            (error_answer("invalid_client", 401), "misconfigured"),
            (error_answer("incorrect_client_credentials", 200), "misconfigured"),
            (error_answer("slow_down", 429), "trouble"),
            (Answer(503), "trouble"),
            (Answer(302, {"location": "http://evil.example/"}), "trouble"),
            (Answer(200, {}, b"<html>"), "trouble"),
            (json_answer({"token_type": "bearer"}), "not_understood"),
            (json_answer({"access_token": "a b"}), "not_understood"),
            (json_answer({"access_token": "a", "token_type": "mac"}), "not_understood"),
            (json_answer({"ok": True, "authed_user": {"access_token": "a"}}), "not_understood"),
            (error_answer("never_heard_of"), "not_understood"),
            (error_answer("unverified_user_email", 200), "verify"),
        ],
    )
    async def test_stores_nothing_and_says_so(
        self, place: Place, ann: Browser, answer: Answer, state: str
    ) -> None:
        place.fake.script("token", answer)
        await place.connect(ann, "github")
        assert await ann.state_of("github") == state
        assert await place.records() == {}
        assert place.fake.calls["token"] == 1

    async def test_keeps_the_connection_there_was(self, place: Place, ann: Browser) -> None:
        await place.connect(ann, "github")
        before = await place.records()
        place.fake.script("token", Answer(500))
        await place.connect(ann, "github")
        assert await place.records() == before


class TestADisconnectMeanwhile:
    async def test_wins_and_the_fresh_grant_is_ended_at_the_provider(
        self, place: Place, ann: Browser
    ) -> None:
        fake = place.fake
        await place.connect(ann, "github")
        attempt = await allowed(place, ann)
        gate = fake.gate("account")
        finishing = asyncio.create_task(ann.get(attempt.url()))
        await gate.reached()
        await ann.post("/connections/github/disconnect")
        gate.open()
        assert (await finishing).status_code == 303
        assert await place.redis.exists(tokens_key("ann", "github")) == 0
        assert fake.calls["revoke"] == 2
        assert await ann.state_of("github") == "disconnected"


class TestABrowserThatHangsUp:
    async def test_during_the_exchange_is_connected_all_the_same(
        self, redis_url: str, redis: Redis
    ) -> None:
        async with site_at(redis_url, redis) as own:
            ann = await own.signed_in("ann")
            attempt = await allowed(own, ann)
            gate = own.fake.gate("token")
            finishing = asyncio.create_task(ann.get(attempt.url()))
            await gate.reached()
            finishing.cancel()
            gate.open()
        # The site has ended, and waited for what was under way.
        assert await redis.exists(tokens_key("ann", "github"), connection_key("ann", "github")) == 2
        assert own.fake.calls["exchange"] == 1


class TestTwoTabs:
    async def test_may_connect_two_services_at_once(self, place: Place, ann: Browser) -> None:
        first, second = await allowed(place, ann), await allowed(place, ann, "google")
        await ann.get(second.url())
        await ann.get(first.url())
        assert await ann.state_of("github") == "connected"
        assert await ann.state_of("google") == "connected"

    async def test_may_both_connect_the_same_service(self, place: Place, ann: Browser) -> None:
        first, second = await allowed(place, ann), await allowed(place, ann)
        await ann.get(second.url())
        await ann.get(first.url())
        assert await ann.state_of("github") == "connected"
        assert place.fake.calls["exchange"] == 2
