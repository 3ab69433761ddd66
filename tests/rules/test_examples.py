"""The files in examples/: the documents include them whole, and they run."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis

from examples import synchronous
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import BASE_URL, KEY, connected, granted, providers_config
from webui.chat import sent_code
from webui.oauth_manager import (
    LinkRequest,
    OAuthManager,
    OAuthNotConnected,
    blocking,
    init_oauth_manager,
)

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted(
    path.relative_to(ROOT)
    for path in (ROOT / "examples").rglob("*.*")
    if path.parent.name != "__pycache__"
)


def included(document: Path) -> dict[str, str]:
    """Return the files that a document includes whole: the path, and the block that follows."""
    found = re.findall(
        r"`(examples/[^`]+)`,\s+whole:\n\n```\w*\n(.*?)^```$", document.read_text(), re.M | re.S
    )
    return dict(found)


@pytest.mark.parametrize("path", [p for p in EXAMPLES if "__pycache__" not in p.parts], ids=str)
def test_every_example_stands_in_a_document_whole(path: Path) -> None:
    texts = [found[path.as_posix()] for d in DOCUMENTS if path.as_posix() in (found := included(d))]
    assert texts == [(ROOT / path).read_text()]


def test_every_file_that_a_document_includes_is_there() -> None:
    named = {name for document in DOCUMENTS for name in included(document)}
    mentioned = {
        name for d in DOCUMENTS for name in re.findall(r"`(examples/[^`]+)`", d.read_text())
    }
    assert named == mentioned == {path.as_posix() for path in EXAMPLES}


# Codes


@pytest.fixture
async def manager(fake: FakeProvider) -> AsyncIterator[OAuthManager]:
    with serve(fake) as url:
        made = init_oauth_manager(KEY, BASE_URL, providers_config(fake, url))
        yield made
        await made.aclose()


@pytest.fixture
async def shown(manager: OAuthManager, redis: Redis) -> str:
    """The code that alice's page waits for."""
    secret = await manager.proofs.start(redis, LinkRequest("alice", "github"))
    proof = await manager.proofs.peek(redis, secret)
    assert proof
    return proof.code


def alice(redis: Any, **more: Any) -> Any:
    return SimpleNamespace(**{"user_id": "alice", "redis": redis, **more})


@pytest.mark.parametrize("form", ["{0}{1}", "{0} {1}", "{0}-{1}", " {0}  {1}\n", "{0}\n{1}"])
@pytest.mark.parametrize("case", [str.upper, str.lower])
async def test_a_code_is_found_however_it_is_written(
    shown: str, redis: Redis, form: str, case: Any
) -> None:
    typed = case(form.format(shown[:3], shown[3:]))
    assert await sent_code(alice(redis), typed)


@pytest.mark.parametrize(
    "text", ["rhythms", "the cat", "got you", "abc def", "123", "KT4 9WX please", "KT4.9WX", ""]
)
async def test_other_messages_are_no_codes(shown: str, redis: Redis, text: str) -> None:
    assert await sent_code(alice(redis), text) == ""


@pytest.mark.parametrize("text", ["rhythm", "KT4 9WX", "KT49WX"])
async def test_without_a_page_that_waits_nothing_is_a_code(
    manager: OAuthManager, redis: Redis, text: str
) -> None:
    assert await sent_code(alice(redis), text) == ""


async def test_where_others_read_along_or_of_nobody_nothing_is_a_code(
    shown: str, redis: Redis
) -> None:
    assert await sent_code(alice(redis, is_private=False), shown) == ""
    assert await sent_code(alice(redis, user_id=""), shown) == ""
    assert await sent_code(alice(redis, user_id="bob"), shown) == ""


async def test_a_code_that_has_arrived_is_waited_for_no_more(
    shown: str, manager: OAuthManager, redis: Redis
) -> None:
    assert await manager.proofs.confirm(redis, "alice", shown) is None
    assert await sent_code(alice(redis), shown) == ""


async def test_looking_for_a_code_uses_up_no_try(
    shown: str, manager: OAuthManager, redis: Redis
) -> None:
    for _ in range(10):
        await sent_code(alice(redis), "BBB BBB")
    assert await manager.proofs.confirm(redis, "alice", shown) is None


async def test_without_redis_what_looks_like_a_code_is_one(manager: OAuthManager) -> None:
    async with Redis(port=1) as nobody:
        assert await sent_code(alice(nobody), "KT4 9WX") == "KT4 9WX"


# Without asyncio


async def test_the_synchronous_example_asks_the_api_from_many_threads(
    fake: FakeProvider, redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(fake) as url:
        config = providers_config(fake, url)
        config["github"]["api_hosts"] = (url.removeprefix("http://"),)
        manager = OAuthManager(KEY, BASE_URL, config)
        await connected(manager, fake, redis, "alice", "github")
        await manager.store_token(redis, "alice", granted(fake, "github"))
        await manager.aclose()
        monkeypatch.setattr(synchronous, "GITHUB_API", f"{url}/github/account?")

        def ask() -> set[str]:
            blocking.init_oauth_manager(KEY, BASE_URL, config, redis_url=redis_url)
            with ThreadPoolExecutor(8) as threads:
                alice = synchronous.Person("alice")
                asked = [threads.submit(synchronous.whoami, alice) for _ in range(16)]
                found = {each.result() for each in asked}
            with pytest.raises(OAuthNotConnected):
                synchronous.whoami(synchronous.Person("bob"))
            blocking.close()
            return found

        assert await asyncio.to_thread(ask) == {"mona"}
        assert fake.calls["refresh"] == 1


async def test_the_synchronous_example_is_a_script_that_ends(redis: Redis, redis_url: str) -> None:
    environ = {
        "ENCRYPTION_KEY": KEY,
        "BASE_URL": BASE_URL,
        "REDIS_URL": redis_url,
        "GITHUB_CLIENT_ID": "id",
        "GITHUB_CLIENT_SECRET": "secret",
        "PERSON": "alice",
        "PYTHONPATH": str(ROOT),
    }
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error", "examples/synchronous.py"],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert (
        b"github is not connected. Open this link to connect it: https://github.com/" in done.stdout
    )


def test_the_tests_of_the_plain_bot_pass_without_redis() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "examples/test_plain_bot.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "3 passed" in done.stdout, done.stdout
