"""Troubles of a connection: kept with their beginning for display, cleared when it works."""

from __future__ import annotations

from dataclasses import asdict, fields
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import Answer, error_answer, json_answer, redirect
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    KEY,
    age,
    checked_twice,
    connected,
    connection_key,
    manager_for,
    opened,
    soon,
    time_passes,
    tokens_key,
)
from tests.kit.redis_fleets import one_server
from webui.oauth_manager import (
    Health,
    Meaning,
    OAuthManager,
    OAuthMisconfigured,
    OAuthUnavailable,
    Profile,
    Status,
    StoreUnavailable,
    require_oauth_token,
)
from webui.oauth_manager import access as access_module
from webui.oauth_manager.storage.sealer import Sealer
from webui.oauth_manager.values import replace

pytestmark = pytest.mark.anyio

LONG_AGO = 1000.0
DOWN = Answer(503)
ENDED = {"error": "invalid_grant", "trace_id": "0000aaaa-11bb-cccc-dd22-eeeeee333333"}


@pytest.fixture
async def profile(manager: OAuthManager, fake: FakeProvider, redis: Redis) -> Profile:
    """Make ann's connection to Google, and return the facts of it."""
    return (await connected(manager, fake, redis, "ann", "google")).profile


async def now(manager: OAuthManager, redis: Any) -> Profile:
    return (await manager.connection(redis, "ann", "google")).profile


async def rewritten(manager: OAuthManager, redis: Any, **changes: Any) -> None:
    """The stored facts with other values; ``None`` leaves one out, as an older version did."""
    record = {**asdict(await now(manager, redis)), **changes}
    kept = {name: value for name, value in record.items() if value is not None}
    sealed = Sealer(KEY).seal("connection", "ann", "google", kept)
    await redis.set(connection_key("ann", "google"), sealed)


async def refresh(manager: OAuthManager, redis: Any) -> object:
    """A token that is due is asked for; the old one still works."""
    token = await opened(manager, redis, "ann", "google")
    assert token
    token.expires_at, token.issued_at = soon(), 0.0
    await manager.store_token(redis, "ann", token)
    return await manager.get_token("ann", "google", redis)


async def refused(manager: OAuthManager, redis: Any) -> None:
    await age(manager, redis, "ann", "google")
    with pytest.raises((OAuthUnavailable, OAuthMisconfigured)):
        await manager.get_token("ann", "google", redis)


async def no_pause(redis: Any) -> None:
    """The pause that follows a failure is over."""
    await redis.delete("stargazer:oauth_lock:ann:google")


@pytest.mark.usefixtures("profile")
class TestTrouble:
    @pytest.mark.parametrize(
        ("answer", "trouble", "code"),
        [
            (DOWN, "provider", "http_503"),
            (Answer(429), "provider", "http_429"),
            (Answer(200, {}, b"<html>"), "provider", "http_200"),
            (error_answer("slow_down"), "provider", "slow_down"),
            (error_answer("never_heard_of"), "refused", "never_heard_of"),
            (Answer(400), "refused", "http_400"),
            (json_answer({"access_token": 5}), "setup", "no_usable_access_token"),
            (error_answer("invalid_client", 401), "setup", "invalid_client"),
        ],
        ids=[
            "down",
            "too many",
            "a page",
            "slow down",
            "an unknown refusal",
            "a refusal without a word",
            "an answer not understood",
            "our set-up",
        ],
    )
    async def test_of_a_refresh_is_kept_with_its_code_and_its_beginning(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        answer: Answer,
        trouble: str,
        code: str,
    ) -> None:
        fake.always["token"] = answer
        await refused(manager, redis)
        known = await now(manager, redis)
        assert (known.trouble, known.trouble_code) == (trouble, code)
        assert known.trouble_since > 0
        assert known.problem == known.problem_trace == ""

    async def test_is_kept_although_the_old_token_still_serves(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.always["token"] = DOWN
        assert await refresh(manager, redis)
        assert (await now(manager, redis)).trouble == "provider"
        assert (await manager.connection(redis, "ann", "google")).status is Status.CONNECTED

    async def test_of_a_check_is_kept(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.always["account"] = DOWN
        await manager.check(redis, "ann", "google")
        known = await now(manager, redis)
        assert (known.trouble, known.trouble_code) == ("provider", "http_503")

    async def test_that_goes_on_keeps_its_beginning_and_has_the_latest_code(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.always["token"] = DOWN
        await refused(manager, redis)
        await rewritten(manager, redis, trouble_since=LONG_AGO)
        fake.always["token"] = Answer(500)
        await no_pause(redis)
        await refused(manager, redis)
        known = await now(manager, redis)
        assert (known.trouble_since, known.trouble_code) == (LONG_AGO, "http_500")

    async def test_of_another_kind_begins_anew(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.always["token"] = DOWN
        await refused(manager, redis)
        await rewritten(manager, redis, trouble_since=LONG_AGO)
        fake.always["token"] = error_answer("invalid_client", 401)
        await no_pause(redis)
        await refused(manager, redis)
        known = await now(manager, redis)
        assert (known.trouble, known.trouble_code) == ("setup", "invalid_client")
        assert known.trouble_since > LONG_AGO

    @pytest.mark.parametrize("by", ["refresh", "check", "reconnect"])
    async def test_is_over_with_what_works(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, by: str
    ) -> None:
        fake.always["token"] = DOWN
        await refused(manager, redis)
        await no_pause(redis)
        fake.always.clear()
        if by == "refresh":
            assert await manager.get_token("ann", "google", redis)
        elif by == "check":
            await age(manager, redis, "ann", "google", 4e9)
            await manager.check(redis, "ann", "google")
        else:
            await connected(manager, fake, redis, "ann", "google")
        known = await now(manager, redis)
        assert (known.trouble, known.trouble_since, known.trouble_code) == ("", 0.0, "")

    async def test_that_cannot_be_noted_is_trouble_all_the_same(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await rewritten(manager, redis)
        await redis.set(connection_key("ann", "google"), "not ours")
        fake.always["token"] = DOWN
        await refused(manager, redis)
        assert await redis.get(connection_key("ann", "google")) == b"not ours"


UNKNOWN = error_answer("never_heard_of")


async def stuck(manager: OAuthManager, fake: FakeProvider, redis: Any) -> None:
    """Renewing has been refused in unknown words for more than an hour."""
    fake.always["token"] = UNKNOWN
    await refused(manager, redis)
    time_passes(manager, 3601)
    await no_pause(redis)
    await refused(manager, redis)


@pytest.mark.usefixtures("profile")
class TestARefusalThatRepeats:
    async def test_for_an_hour_says_so_in_the_error_and_in_its_text(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.always["token"] = UNKNOWN
        for passed, may_reconnect in ((0.0, False), (3500.0, False), (101.0, True)):
            await age(manager, redis, "ann", "google")
            time_passes(manager, passed)
            await no_pause(redis)
            with pytest.raises(OAuthUnavailable) as caught:
                await manager.get_token("ann", "google", redis)
            assert caught.value.may_reconnect is may_reconnect
            assert ("connecting again may help" in str(caught.value)) is may_reconnect
            assert (await now(manager, redis)).is_stuck is may_reconnect
        assert await manager.has_token("ann", "google", redis)

    async def test_says_so_while_the_provider_is_left_alone_as_well(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await stuck(manager, fake, redis)
        await refused(manager, redis)
        calls = fake.calls["refresh"]
        with pytest.raises(OAuthUnavailable) as caught:
            await manager.get_token("ann", "google", redis)
        assert fake.calls["refresh"] == calls, "nobody was asked"
        assert caught.value.may_reconnect
        assert caught.value.meaning is Meaning.UNKNOWN

    async def test_is_not_counted_by_trouble_and_not_forgotten_for_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.always["token"] = UNKNOWN
        await refused(manager, redis)
        time_passes(manager, 3601)
        for answer in (DOWN, Answer(429), redirect("http://elsewhere.example/")):
            fake.always["token"] = answer
            await no_pause(redis)
            await refused(manager, redis)
            known = await now(manager, redis)
            assert (known.trouble, known.is_stuck) == ("provider", False)
        fake.always["token"] = UNKNOWN
        await no_pause(redis)
        await refused(manager, redis)
        assert (await now(manager, redis)).is_stuck

    async def test_is_over_with_a_renewal_and_with_a_new_connection(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        for mend in ("renew", "connect"):
            await stuck(manager, fake, redis)
            fake.always.clear()
            await no_pause(redis)
            if mend == "renew":
                assert await manager.get_token("ann", "google", redis)
            else:
                await connected(manager, fake, redis, "ann", "google")
            known = await now(manager, redis)
            assert (known.is_stuck, known.refused_since, known.trouble) == (False, 0.0, "")

    async def test_is_kept_of_a_connection_that_an_older_system_made(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await redis.delete(connection_key("ann", "google"))
        await stuck(manager, fake, redis)
        assert (await now(manager, redis)).is_stuck

    async def test_reaches_a_tool_of_the_bot(
        self,
        manager: OAuthManager,
        fake: FakeProvider,
        redis: Redis,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        await stuck(manager, fake, redis)
        monkeypatch.setattr(access_module, "_instance", manager)
        with pytest.raises(OAuthUnavailable) as caught:
            await require_oauth_token(SimpleNamespace(user_id="ann", redis=redis), "google")
        assert caught.value.may_reconnect


@pytest.mark.parametrize(
    ("gone", "body"),
    [
        (("400",), {"message": "Bad Request", "error": 400}),
        (("Bad things happened",), {"message": "Bad things happened"}),
        (("TEAPOT",), {"category": ["X", {"status": "TEAPOT"}]}),
        (("invalid_request",), {"error": "invalid_request"}),
        (("unauthorized_client",), {"error": "unauthorized_client"}),
    ],
)
async def test_words_that_the_operator_knows_end_it_at_once(
    fake: FakeProvider, redis: Redis, gone: tuple[str, ...], body: object
) -> None:
    manager = manager_for(fake)
    manager.providers["google"].gone = gone
    await connected(manager, fake, redis, "ann", "google")
    await age(manager, redis, "ann", "google")
    fake.always["token"] = json_answer(body, 400)
    assert await manager.get_token("ann", "google", redis) is None
    assert (await manager.connection(redis, "ann", "google")).status is Status.RECONNECT_NEEDED
    assert fake.calls["refresh"] == 1
    await manager.aclose()


@pytest.mark.usefixtures("profile")
class TestTheEndOfAccess:
    async def test_keeps_the_providers_code_and_trace(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.always["token"] = json_answer(ENDED, 400)
        await age(manager, redis, "ann", "google")
        assert await manager.get_token("ann", "google", redis) is None
        known = await now(manager, redis)
        assert (known.problem, known.problem_trace) == ("invalid_grant", ENDED["trace_id"])
        assert known.problem_since > 0

    async def test_ends_the_trouble_before_it(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.always["token"] = DOWN
        await refused(manager, redis)
        fake.always["token"] = json_answer(ENDED, 400)
        await no_pause(redis)
        assert await manager.get_token("ann", "google", redis) is None
        known = await now(manager, redis)
        assert (known.trouble, known.trouble_since, known.trouble_code) == ("", 0.0, "")

    async def test_found_by_a_check_has_no_trace(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.gives_refresh_token = False
        await manager.delete_token(redis, "ann", "google")
        await connected(manager, fake, redis, "ann", "google")
        fake.withdraw()
        await checked_twice(manager, redis, "ann", "google")
        known = await now(manager, redis)
        assert (known.problem, known.problem_trace) == ("invalid_token", "")

    @pytest.mark.parametrize("trace", ["a\nb", "x" * 100, ["a"], {"a": 1}, 5, None])
    async def test_keeps_no_trace_that_is_no_plain_word(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis, trace: object
    ) -> None:
        fake.always["token"] = json_answer({**ENDED, "trace_id": trace}, 400)
        await age(manager, redis, "ann", "google")
        assert await manager.get_token("ann", "google", redis) is None
        assert (await now(manager, redis)).problem_trace == ""

    async def test_is_not_recorded_by_halves_in_a_redis_without_room(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        one_server()
        """Such a one removes and does not add: the tokens without the reason."""
        fake.gives_refresh_token = False
        await connected(manager, fake, redis, "u1", "github")
        fake.withdraw()
        await manager.check(redis, "u1", "github")
        time_passes(manager, 61)
        await redis.config_set("maxmemory", "1")
        try:
            with pytest.raises(StoreUnavailable):
                await manager.check(redis, "u1", "github")
        finally:
            await redis.config_set("maxmemory", "0")
        assert await manager.has_token("u1", "github", redis)
        assert await manager.check(redis, "u1", "github") is Health.RECONNECT_NEEDED
        assert (await manager.connection(redis, "u1", "github")).profile.problem == "invalid_token"

    async def test_is_forgotten_with_a_new_connection(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.script("token", json_answer(ENDED, 400))
        await age(manager, redis, "ann", "google")
        assert await manager.get_token("ann", "google", redis) is None
        await connected(manager, fake, redis, "ann", "google")
        known = await now(manager, redis)
        assert (known.problem, known.problem_trace, known.problem_since) == ("", "", 0.0)


@pytest.mark.usefixtures("profile")
async def test_facts_of_an_older_version_are_read_and_written_on(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    before = await now(manager, redis)
    later = ["used_at", "accepted_missing", "trouble", "trouble_since"]
    later += ["problem_trace", "trouble_code", "problem_kind", "refused_since", "refused_at"]
    later += ["failed_check_at", "failed_check"]
    later += ["generation", "is_account_refused", "asked", "kept"]
    assert [field.name for field in fields(Profile)][-len(later) :] == later
    await rewritten(manager, redis, **dict.fromkeys(later))
    token = await opened(manager, redis, "ann", "google")
    assert token is not None
    token.generation = ""
    sealed = Sealer(KEY).seal("tokens", "ann", "google", token.to_record())
    await redis.set(tokens_key("ann", "google"), sealed)
    assert await now(manager, redis) == replace(before, generation="")
    fake.always["account"] = DOWN
    await manager.check(redis, "ann", "google")
    assert (await now(manager, redis)).trouble_code == "http_503"


class TestDoingWithout:
    """Permissions that were left off, until the person says that it is fine so."""

    async def test_what_is_missing_is_limited_until_it_is_accepted(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.scope = "openid"
        connection = await connected(manager, fake, redis, "ann", "google")
        assert connection.missing_scopes == ("email",)
        assert connection.is_limited
        await manager.accept_missing(redis, "ann", "google")
        connection = await manager.connection(redis, "ann", "google")
        assert connection.missing_scopes == connection.profile.accepted_missing == ("email",)
        assert not connection.is_limited

    async def test_it_lasts_over_a_refresh_and_a_check(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.scope = "openid"
        await connected(manager, fake, redis, "ann", "google")
        await manager.accept_missing(redis, "ann", "google")
        assert await refresh(manager, redis)
        assert fake.calls["refresh"] == 1
        await manager.check(redis, "ann", "google")
        assert not (await manager.connection(redis, "ann", "google")).is_limited

    async def test_a_new_connection_asks_anew(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.scope = "openid"
        await connected(manager, fake, redis, "ann", "google")
        await manager.accept_missing(redis, "ann", "google")
        await connected(manager, fake, redis, "ann", "google")
        assert (await manager.connection(redis, "ann", "google")).is_limited

    async def test_without_a_connection_it_writes_nothing(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await manager.accept_missing(redis, "ann", "google")
        assert not await redis.exists(connection_key("ann", "google"))
