"""Facts that Redis states about itself: its kind, and whether it may lose what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis.asyncio import RedisCluster
from redis.exceptions import RedisError

from ..values import Struct
from .calls import RedisClient, as_text, redis_call

SAFE_POLICY = "noeviction"

Danger = tuple[str, str]
"""The fault, and the cure, a sentence each."""

NO_PERSISTENCE: Danger = (
    "It has no persistence: a restart loses every connection.",
    "Set `appendonly yes`.",
)


class Engine(Struct, frozen=True):
    """The facts of a server, or of the worst node of several; ``""`` if it may not tell.

    ``kind`` is ``redis`` or ``valkey``, ``mode`` ``standalone`` or ``cluster``.
    ``persistence`` is ``appendonly``, ``snapshots`` or ``none``; ``policy`` is
    ``maxmemory-policy``.
    """

    kind: str = ""
    version: str = ""
    mode: str = ""
    persistence: str = ""
    policy: str = ""
    is_saving_failed: bool = False


async def facts(redis: RedisClient) -> Engine:
    """Ask the server about itself.  Raises ``StoreUnavailable``."""
    async with redis_call("ask Redis about itself"):
        try:
            nodes = _nodes(await redis.execute_command("INFO", **_all_of(redis)))
        except RedisError as error:
            if "NOPERM" not in str(error) and type(error).__name__ != "NoPermissionError":
                raise
            return Engine()
        about = nodes[0]
        kind = "valkey" if about.get("server_name") == "valkey" else "redis"
        policies = {_text(node, "maxmemory_policy") for node in nodes}
        return Engine(
            kind,
            _text(about, f"{kind}_version"),
            _text(about, "server_mode") or _text(about, "redis_mode"),
            await _persistence(redis, nodes),
            min(policies, key=lambda policy: policy == SAFE_POLICY),
            any(_has_failed_to_save(node) for node in nodes),
        )


def dangers(engine: Engine) -> list[Danger]:
    """List what may lose connections: the fault, and the cure."""
    found = []
    if engine.policy and engine.policy != SAFE_POLICY:
        what = f"maxmemory-policy is {engine.policy}: when it is full, it drops connections."
        found.append((what, f"Set `maxmemory-policy {SAFE_POLICY}`."))
    if engine.is_saving_failed:
        cure = "See its log and its disk: space, and the rights on its folder."
        found.append(("It could not save to its disk the last time.", cure))
    if engine.persistence == "none":
        found.append(NO_PERSISTENCE)
    return found


def _all_of(redis: RedisClient) -> dict[str, str]:
    """Return redis-py's option for a question to every primary of a Cluster."""
    return {"target_nodes": "primaries"} if isinstance(redis, RedisCluster) else {}


def _nodes(answer: Any) -> list[Mapping[str, Any]]:
    """Return the answers of all nodes that were asked; a single server gives one."""
    found = dict(answer)
    several = [node for node in found.values() if isinstance(node, Mapping)]
    return several if several and len(several) == len(found) else [found]


async def _persistence(redis: RedisClient, nodes: list[Mapping[str, Any]]) -> str:
    if all(str(node.get("aof_enabled", "0")) == "1" for node in nodes):
        return "appendonly"
    try:
        answer = await redis.execute_command("CONFIG GET", "save", **_all_of(redis))
    except RedisError:
        return ""  # it may not tell, or a proxy of a hosted Redis does not know
    if not isinstance(answer, Mapping):
        return ""
    told = [list(node.values()) for node in _nodes(answer)]
    return "snapshots" if all(any(map(as_text, values)) for values in told) else "none"


def _has_failed_to_save(about: Mapping[str, Any]) -> bool:
    return "err" in (about.get("rdb_last_bgsave_status"), about.get("aof_last_write_status"))


def _text(about: Mapping[str, Any], name: str) -> str:
    return str(about.get(name, ""))[:30]
