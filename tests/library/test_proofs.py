"""The code a browser shows and a person sends to the bot: browser to chat, never the other way."""

from __future__ import annotations

import asyncio
import re

import pytest
from redis.asyncio import Redis

from tests.kit.library import BASE_URL, KEY, OTHER_KEY, dumped, keys_at
from tests.kit.redis_wire import wired
from webui.oauth_manager import LinkRequest, OAuthManager, StoreUnavailable
from webui.oauth_manager.links import CODE_ALPHABET
from webui.oauth_manager.links.proofs import MAX_OPEN, TRIES, Proof, Proofs, as_typed

pytestmark = pytest.mark.anyio

REQUEST = LinkRequest("u1", "github", ("gist",))


@pytest.fixture
def proofs() -> Proofs:
    return OAuthManager(KEY, BASE_URL).proofs


async def started(proofs: Proofs, redis: Redis) -> tuple[str, Proof]:
    secret = await proofs.start(redis, REQUEST)
    proof = await proofs.peek(redis, secret)
    assert proof is not None
    return secret, proof


async def taken(proofs: Proofs, redis: Redis, secret: str) -> LinkRequest | None:
    proof = await proofs.take(redis, secret)
    return proof.request if proof else None


def wrong(code: str) -> str:
    """A code of the right shape that is not the given one."""
    other = next(letter for letter in CODE_ALPHABET if letter != code[0])
    return other + code[1:]


class TestTheCode:
    async def test_it_has_six_characters_that_nobody_confuses(
        self, proofs: Proofs, redis: Redis
    ) -> None:
        codes = set()
        for _ in range(50):
            _, proof = await started(proofs, redis)
            assert re.fullmatch(f"[{CODE_ALPHABET}]{{6}}", proof.code)
            codes.add(proof.code)
        assert len(codes) > 45
        assert not set(CODE_ALPHABET) & set("AEIOU01IL5S8B2Z") - {"B"}

    def test_it_is_shown_in_two_groups_and_taken_however_it_was_typed(self) -> None:
        for typed in ("BCDFGH", "bcd fgh", " BCD-FGH ", "`bcdfgh`", "*BCD FGH*", "bcd\u00a0fgh."):
            assert as_typed(typed) == "BCDFGH"

    async def test_it_confirms_however_it_was_typed(self, proofs: Proofs, redis: Redis) -> None:
        secret, proof = await started(proofs, redis)
        assert (
            await proofs.confirm(redis, "u1", f" {proof.code[:3]} {proof.code[3:].lower()} ")
            is None
        )
        after = await proofs.peek(redis, secret)
        assert after is not None
        assert after.confirmed

    @pytest.mark.parametrize("typed", ["", "\0", "é" * 6, "x" * 100_000, "\ud800", "ok", "%x+"])
    async def test_hostile_text_is_a_wrong_code(
        self, proofs: Proofs, redis: Redis, typed: str
    ) -> None:
        await started(proofs, redis)
        assert await proofs.confirm(redis, "u1", typed) == TRIES - 1


class TestOnlyTheRightPerson:
    async def test_the_same_code_from_another_person_confirms_nothing(
        self, proofs: Proofs, redis: Redis
    ) -> None:
        secret, proof = await started(proofs, redis)
        assert await proofs.confirm(redis, "u2", proof.code) == 0
        after = await proofs.peek(redis, secret)
        assert after is not None
        assert not after.confirmed
        assert await taken(proofs, redis, secret) is None

    async def test_another_persons_guesses_do_not_use_up_mine(
        self, proofs: Proofs, redis: Redis
    ) -> None:
        _, proof = await started(proofs, redis)
        for _ in range(3 * TRIES):
            await proofs.confirm(redis, "u2", wrong(proof.code))
        assert await proofs.confirm(redis, "u1", proof.code) is None

    async def test_confirmation_helps_only_the_browser_that_showed_the_code(
        self, proofs: Proofs, redis: Redis
    ) -> None:
        attacker, _ = await started(proofs, redis)
        mine, proof = await started(proofs, redis)
        assert await proofs.confirm(redis, "u1", proof.code) is None
        assert await taken(proofs, redis, attacker) is None
        assert await taken(proofs, redis, mine) == REQUEST


class TestTries:
    async def test_five_wrong_codes_end_the_proof(self, proofs: Proofs, redis: Redis) -> None:
        secret, proof = await started(proofs, redis)
        left = [await proofs.confirm(redis, "u1", wrong(proof.code)) for _ in range(TRIES)]
        assert left == [4, 3, 2, 1, 0]
        assert await proofs.peek(redis, secret) is None
        assert await proofs.confirm(redis, "u1", proof.code) == 0
        assert await taken(proofs, redis, secret) is None

    async def test_a_hundred_guesses_at_once_are_no_more_than_five(
        self, proofs: Proofs, redis: Redis
    ) -> None:
        secret, proof = await started(proofs, redis)
        await asyncio.gather(*(proofs.confirm(redis, "u1", wrong(proof.code)) for _ in range(100)))
        assert await proofs.confirm(redis, "u1", proof.code) == 0
        assert await taken(proofs, redis, secret) is None

    async def test_a_wrong_code_counts_against_every_open_proof(
        self, proofs: Proofs, redis: Redis
    ) -> None:
        one, proof = await started(proofs, redis)
        for _ in range(TRIES - 1):
            await proofs.confirm(redis, "u1", "BBBBBB" if proof.code != "BBBBBB" else "CCCCCC")
        other, _ = await started(proofs, redis)
        assert await proofs.confirm(redis, "u1", "!") == TRIES - 1
        assert await proofs.peek(redis, one) is None
        assert await proofs.peek(redis, other) is not None

    async def test_wrong_codes_leave_a_confirmed_proof_alone(
        self, proofs: Proofs, redis: Redis
    ) -> None:
        secret, proof = await started(proofs, redis)
        await proofs.confirm(redis, "u1", proof.code)
        for _ in range(2 * TRIES):
            await proofs.confirm(redis, "u1", "!")
        assert await taken(proofs, redis, secret) == REQUEST

    async def test_a_person_has_at_most_three_open_and_the_oldest_gives_way(
        self, proofs: Proofs, redis: Redis
    ) -> None:
        for _ in range(4 * MAX_OPEN):
            await started(proofs, redis)
        newest, proof = await started(proofs, redis)
        assert await redis.hlen("stargazer:oauth_proofs:u1") == MAX_OPEN
        assert await proofs.confirm(redis, "u1", proof.code) is None
        assert await taken(proofs, redis, newest) == REQUEST


class TestOnce:
    async def test_an_unconfirmed_proof_gives_nothing_and_stays(
        self, proofs: Proofs, redis: Redis
    ) -> None:
        secret, proof = await started(proofs, redis)
        assert await taken(proofs, redis, secret) is None
        assert await proofs.confirm(redis, "u1", proof.code) is None
        assert await taken(proofs, redis, secret) == REQUEST

    async def test_fifty_takers_of_a_confirmed_proof_have_one_winner(
        self, proofs: Proofs, redis: Redis
    ) -> None:
        secret, proof = await started(proofs, redis)
        await proofs.confirm(redis, "u1", proof.code)
        winners = await asyncio.gather(*(taken(proofs, redis, secret) for _ in range(50)))
        assert [request for request in winners if request] == [REQUEST]

    async def test_a_code_is_worth_nothing_after_use(self, proofs: Proofs, redis: Redis) -> None:
        secret, proof = await started(proofs, redis)
        await proofs.confirm(redis, "u1", proof.code)
        await taken(proofs, redis, secret)
        assert await proofs.confirm(redis, "u1", proof.code) == 0
        assert await proofs.peek(redis, secret) is None

    async def test_a_declined_proof_is_over(self, proofs: Proofs, redis: Redis) -> None:
        secret, proof = await started(proofs, redis)
        await proofs.cancel(redis, secret)
        assert await proofs.peek(redis, secret) is None
        assert await proofs.confirm(redis, "u1", proof.code) == 0
        assert await redis.keys() == []

    async def test_nothing_is_left_behind_after_use(self, proofs: Proofs, redis: Redis) -> None:
        secret, proof = await started(proofs, redis)
        await proofs.confirm(redis, "u1", proof.code)
        await taken(proofs, redis, secret)
        assert await redis.keys() == []


class TestTime:
    async def test_all_of_it_runs_out_in_ten_minutes(self, proofs: Proofs, redis: Redis) -> None:
        await started(proofs, redis)
        keys = await redis.keys()
        assert len(keys) == 2
        for key in keys:
            assert 590 < await redis.ttl(key) <= 600

    async def test_run_out_it_can_neither_be_confirmed_nor_taken(
        self, proofs: Proofs, redis: Redis
    ) -> None:
        secret, proof = await started(proofs, redis)
        await proofs.confirm(redis, "u1", proof.code)
        for key in await redis.keys("stargazer:oauth_pending:*"):
            await redis.pexpire(key, 0)
        assert await taken(proofs, redis, secret) is None

    async def test_a_newer_proof_does_not_keep_an_older_one_alive(
        self, proofs: Proofs, redis: Redis
    ) -> None:
        """All proofs of a person share a key, so each entry has an end of its own."""
        secret, proof = await started(proofs, redis)
        key = "stargazer:oauth_proofs:u1"
        ((identifier, entry),) = (await redis.hgetall(key)).items()
        digest, tries, status, made = str(entry, "ascii").split(":")  # type: ignore[arg-type]
        aged = f"{digest}:{tries}:{status}:{int(made) - 601}"
        await redis.hset(key, identifier, aged)
        await started(proofs, redis)
        assert await proofs.confirm(redis, "u1", proof.code) == TRIES - 1
        assert await taken(proofs, redis, secret) is None


class TestSecrecy:
    async def test_redis_holds_neither_the_code_nor_the_browsers_secret(
        self, proofs: Proofs, redis: Redis
    ) -> None:
        secret, proof = await started(proofs, redis)
        everything = await dumped(redis)
        assert secret.encode() not in everything
        assert proof.code.encode() not in everything

    async def test_a_key_name_found_in_redis_opens_nothing(
        self, proofs: Proofs, redis: Redis
    ) -> None:
        _, proof = await started(proofs, redis)
        await proofs.confirm(redis, "u1", proof.code)
        (key,) = await keys_at(redis, "oauth_pending:*")
        assert await taken(proofs, redis, key.rpartition(":")[2]) is None

    async def test_a_proof_of_another_deployment_is_unknown(
        self, proofs: Proofs, redis: Redis
    ) -> None:
        secret = await OAuthManager(OTHER_KEY, BASE_URL).proofs.start(redis, REQUEST)
        assert await proofs.peek(redis, secret) is None

    async def test_a_code_begun_under_the_older_key_is_confirmed_after_a_rotation(
        self, proofs: Proofs, redis: Redis
    ) -> None:
        secret, proof = await started(proofs, redis)
        rotated = OAuthManager(f"{OTHER_KEY},{KEY}", BASE_URL).proofs
        assert await rotated.confirm(redis, "u1", proof.code) is None
        assert await taken(rotated, redis, secret) == REQUEST

    async def test_its_repr_does_not_show_the_code(self, proofs: Proofs, redis: Redis) -> None:
        _, proof = await started(proofs, redis)
        assert proof.code not in repr(proof)


class TestBadInput:
    @pytest.mark.parametrize("user_id", ["", "a\nb", "x" * 256])
    async def test_an_impossible_user_id_is_a_value_error(
        self, proofs: Proofs, redis: Redis, user_id: str
    ) -> None:
        with pytest.raises(ValueError, match="user id"):
            await proofs.start(redis, LinkRequest(user_id))
        with pytest.raises(ValueError, match="user id"):
            await proofs.confirm(redis, user_id, "BCDFGH")

    async def test_redis_away_is_said_and_never_a_confirmation(
        self, proofs: Proofs, redis: Redis, redis_url: str
    ) -> None:
        secret, proof = await started(proofs, redis)
        async with wired(redis_url) as (client, wire):
            wire.is_down = True
            with pytest.raises(StoreUnavailable):
                await proofs.start(client, REQUEST)
            with pytest.raises(StoreUnavailable):
                await proofs.confirm(client, "u1", proof.code)
            with pytest.raises(StoreUnavailable):
                await taken(proofs, client, secret)
            wire.is_down = False
            assert await proofs.confirm(client, "u1", proof.code) is None
            assert await taken(proofs, client, secret) == REQUEST
