"""Workers: their start, a new key for all of them, their end under load."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.kit.commands_site import load_on, sealing_key, site
from tests.kit.library import KEY, OTHER_KEY, tokens_key
from tests.kit.load import until
from tests.kit.site_fixtures import OF_EVERY_PROCESS, free_port, site_environment
from webui.oauth_manager.storage import Sealer

pytestmark = pytest.mark.anyio


async def test_two_workers_take_a_new_key_and_end_and_lose_no_request_meanwhile(
    redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    with site(redis_url, tmp_path, 2) as process:
        *started, last = (line for line in process.events() if "started" in line["event"])
        assert [one["event"] for one in started] == ["worker started", "worker started"]
        assert (last["workers"], last["address"]) == (2, process.base_url)
        assert last["pid"] == process.process.pid
        load = load_on(process)
        asking = [
            asyncio.create_task(load.run("/signin", 4, keeps=True)),
            asyncio.create_task(load.run("/readyz", 4, keeps=False)),
        ]
        (tmp_path / "keys").write_text(f"{OTHER_KEY} {KEY}\n")
        process.process.send_signal(signal.SIGHUP)
        await until(lambda: bool(process.events("settings read again")))
        assert process.events("settings read again")[0]["changed"] == ["ENCRYPTION_KEYS"]
        for _ in range(3):
            assert await sealing_key(process, redis) == OTHER_KEY
        process.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*asking)
        assert process.process.wait(20) == 0
        ended = process.events()[-1]
        text = process.log.read_text()
    assert load.lost == []
    assert set(load.answered) == {200}
    assert (ended["event"], ended["why"], ended["cut_short"]) == ("stopped", "SIGTERM", 0)
    assert KEY not in text
    assert OTHER_KEY not in text


async def test_one_process_takes_a_new_key_and_keeps_the_old_one_if_the_file_is_no_good(
    redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    with site(redis_url, tmp_path, 1) as process:
        for count, (file, fault) in enumerate(
            [
                ("no key", "ENCRYPTION_KEY"),
                ("", "ENCRYPTION_KEY is missing"),
                (OTHER_KEY, "is not the key that this Redis was filled with"),
            ]
        ):
            (tmp_path / "keys").write_text(file)
            process.process.send_signal(signal.SIGHUP)
            said = process.wait_for("settings kept as they were", count + 1)[-1]
            assert fault in said["faults"][0]
        assert await sealing_key(process, redis) == KEY
        (tmp_path / "keys").write_text(f"{OTHER_KEY} {KEY}\n")
        process.process.send_signal(signal.SIGHUP)
        process.wait_for("settings read again")
        assert await sealing_key(process, redis) == OTHER_KEY
        assert process.stop()["event"] == "stopped"


@pytest.mark.long
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux alone has prlimit")
async def test_a_worker_that_the_machine_cannot_start_is_started_once_it_can(
    redis_url: str, tmp_path: Path
) -> None:
    with site(redis_url, tmp_path, 2) as process:
        supervisor = process.process.pid
        before = process.events("worker started")
        usual = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (3, usual[1]))
        os.kill(before[0]["pid"], signal.SIGKILL)
        refused = process.wait_for("worker not started")[0]
        assert refused["why"] == "Too many open files"
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, usual)
        after = process.wait_for("worker started", len(before) + 1)
        assert after[-1]["pid"] not in {one["pid"] for one in before}
        assert process.stop()["event"] == "stopped"


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux alone has prlimit")
async def test_a_machine_that_can_start_no_worker_ends_the_start_with_the_reason(
    redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    tight = (
        "import resource, sys; from webui.__main__ import main; "
        "from webui.serving.supervisor import Supervisor; run = Supervisor.run\n"
        "async def starved(self):\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3)); await run(self)\n"
        "Supervisor.run = starved; sys.argv = ['webui', *sys.argv[1:]]; main()"
    )
    done = await asyncio.to_thread(_refused, redis_url, tmp_path, "-c", tight)
    assert done.returncode == 1
    (refused,) = map(json.loads, done.stderr.splitlines())
    assert (refused["event"], refused["why"]) == ("worker not started", "Too many open files")
    assert "Traceback" not in done.stderr


async def test_workers_that_refuse_to_start_end_all_with_the_reason_once(
    redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    sealed = Sealer(KEY).seal("tokens", "ann", "github", {"access_token": "t"})
    await redis.set(tokens_key("ann", "github"), sealed)
    done = await asyncio.to_thread(_refused, redis_url, tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("not started: ENCRYPTION_KEY") == 1
    assert '"started"' not in done.stderr


def _refused(redis_url: str, folder: Path, *program: str) -> subprocess.CompletedProcess[str]:
    """Start two workers with a key that opens nothing of what is there."""
    environment = site_environment(f"http://127.0.0.1:{free_port()}", redis_url, {})
    own = {name: os.environ[name] for name in OF_EVERY_PROCESS if name in os.environ}
    return subprocess.run(
        [sys.executable, *(program or ("-m", "webui")), "serve", "--workers", "2"],
        env={**own, **environment, "ENCRYPTION_KEY": OTHER_KEY},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
