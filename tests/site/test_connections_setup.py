"""A bot that is set up from the settings of the site."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.library import BASE_URL, KEY, OTHER_KEY
from webui.commands.check import run_checkup
from webui.connections import blocking_from_environment, connections_from_environment
from webui.oauth_manager import OAuthNotConnected, TokenData, blocking, require_oauth_token
from webui.oauth_manager.storage.calls import waiting
from webui.settings.settings import SettingsError

SECRET = "a-secret-of-the-site-alone-0123456789-abcdef"

pytestmark = pytest.mark.anyio


@pytest.fixture
def environ(redis: Redis, redis_url: str) -> dict[str, str]:
    return {
        "BASE_URL": BASE_URL,
        "REDIS_URL": redis_url,
        "ENCRYPTION_KEY": KEY,
        "GITHUB_CLIENT_ID": "a-client",
        "GITHUB_CLIENT_SECRET": "a-client-secret",
        # Where nobody listens: the check-up asks there.
        "GITHUB_AUTHORIZE_URL": "https://127.0.0.1:9/authorize",
        "GITHUB_TOKEN_URL": "https://127.0.0.1:9/token",
    }


async def test_the_bot_has_the_settings_of_the_site(environ: dict[str, str]) -> None:
    async with connections_from_environment(environ) as connections:
        token = TokenData("a-token", provider="github")
        await connections.manager.store_token(connections.redis, "ann", token)
        ann = SimpleNamespace(user_id="ann", redis=connections.redis)
        assert await require_oauth_token(ann, "github") == "a-token"
        assert connections.manager.list_configured_providers() == ["github"]


async def test_so_has_a_bot_without_asyncio(environ: dict[str, str]) -> None:
    digest = blocking_from_environment(environ)
    ann = SimpleNamespace(user_id="ann")
    with pytest.raises(OAuthNotConnected):
        await asyncio.to_thread(blocking.require_oauth_token, ann, "github")
    await asyncio.to_thread(blocking.close)
    assert len(digest) == 12


async def test_tokens_of_a_bot_wait_for_replicas_as_those_of_the_site_do(
    environ: dict[str, str],
) -> None:
    waits = {**environ, "REDIS_WAIT_REPLICAS": "2"}
    async with connections_from_environment(waits) as connections:
        assert waiting[connections.redis] == 2
    async with connections_from_environment(environ) as connections:
        assert connections.redis not in waiting
    blocking_from_environment(waits)
    assert waiting[blocking.caller("ann").redis] == 2
    await asyncio.to_thread(blocking.close)


async def test_the_environment_of_the_process_is_read_unless_another_is_given(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "webui.toml"
    file.write_text("".join(f'{name.lower()} = "{value}"\n' for name, value in environ.items()))
    for name in environ:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WEBUI_CONFIG", str(file))
    async with connections_from_environment() as from_a_file:
        pass
    async with connections_from_environment(environ) as given:
        assert from_a_file.digest == given.digest


async def test_what_the_site_refuses_the_bot_refuses_in_the_same_words(
    environ: dict[str, str],
) -> None:
    with pytest.raises(SettingsError) as caught:
        connections_from_environment({**environ, "BASE_URL": "bot.example", "ENCRYPTION_KEY": "k"})
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize(
    ("change", "agrees"),
    [
        ({}, True),
        ({"SESSION_SECRET": "another-secret-of-the-site-alone-1234567890"}, True),
        ({"PRODUCT_NAME": "Another"}, True),
        ({"ENCRYPTION_KEY": OTHER_KEY}, False),
        ({"BASE_URL": "https://other.example"}, False),
        ({"GITHUB_CLIENT_ID": "another"}, False),
        ({"GITHUB_CLIENT_SECRET": "another-secret"}, False),
        ({"GITHUB_SCOPES": "repo"}, False),
        ({"STRICT_RECORDS": "on"}, False),
    ],
)
async def test_the_digest_is_that_of_the_check_up_if_both_agree(
    environ: dict[str, str], change: dict[str, str], agrees: bool
) -> None:
    said: list[Any] = []
    await run_checkup({**environ, "SESSION_SECRET": SECRET, **change}, said.append)
    async with connections_from_environment(environ) as connections:
        assert any(connections.digest in str(line) for line in said) is agrees
    assert KEY not in str(said)
