"""``webui check`` on Redis servers that are wrong in one way each: named, with the cure, exit 1."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

import webui
from tests.kit.certificates import Authority, authority, tls_front
from tests.kit.checkup_desk import PASSWORD, Desk
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import OTHER_KEY, connected, tokens_key
from tests.kit.redis_proxy import redis_proxy
from tests.kit.redis_servers import redis_server, saying
from tests.kit.site_fixtures import Place, commands
from tests.kit.tcp_server import tcp_server
from webui.commands.check.engine import COMMANDS
from webui.oauth_manager import OAuthManager, TokenData
from webui.oauth_manager.storage.sealer import Sealer
from webui.sandbox.embedded_redis import find_server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with serve(FakeProvider()) as url:
        yield Desk(url)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server on TCP, without a password."""
    with redis_server() as made:
        yield made


@pytest.fixture
async def spoilt(port: int) -> AsyncIterator[Redis]:
    """A client of that server, whose settings are put back afterwards."""
    async with Redis(port=port) as client:
        await client.flushall()
        yield client
        for name, value in {
            "maxmemory": "0",
            "maxmemory-policy": "noeviction",
            "min-replicas-to-write": "0",
            "requirepass": "",
        }.items():
            await client.config_set(name, value)
        for user in ("webui", "other"):
            await client.acl_deluser(user)


def at(port: int, rest: str = "/0", login: str = "") -> str:
    return f"redis://{login}127.0.0.1:{port}{rest}"


def server_of_the_tests() -> str:
    """Its kind and major version, as the check says it."""
    said = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"^(Valkey|Redis) server v=(\d+)\.", said.stdout)
    assert found
    return f"{found[1]} {found[2]}"


# What is well


async def test_a_server_that_is_right_has_no_fault(desk: Desk, port: int, spoilt: Redis) -> None:
    is_well, said = await desk.check(at(port))
    assert is_well, said
    assert f"Redis: reached, {server_of_the_tests()}" in said
    assert "Keys: nothing is stored yet" in said
    assert "Found: 1 warning." in said


async def test_the_check_leaves_nothing_in_redis(desk: Desk, port: int, spoilt: Redis) -> None:
    await desk.check(at(port))
    assert await spoilt.dbsize() == 0


async def test_no_persistence_is_a_warning_that_strict_makes_a_fault(
    desk: Desk, port: int, spoilt: Redis
) -> None:
    is_well, said = await desk.check(at(port))
    assert is_well
    assert "WARNING: It has no persistence" in said
    assert "appendonly yes" in said
    is_well, _ = await desk.check(at(port), strict=True)
    assert not is_well


async def test_a_server_that_keeps_what_is_written_has_no_warning(desk: Desk) -> None:
    with redis_server("--appendonly", "yes") as port:
        is_well, said = await desk.check(at(port), strict=True)
    assert is_well, said
    assert "Found: nothing wrong." in said


async def test_snapshots_alone_are_told(desk: Desk) -> None:
    with redis_server("--save", "3600 1") as port:
        is_well, said = await desk.check(at(port), strict=True)
    assert is_well
    assert "snapshots alone" in said


# The wire


async def test_a_closed_port_is_told(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert (await desk.fault(at(port))).startswith("Nothing listens there")


async def test_a_name_that_does_not_resolve_is_told(desk: Desk) -> None:
    assert "does not resolve" in await desk.fault("redis://no-such-host.invalid:6379/0")


async def test_a_socket_that_is_not_there_is_told(desk: Desk, tmp_path: Path) -> None:
    assert "no socket at that path" in await desk.fault(f"unix://{tmp_path}/no.sock")


async def test_a_socket_that_nobody_serves_is_told(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    assert "Nothing listens there" in await desk.fault(f"unix://{path}")


async def test_a_server_that_answers_nothing_is_told(
    desk: Desk, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webui.commands.check.wire.SECONDS", 0.3)
    async with redis_proxy(redis_url) as proxy:
        proxy.freeze()
        assert "answers nothing" in await desk.fault(proxy.url)


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9\r\n", b"\0\0\0\x1eE"],
    ids=["http", "ssh", "binary"],
)
async def test_a_server_of_another_kind_is_told(desk: Desk, said: bytes) -> None:
    async with saying(said) as port:
        assert "no Redis" in await desk.fault(at(port))


async def test_a_server_that_hangs_up_is_told(desk: Desk) -> None:
    async with saying(b"") as port:
        assert "without a word" in await desk.fault(at(port))


async def test_protected_mode_is_told(desk: Desk) -> None:
    denied = b"-DENIED Redis is running in protected mode because protected mode is enabled\r\n"
    async with saying(denied) as port:
        assert "protected mode" in await desk.fault(at(port))


# TLS


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls"))


def path_of(redis_url: str) -> str:
    return unquote(urlsplit(redis_url).path)


async def test_tls_with_a_named_authority_is_well(
    desk: Desk, redis_url: str, redis: Redis, trusted: Authority
) -> None:
    async with tls_front(path_of(redis_url), trusted.server()) as port:
        is_well, said = await desk.check(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={trusted.path}")
    assert is_well, said


@pytest.mark.parametrize(
    ("host", "days", "is_trusted", "told"),
    [
        ("127.0.0.1", (-1, 30), False, "signed by nobody"),
        ("127.0.0.1", (-20, -10), True, "has expired"),
        ("127.0.0.1", (10, 20), True, "not valid yet"),
        ("redis.example.org", (-1, 30), True, "for another host"),
    ],
    ids=["untrusted", "expired", "from tomorrow", "another host"],
)
async def test_a_certificate_is_told_by_what_is_wrong_with_it(
    desk: Desk,
    redis_url: str,
    trusted: Authority,
    host: str,
    days: tuple[int, int],
    is_trusted: bool,
    told: str,
) -> None:
    rest = f"/0?ssl_ca_certs={trusted.path}" if is_trusted else "/0"
    async with tls_front(path_of(redis_url), trusted.server(host, days)) as port:
        assert told in await desk.fault(f"rediss://127.0.0.1:{port}{rest}")


async def test_a_server_that_wants_a_certificate_of_ours_is_told(
    desk: Desk, redis_url: str, trusted: Authority
) -> None:
    context = trusted.server()
    context.verify_mode = context.verify_mode.CERT_REQUIRED
    context.load_verify_locations(trusted.path)
    rest = f"/0?ssl_ca_certs={trusted.path}"
    async with tls_front(path_of(redis_url), context) as port:
        assert "client certificate" in await desk.fault(f"rediss://127.0.0.1:{port}{rest}")
        own = trusted.issue("client")
        rest += f"&ssl_certfile={own}&ssl_keyfile={own}"
        is_well, said = await desk.check(f"rediss://127.0.0.1:{port}{rest}")
        assert is_well, said


async def test_an_authority_that_cannot_be_read_is_told(desk: Desk, port: int) -> None:
    url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs=/no/such.pem"
    assert "cannot be read or used" in await desk.fault(url)


async def test_tls_to_a_plain_port_is_told(
    desk: Desk, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webui.commands.check.wire.SECONDS", 0.5)
    assert "redis:// instead of rediss://" in await desk.fault(f"rediss://127.0.0.1:{port}/0")


async def test_plain_to_a_tls_port_is_told(desk: Desk, redis_url: str, trusted: Authority) -> None:
    async with tls_front(path_of(redis_url), trusted.server()) as port:
        assert "rediss:// instead of redis://" in await desk.fault(at(port))


# Who may do what


async def test_a_wrong_password_is_told_with_what_to_encode(
    desk: Desk, port: int, spoilt: Redis
) -> None:
    await spoilt.config_set("requirepass", "another")
    told = await desk.fault(at(port, login=f":{PASSWORD}@"))
    assert "refuses the user name or the password" in told
    assert "ercent-encode" in told


async def test_a_password_that_is_missing_is_told(desk: Desk, port: int, spoilt: Redis) -> None:
    await spoilt.config_set("requirepass", PASSWORD)
    assert "wants a password, and REDIS_URL has none" in await desk.fault(at(port))


async def test_a_wrong_user_name_is_told(desk: Desk, port: int, spoilt: Redis) -> None:
    await spoilt.acl_setuser("webui", enabled=True, passwords=[f"+{PASSWORD}"])
    told = await desk.fault(at(port, login=f"webapp:{PASSWORD}@"))
    assert "refuses the user name or the password" in told


async def test_a_password_with_special_characters_works_encoded(
    desk: Desk, port: int, spoilt: Redis
) -> None:
    await spoilt.config_set("requirepass", "p#a/s?s@w%:d")
    is_well, said = await desk.check(at(port, login=":p%23a%2Fs%3Fs%40w%25%3Ad@"))
    assert is_well, said


@pytest.mark.parametrize("character", list("#/?[]"))
async def test_a_password_that_ends_early_is_told_with_what_to_encode(
    desk: Desk, port: int, character: str
) -> None:
    is_well, said = await desk.check(at(port, login=f":canary{character}canary@"))
    assert not is_well
    (told,) = re.findall(r"^  REDIS_URL .*", said, re.M)
    assert "percent-encode" in told


@pytest.mark.parametrize(
    ("lacking", "named"),
    [
        ("-getdel", "GETDEL"),
        ("-eval", "EVAL"),
        ("-@write", "SET, "),
        ("-@stream", "XADD"),
        ("-scan", "SCAN"),
        ("-xgroup|create", "XGROUP CREATE"),
        ("-time", "TIME"),
    ],
)
async def test_a_command_that_its_user_lacks_is_named(
    desk: Desk, port: int, spoilt: Redis, lacking: str, named: str
) -> None:
    rule = f"on >{PASSWORD} ~stargazer:* +@all -@dangerous +info +config|get {lacking}"
    await spoilt.execute_command("ACL", "SETUSER", "webui", *rule.split())  # type: ignore[no-untyped-call]
    told = await desk.fault(at(port, login=f"webui:{PASSWORD}@"))
    assert named in told
    assert "ACL SETUSER" in told


async def test_keys_that_its_user_may_not_touch_are_told(
    desk: Desk, port: int, spoilt: Redis
) -> None:
    rule = f"on >{PASSWORD} ~webui:* +@all"
    await spoilt.execute_command("ACL", "SETUSER", "webui", *rule.split())  # type: ignore[no-untyped-call]
    told = await desk.fault(at(port, login=f"webui:{PASSWORD}@"))
    assert "~stargazer:*" in told


async def test_a_user_that_may_not_ask_what_it_is_gets_a_warning(
    desk: Desk, port: int, spoilt: Redis
) -> None:
    rule = f"on >{PASSWORD} ~stargazer:* +@all -@dangerous"
    await spoilt.execute_command("ACL", "SETUSER", "webui", *rule.split())  # type: ignore[no-untyped-call]
    is_well, said = await desk.check(at(port, login=f"webui:{PASSWORD}@"))
    assert is_well, said
    assert "+info" in said


async def test_what_is_tried_are_the_commands_that_the_site_and_a_bot_send(place: Place) -> None:
    async with commands(place.redis) as seen:
        ann = await place.signed_in("ann")
        await place.connect(ann, "google")
        await ann.post("/connections/google/check")
        await ann.get("/activity")
        await ann.post("/connections/google/disconnect")
        notices = place.bot.notices(place.redis, "bot-1")
        await anext(aiter(notices))
        await place.bot.reseal(place.redis)
        await place.bot.find_accounts(place.redis, "google", "mona")
        await place.bot.cancel_links(place.redis, "ann")
    tried = {line.split()[0] for line in COMMANDS.replace("|", "\n").split("\n") if line}
    can_do_without = {"INFO"}  # a rotation that was interrupted begins anew then
    assert {line.split()[0] for line in seen} - {"PING", "ECHO"} - can_do_without - tried == set()


def test_what_is_tried_are_the_commands_that_the_code_names() -> None:
    tried = {line.split()[0] for line in COMMANDS.replace("|", "\n").split("\n") if line}
    known = {name for name in dir(Redis) if name[0] != "_"}
    named: set[str] = set()
    for path in Path(webui.__file__).parent.rglob("*.py"):
        if not {"sandbox", "check"} & set(path.parts):
            source = path.read_text()
            named |= set(re.findall(r"redis\.call\('(\w+)'", source))
            called = re.findall(r"\b(?:pipe|redis|_redis)\.(\w+)\(", source)
            named |= {name.upper() for name in called if name in known}
    clients = {"ACLOSE", "EXECUTE_COMMAND", "FROM_POOL", "INITIALIZE", "PIPELINE", "PING"}
    clients |= {"SCAN_ITER", "HSCAN_ITER", "DELETE", "XGROUP_CREATE", "XINFO_GROUPS"}
    assert named - clients - tried == set()


# The kind of server


async def test_a_wrong_database_number_is_told(desk: Desk, port: int, spoilt: Redis) -> None:
    assert "no database of that number" in await desk.fault(at(port, "/99"))


async def test_a_sentinels_own_port_is_told(desk: Desk, port: int) -> None:
    config = f"sentinel monitor main 127.0.0.1 {port} 1\n"
    with redis_server("--sentinel", config=config) as sentinel:
        for path in ("", "/0", "/3"):
            told = await desk.fault(at(sentinel, path))
            assert told.startswith("It is a Sentinel")


async def test_one_node_of_a_cluster_is_told(desk: Desk) -> None:
    with redis_server("--cluster-enabled", "yes") as node:
        for path in ("", "/0", "/3"):
            assert "one node of a cluster" in await desk.fault(at(node, path))


async def test_a_read_only_replica_is_told(desk: Desk, port: int) -> None:
    with redis_server("--replicaof", f"127.0.0.1 {port}") as replica:
        assert "It is a replica" in await desk.fault(at(replica))
    with redis_server("--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no") as lost:
        assert "replica" in await desk.fault(at(lost))


# The kind of server, by a user that may not ask for it

RESTRICTED = f"on >{PASSWORD} ~stargazer:* +@all -@dangerous"
LOGIN = f"webui:{PASSWORD}@"


async def restrict(port: int) -> None:
    async with Redis(port=port) as client:
        await client.execute_command("ACL", "SETUSER", "webui", *RESTRICTED.split())  # type: ignore[no-untyped-call]


async def test_without_info_its_version_is_told_by_its_greeting(
    desk: Desk, port: int, spoilt: Redis
) -> None:
    await restrict(port)
    is_well, said = await desk.check(at(port, login=LOGIN))
    assert is_well, said
    assert f"Redis: reached, {server_of_the_tests()}" in said


async def test_without_info_one_node_of_a_cluster_is_told(desk: Desk) -> None:
    with redis_server("--cluster-enabled", "yes") as node:
        await restrict(node)
        for path in ("", "/0", "/3"):
            assert "one node of a cluster" in await desk.fault(at(node, path, LOGIN))


async def test_without_info_a_read_only_replica_is_told(desk: Desk, port: int) -> None:
    with redis_server("--replicaof", f"127.0.0.1 {port}") as replica:
        await restrict(replica)
        assert "It is a replica" in await desk.fault(at(replica, login=LOGIN))


async def test_without_info_a_sentinels_own_port_is_told(desk: Desk, port: int) -> None:
    config = f"sentinel monitor main 127.0.0.1 {port} 1\n"
    with redis_server("--sentinel", config=config) as sentinel:
        await restrict(sentinel)
        told = await desk.fault(at(sentinel, login=LOGIN))
        assert told.startswith("It is a Sentinel")


NO_PERMISSION = b"-NOPERM User webui has no permissions to run the 'info' command\r\n"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"-MOVED 866 10.0.0.2:6379\r\n", "one node of a cluster"),
        (b"-ASK 866 10.0.0.2:6379\r\n", "one node of a cluster"),
        (b"-CROSSSLOT Keys in request don't hash to the same slot\r\n", "one node of a cluster"),
        (b"-CLUSTERDOWN Hash slot not served\r\n", "one node of a cluster"),
        (b"-READONLY You can't write against a read only replica.\r\n", "read-only replica"),
        (b"-ERR unknown command '%s', with args\r\n", "It is a Sentinel"),
    ],
)
async def test_a_server_that_says_nothing_of_itself_is_told_by_what_it_says_to_commands(
    desk: Desk, answer: bytes, told: str
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for command in sent(reader):
            own = {
                b"INFO": NO_PERMISSION,
                b"HELLO": b"%0\r\n",
                b"CLIENT": b"+OK\r\n",
                b"PING": b"+PONG\r\n",
            }
            writer.write(own.get(command, answer.replace(b"%s", command)))

    async with tcp_server(talk) as port:
        assert told in await desk.fault(at(port))


async def sent(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The names of the commands that a client sends, inline or as arrays."""
    while line := await reader.readline():
        if not line.startswith(b"*"):
            yield line.strip().upper()
            continue
        parts = []
        for _ in range(int(line[1:])):
            length = int((await reader.readline())[1:])
            parts.append((await reader.readexactly(length + 2))[:-2])
        yield parts[0].upper()


async def test_another_eviction_policy_is_told(desk: Desk, port: int, spoilt: Redis) -> None:
    await spoilt.config_set("maxmemory-policy", "allkeys-lru")
    told = await desk.fault(at(port))
    assert "allkeys-lru" in told
    assert "noeviction" in told


async def test_a_server_that_is_full_is_told(desk: Desk, port: int, spoilt: Redis) -> None:
    await spoilt.config_set("maxmemory", "1")
    assert "maxmemory is reached" in await desk.fault(at(port))


async def test_too_few_replicas_are_told(desk: Desk, port: int, spoilt: Redis) -> None:
    await spoilt.config_set("min-replicas-to-write", "1")
    assert "too few replicas" in await desk.fault(at(port))


async def said_to_ping(redis: Redis) -> str:
    try:
        return str(await redis.ping())
    except ResponseError as error:
        return str(error)


async def test_a_server_that_is_busy_with_a_script_is_told(
    desk: Desk, port: int, spoilt: Redis
) -> None:
    await spoilt.config_set("busy-reply-threshold", "1")
    async with Redis(port=port, socket_timeout=30) as other:
        endless = other.eval("while true do end", 0)
        loop: asyncio.Future[Any] = asyncio.ensure_future(endless)
        try:
            while "BUSY" not in await said_to_ping(spoilt):
                pass
            assert "busy with somebody's script" in await desk.fault(at(port))
        finally:
            await spoilt.script_kill()
            await asyncio.gather(loop, return_exceptions=True)


INFO = """# Server\r
server_name:{name}\r
redis_version:{redis}\r
{more}redis_mode:standalone\r
role:{role}\r
maxmemory_policy:noeviction\r
aof_enabled:1\r
"""


@asynccontextmanager
async def pretending(**about: str) -> AsyncIterator[int]:
    """A server that answers PING and INFO, and OK to everything else."""
    text = INFO.format(**{"name": "redis", "more": "", "role": "master", **about}).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            for command in re.findall(
                rb"(?:\A|(?<=\n))(?:\*\d+\r\n\$\d+\r\n)?([A-Za-z]+)\r\n", data
            ):
                name = command.upper()
                if name == b"INFO":
                    writer.write(b"$%d\r\n%s\r\n" % (len(text), text))
                elif name == b"HELLO":
                    writer.write(b"%1\r\n$5\r\nproto\r\n:3\r\n")
                elif name in (b"PING", b"CLIENT"):
                    writer.write(b"+PONG\r\n" if name == b"PING" else b"+OK\r\n")

    async with tcp_server(serve) as port:
        yield port


@pytest.mark.parametrize(
    "about",
    [{"redis": "6.2.14"}, {"redis": "7.2.4", "name": "valkey", "more": "valkey_version:7.2.5\r\n"}],
    ids=["redis", "valkey"],
)
async def test_a_server_that_is_too_old_is_told(desk: Desk, about: dict[str, str]) -> None:
    async with pretending(**about) as port:
        told = await desk.fault(at(port))
    assert told == "It is too old. Use Redis 7 or newer, or Valkey 8 or newer."


async def test_a_server_that_is_loading_is_told(desk: Desk) -> None:
    async with saying(b"-LOADING Redis is loading the dataset in memory\r\n") as port:
        assert "still loading" in await desk.fault(at(port))


# Keys


async def test_keys_that_fit_are_told(
    desk: Desk, manager: OAuthManager, redis: Redis, redis_url: str
) -> None:
    await manager.store_token(redis, "u1", TokenData("canary", provider="github"))
    is_well, said = await desk.check(redis_url)
    assert is_well
    assert "Keys: they fit what is stored" in said


@pytest.mark.parametrize("has_canary", [True, False])
async def test_another_key_is_told(
    desk: Desk, manager: OAuthManager, redis: Redis, redis_url: str, has_canary: bool
) -> None:
    await manager.store_token(redis, "u1", TokenData("canary", provider="github"))
    if not has_canary:
        await redis.delete("stargazer:canary")
    before = sorted(await redis.keys())
    told = await desk.fault(redis_url, ENCRYPTION_KEY=OTHER_KEY)
    assert told.startswith("ENCRYPTION_KEY ")
    assert sorted(await redis.keys()) == before


async def test_records_that_a_bot_wrote_with_another_key_are_counted(
    desk: Desk, manager: OAuthManager, fake: FakeProvider, redis: Redis, redis_url: str
) -> None:
    await connected(manager, fake, redis, "u1", "github")
    await manager.settle(redis)
    strange = Sealer(OTHER_KEY).seal("tokens", "u2", "github", {"access_token": "canary"})
    await redis.set(tokens_key("u2", "github"), strange)
    told = await desk.fault(redis_url)
    assert told.startswith("Of the records, 1 cannot be understood.")
    assert "site and the bot" in told
