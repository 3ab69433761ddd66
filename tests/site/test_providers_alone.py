"""The stand-in providers alone, and the settings that they print."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from click.testing import CliRunner
from redis.asyncio import Redis

from tests.kit.library import KEY
from webui.cli import main
from webui.connections import connections_from_environment
from webui.oauth_manager import OAuthManager, oauth_client
from webui.oauth_manager.storage.calls import RedisClient
from webui.sandbox.whoami import ThisMachine

pytestmark = pytest.mark.anyio


def command(data: Path, port: int, *more: str) -> list[str]:
    options = ["--port", "8123", "--provider-port", str(port), "--data", str(data), *more]
    return [sys.executable, "-m", "webui", "demo", "--providers-only", *options]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@contextmanager
def running(data: Path, port: int, *more: str) -> Iterator[dict[str, str]]:
    """Start the command; yield the settings that it prints."""
    with subprocess.Popen(
        command(data, port, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        said = ""
        while not said.endswith("\n\n"):
            line = process.stdout.readline()
            assert line, process.stderr and process.stderr.read()
            said += line
        try:
            yield dict(re.findall(r"^([A-Z_]+)=(.*)$", said, re.M))
        finally:
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=30)
        assert (process.returncode, rest, errors) == (0, "", "")


async def test_a_person_connects_and_a_tool_asks_the_api_with_the_settings_that_are_printed(
    tmp_path: Path, redis: Redis, redis_url: str
) -> None:
    own = {"BASE_URL": "http://127.0.0.1:8123", "REDIS_URL": redis_url, "ENCRYPTION_KEY": KEY}
    with running(
        tmp_path, free_port(), "--with", "slack", "--with", "zendesk", "--with", "keycloak"
    ) as printed:
        assert kept(tmp_path) == ["secrets.json"], "no Redis is there"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", 8123), 1)
        async with connections_from_environment({**printed, **own}) as bot:
            names = bot.manager.list_configured_providers()
            usual = ["discord", "github", "google", "microsoft"]
            assert sorted(names) == sorted([*usual, "keycloak", "slack", "zendesk"])
            for name in ("github", "keycloak", "slack"):
                await connect(bot.manager, bot.redis, name)
            await connect(bot.manager, bot.redis, "zendesk", {"subdomain": "acme"})
            ann = SimpleNamespace(user_id="ann", redis=bot.redis)
            async with oauth_client(ann, "github") as http:
                answer = await http.get(printed["GITHUB_ACCOUNT_URL"])
            assert answer.json()["login"] == "mona"


def kept(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def connect(
    manager: OAuthManager, redis: RedisClient, name: str, asked: dict[str, str] | None = None
) -> None:
    """Ann goes to the stand-in, and presses Allow."""
    url = await manager.begin(redis, "ann", name, browser="a browser", asked=asked or {})
    async with httpx.AsyncClient(transport=ThisMachine(), trust_env=False) as browser:
        allowed = {"account": "mona", "decision": "allow"}
        back = httpx.URL((await browser.post(url, data=allowed)).headers["location"])
    assert str(back).startswith(f"http://127.0.0.1:8123/oauth/{name}/callback?")
    attempt = await manager.links.take_attempt(redis, back.params["state"], "a browser")
    assert attempt
    assert await manager.complete(redis, attempt, back.params["code"])


def test_a_name_that_the_catalogue_does_not_have_is_refused(tmp_path: Path) -> None:
    words = command(tmp_path, 8123, "--with", "nowhere")[3:]
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code == 1
    assert "nowhere" in ended.output
