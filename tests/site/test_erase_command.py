"""``webui erase``: what it prints, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import error_answer
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import granted
from tests.kit.support_fixtures import put
from tests.kit.whole_person import mentions
from tests.site.test_commands import run
from webui.commands.erase import NOT_ENDED
from webui.oauth_manager import Account, OAuthManager, Profile

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@pytest.fixture
def client(fake: FakeProvider) -> Iterator[dict[str, str]]:
    """The settings of two providers at the fake."""
    with serve(fake) as url:
        yield {
            f"{name}_{setting}".upper(): value
            for name in ("google", "microsoft")
            for setting, value in {
                **fake.endpoints(url, f"/{name}"),
                "client_id": fake.client_id,
                "client_secret": fake.client_secret,
            }.items()
            if (name, setting) != ("microsoft", "revoke_url")
        }


def connect(redis_url: str, fake: FakeProvider, *providers: str) -> None:
    async def begin() -> None:
        manager = OAuthManager(KEY)
        async with Redis.from_url(redis_url) as redis:
            await redis.flushall()
            for name in providers:
                token = granted(fake, name, expires_at=4e9)
                profile = Profile(Account("42", "mona"), connected_at=1e9)
                await put(manager, redis, "ann", name, profile, token)

    asyncio.run(begin())


def left(redis_url: str) -> list[str]:
    async def look() -> list[str]:
        async with Redis.from_url(redis_url) as redis:
            return await mentions(redis, "ann")

    return asyncio.run(look())


def test_everything_is_gone_and_every_answer_is_told(
    redis_url: str, fake: FakeProvider, client: dict[str, str]
) -> None:
    connect(redis_url, fake, "google")
    done = run(redis_url, "erase", "ann", "--yes", **client)
    assert done.exit_code == 0, done.output
    assert done.output == (
        "google (mona): Google confirmed that the access is ended.\n"
        "Everything about ann is erased here.\n"
    )
    assert left(redis_url) == []
    again = run(redis_url, "erase", "ann", "--yes", **client)
    assert (again.exit_code, again.output) == (0, "Nothing was held about ann.\n")


def test_what_could_not_be_ended_is_told_with_what_the_person_does(
    redis_url: str, fake: FakeProvider, client: dict[str, str]
) -> None:
    connect(redis_url, fake, "google", "microsoft", "github")
    fake.always["revoke"] = error_answer("temporarily_unavailable", 503)
    done = run(redis_url, "erase", "ann", "--yes", **client)
    assert done.exit_code == NOT_ENDED, done.output
    assert done.output.splitlines() == [
        "github (mona): GitHub was not asked: it is not set up here.",
        "  They can end it there: in the settings of the account.",
        "google (mona): Google did not confirm that the access is ended.",
        "  They can end it there: in the settings of the account.",
        "microsoft (mona): Microsoft takes no request to end access.",
        "  They can end it there: in the settings of the account.",
        "Everything about ann is erased here.",
    ]
    assert left(redis_url) == []


def test_it_asks_first_and_keeps_everything_without_a_yes(
    redis_url: str, fake: FakeProvider, client: dict[str, str]
) -> None:
    connect(redis_url, fake, "google")
    done = run(redis_url, "erase", "ann", **client)
    assert done.exit_code == 1
    assert "Erase everything about ann?" in done.output
    assert left(redis_url)


def test_with_another_key_nothing_is_done(
    redis_url: str, fake: FakeProvider, client: dict[str, str]
) -> None:
    connect(redis_url, fake, "google")
    other = {"ENCRYPTION_KEY": "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="}
    done = run(redis_url, "erase", "ann", "--yes", **client, **other)
    assert done.exit_code == 1
    assert "encryption key" in done.output
    assert left(redis_url)
