"""User ids are chat ids: any text, and no two of them ever share or match a key."""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.kit.every import every
from tests.kit.library import NO_REDIS, connected, fake_provider, manager_for
from tests.kit.redis_wire import wired
from webui.oauth_manager import (
    LinkRequest,
    NoticeKind,
    OAuthProvider,
    TokenData,
    check_user_id,
)
from webui.oauth_manager.storage import keys as names

pytestmark = pytest.mark.anyio

POSSIBLE = st.text(
    st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=names.MAX_USER_ID
)
KEYS: list[Callable[[str], str]] = [
    lambda user: names.tokens(user, "github"),
    lambda user: names.connection(user, "github"),
    lambda user: names.lock(user, "github"),
    names.links,
    names.proofs,
]
# Ids that have broken other systems, each beside one it could be taken for.
AWKWARD = [
    "1",
    "1:github",
    "1:google",
    "1%3Agithub",
    "*",
    "?",
    "[1]",
    "[a-z]",
    "\\1",
    "\\*",
    "1*",
    "{1}",
    "{1}:{2}",
    " ",
    " 1",
    "1 ",
    "a b",
    "a+b",
    "a%20b",
    "%",
    "%25",
    "user",
    "User",
    "USER",
    "\u00e9",
    "e\u0301",
    "1\u200b",
    "\u202e1",
    "1\u2028",
    "\u0661",
    "\uff11",
    "😀",
    "../1",
    "1/github",
    "x" * 255,
    "x" * 254,
    "null",
    "None",
    "0",
    "-1",
    "'; DROP TABLE",
    '{"user":"1"}',
    "<b>",
]
IMPOSSIBLE: dict[str, Any] = {
    "empty": "",
    "NUL": "a\0",
    "line feed": "a\nb",
    "trailing line feed": "a\n",
    "carriage return": "\ra",
    "tab": "a\tb",
    "DEL": "a\x7f",
    "C1": "a\x85",
    "lone surrogate": "a\ud800",
    "too long": "x" * 256,
    "10 KB": "x" * 10_240,
    "number": 1,
    "bytes": b"1",
    "nothing": None,
    "list": ["1"],
}


class TestWhatIsOne:
    @every("user_id", AWKWARD)
    def test_any_text_without_control_characters_is(self, user_id: str) -> None:
        assert check_user_id(user_id) == user_id

    @settings(deadline=None)
    @given(POSSIBLE)
    def test_whatever_unicode_offers(self, user_id: str) -> None:
        assert check_user_id(user_id) == user_id

    @every("user_id", IMPOSSIBLE)
    def test_the_rest_is_a_value_error_that_does_not_quote_it(self, user_id: Any) -> None:
        with pytest.raises(ValueError, match=r"^a user id "):
            check_user_id(user_id)

    @settings(deadline=None)
    @given(st.text(max_size=300))
    def test_every_text_is_one_or_a_value_error(self, user_id: str) -> None:
        expected = 0 < len(user_id) <= 255 and not any(
            unicodedata.category(character) in ("Cc", "Cs") for character in user_id
        )
        try:
            accepted = check_user_id(user_id) == user_id
        except ValueError:
            accepted = False
        assert accepted is expected


class TestKeys:
    @every("user_id", ["1", "80351110224678912", "U02AB", "@ann:matrix"[:4], "a.b_c~d@e+f=g-h"])
    def test_plain_ids_look_as_they_always_did(self, user_id: str) -> None:
        assert names.tokens(user_id, "github") == f"stargazer:oauth_tokens:{user_id}:github"

    @settings(deadline=None)
    @given(POSSIBLE, POSSIBLE)
    @example("1", "1:github")
    @example("a", "%61")
    @example("%3A", ":")
    @example("\u00e9", "e\u0301")
    def test_two_ids_never_share_a_key(self, one: str, other: str) -> None:
        for key in KEYS:
            assert (key(one) == key(other)) is (one == other)

    def test_awkward_ids_never_share_a_key(self) -> None:
        for key in KEYS:
            assert len({key(user_id) for user_id in AWKWARD}) == len(AWKWARD)

    @settings(deadline=None)
    @given(POSSIBLE, POSSIBLE)
    @example("*", "1")
    @example("1*", "12")
    @example("[12]", "1")
    @example("?", "1")
    def test_no_key_matches_that_of_another_id_as_a_pattern(self, one: str, other: str) -> None:
        assert fnmatch.fnmatchcase(names.tokens(other, "x"), names.tokens(one, "x")) is (
            one == other
        )

    @settings(deadline=None)
    @given(POSSIBLE)
    def test_a_key_is_plain_ascii_in_four_parts(self, user_id: str) -> None:
        key = names.tokens(user_id, "github")
        assert re.fullmatch(r"stargazer:oauth_tokens:[A-Za-z0-9._~@+=%-]+:github", key)

    @settings(deadline=None)
    @given(POSSIBLE)
    def test_and_leads_back_to_its_person(self, user_id: str) -> None:
        assert names.parse_record(names.tokens(user_id, "github")) == (user_id, "github")

    @every("name", ["", "Git", "git:hub", "git*", "git hub", "gît", "1hub", "a" * 33])
    def test_a_providers_name_has_nothing_to_encode(self, name: str) -> None:
        with pytest.raises(ValueError, match="name"):
            OAuthProvider(name, "https://a", "https://t")


class TestThroughTheManager:
    async def test_everybody_has_a_connection_of_their_own(self, redis: Redis) -> None:
        manager = manager_for(fake_provider())
        for number, user_id in enumerate(AWKWARD):
            token = TokenData(f"of-{number}", provider="github")
            await manager.store_token(redis, user_id, token)
        for number, user_id in enumerate(AWKWARD):
            assert await manager.get_token(user_id, "github", redis) == f"of-{number}"
            assert len(await manager.list_user_connections(user_id, redis)) == 1

    async def test_a_disconnect_touches_nobody_else(self, redis: Redis) -> None:
        manager = manager_for(fake_provider())
        for user_id in AWKWARD:
            await manager.store_token(redis, user_id, TokenData("a", provider="microsoft"))
        for user_id in AWKWARD[::2]:
            await manager.delete_token(redis, user_id, "microsoft")
        left = [u for u in AWKWARD if await manager.has_token(u, "microsoft", redis)]
        assert left == AWKWARD[1::2]

    @every("user_id", AWKWARD)
    async def test_links_and_attempts_give_the_id_back_as_it_was(
        self, redis: Redis, user_id: str
    ) -> None:
        await redis.flushall()
        fake = fake_provider()
        manager = manager_for(fake)
        code = await manager.create_link_code(redis, user_id)
        assert await manager.resolve_link_code(redis, code) == user_id
        code = await manager.create_link_code(redis, user_id, provider="github")
        assert await manager.links.take(redis, code) == LinkRequest(user_id, "github")
        await connected(manager, fake, redis, user_id, "github")
        assert await manager.has_token(user_id, "github", redis)

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.lists(POSSIBLE, unique=True, min_size=2, max_size=5))
    async def test_no_one_ever_reads_anothers_token(self, redis: Redis, people: list[str]) -> None:
        await redis.flushall()
        manager = manager_for(fake_provider())
        for number, user_id in enumerate(people):
            token = TokenData(f"of-{number}", provider="github")
            await manager.store_token(redis, user_id, token)
        for number, user_id in enumerate(people):
            assert await manager.get_token(user_id, "github", redis) == f"of-{number}"

    @pytest.mark.parametrize("user_id", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
    async def test_an_impossible_one_is_refused_everywhere_before_redis_is_asked(
        self, redis_url: str, user_id: Any
    ) -> None:
        manager = manager_for(fake_provider())
        token = TokenData("a", provider="github")
        async with wired(redis_url) as (client, wire):
            calls: list[Callable[[], Awaitable[object]]] = [
                lambda: manager.get_token(user_id, "github", client),
                lambda: manager.get_token(user_id, "github", NO_REDIS),
                lambda: manager.has_token(user_id, "github", client),
                lambda: manager.store_token(client, user_id, token),
                lambda: manager.delete_token(client, user_id, "github"),
                lambda: manager.list_user_connections(user_id, client),
                lambda: manager.connections(client, user_id),
                lambda: manager.connection(client, user_id, "github"),
                lambda: manager.create_link_code(client, user_id),
                lambda: manager.generate_connect_url(user_id, "github", client),
                lambda: manager.begin(client, user_id, "github", browser="b"),
                lambda: manager.proofs.start(client, LinkRequest(user_id, "github")),
                lambda: manager.proofs.confirm(client, user_id, "BCDFGH"),
                lambda: manager.activity(client, user_id),
                lambda: manager.open_links(client, user_id),
                lambda: manager.cancel_links(client, user_id),
                lambda: manager.tell(client, user_id, NoticeKind.SUPPORT_ENDED_SESSIONS),
            ]
            for call in calls:
                with pytest.raises(ValueError, match="user id"):
                    await call()
            assert wire.sent == []

    @pytest.mark.parametrize(
        "provider", ["", "nope", "github:x", "*", "GITHUB", "github\0", None, 5]
    )
    async def test_an_unknown_provider_is_refused_everywhere_before_redis_is_asked(
        self, redis_url: str, provider: Any
    ) -> None:
        manager = manager_for(fake_provider())
        async with wired(redis_url) as (client, wire):
            calls: list[Callable[[], Awaitable[object]]] = [
                lambda: manager.get_token("1", provider, client),
                lambda: manager.has_token("1", provider, client),
                lambda: manager.store_token(client, "1", TokenData("a", provider=provider)),
                lambda: manager.delete_token(client, "1", provider),
                lambda: manager.connection(client, "1", provider),
                lambda: manager.generate_connect_url("1", provider, client),
                lambda: manager.begin(client, "1", provider, browser="b"),
                lambda: manager.exchange_code(provider, "code"),
            ]
            for call in calls:
                with pytest.raises(ValueError, match=r"^unknown provider$"):
                    await call()
            assert wire.sent == []
