"""Links under way are shown without their codes, and can be switched off all at once."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    NO_REDIS,
    OTHER_KEY,
    callback_query,
    fake_provider,
    keys_at,
    manager_for,
)
from tests.kit.redis_fleets import one_url
from tests.kit.redis_wire import Wire
from tests.kit.site_fixtures import Place, commands, shown_code
from webui.oauth_manager import (
    LINK_CODE_TTL,
    LinkRequest,
    NoticeKind,
    OAuthManager,
    OpenLink,
    StoreUnavailable,
)
from webui.oauth_manager.links.proofs import Parked
from webui.oauth_manager.storage.calls import as_text

pytestmark = pytest.mark.anyio

LINKS = "stargazer:oauth_links:ann"
PROOFS = "stargazer:oauth_proofs:ann"


async def states(manager: OAuthManager, redis: Any) -> list[tuple[str, str]]:
    return [(link.provider, link.state) for link in await manager.open_links(redis, "ann")]


async def linked(manager: OAuthManager, redis: Any, provider: str = "github") -> str:
    return await manager.create_link_code(redis, "ann", provider=provider)


async def proving(manager: OAuthManager, redis: Any, provider: str = "github") -> str:
    """A link was opened, and its page waits for the code: what the browser keeps."""
    link = await manager.links.take(redis, await linked(manager, redis, provider))
    assert link is not None
    return await manager.proofs.start(redis, link)


class TestListed:
    async def test_nothing_for_who_has_none(self, manager: OAuthManager, redis: Redis) -> None:
        assert await manager.open_links(redis, "ann") == ()

    async def test_open_ones_with_their_end_and_without_their_code(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        before = int(time.time())
        codes = [await linked(manager, redis, provider) for provider in ("google", "", "github")]
        found = await manager.open_links(redis, "ann")
        assert [link.provider for link in found] == ["", "github", "google"]
        assert {link.state for link in found} == {"open"}
        latest = time.time() + LINK_CODE_TTL
        assert all(before + LINK_CODE_TTL <= link.expires_at <= latest for link in found)
        assert not any(code in repr(found) for code in codes)
        assert await manager.open_links(redis, "ben") == ()

    async def test_a_link_straight_to_the_provider_is_one(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await manager.generate_connect_url("ann", "github", redis)
        assert await states(manager, redis) == [("github", "open")]

    async def test_what_was_used_or_gave_way_is_over(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await manager.resolve_link_code(redis, await linked(manager, redis, "github"))
        for provider in ("discord", "google", "microsoft", ""):
            await linked(manager, redis, provider)
        assert await states(manager, redis) == [
            ("", "open"),
            ("discord", "over"),
            ("github", "over"),
            ("google", "open"),
            ("microsoft", "open"),
        ]

    async def test_a_page_that_waits_for_the_code_is_told_once(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await proving(manager, redis)
        assert await states(manager, redis) == [("github", "waiting")]
        await linked(manager, redis)  # and another link for the same service
        assert await states(manager, redis) == [("github", "waiting"), ("github", "open")]

    async def test_a_page_whose_code_has_come_still_waits(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        secret = await proving(manager, redis)
        proof = await manager.proofs.peek(redis, secret)
        assert proof
        await manager.proofs.confirm(redis, "ann", proof.code)
        assert await states(manager, redis) == [("github", "waiting")]
        await manager.proofs.take(redis, secret)
        assert await states(manager, redis) == [("github", "over")]

    async def test_what_ran_out_is_not_told(self, manager: OAuthManager, redis: Redis) -> None:
        code, past = await linked(manager, redis), int(time.time()) - 5
        await proving(manager, redis, "google")
        await redis.hset(LINKS, mapping={"github": f"{code}:{past}", "google": f"-:{past}"})
        ((identifier, entry),) = (await redis.hgetall(PROOFS)).items()
        begun = as_text(entry).rpartition(":")[0]
        await redis.hset(PROOFS, as_text(identifier), f"{begun}:{past}")
        assert await manager.open_links(redis, "ann") == ()

    async def test_what_cannot_be_read_is_passed_over(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await linked(manager, redis)
        other = manager_for(fake_provider(), key=OTHER_KEY)
        await other.proofs.start(redis, LinkRequest("ann", "github"))
        nonsense: Any = {"x": "y", "no time": "code:", "no number": "code:٣", "bytes": b"\xff"}
        await redis.hset(LINKS, mapping=nonsense)
        await redis.hset(PROOFS, mapping={"x": "y", "z": "a:0:waiting:soon"})
        assert await states(manager, redis) == [("github", "open")]
        assert await manager.cancel_links(redis, "ann") == 2  # the other one's proof as well

    async def test_costs_two_round_trips_at_most_and_only_reads(
        self, manager: OAuthManager, redis: Redis, client: tuple[Redis, Wire]
    ) -> None:
        await linked(manager, redis, "google")
        async with commands(redis) as seen:
            await manager.open_links(client[0], "ann")
            assert client[1].round_trips == 1
            await proving(manager, redis)
            client[1].sent.clear()
            seen.clear()
            await manager.open_links(client[0], "ann")
            assert client[1].round_trips == 2
        own = [line.split()[0] for line in seen if "lua" not in line]
        assert own[-3:] == ["HGETALL", "HGETALL", "GET"]

    async def test_is_the_same_for_a_client_that_decodes(
        self, manager: OAuthManager, redis: Redis, redis_url: str
    ) -> None:
        await proving(manager, redis)
        await linked(manager, redis, "google")
        async with Redis.from_url(one_url(redis_url), decode_responses=True) as decoding:
            expected = await manager.open_links(redis, "ann")
            assert await manager.open_links(decoding, "ann") == expected
            assert await manager.cancel_links(decoding, "ann") == 2


class TestSwitchedOff:
    async def test_every_link_and_every_proof_of_the_person_is_dead(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        code = await linked(manager, redis, "google")
        url = await manager.generate_connect_url("ann", "github", redis)
        secret = await proving(manager, redis, "discord")
        assert await manager.cancel_links(redis, "ann") == 3

        assert await manager.links.peek(redis, code) is None
        assert await manager.resolve_link_code(redis, code) is None
        state = callback_query(fake.authorize(url))["state"]
        assert await manager.links.take_attempt(redis, state) is None
        assert await manager.proofs.peek(redis, secret) is None
        assert await manager.proofs.take(redis, secret, by_code=False) is None
        assert {state for _, state in await states(manager, redis)} == {"over"}
        kinds = ("link", "state", "pending")
        assert [key for k in kinds for key in await keys_at(redis, f"oauth_{k}:*")] == []

    async def test_an_authorization_that_waits_goes_with_its_proof(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        url = await manager.generate_connect_url("ann", "github", redis)
        query = callback_query(fake.authorize(url))
        attempt = await manager.links.take_attempt(redis, query["state"])
        assert attempt is not None
        parked = Parked(attempt, query["code"])
        await manager.proofs.start(redis, LinkRequest("ann", "github"), parked)
        assert await manager.cancel_links(redis, "ann") == 2
        assert await keys_at(redis, "oauth_pending:*") == []

    async def test_a_proof_whose_code_has_come_is_dead_as_well(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        secret = await proving(manager, redis)
        proof = await manager.proofs.peek(redis, secret)
        assert proof
        await manager.proofs.confirm(redis, "ann", proof.code)
        assert await manager.cancel_links(redis, "ann") == 1
        assert await manager.proofs.take(redis, secret) is None

    async def test_those_of_others_are_left_alone(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        code = await manager.create_link_code(redis, "ben", provider="github")
        secret = await manager.proofs.start(redis, LinkRequest("ben", "google"))
        assert await manager.cancel_links(redis, "ann") == 0
        assert await manager.resolve_link_code(redis, code) == "ben"
        assert await manager.proofs.peek(redis, secret)

    async def test_twice_finds_nothing_the_second_time(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await linked(manager, redis)
        await proving(manager, redis, "google")
        assert await manager.cancel_links(redis, "ann") == 2
        assert await manager.cancel_links(redis, "ann") == 0

    async def test_what_is_made_afterwards_works(self, manager: OAuthManager, redis: Redis) -> None:
        await linked(manager, redis)
        await proving(manager, redis, "google")
        await manager.cancel_links(redis, "ann")
        code, secret = await linked(manager, redis), await proving(manager, redis, "google")
        assert await states(manager, redis) == [("github", "open"), ("google", "waiting")]
        assert await manager.resolve_link_code(redis, code) == "ann"
        assert await manager.proofs.peek(redis, secret)

    async def test_at_the_same_time_as_others_are_made_leaves_only_whole_ones(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        """A link either works and is told, or neither."""
        for _ in range(20):
            code, _, secret = await asyncio.gather(
                linked(manager, redis),
                manager.cancel_links(redis, "ann"),
                manager.proofs.start(redis, LinkRequest("ann", "google")),
            )
            told = await states(manager, redis)
            is_open = await manager.resolve_link_code(redis, code) == "ann"
            assert is_open == (("github", "open") in told)
            has_proof = await manager.proofs.peek(redis, secret) is not None
            assert has_proof == (("google", "waiting") in told)
            await manager.cancel_links(redis, "ann")

    async def test_a_proof_is_used_or_switched_off_and_never_both(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        for _ in range(20):
            secret = await manager.proofs.start(redis, LinkRequest("ann", "google"))
            taken, cancelled = await asyncio.gather(
                manager.proofs.take(redis, secret, by_code=False),
                manager.cancel_links(redis, "ann"),
            )
            assert (taken is not None) + cancelled == 1

    async def test_touches_one_key_a_script(self, manager: OAuthManager, redis: Redis) -> None:
        await linked(manager, redis)
        await proving(manager, redis, "google")
        async with commands(redis) as seen:
            await manager.cancel_links(redis, "ann")
        own = [line for line in seen if line.split()[0] in ("EVAL", "DEL")]
        assert sum(line.startswith("EVAL") for line in own) == 3
        assert all(line.count("stargazer:") == 1 for line in own)
        assert not [line for line in seen if line.startswith("MULTI")]


class TestInTheBrowser:
    async def test_a_link_that_was_switched_off_looks_like_any_dead_one(self, place: Place) -> None:
        browser = await place.browser()
        code = await place.bot.create_link_code(place.redis, "ann", provider="github")
        await place.bot.cancel_links(place.redis, "ann")
        assert (await browser.get(f"/connect/{code}")).status_code == 410
        assert (await browser.post(f"/connect/{code}/start")).status_code == 410

    async def test_a_page_that_waited_cannot_go_on_and_nothing_is_asked_of_the_provider(
        self, place: Place
    ) -> None:
        browser = await place.browser()
        url = await place.bot.generate_connect_url("ann", "github", place.redis)
        await browser.get(place.fake.authorize(url))
        code = shown_code(await browser.get("/connect/proof"))
        await place.bot.cancel_links(place.redis, "ann")
        assert await place.bot.proofs.confirm(place.redis, "ann", code) == 0
        assert (await browser.post("/connect/proof/continue")).status_code == 410
        assert not place.fake.calls["token"]


class TestWithoutRedis:
    async def test_every_call_says_so(
        self, manager: OAuthManager, redis: Redis, client: tuple[Redis, Wire]
    ) -> None:
        await linked(manager, redis)
        for away in ("is_down", "is_frozen"):
            setattr(client[1], away, True)
            async with asyncio.timeout(20):
                results = await asyncio.gather(
                    manager.open_links(client[0], "ann"),
                    manager.cancel_links(client[0], "ann"),
                    manager.links.find(client[0], "ann", "github"),
                    return_exceptions=True,
                )
            assert [type(result) for result in results] == [StoreUnavailable] * 3
            assert await states(manager, redis) == [("github", "open")]
            setattr(client[1], away, False)

    async def test_what_was_done_is_told_or_logged(
        self,
        manager: OAuthManager,
        client: tuple[Redis, Wire],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """It has happened: a page that says it failed would be wrong."""
        client[1].is_down = True
        await manager.tell(client[0], "ann", NoticeKind.SUPPORT_ENDED_SESSIONS)
        assert "support_ended_sessions" in caplog.text

    async def test_without_any_client_it_is_refused(self, manager: OAuthManager) -> None:
        for call in (manager.open_links, manager.cancel_links):
            with pytest.raises(StoreUnavailable):
                await call(NO_REDIS, "ann")


def test_a_link_to_show_has_no_room_for_a_code() -> None:
    assert OpenLink.__slots__ == ("provider", "expires_at", "state")
