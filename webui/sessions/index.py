"""The index of a person's sessions, so that all can be ended at once, without a search.

The index is a sorted set, by time of start.  A session is in it before it exists, and
one that is ended leaves an empty ``user`` for longer than a start may take: so one that
is starting meanwhile is ended too, or began later.  Every script touches one key.
"""

from __future__ import annotations

from collections.abc import Sequence

from webui.oauth_manager import check_user_id
from webui.oauth_manager.storage import OURS, encoded
from webui.oauth_manager.storage.calls import (
    RedisClient,
    as_text,
    raw,
    redis_call,
    unless_mistyped,
)
from webui.sessions.record import is_session_key

LIFE_SECONDS = 7 * 24 * 3600
MOST = 100  # sessions of one person; a new one ends the oldest
_ENDED_SECONDS = 60

_ENTER = f"""{OURS}
ours('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
local oldest = redis.call('ZRANGE', KEYS[1], 0, -tonumber(ARGV[5]) - 1)
if #oldest > 0 then redis.call('ZREM', KEYS[1], unpack(oldest)) end
return oldest
"""

_BEGIN = f"""{OURS}
if ours('HEXISTS', KEYS[1], 'user') == 1 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
"""

_END = """
local was = redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'user', '')
redis.call('EXPIRE', KEYS[1], ARGV[1])
return was
"""


_MEMBERS = f"{OURS} return ours('ZRANGE', KEYS[1], 0, -1)"
_LEAVE = f"{OURS} return ours('ZREM', KEYS[1], ARGV[1])"


def _index(user: str) -> str:
    return f"stargazer:web_sessions:{encoded(user)}"


def _owner(user: object) -> str:
    """Name the person of a session, ``""`` if it is nobody's."""
    try:
        return check_user_id(as_text(user))
    except ValueError:
        return ""


async def begin(
    redis: RedisClient,
    key: str,
    fields: Sequence[str],
    *,
    user: str,
    now: float,
    idle: int,
    before: str | None,
) -> bool:
    """Keep a session for ``idle`` seconds, in place of ``before``; two round trips.

    ``fields`` are names and values in turn.  False if it was ended meanwhile.  Raises
    ``StoreUnavailable``.
    """
    async with redis_call("start session"):
        pipeline = redis.pipeline(transaction=False)
        enter = now, key, now - LIFE_SECONDS, LIFE_SECONDS, MOST
        pipeline.eval(_ENTER, 1, _index(user), *enter)
        if before:
            pipeline.hget(before, "user")
            pipeline.delete(before)
        oldest, *ended = await pipeline.execute(raise_on_error=False)
        oldest, *ended = (unless_mistyped(answer, None) for answer in (oldest, *ended))
        pipeline = redis.pipeline(transaction=False)
        pipeline.eval(_BEGIN, 1, key, idle, *fields)
        for other in filter(is_session_key, oldest):
            # It may be one that is just starting, which nothing could find any more.
            pipeline.eval(_END, 1, as_text(other), _ENDED_SECONDS)
        if before and (owner := _owner(ended[0])):
            pipeline.zrem(_index(owner), before)
        is_alive, *_ = await pipeline.execute()
    return bool(is_alive)


async def end(redis: RedisClient, key: str) -> str:
    """End one session; return its ``via``, ``""`` if there was none.

    At most two round trips.  Raises ``StoreUnavailable``.
    """
    async with redis_call("end session"):
        pipeline = redis.pipeline(transaction=False)
        pipeline.hmget(key, "user", "via")
        pipeline.delete(key)
        held, _ = await pipeline.execute(raise_on_error=False)
        user, via = unless_mistyped(held, (None, None))
        if owner := _owner(user):
            await redis.eval(_LEAVE, 1, _index(owner), key)
    return as_text(via)


async def read_all(redis: RedisClient, user: str) -> list[dict[str, str]]:
    """Read the fields of every session of a person, and ``expires_in`` (seconds).  Reads only."""
    async with redis_call("read all sessions"):
        members = await redis.eval(_MEMBERS, 1, _index(user))
        pipeline = redis.pipeline(transaction=False)
        for key in filter(is_session_key, members):
            raw(pipeline, "HGETALL", as_text(key))
            pipeline.ttl(as_text(key))
        answers = await pipeline.execute(raise_on_error=False) if len(pipeline) else []
    held = [unless_mistyped(answer, {}) for answer in answers]
    return [
        {as_text(name): as_text(value) for name, value in fields.items()} | {"expires_in": str(ttl)}
        for fields, ttl in zip(held[::2], held[1::2], strict=True)
        if fields.get(b"user")
    ]


async def end_all(redis: RedisClient, user: str) -> int:
    """End every session of a person; return how many there were.  Two round trips.

    Raises ``StoreUnavailable``; may then be repeated.
    """
    index = _index(user)
    async with redis_call("end all sessions"):
        members = await redis.eval(_MEMBERS, 1, index)
        keys = [as_text(member) for member in members if is_session_key(member)]
        if not keys:
            return 0
        pipeline = redis.pipeline(transaction=False)
        for key in keys:
            pipeline.eval(_END, 1, key, _ENDED_SECONDS)
        pipeline.zrem(index, *keys)
        *ended, _ = await pipeline.execute()
    return sum(map(int, ended))
