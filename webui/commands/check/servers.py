"""The servers with the data behind REDIS_URL, and what keeps them from being found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from webui.commands.check.engine_faults import told_of
from webui.commands.check.report import Report
from webui.commands.check.wire import wire_fault
from webui.commands.check.wire_faults import UNREACHED, Told
from webui.oauth_manager.storage import RedisAddress, client_at

_NO_SENTINEL: Told = (
    "It is no Sentinel.",
    "Name the Sentinels' own ports in REDIS_URL (26379 is usual), or write redis:// instead.",
)
_NO_CLUSTER: Told = (
    "It is no node of a Cluster.",
    "Write redis:// instead of redis+cluster://, or name a node that has `cluster-enabled yes`.",
)
_SENTINEL_PASSWORD: Told = (
    "The Sentinels want a password of their own, and REDIS_URL has none that fits.",
    "Add ?sentinel_password=PASSWORD to REDIS_URL, and sentinel_username=USER if they have users.",
)
_UNKNOWN_NAME: Told = (
    "The Sentinels watch no primary of that name.",
    "Correct the name in REDIS_URL; `SENTINEL MASTERS` lists those that they watch.",
)
_DEAD_PRIMARY: Told = (
    "The Sentinels hold the primary for dead.",
    "Wait for the fail-over; if there is none, see the Sentinels' log.",
)
_NO_QUORUM: Told = (
    "Too few Sentinels are up to agree on a fail-over.",
    "Bring them back; `SENTINEL CKQUORUM` says how many it needs.",
)
_NO_REPLICA: Told = (
    "A primary has no replica: if it dies, its connections are away until it is back.",
    "Give each primary a replica.",
)
_NO_SLOTS: Told = (
    "The Cluster is down: not every slot has a server.",
    "See `CLUSTER INFO` and `redis-cli --cluster check`; bring its nodes back.",
)


async def find_servers(address: RedisAddress, report: Report) -> list[tuple[str, RedisAddress]]:
    """Find the servers with the data: ``primary`` or ``replica``, and the address.

    The list is empty if a fault that blocks the rest was reported.
    """
    if address.kind == "server":
        if fault := await wire_fault(address):
            _not_reached(report, fault)
            return []
        return [("primary", address)]
    asked = address.sentinels() if address.kind == "sentinel" else []
    hosts = [address.server(host, port) for host, port in address.hosts]
    reached = await _reached(asked[: len(hosts)] or hosts, report)
    if not reached:
        return []
    if address.kind == "sentinel":
        logins = [one for one in asked if one.hosts in [host.hosts for host in reached]]
        return await _watched(address, logins, report)
    return await _members(address, reached[0], report)


def _not_reached(report: Report, fault: str) -> None:
    report.say("Redis: NOT reached")
    report.fault(*UNREACHED[fault])


async def _reached(hosts: Sequence[RedisAddress], report: Report) -> list[RedisAddress]:
    """Return those that answer; one that does not is a warning, none that does a fault."""
    faults = {n: await wire_fault(host) for n, host in enumerate(hosts)}
    reached = [hosts[n] for n, fault in faults.items() if not fault]
    if not reached:
        _not_reached(report, faults[0])
        return []
    for n, fault in faults.items():
        if fault:
            what, cure = UNREACHED[fault]
            report.warning(f"Of the hosts in REDIS_URL, number {n + 1}: {what}", cure)
    return reached


async def _watched(
    address: RedisAddress, sentinels: Sequence[RedisAddress], report: Report
) -> list[tuple[str, RedisAddress]]:
    """Ask the Sentinels for the primary and its replicas."""
    refused: Told = _SENTINEL_PASSWORD
    for sentinel in sentinels:
        async with client_at(sentinel) as client:
            try:
                return await _of_sentinel(address, client, report)
            except AuthenticationError:
                continue
            except ResponseError as error:
                unknown = "unknown command" in str(error)
                refused = _NO_SENTINEL if unknown else told_of(error, has_password=True)
                break
    report.say("Redis: its Sentinels are reached, and they refuse")
    report.fault(*refused)
    return []


async def _of_sentinel(
    address: RedisAddress, client: Redis, report: Report
) -> list[tuple[str, RedisAddress]]:
    known: dict[str, Any] = await client.sentinel_masters()  # type: ignore[assignment]
    state = known.get(address.name)
    if state is None:
        report.say("Redis: its Sentinels are reached")
        report.fault(*_UNKNOWN_NAME)
        return []
    if state["is_odown"] or state["is_sdown"]:
        report.say("Redis: its Sentinels are reached")
        report.fault(*_DEAD_PRIMARY)
        return []
    replicas = await client.sentinel_slaves(address.name)
    others = state["num-other-sentinels"] + 1
    report.say(
        f"Redis: a primary with {_count(len(replicas), 'replica')}, "
        f"watched by {_count(others, 'Sentinel')}"
    )
    try:
        await client.execute_command("SENTINEL", "CKQUORUM", address.name)  # type: ignore[no-untyped-call]
    except ResponseError:
        report.warning(*_NO_QUORUM)
    if not replicas:
        report.warning(*_NO_REPLICA)
    up = [one for one in replicas if not one["is_sdown"]]
    found = [("primary", address.server(str(state["ip"]), int(state["port"])))]
    return found + [("replica", address.server(str(r["ip"]), int(r["port"]))) for r in up]


async def _members(
    address: RedisAddress, node: RedisAddress, report: Report
) -> list[tuple[str, RedisAddress]]:
    """Ask a node for those of the Cluster."""
    async with client_at(node) as client:
        try:
            ranges = await client.execute_command("CLUSTER", "SLOTS", NEVER_DECODE=True)  # type: ignore[no-untyped-call]
            about = await client.execute_command("CLUSTER", "INFO", NEVER_DECODE=True)  # type: ignore[no-untyped-call]
        except RedisError as error:
            is_none = "cluster support disabled" in str(error)
            told = told_of(error, has_password="password" in address.options)
            report.say("Redis: reached, and it refuses")
            report.fault(*(_NO_CLUSTER if is_none else told))
            return []
    found: dict[tuple[str, int], str] = {}
    lonely = 0
    for _first, _last, primary, *replicas in ranges:
        lonely += not replicas
        found[_host(primary, node)] = "primary"
        found |= {_host(replica, node): "replica" for replica in replicas}
    kinds = list(found.values())
    report.say(
        f"Redis: a Cluster of {_count(kinds.count('primary'), 'primary', 'primaries')} "
        f"and {_count(kinds.count('replica'), 'replica')}"
    )
    if b"cluster_state:ok" not in bytes(about):
        report.fault(*_NO_SLOTS)
        return []
    if lonely:
        report.warning(*_NO_REPLICA)
    return [(kind, address.server(*host)) for host, kind in found.items()]


def _host(told: Sequence[Any], asked: RedisAddress) -> tuple[str, int]:
    """Return host and port of a node; one that tells no host is where it was asked."""
    host = told[0].decode() if isinstance(told[0], bytes) else str(told[0] or "")
    return host or asked.hosts[0][0], int(told[1])


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
