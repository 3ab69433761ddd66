"""``webui check`` on providers, sign-on and proxy: each fault is named with its cure."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from redis.asyncio import Redis

from tests.kit.certificates import Authority, authority, tls_front
from tests.kit.checkup_desk import Desk
from tests.kit.connect_proxy import connect_proxy
from tests.kit.every import every
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.issuer import Issuer
from tests.kit.redis_servers import saying
from tests.kit.site_fixtures import free_port
from tests.kit.strict_server import StrictServer
from tests.kit.tcp_server import tcp_server
from webui.cli import main
from webui.commands.check.way_faults import EVERYWHERE, STRAIGHT, THROUGH, Way, told_of
from webui.oauth_manager.configuration import is_placeholder

pytestmark = pytest.mark.anyio

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ENDPOINTS = ("AUTHORIZE", "TOKEN", "REVOKE", "ACCOUNT")


@pytest.fixture(scope="module")
def provider_url() -> Iterator[str]:
    with serve(FakeProvider()) as url:
        yield url


@pytest.fixture
def desk(provider_url: str, redis: Redis) -> Desk:
    return Desk(provider_url)


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    made = authority(tmp_path_factory.mktemp("tls"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(made.path))
        yield made


def all_at(url: str) -> dict[str, str]:
    """Every endpoint of the provider at one server."""
    return {f"GITHUB_{name}_URL": f"{url}/{name.lower()}" for name in ENDPOINTS}


async def test_a_provider_that_can_be_reached_is_well(desk: Desk, redis_url: str) -> None:
    is_well, said = await desk.check(redis_url)
    assert is_well, said
    assert len(re.findall(r"(authorization|tokens|revocation|account) at \S+: reached", said)) == 4
    assert "register the callback http://localhost:8000/oauth/github/callback" in said


async def test_nothing_of_ours_is_sent_to_a_provider(redis_url: str, redis: Redis) -> None:
    fake = FakeProvider()
    with serve(fake) as url:
        await Desk(url).check(redis_url)
    (asked,) = fake.requests
    assert (asked.method, asked.path, asked.body) == ("HEAD", "/", b"")
    assert "authorization" not in asked.headers


async def test_no_provider_at_all_is_a_fault(desk: Desk, redis_url: str) -> None:
    told = await desk.fault(redis_url, GITHUB_CLIENT_ID="", GITHUB_CLIENT_SECRET="")
    assert "No provider is set up" in told
    assert "GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET" in told


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TRUSTED_PROXYS", "TRUSTED_PROXIES"),
        ("SUPORT_USERS", "SUPPORT_USERS"),
        ("OIDC_ISUER", "OIDC_ISSUER"),
        ("ENCRYPTION_KEYS", "ENCRYPTION_KEY"),
    ],
)
async def test_a_variable_like_a_setting_is_a_warning_that_names_the_setting(
    desk: Desk, redis_url: str, name: str, meant: str
) -> None:
    is_well, said = await desk.check(redis_url, strict=False, **{name: "canary"})
    assert is_well, said
    assert f"WARNING: {name} is not a setting, and {meant} is." in said


PLACEHOLDERS = [
    "changeme",
    "change-me",
    "CHANGE_THIS",
    "replace-me",
    "REPLACE_WITH_SECRET",
    "your-client-secret",
    "your_github_client_secret_here",
    "YOUR-CLIENT-ID",
    "client_id",
    "client-secret",
    "your-google-client-id.apps.googleusercontent.com",
    "replace-with-your-own",
    "insert-your-client-secret-here",
    "secret",
    "password",
    "xxx",
    "XXXXXXXX",
    "xxxx-xxxx",
    "...",
    "****",
    "<secret>",
    "{client_secret}",
    "${GITHUB_CLIENT_SECRET}",
    "%SECRET%",
    "[insert here]",
    "TODO",
    "dummy",
    "example",
]


@pytest.mark.parametrize("value", PLACEHOLDERS)
async def test_a_placeholder_for_a_providers_secret_is_a_warning_that_does_not_repeat_it(
    desk: Desk, redis_url: str, value: str
) -> None:
    is_well, said = await desk.check(redis_url, GITHUB_CLIENT_SECRET=value)
    assert is_well, said
    (told,) = re.findall(r"WARNING: (GITHUB_CLIENT_SECRET .*)$", said, re.M)
    assert told.startswith("GITHUB_CLIENT_SECRET looks like a placeholder")
    assert value not in told


REAL = [
    "8a61f9b3a7aba766f0c1d2e3f4a5b6c7d8e9f0a1",
    "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x_q",
    "Abc8Q~xxxxKeyHereSecret.Example-_9d2kL3m4",
    "123456789012345678",
    "Iv1.8a61f9b3a7aba766",
    "1234-abcdefgh.apps.googleusercontent.com",
    "id",
    "webui",
    "client-canary",
]


@every("value", REAL)
def test_what_providers_give_out_is_no_placeholder(value: str) -> None:
    assert not is_placeholder(value)


async def test_variables_of_other_programs_are_not_mentioned(desk: Desk, redis_url: str) -> None:
    names = "DATABASE_URL PROJECT_NAME HTTPS_PROXY LOGNAME GITHUB_BASE_REF USERNAME HOSTNAME PATH"
    others = dict.fromkeys(names.split(), "x")
    _, said = await desk.check(redis_url, strict=False, **others)
    assert "is not a setting" not in said


async def test_one_of_several_endpoints_that_cannot_be_reached_is_named(
    desk: Desk, redis_url: str
) -> None:
    port = free_port()
    elsewhere = {"GITHUB_TOKEN_URL": f"http://127.0.0.1:{port}/token"}
    is_well, said = await desk.check(redis_url, strict=False, **elsewhere)
    assert not is_well
    assert f"tokens at 127.0.0.1:{port}: NOT reached" in said
    assert f"FAULT: 127.0.0.1:{port}: nothing listens there" in said
    assert said.partition("Providers")[2].count(": reached") == 3


async def test_a_name_that_does_not_resolve_is_told_with_the_proxy_as_a_way(
    desk: Desk, redis_url: str
) -> None:
    told = await desk.fault(redis_url, **all_at("https://no-such-provider.invalid"))
    assert "its name does not resolve" in told
    assert "OUTGOING_PROXY" in told


@pytest.mark.parametrize(
    ("host", "days", "is_trusted", "told", "cure"),
    [
        ("127.0.0.1", (-1, 30), False, "signed by nobody", "SSL_CERT_FILE"),
        ("127.0.0.1", (-20, -10), True, "has expired", "clock"),
        ("127.0.0.1", (10, 20), True, "not valid yet", "clock"),
        ("other.example.org", (-1, 30), True, "for another host", "Correct the host"),
    ],
    ids=["untrusted", "expired", "from tomorrow", "another host"],
)
async def test_a_certificate_is_told_by_what_is_wrong_with_it(
    desk: Desk,
    redis_url: str,
    provider_url: str,
    trusted: Authority,
    tmp_path: Path,
    host: str,
    days: tuple[int, int],
    is_trusted: bool,
    told: str,
    cure: str,
) -> None:
    issuer = trusted if is_trusted else authority(tmp_path, "nobody")
    behind = urlsplit(provider_url).port
    assert behind
    async with tls_front(behind, issuer.server(host, days)) as port:
        found = await desk.fault(redis_url, **all_at(f"https://127.0.0.1:{port}"))
    assert told in found
    assert cure in found


async def test_a_server_that_speaks_no_tls_is_told(desk: Desk, redis_url: str) -> None:
    async with saying(b"SSH-2.0-OpenSSH_9\r\n") as port:
        found = await desk.fault(redis_url, **all_at(f"https://127.0.0.1:{port}"))
    assert "does not speak TLS" in found


async def test_a_server_that_speaks_no_http_is_told(desk: Desk, redis_url: str) -> None:
    async with saying(b"SSH-2.0-OpenSSH_9\r\n") as port:
        found = await desk.fault(redis_url, **all_at(f"http://127.0.0.1:{port}"))
    assert "does not speak HTTP" in found


async def test_a_server_that_answers_nothing_is_told(
    desk: Desk, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webui.commands.check.outside.REACH_SECONDS", 0.3)

    async def listen(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with tcp_server(listen) as port:
        found = await desk.fault(redis_url, **all_at(f"http://127.0.0.1:{port}"))
    assert "no answer came" in found


# The proxy

PROVIDER = "provider.example"


@pytest.fixture
async def provider_port(provider_url: str, trusted: Authority) -> AsyncIterator[int]:
    behind = urlsplit(provider_url).port
    assert behind
    async with tls_front(behind, trusted.server(PROVIDER)) as port:
        yield port


async def test_providers_are_reached_through_the_proxy_and_it_is_shown_without_its_login(
    desk: Desk, redis_url: str, provider_port: int
) -> None:
    routes = {f"{PROVIDER}:443": provider_port}
    async with connect_proxy(routes, login="user:pass-canary") as proxy:
        is_well, said = await desk.check(
            redis_url,
            strict=False,
            **all_at(f"https://{PROVIDER}"),
            OUTGOING_PROXY=f"http://user:pass-canary@127.0.0.1:{proxy.port}",
        )
    assert is_well, said
    shown = f"Outgoing proxy: http://127.0.0.1:{proxy.port}, with user and password"
    assert shown in said
    assert "OUTGOING_PROXY: set (environment)" in said


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"login": "user:another"}, "the proxy {proxy} refuses our user name or password (407)"),
        ({"refusal": "502 Bad Gateway"}, "the proxy {proxy} refuses to connect to it"),
        ({"refusal": "503 Service Unavailable"}, "the proxy {proxy} refuses to connect to it"),
    ],
)
async def test_a_fault_of_the_proxy_is_told_as_the_proxys(
    desk: Desk, redis_url: str, provider_port: int, fault: dict[str, str], told: str
) -> None:
    login, refusal = fault.get("login", ""), fault.get("refusal", "")
    routes = {f"{PROVIDER}:443": provider_port}
    async with connect_proxy(routes, login=login, refusal=refusal) as proxy:
        found = await desk.fault(
            redis_url,
            **all_at(f"https://{PROVIDER}"),
            OUTGOING_PROXY=f"http://user:pass-canary@127.0.0.1:{proxy.port}",
        )
    assert told.format(proxy=f"127.0.0.1:{proxy.port}") in found
    assert "name it in OUTGOING_PROXY" not in found


async def test_a_proxy_that_wants_a_login_and_got_none_is_told(
    desk: Desk, redis_url: str, provider_port: int
) -> None:
    async with connect_proxy({f"{PROVIDER}:443": provider_port}, login="user:x") as proxy:
        found = await desk.fault(
            redis_url,
            **all_at(f"https://{PROVIDER}"),
            OUTGOING_PROXY=f"http://127.0.0.1:{proxy.port}",
        )
    assert f"the proxy 127.0.0.1:{proxy.port} wants a user name and a password" in found
    assert "http://USER:PASSWORD@host:port" in found


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def say_nothing(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def tunnel_to_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    if asked.startswith(b"CONNECT"):
        await reader.read(1)
        writer.write(b"SSH-2.0-OpenSSH_9\r\n")


@pytest.mark.parametrize(
    ("talk", "told"),
    [
        (hang_up, "through the proxy {proxy} is no HTTP"),
        (say_nothing, "no answer came through the proxy {proxy} within"),
        (tunnel_to_nothing, "through the proxy {proxy} is no TLS"),
    ],
)
async def test_what_goes_wrong_behind_a_proxy_names_the_proxy_and_never_says_to_name_one(
    desk: Desk, redis_url: str, monkeypatch: pytest.MonkeyPatch, talk: Talk, told: str
) -> None:
    monkeypatch.setattr("webui.commands.check.proxy.SECONDS", 0.3)
    monkeypatch.setattr("webui.commands.check.outside.REACH_SECONDS", 0.3)
    async with tcp_server(talk) as port:
        found = await desk.fault(
            redis_url,
            **all_at(f"https://{PROVIDER}"),
            OUTGOING_PROXY=f"http://user:pass-canary@127.0.0.1:{port}",
        )
    assert told.format(proxy=f"127.0.0.1:{port}") in found
    assert "name it in OUTGOING_PROXY" not in found
    assert "Open the firewall" not in found


@pytest.mark.parametrize("is_mute", [False, True])
async def test_https_for_a_proxy_that_speaks_plain_http_is_told_of_the_proxy_alone(
    desk: Desk,
    redis_url: str,
    provider_port: int,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_mute: bool,
) -> None:
    """Some answer a handshake with an error, and some wait for the line to end."""
    monkeypatch.setattr("webui.commands.check.proxy.SECONDS", 0.3)
    monkeypatch.setattr("webui.commands.check.outside.REACH_SECONDS", 0.3)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.read(3)
        if is_mute and head[:1] == b"\x16":
            await asyncio.Event().wait()
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with tcp_server(talk) as port:
        found = await desk.fault(
            redis_url,
            **all_at(f"https://{PROVIDER}"),
            OUTGOING_PROXY=f"https://user:pass-canary@127.0.0.1:{port}",
        )
    assert found.startswith(f"127.0.0.1:{port}: it speaks HTTP without TLS")
    assert "Write http:// instead of https:// in OUTGOING_PROXY" in found


async def test_http_for_a_proxy_that_speaks_tls_is_told_of_the_proxy_alone(
    desk: Desk, redis_url: str, provider_port: int, trusted: Authority
) -> None:
    routes = {f"{PROVIDER}:443": provider_port}
    async with connect_proxy(routes, tls=trusted.server()) as proxy:
        found = await desk.fault(
            redis_url,
            **all_at(f"https://{PROVIDER}"),
            OUTGOING_PROXY=f"http://127.0.0.1:{proxy.port}",
        )
    assert found.startswith(f"127.0.0.1:{proxy.port}: it speaks TLS")
    assert "https:// instead of http://" in found


async def test_a_proxys_certificate_that_is_not_trusted_is_told_of_the_proxy_alone(
    desk: Desk, redis_url: str, provider_port: int, tmp_path: Path
) -> None:
    routes = {f"{PROVIDER}:443": provider_port}
    async with connect_proxy(routes, tls=authority(tmp_path, "nobody").server()) as proxy:
        found = await desk.fault(
            redis_url,
            **all_at(f"https://{PROVIDER}"),
            OUTGOING_PROXY=f"https://127.0.0.1:{proxy.port}",
        )
    assert found.startswith(f"127.0.0.1:{proxy.port}: its certificate is signed by nobody")
    assert "SSL_CERT_FILE" in found


async def test_a_certificate_that_a_proxy_puts_in_its_place_is_told_as_seen_through_it(
    desk: Desk, redis_url: str, provider_url: str, tmp_path: Path
) -> None:
    behind = urlsplit(provider_url).port
    assert behind
    async with (
        tls_front(behind, authority(tmp_path, "inspection").server(PROVIDER)) as inspecting,
        connect_proxy({f"{PROVIDER}:443": inspecting}) as proxy,
    ):
        found = await desk.fault(
            redis_url,
            **all_at(f"https://{PROVIDER}"),
            OUTGOING_PROXY=f"http://127.0.0.1:{proxy.port}",
        )
    assert f"as the proxy 127.0.0.1:{proxy.port} passes it on, is of nobody" in found
    assert "If the proxy opens TLS" in found


@every("fault", sorted({*STRAIGHT, *EVERYWHERE, *THROUGH, "proxy_wants_password"}))
def test_every_fault_through_a_proxy_names_it_and_none_says_to_name_one(fault: str) -> None:
    way = Way("http://user:pass-canary@proxy.example:3128")
    what, cure = told_of(fault, f"https://{PROVIDER}/", way)
    assert "proxy.example:3128" in what
    assert what.startswith(f"{PROVIDER}: ")
    assert "name it in OUTGOING_PROXY" not in cure
    assert "{" not in what + cure
    assert "canary" not in what + cure


async def test_a_proxy_that_is_not_there_is_told(desk: Desk, redis_url: str) -> None:
    found = await desk.fault(
        redis_url,
        **all_at(f"https://{PROVIDER}"),
        OUTGOING_PROXY=f"http://user:pass-canary@127.0.0.1:{free_port()}",
    )
    assert "nothing listens there" in found
    assert "OUTGOING_PROXY" in found


async def test_a_proxy_whose_name_does_not_resolve_is_told(desk: Desk, redis_url: str) -> None:
    """Even where no provider would be reached through it."""
    found = await desk.fault(redis_url, OUTGOING_PROXY="http://no-such-proxy.invalid:3128")
    assert found.startswith("no-such-proxy.invalid:3128: its name does not resolve")


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_file_of_certificates_that_is_of_no_use_is_told(
    desk: Desk,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str | None,
) -> None:
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    assert "Correct SSL_CERT_FILE" in await desk.fault(redis_url)


# Sign-on

SIGN_ON = {"OIDC_CLIENT_ID": "webui", "OIDC_CLIENT_SECRET": "canary", "SUPPORT_GROUP": "help"}


async def test_a_sign_on_that_cannot_be_reached_is_told(desk: Desk, redis_url: str) -> None:
    issuer = f"http://127.0.0.1:{free_port()}/realms/x"
    found = await desk.fault(redis_url, OIDC_ISSUER=issuer, **SIGN_ON)
    assert "nothing listens there" in found


async def test_an_issuer_without_a_discovery_document_is_told(
    desk: Desk, redis_url: str, provider_url: str
) -> None:
    found = await desk.fault(redis_url, OIDC_ISSUER=f"{provider_url}/realms/x", **SIGN_ON)
    assert "no discovery document behind OIDC_ISSUER" in found


# Providers by their issuer


ACME = {"EXTRA_PROVIDERS": "acme", "ACME_CLIENT_ID": "id", "ACME_CLIENT_SECRET": "canary"}


async def test_a_provider_by_its_issuer_is_asked_for_its_addresses(
    desk: Desk, redis_url: str
) -> None:
    server = Issuer()
    with serve(server) as url:
        server.issuer = url
        desk.environ |= {"ACME_ISSUER": url, **ACME}
        is_well, found = await desk.check(redis_url)
    assert is_well
    where = urlsplit(url).netloc
    assert f"    metadata at {where}: right" in found
    assert f"    tokens at {where}: reached" in found


async def test_an_issuer_that_calls_itself_something_else_is_told(
    desk: Desk, redis_url: str
) -> None:
    with serve(Issuer("https://other.example")) as url:
        found = await desk.fault(redis_url, ACME_ISSUER=url, **ACME)
    assert "Write ACME_ISSUER as its document has it" in found


# The command


async def test_the_command_ends_with_one_on_a_fault_and_with_strict_on_a_warning(
    desk: Desk, redis_url: str
) -> None:
    async def code(*options: str, **more: str) -> int:
        environ = desk.environ | {"REDIS_URL": redis_url} | more
        run = partial(CliRunner().invoke, main, ["check", *options], env=environ)
        return (await asyncio.to_thread(run)).exit_code

    assert await code() == 0
    assert await code("--strict") == 1
    assert await code(GITHUB_CLIENT_ID="", GITHUB_CLIENT_SECRET="") == 1
    assert await code(ENCRYPTION_KEY="'quoted'") == 1


# Remote MCP servers


async def test_a_remote_mcp_server_is_asked_for_its_authorization_server(
    desk: Desk, redis_url: str
) -> None:
    server = StrictServer(registers=True, methods=["client_secret_post"])
    with serve(server) as url:
        server.issuer, server.resource = url, f"{url}/mcp"
        desk.environ |= {"EXTRA_PROVIDERS": "linear-mcp", "LINEAR_MCP_RESOURCE": server.resource}
        is_well, said = await desk.check(redis_url)
    assert is_well, said
    assert "  linear-mcp: set up; it needs no registration by hand" in said
    assert f"    metadata at {urlsplit(url).netloc}: right" in said
    assert not server.calls["register"]


async def test_a_remote_mcp_server_that_names_another_resource_is_told(
    desk: Desk, redis_url: str
) -> None:
    server = StrictServer(protected={"resource": "https://other.example/mcp"})
    with serve(server) as url:
        server.issuer, server.resource = url, f"{url}/mcp"
        given = {"EXTRA_PROVIDERS": "linear-mcp", "LINEAR_MCP_RESOURCE": server.resource}
        told = await desk.fault(redis_url, **given)
    assert "its document is about another resource" in told
    assert "LINEAR_MCP_RESOURCE" in told
