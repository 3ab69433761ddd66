"""The four alerts fire on the four troubles, and on no other day: with a real Prometheus."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client import start_http_server
from redis.asyncio import Redis

from tests.kit.fake_answers import error_answer
from tests.kit.library import OVER, granted, time_passes
from tests.kit.prometheus import Prometheus, is_ready, program, prometheus
from tests.kit.redis_servers import redis_server
from tests.kit.site_fixtures import Place, site_at
from webui.metrics.outlets import recorder_for
from webui.metrics.prometheus import process_sink
from webui.metrics.samples import sample

pytestmark = pytest.mark.anyio

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "account-connections.json").read_text())
TOKEN = "a-token-of-the-metrics-reader-0123456789"
PEOPLE = ("ann", "ben", "cleo", "dora")


def test_the_rules_are_right_and_fire_when_they_should_in_their_own_test() -> None:
    for words in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(
            [program("promtool"), *words],
            cwd=DEPLOY / "prometheus",
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_of_prometheus_is_right() -> None:
    command = [program("promtool"), "check", "config", "prometheus.yml"]
    done = subprocess.run(
        command, cwd=DEPLOY / "prometheus", check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@asynccontextmanager
async def seen(folder: Path) -> AsyncIterator[Prometheus]:
    """Prometheus, which scrapes this process."""
    server, thread = start_http_server(0, "127.0.0.1", process_sink().registry)
    try:
        with prometheus(f"127.0.0.1:{server.server_port}", folder) as address:
            async with httpx.AsyncClient(base_url=address) as client:
                await is_ready(client)
                yield Prometheus(client)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def connect_all(place: Place) -> None:
    for person in PEOPLE:
        await place.connect(await place.signed_in(person), "google")


async def refresh_all(place: Place, redis: Redis) -> None:
    """Each person has a token that is over, and a tool of the site asks for it."""
    manager = place.site.manager
    for person in PEOPLE:
        await manager.store_token(redis, person, granted(place.fake, "google", expires_at=OVER))
        time_passes(manager, 120)
        await manager.check(redis, person, "google")


@pytest.mark.long
async def test_each_trouble_fires_its_alert_and_every_panel_of_the_dashboard_can_be_asked(
    tmp_path: Path,
) -> None:
    program("prometheus")
    async with AsyncExitStack() as stack:
        server = ExitStack()
        port = server.enter_context(redis_server())
        stack.callback(server.close)
        redis = Redis(port=port)
        stack.push_async_callback(redis.aclose)
        address = f"redis://127.0.0.1:{port}/0"
        place = await stack.enter_async_context(site_at(address, redis, metrics_token=TOKEN))
        watcher = await stack.enter_async_context(seen(tmp_path))
        site = place.site
        recorder = recorder_for(site.settings)
        assert recorder
        await sample(site.manager, site.redis, recorder)
        await connect_all(place)
        await refresh_all(place, redis)
        while not await watcher.query("webui_connects_total"):
            pass
        await watcher.has()

        place.fake.always["token"] = error_answer("invalid_client", 401)
        await connect_all(place)
        await watcher.has("ProviderRefusing")

        await refresh_all(place, redis)
        await refresh_all(place, redis)
        await watcher.has("ProviderRefusing", "RefreshesFailing")

        await redis.set("stargazer:canary", "sealed with another key")
        await sample(site.manager, site.redis, recorder)
        await watcher.has("ProviderRefusing", "RefreshesFailing", "WrongKey")

        server.close()
        await watcher.has("ProviderRefusing", "RedisAway", "RefreshesFailing", "WrongKey")

        expressions = [t["expr"] for panel in DASHBOARD["panels"] for t in panel["targets"]]
        for expression in expressions:
            await watcher.query(expression)
        assert len(expressions) > 12
