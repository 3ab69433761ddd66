"""Metrics: right, bounded, without anybody's name, and read by Prometheus from outside."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, Router

from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import BUILT_IN, KEY, connected, manager_for, providers_config
from tests.kit.redis_servers import redis_server
from tests.kit.site_fixtures import (
    SESSION_SECRET,
    SiteProcess,
    free_port,
    serving,
    site_at,
    site_environment,
)
from webui.metrics import exporter
from webui.metrics.instruments import INSTRUMENTS
from webui.metrics.prometheus import PrometheusSink
from webui.metrics.recorder import Recorder
from webui.metrics.redis_latency import measure
from webui.metrics.samples import sample
from webui.middleware.stack import AccessLog
from webui.oauth_manager import OAuthManager, Step
from webui.oauth_manager.protocol.steps import LOCK_OUTCOMES, OUTCOMES, SAVED_BY
from webui.redis_client import connect
from webui.settings.settings import SettingsError, load_settings

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-of-the-metrics-reader-0123456789"
BEARER = {"authorization": f"Bearer {TOKEN}"}
OPERATIONS = 100_000

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """Every series with its value."""
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def total(found: Samples, name: str, **labels: str) -> float:
    """The sum of the series of that name that have these labels."""
    wanted = labels.items()
    return sum(value for (own, has), value in found.items() if own == name and wanted <= has)


class Kept:
    """A recorder of its own, and what it has."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.recorder = Recorder([PrometheusSink(self.registry)])

    @property
    def samples(self) -> Samples:
        return {
            (one.name, frozenset(one.labels.items())): one.value
            for family in self.registry.collect()
            for one in family.samples
        }

    def total(self, name: str, **labels: str) -> float:
        return total(self.samples, name, **labels)


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_every_step_is_counted_by_provider_and_outcome(kept: Kept) -> None:
    names = {"connect": "connects", "refresh": "refreshes", "check": "checks"}
    names["revoke"] = "revocations"
    for kind, outcomes in OUTCOMES.items():
        for outcome in outcomes:
            kept.recorder.step(Step(kind, "github", outcome, 0.1))
            about = {"provider": "github", "outcome": outcome}
            assert kept.total(f"webui_{names[kind]}_total", **about) == 1
    kept.recorder.step(Step("call", "github", "answered", 0.3, "refresh"))
    for outcome in LOCK_OUTCOMES:
        kept.recorder.step(Step("lock", "github", outcome, 0.3))
    for by in SAVED_BY:
        kept.recorder.step(Step("saved", "github", by))
    assert kept.total("webui_provider_call_seconds_count", call="refresh") == 1
    assert kept.total("webui_provider_call_seconds_sum", outcome="answered") == 0.3
    assert kept.total("webui_lock_wait_seconds_count", provider="github") == len(LOCK_OUTCOMES)
    assert kept.total("webui_refreshes_saved_total", by="flight") == 1


async def test_series_stay_bounded_after_100_000_operations_and_name_nobody(kept: Kept) -> None:
    async def page(_: Request) -> PlainTextResponse:
        return PlainTextResponse("")

    pages = Router([Route("/people/{user}", page)])
    site = AccessLog(pages, (), kept.recorder)

    async def ask(method: str, path: str) -> None:
        scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}

        async def receive() -> Any:
            return {"type": "http.request"}

        async def send(_: Any) -> None: ...

        await site(scope, receive, send)

    kinds = [
        Step(kind, provider, outcome, 0.1)
        for kind, outcomes in OUTCOMES.items()
        for provider in BUILT_IN
        for outcome in outcomes
    ]
    chance = random.Random(1)  # noqa: S311
    counts = []
    for part in range(2):
        for number in range(part, OPERATIONS, 20):
            method = chance.choice(["GET", "HEAD", "POST", f"M{number}"])
            await ask(method, chance.choice([f"/people/mona-{number}", f"/nothing/{number}"]))
            for step in chance.choices(kinds, k=4):
                kept.recorder.step(step)
            for _ in range(5):
                kept.recorder.round_trip(
                    "GET", chance.random(), chance.choice(["", "TimeoutError"])
                )
        counts.append(len(kept.samples))
    assert counts[0] == counts[1] < 600
    assert kept.total("webui_requests_total") == OPERATIONS / 10
    assert {
        dict(labels)["route"] for name, labels in kept.samples if name == "webui_requests_total"
    } == {"/people/{user}", "unmatched"}
    assert "mona" not in repr(kept.samples)


async def test_round_trips_to_redis_are_timed_and_failures_counted(
    kept: Kept, redis_url: str
) -> None:
    client: Any = Redis.from_url(redis_url)
    async with client as redis:
        measure(redis, kept.recorder)
        await redis.set("a", "1")
        async with redis.pipeline(transaction=False) as pipe:
            pipe.get("a")
            await pipe.execute()
        assert kept.total("webui_redis_seconds_count") == 2
        assert kept.total("webui_redis_errors_total") == 0
        with pytest.raises(Exception, match="WRONGTYPE"):
            await redis.lpush("a", "1")
    assert kept.total("webui_redis_errors_total", error="ResponseError") == 1
    away: Any = connect("redis://127.0.0.1:1")
    measure(away, kept.recorder)
    with pytest.raises(RedisConnectionError):
        await away.get("a")
    assert kept.total("webui_redis_errors_total", error="ConnectionError") == 1


class TestSamples:
    async def test_they_are_the_census_with_zeros_for_what_is_not_there(
        self, kept: Kept, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await manager.settle(redis)
        await connected(manager, fake, redis, "u1", "github")
        await manager.create_link_code(redis, "u1")
        await sample(manager, redis, kept.recorder)
        assert kept.total("webui_connections", provider="github", state="connected") == 1
        assert kept.total("webui_connections", provider="github", state="unreadable") == 0
        assert kept.total("webui_connections") == 1
        assert kept.total("webui_people") == 1
        assert kept.total("webui_open_links") == 1
        assert kept.total("webui_notices_unread") == 1
        assert kept.total("webui_redis_up") == kept.total("webui_keys_fit") == 1
        assert kept.total("webui_redis_noeviction") == 1
        assert kept.total("webui_redis_persistent") == 0

    async def test_of_all_processes_one_walks_and_the_others_read_its_counts(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        first = await manager.recent_census(redis)
        assert first
        await connected(manager, fake, redis, "u1", "github")
        assert await manager_for(fake).recent_census(redis) == first
        manager.clock.advance(11)  # type: ignore[attr-defined]
        now = await manager.recent_census(redis)
        assert now
        assert now.people == 1

    async def test_nobody_waits_while_another_process_walks(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        await redis.set("stargazer:oauth_census_lock", "1")
        assert await manager.recent_census(redis) is None
        await redis.set("stargazer:oauth_census", "no counts")
        assert await manager.recent_census(redis) is None

    async def test_without_redis_only_that_is_known(
        self, kept: Kept, manager: OAuthManager, redis: Redis
    ) -> None:
        await sample(manager, redis, kept.recorder)
        away: Any = Redis(port=1)
        await sample(manager, away, kept.recorder)
        assert kept.total("webui_redis_up") == 0
        assert kept.total("webui_redis_noeviction") == 1

    async def test_a_key_that_does_not_fit_is_seen(
        self, kept: Kept, manager: OAuthManager, redis: Redis
    ) -> None:
        await redis.set("stargazer:canary", "sealed by somebody else")
        await sample(manager, redis, kept.recorder)
        assert (kept.total("webui_redis_up"), kept.total("webui_keys_fit")) == (1, 0)

    async def test_a_redis_that_may_drop_connections_is_seen(
        self, kept: Kept, manager: OAuthManager
    ) -> None:
        with redis_server("--maxmemory-policy", "volatile-lru", "--appendonly", "yes") as port:
            client: Any = Redis(port=port)
            async with client as redis:
                await sample(manager, redis, kept.recorder)
        assert kept.total("webui_redis_noeviction") == 0
        assert kept.total("webui_redis_persistent") == 1


class TestThePageOfTheSite:
    async def test_it_is_not_there_without_a_token_set(self, redis_url: str, redis: Redis) -> None:
        async with site_at(redis_url, redis) as place:
            answer = await (await place.browser()).client.get("/metrics", headers=BEARER)
        assert answer.status_code == 404

    async def test_it_opens_for_the_token_alone(self, redis_url: str, redis: Redis) -> None:
        async with site_at(redis_url, redis, metrics_token=TOKEN) as place:
            client = (await place.browser()).client
            for given in ({}, {"authorization": f"Basic {TOKEN}"}, {"authorization": "Bearer x"}):
                answer = await client.get("/metrics", headers=given)
                assert (answer.status_code, answer.text) == (401, "")
                assert answer.headers["www-authenticate"] == "Bearer"
            answer = await client.get("/metrics", headers=BEARER)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert answer.headers["cache-control"] == "no-store"
        found = samples(answer.text)
        assert total(found, "webui_requests_total", route="/metrics", status="401") >= 3


def settings_with(**more: str) -> Any:
    return load_settings(
        {
            "BASE_URL": "http://localhost:8000",
            "REDIS_URL": "redis://localhost",
            "ENCRYPTION_KEY": KEY,
            "SESSION_SECRET": SESSION_SECRET,
            **more,
        }
    )


class TestSettings:
    def test_the_port_is_on_loopback_unless_told_otherwise(self) -> None:
        settings = settings_with(METRICS_PORT="9464")
        assert (settings.metrics_port, settings.metrics_host) == (9464, "127.0.0.1")
        assert settings_with(METRICS_HOST="::").metrics_host == "::"
        assert TOKEN not in repr(settings_with(METRICS_TOKEN=TOKEN))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("METRICS_PORT", "0"),
            ("METRICS_PORT", "65536"),
            ("METRICS_PORT", "http"),
            ("METRICS_TOKEN", "short"),
            ("METRICS_TOKEN", f"{TOKEN} {TOKEN}"),
        ],
    )
    def test_a_wrong_value_is_refused(self, name: str, value: str) -> None:
        with pytest.raises(SettingsError, match=name):
            settings_with(**{name: value})


def test_the_site_works_where_the_extra_is_not_installed() -> None:
    script = (
        "import sys\n"
        "from importlib.abc import MetaPathFinder\n"
        "class Absent(MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name.split('.')[0] in ('opentelemetry', 'prometheus_client'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from tests.kit.fake_provider import FakeProvider\n"
        "from tests.kit.site_fixtures import site_settings\n"
        "from webui.app import create_app\n"
        "create_app(site_settings('redis://localhost', FakeProvider()))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert done.returncode == 0


@contextmanager
def watched(
    redis_url: str, folder: Path, *arguments: str, **more: str
) -> Iterator[tuple[SiteProcess, str]]:
    """The command, with a port for Prometheus: the site, and the address of the metrics."""
    fake, port = FakeProvider(), free_port()
    with serve(fake) as provider_url:
        config = providers_config(fake, provider_url)
        environment = site_environment(f"http://127.0.0.1:{free_port()}", redis_url, config)
        environment |= {"METRICS_PORT": str(port), **more}
        with serving(environment, folder, *arguments) as site:
            yield site, f"http://127.0.0.1:{port}/metrics"


async def test_the_command_serves_them_on_a_port_of_their_own(
    redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    with watched(redis_url, tmp_path) as (site, metrics):
        async with httpx.AsyncClient() as client:
            for number in range(7):
                await client.get(f"{site.base_url}/connect/code-of-somebody-{number}")
            with anyio.fail_after(20):
                while True:
                    text = (await client.get(metrics)).text
                    if total(samples(text), "webui_redis_up"):
                        break
                    await anyio.sleep(0.05)
    found = samples(text)
    assert total(found, "webui_requests_total", route="/connect/{code}", method="GET") == 7
    assert total(found, "webui_request_seconds_count", route="/connect/{code}") == 7
    assert total(found, "webui_redis_seconds_count") > 7
    assert "somebody" not in text
    assert {name for name, _ in found} >= {"webui_people", "webui_open_links", "webui_keys_fit"}


def children(process: int) -> list[int]:
    return [
        int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


async def has(client: httpx.AsyncClient, metrics: str, count: int, route: str) -> None:
    """Wait until so many requests of a route are counted; fail if there are more."""
    found = -1.0
    with anyio.move_on_after(10):
        while found < count:
            text = (await client.get(metrics)).text
            found = total(samples(text), "webui_requests_total", route=route)
            await anyio.sleep(0.05)
    assert found == count


@pytest.mark.long
async def test_with_two_workers_the_sum_is_right_and_a_worker_that_ends_loses_no_count(
    redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    more = {"METRICS_TOKEN": TOKEN}
    with watched(redis_url, tmp_path, "--workers", "2", **more) as (site, metrics):
        async with httpx.AsyncClient() as client, httpx.AsyncClient(http2=False) as other:

            async def ask(times: int) -> None:
                for _ in range(times):  # a connection of its own each, for either worker
                    with anyio.fail_after(20):
                        while True:
                            with suppress(httpx.TransportError):
                                headers = {"connection": "close"}
                                await other.get(f"{site.base_url}/healthz", headers=headers)
                                break

            await ask(40)
            await has(client, metrics, 40, "/healthz")
            before = children(site.process.pid)
            assert len(before) == 2
            os.kill(before[0], signal.SIGKILL)
            with anyio.fail_after(20):
                while True:
                    if site.log.read_text().count('"worker started"') == 3:
                        break
                    await anyio.sleep(0.05)
            await has(client, metrics, 40, "/healthz")
            await ask(20)
            await has(client, metrics, 60, "/healthz")
            answer = await client.get(f"{site.base_url}/metrics", headers=BEARER)
            found = samples(answer.text)
            assert total(found, "webui_requests_total", route="/healthz") == 60
            assert total(found, "webui_redis_up") == 1


async def test_a_port_that_is_taken_is_said_in_a_sentence(redis_url: str, tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(AssertionError, match="change METRICS_PORT or METRICS_HOST"),
        watched(redis_url, tmp_path, METRICS_PORT=str(taken.getsockname()[1])),
    ):
        pass


def test_every_instrument_has_a_help_that_ends_like_a_sentence() -> None:
    for name, one in INSTRUMENTS.items():
        assert name.startswith("webui_")
        assert one.help.endswith(".")
        assert set(one.labels) <= {
            "route", "method", "status", "provider", "outcome", "by", "call", "error", "state"
        }  # fmt: skip


def test_the_operators_page_lists_every_instrument() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    for name, one in INSTRUMENTS.items():
        shown = f"{name}_total" if one.kind == "counter" else name
        labels = " ".join(f"`{label}`" for label in one.labels)
        assert f"| `{shown}` | {labels} | {one.help} |\n" in page


def test_without_a_folder_to_write_to_nothing_starts_and_a_sentence_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(exporter, "_MEMORY", str(tmp_path / "none"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with (
        pytest.raises(exporter.NotExported, match="Name one in TMPDIR"),
        exporter.exported(settings_with(METRICS_TOKEN=TOKEN)),
    ):
        pass


def test_values_of_all_processes_are_in_a_private_folder_that_goes_at_the_end() -> None:
    with exporter.exported(settings_with(METRICS_TOKEN=TOKEN)):
        folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
