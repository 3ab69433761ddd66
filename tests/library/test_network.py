"""The network under httpx, on real sockets and either event loop: sent once, nothing mixed up."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.kit.certificates import authority, tls_front
from tests.kit.connect_proxy import connect_proxy
from tests.kit.fake_answers import endless
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.tcp_server import HERE, tcp_server
from webui.oauth_manager import OAuthUnavailable
from webui.oauth_manager.protocol.requests import ProviderRequest
from webui.oauth_manager.protocol.transport import Transport

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def network() -> AsyncIterator[Transport]:
    transport = Transport()
    yield transport
    await transport.aclose()


def request(url: str, method: str = "POST", **headers: str) -> ProviderRequest:
    return ProviderRequest("plain", "exchange", method, url, headers, b"code=canary-code")


def at(port: int) -> str:
    return f"http://{HERE}:{port}/token"


class Server:
    """``says`` is written for each request (None hangs up); ``heard`` are the requests."""

    def __init__(self, *says: bytes | None) -> None:
        self.says = list(says)
        self.heard: list[bytes] = []
        self.connections = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while asked := await reader.readuntil(b"\r\n\r\n"):
            length = asked.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self.heard.append(asked + await reader.readexactly(int(length or b"0")))
            said = self.says.pop(0) if self.says else OK
            if said is None:
                return
            writer.write(said)
            await writer.drain()


class TestARequest:
    async def test_goes_out_in_the_bytes_that_were_asked_for(self, network: Transport) -> None:
        server = Server()
        async with tcp_server(server.talk) as port:
            where = f"http://{HERE}:{port}/a%2Fb/~c;d?x=%2B+%20&y=%C3%A9&z=a%3Db"
            await network.send(request(where, Accept="application/json"))
        (heard,) = server.heard
        head, _, body = heard.partition(b"\r\n\r\n")
        line, *headers = head.split(b"\r\n")
        assert line == b"POST /a%2Fb/~c;d?x=%2B+%20&y=%C3%A9&z=a%3Db HTTP/1.1"
        assert body == b"code=canary-code"
        assert {
            name.lower(): value for name, _, value in (h.partition(b": ") for h in headers)
        } == {
            b"host": f"{HERE}:{port}".encode(),
            b"accept": b"application/json",
            b"accept-encoding": b"identity",
            b"connection": b"keep-alive",
            b"user-agent": b"account-connections",
            b"content-length": b"16",
        }

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST"])
    async def test_is_not_repeated_when_its_answer_is_lost(
        self, network: Transport, method: str
    ) -> None:
        server = Server(OK, None)
        async with tcp_server(server.talk) as port:
            await network.send(request(at(port), "POST"))
            with pytest.raises(OAuthUnavailable):
                await network.send(request(at(port), method))
        assert len(server.heard) == 2

    @pytest.mark.parametrize("said", [None, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
    async def test_whose_answer_is_lost_is_not_told_as_one_that_never_left(
        self, network: Transport, said: bytes | None
    ) -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"canary-code")
            writer.write(said or b"")
            await writer.drain()

        async with tcp_server(talk) as port:
            with pytest.raises(OAuthUnavailable) as caught:
                await network.send(request(at(port)))
        assert caught.value.code == "network"

    async def test_whose_answer_is_lost_behind_a_proxy_does_not_blame_the_proxy(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = authority(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(made.path))
        server = Server(None)
        name = "provider.example"
        async with (
            tcp_server(server.talk, tls=made.server(name)) as port,
            connect_proxy({f"{name}:443": port}) as proxy,
        ):
            transport = Transport(proxy=f"http://{HERE}:{proxy.port}")
            with pytest.raises(OAuthUnavailable) as caught:
                await transport.send(request(f"https://{name}/token"))
            await transport.aclose()
        assert len(server.heard) == 1
        assert caught.value.code == "network"

    @pytest.mark.parametrize("scheme", ["http", "https"])
    async def test_goes_through_a_proxy_that_wants_a_login(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
    ) -> None:
        made = authority(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(made.path))
        server = Server()
        name = "provider.example"
        tls = made.server() if scheme == "https" else None
        async with (
            tcp_server(server.talk, tls=made.server(name)) as port,
            connect_proxy({f"{name}:443": port}, tls=tls, login="user:canary-é€") as proxy,
        ):
            login = "user:canary-%C3%A9%E2%82%AC"
            transport = Transport(proxy=f"{scheme}://{login}@{HERE}:{proxy.port}")
            for _ in range(2):
                await transport.send(request(f"https://{name}/token"))
            await transport.aclose()
        assert proxy.seen == [f"{name}:443"]
        assert len(server.heard) == 2
        assert b"proxy-authorization" not in b"".join(server.heard).lower()

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_follows_no_redirect(self, network: Transport, status: int) -> None:
        said = b"HTTP/1.1 %d Away\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" % status
        server = Server(said)
        async with tcp_server(server.talk) as port:
            assert (await network.send(request(at(port)))).status == status
        assert len(server.heard) == 1

    async def test_that_a_reset_ends_is_told_as_trouble(self, network: Transport) -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"canary-code")
            writer.transport.abort()

        async with tcp_server(talk) as port:
            with pytest.raises(OAuthUnavailable) as caught:
                await network.send(request(at(port)))
        assert caught.value.code == "network"


class TestAnAnswer:
    @pytest.mark.parametrize("is_late", [False, True])
    async def test_that_nobody_asked_for_is_not_the_next_ones(
        self, network: Transport, *, is_late: bool
    ) -> None:
        """It may come with the answer before, or while the connection is idle."""
        said, idle = asyncio.Event(), asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"canary-code")
            if said.is_set():
                writer.write(OK.replace(b"{}", b"[]"))
            else:
                writer.write(OK)
                if is_late:
                    await writer.drain()
                    await idle.wait()
                writer.write(OK)
                await writer.drain()
                said.set()
            await reader.read()

        async with tcp_server(talk) as port:
            assert (await network.send(request(at(port)))).body == b"{}"
            idle.set()
            await said.wait()
            assert (await network.send(request(at(port)))).body == b"[]"

    @pytest.mark.parametrize("extra", [b"x", b"\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 20"])
    async def test_with_more_behind_it_than_it_announced_harms_no_later_one(
        self, network: Transport, extra: bytes
    ) -> None:
        bodies = []
        async with tcp_server(Server(OK.replace(b"{}", b"[]") + extra).talk) as port:
            for _ in range(4):
                with suppress(OAuthUnavailable):
                    bodies.append((await network.send(request(at(port)))).body)
        assert bodies[-1] == b"{}"
        assert bodies.count(b"[]") <= 1
        assert len(bodies) >= 3

    async def test_that_waits_unread_in_the_socket_is_not_the_next_ones(
        self, network: Transport
    ) -> None:
        """The event loop was busy when it came, and goes on with a request."""
        with blocking_server(OK, late=OK) as (port, is_told):
            assert (await network.send(request(at(port)))).status == 200
            is_told.wait(5)
            assert (await network.send(request(at(port)))).body == b"new"

    async def test_with_long_headers_is_read(self, network: Transport) -> None:
        said = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: %s\r\n%s\r\n{}"
        async with tcp_server(Server(said % (b"y" * 30_000, b"Z: y\r\n" * 300)).talk) as port:
            assert (await network.send(request(at(port)))).body == b"{}"

    async def test_with_a_cookie_leaves_nothing_for_the_next_request(
        self, network: Transport
    ) -> None:
        said = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: who=u1; Path=/\r\n\r\n{}"
        server = Server(said)
        async with tcp_server(server.talk) as port:
            for host in ("localhost", "localhost", HERE):  # some keep none of a bare address
                await network.send(request(at(port).replace(HERE, host)))
        assert b"cookie" not in b"".join(server.heard).lower()

    async def test_with_a_malformed_cookie_puts_nothing_of_it_into_a_log(
        self, network: Transport, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        said = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: ca nary;=x=canary\r\n\r\n{}"
        async with tcp_server(Server(said).talk) as port:
            await network.send(request(at(port)))
        assert "canary" not in caplog.text

    async def test_without_an_end_is_left_alone_behind_tls_too(
        self, fake: FakeProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = authority(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(made.path))
        fake.script("token", endless())
        with serve(fake) as url:
            behind = urlsplit(url).port
            assert behind
            async with tls_front(behind, made.server()) as port:
                transport = Transport()
                with pytest.raises(OAuthUnavailable) as caught:
                    await transport.send(request(f"https://{HERE}:{port}/token"))
                await transport.aclose()
        assert caught.value.code == "unusable_answer"

    async def test_that_a_reset_ends_before_its_end_is_none(self, network: Transport) -> None:
        """Without a length only the end of the connection ends it, and a reset is no such end."""
        is_read = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"canary-code")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\naccess_token=cut")
            await writer.drain()
            await is_read.wait()
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # on, and for no time: a reset
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

        async with tcp_server(talk) as port:
            sending = asyncio.create_task(network.send(request(at(port))))
            await asyncio.sleep(0.1)
            is_read.set()
            with pytest.raises(OAuthUnavailable):
                await sending


@contextmanager
def blocking_server(said: bytes, late: bytes) -> Iterator[tuple[int, threading.Event]]:
    """A thread that answers the first connection, says ``late``, or ends it if that is empty.

    Later connections get a body of their own, ``new``.
    """
    is_told, is_asked = threading.Event(), threading.Event()

    def serve_all(listener: socket.socket) -> None:
        first, _ = listener.accept()
        with first:
            first.recv(65536)
            first.sendall(said)
            is_asked.wait(0.2)
            if late:
                first.sendall(late)
            else:
                first.shutdown(socket.SHUT_RDWR)
            is_told.set()
            second, _ = listener.accept()
            with second:
                second.recv(65536)
                second.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew")

    with socket.create_server((HERE, 0)) as listener:
        listener.settimeout(5)
        thread = threading.Thread(target=serve_all, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1], is_told
        thread.join()


class TestAKeptConnection:
    async def test_serves_the_next_request(self, network: Transport) -> None:
        server = Server()
        async with tcp_server(server.talk) as port:
            for _ in range(3):
                await network.send(request(at(port)))
        assert server.connections == 1

    async def test_that_the_server_ended_meanwhile_is_not_used(self, network: Transport) -> None:
        """Even if the event loop had no time to hear of it."""
        with blocking_server(OK, late=b"") as (port, is_told):
            await network.send(request(at(port)))
            is_told.wait(5)
            assert (await network.send(request(at(port)))).body == b"new"

    async def test_is_one_of_a_hundred_at_most(self, network: Transport) -> None:
        gate, most, now = asyncio.Event(), 0, 0

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal most, now
            while await reader.read(65536):
                now += 1
                most = max(most, now)
                if most == 100:
                    asyncio.get_running_loop().call_later(0.05, gate.set)
                await gate.wait()
                now -= 1
                writer.write(OK)
                await writer.drain()

        async with tcp_server(talk) as port:
            answers = await asyncio.gather(*(network.send(request(at(port))) for _ in range(120)))
        assert len(answers) == 120
        assert most == 100


class TestAClient:
    async def test_is_made_once_for_all_who_call_first(self, network: Transport) -> None:
        clients = await asyncio.gather(*(network._client() for _ in range(20)))
        assert len({id(client) for client in clients}) == 1

    async def test_whose_first_caller_gives_up_is_made_for_the_others(
        self, network: Transport
    ) -> None:
        first = asyncio.create_task(network._client())
        await asyncio.sleep(0)
        second = asyncio.create_task(network._client())
        await asyncio.sleep(0)
        first.cancel()
        assert await second is await network._client()

    async def test_that_could_not_be_made_is_made_by_a_later_call(
        self, network: Transport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with tcp_server(Server().talk) as port:
            with monkeypatch.context() as patch:
                patch.setenv("SSL_CERT_FILE", "/no/such.pem")
                await network.warm()
                assert await network.reach(at(port)) == "own_certificates"
            assert (await network.send(request(at(port)))).status == 200

    async def test_leaves_nothing_open(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = authority(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(made.path))
        server = Server()
        async with tcp_server(server.talk, tls=made.server()) as port:
            transport = Transport()
            await transport.send(request(f"https://{HERE}:{port}/token"))
            await transport.aclose()
        del transport
        gc.collect()

    async def test_of_a_loop_that_was_closed_goes_when_the_next_one_calls(self) -> None:
        transport = Transport()
        loop = asyncio.new_event_loop()
        await asyncio.to_thread(loop.run_until_complete, transport.warm())
        loop.close()
        await transport.warm()
        assert list(transport._clients) == [(asyncio.get_running_loop(), ())]
        await transport.aclose()
        gc.collect()


class TestSecrets:
    async def test_reach_no_log_whatever_breaks(
        self, network: Transport, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        said = b"HTTP/1.1 canary\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", None
        async with tcp_server(Server(*said).talk) as port:
            for _ in said:
                with pytest.raises(OAuthUnavailable) as caught:
                    await network.send(request(at(port), Authorization="Bearer canary"))
                assert caught.value.__cause__ is caught.value.__context__ is None
        gc.collect()
        assert "canary" not in caplog.text

    async def test_of_a_proxy_reach_no_log_when_a_call_is_given_up(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)

        async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        async with tcp_server(talk) as port:
            transport = Transport(proxy=f"http://user:canary%C3%A9%E2%82%AC@{HERE}:{port}")
            with pytest.raises(OAuthUnavailable) as caught:
                await transport.send(request("https://provider.example/token"), 0.2)
            await transport.aclose()
        gc.collect()
        assert caught.value.code == "timeout"
        assert "canary" not in caplog.text + repr(vars(transport))


async def test_a_name_below_localhost_is_this_machine_whatever_the_system_knows(
    network: Transport,
) -> None:
    server = Server()
    async with tcp_server(server.talk) as port:
        answer = await network.send(request(f"http://acme.shop.localhost:{port}/token"))
    assert answer.status == 200
    (heard,) = server.heard
    assert f"host: acme.shop.localhost:{port}".encode() in heard.lower()
