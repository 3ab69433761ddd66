"""Check of Redis: reachable, of the right kind, and with every command allowed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError

from webui.commands.check.engine_faults import UNKNOWN, all_told_of, told_of
from webui.commands.check.engine_kind import is_usable, kind_of
from webui.commands.check.report import Report
from webui.commands.check.wire import wire_fault
from webui.commands.check.wire_faults import UNREACHED
from webui.oauth_manager import OAuthManager, StoreUnavailable
from webui.oauth_manager.storage import READY, TROUBLE, Fit, Sealer, look
from webui.redis_client import connect
from webui.settings.settings import Settings
from webui.support.identifiers import spelled

ANSWER_SECONDS = 5.0
MOST_NAMED = 1000  # unreadable records

# Everything that the site, the bot and the commands send, scripts included; K, H, L, S and Z are
# keys of the check-up's own.
COMMANDS = """
SET K 1 EX 10|GET K|MGET K|EXISTS K|EXPIRE K 10|TTL K|PTTL K|TYPE K|GETDEL K|INCR K|DEL K
EVAL return(1) 1 K|TIME
RPUSH L a|LRANGE L 0 1|LREM L 1 a
HSET H a 1|HEXISTS H a|HGET H a|HMGET H a|HGETALL H|HSCAN H 0|HDEL H a
XADD S * a 1|XLEN S|XRANGE S - +|XREVRANGE S + -|XTRIM S MAXLEN 1|XGROUP CREATE S g 0
XINFO GROUPS S|XREADGROUP GROUP g c COUNT 1 STREAMS S >
XAUTOCLAIM S g c 0 0 COUNT 1|XACK S g 0-1|XDEL S 0-1
ZADD Z 1 a|ZCOUNT Z 0 1|ZSCORE Z a|ZRANGE Z 0 1|ZRANGEBYSCORE Z 0 1|ZREM Z b
ZREMRANGEBYSCORE Z 0 0|ZREMRANGEBYRANK Z 5 6
SCAN 0 COUNT 1
"""


async def check_engine(settings: Settings, manager: OAuthManager, report: Report) -> None:
    """Check Redis from the wire up; a fault that blocks the rest ends the check."""
    redis_url, sealer = settings.redis_url, Sealer(" ".join(settings.encryption_keys))
    if fault := await wire_fault(redis_url):
        report.say("Redis: NOT reached")
        report.fault(*UNREACHED[fault])
        return
    has_password = bool(urlsplit(redis_url).password)
    try:
        async with asyncio.timeout(ANSWER_SECONDS), _client(_without_database(redis_url)) as redis:
            about = await kind_of(redis, report)
            if not is_usable(about, report):
                return
        async with asyncio.timeout(ANSWER_SECONDS), _client(redis_url) as redis:
            await redis.ping()
            if "maxmemory_policy" in about:
                await _check_memory(redis, about, report)
            is_writable = await _check_commands(redis, report)
    except (RedisError, OSError, TimeoutError) as error:
        report.say("Redis: reached, and it refuses")
        report.fault(*told_of(error, has_password=has_password))
        return
    if is_writable:
        async with _client(redis_url) as redis:
            await _check_keys(redis, sealer, manager, report)


@asynccontextmanager
async def _client(redis_url: str) -> AsyncIterator[Redis]:
    redis = connect(redis_url)
    try:
        yield redis
    finally:
        await redis.aclose()


def _without_database(redis_url: str) -> str:
    """Return the address of the same server; the facts of its database 0 hold for all."""
    parts = urlsplit(redis_url)
    options = [option for option in parts.query.split("&") if not option.startswith("db=")]
    path = parts.path if parts.scheme == "unix" else ""
    return urlunsplit(parts._replace(path=path, query="&".join(options)))


async def _check_memory(redis: Redis, about: Mapping[str, Any], report: Report) -> None:
    """Check what it drops when it is full, and what is left after a restart."""
    policy = about.get("maxmemory_policy", "")
    if policy != "noeviction":
        report.fault(
            f"maxmemory-policy is {str(policy)[:30] or 'not told'}: when it is full, it drops "
            "connections.",
            "Set `maxmemory-policy noeviction`.",
        )
    if "err" in (about.get("rdb_last_bgsave_status"), about.get("aof_last_write_status")):
        report.fault(
            "It could not save to its disk the last time.",
            "See its log and its disk: space, and the rights on its folder.",
        )
    if int(about.get("aof_enabled", 0)):
        report.say("  keeps what is written (appendonly)")
        return
    try:
        snapshots = (await redis.config_get("save")).get("save")
    except RedisError:
        report.say("  appendonly is off; whether it takes snapshots, it may not say")
        return
    if snapshots:
        report.say("  keeps snapshots alone: a crash loses what came after the last one")
    else:
        report.warning(
            "It has no persistence: a restart loses every connection.",
            "Set `appendonly yes`.",
        )


async def _check_commands(redis: Redis, report: Report) -> bool:
    """Return whether every command we send is allowed; leaves nothing behind."""
    names = {letter: f"{READY}:{secrets.token_hex(8)}:{letter}" for letter in "KHLSZ"}
    pipe = redis.pipeline(transaction=False)
    for line in COMMANDS.replace("\n", "|").split("|"):
        if words := [names.get(word, word) for word in line.split()]:
            pipe.execute_command(*words)
    for name in names.values():
        pipe.expire(name, 10)
    pipe.delete(*names.values())
    answers = await pipe.execute(raise_on_error=False)
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    told = all_told_of(errors)
    # A command may fail only because the one before it was refused.
    for what, cure in [one for one in told if one != UNKNOWN] or told:
        report.fault(what, cure)
    return not errors


async def _check_keys(redis: Redis, sealer: Sealer, manager: OAuthManager, report: Report) -> None:
    """Check that ENCRYPTION_KEY opens every record; changes nothing."""
    try:
        fit = await look(redis, sealer)
        found = await manager.reseal(redis, writes=False)
    except StoreUnavailable:
        report.fault("The records could not be read to the end.", "Check again; see Redis's log.")
        return
    if fit is Fit.NOTHING and found.left and not found.done:
        fit = Fit.NO_RECORD_OPENS
    report.say(f"Keys: {_KEYS[fit]}")
    if fit in TROUBLE:
        report.fault(f"{TROUBLE[fit]}.", "See *Keys and secrets* in docs/operating.md.")
    report.say(f"Records: {found.done} can be read; {found.moved} have keys of an older system")
    for key, reason in islice(found.left.items(), MOST_NAMED):
        report.say(f"  NOT understood: {spelled(key)}: {reason}")
    if len(found.left) > MOST_NAMED:
        report.say(f"  and {len(found.left) - MOST_NAMED} more")
    if found.left and fit not in TROUBLE:
        report.fault(
            f"Of the records, {len(found.left)} cannot be understood.",
            "They are damaged, or another process writes with another ENCRYPTION_KEY: compare "
            "those of the site and the bot.",
        )


_KEYS = {
    Fit.FITS: "they fit what is stored",
    Fit.NOTHING: "nothing is stored yet",
    Fit.WRONG_KEY: "they do NOT fit what is stored",
    Fit.NO_RECORD_OPENS: "they do NOT fit what is stored",
}
