"""Uses of service keys, counted in Redis: those of one turn of the event loop go out together."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import NamedTuple

from webui.api.service_keys import KEYS, use_key
from webui.oauth_manager import StoreUnavailable
from webui.oauth_manager.storage import OURS
from webui.oauth_manager.storage.calls import RedisClient, as_text, raw, redis_call

_KEPT_SECONDS = 400 * 86400

# ARGV: the field to count in, how many, the life of all.  Answers the number of this minute's
# calls, and how many seconds are left of it.
_COUNT = f"""{OURS}
local now = tonumber(redis.call('TIME')[1])
local minute = now - now % 60
local known = ours('HGET', KEYS[1], ARGV[1]) or ''
local at, count = string.match(known, '^(%d+):(%d+)$')
count = (tonumber(at) == minute and count or 0) + ARGV[2]
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f:%.0f', minute, count), 'last', minute)
redis.call('EXPIRE', KEYS[1], ARGV[3])
return {{count, minute + 60 - now}}
"""


class Use(NamedTuple):
    """One call that was counted.

    ``sealed`` is the key's record as it is now, ``number`` the call's number in its minute, of
    which ``left`` seconds are left.
    """

    sealed: str
    number: int
    left: float


class Uses:
    """The counter; its client of Redis is that of one event loop."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis
        self._asked: list[tuple[tuple[str, str], asyncio.Future[Use]]] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def count(self, key_id: str, kind: str) -> Use:
        """Count a call of one kind by a key.  Raises ``StoreUnavailable``."""
        loop = asyncio.get_running_loop()
        if not self._asked:
            task = loop.create_task(self._send())
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        answer: asyncio.Future[Use] = loop.create_future()
        self._asked.append(((key_id, kind), answer))
        return await answer

    async def forget(self, key_id: str) -> None:
        """Remove the counts of a key that is gone.  Raises ``StoreUnavailable``."""
        async with redis_call("forget the uses of a key"):
            await self._redis.delete(use_key(key_id))

    async def _send(self) -> None:
        """Send all that was asked in this turn; each gets its own number, in their order."""
        asked, self._asked = self._asked, []
        counts = Counter(place for place, _ in asked)
        try:
            found = await self._found(counts)
        except StoreUnavailable as failure:
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(failure)
            return
        for place, answer in asked:
            sealed, last, left = found[place]
            counts[place] -= 1
            if not answer.done():
                answer.set_result(Use(sealed, last - counts[place], left))

    async def _found(
        self, counts: Counter[tuple[str, str]]
    ) -> dict[tuple[str, str], tuple[str, int, float]]:
        ids = list(dict.fromkeys(key_id for key_id, _ in counts))
        async with redis_call("count a call"):
            pipe = self._redis.pipeline(transaction=False)
            raw(pipe, "HMGET", KEYS, *ids)
            for (key_id, kind), count in counts.items():
                pipe.eval(_COUNT, 1, use_key(key_id), kind, count, _KEPT_SECONDS)
            held, *numbers = await pipe.execute()
        sealed = dict(zip(ids, map(as_text, held), strict=True))
        return {
            place: (sealed[place[0]], int(number), float(left))
            for place, (number, left) in zip(counts, numbers, strict=True)
        }
