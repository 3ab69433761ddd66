"""A real Prometheus on loopback, with the rules of ``deploy/``, that scrapes every second."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.kit.site_fixtures import free_port
from webui.sandbox.embedded_redis import stop

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "alerts.yml"
START_SECONDS = 20.0


def program(name: str) -> str:
    """The path of ``prometheus`` or ``promtool``; skips unless it has to be there."""
    found = shutil.which(name)
    if not found and os.environ.get("REQUIRE_PROMETHEUS"):
        pytest.fail(f"{name} is not installed")
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


class Prometheus:
    """The server's own API."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def query(self, expression: str) -> list[dict[str, Any]]:
        answer = await self._client.get("/api/v1/query", params={"query": expression})
        said = answer.json()
        assert said["status"] == "success", said
        found: list[dict[str, Any]] = said["data"]["result"]
        return found

    async def alerts(self) -> set[str]:
        """The names of alerts whose query finds something, for however long it has."""
        said = (await self._client.get("/api/v1/alerts")).json()
        return {alert["labels"]["alertname"] for alert in said["data"]["alerts"]}

    async def has(self, *names: str, seconds: float = 30.0) -> None:
        """Wait until exactly these alerts are there."""
        seen: set[str] = set()
        with anyio.move_on_after(seconds):
            while True:
                seen = await self.alerts()
                if seen == set(names):
                    return
                await anyio.sleep(0.1)
        raise AssertionError(f"there are {sorted(seen)}, and not {names}")


@contextmanager
def prometheus(target: str, folder: Path) -> Iterator[str]:
    """Run it against a target such as ``127.0.0.1:9464``; yields its address."""
    port = free_port()
    config = folder / "prometheus.yml"
    config.write_text(
        "global: { scrape_interval: 1s, evaluation_interval: 1s }\n"
        f"rule_files: ['{RULES}']\n"
        "scrape_configs:\n"
        "  - job_name: site\n"
        f"    static_configs: [{{ targets: ['{target}'] }}]\n"
    )
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process, START_SECONDS)


async def is_ready(client: httpx.AsyncClient) -> None:
    """Wait until it answers."""
    with anyio.fail_after(START_SECONDS):
        while True:
            try:
                if (await client.get("/-/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await anyio.sleep(0.1)
