"""Calls to providers: one deadline for the whole, a cap on the bytes, never a redirect."""

from __future__ import annotations

import asyncio
import gc
import gzip
import inspect
import logging
import socket
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import (
    Answer,
    dripping,
    endless,
    error_answer,
    gzip_bomb,
    json_answer,
    redirect,
)
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import FAKE_URL, began, granted, manager_for
from webui.oauth_manager import OAuthUnavailable, RevokeOutcome, TokenData
from webui.oauth_manager.protocol.answers import Answer as Received
from webui.oauth_manager.protocol.requests import ProviderRequest
from webui.oauth_manager.protocol.transport import (
    DEADLINE,
    DEADLINE_WHILE_WAITING,
    MAX_BODY,
    Transport,
)

pytestmark = pytest.mark.anyio

SHORT = 0.3  # seconds; long enough for loopback, and the answers under test never end


@pytest.fixture
async def network() -> AsyncIterator[Transport]:
    """The real one."""
    transport = Transport()
    yield transport
    await transport.aclose()


def in_process(fake: FakeProvider) -> Transport:
    return Transport(httpx.ASGITransport(fake))


def request(url: str = "http://p.example/token", **headers: str) -> ProviderRequest:
    return ProviderRequest("plain", "exchange", "POST", url, headers, b"code=canary-code")


@asynccontextmanager
async def raw_server(said: bytes) -> AsyncIterator[str]:
    """A socket that says the same to everybody, whatever it is asked, and hangs up."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"


class TestBounds:
    def test_a_call_has_ten_seconds_and_four_where_a_person_waits(self) -> None:
        assert DEADLINE == 10.0
        assert DEADLINE_WHILE_WAITING == 4.0
        assert inspect.signature(Transport.send).parameters["deadline"].default == DEADLINE

    async def test_a_dripping_answer_ends_at_the_deadline(
        self, fake: FakeProvider, network: Transport
    ) -> None:
        fake.script("token", dripping())
        with serve(fake) as url, pytest.raises(OAuthUnavailable) as caught:
            await network.send(request(f"{url}/token"), SHORT)
        assert caught.value.code == "timeout"

    async def test_an_answer_that_never_begins_ends_at_the_deadline(
        self, fake: FakeProvider, network: Transport
    ) -> None:
        gate = fake.gate("token")
        with serve(fake) as url:
            with pytest.raises(OAuthUnavailable) as caught:
                await network.send(request(f"{url}/token"), SHORT)
            gate.open()
        assert caught.value.code == "timeout"

    async def test_an_endless_answer_ends_at_the_cap(
        self, fake: FakeProvider, network: Transport
    ) -> None:
        fake.script("token", endless())
        with serve(fake) as url, pytest.raises(OAuthUnavailable) as caught:
            await network.send(request(f"{url}/token"))
        assert caught.value.code == "unusable_answer"

    async def test_a_gzip_bomb_stays_packed(self, fake: FakeProvider, network: Transport) -> None:
        fake.script("token", gzip_bomb())
        with serve(fake) as url, pytest.raises(OAuthUnavailable) as caught:
            await network.send(request(f"{url}/token"))
        assert caught.value.code == "unusable_answer"

    async def test_a_bomb_takes_no_more_memory_than_the_cap_allows(
        self, fake: FakeProvider
    ) -> None:
        fake.script("token", gzip_bomb(64 * 1024 * 1024))
        transport = in_process(fake)
        tracemalloc.start()
        try:
            with pytest.raises(OAuthUnavailable):
                await transport.send(request())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 16 * MAX_BODY

    async def test_the_cap_itself_is_allowed_and_one_byte_more_is_not(
        self, fake: FakeProvider
    ) -> None:
        fake.script(
            "token", Answer(200, {}, b" " * MAX_BODY), Answer(200, {}, b" " * (MAX_BODY + 1))
        )
        transport = in_process(fake)
        assert len((await transport.send(request())).body) == MAX_BODY
        with pytest.raises(OAuthUnavailable):
            await transport.send(request())

    async def test_the_loop_goes_on_while_a_provider_drips(
        self, fake: FakeProvider, network: Transport
    ) -> None:
        fake.script("token", dripping())
        with serve(fake) as url:
            slow = asyncio.create_task(network.send(request(f"{url}/token")))
            quick = await network.send(request(f"{url}/account"))
            assert quick.status == 401
            assert not slow.done()
            slow.cancel()
            await asyncio.gather(slow, return_exceptions=True)


_GZIPPED = gzip.compress(b"{}", mtime=0)


class TestEncodings:
    @pytest.mark.parametrize(
        ("encoding", "packed"),
        [("gzip", _GZIPPED), ("deflate", zlib.compress(b"{}")), ("identity", b"{}")],
    )
    async def test_a_packed_answer_is_read(
        self, fake: FakeProvider, encoding: str, packed: bytes
    ) -> None:
        fake.script("token", Answer(200, {"content-encoding": encoding}, packed))
        assert (await in_process(fake).send(request())).body == b"{}"

    @pytest.mark.parametrize(
        ("encoding", "packed"),
        [
            ("gzip", b"not gzip"),
            ("gzip", _GZIPPED[:5] + b"\xff" * 40),
            ("br", b"{}"),
            ("gzip, gzip", gzip.compress(_GZIPPED, mtime=0)),
            ("zstd", b"{}"),
        ],
    )
    async def test_any_other_packing_is_no_answer(
        self, fake: FakeProvider, encoding: str, packed: bytes
    ) -> None:
        fake.script("token", Answer(200, {"content-encoding": encoding}, packed))
        with pytest.raises(OAuthUnavailable):
            await in_process(fake).send(request())

    async def test_none_is_asked_for(self, fake: FakeProvider) -> None:
        await in_process(fake).send(request())
        assert fake.requests[0].headers["accept-encoding"] == "identity"


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("endpoint", ["exchange", "refresh", "revoke", "account"])
    async def test_the_target_is_never_called(
        self, fake: FakeProvider, redis: Redis, status: int, endpoint: str
    ) -> None:
        manager = manager_for(fake)
        away = redirect("http://elsewhere.example/token", status)
        attempt, code = await began(manager, fake, redis, "u1", "google")
        if endpoint in ("refresh", "revoke"):
            await manager.store_token(redis, "u1", granted(fake, "google"))
        match endpoint:
            case "exchange":
                fake.script("token", away)
                with pytest.raises(OAuthUnavailable):
                    await manager.complete(redis, attempt, code)
                assert await redis.keys("stargazer:oauth_tokens:*") == []
            case "account":
                fake.script("account", away)
                assert await manager.complete(redis, attempt, code) is not None
            case "refresh":
                fake.script("token", away)
                with pytest.raises(OAuthUnavailable):
                    await manager.get_token("u1", "google", redis)
                assert await manager.has_token("u1", "google", redis)
            case "revoke":
                fake.script("revoke", away)
                done = await manager.delete_token(redis, "u1", "google")
                assert done.at_provider is RevokeOutcome.UNCONFIRMED
        assert {r.headers["host"] for r in fake.requests} == {urlsplit(FAKE_URL).netloc}


class TestFaultsOfTheNetwork:
    async def test_nobody_listening_is_trouble_at_the_provider(self, network: Transport) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(OAuthUnavailable) as caught:
            await network.send(request(f"http://127.0.0.1:{port}/token"))
        assert caught.value.code == "network"

    async def test_a_name_that_does_not_resolve_is_trouble_at_the_provider(
        self, network: Transport
    ) -> None:
        with pytest.raises(OAuthUnavailable) as caught:
            await network.send(request("http://no-such-host.invalid/token"))
        assert caught.value.code == "network"

    @pytest.mark.parametrize(
        "said",
        [
            b"",
            b"SSH-2.0-OpenSSH_9\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 999999 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 500_000 + b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
        ],
        ids=["hang-up", "ssh", "cut off", "length", "chunk", "status", "long header", "headers"],
    )
    async def test_an_answer_that_is_not_http_is_trouble_at_the_provider(
        self, network: Transport, said: bytes
    ) -> None:
        async with raw_server(said) as url:
            with pytest.raises(OAuthUnavailable):
                await network.send(request(url))

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "no-scheme",
            "ftp://p.example/",
            "file:///etc/passwd",
            "http://",
            "http://[bad/",
            "http://p.example:99999/",
            "http://\ud800/",
            "http://a\nb/",
            "http://p.example/\0",
        ],
    )
    async def test_an_address_that_is_none_is_trouble_at_the_provider(
        self, network: Transport, url: str
    ) -> None:
        with pytest.raises(OAuthUnavailable):
            await network.send(request(url), SHORT)

    async def test_a_certificate_nobody_vouches_for_is_refused(
        self, fake: FakeProvider, network: Transport
    ) -> None:
        """Plain HTTP where TLS is expected will do: no handshake, no request."""
        with serve(fake) as url, pytest.raises(OAuthUnavailable):
            await network.send(request(url.replace("http:", "https:") + "/token"))
        assert fake.requests == []

    async def test_nothing_is_ever_sent_twice(self, fake: FakeProvider, network: Transport) -> None:
        fake.always["token"] = error_answer("server_error", 503)
        with serve(fake) as url:
            await network.send(request(f"{url}/token"))
        assert fake.calls["token"] == 1

    async def test_the_environments_proxies_are_not_used(
        self, fake: FakeProvider, network: Transport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9/")
        with serve(fake) as url:
            assert (await network.send(request(f"{url}/unknown"))).status == 404


class TestNothingIsMixedUp:
    async def test_a_cookie_of_one_answer_is_not_sent_with_the_next_request(
        self, fake: FakeProvider
    ) -> None:
        """All people share one client; what a provider tells one is not for another."""
        fake.script("token", json_answer({}, 200, set_cookie="who=u1; Path=/"))
        transport = in_process(fake)
        await transport.send(request())
        await transport.send(request())
        assert "cookie" not in fake.requests[1].headers

    async def test_one_client_serves_a_whole_event_loop_and_ends_with_it(self) -> None:
        transport = Transport()
        assert await transport._client() is await transport._client()
        await transport.aclose()

    def test_every_event_loop_has_a_client_of_its_own(self, fake: FakeProvider) -> None:
        transport = in_process(fake)

        async def once() -> int:
            status = (await transport.send(request())).status
            await transport.aclose()
            return status

        assert [asyncio.run(once()) for _ in range(2)] == [401, 401]
        gc.collect()
        assert len(transport._clients) == 0


class TestSecrecy:
    async def test_a_token_with_a_line_break_does_not_reach_the_exception(
        self, fake: FakeProvider, network: Transport, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        with serve(fake) as url, pytest.raises(OAuthUnavailable) as caught:
            await network.send(request(f"{url}/token", Authorization="Bearer canary\r\nX: canary"))
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        assert "canary" not in f"{caught.value} {caught.value!r}"
        ours = [r.getMessage() for r in caplog.records if r.name.startswith("webui")]
        assert ours
        assert "canary" not in "".join(ours)

    def test_reprs_of_request_and_answer_hold_nothing(self) -> None:
        shown = repr(request("http://p.example/canary", Authorization="canary"))
        assert "canary" not in shown
        assert "canary" not in repr(Received(200, {"x": "canary"}, b"canary"))
        assert "canary" not in repr(TokenData("canary", "canary"))
