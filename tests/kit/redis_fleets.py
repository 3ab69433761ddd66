"""A real Cluster and a real set of Sentinels, on ports of loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_server
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from redis import Redis as Blocking
from redis.exceptions import RedisError

from webui.sandbox.embedded_redis import find_server

HERE = "127.0.0.1"
PATIENCE = 40.0  # seconds for servers to agree
NAME = "people"  # of the primary, for Sentinels
SLOTS = 16384
DOWN_MS = 1000  # without an answer, after which a server counts as dead


def socket_of(redis_url: str) -> str:
    """The socket of the one server; a test that reads along there skips where there are more."""
    return unquote(urlsplit(one_url(redis_url)).path)


def one_url(redis_url: str) -> str:
    """The address of the one server; a test that needs it skips where there are more."""
    if not redis_url.startswith("unix://"):
        pytest.skip("this one is about one server")
    return redis_url


def one_server() -> None:
    """Skip a test that watches or spoils one server, where there are more."""
    if os.environ.get("REDIS_KIND", "server") != "server":
        pytest.skip("this one is about one server")


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses, nor the port 10000 above each, where nodes of a Cluster talk."""
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < count:
            port = stack.enter_context(create_server((HERE, 0))).getsockname()[1]
            if port + 10000 >= 65536:
                continue
            try:
                stack.enter_context(create_server((HERE, port + 10000)))
            except OSError:
                continue
            found.append(port)
    return found


def until(is_done: Callable[[], bool], what: str) -> None:
    """Ask again and again; a server that does not answer yet has not done it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if is_done():
                return
        except RedisError:
            pass
        time.sleep(0.02)  # servers tell nobody that they have agreed
    raise AssertionError(f"no {what} within {PATIENCE} s")


@dataclass
class Member:
    """One server of several, which may die and come back."""

    port: int
    folder: Path
    options: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    program: Path = field(default_factory=find_server)
    config: str = ""
    password: str = field(default="", repr=False)

    def start(self) -> None:
        command = [str(self.program)]
        if self.config:
            path = self.folder / f"{self.port}.conf"
            path.write_text(self.config)
            command.append(str(path))
        own = ["--port", str(self.port), "--bind", HERE, "--dir", str(self.folder)]
        self.process = subprocess.Popen(
            [*command, *own, *self.options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(lambda: bool(self.ask("PING")), "answer")

    def client(self) -> Blocking:
        return Blocking(port=self.port, password=self.password)

    def ask(self, *command: Any) -> Any:
        with self.client() as client:
            return client.execute_command(*command)

    def kill(self) -> None:
        """End it at once, with what it has not written."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Let it answer nothing, with its connections open."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)


@dataclass
class Fleet:
    """Servers with their address for REDIS_URL; ``servers`` have data, ``sentinels`` none."""

    url: str
    servers: list[Member]
    sentinels: list[Member] = field(default_factory=list)

    def primaries(self) -> list[Member]:
        return [one for one in self.servers if _role(one) == b"master"]

    def empty(self) -> None:
        for one in self.primaries():
            one.ask("FLUSHALL")

    def owner(self, slot: int) -> Member:
        """The server of a Cluster that has a slot."""
        for first, last, node, *_ in self._slots():
            if first <= slot <= last:
                return next(one for one in self.servers if one.port == node[1])
        raise AssertionError(f"nobody has slot {slot}")

    def _slots(self) -> list[Any]:
        for one in self.servers:
            try:
                return list(_raw(one, "CLUSTER", "SLOTS"))
            except RedisError:
                continue
        raise AssertionError("no server answers")

    def move(self, slot: int, target: Member, *, halfway: bool = False) -> None:
        """Move a slot with its keys, as ``redis-cli --cluster reshard`` does.

        ``halfway`` stops before the keys move.
        """
        source = self.owner(slot)
        ids = {one.port: _id(one) for one in (source, target)}
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source.port])
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target.port])
        if halfway:
            return
        self.finish_move(slot, source, target)

    def finish_move(self, slot: int, source: Member, target: Member) -> None:
        """Move the keys of a slot, and then the slot."""
        while found := _raw(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.ask("MIGRATE", HERE, target.port, "", 0, 5000, "KEYS", *found)
        new = _id(target)
        target.ask("CLUSTER", "SETSLOT", slot, "NODE", new)
        source.ask("CLUSTER", "SETSLOT", slot, "NODE", new)
        for one in self.primaries():
            one.ask("CLUSTER", "SETSLOT", slot, "NODE", new)


def _raw(member: Member, *command: Any) -> Any:
    with member.client() as client:
        return client.execute_command(*command, NEVER_DECODE=True)


def _role(member: Member) -> bytes:
    try:
        return bytes(_raw(member, "ROLE")[0])
    except RedisError:
        return b""


def _id(member: Member) -> str:
    return bytes(_raw(member, "CLUSTER", "MYID")).decode()


_PLAIN = ("--save", "", "--appendonly", "no", "--protected-mode", "no")


@contextmanager
def cluster_fleet(
    primaries: int = 3, replicas: int = 0, options: tuple[str, ...] = _PLAIN
) -> Iterator[Fleet]:
    """Run a Cluster; each of the ``replicas`` follows one primary, in turn."""
    with ExitStack() as stack:
        own = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(DOWN_MS), *options)
        more = ("--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0")
        members = _members(stack, primaries + replicas, (*own, *more))
        first, *others = members
        for n, member in enumerate(members[:primaries]):
            bounds = SLOTS * n // primaries, SLOTS * (n + 1) // primaries - 1
            member.ask("CLUSTER", "ADDSLOTSRANGE", *bounds)
            member.ask("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        for member in others:
            first.ask("CLUSTER", "MEET", HERE, member.port)
        until(lambda: all(_known(one) == len(members) for one in members), "meeting")
        for n, member in enumerate(members[primaries:]):
            member.ask("CLUSTER", "REPLICATE", _id(members[n % primaries]))
        until(lambda: all(_is_ok(one, len(members)) for one in members), "agreement")
        until(lambda: all(map(_follows, members[primaries:])), "replication")
        hosts = ",".join(f"{HERE}:{one.port}" for one in members)
        yield Fleet(f"redis+cluster://{hosts}", members)


def _known(member: Member) -> int:
    return len(bytes(_raw(member, "CLUSTER", "NODES")).splitlines())


def _is_ok(member: Member, nodes: int) -> bool:
    about = bytes(_raw(member, "CLUSTER", "INFO"))
    is_quiet = b"handshake" not in bytes(_raw(member, "CLUSTER", "NODES"))
    return b"cluster_state:ok" in about and b"cluster_slots_ok:16384" in about and is_quiet


def _follows(member: Member) -> bool:
    role = _raw(member, "ROLE")
    return bool(role[0] == b"slave" and role[3] == b"connected")


@contextmanager
def sentinel_fleet(replicas: int = 1, sentinels: int = 3, password: str = "") -> Iterator[Fleet]:
    """Run a primary with its replicas, and Sentinels that watch it."""
    with ExitStack() as stack:
        secret = ("--requirepass", password, "--masterauth", password) if password else ()
        options = (*_PLAIN, "--repl-diskless-sync-delay", "0", *secret)
        members = _members(stack, replicas + 1, options, password)
        first, *others = members
        for member in others:
            member.ask("REPLICAOF", HERE, first.port)
        until(lambda: all(map(_follows, others)), "replication")
        watching = _watching(first.port, min(sentinels, sentinels // 2 + 1), password)
        guards = _members(stack, sentinels, ("--sentinel",), config=watching)
        until(lambda: all(_sees(one, replicas, sentinels) for one in guards), "watch")
        hosts = ",".join(f"{HERE}:{one.port}" for one in guards)
        user = f":{password}@" if password else ""
        yield Fleet(f"redis+sentinel://{user}{hosts}/{NAME}/0", members, guards)


def _watching(port: int, quorum: int, password: str) -> str:
    lines = [
        f"sentinel monitor {NAME} {HERE} {port} {quorum}",
        f"sentinel down-after-milliseconds {NAME} {DOWN_MS}",
        f"sentinel failover-timeout {NAME} 6000",
    ]
    if password:
        lines.append(f"sentinel auth-pass {NAME} {password}")
    return "\n".join(lines) + "\n"


def _sees(sentinel: Member, replicas: int, sentinels: int) -> bool:
    with sentinel.client() as client:
        known: Any = client.sentinel_masters()
    state = known[NAME]
    seen = state["num-slaves"], state["num-other-sentinels"]
    return seen == (replicas, sentinels - 1) and not (state["is_sdown"] or state["is_odown"])


def _members(
    stack: ExitStack,
    count: int,
    options: tuple[str, ...],
    password: str = "",
    config: str = "",
) -> list[Member]:
    members = []
    for port in free_ports(count):
        folder = stack.enter_context(TemporaryDirectory(prefix="fleet-"))
        member = Member(port, Path(folder), options, config=config, password=password)
        member.start()
        stack.callback(member.kill)
        members.append(member)
    return members
