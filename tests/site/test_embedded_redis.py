from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from redis import Redis

from webui.sandbox.embedded_redis import EmbeddedRedisError, embedded_redis, find_server

NO_PACKAGE = "no_such_package"


def socket_of(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def program(folder: Path, name: str, output: str, code: int = 0) -> Path:
    """A program that prints a line and exits."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{output}'\nexit {code}\n")
    path.chmod(0o755)
    return path


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    with embedded_redis(tmp_path / "data") as url, Redis.from_url(url) as client:
        client.set("kept", "yes")
    with embedded_redis(tmp_path / "data") as url, Redis.from_url(url) as client:
        assert client.get("kept") == b"yes"


def test_without_a_data_folder_nothing_is_kept() -> None:
    with embedded_redis() as url, Redis.from_url(url) as client:
        client.set("kept", "no")
    with embedded_redis() as url, Redis.from_url(url) as client:
        assert client.get("kept") is None


def test_a_second_instance_on_the_same_folder_is_refused_and_the_first_goes_on(
    tmp_path: Path,
) -> None:
    with embedded_redis(tmp_path) as url, Redis.from_url(url) as client:
        with (
            pytest.raises(EmbeddedRedisError, match="in use by another instance"),
            embedded_redis(tmp_path),
        ):
            pass
        assert client.ping()


def test_several_instances_without_a_folder_do_not_share_anything() -> None:
    with (
        embedded_redis() as one,
        embedded_redis() as other,
        Redis.from_url(one) as writer,
        Redis.from_url(other) as reader,
    ):
        writer.set("key", "value")
        assert reader.get("key") is None


def test_the_server_has_no_port_and_evicts_nothing() -> None:
    with embedded_redis() as url, Redis.from_url(url) as client:
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_only_the_owner_can_read_the_socket_and_the_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with embedded_redis(data) as url:
        address = socket_of(url)
        private = [address, address.parent, data, *data.rglob("*")]
        assert [path for path in private if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_an_embedded_server_leaves_no_process_and_no_socket_behind() -> None:
    with embedded_redis() as url, Redis.from_url(url) as client:
        pid = int(client.info("server")["process_id"])
    assert not socket_of(url).parent.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_failure_inside_the_with_ends_the_server_too() -> None:
    with pytest.raises(LookupError), embedded_redis() as url:
        raise LookupError
    assert not socket_of(url).exists()


def test_a_long_path_or_one_with_spaces_is_no_obstacle(tmp_path: Path) -> None:
    data = tmp_path / ("a folder with 'quotes' and " + "length " * 20)
    with embedded_redis(data) as url, Redis.from_url(url) as client:
        assert client.ping()


ENTER_AND_WAIT = """
import sys
from pathlib import Path
from webui.sandbox.embedded_redis import embedded_redis
with embedded_redis(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")
def test_the_server_ends_when_its_process_is_killed_and_keeps_the_data(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENTER_AND_WAIT, str(tmp_path)]
    with (
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as parent,
        socket.socket(socket.AF_UNIX) as connection,
    ):
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        connection.settimeout(20)
        connection.connect(str(socket_of(url)))
        connection.sendall(b"SET kept yes\r\n")
        assert connection.recv(5) == b"+OK\r\n"
        parent.kill()
        assert connection.recv(1) == b""  # the end of the stream: the server has gone
    shutil.rmtree(socket_of(url).parent)  # what a killed process cannot tidy up
    with embedded_redis(tmp_path) as url, Redis.from_url(url) as client:
        assert client.get("kept") == b"yes"


def test_without_a_server_anywhere_the_error_says_what_to_do() -> None:
    with pytest.raises(EmbeddedRedisError, match=r"Install valkey-server .* REDIS_URL"):
        find_server("", NO_PACKAGE)


def test_a_server_on_the_path_is_preferred(tmp_path: Path) -> None:
    own = program(tmp_path, "redis-server", "Redis server v=7.0.15 sha=00000000:0")
    assert find_server(str(tmp_path)) == own


@pytest.mark.parametrize(
    ("output", "code"),
    [("Redis server v=6.0.16 sha=00000000:0", 0), ("version unknown", 0), ("cannot run here", 126)],
)
def test_a_server_that_is_too_old_or_does_not_run_is_passed_over(
    tmp_path: Path, output: str, code: int
) -> None:
    program(tmp_path, "redis-server", output, code)
    with pytest.raises(EmbeddedRedisError):
        find_server(str(tmp_path), NO_PACKAGE)


def test_a_server_that_ends_while_starting_is_quoted(tmp_path: Path) -> None:
    broken = program(tmp_path, "valkey-server", "cannot open the append-only file", 1)
    with (
        pytest.raises(EmbeddedRedisError, match="cannot open the append-only file"),
        embedded_redis(tmp_path / "data", server=broken),
    ):
        pass


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(EmbeddedRedisError, match="file/data cannot be used: Not a directory"),
        embedded_redis(tmp_path / "file" / "data"),
    ):
        pass
