"""The bot's own authorize URL: its code waits, sealed and unexchanged, for the person's proof."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import Answer, error_answer
from tests.kit.fake_provider import serve
from tests.kit.issuer import NAME as ACME
from tests.kit.issuer import Issuer
from tests.kit.library import (
    ACCOUNTS,
    BASE_URL,
    BUILT_IN,
    ISSUERS,
    KEY,
    dumped,
    fake_provider,
    keys_at,
    providers_config,
    text_at,
)
from tests.kit.redis_proxy import RedisProxy, redis_proxy
from tests.kit.site_fixtures import (
    Browser,
    Place,
    commands,
    confirm,
    free_port,
    heading,
    query_of,
    serving,
    shown_code,
    site_at,
    site_environment,
)
from webui.chat import connect_service
from webui.oauth_manager import PROVIDER_TEMPLATES, OAuthManager, init_oauth_manager
from webui.oauth_manager.protocol.metadata_cache import PAUSE_SECONDS
from webui.text import words

pytestmark = pytest.mark.anyio

OVER = "That attempt is over"
DEAD = "This link no longer works"
OTHER_KEY = "b3RoZXIgZGVwbG95bWVudCwgb3RoZXIga2V5ISEhISE="


async def from_chat(
    place: Place, user: str = "ann", provider: str = "github", scopes: list[str] | None = None
) -> str:
    """The callback that a provider which approves at once sends the browser to."""
    url = await place.bot.generate_connect_url(user, provider, place.redis, scopes)
    return place.fake.authorize(url)


async def parked(place: Place, user: str = "ann", provider: str = "github") -> tuple[Browser, str]:
    """A browser without a session that came back from the provider, and the code it shows."""
    phone = await place.browser()
    answer = await phone.get(await from_chat(place, user, provider))
    assert (answer.status_code, answer.headers["location"]) == (303, "/connect/proof")
    return phone, shown_code(await phone.get("/connect/proof"))


async def go_on(phone: Browser) -> httpx.Response:
    return await phone.post("/connect/proof/continue")


async def the_parked_key(place: Place) -> str:
    (key,) = await keys_at(place.redis, "oauth_pending:*")
    return key


async def one_time_values(place: Place) -> list[str]:
    """Every link, state and proof there is."""
    kinds = ("link:", "state:", "pending:", "proofs:")
    found = await keys_at(place.redis, "oauth_*")
    return [key for key in found if key.startswith(tuple(f"stargazer:oauth_{k}" for k in kinds))]


async def nothing_stored(place: Place) -> bool:
    return await place.records() == {}


def forms(secret: str) -> set[bytes]:
    """A secret in clear and in base64, at each of the three offsets."""
    raw = secret.encode()
    found = {raw, raw.hex().encode()}
    for pad in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(b"x" * pad + raw)[(0, 2, 3)[pad] :]
            found.add(whole[: len(raw) * 4 // 3 - 4])
    return found


class TestTheWholeWay:
    @pytest.mark.parametrize("provider", BUILT_IN)
    async def test_ends_connected_and_signed_in(self, place: Place, provider: str) -> None:
        phone, shown = await parked(place, "ann", provider)
        assert place.fake.calls["token"] == 0
        assert await confirm(place, "ann", shown)
        assert place.fake.calls["token"] == 0, "the bot's word alone exchanges nothing"
        page = await phone.get("/connect/proof")
        assert 'id="proof-continue"' in page.text
        label = PROVIDER_TEMPLATES[provider]["label"]
        assert f"Go on with {label}" in page.text, "they come from there"
        assert place.fake.calls["token"] == 0
        place.fake.account = ACCOUNTS[provider]
        answer = await go_on(phone)
        assert answer.headers["location"] == f"/connections/{provider}/switch"
        assert place.fake.calls["exchange"] == 1
        assert await place.records() == {}
        await place.answer(phone, provider)
        assert await phone.state_of(provider) == "connected"
        assert await place.bot.get_token("ann", provider, place.redis)

    async def test_ends_on_the_page_that_says_done_and_leads_back_to_the_chat(
        self, place: Place
    ) -> None:
        phone, shown = await parked(place)
        assert await confirm(place, "ann", shown)
        await go_on(phone)
        answer = await place.answer(phone, "github")
        assert answer.headers["location"] == "/connect/done/github"
        page = await phone.get("/connect/done/github")
        assert heading(page.text) == "GitHub is connected"
        assert "Go back to your chat, or close this page." in page.text

    async def test_shows_the_warning_with_the_code(self, place: Place) -> None:
        """There was no landing page on this way: the proof page has to say it all."""
        phone, _ = await parked(place)
        page = (await phone.get("/connect/proof")).text
        assert "Send it only to Stella, in your own chat. Nobody else needs it." in page
        assert 'action="/connect/proof/decline"' in page
        assert "ann" not in re.sub(r"<[^>]*>", " ", page).split()

    async def test_asks_for_what_the_bot_asked_for(self, place: Place) -> None:
        phone = await place.browser()
        scopes = ["repo", "gist"]
        await phone.get(await from_chat(place, "ann", "github", scopes))
        assert await confirm(place, "ann", shown_code(await phone.get("/connect/proof")))
        await go_on(phone)
        await place.answer(phone, "github")
        connection = await place.bot.connection(place.redis, "ann", "github")
        assert list(connection.profile.requested_scopes) == scopes
        assert sorted(connection.scopes) == sorted(scopes)

    async def test_sends_the_verifier_of_its_own_challenge(self, place: Place) -> None:
        url = await place.bot.generate_connect_url("ann", "google", place.redis)
        phone = await place.browser()
        await phone.get(place.fake.authorize(url))
        assert await confirm(place, "ann", shown_code(await phone.get("/connect/proof")))
        await go_on(phone)
        (request,) = [r for r in place.fake.requests if r.endpoint == "token"]
        digest = hashlib.sha256(request.form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        assert query_of(url)["code_challenge"] == challenge
        assert request.form["redirect_uri"] == f"{BASE_URL}/oauth/google/callback"

    async def test_is_told_to_the_person_by_the_bot(self, place: Place) -> None:
        phone, shown = await parked(place)
        assert await confirm(place, "ann", shown)
        await go_on(phone)
        assert await place.redis.xlen("stargazer:oauth_notices") == 0
        await place.answer(phone, "github")
        assert await place.redis.xlen("stargazer:oauth_notices") == 1

    async def test_gives_a_session_with_an_id_of_its_own(self, place: Place) -> None:
        planted = "A" * 43 + "." + "B" * 43
        phone, shown = await parked(place)
        proof = phone.client.cookies["__Host-proof"]
        phone.client.cookies.set("__Host-session", planted)
        assert await confirm(place, "ann", shown)
        answer = await go_on(phone)
        (session,) = re.findall(r"__Host-session=([^;]+)", str(answer.headers.multi_items()))
        assert session not in (planted, proof)
        assert "__Host-proof" not in phone.client.cookies


class TestWhileItWaits:
    async def test_nothing_of_it_can_be_read_in_redis(self, place: Place) -> None:
        url = await place.bot.generate_connect_url("ann", "microsoft", place.redis)
        phone = await place.browser()
        canary = "secret-of-an-authorization-code"
        state = query_of(url)["state"]
        link = [key.rpartition(":")[2] for key in await keys_at(place.redis, "oauth_link:*")]
        await phone.get(f"/oauth/microsoft/callback?code={canary}&state={state}")
        stored = await dumped(place.redis)
        shown = shown_code(await phone.get("/connect/proof"))
        secret = phone.client.cookies["__Host-proof"]
        assert await confirm(place, "ann", shown)
        await go_on(phone)
        (request,) = [r for r in place.fake.requests if r.endpoint == "token"]
        assert request.form["code"] == canary
        for value in (canary, request.form["code_verifier"], state, secret, shown, *link):
            assert not [form for form in forms(value) if form in stored]
        assert b"oauth_pending" in stored, "there was something to search"

    async def test_it_has_five_minutes_from_its_first_instant(self, place: Place) -> None:
        callback = await from_chat(place)
        phone = await place.browser()
        async with commands(place.redis) as seen:
            await phone.get(callback)
        (stored,) = [line for line in seen if line.startswith("SET stargazer:oauth_pending:")]
        assert stored.endswith(" EX 300")
        (index,) = await keys_at(place.redis, "oauth_proofs:*")
        assert 0 < await place.redis.ttl(index) <= 600

    async def test_the_state_and_the_link_are_spent(self, place: Place) -> None:
        await parked(place)
        assert await keys_at(place.redis, "oauth_state:*") == []
        assert await keys_at(place.redis, "oauth_link:*") == []

    async def test_run_out_it_is_never_exchanged(self, place: Place) -> None:
        phone, shown = await parked(place)
        assert await confirm(place, "ann", shown)
        await place.redis.pexpire(await the_parked_key(place), 0)
        answer = await go_on(phone)
        assert answer.status_code == 410
        assert heading(answer.text) == DEAD
        assert ">connect</code>" in answer.text
        assert place.fake.calls["token"] == 0
        assert await nothing_stored(place)

    async def test_a_code_that_comes_too_late_confirms_nothing(self, place: Place) -> None:
        """The chat and the browser agree that it is over."""
        phone, shown = await parked(place)
        (index,) = await keys_at(place.redis, "oauth_proofs:*")
        ((identifier, entry),) = (await place.redis.hgetall(index)).items()
        assert isinstance(entry, bytes)
        await place.redis.hset(index, identifier, entry.rpartition(b":")[0] + b":1")
        await place.redis.pexpire(await the_parked_key(place), 0)
        chat = SimpleNamespace(user_id="ann", redis=place.redis, is_private=True)
        init_oauth_manager(KEY, BASE_URL, place.settings.providers_config)
        said = await connect_service(chat, "confirm", code=shown)
        assert said == words.text("chat.no_code")
        assert (await go_on(phone)).status_code == 410
        assert place.fake.calls["token"] == 0

    async def test_another_link_of_the_same_person_may_be_proven_first(self, place: Place) -> None:
        """Each browser's proof is for what that browser brought."""
        phone, shown = await parked(place, "ann", "google")
        await place.prove(await place.browser(), "ann")
        assert place.fake.calls["token"] == 0
        assert await confirm(place, "ann", shown)
        place.fake.account = ACCOUNTS["google"]
        await go_on(phone)
        await place.answer(phone, "google")
        assert await phone.state_of("google") == "connected"

    async def test_looking_and_asking_again_leave_it_as_it_is(self, place: Place) -> None:
        phone, shown = await parked(place)
        before = await place.redis.get(await the_parked_key(place))
        for _ in range(5):
            await phone.get("/connect/proof")
            assert (await phone.get("/connect/proof", htmx=True)).status_code == 204
            assert "has not received the code yet" in (await go_on(phone)).text
        assert await place.redis.get(await the_parked_key(place)) == before
        assert place.fake.calls["token"] == 0
        assert await confirm(place, "ann", shown)


class TestOnlyOnce:
    async def test_continuing_again_exchanges_nothing(self, place: Place) -> None:
        phone, shown = await parked(place)
        secret = phone.client.cookies["__Host-proof"]
        assert await confirm(place, "ann", shown)
        await go_on(phone)
        again = await place.browser()
        again.client.cookies.set("__Host-proof", secret)
        assert (await go_on(again)).status_code == 410
        assert place.fake.calls["exchange"] == 1

    async def test_fifty_at_once_exchange_once(self, place: Place, redis_url: str) -> None:
        phone, shown = await parked(place)
        assert await confirm(place, "ann", shown)
        async with site_at(redis_url, place.redis, place.fake) as other:
            tabs = [await (place, other)[i % 2].browser() for i in range(50)]
            for tab in tabs:
                tab.client.cookies.set("__Host-proof", phone.client.cookies["__Host-proof"])
            # Every connection is there already, so that they do meet.
            await asyncio.gather(*(tab.get("/connect/proof") for tab in tabs))
            answers = await asyncio.gather(*(go_on(tab) for tab in tabs))
        assert sorted(answer.status_code for answer in answers) == [303] + [410] * 49
        assert place.fake.calls["exchange"] == 1
        assert sum("__Host-session" in tab.client.cookies for tab in tabs) == 1

    async def test_the_callback_again_gives_no_second_proof(self, place: Place) -> None:
        callback = await from_chat(place)
        phone = await place.browser()
        await phone.get(callback)
        again = await phone.get(callback)
        assert again.headers["location"] == "/connect/proof", "it says what the first one did"
        for stranger in (await place.browser(), await place.signed_in("ann")):
            assert heading((await stranger.come_back(callback)).text) == OVER
        assert len(await keys_at(place.redis, "oauth_pending:*")) == 1
        assert await confirm(place, "ann", shown_code(await phone.get("/connect/proof")))
        assert (await go_on(phone)).status_code == 303
        await place.answer(phone, "github")
        assert await phone.state_of("github") == "connected"

    async def test_a_newer_link_for_the_service_makes_the_older_address_worthless(
        self, place: Place
    ) -> None:
        """Whichever kind is newer."""
        older = await from_chat(place)
        await place.bot.create_link_code(place.redis, "ann", provider="github")
        phone = await place.browser()
        assert heading((await phone.come_back(older)).text) == OVER
        link = await place.bot.create_link_code(place.redis, "ann", provider="google")
        await from_chat(place, "ann", "google")
        assert (await phone.get(f"/connect/{link}")).status_code == 410
        assert place.fake.calls["token"] == 0


class TestOnlyThisBrowser:
    async def test_is_tied_to_it_by_a_cookie_that_no_script_and_no_other_host_gets(
        self, place: Place
    ) -> None:
        """The cookie has 256 random bits."""
        seen = set()
        for _ in range(3):
            answer = await (await place.browser()).get(await from_chat(place))
            (cookie,) = answer.headers.get_list("set-cookie")
            pair, *attributes = [part.strip() for part in cookie.split(";")]
            name, _, value = pair.partition("=")
            given = {attribute.lower() for attribute in attributes}
            assert name == "__Host-proof"
            assert given >= {"httponly", "secure", "samesite=lax", "path=/"}
            assert not [attribute for attribute in given if attribute.startswith("domain")]
            assert re.fullmatch(r"[\w-]{43}", value)
            seen.add(value)
        assert len(seen) == 3

    async def test_shows_its_code_nowhere_else(self, place: Place) -> None:
        _, shown = await parked(place)
        for secret in ("", "x" * 43, "ann", (await the_parked_key(place)).rpartition(":")[2]):
            other = await place.browser()
            if secret:
                other.client.cookies.set("__Host-proof", secret)
            page = await other.get("/connect/proof")
            assert page.status_code in (400, 410)
            assert shown[:3] not in page.text

    async def test_is_not_finished_elsewhere_after_the_proof(self, place: Place) -> None:
        """Not by a made-up cookie, not by a session of the same person."""
        _, shown = await parked(place)
        assert await confirm(place, "ann", shown)
        key = await the_parked_key(place)
        other = await place.signed_in("ann")
        for secret in ("x" * 43, key.rpartition(":")[2], shown):
            other.client.cookies.set("__Host-proof", secret)
            assert (await go_on(other)).status_code in (303, 400, 410)
        assert await other.state_of("github") == "not_connected"
        assert place.fake.calls["token"] == 0
        assert await place.redis.exists(key)

    async def test_of_another_deployment_on_the_same_redis_opens_nothing(
        self, place: Place, redis_url: str
    ) -> None:
        phone, shown = await parked(place)
        async with site_at(
            redis_url, place.redis, place.fake, encryption_keys=(OTHER_KEY,)
        ) as other:
            stranger = await other.browser(phone)
            assert (await stranger.get("/connect/proof")).status_code == 410
            assert not await confirm(other, "ann", shown)
        assert place.fake.calls["token"] == 0


class TestTheCode:
    async def test_of_another_chat_user_is_refused_and_costs_the_owner_nothing(
        self, place: Place
    ) -> None:
        phone, shown = await parked(place)
        for other in ("ben", "Ann", "ann:github", "anna"):
            for _ in range(6):
                assert not await confirm(place, other, shown)
        assert "has not received the code yet" in (await go_on(phone)).text
        assert place.fake.calls["token"] == 0
        assert await confirm(place, "ann", shown)
        assert (await go_on(phone)).status_code == 303

    async def test_is_dead_after_five_of_a_hundred_guesses_in_chat(self, place: Place) -> None:
        phone, shown = await parked(place)
        init_oauth_manager(KEY, BASE_URL, place.settings.providers_config)
        chat = SimpleNamespace(user_id="ann", redis=place.redis, is_private=True)
        said = [await connect_service(chat, "confirm", code=guess) for guess in guesses(shown)]
        left = [re.findall(r"\((\d) tr(?:y|ies) left\)", answer) for answer in said]
        assert left[:5] == [["4"], ["3"], ["2"], ["1"], []]
        assert not any(left[5:])
        assert len(said) == 100
        assert said[4] == words.text("chat.no_code")
        assert said[-1].startswith("You have tried that several times.")
        assert not await confirm(place, "ann", shown)
        answer = await go_on(phone)
        assert answer.status_code == 410
        assert ">connect</code>" in answer.text
        assert place.fake.calls["token"] == 0

    async def test_that_was_wrong_four_times_may_still_be_right(self, place: Place) -> None:
        phone, shown = await parked(place)
        for guess in guesses(shown)[:4]:
            assert not await confirm(place, "ann", guess)
        assert await confirm(place, "ann", shown)
        assert (await go_on(phone)).status_code == 303


def guesses(right: str) -> list[str]:
    """A hundred codes of the right alphabet, none of them the right one."""
    letters = "BCDFGHJKMNPQRTVWXY3479"
    made = [f"BCDF{a}{b}" for a in letters for b in letters]
    return [guess for guess in made if guess != right][:100]


class TestSayingNo:
    async def test_kills_it(self, place: Place) -> None:
        phone, shown = await parked(place)
        assert await confirm(place, "ann", shown)
        answer = await phone.post("/connect/proof/decline")
        assert heading(answer.text).startswith("The link is switched off")
        assert await keys_at(place.redis, "oauth_pending:*") == []
        assert (await go_on(phone)).status_code == 410
        assert place.fake.calls["token"] == 0
        assert await nothing_stored(place)
        assert not await confirm(place, "ann", shown)

    async def test_twice_cancels_once(self, place: Place) -> None:
        phone, _ = await parked(place)
        secret = phone.client.cookies["__Host-proof"]
        await phone.post("/connect/proof/decline")
        again = await place.browser()
        again.client.cookies.set("__Host-proof", secret)
        await again.post("/connect/proof/decline")
        assert await place.redis.xlen("stargazer:oauth_notices") == 1

    async def test_from_another_site_kills_nothing(self, place: Place) -> None:
        phone, shown = await parked(place)
        for address in ("/connect/proof/decline", "/connect/proof/continue"):
            for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
                answer = await phone.client.post(address, headers=headers)
                assert answer.status_code == 403
        assert await confirm(place, "ann", shown)

    async def test_at_the_provider_cancels_the_link(self, place: Place) -> None:
        url = await place.bot.generate_connect_url("ann", "github", place.redis)
        state = query_of(url)["state"]
        phone = await place.browser()
        answer = await phone.come_back(f"/oauth/github/callback?error=access_denied&state={state}")
        assert heading(answer.text) == "You chose not to connect GitHub"
        assert "set-cookie" not in answer.headers
        assert await keys_at(place.redis, "oauth_pending:*") == []
        assert await place.redis.xlen("stargazer:oauth_notices") == 1
        again = await phone.come_back(place.fake.authorize(url))
        assert heading(again.text) == OVER


class TestAnErrorAnswer:
    MARKUP = "<img src=x onerror=alert(1)>%22{{7*7}}%0d%0aSet-Cookie:%20canary=1"

    @pytest.mark.parametrize("error", ["access_denied", "server_error", MARKUP, "x" * 9000])
    async def test_ends_the_link_and_shows_nothing_that_the_provider_wrote(
        self, place: Place, error: str
    ) -> None:
        """Not even beside a code."""
        url = await place.bot.generate_connect_url("ann", "github", place.redis)
        state = query_of(url)["state"]
        phone = await place.browser()
        answer = await phone.come_back(f"/oauth/github/callback?state={state}&error={error}&code=c")
        assert "onerror" not in answer.text
        assert "xxxx" not in answer.text
        assert "canary" not in str(answer.headers)
        assert re.search("nothing was (connected|changed)", answer.text, re.IGNORECASE)
        assert await one_time_values(place) == []
        assert heading((await phone.come_back(place.fake.authorize(url))).text) == OVER
        assert place.fake.calls["token"] == 0

    @pytest.mark.parametrize("error", ["server_error", "temporarily_unavailable", "invalid_scope"])
    async def test_that_is_no_refusal_is_not_taken_for_the_persons_own(
        self, place: Place, error: str
    ) -> None:
        """ "You chose not to connect" is for a person who said no."""
        url = await place.bot.generate_connect_url("ann", "github", place.redis)
        state = query_of(url)["state"]
        answer = await (await place.browser()).come_back(
            f"/oauth/github/callback?state={state}&error={error}"
        )
        assert answer.status_code == 400
        assert not heading(answer.text).endswith("is switched off")

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            ("server_error", "GitHub is not answering"),
            ("application_suspended", "GitHub was not connected"),
            ("consent_required", "GitHub says that only an administrator can allow Stargazer."),
            ("unverified_user_email", "GitHub wants you to verify your e-mail address"),
            (
                "never_heard_of",
                "We do not understand GitHub\N{RIGHT SINGLE QUOTATION MARK}s answer",
            ),
            ("login_required", "GitHub did not accept it."),
        ],
    )
    async def test_says_why_and_what_to_do_to_a_person_who_is_not_signed_in(
        self, place: Place, error: str, told: str
    ) -> None:
        url = await place.bot.generate_connect_url("ann", "github", place.redis)
        state = query_of(url)["state"]
        answer = await (await place.browser()).come_back(
            f"/oauth/github/callback?state={state}&error={error}"
        )
        assert answer.status_code == 400
        assert told in answer.text
        assert "It took too long" not in answer.text

    async def test_without_a_session_is_one_line_of_the_log(
        self, place: Place, caplog: pytest.LogCaptureFixture
    ) -> None:
        url = await place.bot.generate_connect_url("ann", "github", place.redis)
        state = query_of(url)["state"]
        phone = await place.browser()
        await phone.get(f"/oauth/github/callback?state={state}&error=server_error")
        assert len([r for r in caplog.records if "server_error" in r.getMessage()]) == 1
        assert state not in caplog.text

    @pytest.mark.parametrize("fields", ["", "&code=", "&code=a&code=b", "&code=%00", "&code=a%0db"])
    async def test_that_is_no_answer_leaves_the_attempt_alone(
        self, place: Place, fields: str
    ) -> None:
        """Refused before anything is looked up."""
        callback = await from_chat(place)
        phone = await place.browser()
        state = query_of(callback)["state"]
        answer = await phone.come_back(f"/oauth/github/callback?state={state}{fields}")
        assert answer.status_code == 400
        assert (await phone.get(callback)).headers["location"] == "/connect/proof"


class TestTheIssuer:
    """A wrong one is refused before anything is parked."""

    @pytest.mark.parametrize("provider", ["google", "discord"])
    @pytest.mark.parametrize("issuer", [None, "", "https://evil.example", "/", "doubled"])
    async def test_has_to_be_right_before_the_code_is_kept(
        self, place: Place, provider: str, issuer: str | None
    ) -> None:
        fields = query_of(await from_chat(place, "ann", provider))
        right = ISSUERS[f"/{provider}"]
        query = f"code={fields['code']}&state={fields['state']}"
        if issuer == "doubled":
            query += f"&iss={right}&iss={right}"
        elif issuer is not None:
            query += f"&iss={right}/" if issuer == "/" else f"&iss={issuer}"
        phone = await place.browser()
        answer = await phone.come_back(f"/oauth/{provider}/callback?{query}")
        assert (answer.status_code, heading(answer.text)) == (400, OVER)
        assert "set-cookie" not in answer.headers
        assert await keys_at(place.redis, "oauth_pending:*") == []
        assert place.fake.calls["token"] == 0

    @pytest.mark.parametrize("answered", ["google", "microsoft", "discord"])
    async def test_the_answer_at_another_providers_callback_is_parked_nowhere(
        self, place: Place, answered: str
    ) -> None:
        fields = query_of(await from_chat(place))
        issuer = ISSUERS.get(f"/{answered}", "")
        phone = await place.browser()
        answer = await phone.come_back(
            f"/oauth/{answered}/callback?code={fields['code']}&state={fields['state']}&iss={issuer}"
        )
        assert heading(answer.text) == OVER
        assert await keys_at(place.redis, "oauth_pending:*") == []
        assert await keys_at(place.redis, "oauth_state:*") == []
        assert place.fake.calls["token"] == 0


class TestOfAServerThatIsFound:
    """What a server promises of ``iss`` is pinned: it holds while the server says nothing."""

    @pytest.fixture
    def server(self) -> Issuer:
        return Issuer()

    @pytest.fixture
    async def found(
        self, redis_url: str, redis: Redis, server: Issuer
    ) -> AsyncIterator[tuple[Place, str]]:
        """The site could not ask the server just now, the bot can: and the callback's address."""
        client = {"client_id": server.fake.client_id, "client_secret": server.fake.client_secret}
        config = {ACME: {"issuer": server.issuer, **client}}
        made = site_at(redis_url, redis, server.fake, provider_app=server, providers_config=config)
        async with made as place:
            server.answer = Answer(503)
            await (await place.signed_in("ben")).post(f"/connections/{ACME}/connect")
            server.answer = None
            yield place, await from_chat(place, "ann", ACME)

    async def test_it_is_kept_with_the_right_issuer(
        self, found: tuple[Place, str], server: Issuer
    ) -> None:
        place, callback = found
        phone = await place.browser()
        assert (await phone.get(callback)).headers["location"] == "/connect/proof"
        assert await confirm(place, "ann", shown_code(await phone.get("/connect/proof")))
        place.clock.advance(PAUSE_SECONDS)
        await go_on(phone)
        assert server.fake.calls["exchange"] == 1

    @pytest.mark.parametrize("issuer", ["", "&iss=https%3A%2F%2Fevil.example"])
    async def test_it_is_not_kept_with_another_issuer_or_none(
        self, found: tuple[Place, str], server: Issuer, issuer: str
    ) -> None:
        place, callback = found
        fields = query_of(callback)
        query = f"code={fields['code']}&state={fields['state']}{issuer}"
        answer = await (await place.browser()).come_back(f"/oauth/{ACME}/callback?{query}")
        assert heading(answer.text) == OVER
        assert await keys_at(place.redis, "oauth_pending:*") == []

    async def test_it_is_not_kept_if_nobody_can_tell(
        self, found: tuple[Place, str], server: Issuer
    ) -> None:
        place, callback = found
        await place.redis.delete(f"stargazer:oauth_server:{ACME}")
        answer = await (await place.browser()).come_back(callback)
        assert heading(answer.text) == OVER
        assert await keys_at(place.redis, "oauth_pending:*") == []
        assert server.fake.calls["token"] == 0


class TestInASession:
    async def test_of_the_same_person_it_asks_whose_account_it_is(
        self, place: Place, ann: Browser
    ) -> None:
        answer = await ann.get(await from_chat(place))
        assert answer.headers["location"] == "/connections/github/switch"
        assert "set-cookie" not in answer.headers
        assert place.fake.calls["exchange"] == 1
        assert await place.records() == {}
        await place.answer(ann, "github")
        assert await ann.state_of("github") == "connected"

    async def test_of_the_same_person_the_code_is_never_parked(
        self, place: Place, ann: Browser
    ) -> None:
        callback = await from_chat(place)
        async with commands(place.redis) as seen:
            await ann.get(callback)
        assert not [line for line in seen if "oauth_pending" in line]

    async def test_that_has_ended_it_is_parked_like_anybodys(
        self, place: Place, ann: Browser
    ) -> None:
        callback = await from_chat(place)
        (session,) = await keys_at(place.redis, "web_session:*")
        await place.redis.pexpire(session, 0)
        assert (await ann.get(callback)).headers["location"] == "/connect/proof"
        assert place.fake.calls["token"] == 0

    async def test_of_another_person_it_is_refused_for_both(
        self, place: Place, ann: Browser
    ) -> None:
        owner = "owner-of-the-link"
        callback = await from_chat(place, owner)
        answer = await ann.come_back(callback)
        assert answer.status_code == 403
        assert owner not in answer.text
        assert await one_time_values(place) == []
        owners = await place.signed_in(owner)
        assert heading((await owners.come_back(callback)).text) == OVER
        assert await owners.state_of("github") == "not_connected"
        assert place.fake.calls["token"] == 0
        assert await nothing_stored(place)

    async def test_of_another_person_begun_meanwhile_ends_with_the_proof(
        self, place: Place
    ) -> None:
        """Two people at one machine: the proof decides, and the session of before is over."""
        phone, shown = await parked(place)
        await place.prove(other := await place.browser(), "ben")
        session = other.client.cookies["__Host-session"]
        phone.client.cookies.set("__Host-session", session)
        assert await confirm(place, "ann", shown)
        answer = await go_on(phone)
        (fresh,) = re.findall(r"__Host-session=([^;]+)", str(answer.headers.multi_items()))
        assert fresh.partition(".")[0] != session.partition(".")[0]
        phone.client.cookies.delete("__Host-session", domain="")  # no browser keeps both
        await place.answer(phone, "github")
        assert await place.bot.has_token("ann", "github", place.redis)
        assert not await place.bot.has_token("ben", "github", place.redis)
        assert (await other.get("/connections")).status_code == 303


class TestTroubleAtTheProvider:
    @pytest.mark.parametrize(
        ("answer", "state"),
        [
            (error_answer("invalid_grant"), "failed"),
            (error_answer("invalid_client", 401), "misconfigured"),
            (Answer(503, {}, b"<html>canary</html>"), "trouble"),
        ],
    )
    async def test_after_the_proof_stores_nothing_and_says_so(
        self, place: Place, answer: Answer, state: str
    ) -> None:
        phone, shown = await parked(place)
        assert await confirm(place, "ann", shown)
        place.fake.script("token", answer)
        done = await go_on(phone)
        assert done.headers["location"] == "/connections#conn-github-n"
        assert await phone.state_of("github") == state
        assert await nothing_stored(place)
        assert (await go_on(phone)).status_code in (303, 400, 410)
        assert place.fake.calls["exchange"] == 1, "it is not tried a second time"

    async def test_of_a_service_that_was_switched_off_meanwhile_is_told(
        self, place: Place, redis_url: str
    ) -> None:
        phone, shown = await parked(place)
        assert await confirm(place, "ann", shown)
        config = {**place.settings.providers_config}
        config["github"] = {**config["github"], "client_id": "", "client_secret": ""}
        async with site_at(redis_url, place.redis, place.fake, providers_config=config) as later:
            answer = await go_on(await later.browser(phone))
        assert answer.status_code == 303
        assert place.fake.calls["token"] == 0
        assert await nothing_stored(place)


@asynccontextmanager
async def through_a_proxy(redis_url: str, redis: Redis) -> AsyncIterator[tuple[Place, RedisProxy]]:
    async with redis_proxy(redis_url) as proxy, site_at(proxy.url, redis) as place:
        yield place, proxy


class TestRedisLost:
    """Never a code that is gone and said to be kept, nor a connection that is not there."""

    async def test_before_the_callback_is_a_503_and_the_attempt_is_kept(
        self, redis_url: str, redis: Redis
    ) -> None:
        async with through_a_proxy(redis_url, redis) as (place, proxy):
            callback = await from_chat(place)
            phone = await place.browser()
            await proxy.go()
            answer = await phone.come_back(callback)
            assert answer.status_code == 503
            await proxy.come()
            assert (await phone.get(callback)).headers["location"] == "/connect/proof"

    async def test_while_parking_is_a_503_and_exchanges_nothing(
        self, redis_url: str, redis: Redis
    ) -> None:
        for mark in ("cut", "lost"):
            async with through_a_proxy(redis_url, redis) as (place, proxy):
                callback = await from_chat(place)
                phone = await place.browser()
                getattr(proxy, mark).append(b"oauth_pending")
                answer = await phone.come_back(callback)
                assert answer.status_code == 503
                assert "we do not know whether it was connected" in answer.text
                assert list(phone.client.cookies) == []
                assert heading((await phone.come_back(callback)).text) == OVER
                assert place.fake.calls["token"] == 0

    async def test_between_the_proof_and_going_on_is_a_503_and_can_be_tried_again(
        self, redis_url: str, redis: Redis
    ) -> None:
        async with through_a_proxy(redis_url, redis) as (place, proxy):
            phone, shown = await parked(place)
            assert await confirm(place, "ann", shown)
            await proxy.go()
            for answer in (await go_on(phone), await phone.get("/connect/proof")):
                assert answer.status_code == 503
                assert "set-cookie" not in answer.headers
            assert place.fake.calls["token"] == 0
            await proxy.come()
            assert (await go_on(phone)).status_code == 303
            assert place.fake.calls["exchange"] == 1

    @pytest.mark.parametrize("mark", ["cut", "lost"])
    async def test_while_it_is_taken_exchanges_nothing_in_doubt(
        self, redis_url: str, redis: Redis, mark: str
    ) -> None:
        """The answer to the taking is lost: nobody can tell who has it, so nobody has."""
        async with through_a_proxy(redis_url, redis) as (place, proxy):
            phone, shown = await parked(place)
            assert await confirm(place, "ann", shown)
            getattr(proxy, mark).append(b"HDEL")
            answer = await go_on(phone)
            assert answer.status_code == 503
            assert place.fake.calls["token"] == 0
            assert await nothing_stored(place)
            assert (await go_on(phone)).status_code == (303 if mark == "cut" else 410)

    async def test_and_emptied_meanwhile_leaves_a_dead_link_with_a_way_on(
        self, place: Place
    ) -> None:
        phone, _ = await parked(place)
        await place.redis.flushall()
        for answer in (await phone.get("/connect/proof"), await go_on(phone)):
            assert (answer.status_code, heading(answer.text)) == (410, DEAD)
            assert ">connect</code>" in answer.text
        assert place.fake.calls["token"] == 0


class TestADamagedRecord:
    @pytest.mark.parametrize("value", ["", "junk", "{}", "null", "gAAAAA" + "A" * 200])
    async def test_is_a_dead_link(self, place: Place, value: str) -> None:
        phone, shown = await parked(place)
        assert await confirm(place, "ann", shown)
        await place.redis.set(await the_parked_key(place), value, keepttl=True)
        assert (await go_on(phone)).status_code == 410
        assert place.fake.calls["token"] == 0

    async def test_of_another_person_put_in_its_place_opens_nothing_new(self, place: Place) -> None:
        """Two sealed records swapped in Redis: the proof of one is not the proof of the other."""
        anns, shown = await parked(place, "ann")
        first = await the_parked_key(place)
        bens, _ = await parked(place, "ben")
        (second,) = [k for k in await keys_at(place.redis, "oauth_pending:*") if k != first]
        one, two = await text_at(place.redis, first), await text_at(place.redis, second)
        await place.redis.mset({first: two, second: one})
        assert await confirm(place, "ann", shown)
        for browser in (anns, bens):
            assert (await go_on(browser)).status_code == 410
        assert place.fake.calls["token"] == 0

    async def test_of_a_record_that_stands_for_a_landing_link_gives_no_code(
        self, place: Place
    ) -> None:
        """A proof that has nothing parked exchanges nothing by itself."""
        phone = await place.browser()
        link = await place.bot.create_link_code(place.redis, "ann", provider="github")
        await phone.post(f"/connect/{link}/start")
        assert await confirm(place, "ann", shown_code(await phone.get("/connect/proof")))
        answer = await go_on(phone)
        assert "/github/authorize" in answer.text
        assert place.fake.calls["token"] == 0


class TestTheLog:
    """The command itself, at its most talkative."""

    async def test_has_nothing_of_code_state_link_or_cookie(
        self, redis_url: str, redis: Redis, tmp_path: Path
    ) -> None:
        fake, base_url = fake_provider(), f"http://127.0.0.1:{free_port()}"
        secrets: set[str] = {KEY}
        with serve(fake) as provider:
            config = providers_config(fake, provider)
            bot = OAuthManager(KEY, base_url, config)
            environment = site_environment(base_url, redis_url, config) | {"LOG_LEVEL": "debug"}
            with serving(environment, tmp_path) as site:
                for outcome in ("connected", "declined", "refused"):
                    url = await bot.generate_connect_url(f"user-{outcome}", "github", redis)
                    for key in await keys_at(redis, "oauth_link:*"):
                        secrets.add(key.rpartition(":")[2])
                    async with httpx.AsyncClient(base_url=base_url) as client:
                        await _live(Browser(client), fake.authorize(url), bot, redis, outcome)
                        secrets |= {*client.cookies.values(), query_of(url)["state"]}
            text = site.log.read_bytes()  # all of it: a line follows its answer
            await bot.aclose()
        secrets |= fake.issued | {r.form.get("code_verifier", "") for r in fake.requests} - {""}
        assert fake.calls["exchange"] == 1
        assert text.count(b"route=") + text.count(b'"route"') > 10
        assert not [s for s in secrets if any(form in text for form in forms(s))]


async def _live(phone: Browser, callback: str, bot: OAuthManager, redis: Any, outcome: str) -> None:
    user = f"user-{outcome}"
    if outcome == "refused":
        callback = callback.replace("/oauth/github", "/oauth/google")
    await phone.get(callback)
    await phone.get(callback)
    if outcome == "refused":
        return
    shown = shown_code(await phone.get("/connect/proof"))
    if outcome == "declined":
        await phone.post("/connect/proof/decline")
        return
    assert await bot.proofs.confirm(redis, user, shown) is None
    answer = await phone.post("/connect/proof/continue")
    assert answer.status_code == 303
    assert json.loads((await phone.get("/oauth/status")).text)
