"""Commands on one connection to one node of a Cluster, and the keys in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio.cluster import ClusterNode, PipelineCommand
from redis.exceptions import RedisError, ResponseError

_KEY_FIRST = {"DEL", "EXISTS", "EXPIRE", "GET", "GETDEL", "INCR", "LRANGE", "LREM", "PTTL", "RPUSH"}
_KEY_FIRST |= {"SET", "TTL", "TYPE", "HDEL", "HEXISTS", "HGET", "HGETALL", "HMGET", "HSCAN", "HSET"}
_KEY_FIRST |= {"XACK", "XADD", "XAUTOCLAIM", "XDEL", "XLEN", "XRANGE", "XREVRANGE", "XTRIM", "ZADD"}
_KEY_FIRST |= {"ZRANGE", "ZRANGEBYSCORE", "ZREM", "ZREMRANGEBYRANK", "ZREMRANGEBYSCORE", "ZSCORE"}


async def exchange(
    node: ClusterNode, commands: Sequence[PipelineCommand], *, asking: bool = False
) -> None:
    """Send commands on one connection, and read each answer or refusal into ``result``.

    ``asking`` is for one command that goes to the node a slot moves to.  Raises
    ``ConnectionError`` and the like: nobody knows then what was run.
    """
    sent = [PipelineCommand(0, "ASKING"), *commands] if asking else commands
    connection = node.acquire_connection()
    is_whole = False
    try:
        await node.disconnect_if_needed(connection)
        await _freshen(connection)
        packed = connection.pack_commands(command.args for command in sent)
        await connection.send_packed_command(packed)
        for command in sent:
            try:
                name = command.args[0]
                command.result = await node.parse_response(connection, name, **command.kwargs)
            except ResponseError as refusal:
                command.result = refusal
        is_whole = True
    finally:
        if not is_whole:  # an answer may be left over on it
            connection.mark_for_reconnect()  # type: ignore[no-untyped-call]
        try:
            await node.disconnect_if_needed(connection)
        finally:
            node.release(connection)


async def _freshen(connection: Any) -> None:
    """Close a connection that the server has closed, or on which an answer is left over."""
    if not connection.is_connected:
        return
    try:
        is_stale = await connection.can_read()
    except (RedisError, OSError):
        is_stale = True
    if is_stale:
        await connection.disconnect()


def result_of(command: PipelineCommand) -> Any:
    if isinstance(command.result, Exception):
        raise command.result
    return command.result


def key_of(args: Sequence[Any]) -> Any:
    """Return the key of a command that we send; None for others, and any for one without."""
    name = str(args[0]).upper()
    if name in _KEY_FIRST:
        return args[1]
    if name in ("EVAL", "EVALSHA") and int(args[2]) == 1:
        return args[3]
    if name == "XREADGROUP":
        return args[next(n for n, word in enumerate(args) if word in ("STREAMS", b"STREAMS")) + 1]
    if name in ("XGROUP", "XINFO"):
        return args[2]
    return b"" if name in ("SCAN", "TIME") else None
