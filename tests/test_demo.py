"""The demo as somebody tries it: chat, link, code, consent, tool, refresh, disconnect."""

from __future__ import annotations

import fcntl
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from tests.journey import Journey, demo
from webui.sandbox.demo_secrets import read_secrets

pytestmark = pytest.mark.anyio

PROVIDERS = {"github": "GitHub", "google": "Google", "discord": "Discord", "microsoft": "Microsoft"}
ACCOUNTS = {
    "github": "mona",
    "google": "mona@example.com",
    "discord": "mona",
    "microsoft": "mona@example.com",
}
ALWAYS_DUE = 60  # seconds; a token that lives no longer is renewed at every use
LONG = 3600


@pytest.fixture
async def journey(redis: Redis, redis_url: str) -> AsyncIterator[Journey]:
    async with demo(redis_url, token_lifetime=LONG) as started:
        yield started


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_from_the_chat_to_a_tool_that_uses_the_token_and_back(
    journey: Journey, provider: str
) -> None:
    label, account = PROVIDERS[provider], ACCOUNTS[provider]
    assert f"{label} is not connected" in await journey.say(f"whoami {provider}")

    done = await journey.connect(provider)

    assert done.url == f"{journey.site}/connect/done/{provider}"
    assert account in done.text
    used = await journey.say(f"whoami {provider}")
    assert f"{label} knows you as {account}." in used
    assert "came with the connection" in used
    assert f"{label}: connected as {account}" in await journey.say("list")
    assert f"already connected as {account}" in await journey.say(f"connect {provider}")

    ended = await journey.say(f"disconnect {provider}")

    is_told_where = "its own list" in ended and f"{journey.sandbox}/{provider}/settings" in ended
    assert "cancelled my access too" in ended or is_told_where
    assert f"{label}: not connected" in await journey.say("list")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_token_that_runs_out_is_renewed_again_and_again(
    redis: Redis, redis_url: str, provider: str
) -> None:
    async with demo(redis_url, token_lifetime=ALWAYS_DUE) as journey:
        await journey.connect(provider)
        for _ in range(3):
            used = await journey.say(f"whoami {provider}")
            assert f"knows you as {ACCOUNTS[provider]}. The token was renewed" in used


async def test_a_person_with_a_session_needs_no_code(journey: Journey) -> None:
    await journey.connect("github")
    landing = await journey.open_link(await journey.say("connect discord"))
    done = await journey.consent(await journey.press(landing, "link-yes"))
    assert done.url == f"{journey.site}/connect/done/discord"


async def test_connect_alone_leads_to_the_connections_page(journey: Journey) -> None:
    signed_in = await journey.prove(await journey.say("connect"))
    assert signed_in.status_code == 303
    assert signed_in.headers["location"] == "/connections"
    page = await journey.browser.get(f"{journey.site}/connections")
    assert all(label in page.text for label in PROVIDERS.values())


async def test_a_forwarded_link_gets_nobody_anywhere(journey: Journey) -> None:
    link = await journey.say("connect github", "alice")
    code = await journey.reach_code(link)  # in the browser of Bob, say

    assert "does not match" in await journey.say(code, "bob")
    still_closed = await journey.press(
        await journey.browser.get(f"{journey.site}/connect/proof"), "proof-sent"
    )

    assert 'rel="noreferrer"' not in still_closed.text
    for person in ("alice", "bob"):
        assert "GitHub: not connected" in await journey.say("list", person)


async def test_a_wrong_code_is_counted_until_no_page_waits_any_more(journey: Journey) -> None:
    await journey.reach_code(await journey.say("connect github"))
    for left in ("4 tries", "3 tries", "2 tries", "1 try"):
        assert f"({left} left)" in await journey.say("000 000")
    assert "no page is waiting" in await journey.say("000 000")


async def test_access_ended_at_the_provider_brings_a_new_link(redis: Redis, redis_url: str) -> None:
    async with demo(redis_url, token_lifetime=ALWAYS_DUE) as journey:
        await journey.connect("github")
        settings = f"{journey.sandbox}/github/settings"
        shown = await journey.browser.get(settings)
        grant = re.search(r'name="grant" value="(\w+)"', shown.text)
        assert grant
        await journey.post(f"{settings}/remove", {"grant": grant[1]})

        broken = await journey.say("whoami github")

        assert "GitHub needs reconnecting, so I could not do that." in broken
        assert (await journey.open_link(broken)).status_code == 200
        assert "GitHub: needs reconnecting" in await journey.say("list")


async def test_trouble_at_the_provider_is_told_and_keeps_the_connection(
    journey: Journey,
) -> None:
    await journey.connect("google")
    await journey.post(f"{journey.sandbox}/google/settings/trouble", {"trouble": "on"})
    assert "Google does not answer right now." in await journey.say("whoami google")
    assert "Google: connected" in await journey.say("list")


# The command


def free_ports() -> tuple[int, int]:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        return one.getsockname()[1], other.getsockname()[1]


def command(data: Path, ports: tuple[int, int]) -> list[str]:
    options = ["--port", str(ports[0]), "--provider-port", str(ports[1]), "--data", str(data)]
    return [sys.executable, "-m", "webui", "demo", *options]


@contextmanager
def running(data: Path, ports: tuple[int, int]) -> Iterator[subprocess.Popen[str]]:
    """The command, started; yields when it has said where it listens."""
    with subprocess.Popen(
        command(data, ports), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if "Ctrl-C" in line:
                    break
            assert process.poll() is None
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def refusal(data: Path, ports: tuple[int, int]) -> str:
    """What is said where the demo does not start."""
    ended = subprocess.run(command(data, ports), capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    return ended.stderr


def no_server_is_left(data: Path) -> bool:
    """The embedded server holds the lock on its folder for as long as it lives."""
    with (data / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_it_says_what_to_open_and_ends_quietly(tmp_path: Path) -> None:
    ports = free_ports()
    with subprocess.Popen(
        command(tmp_path, ports), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            said += process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    assert f"http://localhost:{ports[1]}/chat" in said
    assert f"http://127.0.0.1:{ports[0]}" in said
    assert (process.returncode, rest.strip(), errors) == (0, "", "")
    assert no_server_is_left(tmp_path)


async def test_a_second_start_finds_the_connection_again(tmp_path: Path) -> None:
    ports = free_ports()
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        journey = Journey(f"http://127.0.0.1:{ports[0]}", f"http://localhost:{ports[1]}", browser)
        with running(tmp_path, ports):
            await journey.connect("github")
        with running(tmp_path, ports):
            assert "knows you as mona" in await journey.say("whoami github")
            page = await browser.get(f"{journey.site}/connections")
            assert page.status_code == 200  # the session is there too


def test_a_second_instance_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, free_ports()) as first:
        assert "in use by another instance" in refusal(tmp_path, free_ports())
        assert first.poll() is None


@pytest.mark.parametrize("which", [0, 1])
def test_a_port_in_use_is_named_and_no_server_stays_behind(tmp_path: Path, which: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = list(free_ports())
        ports[which] = taken.getsockname()[1]
        assert f"port {ports[which]}" in refusal(tmp_path, (ports[0], ports[1]))
    assert no_server_is_left(tmp_path)


def test_the_secrets_are_the_owners_alone_and_stay_the_same(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    made = read_secrets(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_secrets(path) == made
    assert made.encryption_key not in repr(made)


@pytest.mark.parametrize("name", ["secrets.json", "providers.json"])
def test_a_file_that_is_not_ours_is_named_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"of": "somebody else"}')
    assert name in refusal(tmp_path, free_ports())
    assert "somebody else" in (tmp_path / name).read_text()
