"""The site's connection to Redis, and what its servers say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError

from webui.oauth_manager import redis_from_url as connect
from webui.oauth_manager.storage.calls import FAULTS, RedisClient

__all__ = ["NO_PERSISTENCE", "connect", "drops", "engine_faults", "persistence", "unsaved"]

Told = tuple[str, str]
"""The fault, and the cure."""

NO_PERSISTENCE: Told = (
    "It has no persistence: a restart loses every connection.",
    "Set `appendonly yes`.",
)


def drops(about: Mapping[str, Any]) -> Told | None:
    """Return the fault if ``INFO`` says that Redis drops connections when it is full."""
    policy = str(about.get("maxmemory_policy", ""))[:30]
    if policy == "noeviction":
        return None
    return (
        f"maxmemory-policy is {policy or 'not told'}: when it is full, it drops connections.",
        "Set `maxmemory-policy noeviction`.",
    )


def unsaved(about: Mapping[str, Any]) -> Told | None:
    """Return the fault if ``INFO`` says that the last writing to disk failed."""
    if "err" not in (about.get("rdb_last_bgsave_status"), about.get("aof_last_write_status")):
        return None
    return (
        "It could not save to its disk the last time.",
        "See its log and its disk: space, and the rights on its folder.",
    )


async def persistence(
    redis: Redis, about: Mapping[str, Any], **target: Any
) -> Literal["appendonly", "snapshots", "none", "unknown"]:
    """Return what is left after a restart; ``about`` is what ``INFO`` says.

    ``target`` is redis-py's, for one node of a Cluster.
    """
    if int(about.get("aof_enabled", 0)):
        return "appendonly"
    try:
        snapshots = (await redis.config_get("save", **target)).get("save")
    except RedisError:
        return "unknown"
    return "snapshots" if snapshots else "none"


async def engine_faults(client: RedisClient) -> list[Told]:
    """List what the primaries say of themselves that may lose connections; each fault once.

    One that may not be asked, or does not answer, says nothing.
    """
    redis, found = cast("Redis", client), dict[Told, None]()
    try:
        for target in await _targets(redis):
            about = await redis.info(**target)
            saves = await persistence(redis, about, **target)
            told = (drops(about), unsaved(about), NO_PERSISTENCE if saves == "none" else None)
            found |= dict.fromkeys(one for one in told if one)
    except FAULTS:
        pass
    return list(found)


async def _targets(redis: Redis) -> list[dict[str, Any]]:
    if not isinstance(redis, RedisCluster):
        return [{}]
    await redis.initialize()
    return [{"target_nodes": node} for node in redis.get_primaries()]
