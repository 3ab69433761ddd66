"""The number of notices that the bot has not read yet, for an operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis.exceptions import ResponseError

from ..storage import keys
from ..storage.calls import RedisClient, as_text, raw, redis_call, unless_mistyped
from ..storage.storage import Storage
from .notices import GROUP, MAX_LENGTH


async def count(storage: Storage, redis: RedisClient) -> int:
    """Count the notices that no bot has acknowledged, and those whose time has come.

    Raises ``StoreUnavailable``.
    """
    now = round(storage.clock.now())
    async with redis_call("count the notices"):
        pipe = redis.pipeline(transaction=False)
        raw(pipe, "XLEN", keys.NOTICES)
        raw(pipe, "ZCOUNT", keys.DUE, "-inf", now)
        pipe.xinfo_groups(keys.NOTICES)
        held, due_now, groups = await pipe.execute(raise_on_error=False)
        if isinstance(groups, ResponseError):
            groups = []  # there is no stream yet, or another type
        count = unless_mistyped(held, 0)
        group = next(
            (one for one in unless_mistyped(groups, []) if as_text(one["name"]) == GROUP), None
        )
        if group is not None:
            count = await _after(redis, group)
        return int(count) + int(unless_mistyped(due_now, 0))


async def _after(redis: RedisClient, group: Mapping[str, Any]) -> int:
    """Count what the group has not been given, or has not acknowledged."""
    pending, lag = int(group["pending"]), group.get("lag")
    if lag is None:  # Redis cannot tell, after a deletion in the middle
        last = as_text(group["last-delivered-id"])
        lag = len(await redis.xrange(keys.NOTICES, f"({last}", "+", count=MAX_LENGTH))
    return pending + int(lag)
