"""Authorize addresses, states and link codes: what leaves for a provider, what may come back."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import error_answer
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    BASE_URL,
    BUILT_IN,
    ISSUERS,
    NO_REDIS,
    OTHER_KEY,
    began,
    callback_query,
    connected,
    keys_at,
    manager_for,
    text_at,
)
from tests.kit.redis_wire import wired
from webui.oauth_manager import (
    FlowRefused,
    LinkRequest,
    OAuthManager,
    OAuthMisconfigured,
    OAuthRefused,
    StoreUnavailable,
)

pytestmark = pytest.mark.anyio

VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 4.1
HOSTILE_VALUES = [
    "",
    " ",
    "short",
    "x" * 129,
    "x" * 10_240,
    "a" * 30 + "\0",
    "a" * 30 + "\r\nDEL x",
    "a" * 30 + "*",
    "a" * 30 + ":b",
    "a" * 30 + "é",
    "a" * 30 + "\ud800",
    "../" * 20,
]


def s256(verifier: str) -> str:
    return (
        base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    )


async def state_of(manager: OAuthManager, redis: Redis, provider: str = "github") -> str:
    url = await manager.generate_connect_url("u1", provider, redis)
    return callback_query(url)["state"]


class TestPkce:
    @pytest.mark.parametrize("provider", BUILT_IN)
    async def test_every_flow_of_every_provider_has_a_challenge_of_its_own(
        self, manager: OAuthManager, redis: Redis, provider: str
    ) -> None:
        seen = set()
        for number in range(50):
            url = (
                await manager.generate_connect_url("u1", provider, redis)
                if number % 2
                else await manager.begin(redis, "u1", provider, browser="b" * 43)
            )
            query = callback_query(url)
            assert query["code_challenge_method"] == "S256"
            assert len(query["code_challenge"]) == 43
            seen |= {query["code_challenge"], query["state"]}
        assert len(seen) == 100

    async def test_the_verifier_stays_here_until_the_token_request(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        url = await manager.begin(redis, "u1", "google", browser="b")
        query = callback_query(fake.authorize(url))
        attempt = await manager.links.take_attempt(redis, query["state"], "b")
        assert attempt is not None
        await manager.complete(redis, attempt, query["code"])
        verifier = fake.requests[0].form["code_verifier"]
        assert VERIFIER.fullmatch(verifier)
        assert s256(verifier) == callback_query(url)["code_challenge"]
        assert verifier not in url

    async def test_the_verifier_is_sealed_in_redis(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        state = await state_of(manager, redis)
        record = await text_at(redis, f"stargazer:oauth_state:{state}")
        attempt = await manager.links.take_attempt(redis, state)
        assert attempt is not None
        assert attempt.verifier not in record

    async def test_a_code_of_another_flow_is_refused_and_nothing_is_stored(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        mine, _ = await began(manager, fake, redis, "u1", "google")
        _, injected = await began(manager, fake, redis, "u2", "google")
        with pytest.raises(OAuthRefused):
            await manager.complete(redis, mine, injected)
        assert await redis.keys("stargazer:oauth_tokens:*") == []
        assert await redis.keys("stargazer:oauth_state:*") == []

    async def test_a_challenge_stripped_on_the_way_is_noticed_by_the_provider(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        parts = urlsplit(await manager.generate_connect_url("u1", "google", redis))
        query = [(k, v) for k, v in parse_qsl(parts.query) if not k.startswith("code_challenge")]
        stripped = urlunsplit(parts._replace(query=urlencode(query)))
        answer = callback_query(fake.authorize(stripped))
        attempt = await manager.links.take_attempt(redis, answer["state"])
        assert attempt is not None
        with pytest.raises(OAuthRefused):
            await manager.complete(redis, attempt, answer["code"])

    @pytest.mark.parametrize("error", ["invalid_request", "invalid_grant", "server_error"])
    async def test_a_refusal_is_never_tried_again_without_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, error: str
    ) -> None:
        attempt, code = await began(manager, fake, redis, "u1", "google")
        fake.always["token"] = error_answer(error)
        with pytest.raises(RuntimeError):
            await manager.complete(redis, attempt, code)
        assert fake.calls["token"] == 1


class TestRedirectUri:
    @pytest.mark.parametrize("provider", BUILT_IN)
    async def test_it_is_the_same_at_authorization_and_at_the_token_endpoint(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, provider: str
    ) -> None:
        url = await manager.generate_connect_url("u1", provider, redis)
        asked = callback_query(url)["redirect_uri"]
        assert asked == f"{BASE_URL}/oauth/{provider}/callback"
        await connected(manager, fake, redis, "u1", provider)
        exchange = next(r for r in fake.requests if r.endpoint == "token")
        assert exchange.form["redirect_uri"] == asked


class TestIssuer:
    @pytest.mark.parametrize("provider", ["google", "discord", "github"])
    @pytest.mark.parametrize(
        "spoil",
        [
            lambda right: None,
            lambda right: "",
            lambda right: "https://evil.example",
            lambda right: right + "/",
            lambda right: right.upper(),
            lambda right: right.replace("https", "http"),
            lambda right: right + "\0",
            lambda right: f"{right} {right}",
        ],
    )
    def test_anything_but_the_announced_one_is_refused(
        self, manager: OAuthManager, provider: str, spoil: Callable[[str], str | None]
    ) -> None:
        with pytest.raises(FlowRefused) as caught:
            manager.check_issuer(provider, spoil(ISSUERS[f"/{provider}"]))
        assert caught.value.reason == "issuer"

    @pytest.mark.parametrize("provider", ["google", "discord", "github"])
    def test_the_announced_one_passes(self, manager: OAuthManager, provider: str) -> None:
        manager.check_issuer(provider, ISSUERS[f"/{provider}"])

    def test_its_absence_passes_where_none_is_announced(self, manager: OAuthManager) -> None:
        manager.check_issuer("microsoft", None)

    @pytest.mark.parametrize("provider", ["google", "discord", "github"])
    def test_its_absence_passes_where_the_operator_allows_it_and_another_never_does(
        self, provider: str
    ) -> None:
        manager = OAuthManager("", BASE_URL, {provider: {"iss_required": False}})
        manager.check_issuer(provider, None)
        right = manager.providers[provider].issuer
        manager.check_issuer(provider, right)
        for other in ("", "https://evil.example", right + "/"):
            with pytest.raises(FlowRefused):
                manager.check_issuer(provider, other)

    def test_the_built_in_ones_of_the_real_servers(self) -> None:
        known = OAuthManager("", BASE_URL).providers
        issuers = {name: (p.issuer, p.iss_required) for name, p in known.items()}
        assert issuers == {
            "discord": ("https://discord.com", True),
            "github": ("https://github.com/login/oauth", True),
            "google": ("https://accounts.google.com", True),
            "microsoft": ("", False),
        }

    @pytest.mark.parametrize("provider", ["google", "discord", "github"])
    def test_an_error_may_come_without_it_but_not_with_another(
        self, manager: OAuthManager, provider: str
    ) -> None:
        manager.check_issuer(provider, None, is_error=True)
        with pytest.raises(FlowRefused):
            manager.check_issuer(provider, "https://evil.example", is_error=True)

    def test_a_configured_issuer_is_compared_whenever_one_is_sent(self) -> None:
        manager = OAuthManager("", BASE_URL, {"microsoft": {"issuer": "https://login.example"}})
        manager.check_issuer("microsoft", None)
        with pytest.raises(FlowRefused):
            manager.check_issuer("microsoft", "https://evil.example")

    def test_a_provider_moved_to_another_server_leaves_its_old_issuer_behind(self) -> None:
        moved = {"authorize_url": "https://own.example/a", "token_url": "https://own.example/t"}
        for name in ("google", "github"):
            OAuthManager("", BASE_URL, {name: moved}).check_issuer(name, None)


class TestWithoutACodeChallenge:
    @pytest.fixture
    def manager(self, fake: FakeProvider) -> OAuthManager:
        manager = manager_for(fake)
        manager.providers["google"].pkce = False
        return manager

    async def test_neither_challenge_nor_verifier_is_sent_and_the_state_is_bound_as_ever(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        url = await manager.begin(redis, "u1", "google", browser="b")
        assert "code_challenge" not in url
        query = callback_query(fake.authorize(url))
        attempt = await manager.links.take_attempt(redis, query["state"], "b")
        assert attempt
        assert (attempt.user_id, attempt.provider, attempt.verifier) == ("u1", "google", "")
        assert await manager.complete(redis, attempt, query["code"])
        (request,) = [r for r in fake.requests if r.endpoint == "token"]
        assert "code_verifier" not in request.form
        assert await manager.links.take_attempt(redis, query["state"]) is None

    async def test_the_others_send_both_as_ever(self, manager: OAuthManager, redis: Redis) -> None:
        assert "code_challenge=" in await manager.generate_connect_url("u1", "discord", redis)


class TestStates:
    async def test_state_and_link_are_written_with_their_end_in_one_round_trip(
        self, manager: OAuthManager, redis: Redis, redis_url: str
    ) -> None:
        async with wired(redis_url) as (client, wire):
            await client.ping()
            wire.sent.clear()
            await manager.generate_connect_url("u1", "github", client)
            (sent,) = wire.sent
        assert sent.count(b"\r\nSET\r\n") == 2
        assert sent.count(b"\r\nEX\r\n$3\r\n600\r\n") == 2
        for key in await redis.keys():
            assert 0 < await redis.ttl(key) <= 600

    async def test_no_two_are_alike_and_each_has_256_random_bits(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        states = [await state_of(manager, redis) for _ in range(300)]
        codes = [await manager.create_link_code(redis, "u1") for _ in range(300)]
        assert len({*states, *codes}) == 600
        for value in (*states, *codes):
            assert re.fullmatch(r"[A-Za-z0-9_-]{43}", value)

    async def test_a_state_works_once(self, manager: OAuthManager, redis: Redis) -> None:
        state = await state_of(manager, redis)
        assert await manager.links.take_attempt(redis, state) is not None
        assert await manager.links.take_attempt(redis, state) is None

    async def test_fifty_at_once_have_one_winner(self, manager: OAuthManager, redis: Redis) -> None:
        state = await state_of(manager, redis)
        taken = await asyncio.gather(*(manager.links.take_attempt(redis, state) for _ in range(50)))
        assert sum(attempt is not None for attempt in taken) == 1

    async def test_fifty_holders_of_one_link_have_one_winner(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        code = await manager.create_link_code(redis, "u1")
        taken = await asyncio.gather(*(manager.resolve_link_code(redis, code) for _ in range(50)))
        assert sorted(filter(None, taken)) == ["u1"]

    async def test_an_expired_state_is_like_an_unknown_one(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        state = await state_of(manager, redis)
        await redis.pexpire(f"stargazer:oauth_state:{state}", 0)
        assert await manager.links.take_attempt(redis, state) is None

    async def test_mutated_states_are_unknown_and_leave_the_true_one_alone(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        state = await state_of(manager, redis)
        for mutated in (state[:-1], state.swapcase(), state + "A", state[::-1], " " + state):
            assert await manager.links.take_attempt(redis, mutated) is None
        assert await manager.links.take_attempt(redis, state) is not None

    async def test_a_state_of_another_deployment_is_unknown(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        state = await state_of(manager_for(fake, key=OTHER_KEY), redis)
        assert await manager.links.take_attempt(redis, state) is None

    @pytest.mark.parametrize(
        "record",
        [
            "",
            "null",
            "[]",
            "{}",
            '"x"',
            "not json",
            '{"sealed": null}',
            '{"sealed": 5}',
            "[" * 99999,
        ],
    )
    async def test_a_damaged_record_is_unknown(
        self, manager: OAuthManager, redis: Redis, record: str
    ) -> None:
        state = "s" * 43
        await redis.set(f"stargazer:oauth_state:{state}", record, ex=600)
        assert await manager.links.take_attempt(redis, state) is None

    @pytest.mark.parametrize("value", HOSTILE_VALUES)
    async def test_what_cannot_be_ours_is_never_looked_up(
        self, manager: OAuthManager, redis: Redis, redis_url: str, value: str
    ) -> None:
        async with wired(redis_url) as (client, wire):
            assert await manager.links.take_attempt(client, value) is None
            assert await manager.proofs.peek(client, value) is None
            assert await manager.proofs.take(client, value) is None
            assert wire.sent == []
            assert await manager.links.peek(client, value) is None
            assert await manager.resolve_link_code(client, value) is None
            # A link code of the older system may be short.
            assert wire.sent == [] or value == "short"

    async def test_a_link_of_the_older_system_is_resolved_once(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await redis.set("stargazer:oauth_link:abc", "u1", ex=600)
        assert await manager.resolve_link_code(redis, "abc") == "u1"
        assert await manager.resolve_link_code(redis, "abc") is None

    async def test_a_lost_answer_refuses_this_flow_and_the_next_one_works(
        self, manager: OAuthManager, redis: Redis, redis_url: str
    ) -> None:
        state = await state_of(manager, redis)
        async with wired(redis_url) as (client, wire):
            wire.lost_answers = {b"oauth_state": 1}
            with pytest.raises(StoreUnavailable):
                await manager.links.take_attempt(client, state)
            assert await manager.links.take_attempt(client, state) is None
            again = await state_of(manager, client)
            assert await manager.links.take_attempt(client, again) is not None

    async def test_an_attempt_holds_everything_its_callback_is_compared_with(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        url = await manager.begin(
            redis, "u1", "google", browser="the-browser", scopes=["a"], return_to="card"
        )
        attempt = await manager.links.take_attempt(redis, callback_query(url)["state"])
        assert attempt is not None
        assert (attempt.user_id, attempt.provider) == ("u1", "google")
        assert (attempt.browser, attempt.link_code) == ("the-browser", "")
        assert (attempt.scopes, attempt.return_to) == (("a",), "card")

    async def test_an_attempt_of_the_chat_has_a_link_code_and_no_browser(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        attempt = await manager.links.take_attempt(redis, await state_of(manager, redis))
        assert attempt is not None
        assert attempt.browser == ""
        assert attempt.link_code
        assert await manager.links.take(redis, attempt.link_code) == LinkRequest(
            "u1", "github", tuple(manager.providers["github"].scopes)
        )

    async def test_looking_at_a_link_leaves_it_as_it_is(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        code = await manager.create_link_code(redis, "u1", provider="github", scopes=["gist"])
        for _ in range(20):
            seen = await manager.links.peek(redis, code)
            assert seen is not None
            assert seen[0] == LinkRequest("u1", "github", ("gist",))
        assert await manager.resolve_link_code(redis, code) == "u1"


class TestTheBrowserOfAnAttempt:
    async def test_only_its_own_browser_uses_it_up(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        state = callback_query(await manager.begin(redis, "u1", "github", browser="mine"))["state"]
        for other in ("", "other", "MINE", "mine "):
            seen = await manager.links.take_attempt(redis, state, other)
            assert seen is not None
            assert seen.browser == "mine"
        assert await manager.links.take_attempt(redis, state, "mine") is not None
        assert await manager.links.take_attempt(redis, state, "mine") is None

    async def test_fifty_callbacks_of_its_own_browser_have_one_winner(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        state = callback_query(await manager.begin(redis, "u1", "github", browser="mine"))["state"]
        taken = await asyncio.gather(
            *(manager.links.take_attempt(redis, state, "mine") for _ in range(50))
        )
        assert sum(attempt is not None for attempt in taken) == 1

    async def test_its_binding_is_not_readable_in_redis(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await manager.begin(redis, "u1", "github", browser="canary-binding")
        (record,) = [await text_at(redis, k) for k in await keys_at(redis, "oauth_state:*")]
        assert "canary" not in record


class TestOpenLinks:
    async def test_a_newer_link_for_the_same_service_replaces_the_older(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        older, newer = [
            await manager.create_link_code(redis, "u1", provider="github") for _ in range(2)
        ]
        assert await manager.links.peek(redis, older) is None
        assert await manager.resolve_link_code(redis, older) is None
        assert await manager.resolve_link_code(redis, newer) == "u1"

    async def test_links_for_other_services_and_other_people_stay(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        first = await manager.create_link_code(redis, "u1", provider="github")
        await manager.create_link_code(redis, "u1", provider="google")
        await manager.create_link_code(redis, "u2", provider="github")
        assert await manager.resolve_link_code(redis, first) == "u1"

    async def test_three_are_open_at_once_and_the_oldest_gives_way(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        codes = [
            await manager.create_link_code(redis, "u1", provider=provider)
            for provider in ("github", "google", "discord", "microsoft")
        ]
        taken = [await manager.resolve_link_code(redis, code) for code in codes]
        assert taken.count("u1") == 3
        assert taken[-1] == "u1"

    async def test_a_used_link_is_dead_and_the_next_one_works_at_once(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        for _ in range(5):
            code = await manager.create_link_code(redis, "u1", provider="github")
            assert await manager.resolve_link_code(redis, code) == "u1"
            assert await manager.resolve_link_code(redis, code) is None


class TestOneKindOfValueIsNoOther:
    """A value of one kind opens nothing of another kind, even copied under its key."""

    @pytest.fixture
    async def values(self, manager: OAuthManager, redis: Redis) -> dict[str, str]:
        link = await manager.create_link_code(redis, "u1", provider="google")
        proof = await manager.proofs.start(redis, LinkRequest("u1", "github"))
        shown = await manager.proofs.peek(redis, proof)
        assert shown is not None
        assert await manager.proofs.confirm(redis, "u1", shown.code) is None
        return {
            "link": link,
            "state": await state_of(manager, redis),
            "proof": proof,
            "confirmation code": shown.code,
        }

    @pytest.mark.parametrize("presented", ["link", "state", "proof", "confirmation code"])
    @pytest.mark.parametrize("taken_for", ["link", "state", "proof"])
    async def test_each_is_taken_only_for_what_it_is(
        self,
        manager: OAuthManager,
        redis: Redis,
        values: dict[str, str],
        presented: str,
        taken_for: str,
    ) -> None:
        take: dict[str, Callable[[Any, str], Awaitable[object]]] = {
            "link": manager.links.take,
            "state": manager.links.take_attempt,
            "proof": manager.proofs.take,
        }
        taken = await take[taken_for](redis, values[presented])
        assert (taken is not None) is (presented == taken_for)

    @pytest.mark.parametrize("typed", ["link", "state", "proof"])
    async def test_none_of_them_confirms_a_proof(
        self, manager: OAuthManager, redis: Redis, values: dict[str, str], typed: str
    ) -> None:
        await manager.proofs.start(redis, LinkRequest("u1"))
        assert await manager.proofs.confirm(redis, "u1", values[typed]) is not None

    async def test_a_record_copied_under_the_key_of_another_kind_opens_nothing(
        self, manager: OAuthManager, redis: Redis, values: dict[str, str]
    ) -> None:
        pending = f"stargazer:oauth_pending:{hashlib.sha256(values['proof'].encode()).hexdigest()}"
        sealed_proof = await text_at(redis, pending)
        state_record = await text_at(redis, f"stargazer:oauth_state:{values['state']}")
        forged = "f" * 43
        disguised = json.dumps({"sealed": sealed_proof})
        await redis.set(f"stargazer:oauth_state:{forged}", disguised)
        assert await manager.links.take_attempt(redis, forged) is None
        await redis.set(pending, json.loads(state_record)["sealed"])
        assert await manager.proofs.peek(redis, values["proof"]) is None

    async def test_a_sealed_state_is_no_token_and_a_sealed_token_is_no_state(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connected(manager, fake, redis, "u1", "github")
        state = await state_of(manager, redis)
        sealed_token = await text_at(redis, "stargazer:oauth_tokens:u1:github")
        state_record = await text_at(redis, f"stargazer:oauth_state:{state}")
        disguised = json.dumps({"sealed": sealed_token})
        await redis.set(f"stargazer:oauth_state:{state}", disguised)
        assert await manager.links.take_attempt(redis, state) is None
        await redis.set("stargazer:oauth_tokens:u1:github", json.loads(state_record)["sealed"])
        assert await manager.get_token("u1", "github", redis) is None


class TestStartingIsRefused:
    @pytest.mark.parametrize("settings", [{}, {"client_id": "i"}, {"client_secret": "s"}])
    async def test_for_a_provider_that_is_not_set_up_and_nothing_is_written(
        self, redis: Redis, settings: dict[str, str]
    ) -> None:
        manager = OAuthManager("", BASE_URL, {"github": settings})
        with pytest.raises(OAuthMisconfigured):
            await manager.generate_connect_url("u1", "github", redis)
        with pytest.raises(OAuthMisconfigured):
            await manager.begin(redis, "u1", "github", browser="b")
        assert await redis.keys() == []

    @pytest.mark.parametrize("provider", ["", "GitHub", "github ", "git:hub", "gïthub", "__init__"])
    async def test_for_an_unknown_provider_without_quoting_it(
        self, manager: OAuthManager, redis: Redis, provider: str
    ) -> None:
        with pytest.raises(ValueError, match=r"^unknown provider$"):
            await manager.generate_connect_url("u1", provider, redis)
        with pytest.raises(ValueError, match=r"^unknown provider$"):
            await manager.create_link_code(redis, "u1", provider=provider or "x")

    async def test_when_redis_is_away(self, manager: OAuthManager, redis_url: str) -> None:
        async with wired(redis_url) as (client, wire):
            wire.is_down = True
            with pytest.raises(StoreUnavailable):
                await manager.generate_connect_url("u1", "github", client)
            with pytest.raises(StoreUnavailable):
                await manager.create_link_code(client, "u1")
            wire.is_down = False
            assert await manager.generate_connect_url("u1", "github", client)

    async def test_when_there_is_no_redis_at_all(self, manager: OAuthManager) -> None:
        with pytest.raises(StoreUnavailable):
            await manager.generate_connect_url("u1", "github", NO_REDIS)
        with pytest.raises(StoreUnavailable):
            await manager.create_link_code(NO_REDIS, "u1")
        with pytest.raises(StoreUnavailable):
            await manager.resolve_link_code(NO_REDIS, "c" * 43)
