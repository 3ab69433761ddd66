"""Connections on real sockets: who waits for whom, for how long, and how many may."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
import uvloop
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp
from structlog.testing import capture_logs

from tests.kit.fake_provider import FakeProvider
from tests.kit.site_fixtures import (
    SiteProcess,
    free_port,
    running,
    serving,
    site_environment,
    site_settings,
)
from webui.app import create_app
from webui.oauth_manager.protocol.transport import Transport
from webui.serving.http_connection import Patience, WaitingRoom
from webui.serving.listeners import listen
from webui.serving.server import House as ServingHouse
from webui.serving.server import Server, loop_factory

SHORT = 0.15  # seconds, where a test waits for the end
LONG = 60.0  # seconds, where it must not come
LOOPS = {"asyncio": None, "uvloop": uvloop.new_event_loop}

HALF = b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Half"
WHOLE = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
BIG = b"GET /big HTTP/1.1\r\nHost: a.example\r\n\r\n"
WITH_BODY = b"GET / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000\r\n\r\n"

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Awaitable[None]], None]]:
    """Run a coroutine to its end on either event loop."""

    async def finish(work: Awaitable[None]) -> None:
        async with asyncio.timeout(20):
            await work

    with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
        yield lambda work: runner.run(finish(work))


class Shop:
    """A small application: an answer, a big one, and one that waits until it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.waiting = asyncio.Semaphore(0)
        self.app: ASGIApp = Starlette(
            routes=[
                Route("/", self.small),
                Route("/big", self.big),
                Route("/work", self.work),
                Route("/form", self.form, methods=["POST"]),
            ]
        )

    async def small(self, _: Request) -> Response:
        return PlainTextResponse("served")

    async def big(self, _: Request) -> Response:
        return PlainTextResponse("b" * 20_000_000)

    async def form(self, request: Request) -> Response:
        with suppress(ClientDisconnect):
            await request.body()
        return PlainTextResponse("read")

    async def work(self, _: Request) -> Response:
        self.waiting.release()
        await self.go.wait()
        return PlainTextResponse("worked")


class House:
    """The shop behind our server, for clients on this loop."""

    def __init__(self, shop: Shop, server: Server, port: int) -> None:
        self.shop, self.server, self._port = shop, server, port
        self._writers: list[Writer] = []

    async def connect(self, data: bytes = b"", *, room: int = 0) -> tuple[Reader, Writer]:
        """A new client; ``room`` is the size of its receive buffer."""
        own = socket.socket()
        if room:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        own.setblocking(False)
        await asyncio.get_running_loop().sock_connect(own, ("127.0.0.1", self._port))
        reader, writer = await asyncio.open_connection(sock=own, limit=max(room, 1024))
        self._writers.append(writer)
        writer.write(data)
        return reader, writer

    async def has(self, count: int) -> None:
        """Wait until the server has that many connections."""
        await until(lambda: len(self.server.server_state.connections) == count)

    async def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        await self.has(0)


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(4000):
        if is_so():
            return
        await asyncio.sleep(0.005)
    raise AssertionError


@asynccontextmanager
async def opened(
    *, head: float = LONG, next_request: float = LONG, take: float = LONG, most: int = 1000
) -> AsyncIterator[House]:
    shop = Shop()
    server = Server(shop.app, WaitingRoom(Patience(head, next_request, take), most))
    with listen("127.0.0.1", 0) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        house = House(shop, server, listener.getsockname()[1])
        try:
            yield house
            await house.hang_up()
        finally:
            server.should_exit = True
            await task


async def read_answer(reader: Reader) -> bytes:
    """The head of one answer, after its body has been read too."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    await reader.readexactly(length)
    return head


async def drips_until_closed(reader: Reader, writer: Writer) -> bytes:
    """Send a byte every few milliseconds for as long as the connection takes them."""
    answer = b""
    while True:
        writer.write(b"x")
        try:
            piece = await asyncio.wait_for(reader.read(1000), SHORT / 10)
        except TimeoutError:
            continue
        except ConnectionError:
            return answer
        if not piece:
            return answer
        answer += piece


Run = Callable[[Awaitable[None]], None]


class TestTheLoop:
    def test_is_uvloop_where_that_is_installed(self) -> None:
        made = loop_factory()
        assert made
        loop = made()
        assert isinstance(loop, uvloop.Loop)
        loop.close()

    def test_is_asyncios_where_it_is_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "uvloop", None)
        assert loop_factory() is None


class TestAnAnswer:
    def test_is_sent_without_waiting_for_the_client_to_acknowledge_its_head(self, run: Run) -> None:
        async def work() -> None:
            async with opened() as house:
                for _ in range(3):
                    reader, _ = await house.connect(WHOLE)
                    await read_answer(reader)
                for connection in house.server.server_state.connections:
                    accepted = connection.transport.get_extra_info("socket")
                    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

        run(work())

    def test_follows_another_on_a_kept_connection(self, run: Run) -> None:
        async def work() -> None:
            async with opened() as house:
                reader, writer = await house.connect()
                for _ in range(10):
                    writer.write(WHOLE)
                    assert b" 200 " in await read_answer(reader)
                writer.write(WHOLE * 10)
                for _ in range(10):
                    assert b" 200 " in await read_answer(reader)

        run(work())


class TestAHalfSentHead:
    def test_is_ended_and_told_so(self, run: Run) -> None:
        async def work() -> None:
            async with opened(head=SHORT) as house:
                reader, _ = await house.connect(HALF)
                answer = await reader.read()
                assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n")

        run(work())

    def test_is_not_kept_open_by_dripping(self, run: Run) -> None:
        async def work() -> None:
            async with opened(head=SHORT) as house:
                assert b" 408 " in await drips_until_closed(*await house.connect(HALF))

        run(work())

    @pytest.mark.parametrize("before", [WHOLE, WHOLE + b"GET"], ids=["whole", "pipelined"])
    def test_is_ended_on_a_connection_that_was_served_before(self, run: Run, before: bytes) -> None:
        async def work() -> None:
            async with opened(head=SHORT) as house:
                reader, writer = await house.connect(before)
                assert b" 200 " in await read_answer(reader)
                assert b" 408 " in await drips_until_closed(reader, writer)

        run(work())

    def test_may_be_finished_in_time(self, run: Run) -> None:
        async def work() -> None:
            async with opened(next_request=SHORT) as house:
                reader, writer = await house.connect()
                for byte in WHOLE:
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0)
                assert b" 200 " in await read_answer(reader)

        run(work())


class TestAConnection:
    def test_that_sends_nothing_is_closed_without_a_word(self, run: Run) -> None:
        """A browser opens some ahead; a 408 could be taken for the answer to its next request."""

        async def work() -> None:
            async with opened(head=SHORT) as house:
                reader, _ = await house.connect()
                assert await reader.read() == b""

        run(work())

    def test_that_was_served_is_kept_for_longer_than_a_head_may_take(self, run: Run) -> None:
        async def work() -> None:
            async with opened(head=SHORT) as house:
                reader, writer = await house.connect(WHOLE)
                await read_answer(reader)
                silent, _ = await house.connect()
                assert await silent.read() == b""  # the time for a head is over
                writer.write(WHOLE)
                assert b" 200 " in await read_answer(reader)

        run(work())

    def test_that_was_served_is_closed_when_no_request_follows(self, run: Run) -> None:
        async def work() -> None:
            async with opened(next_request=SHORT) as house:
                reader, _ = await house.connect(WHOLE)
                await read_answer(reader)
                assert await reader.read() == b""

        run(work())

    def test_at_work_is_not_hurried(self, run: Run) -> None:
        async def work() -> None:
            async with opened(head=SHORT, next_request=SHORT, take=SHORT) as house:
                reader, _ = await house.connect(WHOLE.replace(b"/ ", b"/work "))
                await house.shop.waiting.acquire()
                silent, _ = await house.connect()
                assert await silent.read() == b""
                house.shop.go.set()
                assert b" 200 " in await read_answer(reader)

        run(work())

    def test_with_a_body_that_nobody_reads_ends_however_it_drips(self, run: Run) -> None:
        async def work() -> None:
            async with opened(head=SHORT) as house:
                reader, writer = await house.connect(WITH_BODY)
                assert b" 200 " in await read_answer(reader)
                await drips_until_closed(reader, writer)

        run(work())


class TestAClientThatDoesNotTakeItsAnswer:
    @pytest.mark.parametrize(
        "asked",
        [BIG, BIG * 5, BIG + WHOLE * 50, BIG + HALF],
        ids=["one", "big ones", "small ones after it", "half a request after it"],
    )
    def test_is_hung_up_on(self, run: Run, asked: bytes) -> None:
        async def work() -> None:
            async with opened(take=SHORT) as house:
                _, writer = await house.connect(asked, room=4096)
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                await house.has(1)
                await house.has(0)

        run(work())

    def test_is_not_spared_for_taking_a_little(self, run: Run) -> None:
        async def work() -> None:
            async with opened(take=SHORT) as house:
                reader, _ = await house.connect(BIG, room=4096)
                await reader.readexactly(1)
                while house.server.server_state.connections:
                    await reader.readexactly(1)
                    await asyncio.sleep(0.001)

        run(work())

    def test_gets_all_of_it_when_it_does(self, run: Run) -> None:
        async def work() -> None:
            async with opened() as house:
                reader, writer = await house.connect(BIG, room=4096)
                assert b" 200 " in await read_answer(reader)
                writer.write(WHOLE)
                assert b" 200 " in await read_answer(reader)

        run(work())


class TestTheWaitingRoom:
    @pytest.mark.parametrize(
        "data",
        [b"", HALF, WITH_BODY.replace(b"GET /", b"POST /form")],
        ids=["silent", "half a head", "half a body"],
    )
    def test_ends_the_longest_wait_for_a_newcomer(self, run: Run, data: bytes) -> None:
        async def work() -> None:
            async with opened(most=3) as house:
                first, _ = await house.connect(data)
                await house.has(1)
                others = [await house.connect(HALF) for _ in range(3)]
                assert await read_to_the_end(first) == b""
                await house.has(3)
                assert not any(reader.at_eof() for reader, _ in others)

        run(work())

    @pytest.mark.parametrize("flood", [b"", HALF], ids=["silent", "half a head"])
    def test_keeps_who_was_served_beside_a_flood_of_others(self, run: Run, flood: bytes) -> None:
        async def work() -> None:
            async with opened(most=10) as house:
                kept = [await house.connect(WHOLE) for _ in range(3)]
                for reader, _ in kept:
                    await read_answer(reader)
                for _ in range(30):
                    await house.connect(flood)
                await house.has(10)
                for reader, writer in kept:
                    writer.write(WHOLE)
                    assert b" 200 " in await read_answer(reader)

        run(work())

    def test_lets_newcomers_in_beside_a_flood_of_kept_ones(self, run: Run) -> None:
        async def work() -> None:
            async with opened(most=10) as house:
                served = [(await house.connect(WHOLE))[0] for _ in range(30)]
                for reader in served:
                    await read_answer(reader)
                await house.has(10)
                assert await read_to_the_end(served[0]) == b""
                slow = [await house.connect(HALF) for _ in range(3)]
                await house.has(10)
                for reader, writer in slow:
                    writer.write(b": y\r\n\r\n")
                    assert b" 200 " in await read_answer(reader)

        run(work())

    def test_does_not_hold_who_is_at_work(self, run: Run) -> None:
        async def work() -> None:
            async with opened(most=2) as house:
                busy = [(await house.connect(WHOLE.replace(b"/ ", b"/work ")))[0] for _ in range(4)]
                for _ in busy:
                    await house.shop.waiting.acquire()
                for _ in range(5):
                    await house.connect(HALF)
                await house.has(6)
                house.shop.go.set()
                for reader in busy:
                    assert b" 200 " in await read_answer(reader)

        run(work())

    def test_is_left_by_whoever_hangs_up(self, run: Run) -> None:
        async def work() -> None:
            async with opened(most=2) as house:
                stays, _ = await house.connect(HALF)
                await house.has(1)
                for _ in range(5):
                    _, writer = await house.connect(HALF)
                    await house.has(2)
                    writer.transport.abort()
                    await house.has(1)
                assert not stays.at_eof()

        run(work())


async def read_to_the_end(reader: Reader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


# The command itself


@contextmanager
def site(redis_url: str, folder: Path) -> Iterator[SiteProcess]:
    base_url = f"http://127.0.0.1:{free_port()}"
    with serving(site_environment(base_url, redis_url, {}), folder) as process:
        yield process


def lines(process: SiteProcess) -> list[dict[str, object]]:
    return [json.loads(line) for line in process.log.read_text().splitlines()]


def stopped(process: SiteProcess, how: signal.Signals) -> dict[str, object]:
    """Stop the site with the signal, and return what it says last."""
    httpx.get(process.base_url + "/healthz")  # it listens before it hears signals
    process.process.send_signal(how)
    process.process.wait(20)
    return lines(process)[-1]


def test_a_stop_that_comes_before_the_start_ends_the_server_like_any_other(
    run: Callable[[Awaitable[None]], None],
) -> None:
    async def stopped_at_once() -> None:
        server = Server(Shop().app, WaitingRoom())
        house = ServingHouse([(server, [listen("127.0.0.1", 0)])], name="worker")
        serving = asyncio.create_task(house.serve())
        house.stop("SIGTERM")
        await serving

    with capture_logs() as told:
        run(stopped_at_once())
    assert [line["event"] for line in told] == ["worker stopped"]


class TestTheProcess:
    def test_lets_everybody_in_beside_1100_half_sent_heads(
        self, redis_url: str, tmp_path: Path
    ) -> None:
        """A process may open 1,024 files unless somebody has allowed it more."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
        try:
            started = ExitStack()
            process = started.enter_context(site(redis_url, tmp_path))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
        with started, ExitStack() as stack:
            for number in range(1100):
                client = stack.enter_context(socket.create_connection(process.address, 10))
                client.sendall(HALF)
                if number % 100 == 99:
                    answer = httpx.get(process.base_url + "/healthz", timeout=10)
                    assert answer.text == "ok\n"
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_says_first_that_it_has_started_and_where(
        self, empty_redis_url: str, tmp_path: Path
    ) -> None:
        with site(empty_redis_url, tmp_path) as process:
            httpx.get(process.base_url + "/healthz")
            first = lines(process)[0]
        assert first["event"] == "started"
        assert first["level"] == "info"
        assert first["address"] == process.base_url
        assert first["version"] == version("stargazer-webui")
        assert first["pid"] == process.process.pid

    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
    def test_says_last_why_it_stopped_and_how_long_that_took(
        self, redis_url: str, tmp_path: Path, how: signal.Signals
    ) -> None:
        with site(redis_url, tmp_path) as process:
            last = stopped(process, how)
        assert last["event"] == "stopped"
        assert last["why"] == how.name
        assert last["was_forced"] is False
        for name in ("stopping_seconds", "served_seconds"):
            assert isinstance(last[name], float)
        assert last["pid"] == process.process.pid
        assert process.process.returncode == 0

    def test_says_nothing_of_a_start_where_the_port_is_taken(
        self, redis_url: str, tmp_path: Path
    ) -> None:
        with site(redis_url, tmp_path) as process:
            environment = site_environment(process.base_url, redis_url, {})
            second = subprocess.run(
                [sys.executable, "-m", "webui", "serve"],
                env=environment,
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )
        assert second.returncode == 1
        assert second.stdout == ""
        assert second.stderr.startswith("Cannot listen on 127.0.0.1")
        assert len(second.stderr.splitlines()) == 1


@pytest.mark.anyio
async def test_the_client_for_the_providers_is_made_once_the_site_runs(
    redis_url: str, fake: FakeProvider
) -> None:
    class Noted(Transport):
        def __init__(self) -> None:
            super().__init__()
            self.is_warm = asyncio.Event()

        async def warm(self) -> None:
            await super().warm()
            self.is_warm.set()

    transport = Noted()
    async with running(create_app(site_settings(redis_url, fake), transport=transport)):
        await asyncio.wait_for(transport.is_warm.wait(), 10)
        assert transport._clients[asyncio.get_running_loop(), ()].done()
    assert transport._clients == {}
