"""Callers of every kind at one moment: over HTTP, in Python, and in threads of another process."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import error_answer
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import BASE_URL, KEY, age, connected, providers_config
from tests.kit.site_fixtures import running, site_settings
from webui.api.service_keys import ServiceKeys
from webui.app import create_app
from webui.oauth_manager import OAuthManager, init_oauth_manager, oauth_client
from webui.oauth_manager.storage import Clock, Sealer

pytestmark = [pytest.mark.anyio, pytest.mark.long]

EACH = 21  # and one more over HTTP: 64 in all
REFUSED = error_answer("invalid_token", 401)
ROOT = Path(__file__).parents[2]
THREADS = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from webui.oauth_manager import blocking

key, base_url, config, redis_url = json.loads(sys.argv[1])
blocking.init_oauth_manager(key, base_url, config, redis_url=redis_url)

def ask(url):
    with blocking.oauth_client(SimpleNamespace(user_id="ann"), "google") as http:
        return http.get(url).status_code

print("ready", flush=True)
for line in sys.stdin:
    count, url = line.split()
    with ThreadPoolExecutor(int(count)) as threads:
        print(json.dumps(list(threads.map(ask, [url] * int(count)))), flush=True)
"""


class Everybody:
    """One connection, and three kinds of callers that ask an API with its token."""

    def __init__(
        self,
        ctx: Any,
        url: str,
        http: httpx.AsyncClient,
        client: httpx.AsyncClient,
        process: asyncio.subprocess.Process,
    ) -> None:
        self.ctx = ctx
        self.url = f"{url}/google/account"
        self.http = http
        self.client = client
        self.process = process

    async def over_http(self) -> int:
        """A bot in another language, by the book: once more with ``refused``."""
        members = {"user_id": "ann", "provider": "google"}
        status = 401
        for _ in range(2):
            held = (await self.http.post("/token", json=members)).json()
            headers = {"authorization": f"Bearer {held['access_token']}"}
            status = (await self.client.get(self.url, headers=headers)).status_code
            if status != 401:
                break
            members["refused"] = held["access_token"]
        return status

    async def in_python(self) -> int:
        async with oauth_client(self.ctx, "google") as http:
            return (await http.get(self.url)).status_code

    async def in_threads(self, count: int) -> list[int]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{count} {self.url}\n".encode())
        found: list[int] = json.loads(await self.process.stdout.readline())
        return found

    async def ask(self) -> list[int]:
        in_threads = asyncio.create_task(self.in_threads(EACH))
        others = await asyncio.gather(
            *(self.in_python() for _ in range(EACH)),
            *(self.over_http() for _ in range(EACH + 1)),
        )
        return [*await in_threads, *others]


@pytest.fixture
async def url(fake: FakeProvider) -> AsyncIterator[str]:
    fake.account = {"sub": "42", "email": "mona@example.org"}
    with serve(fake) as url:
        yield url


@pytest.fixture
def config(fake: FakeProvider, url: str) -> dict[str, dict[str, Any]]:
    found = providers_config(fake, url)
    found["google"]["api_hosts"] = (url.removeprefix("http://"),)
    return found


@pytest.fixture
async def manager(config: dict[str, dict[str, Any]]) -> AsyncIterator[OAuthManager]:
    """The manager of the bot in Python."""
    made = init_oauth_manager(KEY, BASE_URL, config)
    yield made
    await made.aclose()


@pytest.fixture
async def threads(
    config: dict[str, dict[str, Any]], redis_url: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A bot without asyncio, in a process of its own, which is ready."""
    given = json.dumps([KEY, BASE_URL, config, redis_url])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        THREADS,
        given,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    assert await process.stdout.readline() == b"ready\n"
    yield process
    assert process.stdin
    process.stdin.close()
    await process.wait()


@pytest.fixture
async def everybody(
    manager: OAuthManager,
    config: dict[str, dict[str, Any]],
    fake: FakeProvider,
    url: str,
    redis: Redis,
    redis_url: str,
    threads: asyncio.subprocess.Process,
) -> AsyncIterator[Everybody]:
    app = create_app(site_settings(redis_url, fake, providers_config=config))
    ctx = SimpleNamespace(user_id="ann", redis=redis)
    key, _ = await ServiceKeys(Sealer(KEY), Clock()).create(redis, "a bot", may=("token",))
    await connected(manager, fake, redis, "ann", "google")
    async with (
        running(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url=f"{BASE_URL}/api/v1",
            headers={"authorization": f"Bearer {key}"},
        ) as http,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        yield Everybody(ctx, url, http, client, threads)


async def test_sixty_four_callers_of_every_kind_make_one_refresh(
    everybody: Everybody, manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    """An expired token; one that the API refuses the first of them; and an API that always does."""
    await age(manager, redis, "ann", "google")
    assert await everybody.ask() == [200] * 64
    assert fake.calls["refresh"] == 1

    fake.script("account", REFUSED)
    assert await everybody.ask() == [200] * 64
    assert fake.calls["refresh"] == 2, "one more"

    fake.always["account"] = REFUSED
    assert await everybody.in_python() == 401
    assert await everybody.over_http() == 401
    assert await everybody.in_threads(1) == [401]
    assert fake.calls["refresh"] == 5, "one for each of the three"
