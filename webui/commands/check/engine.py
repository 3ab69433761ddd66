"""Check of Redis: reachable, of the right kind, and with every command allowed."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress

from redis.asyncio import Redis

from webui.agreement import agreement, differing
from webui.commands.check.engine_faults import UNKNOWN, all_told_of, told_of
from webui.commands.check.engine_kind import is_usable, kind_of
from webui.commands.check.report import Report
from webui.commands.check.servers import find_servers
from webui.commands.check.webhooks import check_webhooks
from webui.commands.check.wire import wire_fault
from webui.commands.check.wire_faults import UNREACHED
from webui.oauth_manager import OAuthManager, StoreUnavailable
from webui.oauth_manager.storage import (
    NO_PERSISTENCE,
    READY,
    TROUBLE,
    Fit,
    RedisAddress,
    Sealer,
    client_at,
    dangers,
    facts,
    look,
    redis_address,
)
from webui.oauth_manager.storage.calls import FAULTS
from webui.oauth_manager.values import replace
from webui.settings.settings import Settings
from webui.support.identifiers import spelled

ANSWER_SECONDS = 5.0
FIND_SECONDS = 30.0  # for all hosts, one after the other

# Everything that the site, the bot and the commands send, scripts included; K, H, L, S and Z are
# keys of the check-up's own.
COMMANDS = """
SET K 1 EX 10|GET K|MGET K|EXISTS K|EXPIRE K 10|PEXPIRE K 10000|TTL K|PTTL K|TYPE K
GETDEL K|INCR K|DEL K
EVAL return(1) 1 K|EVALSHA 930269f31393d0be681588b6ab08dccee7d6bb67 1 K|TIME|WAIT 0 1
RPUSH L a|LSET L 0 a|LRANGE L 0 1|LREM L 1 a
HSET H a 1|HSETNX H a 1|HEXISTS H a|HGET H a|HMGET H a|HGETALL H|HSCAN H 0|HDEL H a
XADD S * a 1|XLEN S|XRANGE S - +|XREVRANGE S + -|XTRIM S MAXLEN 1|XGROUP CREATE S g 0
XINFO GROUPS S|XREADGROUP GROUP g c COUNT 1 STREAMS S >
XAUTOCLAIM S g c 0 0 COUNT 1|XACK S g 0-1|XDEL S 0-1
ZADD Z 1 a|ZCOUNT Z 0 1|ZSCORE Z a|ZRANGE Z 0 1|ZRANGEBYSCORE Z 0 1|ZREM Z b
ZREMRANGEBYSCORE Z 0 0|ZREMRANGEBYRANK Z 5 6
SCAN 0 COUNT 1
"""


async def check_engine(settings: Settings, manager: OAuthManager, report: Report) -> None:
    """Check Redis from the wire up; a fault that blocks the rest ends the check."""
    address, sealer = redis_address(settings.redis_url), Sealer(" ".join(settings.encryption_keys))
    has_password = "password" in address.options
    try:
        async with asyncio.timeout(FIND_SECONDS):
            servers = await find_servers(address, report)
        usable = [await _check_server(*server, address, report) for server in servers]
        if not usable or not all(usable):
            return
        async with asyncio.timeout(ANSWER_SECONDS), client_at(address) as redis:
            await redis.ping()
            is_writable = await _check_commands(redis, report)
    except (*FAULTS, TimeoutError) as error:
        report.say("Redis: reached, and it refuses")
        report.fault(*told_of(error, has_password=has_password))
        return
    if is_writable:
        async with client_at(address) as redis:
            await _check_keys(redis, sealer, manager, report)
            await _check_webhooks(redis, manager, report)
            await _check_bots(redis, agreement(settings), manager.clock.now(), report)


async def _check_bots(redis: Redis, digest: str, now: float, report: Report) -> None:
    """Compare these settings with those of each bot that runs now."""
    with suppress(StoreUnavailable):
        for other in await differing(redis, now, digest):
            report.warning(
                f"A bot runs with other settings: its digest is {other}.",
                "Compare BASE_URL, ENCRYPTION_KEY, STRICT_RECORDS and those of the providers.",
            )


async def _check_server(
    kind: str, server: RedisAddress, address: RedisAddress, report: Report
) -> bool:
    """Check one server; return whether it can be used."""
    if address.kind != "server" and (fault := await wire_fault(server)):
        what, cure = UNREACHED[fault]
        add = report.fault if kind == "primary" else report.warning
        add(f"A {kind} that it names: {what}", cure)
        return kind == "replica"
    # The facts of its database 0 hold for all.
    server = replace(server, options={**server.options, "db": 0})
    async with asyncio.timeout(ANSWER_SECONDS), client_at(server) as redis:
        about = await kind_of(redis, report)
        if not is_usable(about, report, address.kind, kind):
            return False
        if "maxmemory_policy" in about:
            await _check_memory(redis, report)
    return True


async def _check_memory(redis: Redis, report: Report) -> None:
    """Check what it drops when it is full, and what is left after a restart."""
    engine = await facts(redis)
    for danger in dangers(engine):
        (report.warning if danger == NO_PERSISTENCE else report.fault)(*danger)
    if engine.persistence in _PERSISTENCE:
        report.say(f"  {_PERSISTENCE[engine.persistence]}")


_PERSISTENCE = {
    "appendonly": "keeps what is written (appendonly)",
    "snapshots": "keeps snapshots alone: a crash loses what came after the last one",
    "": "appendonly is off; whether it takes snapshots, it may not say",
}


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


async def _check_webhooks(redis: Redis, manager: OAuthManager, report: Report) -> None:
    try:
        await check_webhooks(manager, redis, report)
    except StoreUnavailable:
        report.fault("The queues of webhooks could not be read.", "Check again; see Redis's log.")


async def _check_keys(redis: Redis, sealer: Sealer, manager: OAuthManager, report: Report) -> None:
    """Check that ENCRYPTION_KEY opens every record; changes nothing."""
    try:
        fit = await look(redis, sealer)
        found = await manager.reseal(redis, writes=False)
    except StoreUnavailable:
        report.fault("The records could not be read to the end.", "Check again; see Redis's log.")
        return
    can_be_read = found.done + found.new
    if fit is Fit.NOTHING and found.left and not can_be_read:
        fit = Fit.NO_RECORD_OPENS
    report.say(f"Keys: {_KEYS[fit]}")
    if fit in TROUBLE:
        report.fault(f"{TROUBLE[fit]}.", "See *Keys and secrets* in docs/operating.md.")
    report.say(f"Records: {can_be_read} can be read; {found.moved} have keys of an older system")
    count = found.unreadable + found.unknown
    for key, reason in found.left.items():
        report.say(f"  NOT understood: {spelled(key)}: {reason}")
    if more := count - len(found.left):
        report.say(f"  and {more} more")
    if found.left and fit not in TROUBLE:
        report.fault(
            f"Of the records, {count} cannot be understood.",
            "They are damaged, or another process writes with another ENCRYPTION_KEY: compare "
            "those of the site and the bot.",
        )


_KEYS = {
    Fit.FITS: "they fit what is stored",
    Fit.NOTHING: "nothing is stored yet",
    Fit.WRONG_KEY: "they do NOT fit what is stored",
    Fit.TOO_OLD: "what is stored is of a NEWER version",
    Fit.NO_RECORD_OPENS: "they do NOT fit what is stored",
}
