"""The site as it is set now: what is left of the settings before ends with the process too."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.library import BASE_URL, fake_provider
from tests.kit.load import until
from tests.kit.site_fixtures import running, site_settings
from webui.serving import change, process
from webui.serving.current_site import CurrentSite

pytestmark = pytest.mark.anyio

GET = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/healthz",
    "raw_path": b"/healthz",
    "query_string": b"",
    "headers": [(b"host", BASE_URL.removeprefix("https://").encode())],
    "client": ("127.0.0.1", 50000),
    "server": ("127.0.0.1", 8000),
}


class SlowReader:
    """A client that takes its answer once it is let; the events tell how far it is."""

    def __init__(self) -> None:
        self.is_answered = asyncio.Event()
        self.may_take = asyncio.Event()

    async def receive(self) -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, _: MutableMapping[str, Any]) -> None:
        self.is_answered.set()
        await self.may_take.wait()


async def test_a_stop_soon_after_a_change_waits_for_what_the_settings_before_have_left(
    redis_url: str, redis: Redis
) -> None:
    before = site_settings(redis_url, fake_provider())
    after = site_settings(redis_url, fake_provider(), bot_name="Luna")
    site, reader = CurrentSite(before), SlowReader()
    async with running(site):
        asking = asyncio.create_task(site(dict(GET), reader.receive, reader.send))
        await reader.is_answered.wait()
        old = site._now
        changing = asyncio.create_task(site.change(after))
        await until(lambda: site.settings is after)
        changing.cancel()  # the process is told to stop
        asyncio.get_running_loop().call_later(0.2, reader.may_take.set)
    assert asking.done()
    assert old._task.done()


@pytest.mark.parametrize(
    ("before", "after", "is_taken"),
    [
        ({}, {"metrics_port": 9100}, False),
        ({}, {"api_port": 9100}, False),
        ({"metrics_port": 9100}, {}, False),
        ({"metrics_port": 9100}, {"metrics_port": 9100, "metrics_host": "::1"}, False),
        ({}, {"metrics_token": "t" * 32}, False),
        ({"metrics_token": "t" * 32}, {}, False),
        ({"metrics_token": "t" * 32}, {"metrics_token": "u" * 32}, True),
        ({}, {"bot_name": "Luna"}, True),
    ],
)
async def test_a_change_of_what_listens_is_refused_and_that_of_a_token_is_taken(
    redis_url: str,
    redis: Redis,
    before: dict[str, object],
    after: dict[str, object],
    is_taken: bool,
) -> None:
    now = site_settings(redis_url, fake_provider(), **before)
    new = site_settings(redis_url, fake_provider(), **after)
    site = CurrentSite(now)
    async with running(site):
        await change.reload(now, lambda: new, partial(process._change, site))
        assert site.settings is (new if is_taken else now)
