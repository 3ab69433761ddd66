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

from tests.kit.journey import Journey, demo
from tests.kit.library import age
from webui.oauth_manager import get_oauth_manager
from webui.sandbox.demo_secrets import read_secrets

pytestmark = pytest.mark.anyio

PROVIDERS = {"github": "GitHub", "google": "Google", "discord": "Discord", "microsoft": "Microsoft"}
ACCOUNTS = {
    "github": "mona",
    "google": "mona@example.com",
    "discord": "mona",
    "microsoft": "mona@example.com",
}
LONG = 3600  # seconds


@pytest.fixture
async def journey(redis: Redis, redis_url: str) -> AsyncIterator[Journey]:
    async with demo(redis_url, token_lifetime=LONG) as started:
        yield started


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_from_the_chat_to_a_tool_that_uses_the_token_and_back(
    journey: Journey, provider: str
) -> None:
    label, account = PROVIDERS[provider], ACCOUNTS[provider]
    assert f"cannot ask {label} who you are" in await journey.say(f"whoami {provider}")

    done = await journey.connect(provider)

    assert done.url == f"{journey.site}/connect/done/{provider}"
    assert account in done.text
    used = await journey.say(f"whoami {provider}")
    assert f"{label} knows you as {account}." in used
    assert "came with the connection" in used
    assert f"{label}: connected as {account}." in await journey.say("list")
    assert f"{label} checked: working." in await journey.say(f"check {provider}")
    assert f"{label}: connected as {account}. Connected less than" in await journey.say(
        f"status {provider}"
    )
    assert f"already connected as {account}" in await journey.say(f"connect {provider}")

    ended = await journey.say(f"disconnect {provider}")

    is_told_where = "its own list" in ended and f"{journey.sandbox}/{provider}/settings" in ended
    assert "cancelled my access too" in ended or is_told_where
    assert f"{label}: not connected." in await journey.say(f"status {provider}")


async def test_providers_of_the_catalogue_are_played_when_they_are_named(
    redis: Redis, redis_url: str
) -> None:
    """One whose tokens lie elsewhere, one asked by JSON, one known by its issuer alone."""
    names = ("slack", "notion", "linear")
    async with demo(redis_url, token_lifetime=LONG, others=names) as journey:
        for name in names:
            journey.browser.cookies.clear()
            await journey.connect(name)
            assert " knows you as Mona Lisa." in await journey.say(f"whoami {name}")
            assert "cancelled my access too" in await journey.say(f"disconnect {name}")
        page = await journey.browser.get(f"{journey.sandbox}/standins")
        assert all(f"/{name}/settings" in page.text for name in names)


ASKED = {
    "shopify": {"shop": "blue-shoes"},
    "zendesk": {"subdomain": "acme"},
    "intercom": {"region": "eu"},
    "pagerduty": {"region": "us"},
}


@pytest.mark.parametrize("name", ASKED)
async def test_a_service_that_asks_for_a_value_has_it_in_its_address(
    redis: Redis, redis_url: str, name: str
) -> None:
    ((asked, value),) = ASKED[name].items()
    async with demo(redis_url, token_lifetime=LONG, others=[name]) as journey:
        done = await journey.connect(name, ASKED[name])
        assert "Mona Lisa" in done.text
        manager = get_oauth_manager()
        connection = await manager.connection(redis, "alice", name)
        assert connection.asked == {asked: value}
        assert " knows you as Mona Lisa." in await journey.say(f"whoami {name}")
        card = (await journey.browser.get(f"{journey.site}/connections/{name}")).text
        assert {"eu": "Europe", "us": "United States"}.get(value, value) in card
        if manager.providers[name].refresh == "standard":
            await age(manager, redis, "alice", name)
            assert "The token was renewed" in await journey.say(f"whoami {name}")
        ended = await journey.say(f"disconnect {name}")
        assert ("cancelled my access too" in ended) is manager.providers[name].can_revoke
        page = await journey.browser.get(f"{journey.sandbox}/{name}/settings")
        assert ("No app has access." in page.text) is manager.providers[name].can_revoke


@pytest.mark.parametrize("name", ["keycloak", "okta", "gitlab"])
async def test_a_server_of_ones_own_is_played_by_its_issuer_alone(
    redis: Redis, redis_url: str, name: str
) -> None:
    async with demo(redis_url, token_lifetime=LONG, others=[name]) as journey:
        known = get_oauth_manager().providers[name]
        assert (known.issuer, known.token_url) == (f"{journey.sandbox}/{name}", "")
        done = await journey.connect(name)
        assert "Mona Lisa" in done.text
        assert " knows you as Mona Lisa." in await journey.say(f"whoami {name}")
        await age(get_oauth_manager(), redis, "alice", name)
        assert "The token was renewed" in await journey.say(f"whoami {name}")
        assert "cancelled my access too" in await journey.say(f"disconnect {name}")


async def test_a_remote_mcp_server_is_played_by_its_address_and_gets_more_access_by_a_link(
    redis: Redis, redis_url: str
) -> None:
    async with demo(redis_url, token_lifetime=LONG, others=["notes-mcp"]) as journey:
        assert "note notes-mcp" in await journey.say("help")
        await journey.connect("notes-mcp")
        assert "knows you as Mona Lisa, with 0 notes." in await journey.say("whoami notes-mcp")
        asked = await journey.say("note notes-mcp")
        assert "wants more access from you: notes:write." in asked
        await journey.consent(await journey.press(await journey.open_link(asked), "link-yes"))
        assert "Mona Lisa, with 1 note." in await journey.say("note notes-mcp")
        await age(get_oauth_manager(), redis, "alice", "notes-mcp")
        assert "with 1 note." in await journey.say("whoami notes-mcp")
        assert "read your notes; write notes for you" in await journey.say("status notes-mcp")
        assert "cancelled my access too" in await journey.say("disconnect notes-mcp")
        page = await journey.browser.get(f"{journey.sandbox}/notes-mcp/settings")
        assert "No app has access." in page.text


async def test_a_github_app_is_played_with_its_installation(redis: Redis, redis_url: str) -> None:
    async with demo(redis_url, token_lifetime=LONG, others=["github-app"]) as journey:
        await journey.connect("github")
        card = (await journey.browser.get(f"{journey.site}/connections/github")).text
        assert "not installed there yet" in card
        (install,) = set(re.findall(r'href="([^"]+/installations/new)"', card))
        page = (await journey.browser.get(install)).text
        assert page.count("not installed") == 2
        await journey.post(install, {"account": "mona", "permission": ["contents:read"]})
        assert "working" in await journey.say("check github")
        card = (await journey.browser.get(f"{journey.site}/connections/github")).text
        assert "read the code of the repositories you chose" in card
        await age(get_oauth_manager(), redis, "alice", "github")
        assert "The token was renewed" in await journey.say("whoami github")
        await journey.post(install, {"account": "mona"})
        await journey.say("check github")
        card = (await journey.browser.get(f"{journey.site}/connections/github")).text
        assert "not installed there yet" in card


async def test_a_service_that_tells_nobody_who_somebody_is_is_played_too(
    redis: Redis, redis_url: str
) -> None:
    async with demo(redis_url, token_lifetime=LONG, others=["snowflake"]) as journey:
        await journey.connect("snowflake")
        assert "tells nobody who you are" in await journey.say("whoami snowflake")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_token_that_runs_out_is_renewed_again_and_again(
    journey: Journey, redis: Redis, provider: str
) -> None:
    await journey.connect(provider)
    for _ in range(3):
        await age(get_oauth_manager(), redis, "alice", provider)
        used = await journey.say(f"whoami {provider}")
        assert f"knows you as {ACCOUNTS[provider]}. The token was renewed" in used


async def test_each_of_two_accounts_is_used_by_its_name(journey: Journey) -> None:
    await journey.connect("github")
    landing = await journey.open_link(await journey.say("connect github as work"))
    await journey.consent(await journey.press(landing, "link-yes"), account="hubert")
    asked = await journey.say("whoami github")
    assert "Which GitHub: " in asked
    assert "whoami github work" in asked
    assert "knows you as hubert." in await journey.say("whoami github work")
    assert "knows you as mona." in await journey.say("whoami github as mona")
    assert "cancelled my access too" in await journey.say("disconnect github work")
    assert "I cannot ask GitHub who you are." in await journey.say("whoami github work")


async def test_a_person_with_a_session_needs_no_code(journey: Journey) -> None:
    await journey.connect("github")
    landing = await journey.open_link(await journey.say("connect discord"))
    done = await journey.consent(await journey.press(landing, "link-yes"))
    assert done.url == f"{journey.site}/connect/done/discord"


@pytest.mark.parametrize("text", ["connect", "manage"])
async def test_a_link_for_no_service_leads_to_the_connections_page(
    journey: Journey, text: str
) -> None:
    signed_in = await journey.prove(await journey.say(text))
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
        assert "Nothing is connected yet." in await journey.say("list", person)


async def test_a_wrong_code_is_counted_until_no_page_waits_any_more(journey: Journey) -> None:
    await journey.reach_code(await journey.say("connect github"))
    for left in ("4 tries", "3 tries", "2 tries", "1 try"):
        assert f"({left} left)" in await journey.say("000 000")
    assert "no page is waiting" in await journey.say("000 000")


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("is_due", [False, True], ids=["still valid", "due for a refresh"])
async def test_access_ended_at_the_provider_brings_a_new_link(
    journey: Journey, redis: Redis, provider: str, is_due: bool
) -> None:
    label = PROVIDERS[provider]
    await journey.connect(provider)
    settings = f"{journey.sandbox}/{provider}/settings"
    shown = await journey.browser.get(settings)
    grant = re.search(r'name="grant" value="(\w+)"', shown.text)
    assert grant
    await journey.post(f"{settings}/remove", {"grant": grant[1]})
    if is_due:
        await age(get_oauth_manager(), redis, "alice", provider)

    broken = await journey.say(f"whoami {provider}")

    assert f"{label} needs reconnecting. Here is a new link." in broken
    assert f"{label}: needs reconnecting" in await journey.say("list")
    assert f"{label} ended my access" in await journey.say(f"status {provider}")

    landing = await journey.open_link(broken)
    done = await journey.consent(await journey.press(landing, "link-yes"))
    assert done.url == f"{journey.site}/connect/done/{provider}"


async def test_trouble_at_the_provider_is_told_and_keeps_the_connection(
    journey: Journey,
) -> None:
    await journey.connect("google")
    await journey.post(f"{journey.sandbox}/google/settings/trouble", {"trouble": "on"})
    assert "Google is not answering." in await journey.say("whoami google")
    assert "Google: connected" in await journey.say("list")


async def test_a_permission_that_is_unticked_is_told_with_what_it_costs(journey: Journey) -> None:
    handoff = await journey.prove(await journey.say("connect google"))
    await journey.consent(handoff, without="email")
    page = await journey.browser.get(f"{journey.site}/connections")
    assert "So this does not work: <bdi>answers to whoami</bdi>." in page.text
    assert "So this does not work: answers to whoami." in await journey.say("status google")


# The bot speaks first


async def test_connected_and_disconnected_are_told_to_that_person_alone(journey: Journey) -> None:
    await journey.connect("discord")
    told = await journey.hear("Discord is now connected as mona. I can now: ")
    assert "Send: disconnect discord" in told

    page = f"{journey.site}/connections/discord/disconnect"
    assert (await journey.post(page)).status_code == 303

    await journey.hear("Discord is disconnected. I no longer use it.")
    bobs = await journey.browser.get(f"{journey.sandbox}/chat/bob")
    assert "Discord is" not in bobs.text


async def test_the_owner_of_a_forwarded_link_hears_that_it_was_cancelled(journey: Journey) -> None:
    link = await journey.say("connect google", "alice")
    declined = await journey.press(await journey.open_link(link), "link-no")
    assert declined.headers["location"] == "/connect/ended/declined?service=google"
    await journey.hear("That link was cancelled.", "alice")
    bobs = await journey.browser.get(f"{journey.sandbox}/chat/bob")
    assert "cancelled" not in bobs.text


async def test_a_link_opened_in_somebody_elses_session_is_cancelled(journey: Journey) -> None:
    await journey.prove(await journey.say("manage", "bob"), "bob")
    link = await journey.say("connect google", "alice")
    (address,) = re.findall(r'href="([^"]+)"', link)

    for answer in (await journey.browser.get(address), await journey.post(f"{address}/start")):
        assert answer.headers["location"] == "/connect/ended/not-yours"

    await journey.hear("That link was cancelled.", "alice")
    for person in ("alice", "bob"):
        assert "Nothing is connected yet." in await journey.say("list", person)


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
    """Run a demo that must not start, and return what it says."""
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


def test_the_demo_prints_one_address_and_ends_quietly(tmp_path: Path) -> None:
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
    assert re.findall(r"http\S+", said) == [f"http://127.0.0.1:{ports[1]}"]
    assert (process.returncode, rest.strip(), errors) == (0, "", "")
    assert no_server_is_left(tmp_path)


@pytest.mark.long
async def test_a_second_start_finds_the_connection_again(tmp_path: Path) -> None:
    ports = free_ports()
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        journey = Journey(f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}", browser)
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
