"""The number of notices that no bot has read yet, for an operator.

Bots read in two ways: as the group of the stream, or from a position that they keep themselves,
over the API and by webhooks.  Whoever is furthest counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis.exceptions import ResponseError

from ..storage import keys
from ..storage.calls import RedisClient, as_text, raw, redis_call, unless_mistyped
from ..storage.scripts import OURS
from ..storage.storage import Storage
from .notices import GROUP, MAX_LENGTH

# ARGV: from where, how many at most.
_COUNT = f"{OURS} return #ours('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])"


async def count(storage: Storage, redis: RedisClient) -> int:
    """Count the notices that no bot has acknowledged, and those whose time has come.

    Raises ``StoreUnavailable``.
    """
    now = round(storage.clock.now())
    async with redis_call("count the notices"):
        pipe = redis.pipeline(transaction=False)
        raw(pipe, "XLEN", keys.NOTICES)
        raw(pipe, "ZCOUNT", keys.DUE, "-inf", now)
        raw(pipe, "GET", keys.NOTICES_READ)
        pipe.xinfo_groups(keys.NOTICES)
        held, due_now, position, groups = await pipe.execute(raise_on_error=False)
        if isinstance(groups, ResponseError):
            groups = []  # there is no stream yet, or another type
        count = unless_mistyped(held, 0)
        group = next(
            (one for one in unless_mistyped(groups, []) if as_text(one["name"]) == GROUP), None
        )
        if group is not None:
            count = await _of_group(redis, group)
        if read_to := as_text(unless_mistyped(position, "") or ""):
            count = min(int(count), await _after(redis, read_to))
        return int(count) + int(unless_mistyped(due_now, 0))


async def _of_group(redis: RedisClient, group: Mapping[str, Any]) -> int:
    """Count what the group has not been given, or has not acknowledged."""
    pending, lag = int(group["pending"]), group.get("lag")
    if lag is None:  # Redis cannot tell, after a deletion in the middle
        lag = await _after(redis, as_text(group["last-delivered-id"]))
    return pending + int(lag)


async def _after(redis: RedisClient, position: str) -> int:
    return int(await redis.eval(_COUNT, 1, keys.NOTICES, f"({position}", MAX_LENGTH))
