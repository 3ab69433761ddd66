"""A real nginx on loopback, with a configuration from deploy/."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_connection

import pytest

from tests.kit.site_fixtures import free_port

START_SECONDS = 10.0


def binary() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found:
        return found
    if os.environ.get("REQUIRE_NGINX"):
        pytest.fail("REQUIRE_NGINX is set and there is no nginx")
    pytest.skip("there is no nginx here")


@dataclass(frozen=True)
class Nginx:
    """``logs`` is everything that it has written so far."""

    port: int
    folder: Path = field(repr=False)

    @property
    def logs(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))


def configure(folder: Path, example: str, certificate: Path, ports: Mapping[int, int]) -> Path:
    """Put an example where nginx may read it, with ports, certificates and logs of this run.

    ``ports`` leads each port in it to one here.
    """
    made = re.sub(r"(ssl_certificate(?:_key)?) \S+;", rf"\1 {certificate};", example)
    made = made.replace("/var/log/nginx", str(folder))
    for port, own in ports.items():
        made = re.sub(rf"listen {port}\b", f"listen 127.0.0.1:{own}", made)
        made = re.sub(rf"127\.0\.0\.1:{port}\b", f"127.0.0.1:{own}", made)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    whole = folder / "nginx.conf"
    whole.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log {folder}/access.log;\n{paths}\n{made}\n}}\n"
    )
    return whole


def complaint(configuration: Path) -> str:
    """Return the complaint of ``nginx -t``; ``""`` if it is content."""
    command = [binary(), "-t", "-q", "-c", str(configuration)]
    done = subprocess.run(command, capture_output=True, timeout=START_SECONDS, check=False)
    return done.stderr.decode() or ("failed" if done.returncode else "")


@contextmanager
def nginx(
    folder: Path, example: str, certificate: Path, ports: Mapping[int, int]
) -> Iterator[Nginx]:
    port = free_port()
    configuration = configure(folder, example, certificate, {443: port, 80: free_port(), **ports})
    assert complaint(configuration) == ""
    process = subprocess.Popen(
        [binary(), "-c", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(round(START_SECONDS / 0.02)):
            try:
                create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None
                _wait(process, 0.02)
        yield Nginx(port, folder)
    finally:
        process.terminate()
        _wait(process, START_SECONDS)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return
