"""The steps of the page on backups: a copy of a running server, and what comes of it."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import ACCOUNTS, connected
from tests.kit.redis_fleets import free_ports, until
from webui.oauth_manager import OAuthManager, redis_from_url

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[2] / "docs" / "backup.md").read_text()
KEPT = ("--appendonly", "yes")


def command(begins: str, **given: str) -> list[str]:
    """The one command of the page that begins so, with these for its address, file and folder."""
    (line,) = re.findall(rf"^{re.escape(begins)}.*$", PAGE, re.M)
    named = {"url": '"$REDIS_URL"', "copy": "webui.rdb", "folder": "/var/lib/redis"}
    for name, value in given.items():
        line = line.replace(named[name], value)
    return shlex.split(line)


def asked(url: str, *words: str) -> bytes:
    given = ["redis-cli", "-u", url, *words]
    return subprocess.run(given, capture_output=True, check=False).stdout


@contextmanager
def started(*words: str) -> Iterator[str]:
    """Run a server by this command on a port of its own, and yield its address."""
    (port,) = free_ports(1)
    url = f"redis://127.0.0.1:{port}"
    process = subprocess.Popen([*words, "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        until(lambda: asked(url, "PING") == b"PONG\n", "answer")
        yield url
    finally:
        process.terminate()
        process.wait(20)


def copied(url: str, copy: Path) -> None:
    subprocess.run(
        command('redis-cli -u "$REDIS_URL" --rdb', url=url, copy=str(copy)),
        check=True,
        capture_output=True,
    )


def set_to_be_kept(url: str) -> None:
    """Have the append-only file written, and wait for it."""
    subprocess.run(
        command('redis-cli -u "$REDIS_URL" CONFIG', url=url), check=True, capture_output=True
    )
    ends = (b"aof_rewrite_in_progress:0", b"aof_rewrite_scheduled:0", b"aof_enabled:1")
    until(lambda: all(end in asked(url, "INFO", "persistence") for end in ends), "file")


async def test_a_copy_that_is_restored_serves_the_tokens_after_every_restart(
    manager: OAuthManager, fake: FakeProvider, tmp_path: Path
) -> None:
    if not (shutil.which("redis-server") and shutil.which("redis-cli")):
        if os.environ.get("REQUIRE_REDIS") == "1":
            raise AssertionError("redis-server or redis-cli is not here")
        pytest.skip("redis-server or redis-cli is not here")
    before, after, copy = (tmp_path / name for name in ("before", "after", "webui.rdb"))
    before.mkdir()
    after.mkdir()
    fake.account = ACCOUNTS["github"]
    with started("redis-server", "--dir", str(before), *KEPT) as url:
        async with redis_from_url(url) as redis:
            await connected(manager, fake, redis, "ann", "github")
            await asyncio.to_thread(copied, url, copy)
            await connected(manager, fake, redis, "ben", "github")
    shutil.copy(copy, after / "dump.rdb")
    with started(*command("redis-server --dir", folder=str(after))) as url:
        await asyncio.to_thread(set_to_be_kept, url)
    with started("redis-server", "--dir", str(after), *KEPT) as url:
        async with redis_from_url(url) as redis:
            assert await manager.get_token("ann", "github", redis)
            assert await manager.get_token("ben", "github", redis) is None
            assert (await manager.reseal(redis)).is_whole
            assert await manager.find_accounts(redis, "github", "mona") == ("ann",)
