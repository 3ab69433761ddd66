"""One process or several behind one port: their death, their end, and new keys for all."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.commands_site import load_on, sealing_key, site
from tests.kit.fake_provider import serve
from tests.kit.library import KEY, OTHER_KEY, fake_provider, manager_for, providers_config
from tests.kit.load import until
from tests.kit.site_fixtures import Browser, shown_code
from webui.oauth_manager import Status

pytestmark = pytest.mark.anyio

COUNTS = pytest.mark.parametrize("workers", [1, 2])


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class TestWorkers:
    async def test_one_that_dies_is_started_again_and_nobody_in_the_queue_is_lost(
        self, redis_url: str, tmp_path: Path
    ) -> None:
        with site(redis_url, tmp_path, 2) as process:
            for worker in process.events("worker started"):
                os.kill(worker["pid"], signal.SIGKILL)
            load = load_on(process)
            asking = asyncio.create_task(load.run("/healthz", 4, keeps=False))
            await until(lambda: len(process.events("worker started")) == 4)
            load.end()
            await asking
            ended = process.events("worker ended")
        assert load.lost == []
        assert set(load.answered) == {200}
        assert {one["status"] for one in ended} == {-signal.SIGKILL}
        assert {one["worker"] for one in ended} == {1, 2}

    async def test_end_when_their_supervisor_is_killed(
        self, redis_url: str, tmp_path: Path
    ) -> None:
        with site(redis_url, tmp_path, 2) as process:
            workers = [one["pid"] for one in process.events("worker started")]
            process.stop(signal.SIGKILL)
            await until(lambda: not any(map(is_there, workers)))
            assert {one["why"] for one in process.events("worker stopped")} == {"supervisor gone"}


class TestTheEnd:
    @COUNTS
    @pytest.mark.parametrize("keeps", [True, False], ids=["kept", "new connections"])
    async def test_loses_no_request_under_load(
        self, redis_url: str, tmp_path: Path, workers: int, keeps: bool
    ) -> None:
        with site(redis_url, tmp_path, workers) as process:
            load = load_on(process)
            asking = asyncio.create_task(load.run("/signin", 16, keeps=keeps))
            await until(lambda: load.answered[200] > 100)
            process.process.send_signal(signal.SIGTERM)
            await asking
            assert process.process.wait(20) == 0
            last = process.events()[-1]
        assert load.lost == []
        assert set(load.answered) == {200}
        assert (last["event"], last["why"], last["cut_short"]) == ("stopped", "SIGTERM", 0)
        assert last["waited_for"] > 0

    @COUNTS
    async def test_waits_for_a_form_whose_body_arrives_after_the_signal(
        self, redis_url: str, tmp_path: Path, workers: int
    ) -> None:
        with site(redis_url, tmp_path, workers) as process:
            reader, writer = await asyncio.open_connection(*process.address)
            host = process.base_url.partition("://")[2]
            writer.write(
                f"POST /signout HTTP/1.1\r\nHost: {host}\r\nOrigin: {process.base_url}\r\n"
                "Content-Type: application/x-www-form-urlencoded\r\n"
                "Content-Length: 3\r\n\r\n".encode()
            )
            await writer.drain()
            async with httpx.AsyncClient(base_url=process.base_url) as client:
                (await client.get("/healthz")).raise_for_status()
            process.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
            writer.write(b"a=b")
            answer = await reader.read()
            writer.close()
            process.process.wait(20)
            last = process.events()[-1]
        assert answer.startswith(b"HTTP/1.1 303")
        assert (last["waited_for"], last["cut_short"]) == (1, 0)

    @COUNTS
    async def test_lets_a_callback_that_asks_its_provider_store_the_connection(
        self, redis_url: str, redis: Redis, tmp_path: Path, workers: int
    ) -> None:
        fake = fake_provider()
        bot = manager_for(fake)
        with (
            serve(fake) as provider_url,
            site(
                redis_url, tmp_path, workers, providers_config(fake, provider_url, ["github"])
            ) as process,
        ):
            async with httpx.AsyncClient(base_url=process.base_url, timeout=30) as client:
                browser = Browser(client)
                code = await bot.create_link_code(redis, "ann")
                await browser.post(f"/connect/{code}/start")
                shown = shown_code(await browser.get("/connect/proof"))
                await bot.proofs.confirm(redis, "ann", shown)
                await browser.post("/connect/proof/continue")
                callback = fake.authorize(await browser.begin("github"))
                gate = fake.gate("token")
                coming_back = asyncio.create_task(browser.get(callback))
                await gate.reached()
                process.process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.5)
                gate.open()
                answer = await coming_back
            process.process.wait(20)
            last = process.events()[-1]
        assert answer.status_code == 303
        assert (last["waited_for"], last["cut_short"]) == (1, 0)
        assert (await bot.connection(redis, "ann", "github")).status is Status.CONNECTED
        await bot.aclose()


class TestSettingsReadAgain:
    """At SIGHUP, from the files that they name."""

    @COUNTS
    async def test_have_the_site_seal_with_the_new_key_and_open_with_both(
        self, redis_url: str, redis: Redis, tmp_path: Path, workers: int
    ) -> None:
        with site(redis_url, tmp_path, workers) as process:
            assert await sealing_key(process, redis) == KEY
            (tmp_path / "keys").write_text(f"{OTHER_KEY} {KEY}\n")
            load = load_on(process)
            asking = asyncio.create_task(load.run("/readyz", 4, keeps=False))
            process.process.send_signal(signal.SIGHUP)
            await until(lambda: bool(process.events("settings read again")))
            load.end()
            await asking
            assert process.events("settings read again")[0]["changed"] == ["ENCRYPTION_KEYS"]
            for _ in range(3):
                assert await sealing_key(process, redis) == OTHER_KEY
            text = process.log.read_text()
        assert load.lost == []
        assert set(load.answered) == {200}
        assert KEY not in text
        assert OTHER_KEY not in text

    @COUNTS
    @pytest.mark.parametrize(
        ("file", "fault"),
        [
            ("no key", "ENCRYPTION_KEY"),
            ("", "ENCRYPTION_KEY is missing"),
            (OTHER_KEY, "is not the key that this Redis was filled with"),
        ],
        ids=["malformed", "empty", "of another Redis"],
    )
    async def test_stay_as_they_were_if_the_file_is_no_good(
        self, redis_url: str, redis: Redis, tmp_path: Path, workers: int, file: str, fault: str
    ) -> None:
        with site(redis_url, tmp_path, workers) as process:
            (tmp_path / "keys").write_text(file)
            process.process.send_signal(signal.SIGHUP)
            (said,) = process.wait_for("settings kept as they were")
            assert fault in said["faults"][0]
            assert await sealing_key(process, redis) == KEY
            async with httpx.AsyncClient(base_url=process.base_url) as client:
                assert (await client.get("/readyz")).status_code == 200
            assert OTHER_KEY not in process.log.read_text()

    async def test_reach_a_worker_that_is_started_later(
        self, redis_url: str, redis: Redis, tmp_path: Path
    ) -> None:
        with site(redis_url, tmp_path, 2) as process:
            (tmp_path / "keys").write_text(f"{OTHER_KEY} {KEY}")
            process.process.send_signal(signal.SIGHUP)
            process.wait_for("settings read again")
            for worker in process.events("worker started"):
                os.kill(worker["pid"], signal.SIGKILL)
            process.wait_for("worker started", 4)
            assert await sealing_key(process, redis) == OTHER_KEY
