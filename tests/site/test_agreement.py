"""Settings of site and bot that differ: each side finds out, and so does the check-up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.clock import FakeClock
from tests.kit.library import BASE_URL, KEY
from webui import agreement, oauth_manager
from webui.agreement import compare, compare_for_ever, differing
from webui.app import create_app
from webui.commands.check import run_checkup
from webui.connections import blocking_from_environment, connections_from_environment
from webui.oauth_manager import blocking, get_oauth_manager
from webui.oauth_manager.storage import DIGESTS
from webui.settings.settings import SettingsError, load_settings

SECRET = "a-secret-of-the-site-alone-0123456789-abcdef"
ONE, TWO, THREE = "111111111111", "222222222222", "333333333333"

pytestmark = pytest.mark.anyio


@pytest.fixture
def environ(redis: Redis, redis_url: str) -> dict[str, str]:
    return {
        "BASE_URL": BASE_URL,
        "REDIS_URL": redis_url,
        "ENCRYPTION_KEY": KEY,
        "SESSION_SECRET": SECRET,
        "GITHUB_CLIENT_ID": "a-client",
        "GITHUB_CLIENT_SECRET": "a-client-secret",
        # Where nobody listens: the check-up asks there.
        "GITHUB_AUTHORIZE_URL": "https://127.0.0.1:9/authorize",
        "GITHUB_TOKEN_URL": "https://127.0.0.1:9/token",
    }


@asynccontextmanager
async def site(environ: dict[str, str]) -> AsyncIterator[None]:
    """The site itself, from its start to its end."""
    app = create_app(load_settings(environ))
    to_app: asyncio.Queue[Any] = asyncio.Queue()
    from_app: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    living: asyncio.Task[None] = asyncio.create_task(app(scope, to_app.get, from_app.put))  # type: ignore[arg-type]
    await to_app.put({"type": "lifespan.startup"})
    assert (await from_app.get())["type"] == "lifespan.startup.complete"
    yield
    await to_app.put({"type": "lifespan.shutdown"})
    await from_app.get()
    await living


async def until_kept(redis: Redis, count: int) -> list[bytes]:
    found: list[Any] = []
    async with asyncio.timeout(5):
        while len(found) < count:
            await asyncio.sleep(0.01)
            found = list(await redis.zrange(DIGESTS, 0, -1))
    return found


async def until_told(caplog: pytest.LogCaptureFixture, count: int) -> None:
    async with asyncio.timeout(5):
        while len(warnings(caplog)) < count:  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.01)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "webui.agreement"]


async def test_each_side_sees_the_other_sides_digests_alone(redis: Redis) -> None:
    assert await compare(redis, 1000.0, "site", ONE) == []
    assert await compare(redis, 1000.0, "bot", ONE) == []
    assert await compare(redis, 1000.0, "bot", TWO) == [ONE]
    assert await compare(redis, 1000.0, "site", ONE) == [TWO]
    assert await compare(redis, 1000.0, "site", THREE) == [ONE, TWO]
    assert await compare(redis, 1000.0, "bot", ONE) == [THREE]
    assert await differing(redis, 1000.0, ONE) == [TWO]


async def test_a_process_that_was_killed_counts_for_minutes_and_not_for_good(redis: Redis) -> None:
    await compare(redis, 1000.0, "bot", TWO)
    assert await compare(redis, 1140.0, "site", ONE) == [TWO]
    assert await differing(redis, 1140.0, ONE) == [TWO]
    assert await differing(redis, 1151.0, ONE) == []
    assert await compare(redis, 1151.0, "site", ONE) == []
    assert 0 < await redis.ttl(DIGESTS) <= 150


@pytest.mark.parametrize("stored", ["bot:<script>", "bot:", "nobody:222222222222", b"\xff\xfe", ""])
async def test_what_is_no_digest_is_passed_over(redis: Redis, stored: Any) -> None:
    await redis.zadd(DIGESTS, {stored: 1000.0})
    assert await compare(redis, 1000.0, "site", ONE) == []


async def test_a_key_of_another_type_is_passed_over(redis: Redis) -> None:
    await redis.set(DIGESTS, "x")
    assert await compare(redis, 1000.0, "site", ONE) == []
    assert await differing(redis, 1000.0, ONE) == []


async def test_a_difference_is_logged_once_and_a_new_one_again(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(agreement, "EVERY", 0.01)
    clock = FakeClock()
    task = asyncio.create_task(compare_for_ever(redis, clock, "site", ONE))
    for count, other in enumerate([TWO, THREE], 1):
        await compare(redis, clock.now(), "bot", other)
        await until_told(caplog, count)
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    first, second = warnings(caplog)
    assert ONE in first
    assert TWO in first
    assert THREE in second
    assert f"site:{ONE}".encode() not in await redis.zrange(DIGESTS, 0, -1)


@pytest.mark.parametrize("agrees", [True, False])
@pytest.mark.parametrize("is_first", ["site", "bot"])
async def test_site_and_bot_warn_if_their_settings_differ_whichever_starts_first(
    redis: Redis,
    environ: dict[str, str],
    agrees: bool,
    is_first: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(agreement, "EVERY", 0.01)
    caplog.set_level(logging.WARNING)
    other = environ if agrees else {**environ, "GITHUB_CLIENT_SECRET": "another"}
    sides: list[Any] = [site(environ), connections_from_environment(other)]
    first, second = sides if is_first == "site" else reversed(sides)
    async with first:
        await until_kept(redis, 1)
        async with second:
            await until_kept(redis, 2)
            await until_told(caplog, 0 if agrees else 2)
            await asyncio.sleep(0.05)
    said = warnings(caplog)
    assert len(said) == (0 if agrees else 2)
    assert [side for side in ("the site", "the bot") if side in str(said)] == (
        [] if agrees else ["the site", "the bot"]
    )
    assert await redis.exists(DIGESTS) == 0
    assert SECRET not in str(said)


async def test_a_bot_without_asyncio_is_compared_too(redis: Redis, environ: dict[str, str]) -> None:
    digest = blocking_from_environment(environ)
    await asyncio.to_thread(blocking.run, asyncio.sleep(0))
    assert await until_kept(redis, 1) == [f"bot:{digest}".encode()]
    await asyncio.to_thread(blocking.close)
    assert await redis.exists(DIGESTS) == 0


async def test_the_check_up_warns_of_a_bot_with_other_settings(
    redis: Redis, environ: dict[str, str]
) -> None:
    said: list[Any] = []
    async with connections_from_environment({**environ, "GITHUB_SCOPES": "repo"}) as bot:
        await until_kept(redis, 1)
        await run_checkup(environ, said.append)
        assert f"its digest is {bot.digest}" in str(said)
    said.clear()
    async with connections_from_environment(environ):
        await until_kept(redis, 1)
        await run_checkup(environ, said.append)
    assert "other settings" not in str(said)


# A file of settings


async def test_a_bot_is_set_up_from_the_file_of_the_site(
    redis: Redis, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "webui.toml"
    file.write_text("".join(f'{name.lower()} = "{value}"\n' for name, value in environ.items()))
    for name in environ:
        monkeypatch.delenv(name, raising=False)
    async with (
        oauth_manager.from_config(file) as found,
        connections_from_environment(environ) as expected,
    ):
        assert found.digest == expected.digest
    monkeypatch.setenv("GITHUB_SCOPES", "repo")
    async with oauth_manager.from_config(str(file)) as found:
        assert found.digest != expected.digest, "the environment comes first, as for the site"
        assert get_oauth_manager() is found.manager
        assert await found.redis.ping()


@pytest.mark.parametrize("text", ["", 'base_url = "bot.example"', "not toml", 'base_urls = "x"'])
async def test_a_file_that_the_site_refuses_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    for name in ("BASE_URL", "REDIS_URL", "ENCRYPTION_KEY"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "webui.toml"
    file.write_text(text)
    with pytest.raises(SettingsError):
        oauth_manager.from_config(file)
    with pytest.raises(SettingsError):
        oauth_manager.from_config(tmp_path / "absent.toml")
