"""Where the site listens: ports, Unix sockets, sockets from systemd; and what systemd is told."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.kit.library import BASE_URL
from tests.kit.site_fixtures import OF_EVERY_PROCESS, START_SECONDS, free_port, site_environment
from webui.serving.listeners import PortTaken, address, given, listen, listening_at
from webui.serving.notify import notify, notify_reloading


class TestAUnixSocket:
    def test_is_for_its_owner_and_group_alone_and_goes_at_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "site.sock"
        with listening_at(path) as listener:
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            assert address(listener) == f"unix:{path}"
        assert not path.exists()

    def test_takes_the_place_of_one_that_was_left_behind(self, tmp_path: Path) -> None:
        path = tmp_path / "site.sock"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        with listening_at(path), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))

    def test_leaves_one_alone_at_which_somebody_listens(self, tmp_path: Path) -> None:
        path = tmp_path / "site.sock"
        with listening_at(path):
            with pytest.raises(PortTaken, match="Another process"), listening_at(path):
                pass
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))

    @pytest.mark.parametrize("name", ["file", "nowhere/site.sock", "x" * 200])
    def test_is_refused_with_a_sentence_where_none_can_be(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "file").write_text("kept")
        with (
            pytest.raises(PortTaken, match=r"^Cannot listen at .+: [A-Z].+\.$"),
            listening_at(tmp_path / name),
        ):
            pass
        assert (tmp_path / "file").read_text() == "kept"

    def test_that_a_later_process_made_is_not_removed(self, tmp_path: Path) -> None:
        path = tmp_path / "site.sock"
        with listening_at(path):
            path.unlink()
            with socket.socket(socket.AF_UNIX) as later:
                later.bind(str(path))
        assert path.exists()


class TestSocketsFromSystemd:
    def test_are_none_if_they_are_meant_for_another_process(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LISTEN_PID", str(os.getpid() + 1))
        monkeypatch.setenv("LISTEN_FDS", "1")
        assert given() == []
        assert "LISTEN_FDS" not in os.environ

    def test_that_do_not_listen_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", "100")
        with pytest.raises(PortTaken, match="no listening socket"):
            given()


class TestNews:
    @pytest.fixture
    def hears(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(str(tmp_path / "notify"))
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
            yield systemd

    def test_reach_systemd(self, hears: socket.socket) -> None:
        notify("READY=1")
        assert hears.recv(100) == b"READY=1"
        notify_reloading()
        assert hears.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")

    def test_go_to_an_abstract_socket_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        name = f"webui-test-{os.getpid()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind("\0" + name)
            monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
            notify("STOPPING=1")
            assert systemd.recv(100) == b"STOPPING=1"

    def test_are_nothing_without_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
        notify("READY=1")
        monkeypatch.delenv("NOTIFY_SOCKET")
        notify("READY=1")


# The command itself


class Systemd:
    """What systemd does for a service: a socket to listen on, and one to be told at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "site.sock"
        self.hears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.hears.bind(str(folder / "notify"))
        self.hears.settimeout(START_SECONDS)

    def said(self, word: str) -> None:
        """Wait for a word."""
        while not self.hears.recv(1000).decode().startswith(word):
            pass

    @contextmanager
    def running(
        self,
        redis_url: str,
        *arguments: str,
        listener: socket.socket | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        own = {name: os.environ[name] for name in OF_EVERY_PROCESS if name in os.environ}
        environment = {**site_environment(BASE_URL, redis_url, {}), **own, **(more or {})}
        command = [sys.executable, "-W", "error", "-m", "webui", "serve", *arguments]
        number = listener.fileno() if listener else 0
        if listener:
            activated = f'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&{number}'
            command = ["bash", "-c", activated, "bash", *command]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env={**environment, "NOTIFY_SOCKET": str(self.folder / "notify")},
                stdout=log,
                stderr=log,
                pass_fds=[number] if listener else [],
            )
        try:
            self.said("READY=1")
            yield process
        finally:
            process.terminate()
            process.wait(START_SECONDS)
            self.said("STOPPING=1")


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    made = Systemd(tmp_path)
    yield made
    made.hears.close()


def over(path: Path) -> httpx.Client:
    return httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://bot.example")


class TestServe:
    def test_answers_at_a_unix_socket_and_tells_systemd(
        self, redis_url: str, systemd: Systemd
    ) -> None:
        at = ("--uds", str(systemd.path))
        with systemd.running(redis_url, *at) as process, over(systemd.path) as client:
            assert stat.S_IMODE(systemd.path.stat().st_mode) == 0o660
            assert client.get("/healthz").text == "ok\n"
            process.send_signal(signal.SIGHUP)
            systemd.said("RELOADING=1")
            systemd.said("READY=1")
        assert not systemd.path.exists()

    def test_loses_nobody_who_connects_while_it_restarts_if_systemd_keeps_the_socket(
        self, redis_url: str, systemd: Systemd
    ) -> None:
        listener = listen("127.0.0.1", free_port())
        with listener, socket.create_connection(listener.getsockname()) as early:
            early.settimeout(START_SECONDS)
            with systemd.running(redis_url, listener=listener):
                early.sendall(b"GET /healthz HTTP/1.1\r\nHost: bot.example\r\n\r\n")
                assert early.recv(1000).startswith(b"HTTP/1.1 200")
            with socket.create_connection(listener.getsockname()) as between:
                between.settimeout(START_SECONDS)
                between.sendall(b"GET /healthz HTTP/1.1\r\nHost: bot.example\r\n\r\n")
                with systemd.running(redis_url, listener=listener):
                    assert between.recv(1000).startswith(b"HTTP/1.1 200")

    @pytest.mark.parametrize(
        ("trusted", "status"), [("unix", 200), ("127.0.0.1", 303)], ids=["named", "not named"]
    )
    def test_believes_a_proxy_at_its_unix_socket_only_if_it_is_named(
        self, redis_url: str, systemd: Systemd, trusted: str, status: int
    ) -> None:
        more = {"TRUSTED_PROXIES": trusted, "PROXY_USER_HEADER": "X-Forwarded-User"}
        with (
            systemd.running(redis_url, "--uds", str(systemd.path), more=more),
            over(systemd.path) as client,
        ):
            answer = client.get("/connections", headers={"X-Forwarded-User": "ann"})
        assert answer.status_code == status

    def test_believes_nobody_on_a_port_where_only_the_unix_socket_is_named(
        self, redis_url: str, systemd: Systemd
    ) -> None:
        port = free_port()
        more = {"TRUSTED_PROXIES": "unix", "PROXY_USER_HEADER": "X-Forwarded-User"}
        with systemd.running(redis_url, "--port", str(port), more=more):
            headers = {"X-Forwarded-User": "ann", "Host": "bot.example"}
            answer = httpx.get(f"http://127.0.0.1:{port}/connections", headers=headers)
        assert answer.status_code == 303

    def test_takes_a_port_or_a_unix_socket(self) -> None:
        command = [sys.executable, "-m", "webui", "serve", "--uds", "x", "--port", "1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 2
        assert "--uds takes the place of --host and --port." in done.stderr
