"""Facts that Redis states about itself: its kind, and whether it may lose what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from .calls import RedisClient, as_text, redis_call

SAFE_POLICY = "noeviction"


@dataclass(frozen=True, slots=True)
class Engine:
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
            nodes = _nodes(await redis.execute_command("INFO"))
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


def _nodes(answer: Any) -> list[Mapping[str, Any]]:
    """Return the answers of all nodes that were asked; a single server gives one."""
    found = dict(answer)
    several = [node for node in found.values() if isinstance(node, Mapping)]
    return several if several and len(several) == len(found) else [found]


async def _persistence(redis: RedisClient, nodes: list[Mapping[str, Any]]) -> str:
    if all(str(node.get("aof_enabled", "0")) == "1" for node in nodes):
        return "appendonly"
    try:
        answer = await redis.execute_command("CONFIG GET", "save")
    except RedisError:
        return ""  # it may not tell, or a proxy of a hosted Redis does not know
    if not isinstance(answer, Mapping):
        return ""
    return "snapshots" if any(as_text(value) for value in answer.values()) else "none"


def _has_failed_to_save(about: Mapping[str, Any]) -> bool:
    return "err" in (about.get("rdb_last_bgsave_status"), about.get("aof_last_write_status"))


def _text(about: Mapping[str, Any], name: str) -> str:
    return str(about.get(name, ""))[:30]
