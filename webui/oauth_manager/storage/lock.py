"""A lock across processes for one connection, with its owner's name on it.

Holding it says that the stored refresh token is being sent.  A provider may take such a
token once, and only the owner knows the pair it returns: so the name stays when the
time of holding has passed, and the next holder gives the owner time to store its pair
(:class:`Takeover`).  After a failure the lock remembers how often in a row, so that
every process backs off together instead of hammering a provider in trouble.
"""

from __future__ import annotations

import random
import secrets
from typing import Any

from redis.asyncio import RedisCluster

from ..clock import Clock
from ..errors import StoreUnavailable
from ..values import Struct
from . import keys, lookup
from .calls import as_text, redis_call
from .records import Sealed
from .scripts import OURS
from .storage import Storage, Subject

GRACE = 2.0  # seconds of a Redis that answers, for an owner whose time has passed
_LONGEST_PAUSE = 60.0  # seconds
_MEMORY = 180  # seconds for which a row of failures is remembered
_EVIDENCE = 3600  # seconds for which an owner that never let go is remembered

# The value: "sent:OWNER:UNTIL", held until then (ms), or "failed:COUNT:UNTIL", free, and
# left alone until then.  Redis's own clock decides, so processes whose clocks differ
# agree.
#
# ARGV: owner, time of holding (ms), evidence (ms), the passed holding that was waited for.
# Answers {"got", failures in a row}, {"held", ""}, {"pausing", failures in a row} or
# {"passed", the value}.  An owner that asks again (its first answer was lost) still holds
# the lock.
_ACQUIRE = (
    OURS
    + """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held, failures = ours('GET', KEYS[1]), '0'
if held then
  local kind, name, till = string.match(held, '^(%a+):(%w+):(%d+)$')
  if kind == 'failed' then
    failures = string.match(name, '^%d%d?%d?$') or '0'
    if tonumber(till) > now then return {'pausing', failures} end
  elseif kind == 'sent' then
    if name ~= ARGV[1] and tonumber(till) > now then return {'held', ''} end
    if name ~= ARGV[1] and held ~= ARGV[4] then return {'passed', held} end
  elseif redis.call('PTTL', KEYS[1]) >= 0 then
    return {'held', ''}  -- by another version of us: that runs out by itself
  end
end
local mine = string.format('sent:%s:%.0f', ARGV[1], now + ARGV[2])
redis.call('SET', KEYS[1], mine, 'PX', ARGV[3])
return {'got', failures}
"""
)
# ARGV: owner, failures in a row, pause (ms), memory (ms).
_RELEASE = (
    OURS
    + """
if string.match(ours('GET', KEYS[1]) or '', '^sent:(%w+):') ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
local time = redis.call('TIME')
local pause_until = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3]
redis.call('SET', KEYS[1], string.format('failed:%d:%.0f', ARGV[2], pause_until), 'PX', ARGV[4])
return 1
"""
)


class Hold(Struct, frozen=True):
    """The answer to asking for the lock: ``got``, ``held``, ``pausing`` or ``passed``.

    ``pausing``: nobody holds it, but the provider failed lately and is left alone.
    ``passed``: the owner's time has passed, and it never let go.  ``sealed``: the records,
    read after this answer.
    """

    answer: str
    sealed: Sealed
    failures: int = 0
    passed: str = ""


class Lock:
    """One asker's view of the lock; ``owner`` makes a late release harmless."""

    def __init__(self, storage: Storage, subject: Subject) -> None:
        self._storage, self._subject = storage, subject
        self._clock = storage.clock
        self._redis = subject.redis
        self._key = keys.lock(subject.user_id, subject.place)
        self._owner = secrets.token_hex(16)
        self._takeover = Takeover(self._clock)

    async def acquire(self) -> Hold:
        """Ask, without waiting for anybody to let go, and read the records.  One round trip.

        An owner whose time has passed is replaced by the first asker that has seen it
        for ``GRACE`` seconds.  Raises ``StoreUnavailable``.
        """
        try:
            hold = await self._ask()
        except StoreUnavailable:
            # Only the answer may be lost; then the lock is ours, and the next answer says
            # so.
            self._takeover = Takeover(self._clock)
            hold = await self._ask()
        self._takeover.note(hold)
        return hold

    async def _ask(self) -> Hold:
        sealed, (answer, said) = await self._answer()
        word, said = as_text(answer), as_text(said)
        if word == "passed":
            return Hold(word, sealed, passed=said)
        return Hold(word, sealed, int(said or 0))

    async def _answer(self) -> tuple[Sealed, Any]:
        if isinstance(self._redis, RedisCluster):  # whose nodes answer in any order
            async with redis_call("lock a connection"):
                answer = await self._queue(self._redis)
            try:
                about = [self._subject]
                (sealed,) = await lookup.read_sealed(self._storage, about, with_names=True)
            except StoreUnavailable:  # of another node: this one is not to keep everybody off
                await self.release()
                raise
            return sealed, answer
        return await lookup.read_beside(
            self._storage, self._subject, self._queue, step="lock a connection", with_names=True
        )

    def _queue(self, commands: Any) -> Any:
        times = (keys.LOCK_TTL * 1000, _EVIDENCE * 1000)
        return commands.eval(_ACQUIRE, 1, self._key, self._owner, *times, self._takeover.due())

    async def release(self, *, failures: int = 0, retry_after: float = 0.0) -> None:
        """Let go; with ``failures`` in a row, keep everybody off for a while.

        The first failure costs no pause, the second about a second, then twice
        as long each time, or what the provider asks for (``retry_after``, in
        seconds), a minute at the most.
        """
        doubled = 2.0 ** min(failures - 2, 10) * random.uniform(0.5, 1) if failures > 1 else 0.0  # noqa: S311
        pause = min(max(doubled, retry_after), _LONGEST_PAUSE)
        async with redis_call("unlock a connection"):
            await self._redis.eval(
                _RELEASE, 1, self._key, self._owner, failures, int(pause * 1000), _MEMORY * 1000
            )


class Takeover:
    """One asker's patience with an owner whose time has passed.

    It counts from the first answer of Redis that named this owner, and begins again if
    Redis did not answer: the owner could not store anything then either.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._passed = ""
        self._since = 0.0

    def note(self, hold: Hold) -> None:
        if hold.passed != self._passed:
            self._passed, self._since = hold.passed, self._clock.monotonic()

    def due(self) -> str:
        """Return the holding to replace now, ``""`` while its owner still has time."""
        is_due = self._passed and self._clock.monotonic() - self._since >= GRACE
        return self._passed if is_due else ""
