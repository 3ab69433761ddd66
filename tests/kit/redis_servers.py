"""Real servers with any settings, on a port of loopback, for what an operator may get wrong."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from socket import create_connection
from tempfile import TemporaryDirectory

import pytest
from redis.asyncio import Redis, RedisCluster

from tests.kit.site_fixtures import free_port
from tests.kit.tcp_server import tcp_server
from webui.oauth_manager.storage.calls import raw
from webui.sandbox.embedded_redis import find_server

START_SECONDS = 20.0


@contextmanager
def redis_server(*options: str, config: str = "") -> Iterator[int]:
    """Run a server with command-line options such as ``--cluster-enabled yes``; yields its port."""
    with TemporaryDirectory(prefix="redis-") as folder:
        port = free_port()
        command = [str(find_server())]
        if config:
            (Path(folder) / "redis.conf").write_text(config)
            command.append(str(Path(folder) / "redis.conf"))
        command += ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
        if "--sentinel" not in options:
            command += ["--save", "", "--appendonly", "no"]
        process = subprocess.Popen(
            [*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _wait_until_listening(process, port)
            yield port
        finally:
            process.kill()
            process.wait()


def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(round(START_SECONDS / 0.02)):
        with suppress(OSError):
            create_connection(("127.0.0.1", port), 1).close()
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            break
    raise AssertionError("the server did not start")


@pytest.fixture
async def cluster() -> AsyncIterator[RedisCluster]:
    """A cluster of one node, which has all slots."""
    with redis_server("--cluster-enabled", "yes") as port:
        async with Redis(port=port) as node:
            await raw(node, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            async with asyncio.timeout(20):
                while b"cluster_state:ok" not in await raw(node, "CLUSTER", "INFO"):
                    await node.ping()
        async with RedisCluster(host="127.0.0.1", port=port) as client:
            yield client


@asynccontextmanager
async def saying(said: bytes) -> AsyncIterator[int]:
    """A server that says the same to whatever it reads, and hangs up; yields the port."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        writer.write(said)
        await writer.drain()

    async with tcp_server(talk) as port:
        yield port
