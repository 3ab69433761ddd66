"""Every step of OAuth tells its outcome once: to the log, and to the observer."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.clock import FakeClock
from tests.kit.fake_answers import Answer, error_answer
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    BASE_URL,
    KEY,
    age,
    began,
    connected,
    impatient,
    providers_config,
)
from webui.oauth_manager import (
    FlowRefused,
    OAuthManager,
    OAuthMisconfigured,
    OAuthRefused,
    OAuthUnavailable,
    RecordUnreadable,
    Step,
    StoreUnavailable,
)
from webui.oauth_manager.errors import Meaning
from webui.oauth_manager.protocol import steps
from webui.oauth_manager.protocol.transport import Transport

pytestmark = pytest.mark.anyio


@pytest.fixture
def told() -> list[Step]:
    return []


@pytest.fixture
def manager(fake: FakeProvider, told: list[Step]) -> OAuthManager:
    return impatient(
        OAuthManager(
            KEY,
            BASE_URL,
            providers_config(fake),
            transport=Transport(httpx.ASGITransport(fake)),
            clock=FakeClock(),
            observer=told.append,
        )
    )


def asked(told: list[Step]) -> list[tuple[str, str, str]]:
    """The steps that a person or a tool asked for."""
    return [(s.kind, s.provider, s.outcome) for s in told if s.kind in steps.OUTCOMES]


def calls(told: list[Step]) -> list[tuple[str, str]]:
    return [(s.call, s.outcome) for s in told if s.kind == "call"]


async def test_a_connection_from_its_beginning_to_its_end(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, told: list[Step]
) -> None:
    await connected(manager, fake, redis, "u1", "google")
    await age(manager, redis, "u1", "google")
    assert await manager.get_token("u1", "google", redis)
    await manager.check(redis, "u1", "google")
    await manager.delete_token(redis, "u1", "google")
    assert asked(told) == [
        ("connect", "google", "connected"),
        ("refresh", "google", "renewed"),
        ("check", "google", "working"),
        ("revoke", "google", "revoked"),
    ]
    assert {call for call, _ in calls(told)} == {"exchange", "account", "refresh", "revoke"}
    assert {outcome for _, outcome in calls(told)} == {"answered"}


async def test_each_is_one_event_of_the_log_with_its_class(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "webui.oauth_manager"):
        await connected(manager, fake, redis, "u1", "google")
    (record,) = [r for r in caplog.records if r.message == "oauth"]
    facts: Any = record
    assert (facts.step, facts.provider, facts.outcome) == ("connect", "google", "connected")
    assert facts.ms >= 0


async def test_access_that_has_ended_is_an_ended_refresh(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, told: list[Step]
) -> None:
    await connected(manager, fake, redis, "u1", "google")
    await age(manager, redis, "u1", "google")
    told.clear()
    fake.script("token", error_answer("invalid_grant"))
    assert await manager.get_token("u1", "google", redis) is None
    assert asked(told) == [("refresh", "google", "ended")]
    assert calls(told) == [("refresh", "refused")]


@pytest.mark.parametrize(
    ("answer", "outcome", "call"),
    [
        (error_answer("invalid_client", 401), "setup", "refused"),
        (Answer(503), "trouble", "trouble"),
        (error_answer("no_such_word"), "unknown", "refused"),
    ],
)
async def test_a_refresh_that_fails_has_the_class_of_its_failure(
    manager: OAuthManager,
    fake: FakeProvider,
    redis: Redis,
    told: list[Step],
    answer: Answer,
    outcome: str,
    call: str,
) -> None:
    await connected(manager, fake, redis, "u1", "google")
    await age(manager, redis, "u1", "google")
    told.clear()
    fake.script("token", answer)
    with pytest.raises((OAuthMisconfigured, OAuthUnavailable)):
        await manager.get_token("u1", "google", redis)
    assert asked(told) == [("refresh", "google", outcome)]
    assert calls(told) == [("refresh", call)]


async def test_a_code_that_the_provider_refuses_is_a_refused_connect(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, told: list[Step]
) -> None:
    attempt, _ = await began(manager, fake, redis, "u1", "google")
    with pytest.raises(OAuthRefused):
        await manager.complete(redis, attempt, "a code of nobody")
    assert asked(told) == [("connect", "google", "refused")]


async def test_of_many_callers_one_refreshes_and_the_others_are_saved(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, told: list[Step]
) -> None:
    await connected(manager, fake, redis, "u1", "google")
    await age(manager, redis, "u1", "google")
    told.clear()
    await asyncio.gather(*(manager.get_token("u1", "google", redis) for _ in range(5)))
    assert asked(told) == [("refresh", "google", "renewed")]
    assert [s.outcome for s in told if s.kind == "saved"] == ["flight"] * 4


async def test_two_processes_refresh_once_and_the_wait_is_told(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, told: list[Step]
) -> None:
    theirs = OAuthManager(
        KEY,
        BASE_URL,
        providers_config(fake),
        transport=Transport(httpx.ASGITransport(fake)),
        clock=FakeClock(),
        observer=told.append,
    )
    await connected(manager, fake, redis, "u1", "google")
    await age(manager, redis, "u1", "google")
    told.clear()
    await asyncio.gather(*(one.get_token("u1", "google", redis) for one in (manager, theirs)))
    assert asked(told) == [("refresh", "google", "renewed")]
    assert [s.outcome for s in told if s.kind == "saved"] == ["lock"]
    assert {s.outcome for s in told if s.kind == "lock"} <= {"newer", "got"}


async def test_a_valid_token_is_no_step(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, told: list[Step]
) -> None:
    await connected(manager, fake, redis, "u1", "google")
    told.clear()
    assert await manager.get_token("u1", "google", redis)
    assert told == []


async def test_what_is_told_names_nobody_and_holds_no_secret(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, told: list[Step]
) -> None:
    await connected(manager, fake, redis, "mona-the-user", "google")
    token = await manager.get_token("mona-the-user", "google", redis)
    assert "mona" not in repr(told)
    assert token
    assert token not in repr(told)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OAuthRefused("p", "exchange"), "refused"),
        (FlowRefused("unnamed"), "refused"),
        (OAuthMisconfigured("p", "exchange"), "setup"),
        (OAuthMisconfigured("p", "exchange", meaning=Meaning.UNKNOWN), "unknown"),
        (OAuthUnavailable("p", "exchange"), "trouble"),
        (OAuthUnavailable("p", "exchange", meaning=Meaning.UNKNOWN), "unknown"),
        (StoreUnavailable("read"), "store"),
        (RecordUnreadable("damaged"), "unreadable"),
    ],
)
def test_every_error_has_a_class(error: Any, kind: str) -> None:
    assert steps.failure_of(error) == kind
    assert kind in steps.FAILURES


@pytest.mark.parametrize("meaning", Meaning)
def test_a_callback_with_an_error_has_a_class_of_connecting(meaning: Meaning) -> None:
    found: list[Step] = []
    steps.Steps(FakeClock(), found.append).tell_answer("p", meaning.outcome)
    assert found[0].outcome in steps.OUTCOMES["connect"]
