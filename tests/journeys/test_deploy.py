"""The files of deploy/: each is taken by the program that it is for, as far as that can be had."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from textwrap import dedent

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError

from tests.kit.library import KEY
from tests.kit.site_fixtures import (
    OF_EVERY_PROCESS,
    SESSION_SECRET,
    free_port,
    serving,
    site_at,
)
from webui.sandbox.embedded_redis import find_server
from webui.settings.settings import load_settings
from webui.settings.table import known_names

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SYSTEMD = DEPLOY / "systemd"
MOST_EXPOSED = 2.0  # of 10


def program(name: str, requirement: str) -> str:
    """The path of a program; without it the test is skipped, unless the requirement is set."""
    beside = os.environ.get("SCHEMA_PROGRAMS", "")
    found = shutil.which(name) or shutil.which(name, path=f"{beside}:/usr/sbin:/usr/local/bin")
    if found:
        return found
    if os.environ.get(requirement):
        pytest.fail(f"{requirement} is set and there is no {name}")
    pytest.skip(f"there is no {name} here")


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=600, check=False
    )


def test_every_file_is_said_to_be_there_and_is() -> None:
    page = (ROOT / "docs" / "deploying.md").read_text()
    named = set(re.findall(r"^\| `(deploy/[^`]+)`", page, re.M))
    beside = {"deploy/Dockerfile.dockerignore"}
    others = ("deploy/prometheus", "deploy/grafana")
    files = {path.relative_to(ROOT).as_posix() for path in DEPLOY.rglob("*") if path.is_file()}
    assert {file for file in files if not file.startswith(others)} == named | beside


class TestSystemd:
    @pytest.fixture
    def units(self, tmp_path: Path) -> Path:
        """The units as they are, but for the place of the command."""
        for unit in ("webui.socket", "webui.service"):
            text = (SYSTEMD / unit).read_text()
            (tmp_path / unit).write_text(
                text.replace("/opt/webui/bin/webui", str(Path(sys.executable).parent / "webui"))
            )
        return tmp_path

    def test_takes_the_units(self, units: Path) -> None:
        analyze = program("systemd-analyze", "REQUIRE_SYSTEMD")
        done = run(analyze, "verify", units / "webui.socket", units / "webui.service")
        assert (done.returncode, done.stderr) == (0, "")

    def test_finds_the_service_exposed_to_next_to_nothing(self, units: Path) -> None:
        analyze = program("systemd-analyze", "REQUIRE_SYSTEMD")
        most = str(round(MOST_EXPOSED * 10))
        security = (analyze, "security", "--offline=true", f"--threshold={most}")
        done = run(*security, units / "webui.service")
        assert done.returncode == 0, done.stdout[-500:]

    def test_starts_it_with_the_sockets_settings_and_credentials_that_it_reads(
        self, empty_redis_url: str, tmp_path: Path
    ) -> None:
        unit = (SYSTEMD / "webui.service").read_text()
        credentials = dict(re.findall(r"^LoadCredential=(\w+):(/etc/webui/\w+)$", unit, re.M))
        assert all(path.endswith(f"/{name}") for name, path in credentials.items())
        given = dict(re.findall(r"^Environment=(\w+_FILE)=%d/(\w+)$", unit, re.M))
        assert set(given.values()) == set(credentials)
        assert set(given) <= known_names([])
        secrets = {
            "redis_url": empty_redis_url,
            "encryption_key": KEY,
            "session_secret": SESSION_SECRET,
            "github_client_secret": "secret-of-github",
        }
        for name in credentials:
            (tmp_path / name).write_text(secrets[name])
        files = {name: str(tmp_path / file) for name, file in given.items()}
        environment = {**environment_file(), "GITHUB_CLIENT_ID": "id", **files}
        settings = load_settings(environment)
        assert settings.providers_config["github"]["client_secret"] == "secret-of-github"
        (command,) = re.findall(r"^ExecStart=/opt/webui/bin/webui serve (.*)$", unit, re.M)
        port = free_port()
        arguments = (*shlex.split(command), "--port", str(port))
        with serving(environment, tmp_path, *arguments, at=f"http://127.0.0.1:{port}") as process:
            (started,) = process.wait_for("started")
            assert started["workers"] == 2
            process.process.send_signal(reload_signal(unit))
            process.wait_for("settings read again")


def environment_file() -> dict[str, str]:
    lines = (SYSTEMD / "webui.env").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(given) <= known_names([])
    return given


def reload_signal(unit: str) -> int:
    (name,) = re.findall(r"^ExecReload=/bin/kill -(\w+) \$MAINPID$", unit, re.M)
    return signal.Signals[f"SIG{name}"]


def test_compose_takes_its_file() -> None:
    checker = program("check-jsonschema", "REQUIRE_SCHEMAS")
    done = run(checker, "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")
    assert done.returncode == 0, done.stdout


def started(script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.DEVNULL)


async def test_the_valkey_of_compose_wants_the_password_and_gets_the_signal(tmp_path: Path) -> None:
    binary = find_server()
    assert binary
    text = (
        (DEPLOY / "compose.yaml").read_text().partition("      - -c\n")[2].partition("    user:")[0]
    )
    _, _, script = text.partition("\n")  # the line before it says how it is folded
    (tmp_path / "password").write_text("canary\n")
    port = free_port()
    for theirs, ours in {
        "$$": "$",
        "/run/secrets/redis_password": str(tmp_path / "password"),
        "valkey-server -": f"{binary} - --port {port} --bind 127.0.0.1",
        "/data": str(tmp_path),
    }.items():
        assert theirs in script
        script = script.replace(theirs, ours)
    process = started(dedent(script))
    try:
        async with Redis(port=port, password="canary") as redis:
            async with asyncio.timeout(20):
                while True:
                    with suppress(RedisError):
                        assert (await redis.info("server"))["process_id"] == process.pid
                        break
                    await asyncio.sleep(0.05)
        async with Redis(port=port) as stranger:
            with pytest.raises(AuthenticationError):
                await stranger.ping()
        process.terminate()
        assert await asyncio.to_thread(process.wait, 20) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("version", ["1.27", "1.37"])
def test_kubernetes_takes_the_manifests(version: str) -> None:
    validate = program("kubernetes-validate", "REQUIRE_SCHEMAS")
    manifests = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    done = run(validate, "--strict", "--quiet", "-k", version, *manifests)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", ["compose.yaml", "kubernetes/webui.yaml"])
def test_every_setting_in_a_manifest_is_one_of_ours(file: str) -> None:
    text = (DEPLOY / file).read_text()
    settings = set(re.findall(r"^ +([A-Z][A-Z_]+): ", text, re.M))
    assert {"BASE_URL", "ENCRYPTION_KEY_FILE", "REDIS_URL_FILE"} <= settings <= known_names([])
    for name in re.findall(r"_FILE: /run/secrets/(?:webui/)?(\w+)$", text, re.M):
        assert text.count(name) > 1  # it is a secret there, too


async def test_the_probes_of_kubernetes_are_answered(redis_url: str, redis: Redis) -> None:
    text = (DEPLOY / "kubernetes" / "webui.yaml").read_text()
    (host,) = set(re.findall(r"- name: Host\n +value: (\S+)", text))
    paths = re.findall(r"^ +path: (\S+)$", text, re.M)
    async with site_at(redis_url, redis, base_url=f"https://{host}") as place:
        browser = await place.browser()
        answers = [await browser.client.get(path, headers={"Host": host}) for path in paths]
    assert [answer.text for answer in answers] == ["ok\n", "ready\n"]


def test_caddy_takes_its_file() -> None:
    caddy = program("caddy", "REQUIRE_CADDY")
    done = run(caddy, "validate", "--adapter", "caddyfile", "--config", DEPLOY / "caddy/Caddyfile")
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_settings_of_oauth2_proxy_are_toml_and_name_secrets_by_file_alone() -> None:
    given = tomllib.loads((DEPLOY / "oauth2-proxy" / "oauth2-proxy.cfg").read_text())
    assert given["set_xauthrequest"] is given["reverse_proxy"] is given["cookie_secure"] is True
    assert [n for n in given if "secret" in n and not n.endswith("_file")] == []
    nginx = (DEPLOY / "nginx" / "oauth2-proxy.conf").read_text()
    assert f"http://{given['http_address']};" in nginx


# The image


def steps() -> Iterator[tuple[str, str]]:
    """Instructions of the Dockerfile, as pairs of name and text."""
    text = (DEPLOY / "Dockerfile").read_text()
    for line in re.sub(r"^#.*\n", "", text, flags=re.M).splitlines():
        if line:
            name, _, rest = line.partition(" ")
            yield name, rest


def test_the_last_stage_of_the_image_builds_nothing_and_is_not_root() -> None:
    *_, last = "\n".join(f"{name} {text}" for name, text in steps()).split("FROM ")
    assert "pip install" not in last
    assert "apt" not in last
    assert "USER 10001:10001\n" in last
    assert "pip uninstall" in last


def test_everything_that_the_image_copies_is_let_through() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    copied = {
        word.split("/")[0]
        for name, text in steps()
        if name == "COPY" and not text.startswith("--from")
        for word in text.split()[:-1]
    }
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied


@contextmanager
def image(folder: Path) -> Iterator[Path]:
    """The steps of the first stage, run in a clean folder: what it makes at /opt/webui."""
    places = {"/build": folder / "build", "/opt/webui": folder / "webui", "/src": folder / "src"}
    (folder / "src").mkdir()

    def here(text: str) -> str:
        return re.sub(r"(?<![\w.])(/build|/opt/webui|/src)\b", lambda m: str(places[m[0]]), text)

    for name, text in steps():
        if name == "COPY" and text.startswith("--from"):
            break
        if name == "COPY":
            *sources, target = text.split()
            for source in sources:
                to = folder / "src" / target
                to = to / Path(source).name if target.endswith("/") or target == "./" else to
                to.parent.mkdir(exist_ok=True)
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                copy(ROOT / source, to)
        if name == "RUN" and "pip uninstall" not in text:
            done = run("sh", "-c", here(text), cwd=folder / "src")
            assert done.returncode == 0, f"{text}\n{done.stderr[-2000:]}"
    yield folder / "webui"


def test_the_steps_of_the_image_make_a_site_that_its_health_check_finds_well(
    empty_redis_url: str, tmp_path: Path
) -> None:
    if not os.environ.get("REQUIRE_IMAGE"):
        pytest.skip("REQUIRE_IMAGE is not set: it installs everything from the package index")
    port = free_port()
    settings = {
        "BASE_URL": f"http://127.0.0.1:{port}",
        "REDIS_URL": empty_redis_url,
        "ENCRYPTION_KEY": KEY,
        "SESSION_SECRET": SESSION_SECRET,
        "METRICS_TOKEN": SESSION_SECRET,  # taken if the image has the extra metrics
    }
    (health,) = (text for name, text in steps() if name == "HEALTHCHECK")
    (command,) = (json.loads(text) for name, text in steps() if name == "CMD")
    check = json.loads(health[health.index("[") :].replace("8000", str(port)))
    with image(tmp_path) as made:
        own = {name: os.environ[name] for name in OF_EVERY_PROCESS if name in os.environ}
        environment = {**own, **settings, "PATH": f"{made / 'bin'}:{own['PATH']}"}
        command[command.index("--port") + 1] = str(port)
        with subprocess.Popen([made / "bin/webui", *command], env=environment) as process:
            try:
                assert is_well(check, environment)
            finally:
                process.terminate()
        assert not list(made.glob("bin/pip*"))
        assert run(*check, cwd=tmp_path).returncode != 0


def is_well(check: list[str], environment: Mapping[str, str]) -> bool:
    """Ask as often as it takes to start."""
    for _ in range(50):
        done = subprocess.run(check, env=environment, capture_output=True, check=False)
        if done.returncode == 0:
            return True
        if b"ConnectionRefused" not in done.stderr:
            return False
        time.sleep(0.2)
    return False
